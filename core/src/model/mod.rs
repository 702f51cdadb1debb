//! The records: users, clients, tickets, sessions; what is asked of the store and what is written to it.

pub mod challenge;
pub mod change;
pub mod client;
pub mod delivery;
pub mod factor;
pub mod habit;
pub mod id;
pub mod named_clients;
pub mod password;
pub mod query;
pub mod risk;
pub mod scope;
pub mod session;
pub mod ticket;
pub mod user;
