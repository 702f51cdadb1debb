//! What a request's address means: the client behind trusted proxies, and how often it may fail.

pub mod client_address;
pub mod failure_limiter;
