//! The store on a disk that fails: at every operation in turn it is full or broken, and after every operation in turn the
//! power goes, which takes whatever was not synced. SQLite is the real one; the disk below it is simulated, and so is the
//! disk below the files beside the database.
//!
//! `GATEPASS_DISK=20000 cargo test --release -p gatepass --test disk` has so many faults of each kind instead of a thousand.
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
mod cuts;
mod disk;
mod faults;
mod files;
mod first_start;
#[path = "../store/fixture.rs"]
#[allow(dead_code, reason = "shared with the tests of the store, which need more of it")]
mod fixture;
mod generation;
mod image;
mod migration;
mod restore;
mod rotation;
mod site;
mod vfs;
