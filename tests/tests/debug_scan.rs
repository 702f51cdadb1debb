//! `Debug` shows no secret in any state of a flow: not in the step, its query, the records found, or its commit.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use gatepass_core::api::step::Step;
use gatepass_core::engine::Engine;
use gatepass_core::http::request::Request;
use gatepass_core::store::Store;
use gatepass_tests::fixtures::{
    self, BACKEND_SECRET, NOON, PAM_HASH, PAM_PASSWORD, PORTAL_SECRET, inputs, posts, request, user_id,
};
use gatepass_tests::memory::Memory;
use gatepass_tests::secrets::Secrets;
use gatepass_tests::totp;
use serde_json::{Value, json};

const BACKUP: &str = "BQ5R-7KWM-X2PD-9TZH";
const KEY: &str = "sQ4nT8bW2yL6kR0vJ5mX9c";
const TOTP: &[u8] = b"a secret that a device of fay's has";

/// Inspects the `Debug` output of every step.
struct DebugScanner {
    engine: Engine,
    store: Memory,
    secrets: Secrets,
    seen: Vec<String>,
    asked: u64,
}

impl DebugScanner {
    fn ask(&mut self, status: u16, asked: Request) -> Value {
        self.secrets.json(&serde_json::from_slice(&asked.body).unwrap_or_default());
        self.asked += 1;
        let (path, inputs) = (asked.path().to_owned(), inputs(NOON, self.asked));
        self.seen.push(format!("{asked:?} {inputs:?}"));
        let mut step = self.engine.handle(asked, inputs);
        loop {
            self.seen.push(format!("{step:?}"));
            step = match step {
                Step::Read(read) => {
                    let found = self.store.read(read.query());
                    self.seen.push(format!("{:?} {found:?}", read.query()));
                    read.resume(&self.engine, found)
                }
                Step::Commit(commit) => {
                    self.seen.push(format!("{:?}", commit.changes()));
                    let outcome = self.store.commit(commit.changes());
                    commit.settle(&self.engine, outcome)
                }
                Step::Guess(guess) => guess.allow(&self.engine),
                Step::HashPassword(stretch) => stretch.run(&self.engine),
                Step::Task(task) => task.refuse(),
                Step::Reply(response) => {
                    let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
                    assert_eq!(response.status(), status, "{path}: {body}");
                    self.secrets.json(&body);
                    return body;
                }
            };
        }
    }
}

fn text<'a>(body: &'a Value, member: &str) -> &'a str {
    body[member].as_str().expect("a text")
}

#[test]
fn debug_output_tells_no_secret() {
    let mut tables = fixtures::tables();
    let device = totp::device("dev_1", &user_id("fay"), TOTP);
    totp::add_backup_code(&mut tables, &device, BACKUP);
    tables.devices.push(device);
    let mut it = DebugScanner {
        engine: fixtures::asking(),
        store: Memory::new(tables),
        secrets: Secrets::default(),
        seen: vec![],
        asked: 0,
    };
    let backend = |path: &str, form: &str| posts(path, "backend", BACKEND_SECRET, form);
    let bearer = |token: &str| format!("Bearer {token}");

    let form = "grant_type=client_credentials&scope=ticket:issue";
    let service = bearer(text(&it.ask(200, backend("/oauth2/token", form)), "access_token"));
    it.ask(401, posts("/oauth2/token", "portal", BACKEND_SECRET, form));
    let wish = json!({"user_id": "fay", "audience": "portal", "bind": true});
    let ticket = it.ask(200, request("/auth/generate-ticket", &service, &wish));
    let by_portal = |path: &str, body: &Value| {
        let mut asked = posts(path, "portal", PORTAL_SECRET, &body.to_string());
        asked.headers[0].1 = b"application/json".to_vec();
        asked
    };
    let presents = || by_portal("/auth/ticket/signin", &json!({"ticket": text(&ticket, "ticket")}));
    let keyed = |mut asked: Request| {
        asked.headers.push(("idempotency-key".into(), KEY.into()));
        asked
    };
    let challenge = it.ask(200, keyed(presents()));
    it.ask(200, keyed(presents()));
    it.ask(400, presents());
    let wrong = "2222-3333-4444-5555";
    for (status, code) in [(400, wrong), (200, BACKUP), (200, BACKUP), (400, wrong)] {
        let body = json!({"challenge_token": text(&challenge, "challenge_token"), "code": code, "mfa_method": "backup_code"});
        it.ask(status, keyed(by_portal("/auth/mfa/verify-challenge", &body)));
    }
    let body = json!({"challenge_token": text(&challenge, "challenge_token"), "code": BACKUP, "mfa_method": "backup_code"});
    it.ask(400, by_portal("/auth/mfa/verify-challenge", &body));
    let body = json!({"identity": "pam", "password": "no password of hers"});
    it.ask(400, request("/auth/login", "", &body));
    let signed_in =
        it.ask(200, request("/auth/login", "", &json!({"identity": "pam", "password": PAM_PASSWORD})));
    let person = bearer(text(&signed_in, "access_token"));
    it.ask(200, request("/userinfo", &person, &Value::Null));
    let device = it.ask(200, request("/mfa/totp/setup", &person, &json!({"device_name": "telephone"})));
    it.ask(400, request("/mfa/totp/verify", &person, &json!({"code": "12345678"})));
    let body = json!({"refresh_token": text(&signed_in, "refresh_token")});
    let refreshed = it.ask(200, request("/auth/refresh", "", &body));
    for token in ["access_token", "refresh_token"] {
        let form = format!("token={}", text(&refreshed, token));
        it.ask(200, backend("/oauth2/introspect", &form));
        it.ask(200, backend("/oauth2/revoke", &form));
    }
    let body = json!({"old_password": PAM_PASSWORD, "new_password": "a password yet unheard of"});
    let changes = Request { method: "PUT".into(), ..request("/auth/me/password", &person, &body) };
    it.ask(200, changes);
    it.seen.push(format!("{:?} {:?}", it.engine, fixtures::signing_key()));

    it.secrets.add("client_secret", BACKEND_SECRET);
    it.secrets.add("client_secret", PORTAL_SECRET);
    it.secrets.add("password hash", PAM_HASH);
    it.secrets.add("totp", TOTP);
    it.secrets.add("idempotency key", KEY);
    it.secrets.add("totp", text(&device["data"], "secret"));
    let key: Value =
        serde_json::from_slice(&fixtures::signing_key().to_private_jwk()).expect("a private JWK");
    it.secrets.add("private key", text(&key, "d"));
    for (kind, least) in [
        ("tkt_", 2),
        ("rft_", 4),
        ("chg_", 2),
        ("jwt", 9),
        ("totp", 3),
        ("backup_codes", 10),
        ("password", 3),
    ] {
        assert!(it.secrets.count(kind) >= least, "{} of {kind}", it.secrets.count(kind));
    }
    let search_patterns = it.secrets.search_patterns();
    for seen in &it.seen {
        let found = search_patterns.found_in(seen.as_bytes());
        assert!(found.is_none(), "{}", found.unwrap_or_default());
    }
    assert!(it.seen.len() > 60, "{} looks", it.seen.len());
}
