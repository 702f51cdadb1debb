//! The address of a request: the client behind trusted proxies, and its limit of failures.

pub mod client_address;
mod failure_counts;
pub mod failure_limiter;
pub(crate) mod said;
mod sets;
mod successful_addresses;
pub mod unclear_clients;
