//! The real binary, killed at random moments under load (`kill -9`), keeps to every answer.
//!
//! A killed process loses what it had not written; what it wrote without a sync, the system keeps. Power loss is tested
//! by `disk` in the server's own tests.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use gatepass_tests::ledger::Ledger;
use gatepass_tests::load::until_killed;
use gatepass_tests::rng::{Rng, number};
use gatepass_tests::server::TestInstallation;
use serde_json::json;

const CLIENTS: usize = 16;
/// The most answers before a kill.
const ANSWERS: u64 = 160;
/// Arguments with the longest grace: a client that lost the answer to a refresh gets it after the restart.
const SERVE: &[&str] =
    &["--issuer", "http://gate.example", "--user-token-lifetime", "12h", "--refresh-grace", "300s"];

#[test]
fn nothing_spent_comes_back_and_nothing_answered_is_lost() {
    let kills = number("GATEPASS_KILLS", 20);
    let fresh = getrandom::u64().expect("the system's randomness");
    let seed = number("GATEPASS_SEED", fresh);
    println!("GATEPASS_SEED={seed} GATEPASS_KILLS={kills}");
    let mut rng = Rng::new(seed);

    let installation = TestInstallation::below(env!("CARGO_TARGET_TMPDIR"));
    installation.json(&["--init", "key", "generate", "--alg", "EdDSA", "--activate"]);
    installation.populate();
    let ledger = Ledger::default();
    let mut server = installation.serve(SERVE);
    for _ in 0..kills {
        let answers = 1 + rng.below(ANSWERS);
        let target = server.target();
        until_killed(target, &ledger, &mut rng, CLIENTS, answers, || server.kill());
        // Either a command or the next server is the first to find what the killed one left.
        if rng.one_in(2) {
            sound(&installation);
            server = installation.serve(SERVE);
        } else {
            server = installation.serve(SERVE);
            sound(&installation);
        }
        ledger.hold(server.target(), &mut rng);
    }
    ledger.close(server.target());
    sound(&installation);
    let seen = &ledger.seen;
    println!("{seen}");

    // A run that missed one of its cases proves nothing.
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

fn sound(installation: &TestInstallation) {
    assert_eq!(installation.json(&["audit", "verify"])["valid"], json!(true));
    let report = installation.json(&["check"]);
    assert_eq!(report["ok"], json!(true), "{report}");
}
