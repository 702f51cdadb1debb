//! No token leaves before its commit is durable: whatever the store answers, only a settled commit yields a token.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use std::sync::Arc;

use gatepass_core::api::reply::Reply;
use gatepass_core::api::step::Step;
use gatepass_core::engine::{Engine, Keys};
use gatepass_core::http::request::Request;
use gatepass_core::store::Store;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::{Found, Query, Records};
use gatepass_tests::assertions::{claims, give_key, posts_with, signed};
use gatepass_tests::fixtures::{
    self, BACKEND_SECRET, NOON, asks_for_token, grants, impersonates, inputs, presents, refreshes, request,
    revokes,
};
use gatepass_tests::memory::Memory;
use serde_json::{Value, json};

/// Drives `step` on a store whose commits end as `outcomes` says, in order. Returns the answer and the number of reads.
fn drive(engine: &Engine, store: &Memory, mut step: Step, outcomes: &[Outcome]) -> (Reply, usize) {
    let mut outcomes = outcomes.iter();
    for steps in 1.. {
        step = match step {
            Step::Read(read) => {
                let found = store.read(read.query());
                read.resume(engine, found)
            }
            Step::Commit(commit) => match outcomes.next() {
                None | Some(Outcome::Applied) => {
                    let outcome = store.commit(commit.changes());
                    commit.settle(engine, outcome)
                }
                Some(&outcome) => commit.settle(engine, outcome),
            },
            Step::Guess(guess) => guess.allow(engine),
            Step::HashPassword(stretch) => stretch.run(engine),
            Step::Task(task) => task.refuse(),
            Step::Reply(response) => return (response, steps),
        };
    }
    unreachable!("a flow ends")
}

fn holds_a_secret(response: &Reply) -> bool {
    let body = String::from_utf8_lossy(response.body());
    ["eyJ", "rft_", "tkt_", "access_token"].iter().any(|mark| body.contains(mark))
}

#[test]
fn every_outcome_of_a_sign_in_has_one_answer() {
    use Outcome::{Applied, Conflict, NotApplied, Unknown};
    let engine = fixtures::engine("http://gate.example");
    for (outcomes, status) in [
        (&[Applied][..], 200),
        (&[NotApplied], 503),
        (&[Unknown], 500),
        (&[Conflict, Applied], 200),
        (&[Conflict, NotApplied], 503),
        (&[Conflict, Unknown], 500),
        (&[Conflict, Conflict], 503),
    ] {
        let store = Memory::new(fixtures::tables());
        let ticket = fixtures::issue(&engine, &store, "alice", inputs(NOON, 1));
        let before = store.with(|tables| tables.clone());
        let step = engine.handle(presents(&ticket), inputs(NOON, 2));
        let (response, steps) = drive(&engine, &store, step, outcomes);
        assert_eq!(response.status(), status, "{outcomes:?}");
        assert!(steps <= Step::MAX, "{outcomes:?} took {steps} steps");
        assert_eq!(holds_a_secret(&response), status == 200, "{outcomes:?}");
        if status != 200 {
            assert_eq!(store.with(|tables| tables.clone()), before, "{outcomes:?} wrote something");
        }
        if status == 503 {
            assert_eq!(response.header("Retry-After"), Some("1"));
        }
    }
}

#[test]
fn every_outcome_of_issuing_has_one_answer() {
    let engine = fixtures::engine("http://gate.example");
    for (outcome, status) in [(Outcome::Applied, 200), (Outcome::NotApplied, 503), (Outcome::Unknown, 500)] {
        let store = Memory::new(fixtures::tables());
        let token = engine.handle(asks_for_token("backend", BACKEND_SECRET, "ticket:issue"), inputs(NOON, 1));
        let (token, _) = drive(&engine, &store, token, &[]);
        let token: Value = serde_json::from_slice(token.body()).expect("JSON");
        let bearer = format!("Bearer {}", token["access_token"].as_str().expect("a token"));
        let asked = request("/auth/generate-ticket", &bearer, &json!({"username": "alice"}));
        let (response, _) = drive(&engine, &store, engine.handle(asked, inputs(NOON, 2)), &[outcome]);
        assert_eq!((response.status(), holds_a_secret(&response)), (status, status == 200));
    }
}

/// Every sequence of outcomes of a commit that is retried, and the status of the answer.
const TRIED_TWICE: &[(&[Outcome], u16)] = &[
    (&[Outcome::Applied], 200),
    (&[Outcome::NotApplied], 503),
    (&[Outcome::Unknown], 500),
    (&[Outcome::Conflict, Outcome::Applied], 200),
    (&[Outcome::Conflict, Outcome::NotApplied], 503),
    (&[Outcome::Conflict, Outcome::Unknown], 500),
    (&[Outcome::Conflict, Outcome::Conflict], 503),
];

#[test]
fn every_outcome_of_an_assertion_has_one_answer() {
    let engine = fixtures::engine("http://gate.example");
    let assertion = signed(&claims("portal", "http://gate.example", "one", NOON));
    for (path, form, is_token) in
        [("/oauth2/token", "grant_type=client_credentials", true), ("/oauth2/introspect", "token=x", false)]
    {
        for (outcomes, status) in TRIED_TWICE {
            let mut tables = fixtures::tables();
            give_key(&mut tables, "portal");
            let store = Memory::new(tables.clone());
            let step = engine.handle(posts_with(path, &assertion, form), inputs(NOON, 2));
            let (response, steps) = drive(&engine, &store, step, outcomes);
            assert_eq!(response.status(), *status, "{path}: {outcomes:?}");
            assert!(steps <= Step::MAX, "{outcomes:?} took {steps} steps");
            assert_eq!(holds_a_secret(&response), *status == 200 && is_token, "{outcomes:?}");
            let used = store.with(|tables| tables.used_assertions.len());
            assert_eq!(used, usize::from(*status == 200), "{outcomes:?}");
        }
    }
}

/// Sends `ask` in a session in which boss acts as alice, whose refresh token was used once, with `outcomes`: only an
/// applied commit writes anything or yields a token.
fn answered(
    engine: &Engine,
    ask: &dyn Fn(&Value) -> Request,
    refreshed: Option<u64>,
    outcomes: &[Outcome],
) -> (u16, bool) {
    let store = Memory::new(fixtures::tables());
    let signed_in = impersonates(engine, &store);
    if let Some(ago) = refreshed {
        let token = signed_in["refresh_token"].as_str().expect("a token");
        let step = engine.handle(refreshes(token), inputs(NOON, 3));
        assert_eq!(drive(engine, &store, step, &[]).0.status(), 200);
        store.with(|tables| {
            for rotation in tables.refresh_tokens.values_mut().filter_map(|token| token.rotation.as_mut()) {
                rotation.at = gatepass_core::base::time::Time::from_unix(NOON.unix() - ago);
            }
        });
    }
    let before = store.with(|tables| tables.clone());
    let step = engine.handle(ask(&signed_in), inputs(NOON, 4));
    let (response, steps) = drive(engine, &store, step, outcomes);
    assert!(steps <= Step::MAX, "{outcomes:?} took {steps} steps");
    let applied = outcomes.last() == Some(&Outcome::Applied);
    assert_eq!(store.with(|tables| tables.clone()) != before, applied, "{outcomes:?}");
    assert_eq!(response.header("Retry-After").is_some(), response.status() == 503, "{outcomes:?}");
    (response.status(), holds_a_secret(&response))
}

#[test]
fn every_outcome_of_a_refresh_has_one_answer() {
    let engine = fixtures::engine("http://gate.example");
    let token = |told: &Value| told["refresh_token"].as_str().expect("a token").to_owned();
    let simple = |told: &Value| refreshes(&token(told));
    let grant = |told: &Value| grants(&token(told));
    for (outcomes, status) in TRIED_TWICE {
        for ask in [&simple as &dyn Fn(&Value) -> Request, &grant] {
            for refreshed in [None, Some(0)] {
                let told = answered(&engine, ask, refreshed, outcomes);
                assert_eq!(told, (*status, *status == 200), "{outcomes:?}, {refreshed:?}");
            }
        }
    }
}

#[test]
fn every_outcome_of_an_end_has_one_answer() {
    use Outcome::{Applied, Conflict, NotApplied, Unknown};
    let engine = fixtures::engine("http://gate.example");
    let text = |told: &Value, kind: &str| told[kind].as_str().expect("a token").to_owned();
    let copy = |told: &Value| refreshes(&text(told, "refresh_token"));
    let revoked = |told: &Value| revokes(&text(told, "refresh_token"));
    let struck = |told: &Value| revokes(&text(told, "access_token"));
    for (outcome, at_reuse, at_revocation) in
        [(Applied, 400, 200), (Conflict, 400, 200), (NotApplied, 503, 503), (Unknown, 500, 500)]
    {
        assert_eq!(answered(&engine, &copy, Some(60), &[outcome]), (at_reuse, false), "{outcome:?}");
        for ask in [&revoked as &dyn Fn(&Value) -> Request, &struck] {
            assert_eq!(answered(&engine, ask, None, &[outcome]), (at_revocation, false), "{outcome:?}");
        }
    }
}

#[test]
fn every_outcome_of_ending_ones_sessions_has_one_answer() {
    let engine = fixtures::engine("http://gate.example");
    for (outcomes, status) in TRIED_TWICE {
        for all in [true, false] {
            let store = Memory::new(fixtures::tables());
            let ticket = fixtures::issue(&engine, &store, "alice", inputs(NOON, 1));
            let step = engine.handle(presents(&ticket), inputs(NOON, 2));
            let told: Value =
                serde_json::from_slice(drive(&engine, &store, step, &[]).0.body()).expect("JSON");
            let session = store.with(|tables| tables.sessions.keys().next().cloned()).expect("a session");
            let path = if all {
                "/auth/me/sessions".into()
            } else {
                format!("/auth/me/sessions/{}", session.as_str())
            };
            let bearer = format!("Bearer {}", told["access_token"].as_str().expect("a token"));
            let end = Request { method: "DELETE".into(), ..request(&path, &bearer, &Value::Null) };
            let before = store.with(|tables| tables.clone());
            let step = engine.handle(end, inputs(NOON, 3));
            // In a large file, finding a user's sessions takes long. It is not done when all of them end.
            let looks = matches!(&step, Step::Read(read) if matches!(read.query(), Query::Sessions(_)));
            assert_eq!(looks, !all);
            let (response, _) = drive(&engine, &store, step, outcomes);
            assert_eq!((response.status(), holds_a_secret(&response)), (*status, false), "{outcomes:?}");
            assert_eq!(store.with(|tables| tables.clone()) != before, *status == 200, "{outcomes:?}");
        }
    }
}

#[test]
fn a_commit_that_is_never_settled_shows_nothing() {
    let engine = fixtures::engine("http://gate.example");
    let store = Memory::new(fixtures::tables());
    let ticket = fixtures::issue(&engine, &store, "alice", inputs(NOON, 1));
    let Step::Read(read) = engine.handle(presents(&ticket), inputs(NOON, 2)) else {
        panic!("it reads first")
    };
    let found = store.read(read.query());
    let Step::Commit(commit) = read.resume(&engine, found) else { panic!("it commits next") };
    let shown = format!("{commit:?}");
    for secret in ["eyJ", "rft_", &ticket] {
        assert!(!shown.contains(secret), "{shown}");
    }
    drop(commit);
    assert_eq!(store.with(|tables| tables.sessions.len()), 0);
}

/// A store that answers every query with the records of another.
struct WrongRecords(Memory);

impl Store for WrongRecords {
    fn read(&self, query: &Query) -> Found {
        if *query == Query::Generation {
            return self.0.read(query);
        }
        Found { generation: 0, state_epoch: 0, records: Records::Generation }
    }

    fn commit(&self, changes: &Arc<[Change]>) -> Outcome {
        self.0.commit(changes)
    }
}

#[test]
fn unreadable_and_nonsensical_records_are_answers_too() {
    let engine = fixtures::engine("http://gate.example");
    let store = Memory::new(fixtures::tables());
    let ticket = fixtures::issue(&engine, &store, "alice", inputs(NOON, 1));
    for (records, generation, status) in
        [(Records::Unreadable, 0, 503), (Records::Generation, 0, 500), (Records::Ticket(None), 1, 503)]
    {
        let Step::Read(read) = engine.handle(presents(&ticket), inputs(NOON, 2)) else {
            panic!("it reads first")
        };
        let found = Found { generation, state_epoch: 0, records: records.clone() };
        let Step::Reply(response) = read.resume(&engine, found) else {
            panic!("{records:?} is answered at once")
        };
        assert_eq!((response.status(), holds_a_secret(&response)), (status, false), "{records:?}");
    }
    let response = gatepass_tests::api_document::drive(
        &engine,
        &WrongRecords(store),
        presents(&ticket),
        inputs(NOON, 3),
    );
    assert_eq!(response.status(), 500);
}

#[test]
fn without_a_key_that_signs_nothing_is_spent() {
    let engine = fixtures::engine("http://gate.example");
    let store = Memory::new(fixtures::tables());
    let ticket = fixtures::issue(&engine, &store, "alice", inputs(NOON, 5));
    let told = impersonates(&engine, &store);
    let token = told["refresh_token"].as_str().expect("a token");
    let before = store.with(|tables| tables.clone());
    let keyless = Engine::new(engine.settings().clone(), Keys::new(0, None, vec![]));
    let ready = Request { method: "GET".into(), ..request("/readyz", "", &Value::Null) };
    for asked in [
        presents(&ticket),
        asks_for_token("backend", BACKEND_SECRET, "profile"),
        refreshes(token),
        grants(token),
        ready,
    ] {
        let shown = format!("{asked:?}");
        let response = gatepass_tests::api_document::drive(&keyless, &store, asked, inputs(NOON, 6));
        assert_eq!((response.status(), response.header("retry-after")), (503, Some("1")), "{shown}");
    }
    assert_eq!(store.with(|tables| tables.clone()), before);
}
