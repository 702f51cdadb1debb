//! The mistakes that can be made at every operation, by everybody, and the faults of a store.

use gatepass_core::api::step::Step;
use gatepass_core::http::request::Request;
use gatepass_core::records::role::{Role, Roles};
use gatepass_core::store::Store as _;
use gatepass_core::store::query::Records;
use gatepass_tests::api_document::ApiDocument;
use gatepass_tests::fixtures::{
    self, BACKEND_SECRET, KIM_PASSWORD, NOON, PAM_PASSWORD, PORTAL_SECRET, basic, impersonates, presents,
    request, user_id,
};
use gatepass_tests::in_memory_server::InMemoryServer;
use serde_json::{Value, json};

use crate::examples::Example;

/// A fault behind an operation.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    None,
    /// The keys were changed since the engine was made.
    NewerKeys,
    /// The records are none that were asked for.
    OtherRecords,
    /// There were too many guesses.
    TooManyGuesses,
}

/// The changes to a request that is as it should be.
const MISTAKES: &[fn(&mut Request)] = &[
    |_| (),
    |request| request.body = b"[]".to_vec(),
    |request| request.body = b"x=%zz".to_vec(),
    |request| set(request, "content-type", "text/plain"),
    |request| set(request, "content-encoding", "gzip"),
    |request| set(request, "idempotency-key", "x"),
    |request| set(request, "if-none-match", "*"),
    |request| request.target.push_str("?%zz"),
    |request| request.target = request.target.replace(NOBODY, "%zz"),
    |request| {
        let authorization = request.headers.iter().find(|(name, _)| name == "authorization").cloned();
        request.headers.extend(authorization);
    },
];

/// The name in the place of every variable segment.
const NOBODY: &str = "usr_nobody";

fn set(request: &mut Request, name: &str, value: &str) {
    request.headers.retain(|(known, _)| known != name);
    request.headers.push((name.into(), value.into()));
}

/// Returns a server where each role has a client of its name, and pam is an officer without a second factor.
pub(crate) fn server() -> InMemoryServer {
    let mut tables = fixtures::tables();
    tables.users.get_mut(&user_id("pam")).expect("a user").roles = Roles::of(&[Role::Officer]);
    let server = InMemoryServer::new(fixtures::engine("http://gate.example/usr_nobody"), tables);
    for role in Role::ALL {
        server.add_client(role.as_str(), "portal");
        server.edit_client(role.as_str(), |client| client.set_roles(Roles::of(&[role])));
    }
    server
}

/// Returns a token of administration of the client with this role.
pub(crate) fn administrator(server: &InMemoryServer, role: Role) -> String {
    format!("Bearer {}", server.service_token(role.as_str(), PORTAL_SECRET, "gatepass:admin"))
}

/// Returns an `Authorization` of everybody who may come.
fn callers(server: &InMemoryServer) -> Vec<String> {
    let bearer = |token: String| format!("Bearer {token}");
    let login = |body: Value| bearer(server.ask(request("/auth/login", "", &body)).text("access_token"));
    let ticket = fixtures::issue(&server.engine, &server.store, "alice", server.inputs(NOON));
    let acting = impersonates(&server.engine, &server.store);
    let mut callers = vec![
        String::new(),
        "Bearer x".into(),
        basic("portal", PORTAL_SECRET),
        basic("portal", BACKEND_SECRET),
        bearer(server.service_token("backend", BACKEND_SECRET, "ticket:issue ticket:impersonate")),
        bearer(server.service_token("backend", BACKEND_SECRET, "profile")),
        bearer(server.ask(presents(&ticket)).text("access_token")),
        bearer(fixtures::text(&acting, "access_token")),
        login(json!({"identity": "kim", "password": KIM_PASSWORD})),
        login(json!({"identity": "pam", "password": PAM_PASSWORD, "scope": "gatepass:admin"})),
    ];
    callers.extend(Role::ALL.map(|role| administrator(server, role)));
    callers
}

pub(crate) fn of_every_kind_at_every_operation() {
    for example in Example::all() {
        let server = server();
        let callers = callers(&server);
        let base = |authorization: &str| {
            let mut request = example.request(|_| Some(NOBODY.into()));
            if !authorization.is_empty() {
                set(&mut request, "authorization", authorization);
            }
            request
        };
        // The faults first: what is asked here may end the callers' sessions.
        for fault in [Fault::NewerKeys, Fault::OtherRecords, Fault::TooManyGuesses] {
            for caller in &callers {
                drive(&server, base(caller), fault);
            }
        }
        for mistake in MISTAKES {
            for caller in &callers {
                let mut request = base(caller);
                mistake(&mut request);
                drive(&server, request, Fault::None);
            }
        }
    }
}

/// Drives a request to its answer. Returns the status, and the body if it is JSON.
pub(crate) fn drive(server: &InMemoryServer, request: Request, fault: Fault) -> (u16, Value) {
    let engine = &server.engine;
    let (method, target) = (request.method.clone(), request.target.clone());
    let mut step = engine.handle(request, server.inputs(NOON));
    loop {
        step = match step {
            Step::Read(read) => {
                let mut found = server.store.read(read.query());
                if fault == Fault::NewerKeys {
                    found.generation += 1;
                }
                if fault == Fault::OtherRecords {
                    let is_none = matches!(found.records, Records::Generation);
                    found.records = if is_none { Records::Client(None) } else { Records::Generation };
                }
                read.resume(engine, found)
            }
            Step::Commit(commit) => {
                let outcome = server.store.commit(commit.changes());
                commit.settle(engine, outcome)
            }
            Step::Guess(guess) if fault == Fault::TooManyGuesses => guess.limit(30),
            Step::Guess(guess) => guess.allow(engine),
            Step::HashPassword(hash) => hash.run(engine),
            Step::Task(task) => task.refuse(),
            Step::Reply(reply) => {
                ApiDocument::hold((&method, &target), &*reply);
                return (reply.status(), serde_json::from_slice(reply.body()).unwrap_or_default());
            }
        }
    }
}
