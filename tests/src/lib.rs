//! Shared by the tests: a store in memory, the test data, the reference model, the simulation, a small HTTP client, the
//! harness for the real binary, a load generator with a ledger of the answers, and the black-box suite that every
//! embedding must pass.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

pub mod administrator;
pub mod api_document;
pub mod assertions;
pub mod checker;
pub mod fixtures;
pub mod http;
pub mod in_memory_server;
pub mod ledger;
pub mod load;
pub mod memory;
pub mod preloaded_clock;
pub mod recording_relay;
pub mod records;
pub mod reference;
pub mod rng;
pub mod secrets;
pub mod server;
pub mod simulation;
pub mod suite;
pub mod totp;

pub use gatepass_core::store::memory::guard;
