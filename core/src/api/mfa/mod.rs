//! Second factors.

pub(crate) mod factors;
pub mod otpauth;
