//! The formats of HTTP: requests, responses, headers, and the two shapes of errors. Knows nothing of records or policy.

pub mod authorization;
pub(crate) mod conditional;
pub mod detail;
pub mod idempotency;
pub mod language;
pub mod media;
pub(crate) mod misspelling;
pub mod oauth_error;
pub mod problem;
pub mod request;
pub mod request_error;
pub mod response;
pub(crate) mod shape;
