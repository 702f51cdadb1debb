//! Shared by the tests: a store in memory, the world its records describe, the reference model, a plain HTTP client, the harness that
//! runs the real binary, and the black-box suite that every embedding has to pass.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

pub mod http;
pub mod memory;
pub mod reference;
pub mod server;
pub mod suite;
pub mod world;
