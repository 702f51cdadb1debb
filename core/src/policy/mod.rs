//! Decisions, as pure functions of records, settings and time.

pub mod admission;
pub(crate) mod delivery;
pub mod enrolment;
pub mod password;
pub(crate) mod refresh;
pub mod risk;
pub(crate) mod second_factor;
pub(crate) mod sign_in;
pub(crate) mod totp;
