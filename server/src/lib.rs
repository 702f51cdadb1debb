//! Everything impure of Gatepass: the fronts that speak HTTP, and what stands behind them.

pub mod front;
