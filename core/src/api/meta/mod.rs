//! Documents about the server, its health and its metrics.

pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod published;
