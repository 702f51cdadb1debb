//! Decisions, as pure functions of records, settings and time.

pub(crate) mod refresh;
pub(crate) mod second_factor;
pub(crate) mod sign_in;
pub(crate) mod totp;
