//! Changes between the snapshot and the commit: a commit names everything its flow depends on, so that a change is a
//! conflict, and the flow reads again and answers by the new state.

use gatepass_core::api::step::{Step, finish};
use gatepass_core::engine::Engine;
use gatepass_core::http::request::Request;
use gatepass_core::records::session::{RefreshDigest, Rotation, Salt};
use gatepass_core::records::ticket::TicketState;
use gatepass_core::store::Store;
use gatepass_tests::api_document::drive;
use gatepass_tests::fixtures::{
    self, BACKEND_SECRET, NOON, asks_for_token, client_id, grants, impersonates, inputs, presents, refreshes,
    request, revokes, user_id,
};
use gatepass_tests::memory::Tables;
use serde_json::{Value, json};

use super::tested_store::TestedStore;

type Alter = fn(&mut Tables);

/// Puts older state back.
fn put_back(tables: &mut Tables) {
    tables.state_epoch = 7;
}

fn disable_user(tables: &mut Tables, name: &str) {
    tables.users.get_mut(&user_id(name)).expect("a user").disable();
}

fn disable_client(tables: &mut Tables, id: &str) {
    tables.clients.get_mut(&client_id(id)).expect("a client").enabled = false;
}

/// The request of `backend` for a ticket with which boss acts as alice at the portal.
fn asks_for_ticket(engine: &Engine, store: &TestedStore) -> Request {
    let scope = "ticket:issue ticket:impersonate";
    let answer = drive(engine, store, asks_for_token("backend", BACKEND_SECRET, scope), inputs(NOON, 1));
    let body: Value = serde_json::from_slice(answer.body()).expect("JSON");
    let bearer = format!("Bearer {}", body["access_token"].as_str().expect("a token"));
    let asked = json!({"user_id": "alice", "audience": "portal", "actor": "boss", "reason": "a call"});
    request("/auth/generate-ticket", &bearer, &asked)
}

/// Starts `request`, alters the tables before its commit, and finishes it. Returns true if the commit was a conflict, and
/// the answer's status.
fn altered(engine: &Engine, store: &TestedStore, request: Request, alter: Alter) -> (bool, u16) {
    let Step::Read(read) = engine.handle(request, inputs(NOON, 3)) else { panic!("it reads first") };
    let found = store.read(read.query());
    let mut step = read.resume(engine, found);
    if let Step::Guess(guess) = step {
        step = guess.allow(engine);
    }
    let Step::Commit(commit) = step else { panic!("it commits next") };
    store.with(alter);
    let outcome = store.commit(commit.changes());
    let step = commit.settle(engine, outcome);
    let conflict = matches!(step, Step::Read(_));
    (conflict, finish(engine, store, step).status())
}

#[test]
fn a_sign_in_rests_on_everyone_its_ticket_names() {
    let engine = fixtures::engine("http://gate.example");
    let cases: &[(&str, Alter, (bool, u16))] = &[
        ("nothing", |_| {}, (false, 200)),
        ("the user is disabled", |t| disable_user(t, "alice"), (true, 400)),
        ("the user is gone", |t| drop(t.users.remove(&user_id("alice"))), (true, 400)),
        (
            "the user's sessions are ended",
            |t| t.users.get_mut(&user_id("alice")).expect("alice").end_sessions(),
            (true, 200),
        ),
        (
            "the user is edited",
            |t| {
                let alice = t.users.get_mut(&user_id("alice")).expect("alice");
                (alice.name, alice.revision) = (None, 1);
            },
            (false, 200),
        ),
        ("the actor is disabled", |t| disable_user(t, "boss"), (true, 400)),
        ("the client it is for is disabled", |t| disable_client(t, "portal"), (true, 400)),
        ("the client it is for is gone", |t| drop(t.clients.remove(&client_id("portal"))), (true, 400)),
        ("the client that issued it is disabled", |t| disable_client(t, "backend"), (true, 400)),
        (
            "the ticket is revoked",
            |t| t.tickets.values_mut().for_each(|ticket| ticket.state = TicketState::Revoked(NOON)),
            (true, 400),
        ),
        (
            "the ticket is spent",
            |t| {
                t.tickets
                    .values_mut()
                    .for_each(|ticket| ticket.state = TicketState::Spent { at: NOON, delivery: None })
            },
            (true, 400),
        ),
        ("older state is put back", put_back, (true, 400)),
    ];
    for (what, alter, expected) in cases {
        let store = TestedStore::new(fixtures::tables());
        let asks = asks_for_ticket(&engine, &store);
        let issued = drive(&engine, &store, asks, inputs(NOON, 2));
        let issued: Value = serde_json::from_slice(issued.body()).expect("JSON");
        let presented = presents(issued["ticket"].as_str().expect("a ticket"));
        assert_eq!(altered(&engine, &store, presented, *alter), *expected, "{what}");
        let tables = store.with(|tables| tables.clone());
        assert_eq!(tables.sessions.len(), usize::from(expected.1 == 200), "{what}");
        for session in tables.sessions.values() {
            assert_eq!(session.user_epoch, tables.users[&session.user_id].epoch, "{what}");
        }
    }
}

#[test]
fn a_ticket_rests_on_everyone_it_names() {
    let engine = fixtures::engine("http://gate.example");
    let cases: &[(&str, Alter, (bool, u16))] = &[
        ("nothing", |_| {}, (false, 200)),
        ("the user is disabled", |t| disable_user(t, "alice"), (true, 400)),
        ("the actor is disabled", |t| disable_user(t, "boss"), (true, 400)),
        ("the client it is for is disabled", |t| disable_client(t, "portal"), (true, 400)),
        ("the client that asks is disabled", |t| disable_client(t, "backend"), (true, 401)),
        ("the client that asks is gone", |t| drop(t.clients.remove(&client_id("backend"))), (true, 401)),
        ("older state is put back", put_back, (true, 401)),
    ];
    for (what, alter, expected) in cases {
        let store = TestedStore::new(fixtures::tables());
        let asks = asks_for_ticket(&engine, &store);
        assert_eq!(altered(&engine, &store, asks, *alter), *expected, "{what}");
        let tickets = store.with(|tables| tables.tickets.len());
        assert_eq!(tickets, usize::from(expected.1 == 200), "{what}");
    }
}

/// Ends every session, but leaves the users' epochs.
fn end_sessions(tables: &mut Tables) {
    tables.sessions.values_mut().for_each(|session| session.ended_at = Some(NOON));
}

/// Uses the unused token.
fn use_token(tables: &mut Tables) {
    let rotation = Rotation { at: NOON, salt: Salt([0; 32]), successor: RefreshDigest([9; 32]) };
    let unused = tables.refresh_tokens.values_mut().filter(|token| token.rotation.is_none());
    unused.for_each(|token| token.rotation = Some(rotation.clone()));
}

/// Events for a session in which boss acts as alice at the portal.
const TO_A_SESSION: &[(&str, Alter, (bool, u16))] = &[
    ("nothing", |_| {}, (false, 200)),
    ("the user is disabled", |t| disable_user(t, "alice"), (true, 400)),
    ("the user is gone", |t| drop(t.users.remove(&user_id("alice"))), (true, 400)),
    (
        "the user's sessions are ended",
        |t| t.users.get_mut(&user_id("alice")).expect("alice").end_sessions(),
        (true, 400),
    ),
    ("the user is edited", |t| t.users.get_mut(&user_id("alice")).expect("alice").revision = 1, (false, 200)),
    ("the actor is disabled", |t| disable_user(t, "boss"), (true, 400)),
    ("the actor is gone", |t| drop(t.users.remove(&user_id("boss"))), (true, 400)),
    (
        "the actor's sessions are ended",
        |t| t.users.get_mut(&user_id("boss")).expect("boss").end_sessions(),
        (true, 400),
    ),
    ("the client is disabled", |t| disable_client(t, "portal"), (true, 400)),
    ("the client is gone", |t| drop(t.clients.remove(&client_id("portal"))), (true, 400)),
    ("another client is disabled", |t| disable_client(t, "backend"), (false, 200)),
    ("the session is ended", end_sessions, (true, 400)),
    ("the session is gone", |t| t.sessions.clear(), (true, 400)),
    ("the token that is live is used", use_token, (true, 400)),
    ("older state is put back", put_back, (true, 400)),
];

#[test]
fn a_refresh_rests_on_everyone_in_its_session() {
    let engine = fixtures::engine("http://gate.example");
    for used_before in [false, true] {
        for (what, alter, expected) in TO_A_SESSION {
            let store = TestedStore::new(fixtures::tables());
            let signed_in = impersonates(&engine, &store);
            let token = signed_in["refresh_token"].as_str().expect("a refresh token");
            if used_before {
                assert_eq!(drive(&engine, &store, refreshes(token), inputs(NOON, 4)).status(), 200);
            }
            let before = store.with(|tables| tables.refresh_tokens.len());
            assert_eq!(
                altered(&engine, &store, refreshes(token), *alter),
                *expected,
                "{what}, {used_before}"
            );
            let after = store.with(|tables| tables.refresh_tokens.len());
            let rotated = expected.1 == 200 && !used_before;
            assert_eq!(after > before, rotated, "{what}, {used_before}");
        }
    }
}

#[test]
fn a_grant_rests_on_the_client_that_asks() {
    let engine = fixtures::engine("http://gate.example");
    let cases: &[(&str, Alter, (bool, u16))] = &[
        ("nothing", |_| {}, (false, 200)),
        ("the client is disabled", |t| disable_client(t, "portal"), (true, 401)),
        ("the client is gone", |t| drop(t.clients.remove(&client_id("portal"))), (true, 401)),
        ("the session is ended", end_sessions, (true, 400)),
        ("older state is put back", put_back, (true, 400)),
    ];
    for (what, alter, expected) in cases {
        let store = TestedStore::new(fixtures::tables());
        let signed_in = impersonates(&engine, &store);
        let token = signed_in["refresh_token"].as_str().expect("a refresh token");
        assert_eq!(altered(&engine, &store, grants(token), *alter), *expected, "{what}");
    }
}

#[test]
fn a_revocation_holds_whatever_else_happens() {
    let engine = fixtures::engine("http://gate.example");
    for (what, alter, _) in TO_A_SESSION {
        for kind in ["refresh_token", "access_token"] {
            let store = TestedStore::new(fixtures::tables());
            let signed_in = impersonates(&engine, &store);
            let token = signed_in[kind].as_str().expect("a token");
            assert_eq!(altered(&engine, &store, revokes(token), *alter), (false, 200), "{what}, {kind}");
            store.with(|tables| match kind {
                "access_token" => assert_eq!(tables.revoked.len(), 1, "{what}"),
                _ => assert!(tables.sessions.values().all(|s| s.ended_at.is_some()), "{what}"),
            });
        }
    }
}

/// Alice's bearer token, in a session of her own, and the id of another session of hers.
fn two_sessions(engine: &Engine, store: &TestedStore) -> (String, String) {
    let mut bearer = String::new();
    for turn in [10, 20] {
        let ticket = fixtures::issue(engine, store, "alice", inputs(NOON, turn));
        let answer = drive(engine, store, presents(&ticket), inputs(NOON, turn + 1));
        let body: Value = serde_json::from_slice(answer.body()).expect("JSON");
        bearer = format!("Bearer {}", body["access_token"].as_str().expect("a token"));
    }
    let own = Request { method: "GET".into(), ..request("/auth/me/sessions", &bearer, &Value::Null) };
    let listed = drive(engine, store, own, inputs(NOON, 30));
    let listed: Value = serde_json::from_slice(listed.body()).expect("JSON");
    let entries = listed["data"].as_array().expect("sessions");
    let other = entries.iter().find(|e| e["current"] == json!(false)).expect("another session");
    (bearer, other["id"].as_str().expect("an id").to_owned())
}

#[test]
fn the_end_of_a_session_rests_on_who_asks_for_it() {
    let engine = fixtures::engine("http://gate.example");
    let cases: &[(&str, Alter, (bool, u16, u16))] = &[
        ("nothing", |_| {}, (false, 200, 200)),
        ("the user is disabled", |t| disable_user(t, "alice"), (true, 401, 401)),
        (
            "the user's sessions are ended",
            |t| t.users.get_mut(&user_id("alice")).expect("alice").end_sessions(),
            (true, 401, 401),
        ),
        ("every session is ended", end_sessions, (true, 401, 401)),
        ("older state is put back", put_back, (true, 401, 401)),
        (
            "the session that asks is ended",
            |t| {
                let last = t.audit.iter().rev().find_map(|event| event.session.clone()).expect("a sign-in");
                t.sessions.get_mut(&last).expect("it").ended_at = Some(NOON);
            },
            (true, 401, 401),
        ),
    ];
    for (what, alter, (conflict, one, all)) in cases {
        for (path, status) in [(true, one), (false, all)] {
            let store = TestedStore::new(fixtures::tables());
            let (bearer, other) = two_sessions(&engine, &store);
            let path =
                if path { format!("/auth/me/sessions/{other}") } else { "/auth/me/sessions".to_owned() };
            let end = Request { method: "DELETE".into(), ..request(&path, &bearer, &Value::Null) };
            assert_eq!(altered(&engine, &store, end, *alter), (*conflict, *status), "{what}: {path}");
        }
    }
}
