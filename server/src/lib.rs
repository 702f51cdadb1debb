//! Everything impure of Gatepass: the fronts that speak HTTP, the store, the keys, the clock and the command line.

pub mod clock;
pub mod front;
pub mod keygen;
pub mod master_key;
mod seal;
pub mod store;
