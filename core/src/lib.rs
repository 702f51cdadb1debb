//! The Sans-IO core of Gatepass.
#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::as_conversions)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod audit;
pub mod crypto;
mod flow;
pub mod gatepass;
pub mod jose;
pub mod model;
pub mod moment;
mod policy;
pub mod secret;
pub mod settings;
pub mod step;
pub mod store;
pub mod ticket_request;
pub mod time;
pub mod wire;

pub use flow::is_budgeted;
