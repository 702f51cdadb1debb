//! Copying the log into the file, beside the writer and at the end.

use std::fmt::Debug;
use std::ops::Range;

use gatepass::store::{Access, Store};
use gatepass_core::store::change::Outcome;

use crate::commits::{Commit, Told, applied, apply, recover, serve_and_hold};
use crate::coverage::{Coverage, Operation};
use crate::disk::Disk;
use crate::image::Image;
use crate::site::{DATA, Site};

const BEFORE: &[Commit] = &[
    Commit::Issue(0),
    Commit::Redeem(0),
    Commit::Issue(1),
    Commit::Fill(0),
    Commit::Fill(520),
    Commit::Redeem(1),
    Commit::Issue(2),
];

/// Returns what a server leaves that was killed after the commits.
fn with_log() -> Image {
    let site = Site::new();
    let store = site.open(Access::Write).unwrap();
    apply(&store, BEFORE);
    site.disk.image()
}

/// From the first write to the file on, all is a copy of the log.
fn copying(disk: &Disk, run: Range<usize>) -> Range<usize> {
    let first = disk.first_write(run.start, &format!("{DATA}/gatepass.db")).expect("the log is copied");
    // The log is synced before.
    first - 1..run.end
}

/// A store with a log is closed.
struct Close;

impl Operation for Close {
    type Prepared = Store;

    fn before(&self) -> Image {
        with_log()
    }

    fn prepare(&self, site: &Site) -> Store {
        site.open(Access::Write).unwrap()
    }

    fn run(&self, _: &Site, store: &mut Store) -> bool {
        store.close().is_ok()
    }

    fn span(&self, disk: &Disk, run: Range<usize>) -> Range<usize> {
        copying(disk, run)
    }

    fn hold(&self, site: &Site, _: Option<bool>, case: &dyn Debug) {
        serve_and_hold(site, &applied(BEFORE), case);
    }
}

/// A thread copies the log, since much was committed, and commits go on meanwhile.
struct Beside;

const MUCH: [Commit; 4] = [Commit::Fill(2000), Commit::Fill(2520), Commit::Fill(3040), Commit::Fill(3560)];
const MEANWHILE: [Commit; 3] = [Commit::Issue(3), Commit::Redeem(2), Commit::Issue(4)];

impl Operation for Beside {
    type Prepared = (Store, Vec<Told>);

    fn before(&self) -> Image {
        with_log()
    }

    fn prepare(&self, site: &Site) -> Self::Prepared {
        (site.open(Access::Write).unwrap(), Vec::new())
    }

    fn run(&self, site: &Site, (store, told): &mut Self::Prepared) -> bool {
        for commit in MUCH {
            commit.on(store);
        }
        for commit in MEANWHILE {
            let outcome = commit.on(store);
            told.push(Told { commit, outcome: Some(outcome) });
        }
        settle(site);
        told.iter().all(|told| told.outcome == Some(Outcome::Applied))
    }

    fn span(&self, disk: &Disk, run: Range<usize>) -> Range<usize> {
        copying(disk, run)
    }

    /// Threads are not alike in every run.
    fn is_inside(&self, disk: &Disk, from: usize, at: usize) -> bool {
        disk.first_write(from, &format!("{DATA}/gatepass.db")).is_some_and(|first| first <= at + 1)
    }

    fn go_on(&self, _: &Site, (store, told): &mut Self::Prepared, case: &dyn Debug) {
        recover(store, [Commit::Issue(7), Commit::Issue(8)], &(case, told));
    }

    fn hold(&self, site: &Site, told: Option<bool>, case: &dyn Debug) {
        let mut commits = BEFORE.to_vec();
        if told == Some(true) {
            commits.extend(MEANWHILE);
        }
        serve_and_hold(site, &applied(&commits), case);
    }
}

/// Waits until the thread that copies has nothing to do any more.
fn settle(site: &Site) {
    let mut done = site.disk.done();
    loop {
        std::thread::sleep(std::time::Duration::from_millis(3));
        let now = site.disk.done();
        if now == done {
            return;
        }
        done = now;
    }
}

#[test]
fn a_log_that_is_copied_loses_nothing() {
    let mut coverage = Coverage::new("checkpoint");
    coverage.exercise(&Close, 2);
    coverage.exercise(&Beside, 2);
    coverage.finish();
}
