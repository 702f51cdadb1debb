//! The fronts over real sockets, against everything that stops or fools a stock `tiny_http` 0.12.
//!
//! - `house`: a service to stand behind a front, and a client to knock.
//! - `framing`: where requests begin and end.
//! - `siege`: connections that come in numbers, stall, or go away.
//! - `alone`: what is measured in processes of their own: descriptors, threads, memory.
//! - `life`: deadlines, draining, panics.
//! - `stock`: the other front.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by failing"
)]

mod alone;
mod framing;
mod house;
mod life;
mod siege;
mod stock;
