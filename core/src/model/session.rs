//! A signed-in session and its refresh tokens: a family that ends as one (RFC 9700 §4.14.2).

use alloc::{string::String, vec::Vec};
use core::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::id::{ClientId, SessionId, UserId};
use super::scope::Scope;
use super::ticket::is_token_text;
use crate::codes::codes;
use crate::crypto::{hmac_sha256, sha256};
use crate::secret::{Secret, SecretText};
use crate::time::Time;

/// One sign-in of one person for one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The `sid` of its tokens.
    pub id: SessionId,
    /// Who is signed in.
    pub user_id: UserId,
    /// The user's epoch at sign-in; the session is over once the user's is higher.
    pub user_epoch: u64,
    /// Who acts as the user, where this is an impersonation.
    pub actor: Option<Actor>,
    /// The client it is for.
    pub client_id: ClientId,
    /// Whether the client must authenticate to refresh it.
    pub bind: bool,
    /// Whether `client_id` joins the tokens' `aud`.
    pub for_audience: bool,
    /// What it is good for.
    pub purpose: Purpose,
    /// What was granted.
    pub scope: Scope,
    /// When the person signed in: the `auth_time` of its tokens.
    pub auth_time: Time,
    /// How they did: the `amr` of its tokens (RFC 8176).
    pub methods: Vec<String>,
    /// When it is over whatever happens; no token of it lives longer.
    pub expires_at: Time,
    /// When it was ended before its time.
    pub ended_at: Option<Time>,
}

/// Who acts as somebody else (RFC 8693 §4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Which user.
    pub id: UserId,
    /// Their epoch at sign-in; the session is over once theirs is higher.
    pub epoch: u64,
}

codes! {
    /// What a session is good for.
    Purpose {
        /// Whatever its scope says.
        Anything = "anything",
        /// Enrolling a second factor, and nothing else.
        Enrol = "enrol",
        /// Changing the password, and nothing else.
        ChangePassword = "change-password",
    }
}

impl Session {
    /// Who acts as the user, where somebody does.
    pub fn actor_id(&self) -> Option<&UserId> {
        self.actor.as_ref().map(|actor| &actor.id)
    }

    /// Whether it is over at `now` for a user of `epoch`.
    pub fn is_over(&self, epoch: u64, now: Time) -> bool {
        self.ended_at.is_some() || now >= self.expires_at || self.user_epoch != epoch
    }
}

/// A refresh token of a session, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// SHA-256 of its text.
    pub digest: RefreshDigest,
    /// The session it prolongs.
    pub session_id: SessionId,
    /// When it was issued.
    pub issued_at: Time,
    /// From when on it is refused.
    pub expires_at: Time,
    /// What became of it, once it has been used.
    pub rotation: Option<Rotation>,
}

/// The use of a refresh token: it has exactly one successor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// When it was used.
    pub at: Time,
    /// What its successor is made of, together with its own text: who has the text alone, or the store alone, cannot
    /// make it.
    pub salt: Salt,
    /// The successor.
    pub successor: RefreshDigest,
}

/// 256 random bits of one rotation.
#[derive(Clone, PartialEq, Eq)]
pub struct Salt(pub [u8; 32]);

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(…)")
    }
}

/// SHA-256 of a refresh token's text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RefreshDigest(pub [u8; 32]);

impl fmt::Debug for RefreshDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshDigest(…)")
    }
}

impl RefreshDigest {
    /// The digest of `token`.
    pub fn of(token: &SecretText) -> Self {
        Self(sha256(token.expose().as_bytes()))
    }

    /// The digest of a presented text, or none where no refresh token can look so.
    pub fn read(text: &str) -> Option<Self> {
        is_token_text(PREFIX, text).then(|| Self(sha256(text.as_bytes())))
    }
}

const PREFIX: &str = "rft_";

/// The one successor of `token`: the same again for whoever presents the same token again.
pub(crate) fn successor_text(token: &SecretText, salt: &Salt) -> SecretText {
    refresh_text(&Secret::new(hmac_sha256(token.expose().as_bytes(), &salt.0)))
}

/// The text of a refresh token made of 256 drawn bits.
pub(crate) fn refresh_text(drawn: &Secret<32>) -> SecretText {
    let mut text = String::from(PREFIX);
    URL_SAFE_NO_PAD.encode_string(drawn.expose(), &mut text);
    SecretText::new(text)
}
