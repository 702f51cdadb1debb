//! Shared by the tests: a store in memory, the world its records describe, the reference model, the simulation, a plain HTTP
//! client, the harness that runs the real binary, a load with a ledger of what was answered, and the black-box suite that every
//! embedding has to pass.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

mod before;
pub mod checker;
pub mod dice;
pub mod guard;
pub mod http;
pub mod ledger;
pub mod load;
pub mod memory;
pub mod reference;
pub mod secrets;
pub mod server;
pub mod simulation;
pub mod suite;
pub mod wire_tap;
pub mod world;
