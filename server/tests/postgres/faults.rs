//! What a database refuses for a moment is written again inside the store. What it refuses again and again was not written.

use std::thread;

use gatepass_core::store::change::{Change, Outcome};

use crate::cluster::Cluster;
use crate::fixture::ticket;
use crate::is_large;
use crate::kit;
use crate::records::{Process, redemption};
use crate::session::Session;
use crate::triggers::{At, Failures, HeldWrites, contents};

const SERIALIZATION_FAILURE: &str = "40001";
const DEADLOCK: &str = "40P01";
const IO_ERROR: &str = "58030";

#[test]
fn a_commit_that_fails_once_is_written_again_and_one_that_always_fails_has_written_nothing() {
    let cluster = Cluster::start();
    let url = cluster.url(&cluster.database());
    let (process, session) = (Process::command(&url), Session::open(&url));
    let failures = Failures::install(&session);
    let passing = [SERIALIZATION_FAILURE, DEADLOCK]
        .into_iter()
        .flat_map(|code| [At::FirstWrite, At::Commit].map(|at| (code, at)));
    let (mut once, mut always) = (
        passing.clone().cycle(),
        passing.chain([(IO_ERROR, At::FirstWrite), (IO_ERROR, At::Commit)]).cycle(),
    );
    let tried = if is_large() { kit::commits() } else { kit::first_commits() };
    println!("{} commits", tried.len());
    // A second after a commit, a probe is proven without one.
    for tried in tried.iter().filter(|tried| !matches!(*tried.changes, [Change::Probe])) {
        let (changes, commit) = (&tried.changes, || process.commit(tried.changes.iter().cloned()));
        if tried.is_new {
            let before = contents(&session);
            let (code, at) = always.next().unwrap();
            failures.next(1_000_000, code, at);
            assert_eq!(commit(), Outcome::NotApplied, "{changes:?}");
            assert_ne!(failures.stop(), 0);
            assert_eq!(contents(&session), before, "{changes:?}");
        }
        let (code, at) = once.next().unwrap();
        failures.next(1, code, at);
        assert_eq!(commit(), tried.outcome, "{changes:?}");
        // What conflicts writes nothing that could fail.
        assert_eq!(failures.stop(), u64::from(tried.outcome == Outcome::Applied), "{changes:?}");
    }
}

#[test]
fn a_commit_does_not_wait_for_a_lock_for_ever() {
    let cluster = Cluster::start();
    let url = cluster.url(&cluster.database());
    let (process, session) = (Process::command(&url).with_records(), Session::open(&url));
    assert_eq!(process.commit([Change::InsertTicket(ticket(1))]), Outcome::Applied);
    let before = contents(&session);
    session.run("BEGIN; SELECT FROM tickets FOR UPDATE").unwrap();
    assert_eq!(process.commit(redemption(1, 1)), Outcome::NotApplied);
    session.run("ROLLBACK").unwrap();
    assert_eq!(contents(&session), before);
    assert_eq!(process.commit(redemption(1, 2)), Outcome::Applied);
}

#[test]
fn a_row_that_another_one_inserts_meanwhile_is_a_conflict() {
    let cluster = Cluster::start();
    let url = cluster.url(&cluster.database());
    let (process, session) = (Process::command(&url).with_records(), Session::open(&url));
    assert_eq!(process.commit([Change::InsertTicket(ticket(1))]), Outcome::Applied);
    session.run("CREATE TEMP TABLE other AS TABLE tickets; DELETE FROM tickets").unwrap();
    let writes = HeldWrites::install(&session);
    writes.close();
    thread::scope(|scope| {
        let conflicts = scope.spawn(|| process.commit([Change::InsertTicket(ticket(1))]));
        // It has found that neither its id nor its digest is taken.
        writes.wait_until_held();
        session.run("INSERT INTO tickets TABLE other").unwrap();
        writes.open();
        assert_eq!(conflicts.join().unwrap(), Outcome::Conflict);
    });
    assert_eq!(process.commit(redemption(1, 1)), Outcome::Applied);
}
