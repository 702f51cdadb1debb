//! The HTTP API: one file for each endpoint, each read top to bottom in the order it happens, and one table of [routes].
//!
//! A request is looked up in the table and parsed by its endpoint. From there on `endpoint::Flow` goes on with it, one
//! [`step`] after the other.

pub(crate) mod admin;
pub(crate) mod auth;
pub(crate) mod bearer;
pub(crate) mod context;
pub(crate) mod description;
pub(crate) mod endpoint;
pub mod guess;
pub(crate) mod lockout;
pub(crate) mod me;
pub(crate) mod meta;
pub mod mfa;
pub(crate) mod named;
pub(crate) mod oauth;
pub(crate) mod person;
pub mod reply;
pub mod routes;
pub(crate) mod scope_detail;
pub mod server_status;
pub(crate) mod shapes;
pub mod step;
pub mod task;
pub(crate) mod tokens;
