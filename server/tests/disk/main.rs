//! The store on a disk that fails: at every write in turn it is full or broken, and at every write in turn the power
//! goes, which takes whatever was not synced. SQLite is the real one; the disk below it is simulated.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail in any line"
)]

mod cuts;
mod deeds;
mod disk;
mod faults;
#[path = "../store/fixture.rs"]
#[allow(dead_code, reason = "shared with the tests of the store, which need more of it")]
mod fixture;
mod vfs;
