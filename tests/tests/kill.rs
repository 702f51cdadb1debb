//! The real binary, killed at random moments under load (`kill -9`), keeps to everything it answered.
//!
//! A killed process loses what it had not written; what it wrote and had not synced, the system keeps. What a power
//! cut takes is the subject of `disk` in the server's own tests.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use gatepass_tests::dice::{Dice, number};
use gatepass_tests::ledger::Ledger;
use gatepass_tests::load::until_killed;
use gatepass_tests::server::Site;
use serde_json::json;

const CLIENTS: usize = 16;
/// A kill comes after this many answers, at the latest.
const ANSWERS: u64 = 160;
/// The longest grace there is: whoever lost the answer to a refresh is given it after the restart.
const SERVE: &[&str] =
    &["--issuer", "http://gate.example", "--user-token-lifetime", "12h", "--refresh-grace", "300s"];

#[test]
fn nothing_spent_comes_back_and_nothing_answered_is_lost() {
    let kills = number("GATEPASS_KILLS", 20);
    let fresh = getrandom::u64().expect("the system's randomness");
    let seed = number("GATEPASS_SEED", fresh);
    println!("GATEPASS_SEED={seed} GATEPASS_KILLS={kills}");
    let mut dice = Dice::new(seed);

    let site = Site::below(env!("CARGO_TARGET_TMPDIR"));
    site.json(&["--init", "key", "generate", "--alg", "EdDSA", "--activate"]);
    site.populate();
    let ledger = Ledger::default();
    let mut server = site.serve(SERVE);
    for _ in 0..kills {
        let answers = 1 + dice.below(ANSWERS);
        let target = server.target();
        until_killed(target, &ledger, &mut dice, CLIENTS, answers, || server.kill());
        // Either a command is the first that finds what the killed one left, or the next server.
        if dice.once_in(2) {
            sound(&site);
            server = site.serve(SERVE);
        } else {
            server = site.serve(SERVE);
            sound(&site);
        }
        ledger.hold(server.target(), &mut dice);
    }
    ledger.close(server.target());
    sound(&site);
    let seen = &ledger.seen;
    println!("{seen}");

    // A run that met none of what it is for shows nothing.
    let met = |what: &str, count: &AtomicU64, least: u64| {
        let count = count.load(Relaxed);
        assert!(count >= least, "{what}: {count}, which is fewer than {least}; {seen}");
    };
    met("answers", &seen.answers, kills);
    met("lost answers", &seen.lost, kills);
    met("tickets redeemed after a kill", &seen.kept, kills / 2);
    met("sign-ins lost and still good", &seen.lost_good, kills / 10);
    met("sign-ins lost and spent", &seen.lost_spent, kills / 20);
    met("refreshes", &seen.refreshed, kills);
}

fn sound(site: &Site) {
    assert_eq!(site.json(&["audit", "verify"])["valid"], json!(true));
    let report = site.json(&["check"]);
    assert_eq!(report["ok"], json!(true), "{report}");
}
