//! The HTTP servers over real sockets, against everything that stops or misleads a stock `tiny_http` 0.12.
//!
//! - `harness`: a service behind a listener, and a client.
//! - `framing`: the beginning and end of requests.
//! - `overload`: many connections, stalled ones, and disconnects.
//! - `alone`: measurements in processes of their own: descriptors, threads, memory.
//! - `lifecycle`: deadlines, draining, panics.
//! - `stock`: the `tiny_http` server.
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
mod harness;
mod lifecycle;
mod overload;
mod stock;
