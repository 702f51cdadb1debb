//! The engine over PostgreSQL, against a real server that the tests start in a directory of their own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed expectation is a failed test"
)]

mod archive;
mod chains;
mod clocks;
mod cluster;
#[path = "../../../tests/tests/any_store/conditions.rs"]
mod conditions;
mod connections;
mod contract;
mod copy;
mod encrypted;
mod events;
mod exactly_once;
mod failover;
#[path = "../../../tests/tests/any_store/families.rs"]
mod families;
mod faults;
#[path = "../store/fixture.rs"]
#[allow(dead_code, reason = "the tests of SQLite use the rest")]
mod fixture;
mod fleet;
mod follow;
mod full;
mod history;
#[path = "../../../tests/tests/any_store/interleavings.rs"]
mod interleavings;
mod kit;
mod limits;
mod load;
mod locks;
mod lost_commits;
mod mutations;
mod processes;
mod program;
mod records;
mod redeemers;
mod reference;
mod relay;
mod resolutions;
mod retried;
mod rotate;
mod routes;
#[path = "../../../tests/tests/model_check/scenarios/mod.rs"]
#[allow(dead_code, reason = "the tests of the core alone use the rest")]
mod scenarios;
mod schema;
#[path = "../../../tests/tests/any_store/second_factors.rs"]
mod second_factors;
mod session;
mod sweep;
mod tested_store;
mod triggers;
#[path = "../../../tests/tests/any_store/unguarded.rs"]
mod unguarded;
mod unknown;

/// Returns `large` if `GATEPASS_POSTGRES` is `large`, and `usual` otherwise.
fn scale(usual: u64, large: u64) -> u64 {
    if is_large() { large } else { usual }
}

fn is_large() -> bool {
    std::env::var("GATEPASS_POSTGRES").is_ok_and(|scale| scale == "large")
}
