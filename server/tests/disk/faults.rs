//! A disk that is full or broken from each write on.

use gatepass::store::Access;
use gatepass::store::prelude::*;
use gatepass_core::store::Store as _;
use gatepass_core::store::change::Outcome;
use gatepass_core::store::query::Query;

use crate::commits::{Commit, ReportedCommit, serve_and_hold};
use crate::disk::{DiskError, Fault, Remaining};
use crate::disk_fixture::DiskFixture;
use crate::fixture::portal;

const COMMITS: &[Commit] = &[
    Commit::Issue(0),
    Commit::Issue(1),
    Commit::Redeem(0),
    Commit::Fill(0),
    Commit::Redeem(1),
    Commit::Issue(2),
    Commit::Redeem(2),
];
/// The number of commits that are tried while the fault lasts.
const ATTEMPTS: usize = 2;

#[derive(Debug, Default)]
struct Counts {
    runs: usize,
    struck: usize,
    not_applied: usize,
    unknown: usize,
    power_losses: usize,
}

/// Uses a store whose disk fails, and checks it against its reports. Returns true if the run was long enough for the
/// fault.
fn run(fault: Fault, seen: &mut Counts) -> bool {
    let fixture = DiskFixture::new();
    fixture.disk.set(Some(fault));
    let store = fixture.open(Access::Write).unwrap_or_else(|_| {
        fixture.disk.set(None);
        fixture.open(Access::Write).expect("it opens when the disk is mended")
    });
    if fault.from.is_multiple_of(2) {
        // Another connection, so that the writer's is not the last to be closed.
        store.read(&Query::Client(portal()));
    }
    let (mut told, mut failed) = (Vec::new(), 0);
    for commit in COMMITS {
        let outcome = commit.on(&store);
        match outcome {
            Outcome::Applied | Outcome::Conflict => {}
            Outcome::NotApplied => seen.not_applied += 1,
            Outcome::Unknown => seen.unknown += 1,
        }
        let well = outcome == Outcome::Applied;
        told.push(ReportedCommit { commit: *commit, outcome: Some(outcome) });
        if !well {
            after_power_losses(&fixture, &told, fault, seen);
            failed += 1;
        }
        if failed == ATTEMPTS {
            fixture.disk.set(None);
        }
    }
    let reached = fixture.disk.done() > fault.from;
    seen.struck += usize::from(fixture.disk.struck() > 0);
    fixture.disk.set(None);
    store.make_reserve();
    // The fault is over, and the store recovers without a restart.
    let after = Commit::Issue(7);
    let outcome = after.on(&store);
    assert_eq!(outcome, Outcome::Applied, "{fault:?}: the store did not recover; {told:?}");
    told.push(ReportedCommit { commit: after, outcome: Some(outcome) });
    after_power_losses(&fixture, &told, fault, seen);
    drop(store);
    serve_and_hold(&fixture, &told, &fault);
    seen.runs += 1;
    reached
}

/// Checks the same after a power loss at this moment.
fn after_power_losses(fixture: &DiskFixture, told: &[ReportedCommit], fault: Fault, seen: &mut Counts) {
    let now = fixture.disk.done();
    let some = match u64::try_from(fault.from).unwrap() {
        even if even.is_multiple_of(2) => Remaining::Nothing,
        seed => Remaining::Some(seed),
    };
    for left in [Remaining::Everything, some] {
        let after = DiskFixture::on(fixture.disk.after_power_loss(now, left));
        serve_and_hold(&after, told, &(fault, left));
        seen.power_losses += 1;
    }
}

fn at_every_write(once: DiskError, lasting: DiskError) -> Counts {
    let mut seen = Counts::default();
    for (trouble, lasting) in [(once, false), (lasting, true)] {
        let reached = (0..).take_while(|from| run(Fault { trouble, from: *from, lasting }, &mut seen));
        assert!(reached.count() > 50, "{trouble:?}");
    }
    println!("{once:?}, {lasting:?}: {seen:?}");
    assert!(seen.struck > 100 && seen.not_applied > 100, "{seen:?}");
    seen
}

#[test]
fn a_full_disk_does_what_was_reported() {
    at_every_write(DiskError::FullHalfway, DiskError::Full);
}

#[test]
fn a_broken_disk_does_what_was_reported() {
    let seen = at_every_write(DiskError::BrokenHalfway, DiskError::Broken);
    assert!(seen.unknown > 0, "{seen:?}");
}
