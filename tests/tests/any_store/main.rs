//! Tests that hold on any store which can be looked into and altered: here in memory, and in the tests of the server over PostgreSQL.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

mod conditions;
mod families;
mod interleavings;
mod second_factors;
mod tested_store;
mod unguarded;
