//! The real binary on directories of its own: what it prints, what it refuses, and what it exits with.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking, its helpers too")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

const SECRET: &str = "0123456789-0123456789-0123456789";

/// A data directory.
struct Site(TempDir);

impl Site {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// One with a key that is quickly made, so that a server starts at once.
    fn with_key() -> Self {
        let site = Self::new();
        site.json(&["key", "generate", "--alg", "EdDSA", "--activate"]);
        site
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gatepass"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GATEPASS_")) {
            command.env_remove(name);
        }
        command.env("GATEPASS_DATA", self.path()).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn run_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        // A command that refuses its arguments does not wait for its input.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        read(arguments, &self.run(&[&["--json"], arguments].concat()), 0)
    }

    /// A command with `--json` that is answered, and the answer is no.
    fn no(&self, arguments: &[&str]) -> Value {
        read(arguments, &self.run(&[&["--json"], arguments].concat()), 1)
    }

    fn refused(&self, arguments: &[&str]) -> (i32, String) {
        told(&self.run(arguments))
    }

    fn serve(&self, arguments: &[&str]) -> Server {
        let all = [&["--json", "serve", "--listen", "127.0.0.1:0"], arguments].concat();
        let mut child = self.command(&all).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Server { child, ready: serde_json::from_str(&line).unwrap() }
    }
}

fn read(arguments: &[&str], output: &Output, code: i32) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The exit code and the one line of a command that could not be done.
fn told(output: &Output) -> (i32, String) {
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "nothing on stdout");
    let said = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
    assert_eq!(said.lines().count(), 1, "{said}");
    (output.status.code().unwrap(), said)
}

struct Server {
    child: Child,
    ready: Value,
}

impl Server {
    fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.ready["listening"].as_str().unwrap()).unwrap();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n"
        );
        stream.write_all(format!("{head}{headers}\r\n{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
    }

    fn sign_in(&self, ticket: &Value) -> (u16, Value) {
        let body = json!({ "ticket": ticket }).to_string();
        self.ask("POST", "/auth/ticket/signin", "Content-Type: application/json\r\n", &body)
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    fn end(mut self) -> Option<i32> {
        self.signal("-TERM");
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_life_of_a_client() {
    let site = Site::new();
    let added =
        site.json(&["client", "add", "svc", "--scope", "a b", "--default-scope", "a", "--audience", "x"]);
    assert_eq!(added["client_id"], "svc");
    let secret = added["client_secret"].as_str().unwrap();
    assert!(secret.starts_with("gps_") && secret.len() == 47, "{secret}");

    let shown = site.json(&["client", "show", "svc"]);
    assert_eq!(shown["scope"], "a b");
    assert_eq!(shown["default_scope"], "a");
    assert_eq!(shown["audiences"], json!(["x"]));
    assert_eq!(shown["enabled"], true);
    assert_eq!(shown["secrets"].as_array().unwrap().len(), 1);
    assert!(!shown.to_string().contains(secret), "a secret is shown once");
    assert_eq!(site.json(&["client", "list"]), json!([shown]));

    let set = ["client", "set", "svc", "--name", "Service", "--token-lifetime", "60", "--audience", ""];
    let set = site.json(&set);
    assert_eq!((&set["name"], &set["token_lifetime"]), (&json!("Service"), &json!(60)));
    assert_eq!(set["audiences"], json!([]));
    assert_eq!(set["scope"], "a b", "what is not named stays");

    let rotated = site.json(&["client", "rotate-secret", "svc", "--overlap", "60"]);
    assert_ne!(rotated["client_secret"], added["client_secret"]);
    let secrets = site.json(&["client", "show", "svc"])["secrets"].clone();
    assert_eq!(secrets.as_array().unwrap().len(), 2);
    assert!(secrets[0]["expires_at"].is_string() && secrets[1]["expires_at"].is_null());
    site.json(&["client", "rotate-secret", "svc"]);
    assert_eq!(site.json(&["client", "show", "svc"])["secrets"].as_array().unwrap().len(), 1);

    assert_eq!(site.json(&["client", "disable", "svc"])["enabled"], false);
    assert_eq!(site.json(&["client", "disable", "svc"])["enabled"], false);
    assert_eq!(site.json(&["client", "enable", "svc"])["enabled"], true);
    assert_eq!(site.json(&["client", "delete", "svc"]), json!({"client_id": "svc", "deleted": true}));
    assert_eq!(site.json(&["client", "list"]), json!([]));

    let kinds: Vec<Value> =
        site.json(&["audit", "list"]).as_array().unwrap().iter().map(|row| row["kind"].clone()).collect();
    assert_eq!(
        kinds,
        [
            "client.added",
            "client.changed",
            "client.secret-rotated",
            "client.secret-rotated",
            "client.disabled",
            "client.enabled",
            "client.deleted"
        ],
        "one row for each change, none where nothing changed"
    );
}

#[test]
fn a_secret_may_be_brought_along_and_is_not_shown() {
    let site = Site::new();
    let add = ["--json", "client", "add", "svc", "--scope", "a", "--secret-stdin"];
    let output = site.run_with(&add, &format!("{SECRET}\n"));
    assert_eq!(read(&add, &output, 0), json!({"client_id": "svc", "client_secret": null}));
    for (secret, why) in
        [("short\n", "32 characters"), ("", "32 characters"), (&format!("{SECRET}\n\n"), "one line")]
    {
        let (code, said) = told(&site.run_with(&["client", "add", "other", "--secret-stdin"], secret));
        assert!(code == 2 && said.contains(why), "{said}");
    }
}

#[test]
fn the_life_of_a_person() {
    let site = Site::new();
    let add = [
        "user",
        "add",
        "alice",
        "--email",
        "a@example.com",
        "--gender",
        "female",
        "--address",
        r#"{"city":"Oxford"}"#,
    ];
    let added = site.json(&add);
    let id = added["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("usr_") && id.len() == 26, "{id}");
    assert_eq!(added["username"], "alice");
    assert_eq!(added["address"], json!({"city": "Oxford"}));
    assert_eq!((&added["status"], &added["phone"]), (&json!("active"), &Value::Null));
    assert_eq!(site.json(&["user", "show", "alice"]), added);
    assert_eq!(site.json(&["user", "show", &id]), added);

    let set = site.json(&["user", "set", "alice", "--username", "alicia", "--name", "张伟", "--email", ""]);
    assert_eq!(
        (&set["username"], &set["name"], &set["email"]),
        (&json!("alicia"), &json!("张伟"), &Value::Null)
    );
    assert_eq!(set["gender"], "female", "what is not named stays");

    site.json(&["user", "add", "bob"]);
    let (code, said) = site.refused(&["user", "set", "bob", "--username", "alicia"]);
    assert!(code == 1 && said.contains("taken"), "{said}");
    assert_eq!(site.json(&["user", "disable", &id])["status"], "disabled");
    assert_eq!(site.json(&["user", "enable", &id])["status"], "active");
    assert_eq!(site.json(&["user", "delete", "bob"])["deleted"], true);
    assert_eq!(site.json(&["user", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn the_life_of_a_key() {
    let site = Site::new();
    let first = site.json(&["key", "generate", "--alg", "EdDSA", "--activate"]);
    assert_eq!((&first["alg"], &first["state"]), (&json!("EdDSA"), &json!("signing")));
    let second = site.json(&["key", "generate", "--alg", "es256"]);
    assert_eq!((&second["alg"], &second["state"]), (&json!("ES256"), &json!("published")));
    let rotated = site.json(&["key", "rotate"]);
    assert_eq!(
        (&rotated["kid"], &rotated["state"]),
        (&second["kid"], &json!("signing")),
        "the one that waited"
    );
    let third = site.json(&["key", "rotate"]);
    assert_eq!(third["alg"], "ES256", "as the one before");
    let states: Vec<Value> =
        site.json(&["key", "list"]).as_array().unwrap().iter().map(|key| key["state"].clone()).collect();
    assert_eq!(states, ["verifying-only", "verifying-only", "signing"]);
    let (code, said) = site.refused(&["key", "retire", third["kid"].as_str().unwrap()]);
    assert!(code == 1 && said.contains("gatepass key rotate"), "{said}");
    assert_eq!(site.json(&["key", "retire", first["kid"].as_str().unwrap()])["state"], "retired");

    let file = site.path().join("jwk.json");
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    std::fs::write(&file, jwk).unwrap();
    let file = file.to_str().unwrap();
    let imported = site.json(&["key", "import", file]);
    assert_eq!(imported["kid"], "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", "RFC 8037, appendix A.3");
    assert_eq!(imported["state"], "published");
    let (code, said) = site.refused(&["key", "import", file]);
    assert!(code == 1 && said.contains("there already"), "{said}");
    let everything = site.json(&["key", "list"]).to_string();
    assert!(!everything.contains("nWGxne"), "private parts stay inside");
}

#[test]
fn a_ticket_is_issued_listed_and_revoked() {
    let site = Site::new();
    site.json(&["user", "add", "alice"]);
    site.json(&["user", "add", "boss"]);
    site.json(&["client", "add", "portal", "--scope", "a"]);
    let issued = site.json(&["ticket", "issue", "--user", "alice", "--ttl", "60"]);
    assert!(issued["ticket"].as_str().unwrap().starts_with("tkt_"));
    assert_eq!(issued["expires_in"], 60);
    let acting = ["ticket", "issue", "--user", "alice", "--audience", "portal", "--bind", "--actor", "boss"];
    let acting =
        site.json(&[&acting[..], &["--reason", "ticket 4711", "--client-ip", "::ffff:192.0.2.1"]].concat());

    let listed = site.json(&["ticket", "list"]);
    assert_eq!((&listed[0]["id"], &listed[1]["id"]), (&acting["id"], &issued["id"]), "the newest first");
    assert_eq!((&listed[0]["client_id"], &listed[0]["bind"]), (&json!("portal"), &json!(true)));
    assert_eq!((&listed[0]["reason"], &listed[0]["client_ip"]), (&json!("ticket 4711"), &json!("192.0.2.1")));
    assert_eq!((&listed[1]["state"], &listed[1]["client_id"]), (&json!("live"), &json!("admin")));
    assert!(!listed.to_string().contains("tkt_"));

    let id = issued["id"].as_str().unwrap();
    assert_eq!(site.json(&["ticket", "revoke", id])["state"], "revoked");
    let (code, said) = site.refused(&["ticket", "revoke", id]);
    assert!(code == 1 && said.contains("already spent or revoked"), "{said}");
    let (code, said) = site.refused(&["ticket", "revoke", issued["ticket"].as_str().unwrap()]);
    assert!(code == 2 && said.contains("a ticket itself"), "{said}");
    assert!(!said.contains("tkt_"), "a ticket is not repeated: {said}");

    for (arguments, code, why) in [
        (&["--user", "nobody"][..], 1, "does not exist"),
        (&["--user", "alice", "--ttl", "0"], 2, "1 to 3600"),
        (&["--user", "alice", "--ttl", "3601"], 2, "1 to 3600"),
        (&["--user", "alice", "--audience", "nobody"], 1, "audience"),
        (&["--user", "alice", "--audience", "a b"], 2, "--audience"),
        (&["--user", "alice", "--scope", "ticket:issue"], 1, "scope"),
        (&["--user", "alice", "--actor", "alice", "--reason", "x"], 1, "actor"),
        (&["--user", "alice", "--actor", "boss", "--reason", " "], 2, "reason"),
    ] {
        let (exit, said) = site.refused(&[&["ticket", "issue"], arguments].concat());
        assert!(exit == code && said.contains(why), "{arguments:?}: {said}");
    }
}

#[test]
fn what_cannot_be_done_is_told_in_one_line_with_the_way_out() {
    let site = Site::new();
    let (code, said) = site.refused(&["client", "list"]);
    assert!(code == 1 && said.contains("gatepass serve"), "{said}");
    assert_eq!(std::fs::read_dir(site.path()).unwrap().count(), 0, "looking makes nothing");

    site.json(&["client", "add", "svc"]);
    for (arguments, code, why) in [
        (&["client", "add", "svc"][..], 1, "gatepass client set svc"),
        (&["client", "add", "a b"], 2, "1 to 64"),
        (&["client", "add", "x", "--scope", "a", "--default-scope", "b"], 2, "not within"),
        (&["client", "show", "nobody"], 1, "gatepass client list"),
        (&["client", "delete", "nobody"], 1, "gatepass client list"),
        (&["user", "show", "nobody"], 1, "gatepass user list"),
        (&["user", "add", "usr_x"], 2, "user name"),
        (&["user", "add", "x", "--gender", "y"], 2, "female"),
        (&["key", "retire", "nothing"], 1, "gatepass key list"),
        (&["key", "generate", "--alg", "none"], 2, "RS256"),
        (&["key", "import", "/nonexistent"], 1, "/nonexistent"),
        (&["audit", "list", "--since", "yesterday"], 2, "2h"),
        (&["serve", "--workers", "0"], 2, "1 to 1024"),
        (&["serve", "--listen", "nowhere"], 2, "127.0.0.1:8080"),
        (&["serve", "--config", "/nonexistent.toml"], 2, "/nonexistent.toml"),
        (&["serve", "--front", "tiny_http", "--listen", "0.0.0.0:0"], 1, "--front guarded"),
        (&["serve", "--listen", "192.0.2.1:0"], 1, "--listen"),
    ] {
        let (exit, said) = site.refused(arguments);
        assert!(exit == code && said.contains(why), "{arguments:?}: {said}");
    }
    for misused in [&["client"][..], &["nothing"], &["client", "add"], &["client", "list", "--nothing"]] {
        let output = site.run(misused);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{misused:?}");
    }
}

#[test]
fn the_configuration_is_read_from_the_nearest_place_and_refused_by_name() {
    let site = Site::with_key();
    let file = site.path().join("gatepass.toml");
    std::fs::write(&file, "lisen = \"127.0.0.1:1\"").unwrap();
    let (code, said) = site.refused(&["serve"]);
    assert!(code == 2 && said.contains("gatepass.toml") && said.contains("did you mean `listen`?"), "{said}");
    std::fs::write(&file, "issuer = \"http://file.example\"\nticket_lifetime = 77").unwrap();
    assert_eq!(site.serve(&[]).ready["issuer"], "http://file.example");
    assert_eq!(site.serve(&["--issuer", "http://flag.example"]).ready["issuer"], "http://flag.example");
    site.json(&["user", "add", "alice"]);
    assert_eq!(site.json(&["ticket", "issue", "--user", "alice"])["expires_in"], 77);
    let output = site
        .command(&["--json", "ticket", "issue", "--user", "alice"])
        .env("GATEPASS_TICKET_LIFETIME", "88s")
        .output()
        .unwrap();
    assert_eq!(read(&[], &output, 0)["expires_in"], 88);
    let (code, said) =
        told(&site.command(&["user", "list"]).env("GATEPASS_WORKERS", "many").output().unwrap());
    assert!(code == 2 && said.contains("GATEPASS_WORKERS"), "{said}");
}

#[test]
fn the_first_start_makes_everything_and_later_ones_nothing() {
    let site = Site::new();
    let server = site.serve(&[]);
    let admin = server.ready["admin"].clone();
    assert_eq!(admin["client_id"], "admin");
    assert_eq!(server.ask("GET", "/readyz", "", "").0, 200);
    let listening = server.ready["listening"].as_str().unwrap();
    assert!(!listening.ends_with(":0"), "{listening}");
    assert_eq!(server.ready["issuer"], format!("http://{listening}"));
    let (code, said) = site.refused(&["serve", "--listen", listening]);
    assert!(code == 1 && said.contains("in use") && said.contains("--listen"), "{said}");
    let keys = site.json(&["key", "list"]);
    assert_eq!((&keys[0]["alg"], &keys[0]["state"]), (&json!("RS256"), &json!("signing")));
    assert_eq!(server.end(), Some(0));

    site.json(&["client", "add", "other"]);
    site.json(&["client", "delete", "admin"]);
    let again = site.serve(&[]);
    assert_eq!(again.ready["admin"], Value::Null, "what was deleted stays so");
    assert_eq!(site.json(&["key", "list"]), keys);
    assert_eq!(again.end(), Some(0));
}

#[test]
fn the_demo_works_as_printed_at_each_start() {
    let site = Site::with_key();
    let mut secrets = Vec::new();
    for _ in 0..2 {
        let server = site.serve(&["--demo"]);
        let demo = server.ready["demo"].clone();
        assert_eq!(server.sign_in(&demo["ticket"]).0, 200);
        assert_eq!(server.sign_in(&demo["ticket"]).0, 400);
        let curl = demo["curl"].as_array().unwrap();
        assert_eq!(curl.len(), 3);
        let bearer = curl[2].as_str().unwrap().split('\'').nth(1).unwrap();
        let (status, seen) = server.ask("GET", "/userinfo", &format!("{bearer}\r\n"), "");
        assert_eq!((status, &seen["userName"]), (200, &json!("demo")));
        let form = format!(
            "grant_type=client_credentials&scope=demo:read&client_id=demo&client_secret={}",
            demo["client_secret"].as_str().unwrap()
        );
        let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
        assert_eq!(server.ask("POST", "/oauth2/token", headers, &form).0, 200);
        secrets.push(demo["client_secret"].clone());
        assert_eq!(server.end(), Some(0));
    }
    assert_ne!(secrets[0], secrets[1]);
    assert_eq!(site.json(&["user", "list"]).as_array().unwrap().len(), 1, "reused");
}

#[test]
fn a_token_is_verified_here_and_now() {
    let site = Site::with_key();
    let server = site.serve(&[]);
    site.json(&["user", "add", "alice"]);
    let ticket = site.json(&["ticket", "issue", "--user", "alice"])["ticket"].clone();
    let (status, session) = server.sign_in(&ticket);
    assert_eq!(status, 200);
    let token = session["access_token"].as_str().unwrap();
    let valid = site.json(&["token", "verify", token]);
    assert_eq!((&valid["valid"], &valid["sub"]), (&json!(true), &session["user_id"]));
    let by_stdin = site.run_with(&["--json", "token", "verify", "-"], &format!("{token}\n"));
    assert_eq!(read(&[], &by_stdin, 0), valid);
    let other = site.no(&["token", "verify", token, "--issuer", "http://other.example"]);
    assert_eq!(other["valid"], false);
    assert!(other["reason"].as_str().unwrap().contains("another server"), "{other}");
    for bad in ["", "x", "a.b.c", &token[..token.len() - 2], session["refresh_token"].as_str().unwrap()] {
        assert_eq!(site.no(&["token", "verify", bad])["valid"], false, "{bad}");
    }
    site.json(&["user", "disable", "alice"]);
    assert_eq!(site.no(&["token", "verify", token])["valid"], false);
    assert_eq!(server.ask("GET", "/userinfo", &format!("Authorization: Bearer {token}\r\n"), "").0, 401);
}

#[test]
fn a_running_server_takes_over_new_keys_and_on_sighup_a_new_configuration() {
    let site = Site::with_key();
    let server = site.serve(&[]);
    site.json(&["user", "add", "alice"]);
    let ticket = || site.json(&["ticket", "issue", "--user", "alice"])["ticket"].clone();
    let former = server.sign_in(&ticket()).1["access_token"].as_str().unwrap().to_owned();
    site.json(&["key", "rotate"]);
    let (_, session) = server.sign_in(&ticket());
    let newer = session["access_token"].as_str().unwrap();
    assert_ne!(former.split('.').next(), newer.split('.').next(), "the new key signs");
    assert_eq!(site.json(&["token", "verify", &former])["valid"], true, "the former still verifies");

    assert_eq!(session["expires_in"], 1800);
    std::fs::write(site.path().join("gatepass.toml"), "user_token_lifetime = 99").unwrap();
    server.signal("-HUP");
    // The signal is obeyed on a thread of its own: ask until it was.
    let changed = (0..1_000).any(|_| server.sign_in(&ticket()).1["expires_in"] == 99);
    assert!(changed);
}

#[test]
fn guessing_is_slowed_and_counted() {
    let site = Site::with_key();
    let server = site.serve(&["--exempt-loopback", "false", "--failures-per-minute", "5"]);
    let guess = json!("tkt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    for _ in 0..5 {
        assert_eq!(server.sign_in(&guess).0, 400);
    }
    let (status, answer) = server.sign_in(&guess);
    assert_eq!((status, &answer["code"]), (429, &json!(42900)));
    assert_eq!(server.ask("GET", "/healthz", "", "").0, 200, "only guessing is");
    assert_eq!(server.end(), Some(0));
    let rows = site.json(&["audit", "list"]);
    let counted: u64 = rows
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["refusal"] == "ticket-unknown" && row["address"] == "127.0.0.1")
        .map(|row| row["count"].as_u64().unwrap())
        .sum();
    assert_eq!(counted, 5, "written down at the end: {rows}");
}

#[test]
fn a_trusted_proxy_speaks_for_whoever_asks_it() {
    let site = Site::with_key();
    let server = site.serve(&["--trusted-proxies", "127.0.0.1", "--failures-per-minute", "1"]);
    let guess = |from: &str| {
        let headers = format!("Content-Type: application/json\r\nX-Forwarded-For: {from}\r\n");
        server.ask("POST", "/auth/ticket/signin", &headers, r#"{"ticket":"tkt_x"}"#).0
    };
    assert_eq!(guess("192.0.2.1"), 400);
    assert_eq!(guess("192.0.2.1"), 429);
    assert_eq!(guess("192.0.2.2"), 400);
    assert_eq!(guess("192.0.2.3, 192.0.2.1"), 429, "what stands further left is not believed");
}

#[test]
fn a_wrong_or_missing_master_key_damages_nothing() {
    let site = Site::with_key();
    let key = site.path().join("master.key");
    let aside = site.path().join("aside");
    std::fs::rename(&key, &aside).unwrap();
    let other = Site::with_key();
    std::fs::copy(other.path().join("master.key"), &key).unwrap();
    for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["key", "list"], &["user", "add", "x"]] {
        let (code, said) = site.refused(arguments);
        assert!(code == 1 && said.contains("master"), "{said}");
    }
    std::fs::remove_file(&key).unwrap();
    let (code, said) = site.refused(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(code == 1 && said.contains("master.key"), "{said}");
    assert!(!key.exists(), "none is made beside a database");
    std::fs::rename(&aside, &key).unwrap();
    assert_eq!(site.json(&["check"])["ok"], true);
}

#[test]
fn the_record_is_whole_and_the_clock_is_shown_and_reset() {
    let site = Site::new();
    site.json(&["user", "add", "alice"]);
    assert_eq!(site.json(&["audit", "verify"])["valid"], true);
    assert_eq!(site.json(&["audit", "list", "--since", "1h"]).as_array().unwrap().len(), 1);
    assert_eq!(site.json(&["audit", "list", "--since", "9999-01-01T00:00:00Z"]), json!([]));
    assert_eq!(site.json(&["clock", "show"])["behind"], Value::Null);
    site.json(&["clock", "reset"]);
    assert_eq!(site.json(&["audit", "list"])[1]["kind"], "clock.reset");
    let text = String::from_utf8(site.run(&["audit", "list"]).stdout).unwrap();
    assert!(text.starts_with("seq=1 at=") && text.contains("kind=user.added"), "{text}");
}

#[test]
fn nobody_reading_the_output_is_no_failure() {
    let site = Site::new();
    site.json(&["user", "add", "alice"]);
    for arguments in [&["user", "list"][..], &["--json", "audit", "list"], &["--help"]] {
        let mut child = site.command(arguments).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{arguments:?}");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    }
}
