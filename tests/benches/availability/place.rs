//! The measured server, and everyone who signs in there.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;

use gatepass_tests::fixtures::BACKEND_SECRET;
use gatepass_tests::http::{Answer, Reached, TestRequest};
use gatepass_tests::server::{Running, TestInstallation};
use serde_json::{Value, json};

/// The password of everyone.
pub(crate) const PASSWORD: &str = "correct horse battery";
/// The users of each group.
pub(crate) const USERS: usize = 8;

/// A server with its users.
pub(crate) struct Place {
    /// Declared before the directory, so that it is dropped first.
    running: Running,
    _installation: TestInstallation,
}

impl Place {
    /// Starts `binary` in an empty directory. Only the command line is used, so that it may be of another version.
    pub(crate) fn new(binary: &Path) -> Self {
        let installation = TestInstallation::new();
        let run = |arguments: &[&str], input: &str| {
            let mut command = installation.command_of(binary, &[&["--json"], arguments].concat());
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::inherit());
            let mut child = command.spawn().expect("the binary runs");
            child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("it reads");
            assert!(child.wait().expect("it ends").success(), "{arguments:?}");
        };
        run(&["--init", "key", "generate", "--alg", "EdDSA", "--activate"], "");
        run(
            &["client", "add", "backend", "--scope", "ticket:issue profile", "--secret-stdin"],
            BACKEND_SECRET,
        );
        for number in 0..USERS {
            for group in ["known", "fresh", "ticket"] {
                run(&["user", "add", &format!("{group}{number}"), "--password-stdin"], PASSWORD);
            }
        }
        run(&["user", "add", "busy", "--password-stdin"], PASSWORD);
        let arguments = [
            "--json",
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--trusted-proxies",
            "127.0.0.1",
            "--log-level",
            "error",
        ];
        let running = Running::start(installation.command_of(binary, &arguments), Stdio::null());
        Self { running, _installation: installation }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// Sends `request` on a connection of its own; none where the server has none or no answer.
    pub(crate) fn ask(&self, request: &TestRequest) -> Option<Answer> {
        match request.try_to(self.address()) {
            Reached::Answered(answer) => Some(answer),
            Reached::Lost | Reached::Unsent => None,
        }
    }

    /// Returns a token that issues tickets. A good secret from loopback itself is never limited.
    pub(crate) fn issuing_token(&self) -> String {
        let form = TestRequest::form("/oauth2/token", "grant_type=client_credentials&scope=ticket:issue");
        let answer = self.ask(&form.basic("backend", BACKEND_SECRET)).expect("an answer");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text("access_token")
    }

    /// Returns a ticket that was redeemed.
    pub(crate) fn spent_ticket(&self) -> String {
        let body = json!({"user_id": "ticket0", "ttl": 3600});
        let request = TestRequest::json("/auth/generate-ticket", &body).bearer(&self.issuing_token());
        let ticket = self.ask(&request).expect("an answer").text("ticket");
        let redeemed = self.ask(&ticket_signin(&ticket, Ipv4Addr::new(198, 51, 100, 1).to_string().as_str()));
        assert_eq!(redeemed.expect("an answer").status, 200);
        ticket
    }
}

/// The request of somebody at `address`, whom the proxy forwards.
pub(crate) fn forwarded(path: &str, body: &Value, address: &str) -> TestRequest {
    TestRequest::json(path, body).header("X-Forwarded-For", address).header("User-Agent", "availability")
}

pub(crate) fn login(user: &str, address: &str) -> TestRequest {
    forwarded("/auth/login", &json!({"identity": user, "password": PASSWORD}), address)
}

pub(crate) fn ticket_signin(ticket: &str, address: &str) -> TestRequest {
    forwarded("/auth/ticket/signin", &json!({ "ticket": ticket }), address)
}
