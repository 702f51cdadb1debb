//! What an administrator does while requests run fails no request and refuses no valid token: rotations of keys and secrets, a reload of the
//! configuration, a backup, an archive, an import.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use std::collections::VecDeque;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::RwLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use gatepass_tests::fixtures::BACKEND_SECRET;
use gatepass_tests::http::{Answer, TestRequest};
use gatepass_tests::server::{Running, TestInstallation};
use gatepass_tests::suite::{refresh, sign_in};
use serde_json::{Value, json};

const CLIENTS: usize = 4;
/// Rounds of the clients between two steps of the administrator.
const ROUNDS: usize = 2;
/// Tokens that a client keeps and goes on using.
const TOKENS: usize = 6;

/// People of an import.
const PEOPLE: usize = 2_000;
/// A password hash of another program.
const HASH: &str = "$2b$04$y9iwiS0A2VjZWCeJeGOmueuOhOkybeNj4JkKsj6WIH6SFTk8y6Y7.";

/// The secrets of the client `backend` that are good, the newest last.
type Secrets = RwLock<Vec<String>>;

/// A service that signs a person in again and again, and goes on using earlier tokens.
struct Client<'a> {
    address: SocketAddr,
    secrets: &'a Secrets,
    tokens: VecDeque<String>,
    refresh: Option<String>,
    round: usize,
}

impl Client<'_> {
    fn good(&self, request: &TestRequest) -> Answer {
        let answer = request.to(self.address);
        assert_eq!(answer.status, 200, "round {}: {request:?}: {answer:?}", self.round);
        answer
    }

    /// Returns a secret: each one of those that are good in its turn.
    fn secret(&self) -> String {
        let secrets = self.secrets.read().expect("no panic");
        secrets[self.round % secrets.len()].clone()
    }

    fn keep(&mut self, token: String) {
        self.tokens.push_back(token);
        if self.tokens.len() > TOKENS {
            self.tokens.pop_front();
        }
    }

    fn round(&mut self) {
        self.round += 1;
        let form = "grant_type=client_credentials&scope=ticket%3Aissue";
        let service = TestRequest::form("/oauth2/token", form).basic("backend", &self.secret());
        let service = self.good(&service).text("access_token");
        let issue = json!({"user_id": "alice", "audience": "portal"});
        let issue = TestRequest::json("/auth/generate-ticket", &issue).bearer(&service);
        let ticket = self.good(&issue).text("ticket");
        let session = self.good(&sign_in(&ticket));
        let session = match self.refresh.replace(session.text("refresh_token")) {
            Some(former) => self.good(&refresh(&former)),
            None => session,
        };
        self.keep(service);
        self.keep(session.text("access_token"));
        for token in &self.tokens {
            self.good(&TestRequest::new("GET", "/userinfo").bearer(token));
        }
        let token = &self.tokens[self.round % self.tokens.len()];
        let inquiry = TestRequest::form("/oauth2/introspect", &format!("token={token}"));
        let found = self.good(&inquiry.basic("backend", &self.secret())).json();
        assert_eq!(found["active"], json!(true), "round {}: {token}", self.round);
    }
}

/// Rounds until nobody listens.
fn work(mut client: Client<'_>, rounds: &Sender<()>) {
    while rounds.send(()).is_ok() {
        client.round();
    }
}

/// The administrator, who waits for the clients between two steps.
struct Administrator<'a> {
    installation: &'a TestInstallation,
    server: &'a Running,
    secrets: &'a Secrets,
    rounds: Receiver<()>,
}

impl Administrator<'_> {
    /// Waits until the clients have done what they were doing, and some more.
    fn wait(&self) {
        for _ in 0..CLIENTS * ROUNDS {
            self.rounds.recv().expect("no client has failed");
        }
    }

    fn run(&self, arguments: &[&str]) -> Value {
        let done = self.installation.json(arguments);
        self.wait();
        done
    }

    fn rotate_keys(&self) {
        for alg in ["EdDSA", "ES256", "HS256"] {
            self.run(&["key", "generate", "--alg", alg, "--activate"]);
            self.run(&["key", "rotate", "--alg", alg]);
            self.run(&["key", "rotate", "--alg", alg, "--now"]);
        }
        self.installation.json(&["key", "rotate-master"]);
        self.wait();
    }

    fn rotate_secrets(&self) {
        for _ in 0..3 {
            let rotated = self.run(&["client", "rotate-secret", "backend", "--overlap", "3600"]);
            let secret = rotated["client_secret"].as_str().expect("a secret").to_owned();
            {
                let mut secrets = self.secrets.write().expect("no panic");
                let former = secrets.pop();
                *secrets = former.into_iter().chain([secret]).collect();
            }
            self.wait();
        }
    }

    fn reload(&self) {
        for (text, lifetime) in [("user_token = \"11m\"", 660), ("user_token = \"12m\"", 720)] {
            let file = self.installation.path().join("gatepass.toml");
            fs::write(file, format!("[lifetimes]\n{text}\n[risk]\nhigh = 70\n")).expect("written");
            let id = self.server.id().to_string();
            assert!(Command::new("kill").args(["-HUP", &id]).status().expect("kill runs").success());
            // The clients pace the waiting: some rounds later the new lifetime holds.
            let holds = (0..50).any(|_| {
                self.wait();
                let ticket = self.installation.json(&["ticket", "issue", "--user", "fay"])["ticket"].clone();
                let session = sign_in(ticket.as_str().expect("text")).to(self.server.address).json();
                session["expires_in"] == json!(lifetime)
            });
            assert!(holds, "{text}");
        }
    }

    fn back_up(&self) {
        for number in 0..3 {
            let file = self.installation.path().join(format!("{number}.backup"));
            // Of a database, PostgreSQL's own programs make backups.
            if self.installation.database().is_none() {
                self.run(&["backup", &file.display().to_string()]);
            }
            self.run(&["audit", "archive", &format!("{}.archive", file.display())]);
        }
    }

    fn import(&self) {
        let line = |number: usize| json!({"username": format!("person{number}"), "email": format!("p{number}@example.com"), "password_hash": HASH});
        let lines: String = (0..PEOPLE).map(|number| format!("{}\n", line(number))).collect();
        let file = self.installation.path().join("people.jsonl");
        fs::write(&file, lines).expect("written");
        let done = self.run(&["user", "import", &file.display().to_string()]);
        assert_eq!(done["added"], json!(PEOPLE));
    }
}

#[test]
fn administration_fails_no_request_and_refuses_no_valid_token() {
    let installation = TestInstallation::below(env!("CARGO_TARGET_TMPDIR"));
    installation.json(&["--init", "key", "generate", "--alg", "EdDSA", "--activate"]);
    installation.populate();
    let server = installation.serve(&["--issuer", "http://gate.example", "--key-set-lifetime", "0s"]);
    let secrets = RwLock::new(vec![BACKEND_SECRET.to_owned()]);
    let (tells, rounds) = channel();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let (secrets, tells) = (&secrets, tells.clone());
            let address = server.address;
            scope.spawn(move || {
                let client = Client { address, secrets, tokens: VecDeque::new(), refresh: None, round: 0 };
                work(client, &tells);
            });
        }
        drop(tells);
        let administrator =
            Administrator { installation: &installation, server: &server, secrets: &secrets, rounds };
        administrator.wait();
        administrator.rotate_keys();
        administrator.rotate_secrets();
        administrator.reload();
        administrator.back_up();
        administrator.import();
    });
    assert!(server.terminate());
    assert_eq!(installation.json(&["audit", "verify"])["valid"], json!(true));
    assert_eq!(installation.json(&["check"])["ok"], json!(true));
}
