//! The Sans-IO core of Gatepass.
#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::as_conversions)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod audit;
pub mod crypto;
pub mod model;
pub mod moment;
pub mod secret;
pub mod store;
pub mod time;
pub mod wire;
