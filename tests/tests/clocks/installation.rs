//! Installations whose processes read the clocks of the test.

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use gatepass_tests::fixtures::{BACKEND_SECRET, PAM_PASSWORD, PORTAL_SECRET};
use gatepass_tests::http::{Answer, TestRequest};
use gatepass_tests::server::{Running, TestInstallation};
use gatepass_tests::totp::code_of;
use serde_json::{Value, json};

use crate::clock::{Clocks, HOUR};

/// Every sign-in with a second factor asks for it. Sessions are short, so that some have just ended.
const CONFIGURATION: &str = r#"
    issuer = "http://gate.example"
    second_factor = "always"
    ticket_lifetime = "1h"
    session_lifetime = "2h"
    refresh_lifetime = "2h"
"#;
/// Arguments of a server that sweeps after the test, and of one that sweeps at once.
pub(crate) const SELDOM: &[&str] = &["--sweep-interval", "1d"];
pub(crate) const OFTEN: &[&str] = &["--sweep-interval", "1s"];

/// A data directory, and the clocks of the processes on it.
#[derive(Debug)]
pub(crate) struct ClockedInstallation {
    pub(crate) installation: TestInstallation,
    pub(crate) clocks: Clocks,
    /// The secrets of pam's and pat's devices, base32.
    secrets: [(&'static str, String); 2],
}

/// Credentials issued under the right time, all good.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) access_token: String,
    pub(crate) service_token: String,
    pub(crate) refresh_token: String,
    pub(crate) ticket: String,
    pub(crate) ticket_id: String,
    pub(crate) challenge: String,
}

/// The numbers of rows that a sweep could remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) tickets: i64,
    pub(crate) sessions: i64,
    pub(crate) challenges: i64,
    pub(crate) refresh_tokens: i64,
}

/// The code of `secret` (base32) at `time`, by an independent implementation.
fn code(secret: &str, time: i64) -> String {
    code_of(secret, u64::try_from(time).expect("a time"))
}

impl ClockedInstallation {
    /// Returns a command under these clocks.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.installation.command(arguments);
        self.clocks.attach(&mut command);
        command
    }

    /// Runs a command with `input` as standard input.
    pub(crate) fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        // A command that ends early does not read it.
        let _ = child.stdin.take().expect("its input").write_all(input.as_bytes());
        child.wait_with_output().expect("it ends")
    }

    /// Runs a command with `--json` that must succeed, and returns its output.
    pub(crate) fn json(&self, arguments: &[&str], input: &str) -> Value {
        let output = self.run(&[&["--json"], arguments].concat(), input);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("one JSON value")
    }

    /// Starts a server that logs to the file `log` in the data directory.
    pub(crate) fn serve(&self, arguments: &[&str]) -> Running {
        let command = self.command(&[&["--json", "serve", "--listen", "127.0.0.1:0"], arguments].concat());
        let log = fs::OpenOptions::new().create(true).append(true).open(self.installation.path().join("log"));
        Running::start(command, log.expect("a file").into())
    }

    /// Returns the lines of the servers' log.
    pub(crate) fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.installation.path().join("log")).unwrap_or_default();
        text.lines().map(String::from).collect()
    }

    /// Returns a number from the database.
    pub(crate) fn number(&self, query: &str) -> i64 {
        self.installation.value(query).parse().expect("a number")
    }

    /// Returns the stored mark.
    pub(crate) fn mark(&self) -> i64 {
        self.number("SELECT clock_mark FROM meta")
    }

    /// Returns everything that is stored about the clock.
    pub(crate) fn kept_clock(&self) -> String {
        self.installation.value(
            "SELECT format('%s, %s, %s, %s', clock_mark, clock_resets, clock_jumped_at, clock_ahead_since) FROM meta",
        )
    }

    /// Returns the numbers of rows.
    pub(crate) fn rows(&self) -> Rows {
        let count = |table: &str| self.number(&format!("SELECT count(*) FROM {table}"));
        Rows {
            tickets: count("tickets"),
            sessions: count("sessions"),
            challenges: count("challenges"),
            refresh_tokens: count("refresh_tokens"),
        }
    }

    /// Returns the code that the device of `user` shows at `time`.
    pub(crate) fn code(&self, user: &str, time: i64) -> String {
        let (_, secret) =
            self.secrets.iter().find(|(name, _)| *name == user).expect("somebody with a device");
        code(secret, time)
    }

    /// Issues a ticket by a command.
    pub(crate) fn ticket(&self, user: &str) -> Value {
        self.json(&["ticket", "issue", "--user", user], "")
    }

    /// Returns a copy of an installation that was made under the right time, served, and stopped cleanly.
    pub(crate) fn good() -> (Self, Issued) {
        static GOOD: OnceLock<(ClockedInstallation, Issued)> = OnceLock::new();
        let (good, issued) = GOOD.get_or_init(make);
        // The log is that of the other one's servers.
        let installation = good.installation.copied_without(&["log"]);
        let mut clocks = good.clocks.copied();
        clocks.shift(installation.database());
        let copy = Self { installation, clocks, secrets: good.secrets.clone() };
        (copy, issued.clone())
    }
}

/// Sends `ask`, which must be answered 200.
pub(crate) fn granted(server: &Running, ask: &TestRequest) -> Answer {
    let answer = ask.to(server.address);
    assert_eq!(answer.status, 200, "{ask:?}: {answer:?}");
    answer
}

/// Redeems `ticket`.
pub(crate) fn redeem(ticket: &str) -> TestRequest {
    gatepass_tests::suite::sign_in(ticket)
}

/// Asks for a token of the portal.
pub(crate) fn service_token() -> TestRequest {
    TestRequest::form("/oauth2/token", "grant_type=client_credentials&scope=orders%3Aread")
        .basic("portal", PORTAL_SECRET)
}

/// Answers `challenge`.
pub(crate) fn verify(challenge: &str, code: &str) -> TestRequest {
    TestRequest::json("/auth/mfa/verify-challenge", &json!({"challenge_token": challenge, "code": code}))
}

/// Makes the installation: alice, pam with a password, pam and pat with devices, two clients; some rows have expired, and
/// some have not.
fn make() -> (ClockedInstallation, Issued) {
    let nobody = ["pam", "pat"].map(|user| (user, String::new()));
    let (installation, mut clocks) = (TestInstallation::new(), Clocks::right());
    clocks.shift(installation.database());
    let mut installation = ClockedInstallation { installation, clocks, secrets: nobody };
    fs::write(installation.installation.path().join("gatepass.toml"), CONFIGURATION).expect("a file");
    installation.json(&["--init", "key", "generate", "--alg", "EdDSA", "--activate"], "");
    for user in ["alice", "bob", "lou", "pat"] {
        installation.json(&["user", "add", user], "");
    }
    installation.json(&["user", "add", "pam", "--password-stdin"], PAM_PASSWORD);
    let secrets =
        [("backend", "ticket:issue profile", BACKEND_SECRET), ("portal", "orders:read", PORTAL_SECRET)];
    for (id, scope, secret) in secrets {
        installation.json(&["client", "add", id, "--scope", scope, "--secret-stdin"], secret);
    }
    let now = installation.clocks.now();
    installation.secrets = ["pam", "pat"].map(|user| {
        let set_up = installation.json(&["user", "totp", user], "");
        let secret = set_up["secret"].as_str().expect("a secret").to_owned();
        installation.json(&["user", "totp", user, "--verify", &code(&secret, now)], "");
        (user, secret)
    });

    let server = installation.serve(SELDOM);
    let text = |value: &Value, name: &str| value[name].as_str().expect("text").to_owned();
    let begin = |installation: &ClockedInstallation| {
        let signed_in = granted(&server, &redeem(&text(&installation.ticket("alice"), "ticket"))).json();
        let used = json!({"refresh_token": signed_in["refresh_token"]});
        let refreshed = granted(&server, &TestRequest::json("/auth/refresh", &used)).json();
        let challenge = granted(&server, &redeem(&text(&installation.ticket("pam"), "ticket"))).json();
        let ticket = installation.ticket("alice");
        Issued {
            access_token: text(&refreshed, "access_token"),
            service_token: granted(&server, &service_token()).text("access_token"),
            refresh_token: text(&refreshed, "refresh_token"),
            ticket: text(&ticket, "ticket"),
            ticket_id: text(&ticket, "id"),
            challenge: text(&challenge, "challenge_token"),
        }
    };
    begin(&installation);
    installation.clocks.pass(5 * HOUR);
    let issued = begin(&installation);
    assert!(server.terminate(), "it ends well");
    (installation, issued)
}
