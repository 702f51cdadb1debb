//! The work that waits is bounded, and the store ends when it is closed.

use std::sync::Arc;
use std::sync::mpsc::channel;

use gatepass::store::StoreError;
use gatepass::store::prelude::*;
use gatepass_core::store::Store as _;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::{Identity, Query, Records};

use crate::cluster::Fixture;
use crate::events::{commit, event, insert_records, listed, write};
use crate::session::Session;

#[test]
fn commits_beyond_the_queue_are_refused_at_once() {
    let fixture = Fixture::empty();
    let store = fixture.store();
    write(&store, 1);
    let holder = Session::open(&fixture.url());
    holder.run("BEGIN; SELECT 1 FROM meta FOR UPDATE").unwrap();
    let (told, answers) = channel();
    let send = |number| {
        let changes: Arc<[Change]> = [event(number)].into();
        let told = told.clone();
        store.commit_then(&changes, Box::new(move |outcome| told.send(outcome).unwrap()));
    };
    send(1);
    Session::open(&fixture.url()).wait_until("SELECT count(*) = 1 FROM pg_locks WHERE NOT granted");
    // One batch is under way.
    (0..4096).for_each(send);
    assert!(answers.try_recv().is_err());
    assert_eq!(store.measures().unwrap().waiting.get(), 4096);
    send(2);
    assert_eq!(answers.recv().unwrap(), Outcome::NotApplied);
    assert_eq!(store.measures().unwrap().waiting.get(), 4096);
    holder.run("ROLLBACK").unwrap();
    let outcomes: Vec<_> = answers.iter().take(4097).collect();
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Applied));
    let measures = store.measures().unwrap();
    assert_eq!(measures.waiting.get(), 0);
    assert_eq!(measures.batch.read().sum, 4098);
}

#[test]
fn a_store_that_is_closed_has_written_what_waited_and_takes_nothing_more() {
    let fixture = Fixture::empty();
    let store = fixture.store();
    let (told, answers) = channel();
    for number in 0..300 {
        let changes: Arc<[Change]> = [event(number)].into();
        let told = told.clone();
        store.commit_then(&changes, Box::new(move |outcome| told.send(outcome).unwrap()));
    }
    drop(told);
    store.close().unwrap();
    assert_eq!(answers.iter().filter(|outcome| *outcome == Outcome::Applied).count(), 300);
    store.close().unwrap();
    assert_eq!(commit(&store, [event(1)]), Outcome::NotApplied);
    assert_eq!(store.clock_state(), Err(StoreError::Overloaded));
    assert!(matches!(store.read(&Query::Generation).records, Records::Unreadable));
    assert_eq!(listed(&fixture.command()).len(), 300);
    // Nobody waits for its slot.
    drop(fixture.store());
    assert_eq!(fixture.sql("SELECT count(*) FROM audit_slots"), "2\n");
}

#[test]
fn the_last_holder_may_let_go_on_the_thread_of_the_store() {
    let fixture = Fixture::empty();
    let store = fixture.store();
    let (told, answers) = channel();
    let changes: Arc<[Change]> = [event(1)].into();
    let held = store.clone();
    store.commit_then(
        &changes,
        Box::new(move |outcome| {
            drop(held);
            told.send(outcome).unwrap();
        }),
    );
    drop(store);
    assert_eq!(answers.recv().unwrap(), Outcome::Applied);
}

#[test]
fn a_command_that_reads_writes_nothing() {
    let fixture = Fixture::empty();
    insert_records(&fixture.store());
    let store = fixture.reading();
    assert_eq!(commit(&store, [event(1)]), Outcome::NotApplied);
    assert_eq!(store.forget_clock_ahead(), Err(StoreError::OpenedForReading));
    assert_eq!(listed(&store), []);
}

#[test]
fn what_was_handed_over_is_neither_served_nor_written() {
    let fixture = Fixture::empty();
    let store = fixture.store();
    write(&store, 1);
    fixture.sql("UPDATE meta SET handover = 'h1'");
    let handed_over = StoreError::HandedOver("h1".into());
    assert_eq!(commit(&store, [event(1)]), Outcome::NotApplied);
    assert_eq!(store.forget_clock_ahead(), Err(handed_over.clone()));
    assert_eq!(store.find(&Query::Generation), Err(handed_over));
    assert!(fixture.reading().find(&Query::Generation).is_ok());
}

#[test]
fn a_text_with_nul_fails_nobody() {
    let fixture = Fixture::empty();
    let store = fixture.store();
    insert_records(&store);
    let login = |text: &str| Query::Login(Identity(text.into()));
    let queries = [login("a\0b"), login("alice")];
    let found = store.read_all(&queries.each_ref()).unwrap();
    assert_eq!(found[0].records, store.read(&login("nobody")).records);
    assert_ne!(found[1].records, found[0].records);
}

#[test]
fn whoever_asks_if_it_can_write_often_has_it_write_seldom() {
    let fixture = Fixture::empty();
    let store = fixture.command();
    let written = || fixture.sql("SELECT count(*) FROM commits").trim().parse::<u32>().unwrap();
    write(&store, 1);
    let before = written();
    let probes = (0..200).filter(|_| commit(&store, [Change::Probe]) == Outcome::Applied).count();
    assert_eq!(probes, 200);
    assert!(written() - before < 20, "{before} {}", written());
    // One that failed proves nothing.
    fixture.sql("UPDATE meta SET handover = 'h1'");
    assert_eq!(commit(&store, [event(1)]), Outcome::NotApplied);
    assert_eq!(commit(&store, [Change::Probe]), Outcome::NotApplied);
}

#[test]
fn a_waiter_that_panics_takes_nobody_along() {
    let fixture = Fixture::empty();
    let store = fixture.store();
    for number in 0..3 {
        let changes: Arc<[Change]> = [event(number)].into();
        store.commit_then(&changes, Box::new(|_| panic!("for the test")));
        store.read_then(Query::Generation, Box::new(|_| panic!("for the test")));
    }
    assert_eq!(commit(&store, [event(3)]), Outcome::Applied);
    assert!(store.find(&Query::Generation).is_ok());
    assert_eq!(listed(&store).len(), 4);
}
