//! The server around the core: sockets, the store, the keys, the clock and the command line.

mod authority;
pub mod cli;
pub mod clock;
pub mod config;
pub mod database_address;
pub mod error;
pub mod http;
pub mod measures;
pub mod net;
pub mod output;
pub mod runtime;
pub mod secrets;
pub mod store;
pub mod telemetry;
mod terminal;
mod threads;
