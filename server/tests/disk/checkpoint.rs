//! Copying the log into the database file, beside the writer and at the end.

use gatepass::store::prelude::*;
use std::fmt::Debug;
use std::ops::Range;

use gatepass::store::{Access, Store};
use gatepass_core::store::change::Outcome;

use crate::commits::{Commit, ReportedCommit, applied, apply, recover, serve_and_hold};
use crate::coverage::{Coverage, Operation};
use crate::disk::Disk;
use crate::disk_fixture::{DATA, DiskFixture};
use crate::image::Image;

const BEFORE: &[Commit] = &[
    Commit::Issue(0),
    Commit::Redeem(0),
    Commit::Issue(1),
    Commit::Fill(0),
    Commit::Fill(520),
    Commit::Redeem(1),
    Commit::Issue(2),
];

/// Returns what a server leaves that is killed after the commits.
fn with_log() -> Image {
    let fixture = DiskFixture::new();
    let store = fixture.open(Access::Write).unwrap();
    apply(&store, BEFORE);
    fixture.disk.image()
}

/// Returns the part of `run` that copies the log: everything from the first write to the database file on.
fn copying(disk: &Disk, run: Range<usize>) -> Range<usize> {
    let first = disk.first_write(run.start, &format!("{DATA}/gatepass.db")).expect("the log is copied");
    // The log is synced before that.
    first - 1..run.end
}

/// Closes a store that has a log.
struct CloseStore;

impl Operation for CloseStore {
    type Prepared = Store;

    fn before(&self) -> Image {
        with_log()
    }

    fn prepare(&self, fixture: &DiskFixture) -> Store {
        fixture.open(Access::Write).unwrap()
    }

    fn run(&self, _: &DiskFixture, store: &mut Store) -> bool {
        store.close().is_ok()
    }

    fn span(&self, disk: &Disk, run: Range<usize>) -> Range<usize> {
        copying(disk, run)
    }

    fn hold(&self, fixture: &DiskFixture, _: Option<bool>, case: &dyn Debug) {
        serve_and_hold(fixture, &applied(BEFORE), case);
    }
}

/// Copies the log on a thread after many commits, while commits go on.
struct CheckpointThread;

const MUCH: [Commit; 4] = [Commit::Fill(2000), Commit::Fill(2520), Commit::Fill(3040), Commit::Fill(3560)];
const MEANWHILE: [Commit; 3] = [Commit::Issue(3), Commit::Redeem(2), Commit::Issue(4)];

impl Operation for CheckpointThread {
    type Prepared = (Store, Vec<ReportedCommit>);

    fn before(&self) -> Image {
        with_log()
    }

    fn prepare(&self, fixture: &DiskFixture) -> Self::Prepared {
        (fixture.open(Access::Write).unwrap(), Vec::new())
    }

    fn run(&self, fixture: &DiskFixture, (store, told): &mut Self::Prepared) -> bool {
        for commit in MUCH {
            commit.on(store);
        }
        for commit in MEANWHILE {
            let outcome = commit.on(store);
            told.push(ReportedCommit { commit, outcome: Some(outcome) });
        }
        settle(fixture);
        told.iter().all(|told| told.outcome == Some(Outcome::Applied))
    }

    fn span(&self, disk: &Disk, run: Range<usize>) -> Range<usize> {
        copying(disk, run)
    }

    /// Returns true: a thread's operations differ from run to run.
    fn is_inside(&self, disk: &Disk, from: usize, at: usize) -> bool {
        disk.first_write(from, &format!("{DATA}/gatepass.db")).is_some_and(|first| first <= at + 1)
    }

    fn go_on(&self, _: &DiskFixture, (store, told): &mut Self::Prepared, case: &dyn Debug) {
        recover(store, [Commit::Issue(7), Commit::Issue(8)], &(case, told));
    }

    fn hold(&self, fixture: &DiskFixture, told: Option<bool>, case: &dyn Debug) {
        let mut commits = BEFORE.to_vec();
        if told == Some(true) {
            commits.extend(MEANWHILE);
        }
        serve_and_hold(fixture, &applied(&commits), case);
    }
}

/// Waits until the checkpoint thread has no work left.
fn settle(fixture: &DiskFixture) {
    let mut done = fixture.disk.done();
    loop {
        std::thread::sleep(std::time::Duration::from_millis(3));
        let now = fixture.disk.done();
        if now == done {
            return;
        }
        done = now;
    }
}

#[test]
fn a_log_that_is_copied_loses_nothing() {
    let mut coverage = Coverage::new("checkpoint");
    coverage.exercise(&CloseStore, 2);
    coverage.exercise(&CheckpointThread, 2);
    coverage.finish();
}
