//! The address of a request: the client behind trusted proxies, and its limit of failures.

pub mod client_address;
pub mod failure_limiter;
