//! The files of an installation, handled by the real binary: after a stop, a command, and when files are missing, put
//! back, replaced, damaged or moved.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, its helpers too"
)]

mod backup;
mod check;
mod first_start;
mod former_chain;
mod full;
mod handover;
mod harness;
#[path = "../cli/installation.rs"]
#[allow(dead_code, reason = "some of it serves the other target alone")]
mod installation;
mod master_key;
mod missing;
mod mixture;
mod owner;
mod reading;
mod replaced;
mod schema;
mod second;
mod stop;
mod witness;
