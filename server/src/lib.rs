//! Everything impure of Gatepass: the command line, its configuration, and what stands around the core.

pub mod budget;
pub mod config;
pub mod log;
pub mod peers;
pub mod tally;
