//! Time, secrets, words of fixed lists, typing errors, and strict readers of JSON, forms and base64url. Uses no other room.

pub(crate) mod base64url;
pub(crate) mod codes;
pub mod form;
pub mod idempotency_key;
pub mod json;
pub(crate) mod plain_name;
pub mod secret;
pub mod time;
pub mod typing;
pub mod warning;
