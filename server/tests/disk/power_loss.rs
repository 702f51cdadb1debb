//! Power losses: after each disk operation, and with any part of the unsynced data gone.

use gatepass::store::Access;
use gatepass_core::store::change::Outcome;

use crate::commits::{Commit, ReportedCommit, serve_and_hold};
use crate::disk::Remaining;
use crate::disk_fixture::DiskFixture;
use crate::fixture::at_once;

/// The number of partial losses at each moment.
const PARTIAL_LOSSES: u64 = 3;

#[test]
fn a_power_loss_loses_nothing_that_was_reported() {
    let fixture = DiskFixture::new();
    // The reported outcomes, and the latest moment of each.
    let mut told = Vec::new();
    let mut run = |store: &_, commits: &[Commit]| {
        for commit in commits {
            let outcome = commit.on(store);
            assert_eq!(outcome, Outcome::Applied, "{commit:?}");
            told.push((fixture.disk.done(), ReportedCommit { commit: *commit, outcome: Some(outcome) }));
        }
    };
    let store = fixture.open(Access::Write).unwrap();
    run(&store, &[Commit::Issue(0), Commit::Redeem(0), Commit::Issue(1), Commit::Fill(0)]);
    run(
        &store,
        &[Commit::Redeem(1), Commit::Issue(2), Commit::Fill(520), Commit::Redeem(2), Commit::Issue(3)],
    );
    // Closing copies the log into the file and deletes it.
    drop(store);
    let store = fixture.open(Access::Write).unwrap();
    run(&store, &[Commit::Redeem(3)]);
    let together = store.clone();
    for outcome in at_once(4, move |i| Commit::Issue(10 + i).on(&together)) {
        assert_eq!(outcome, Outcome::Applied);
    }
    let now = fixture.disk.done();
    let issued =
        |i: u64| (now, ReportedCommit { commit: Commit::Issue(10 + i), outcome: Some(Outcome::Applied) });
    told.extend((0..4).map(issued));
    drop(store);

    let end = fixture.disk.done();
    assert!(end > 100, "{end}");
    for cut in 0..=end {
        let lefts =
            (0..PARTIAL_LOSSES).map(|i| Remaining::Some(u64::try_from(cut).unwrap() * PARTIAL_LOSSES + i));
        for left in [Remaining::Nothing, Remaining::Everything].into_iter().chain(lefts) {
            let told: Vec<ReportedCommit> = told
                .iter()
                .map(|(at, told)| ReportedCommit {
                    outcome: told.outcome.filter(|_| *at <= cut),
                    ..told.clone()
                })
                .collect();
            let after = DiskFixture::on(fixture.disk.after_power_loss(cut, left));
            serve_and_hold(&after, &told, &(cut, left));
        }
    }
    println!("{} power cuts", (end + 1) * (2 + usize::try_from(PARTIAL_LOSSES).unwrap()));
}
