//! Nothing leaves before it is durable: whatever the store answers, only a settled commit yields a token.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use std::sync::Arc;

use gatepass_core::gatepass::{Gatepass, Keys};
use gatepass_core::model::change::{Change, Outcome};
use gatepass_core::model::query::{Found, Query, Records};
use gatepass_core::step::Step;
use gatepass_core::store::Store;
use gatepass_core::wire::request::Request;
use gatepass_core::wire::response::Response;
use gatepass_tests::memory::Memory;
use gatepass_tests::world::{self, BACKEND_SECRET, NOON, asks_for_token, moment, presents, request};
use serde_json::Value;

/// Drives `step` against a store whose commits end as `outcomes` says, one after the other, and counts the steps.
fn drive(gatepass: &Gatepass, store: &Memory, mut step: Step, outcomes: &[Outcome]) -> (Response, usize) {
    let mut outcomes = outcomes.iter();
    for steps in 1.. {
        step = match step {
            Step::Read(read) => {
                let found = store.read(read.query());
                read.resume(gatepass, found)
            }
            Step::Commit(commit) => match outcomes.next() {
                None | Some(Outcome::Applied) => {
                    let outcome = store.commit(commit.changes());
                    commit.settle(gatepass, outcome)
                }
                Some(&outcome) => commit.settle(gatepass, outcome),
            },
            Step::Reply(response) => return (response, steps),
        };
    }
    unreachable!("a flow ends")
}

fn holds_a_secret(response: &Response) -> bool {
    let body = String::from_utf8_lossy(response.body());
    ["eyJ", "rft_", "tkt_", "access_token"].iter().any(|mark| body.contains(mark))
}

#[test]
fn every_outcome_of_a_sign_in_has_one_answer() {
    use Outcome::{Applied, Conflict, NotApplied, Unknown};
    let gatepass = world::gatepass("http://gate.example");
    for (outcomes, status) in [
        (&[Applied][..], 200),
        (&[NotApplied], 503),
        (&[Unknown], 500),
        (&[Conflict, Applied], 200),
        (&[Conflict, NotApplied], 503),
        (&[Conflict, Unknown], 500),
        (&[Conflict, Conflict], 503),
    ] {
        let store = Memory::new(world::tables());
        let ticket = world::issue(&gatepass, &store, "alice", moment(NOON, 1));
        let before = store.with(|tables| tables.clone());
        let step = gatepass.handle(presents(&ticket), moment(NOON, 2));
        let (response, steps) = drive(&gatepass, &store, step, outcomes);
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
    let gatepass = world::gatepass("http://gate.example");
    for (outcome, status) in [(Outcome::Applied, 200), (Outcome::NotApplied, 503), (Outcome::Unknown, 500)] {
        let store = Memory::new(world::tables());
        let asked = gatepass_core::ticket_request::TicketRequest::new(
            gatepass_core::model::id::UserRef::Username("alice".into()),
        );
        let step = gatepass.issue_by_command(asked, moment(NOON, 1));
        let (response, _) = drive(&gatepass, &store, step, &[outcome]);
        assert_eq!((response.status(), holds_a_secret(&response)), (status, status == 200));
    }
}

#[test]
fn a_commit_that_is_never_settled_shows_nothing() {
    let gatepass = world::gatepass("http://gate.example");
    let store = Memory::new(world::tables());
    let ticket = world::issue(&gatepass, &store, "alice", moment(NOON, 1));
    let Step::Read(read) = gatepass.handle(presents(&ticket), moment(NOON, 2)) else {
        panic!("it reads first")
    };
    let found = store.read(read.query());
    let Step::Commit(commit) = read.resume(&gatepass, found) else { panic!("it commits next") };
    let shown = format!("{commit:?}");
    for secret in ["eyJ", "rft_", &ticket] {
        assert!(!shown.contains(secret), "{shown}");
    }
    drop(commit);
    assert_eq!(store.with(|tables| tables.sessions.len()), 0);
}

/// A store that answers every question with the records of another.
struct Confused(Memory);

impl Store for Confused {
    fn read(&self, query: &Query) -> Found {
        if *query == Query::Generation {
            return self.0.read(query);
        }
        Found { generation: 0, records: Records::Generation }
    }

    fn commit(&self, changes: &Arc<[Change]>) -> Outcome {
        self.0.commit(changes)
    }
}

#[test]
fn unreadable_and_nonsensical_records_are_answers_too() {
    let gatepass = world::gatepass("http://gate.example");
    let store = Memory::new(world::tables());
    let ticket = world::issue(&gatepass, &store, "alice", moment(NOON, 1));
    for (records, generation, status) in
        [(Records::Unreadable, 0, 503), (Records::Generation, 0, 500), (Records::Ticket(None), 1, 503)]
    {
        let Step::Read(read) = gatepass.handle(presents(&ticket), moment(NOON, 2)) else {
            panic!("it reads first")
        };
        let Step::Reply(response) = read.resume(&gatepass, Found { generation, records: records.clone() })
        else {
            panic!("{records:?} is answered at once")
        };
        assert_eq!((response.status(), holds_a_secret(&response)), (status, false), "{records:?}");
    }
    let response =
        gatepass_core::step::drive(&gatepass, &Confused(store), presents(&ticket), moment(NOON, 3));
    assert_eq!(response.status(), 500);
}

#[test]
fn without_a_key_that_signs_nothing_is_spent() {
    let gatepass = world::gatepass("http://gate.example");
    let store = Memory::new(world::tables());
    let ticket = world::issue(&gatepass, &store, "alice", moment(NOON, 1));
    let before = store.with(|tables| tables.clone());
    let keyless = Gatepass::new(gatepass.settings().clone(), Keys::new(0, None, vec![]));
    let ready = Request { method: "GET".into(), ..request("/readyz", "", &Value::Null) };
    for asked in [presents(&ticket), asks_for_token("backend", BACKEND_SECRET, "profile"), ready] {
        let shown = format!("{asked:?}");
        let response = gatepass_core::step::drive(&keyless, &store, asked, moment(NOON, 2));
        assert_eq!((response.status(), response.header("retry-after")), (503, Some("1")), "{shown}");
    }
    assert_eq!(store.with(|tables| tables.clone()), before);
}
