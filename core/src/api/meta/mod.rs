//! Documents about the server, and its health.

pub(crate) mod health;
pub(crate) mod published;
