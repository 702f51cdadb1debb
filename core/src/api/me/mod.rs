//! A user's own account: password and sessions.

pub(crate) mod password;
pub(crate) mod sessions;
