//! The core of Gatepass: one-time sign-in tickets, passwords and second factors, sessions with refresh tokens, and services' access
//! tokens. It turns a request into a response and does no I/O: your program brings the sockets, the clock, the randomness and a
//! [`Store`].
//!
//! **The invariant: a token or a ticket does not exist until the commit it rests on is durable.** [`Commit::settle`] is the only place
//! that makes one, and makes it for [`Outcome::Applied`] alone. A program that forgets to commit has nothing to send.
//!
//! # The driver loop
//!
//! [`Engine::handle`] returns a [`Step`], which says what the request waits for. Each step is consumed by its answer and returns the next
//! one. This loop is the whole embedding; [`drive`] is the same, ready to use.
//!
//! ```
//! use gatepass_core::{Engine, Request, RequestInputs, Response, Step, Store};
//!
//! fn answer(engine: &Engine, store: &impl Store, request: Request, inputs: RequestInputs) -> Response {
//!     let mut step = engine.handle(request, inputs);
//!     loop {
//!         step = match step {
//!             // One snapshot of the records.
//!             Step::Read(read) => {
//!                 let found = store.read(read.query());
//!                 read.resume(engine, found)
//!             }
//!             // One transaction, durable before its outcome is told.
//!             Step::Commit(commit) => {
//!                 let outcome = store.commit(commit.changes());
//!                 commit.settle(engine, outcome)
//!             }
//!             // A password or a code is about to be compared: limit an address that guessed wrong too often.
//!             Step::Guess(guess) => guess.allow(engine),
//!             // 20 ms and 19 MiB: bound how many run at once.
//!             Step::HashPassword(hash) => hash.run(engine),
//!             // An administrator asks for something that only the server can do or knows.
//!             Step::Task(task) => task.refuse(),
//!             Step::Reply(reply) => return reply.into_response(),
//!         }
//!     }
//! }
//!
//! # use gatepass_core::{Change, Found, Issuer, Keys, Outcome, Query, Records, Seed, Settings, Time};
//! # struct Empty;
//! # impl Store for Empty {
//! #     fn read(&self, query: &Query) -> Found {
//! #         let records = if let Query::Ticket(_) = query { Records::Ticket(None) } else { Records::Unreadable };
//! #         Found { generation: 1, state_epoch: 0, records }
//! #     }
//! #     fn commit(&self, _: &std::sync::Arc<[Change]>) -> Outcome { Outcome::NotApplied }
//! # }
//! let engine = Engine::new(Settings::new(Issuer::parse("https://gate.example")?), Keys::new(1, None, vec![]));
//! let request = Request {
//!     method: "POST".into(),
//!     target: "/auth/ticket/signin".into(),
//!     headers: vec![("content-type".into(), b"application/json".to_vec())],
//!     body: br#"{"ticket": "tkt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#.to_vec(),
//!     peer: [127, 0, 0, 1].into(),
//! };
//! // The time, and 32 fresh bytes of the system's generator.
//! let inputs = RequestInputs::new(Time::from_unix(1_750_000_000), Seed::new([7; 32]));
//! let response = answer(&engine, &Empty, request, inputs);
//! assert_eq!(response.status(), 400); // No such ticket.
//! # Ok::<(), gatepass_core::settings::IssuerError>(())
//! ```
//!
//! In an async runtime, put `.await` behind the two calls of the store and run the hash where blocking is allowed. Two complete programs
//! are in `examples/`: `blocking.rs` and `tokio.rs`.
//!
//! # A store
//!
//! Implement [`Store`], or its two verbs in async form: answer a [`Query`] from one snapshot, and apply a list of [`Change`]s in
//! one transaction, in order, all or none. Each change says when it holds. The feature `memory` has a store in memory, and the feature
//! `check` a conformance kit, `check_store`, that tells which promise a store of yours breaks. `docs/embedding.md` has the contract change by change.
//!
//! # Administration
//!
//! [`admin`] has an operation for everything that an administrator does to users, clients, tickets, sessions and keys.
//! [`admin::run`] runs one against a store.
//!
//! # Errors
//!
//! Driving a request never fails: whatever goes wrong is a response. [`Records::Unreadable`] and [`Outcome::NotApplied`] become
//! 503, [`Outcome::Unknown`] becomes 500, and a [`Outcome::Conflict`] is read and tried once more before it becomes 503. Reading
//! settings, names, scopes and keys returns an error type of its own, with [`Display`](core::fmt::Display) and [`Error`](core::error::Error). Errors and
//! [`Settings`] may grow in any release (`#[non_exhaustive]`); [`Query`], [`Change`] and the records grow only with [`CONTRACT_VERSION`](store::CONTRACT_VERSION).
//!
//! # Features
//!
//! | feature | effect |
//! |---|---|
//! | `ring` (default) | Cryptography by `ring`. |
//! | `aws-lc` | Cryptography by `aws-lc-rs`, faster at RSA on large processors. It needs `std`. With both features, `aws-lc-rs` is used. |
//! | `custom-rng` | For targets without an operating system: `ring` draws random bytes from a generator that the program registers. |
//! | `memory` | `store::memory`: a store in memory, for tests, examples and a first embedding. |
//! | `check` | `store::check`: the conformance kit for stores. |
//! | `unsound-cloneable-flows` | For model checkers only. Flows in progress can be cloned, so that one ticket can make two sessions. |
//!
//! One of `ring` and `aws-lc` is required. The core needs `alloc` and no `std`.
//!
//! # Modules
//!
//! A module may use those after it: `api`, `admin`, `engine`, `policy`, ([`store`], [`settings`]), [`records`], [`jose`], `crypto`, `base`; `api`
//! also uses `http`. What an embedder needs is at the root and in the modules named here. The others are public for Gatepass's own server, and
//! may change in any release.
#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::as_conversions)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod admin;
#[doc(hidden)]
pub mod api;
#[doc(hidden)]
pub mod base;
#[doc(hidden)]
pub mod crypto;
#[doc(hidden)]
pub mod engine;
#[doc(hidden)]
pub mod http;
pub mod jose;
#[doc(hidden)]
pub mod policy;
pub mod records;
pub mod settings;
pub mod store;

#[cfg(feature = "custom-rng")]
pub use crypto::{CustomRngError, register_custom_getrandom};

pub use api::guess::{Attempt, AttemptResult, Guess, GuessAccount, GuessSource};
pub use api::reply::Reply;
pub use api::routes::RoutedRequest;
pub use api::step::{Commit, HashPassword, Read, Step, drive, finish};
pub use api::task::{Task, TaskAnswer, TaskRequest};
pub use base::secret::SecretText;
pub use base::time::Time;
pub use base::warning::Warnings;
pub use crypto::algorithm::Algorithm;
pub use crypto::seed::Seed;
pub use engine::{Engine, Keys};
pub use http::request::Request;
pub use http::response::Response;
pub use jose::import::import;
pub use jose::key::{SigningKey, VerifyingKey};
pub use policy::ticket_request::TicketRequest;
pub use records::client::{Client, ClientSecret};
pub use records::id::{ClientId, UserId, UserRef};
pub use records::request_inputs::RequestInputs;
pub use records::scope::Scope;
pub use records::user::{User, Username};
pub use settings::{Issuer, Settings};
pub use store::Store;
pub use store::change::{Change, Outcome};
pub use store::query::{Found, Query, Records};
