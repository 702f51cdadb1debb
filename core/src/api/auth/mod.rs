//! Signing in, tickets and refreshing.

pub(crate) mod generate_ticket;
pub(crate) mod login;
pub(crate) mod new_session;
pub(crate) mod origin;
mod person_context;
pub(crate) mod refresh;
pub(crate) mod sign_in;
pub(crate) mod ticket_signin;
pub(crate) mod verify_challenge;
