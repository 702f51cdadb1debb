//! Power cuts: after every single disk operation, and with any part of what was not synced gone.

use gatepass::store::Access;
use gatepass_core::store::change::Outcome;

use crate::commits::{Commit, Told, serve_and_hold};
use crate::disk::Left;
use crate::fixture::at_once;
use crate::site::Site;

/// Cuts of each moment that leave some of it.
const TORN: u64 = 3;

#[test]
fn a_power_cut_takes_nothing_that_was_told() {
    let site = Site::new();
    // What was told, and when at the latest.
    let mut told = Vec::new();
    let mut run = |store: &_, commits: &[Commit]| {
        for commit in commits {
            let outcome = commit.on(store);
            assert_eq!(outcome, Outcome::Applied, "{commit:?}");
            told.push((site.disk.done(), Told { commit: *commit, outcome: Some(outcome) }));
        }
    };
    let store = site.open(Access::Write).unwrap();
    run(&store, &[Commit::Issue(0), Commit::Redeem(0), Commit::Issue(1), Commit::Fill(0)]);
    run(
        &store,
        &[Commit::Redeem(1), Commit::Issue(2), Commit::Fill(520), Commit::Redeem(2), Commit::Issue(3)],
    );
    // Closing copies the log into the file and deletes it.
    drop(store);
    let store = site.open(Access::Write).unwrap();
    run(&store, &[Commit::Redeem(3)]);
    let together = store.clone();
    for outcome in at_once(4, move |i| Commit::Issue(10 + i).on(&together)) {
        assert_eq!(outcome, Outcome::Applied);
    }
    let now = site.disk.done();
    let issued = |i: u64| (now, Told { commit: Commit::Issue(10 + i), outcome: Some(Outcome::Applied) });
    told.extend((0..4).map(issued));
    drop(store);

    let end = site.disk.done();
    assert!(end > 100, "{end}");
    for cut in 0..=end {
        let lefts = (0..TORN).map(|i| Left::Some(u64::try_from(cut).unwrap() * TORN + i));
        for left in [Left::Nothing, Left::Everything].into_iter().chain(lefts) {
            let told: Vec<Told> = told
                .iter()
                .map(|(at, told)| Told { outcome: told.outcome.filter(|_| *at <= cut), ..told.clone() })
                .collect();
            let after = Site::on(site.disk.after_cut(cut, left));
            serve_and_hold(&after, &told, &(cut, left));
        }
    }
    println!("{} power cuts", (end + 1) * (2 + usize::try_from(TORN).unwrap()));
}
