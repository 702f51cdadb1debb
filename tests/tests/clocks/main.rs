//! Wrong clocks harm nobody: the real binary, every command and the server, under wall clocks that show 1970, are hours or decades off, or
//! step while it runs; and random walks of both clocks in virtual time.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

mod clock;
mod commands;
mod installation;
mod lasting_jumps;
mod lifetimes;
mod servers;
mod serving;
mod strict;
mod walks;
