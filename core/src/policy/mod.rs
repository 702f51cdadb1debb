//! Decisions, as pure functions of records, settings and time.

pub mod administration;
pub(crate) mod delivery;
pub mod enrolment;
pub(crate) mod guess_counter;
pub(crate) mod issuing;
pub mod password;
pub(crate) mod refresh;
pub(crate) mod resources;
pub mod risk;
pub mod scope_limit;
pub(crate) mod second_factor;
pub mod session_state;
pub mod sign_in;
pub mod ticket_issuing;
pub(crate) mod ticket_redemption;
pub mod ticket_request;
pub mod ticket_status;
pub(crate) mod totp;
