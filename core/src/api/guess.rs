//! Guesses: where a password, a code or a secret that can be guessed is about to be compared, for whom that counts, and how it
//! went. Credentials of 256 bits are no guesses.

use core::net::IpAddr;

use crate::api::endpoint::Flow;
use crate::api::routes::AwaitRecords;
use crate::api::step::Step;
use crate::crypto::sha256;
use crate::engine::Engine;
use crate::records::id::{ClientId, UserId};
use crate::store::query::{Found, Identity};

/// An account that is guessed at, as far as one can be told from another: nothing else can be learnt from it. A name that
/// nobody has is an account like any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GuessAccount([u8; 16]);

impl GuessAccount {
    fn of(kind: &str, id: &str) -> Self {
        let digest = sha256(&[kind.as_bytes(), b":", id.as_bytes()].concat());
        Self(digest.first_chunk().copied().unwrap_or_default())
    }

    /// Returns the account of whoever is called so.
    pub(crate) fn of_name(name: &Identity) -> Self {
        Self::of("name", &name.0)
    }

    /// Returns the account of a user.
    pub(crate) fn of_user(user: &UserId) -> Self {
        Self::of("user", user.as_str())
    }

    /// Returns the account of a client.
    pub(crate) fn of_client(client: &ClientId) -> Self {
        Self::of("client", client.as_str())
    }
}

/// The origin and the target of a guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuessSource {
    /// The address that it counts for.
    pub address: IpAddr,
    /// The account that is guessed at.
    pub account: GuessAccount,
}

/// The kinds of credential that can be guessed, in the order in which they are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Guessed {
    /// The secret of the client that asks.
    ClientSecret,
    /// The password or the code of a person.
    PasswordOrCode,
}

/// A flow that is about to compare a password, a code, or a client secret that was not made here. Whatever else the request
/// presents was found good. A request asks so twice at most: for the secret of a client, and for what it presents of a person.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
#[must_use = "allow it, or limit it"]
pub struct Guess {
    pub(crate) source: GuessSource,
    pub(crate) found: Found,
    pub(crate) flow: Flow<AwaitRecords>,
}

impl Guess {
    /// Returns its origin and its target.
    pub const fn source(&self) -> GuessSource {
        self.source
    }

    /// Goes on, and compares.
    pub fn allow(self, engine: &Engine) -> Step {
        self.flow.resume_any(engine, self.found)
    }

    /// Replies with 429: the address has guessed wrong too often. Nothing was compared or changed.
    pub fn limit(self, retry_after_seconds: u64) -> Step {
        Step::reply(&self.flow.ctx, self.flow.ctx.too_many_requests(retry_after_seconds))
    }
}

/// An attempt to authenticate, and the address that it counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The address that it counts for.
    pub address: IpAddr,
    /// The result.
    pub result: AttemptResult,
}

/// The result of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptResult {
    /// A password, a code, or a client secret that can be guessed was compared, and was wrong.
    Wrong,
    /// Something was compared and was right, a session was opened or refreshed, or a client has authenticated.
    Succeeded,
}
