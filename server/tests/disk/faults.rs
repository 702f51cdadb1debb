//! A disk that is full or broken, from every single write on.

use gatepass::store::Access;
use gatepass_core::store::Store as _;
use gatepass_core::store::change::Outcome;
use gatepass_core::store::query::Query;

use crate::commits::{Commit, Told, serve_and_hold};
use crate::disk::{Fault, Left, Trouble};
use crate::fixture::portal;
use crate::site::Site;

const COMMITS: &[Commit] = &[
    Commit::Issue(0),
    Commit::Issue(1),
    Commit::Redeem(0),
    Commit::Fill(0),
    Commit::Redeem(1),
    Commit::Issue(2),
    Commit::Redeem(2),
];
/// While the trouble lasts, so many commits are tried.
const PATIENCE: usize = 2;

#[derive(Debug, Default)]
struct Seen {
    runs: usize,
    struck: usize,
    not_applied: usize,
    unknown: usize,
    cuts: usize,
}

/// Does everything to a store whose disk fails, and holds it to what it told; whether there was as much to do as the
/// fault waits for.
fn run(fault: Fault, seen: &mut Seen) -> bool {
    let site = Site::new();
    site.disk.set(Some(fault));
    let store = site.open(Access::Write).unwrap_or_else(|_| {
        site.disk.set(None);
        site.open(Access::Write).expect("it opens when the disk is mended")
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
        told.push(Told { commit: *commit, outcome: Some(outcome) });
        if !well {
            after_cuts(&site, &told, fault, seen);
            failed += 1;
        }
        if failed == PATIENCE {
            site.disk.set(None);
        }
    }
    let reached = site.disk.done() > fault.from;
    seen.struck += usize::from(site.disk.struck() > 0);
    site.disk.set(None);
    store.make_reserve();
    // The trouble is over, and so are its effects: nobody restarted anything.
    let after = Commit::Issue(7);
    let outcome = after.on(&store);
    assert_eq!(outcome, Outcome::Applied, "{fault:?}: the store did not recover; {told:?}");
    told.push(Told { commit: after, outcome: Some(outcome) });
    after_cuts(&site, &told, fault, seen);
    drop(store);
    serve_and_hold(&site, &told, &fault);
    seen.runs += 1;
    reached
}

/// The power goes now, too.
fn after_cuts(site: &Site, told: &[Told], fault: Fault, seen: &mut Seen) {
    let now = site.disk.done();
    let some = match u64::try_from(fault.from).unwrap() {
        even if even.is_multiple_of(2) => Left::Nothing,
        seed => Left::Some(seed),
    };
    for left in [Left::Everything, some] {
        let after = Site::on(site.disk.after_cut(now, left));
        serve_and_hold(&after, told, &(fault, left));
        seen.cuts += 1;
    }
}

fn at_every_write(once: Trouble, lasting: Trouble) -> Seen {
    let mut seen = Seen::default();
    for (trouble, lasting) in [(once, false), (lasting, true)] {
        let reached = (0..).take_while(|from| run(Fault { trouble, from: *from, lasting }, &mut seen));
        assert!(reached.count() > 50, "{trouble:?}");
    }
    println!("{once:?}, {lasting:?}: {seen:?}");
    assert!(seen.struck > 100 && seen.not_applied > 100, "{seen:?}");
    seen
}

#[test]
fn a_full_disk_does_what_it_tells() {
    at_every_write(Trouble::FullHalfway, Trouble::Full);
}

#[test]
fn a_broken_disk_does_what_it_tells() {
    let seen = at_every_write(Trouble::BrokenHalfway, Trouble::Broken);
    assert!(seen.unknown > 0, "{seen:?}");
}
