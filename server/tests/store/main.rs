//! The promises of the store, on real files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test may fail in any line"
)]

mod accounts;
mod archive;
mod audit_list;
mod chain;
mod changes;
mod clocks;
#[cfg(feature = "postgres")]
#[allow(dead_code, reason = "the tests of that engine alone need more of it")]
#[path = "../postgres/cluster.rs"]
mod cluster;
mod contract;
mod deliveries;
mod engines;
mod faults;
mod fixture;
mod growth;
mod identifiers;
mod keys;
mod model;
mod old_state;
mod parking;
#[cfg(feature = "postgres")]
mod postgres;
mod race;
mod rows;
#[cfg(feature = "postgres")]
#[allow(dead_code, reason = "the tests of that engine alone need more of it")]
#[path = "../postgres/session.rs"]
mod session;
