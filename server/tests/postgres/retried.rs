//! A refusal of the database that passes changes the answer of no route.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use gatepass_core::api::routes::ROUTES;
use gatepass_tests::fixtures::BACKEND_SECRET;
use gatepass_tests::http::{Answer, TestRequest};
use gatepass_tests::server::TestInstallation;

use crate::cluster::Fixture;
use crate::fleet::BINARY;
use crate::is_large;
use crate::routes::{READING, Sender, Walk};
use crate::session::Session;
use crate::triggers::{At, Failures};

/// A fault of the database at each request.
#[derive(Clone, Copy, Debug)]
struct Fault {
    code: &'static str,
    at: At,
    /// The transactions that fail.
    times: u64,
}

/// More than a transaction is tried.
const ALWAYS: u64 = 1_000_000;

const DEADLOCK: &str = "40P01";
const SERIALIZATION_FAILURE: &str = "40001";

const FAULTS: [Fault; 5] = [
    Fault { code: DEADLOCK, at: At::FirstWrite, times: 1 },
    Fault { code: DEADLOCK, at: At::Commit, times: 1 },
    Fault { code: SERIALIZATION_FAILURE, at: At::FirstWrite, times: 1 },
    Fault { code: SERIALIZATION_FAILURE, at: At::Commit, times: 1 },
    Fault { code: DEADLOCK, at: At::Commit, times: ALWAYS },
];

/// Sends each request to a server whose database fails.
struct Faulty<'f> {
    address: SocketAddr,
    failures: &'f Failures<'f>,
    fault: Option<Fault>,
    /// The routes with the status of each answer.
    answers: Vec<(&'static str, u16)>,
    /// The routes at which a transaction has failed.
    failed: BTreeSet<&'static str>,
}

impl Sender for Faulty<'_> {
    fn send(&mut self, route: &'static str, request: &TestRequest) -> Answer {
        if let Some(Fault { code, at, times }) = self.fault {
            self.failures.next(times, code, at);
        }
        let mut answer = request.to(self.address);
        if let Some(Fault { times, .. }) = self.fault
            && self.failures.stop() > 0
        {
            self.failed.insert(route);
            if times == ALWAYS {
                assert!(answer.status >= 400, "{route}: {answer:?}");
            }
            if times == ALWAYS && answer.status == 503 {
                // Nothing was written: the same request is as good as new.
                answer = request.to(self.address);
            }
        }
        self.answers.push((route, answer.status));
        answer
    }
}

#[test]
fn a_deadlock_or_a_serialization_failure_changes_the_answer_of_no_route() {
    let fixture = Fixture::empty();
    let installation = TestInstallation::in_database(Path::new(BINARY), fixture.url());
    installation.json(&["--init", "key", "generate", "--alg", "EdDSA", "--activate"]);
    let backend = ["client", "add", "backend", "--scope", "ticket:issue profile", "--secret-stdin"];
    installation.json_with(&backend, BACKEND_SECRET);
    let roles = ["operator", "officer", "auditor"];
    for role in roles {
        let add = ["client", "add", role, "--role", role, "--scope", "x", "--secret-stdin"];
        installation.json_with(&add, BACKEND_SECRET);
    }
    let server = installation.serve(&["--issuer", "http://gate.example"]);
    let token = |client: &str| {
        let scope = if client == "backend" { "ticket:issue" } else { "gatepass:admin" };
        let form = format!("grant_type=client_credentials&scope={scope}");
        let answer =
            TestRequest::form("/oauth2/token", &form).basic(client, BACKEND_SECRET).to(server.address);
        answer.text("access_token")
    };
    let session = Session::open(&fixture.url());
    let failures = Failures::install(&session);
    let walk = |fault: Option<Fault>, name: &str| {
        let (answers, failed) = Default::default();
        let mut faulty = Faulty { address: server.address, failures: &failures, fault, answers, failed };
        let [operator, officer, auditor] = roles.map(token);
        Walk::new(&mut faulty, name, [operator, officer, auditor, token("backend")]).run();
        (faulty.answers, faulty.failed)
    };
    let (expected, _) = walk(None, "nobody");
    let writing: BTreeSet<String> = ROUTES
        .iter()
        .flat_map(|route| route.methods.iter().map(|method| format!("{method} {}", route.path)))
        .filter(|route| !route.starts_with("GET ") && !READING.contains(&route.as_str()))
        .collect();
    // Those that fail for a moment, and in a large run the one that does not pass.
    let faults = FAULTS.into_iter().filter(|fault| fault.times == 1 || is_large());
    for (fault, name) in faults.zip(["one", "two", "three", "four", "five"]) {
        let (answers, failed) = walk(Some(fault), name);
        assert_eq!(answers, expected, "{fault:?}");
        let failed: BTreeSet<String> = failed.into_iter().map(str::to_owned).collect();
        assert_eq!(failed, writing, "{fault:?}");
    }
    // The use of a secret is written beside the requests, at the latest by a stop.
    session.run("UPDATE client_secrets SET last_used_at = NULL").unwrap();
    token("backend");
    failures.next(1, DEADLOCK, At::Commit);
    assert!(server.terminate());
    assert_eq!(failures.stop(), 1);
    let used = "SELECT last_used_at IS NOT NULL FROM client_secrets WHERE client_id = 'backend'";
    assert_eq!(session.value(used), "t");
    assert_eq!(installation.json(&["audit", "verify"])["valid"], true);
}
