//! The store on a disk that fails: each operation in turn finds it full or broken, and after each operation in turn the
//! power is lost with everything that was not synced. SQLite is real; the disk below it, and below the files beside the
//! database, is simulated.
//!
//! `GATEPASS_DISK=20000 cargo test --release -p gatepass --test disk` tests so many faults of each kind instead of
//! 400.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail in any line"
)]

mod backup;
mod checkpoint;
mod commits;
mod coverage;
mod disk;
mod disk_fixture;
mod faults;
mod files;
mod first_start;
#[path = "../store/fixture.rs"]
#[allow(dead_code, reason = "shared with the tests of the store, which need more of it")]
mod fixture;
mod generation;
mod image;
mod migration;
mod power_loss;
mod restore;
mod rotation;
mod vfs;
