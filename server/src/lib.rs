//! Everything impure of Gatepass: the fronts that speak HTTP, the store, the keys, the clock and the command line.

pub mod front;
pub mod keygen;
