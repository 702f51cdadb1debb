//! A database that has lost what it had committed is found out, by a process that lives on and by one that starts.

use gatepass_core::store::Store as _;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::Query;

use crate::cluster::{Cluster, Fixture, address};
use crate::fixture::ticket;
use crate::records::Process;

fn epoch(process: &Process) -> u64 {
    process.store.read(&Query::Generation).state_epoch
}

/// Returns the outcome of a commit that rests on the state epoch.
fn issue(process: &Process, number: u64, epoch: u64) -> Outcome {
    process.commit([Change::RequireStateEpoch(epoch), Change::InsertTicket(ticket(number))])
}

#[test]
fn a_process_that_lives_on_finds_the_loss_at_its_next_commit() {
    let fixture = Fixture::empty();
    let one = Process::first(&fixture.url());
    let other = one.another(&fixture.url());
    let before = epoch(&one);
    assert_eq!(issue(&one, 1, before), Outcome::Applied);
    assert_eq!(issue(&other, 2, before), Outcome::Applied);
    // The standby that takes over has not received the last commits.
    fixture.sql("UPDATE processes SET commits = commits - 1");
    assert_eq!(issue(&one, 3, before), Outcome::Conflict, "what was issued before is refused");
    let after = epoch(&one);
    assert!(after > before);
    assert_eq!(issue(&other, 4, after), Outcome::Applied);
    assert_eq!(epoch(&other), after, "the loss is found once");
    assert_eq!(issue(&one, 5, after), Outcome::Applied);
    assert_eq!(fixture.sql("SELECT count(*) FROM audit WHERE kind = 'state.superseded'").trim(), "1");
}

#[test]
fn a_process_that_starts_finds_older_state_and_only_that() {
    let fixture = Fixture::empty();
    let mut process = Process::first(&fixture.url());
    let before = epoch(&process);
    process = Process::at(&fixture.url(), process.stop());
    assert_eq!(epoch(&process), before, "nothing is lost by a stop and a start");
    let dir = process.stop();
    fixture.cluster().sql("postgres", &format!("CREATE DATABASE {0}_old TEMPLATE {0}", fixture.database()));
    let process = Process::at(&fixture.url(), dir);
    assert_eq!(issue(&process, 1, before), Outcome::Applied);
    let dir = process.stop();
    let process = Process::at(&fixture.url(), dir);
    assert_eq!(epoch(&process), before, "the newest state is no older one");
    let dir = process.stop();
    let old = fixture.cluster().url(&format!("{}_old", fixture.database()));
    let process = Process::at(&old, dir);
    assert!(epoch(&process) > before, "a database that was put back is found");
    assert_eq!(issue(&process, 2, before), Outcome::Conflict);
}

#[test]
fn a_failover_to_a_standby_that_lagged_behind_is_found() {
    let primary = Cluster::start();
    let standby = primary.standby();
    let database = primary.database();
    let url = address(&[primary.path(), standby.path()], &database);
    let process = Process::first(&url);
    let before = epoch(&process);
    assert_eq!(issue(&process, 1, before), Outcome::Applied);
    primary.wait_until_received();
    standby.stop_receiving();
    assert_eq!(issue(&process, 2, before), Outcome::Applied, "answered, and on the primary alone");
    primary.kill();
    standby.promote();
    // Connections to the former primary are lost: until the process is connected to the other one, nothing is applied.
    let outcome = loop {
        match issue(&process, 3, before) {
            Outcome::NotApplied => {}
            outcome @ (Outcome::Applied | Outcome::Conflict | Outcome::Unknown) => break outcome,
        }
    };
    assert_eq!(outcome, Outcome::Conflict, "the loss is found before anything is written");
    assert!(epoch(&process) > before);
}
