//! Everything impure of Gatepass: the fronts that speak HTTP, the store, the keys, the clock and the command line.

pub mod budget;
pub mod cli;
pub mod clock;
pub mod config;
pub mod front;
pub mod keygen;
pub mod log;
pub mod master_key;
pub mod peers;
pub mod serve;
pub mod store;
pub mod tally;
