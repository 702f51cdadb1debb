//! The real binary on directories of its own: what it prints, what it refuses, and what it exits with.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, its helpers too"
)]

mod accounts;
mod clocks;
mod commands;
mod config;
mod environment;
mod first_secret;
mod follow;
mod guessing;
mod import;
mod installation;
mod lists;
mod passwords;
mod portal;
mod printing;
mod serve;
