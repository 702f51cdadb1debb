//! An administrator's operations: a typed request becomes a [`Step`], and ends in a typed result or an [`AdminError`].
//!
//! Each operation asks one [`Query`](crate::store::query::Query), decides on what was found, and commits changes that are conditional on
//! it. Where the commit is a conflict, it reads and decides again, at most [`ATTEMPTS`] times. An operation signs nothing, so
//! it needs settings and no keys. One file holds the operations of one subject.
//!
//! A new verb is a struct with its [`Operation`] here, a `Verb` of the command line that drives it and prints its result, and a test in
//! `tests/tests/administrator.rs`. What it reads is a query of the store's contract, and what it writes are changes of it.
//!
//! ```
//! use gatepass_core::admin::users::DisableUser;
//! use gatepass_core::admin::{AdminError, Administrator, Item, Step, begin};
//! # use gatepass_core::base::time::Time;
//! # use gatepass_core::base::warning::Warnings;
//! # use gatepass_core::crypto::seed::Seed;
//! use gatepass_core::records::id::UserRef;
//! # use gatepass_core::records::request_inputs::RequestInputs;
//! use gatepass_core::settings::{Issuer, Settings};
//! use gatepass_core::store::query::{Found, Records};
//!
//! # let now = Time::from_unix(1_750_000_000);
//! # let inputs = RequestInputs { now, fraction: 0, seed: Seed::new([7; 32]), warnings: Warnings::NONE, wall: now };
//! let settings = Settings::new(Issuer::parse("https://gate.example")?);
//! let disable = DisableUser { user: UserRef::Username("alice".into()) };
//! let Step::Read(read) = begin(disable, Administrator::Machine, inputs) else { panic!() };
//! // A store that has nobody in it.
//! let found = Found { generation: 1, state_epoch: 0, records: Records::User(gatepass_core::store::query::Named::Nobody) };
//! let Step::Done(result) = read.resume(&settings, found) else { panic!() };
//! assert_eq!(result.err(), Some(AdminError::NotFound(Item::User("alice".into()))));
//! # Ok::<(), gatepass_core::settings::IssuerError>(())
//! ```

mod administrator;
mod client_fields;
pub mod client_keys;
pub mod client_secrets;
pub mod clients;
mod error;
pub mod factors;
mod fields;
pub mod import;
pub mod keys;
pub mod risk;
pub mod roles;
pub mod sessions;
mod step;
pub mod tickets;
mod user_search;
pub mod users;

pub use administrator::Administrator;
pub use client_fields::ClientFields;
pub use error::{AdminError, Field, Invalid, Item, Obstacle};
pub use fields::UserFields;
pub use step::{
    ATTEMPTS, Commit, Decision, HashPassword, Operation, OperationInputs, Plan, Read, Step, begin, run,
};
pub use user_search::UserSearch;
