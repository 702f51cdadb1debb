//! What a user does to their own account.

pub(crate) mod password;
pub(crate) mod sessions;
