//! The Sans-IO core of Gatepass: tickets redeemed exactly once, passwords and second factors, sessions, client credentials, and
//! `/userinfo`.
//!
//! Bytes in, bytes out; in between it asks. A request becomes a [`Step`](step::Step), and each step says what it waits
//! for: records to be read, changes to be made durable, a password to be hashed, or an answer to be sent. The core has no clock, no
//! randomness, no sockets, no files, no threads and no async of its own, so any runtime can drive it.
//!
//! The invariant: **a token or a ticket does not exist until the commit it rests on has been settled as applied.**
//! [`Commit::settle`](step::Commit::settle) is the only place where one is made.
//!
//! The loop below is the whole embedding ([`step::drive`] is the same, ready to use); with `.await` behind the two
//! calls to the store, and the hash where blocking is allowed, it is the async one. Bound how many hash at once.
//!
//! ```
//! use std::sync::Arc;
//! use gatepass_core::engine::{Engine, Keys};
//! use gatepass_core::store::change::{Change, Outcome};
//! use gatepass_core::store::query::{Found, Query, Records};
//! use gatepass_core::records::request_inputs::{RequestInputs, Seed};
//! use gatepass_core::settings::{Issuer, Settings};
//! use gatepass_core::api::step::Step;
//! use gatepass_core::base::time::Time;
//! use gatepass_core::base::warning::Warnings;
//! use gatepass_core::http::request::Request;
//!
//! /// A store that has nothing in it, and can keep nothing.
//! struct Empty;
//!
//! impl Empty {
//!     fn read(&self, query: &Query) -> Found {
//!         let records = match query {
//!             Query::Client(_) => Records::Client(None),
//!             Query::Ticket(_) => Records::Ticket(None),
//!             _ => Records::Unreadable,
//!         };
//!         Found { generation: 1, state_epoch: 0, records }
//!     }
//!
//!     fn commit(&self, _changes: &Arc<[Change]>) -> Outcome {
//!         Outcome::NotApplied
//!     }
//! }
//!
//! let settings = Settings::new(Issuer::parse("https://gate.example")?);
//! let engine = Engine::new(settings, Keys::new(1, None, vec![]));
//! let store = Empty;
//! let request = Request {
//!     method: "POST".into(),
//!     target: "/auth/ticket/signin".into(),
//!     headers: vec![("content-type".into(), b"application/json".to_vec())],
//!     body: br#"{"ticket": "tkt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#.to_vec(),
//!     peer: [127, 0, 0, 1].into(),
//! };
//! // The time and 32 fresh bytes of the system's generator.
//! let inputs = RequestInputs {
//!     now: Time::from_unix(1_750_000_000),
//!     fraction: 0,
//!     seed: Seed::new([7; 32]),
//!     warnings: Warnings::NONE,
//!     wall: Time::from_unix(1_750_000_000),
//! };
//!
//! let mut step = engine.handle(request, inputs);
//! let response = loop {
//!     step = match step {
//!         Step::Read(read) => {
//!             let found = store.read(read.query());
//!             read.resume(&engine, found)
//!         }
//!         Step::Commit(commit) => {
//!             let outcome = store.commit(commit.changes());
//!             commit.settle(&engine, outcome)
//!         }
//!         Step::HashPassword(stretch) => stretch.run(&engine),
//!         Step::Reply(response) => break response,
//!     }
//! };
//! assert_eq!(response.status(), 400); // no such ticket
//! # Ok::<(), gatepass_core::settings::BadIssuer>(())
//! ```
//!
//! What lives where: [`wire`] reads requests and writes answers, [`model`] has the records, what is asked of a store
//! and what is written to it, [`policy`] decides, `flow` has one file for each endpoint, [`jose`] signs and verifies.
//! Dependencies point one way: flow → policy → model → (jose, wire).
#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::as_conversions)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod api;
pub mod base;
pub mod crypto;
pub mod engine;
pub mod http;
pub mod jose;
pub mod policy;
pub mod records;
pub mod settings;
pub mod store;

pub use api::{is_budgeted, known_part};
