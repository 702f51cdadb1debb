//! Everything impure around the core of Gatepass: the store, the keys on disk, the clock.
#![forbid(unsafe_code)]

pub mod clock;
pub mod master_key;
mod seal;
pub mod store;
