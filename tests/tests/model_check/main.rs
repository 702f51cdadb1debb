//! Every way in which the steps of a few requests and commands can fall between one another, on the shipped flows.
//!
//! `GATEPASS_CHECK=large` sees more faults in one run and more actors; it takes some minutes.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

mod families;
mod stage;
mod tickets;

use std::time::Instant;

use gatepass_tests::checker::{Explored, explore};
use gatepass_tests::world;

use stage::Stage;

/// Whether to look further than a build on every change can afford.
fn large() -> bool {
    std::env::var("GATEPASS_CHECK").is_ok_and(|size| size == "large")
}

fn sees(name: &str, stage: &mut Stage<'_>) -> Explored {
    let began = Instant::now();
    let explored = explore(stage);
    println!(
        "{name}: {} states, {} transitions, {} events deep, {:.1} s",
        explored.states,
        explored.transitions,
        explored.depth,
        began.elapsed().as_secs_f32()
    );
    explored
}

fn holds(name: &str, stage: &mut Stage<'_>) {
    if let Some(broken) = sees(name, stage).broken {
        panic!("{name}: {} — broken by\n  {}", broken.promise, broken.events.join("\n  "));
    }
}

#[test]
fn tickets() {
    let gatepass = world::gatepass("http://gate.example");
    holds("tickets", &mut tickets::stage(&gatepass, &[], if large() { 3 } else { 1 }));
}

#[test]
fn families() {
    let gatepass = world::gatepass("http://gate.example");
    holds("families", &mut families::stage(&gatepass, &[], if large() { 2 } else { 1 }));
    holds("ends", &mut families::ends(&gatepass, &[]));
}
