//! No secret is written anywhere: not to the log at any level, an error's body, the audit, or a file of the data
//! directory.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use gatepass::store::prelude::*;
use std::fs::{self, File};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepass::store::{Access, Installation, Store, StoreOptions};
use gatepass_core::records::signing_key::StoredKey;
use gatepass_tests::fixtures::{BACKEND_SECRET, PORTAL_SECRET};
use gatepass_tests::http::TestRequest;
use gatepass_tests::recording_relay::recorded_exchanges;
use gatepass_tests::secrets::{Secrets, is_found_in_every_form};
use gatepass_tests::server::TestInstallation;
use gatepass_tests::suite::{SUITE, Target, sign_in};
use serde_json::{Value, json};

/// A private key, of RFC 8037 appendix A.1.
const KEY: &str = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

#[test]
fn the_guarded_front_and_lines_of_json_tell_no_secret() {
    scan(&["--front", "guarded", "--log-format", "json"]);
}

#[test]
fn the_stock_front_and_lines_of_text_tell_no_secret() {
    scan(&["--front", "tiny_http", "--log-format", "text"]);
}

#[test]
fn the_scan_finds_what_is_there() {
    assert!(is_found_in_every_form("tkt_Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE"));
}

fn scan(arguments: &[&str]) {
    let (installation, logs) = (TestInstallation::new(), TestInstallation::new());
    let log = logs.path().join("log");
    let mut secrets = Secrets::default();
    let mut said = Commands { installation: &installation, secrets: &mut secrets, told: Vec::new() };
    said.run(&["--init", "key", "generate", "--alg", "EdDSA", "--activate"], "");
    // Requests name the port of the relay.
    let arguments = [&["--log-level", "trace", "--hosts", "127.0.0.1"], arguments].concat();
    let server = installation.serve_to(&arguments, File::create(&log).expect("a log").into());
    installation.populate();
    let rounds = said.all();
    let told_by_commands = said.told;

    let exchanges = recorded_exchanges(server.address, |address| {
        let target = Target { address };
        for (name, test) in SUITE {
            println!("{name}");
            test(target);
        }
        out_of_place(target);
        target.sign_in(&rounds);
    });
    // The write-ahead log exists only while the server runs.
    let mut places = installation.stored();
    assert_eq!(places.iter().any(|(name, _)| name.ends_with("-wal")), installation.database().is_none());
    assert!(server.terminate());
    places.extend(installation.stored());

    for exchange in &exchanges {
        secrets.add_exchange(exchange);
        if let Some(answer) = exchange.answer().filter(|answer| answer.status >= 400) {
            places.push((
                format!("an answer of {}", answer.status),
                [answer.body, answer.head.join("\n").into()].concat(),
            ));
        }
    }
    secrets.add("client_secret", BACKEND_SECRET);
    secrets.add("client_secret", PORTAL_SECRET);
    private(&installation, &mut secrets);
    for (kind, least) in [
        ("tkt_", 60),
        ("rft_", 60),
        ("chg_", 10),
        ("jwt", 100),
        ("totp", 6),
        ("backup_codes", 40),
        ("password", 4),
        ("idempotency key", 2),
    ] {
        assert!(secrets.count(kind) >= least, "{} of {kind}", secrets.count(kind));
    }

    let log = fs::read(log).expect("a log");
    let text = String::from_utf8_lossy(&log);
    assert!(text.contains("DEBUG") && text.contains("/oauth2/token") && text.contains("stopped"), "{text}");
    places.push(("the log".into(), log));
    places.push(("the audit".into(), installation.run(&["--json", "audit", "list"]).stdout));
    places.extend(told_by_commands);
    let search_patterns = secrets.search_patterns();
    for (place, bytes) in &places {
        let found = search_patterns.found_in(bytes);
        assert!(found.is_none(), "{place} holds {}", found.unwrap_or_default());
    }
    println!("{} exchanges, {} places", exchanges.len(), places.len());
}

/// Sends secrets in the wrong places, which must not be logged either.
fn out_of_place(target: Target) {
    let service = target.service_token("ticket:issue");
    let ticket = target.ticket(&json!({"user_id": "alice", "audience": "portal", "bind": true}));
    for ask in [
        sign_in(&ticket).bearer(&service).bearer(&service),
        sign_in(&ticket).header("Cookie", &format!("session={service}")),
        TestRequest::new("GET", &format!("/userinfo?access_token={service}")),
        TestRequest::new("GET", &format!("/{ticket}")),
        TestRequest::new(&ticket, "/auth/ticket/signin"),
        TestRequest::new("DELETE", &format!("/auth/me/sessions/{ticket}")).bearer(&service),
        TestRequest::json(&format!("/mfa/totp/devices/{ticket}"), &json!({})).bearer(&service),
        TestRequest::form("/oauth2/token", &format!("client_secret={PORTAL_SECRET}&%")),
        TestRequest::form("/oauth2/token", &format!("grant_type={ticket}&scope={service}"))
            .basic("backend", BACKEND_SECRET),
        TestRequest::form("/oauth2/token", "scope=a").basic(&ticket, BACKEND_SECRET),
        TestRequest::json("/auth/generate-ticket", &json!({"user_id": ticket, "audience": ticket}))
            .bearer(&service),
        TestRequest::json("/auth/ticket/signin", &json!({"ticket": {"ticket": ticket}})),
    ] {
        assert!(target.ask(&ask).status >= 400, "{ask:?}");
    }
}

/// Adds the master key, and every private key.
fn private(installation: &TestInstallation, secrets: &mut Secrets) {
    let text = fs::read_to_string(installation.path().join("master.key")).expect("the master key");
    let text = text.lines().find(|line| line.len() == 64).expect("64 digits");
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    secrets.add("master key", text);
    secrets.add("master key", (0..text.len()).step_by(2).map(byte).collect::<Vec<_>>());
    let imported: Value = serde_json::from_str(KEY).expect("a private JWK");
    // The tests open no other engine's store, so that the keys which a command has made in a database are not known here.
    let made = if installation.database().is_none() { made(installation) } else { Vec::new() };
    for jwk in made.iter().chain([&imported]) {
        for part in ["d", "p", "q", "dp", "dq", "qi", "k"].iter().filter_map(|part| jwk[part].as_str()) {
            secrets.add("private key", part);
            secrets.add("private key", URL_SAFE_NO_PAD.decode(part).expect("base64url"));
        }
    }
    assert!(secrets.count("private key") >= 2 * made.len().max(1));
}

/// Returns the private keys in the file of an installation.
fn made(installation: &TestInstallation) -> Vec<Value> {
    let installation = Installation::at(installation.path());
    let store = Store::open(&installation, Access::Read, &StoreOptions::default()).expect("the store");
    let keys = store.keys().expect("the keys").keys;
    assert!(keys.len() > 2);
    let jwk = |key: &StoredKey| serde_json::from_slice(key.private_jwk.expose()).expect("a private JWK");
    keys.iter().map(jwk).collect()
}

/// Commands beside the running server. Only their caller may see their output.
struct Commands<'a> {
    installation: &'a TestInstallation,
    secrets: &'a mut Secrets,
    told: Vec<(String, Vec<u8>)>,
}

impl Commands<'_> {
    fn run(&mut self, arguments: &[&str], input: &str) -> Value {
        let output = self.installation.run_with(&[&["--json"], arguments].concat(), input);
        self.told.push((format!("what {arguments:?} complained of"), output.stderr));
        let printed = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        // Commands that list or show print no secret.
        if arguments.contains(&"list") || arguments.contains(&"show") {
            self.told.push((format!("what {arguments:?} printed"), output.stdout));
        } else {
            self.secrets.json(&printed);
        }
        printed
    }

    /// Runs every command, rightly and wrongly. Returns a ticket that is still good.
    fn all(&mut self) -> String {
        const FOREIGN: &str = "gps_brought-along-brought-along-brought-along";
        self.secrets.add("client_secret", FOREIGN);
        self.run(&["client", "add", "made", "--scope", "profile"], "");
        self.run(&["client", "add", "brought", "--scope", "profile", "--secret-stdin"], FOREIGN);
        self.run(&["client", "add", "brought", "--scope", "profile", "--secret-stdin"], FOREIGN);
        self.run(&["client", "rotate-secret", "made"], "");
        self.run(&["key", "rotate", "--alg", "ES256"], "");
        self.run(&["key", "import", "-"], FOREIGN);
        assert!(self.run(&["key", "import", "-"], KEY)["kid"].is_string());
        let ticket = self.run(&["ticket", "issue", "--user", "alice"], "");
        let text = ticket["ticket"].as_str().expect("a ticket").to_owned();
        let revoked = self.run(&["ticket", "issue", "--user", "alice"], "");
        self.run(&["ticket", "revoke", revoked["id"].as_str().expect("an id")], "");
        self.run(&["ticket", "revoke", revoked["ticket"].as_str().expect("a ticket")], "");
        for list in
            [&["ticket", "list"][..], &["client", "list"], &["client", "show", "made"], &["key", "list"]]
        {
            self.run(list, "");
        }
        self.run(&["audit", "list"], "");
        text
    }
}
