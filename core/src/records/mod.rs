//! The records, one file each: users, clients, tickets, sessions, challenges, second factors, sign-in history.

pub mod challenge;
pub mod client;
pub mod client_assertion;
pub mod client_credentials;
pub mod client_key;
pub mod delivery;
pub mod factor;
pub mod id;
pub mod identifier;
pub mod named_clients;
pub mod password;
pub mod request_id;
pub mod request_inputs;
pub mod risk;
pub mod role;
pub mod scope;
pub mod session;
pub mod sign_in_history;
pub mod signing_key;
pub mod ticket;
pub mod user;
