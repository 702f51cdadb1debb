//! Power cuts: after every single write, and with any part of what was not synced gone.

use gatepass_core::model::change::Outcome;

use crate::deeds::{Deed, Site, Told, hold};
use crate::disk::Left;
use crate::fixture::at_once;

/// Cuts of each moment that leave some of it.
const TORN: u64 = 3;

#[test]
fn a_power_cut_takes_nothing_that_was_told() {
    let site = Site::new();
    // What was told, and when at the latest.
    let mut told = Vec::new();
    let mut run = |store: &_, deeds: &[Deed]| {
        for deed in deeds {
            let outcome = deed.on(store);
            assert_eq!(outcome, Outcome::Applied, "{deed:?}");
            told.push((site.disk.done(), Told { deed: *deed, outcome: Some(outcome) }));
        }
    };
    let store = site.open();
    run(&store, &[Deed::Issue(0), Deed::Redeem(0), Deed::Issue(1), Deed::Fill(0)]);
    run(&store, &[Deed::Redeem(1), Deed::Issue(2), Deed::Fill(520), Deed::Redeem(2), Deed::Issue(3)]);
    // Closing copies the log into the file and deletes it.
    drop(store);
    let store = site.open();
    run(&store, &[Deed::Redeem(3)]);
    let together = store.clone();
    for outcome in at_once(4, move |i| Deed::Issue(10 + i).on(&together)) {
        assert_eq!(outcome, Outcome::Applied);
    }
    let now = site.disk.done();
    let issued = |i: u64| (now, Told { deed: Deed::Issue(10 + i), outcome: Some(Outcome::Applied) });
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
            hold(&after.open(), &told, &(cut, left));
        }
    }
    println!("{} power cuts", (end + 1) * (2 + usize::try_from(TORN).unwrap()));
}
