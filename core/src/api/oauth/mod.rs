//! OAuth 2: tokens of clients, introspection, revocation, userinfo.

pub(crate) mod client_auth;
pub(crate) mod introspect;
pub(crate) mod revoke;
pub(crate) mod token;
pub(crate) mod token_inquiry;
pub(crate) mod userinfo;
