//! A signed-in session and its refresh tokens: a family that ends as one (RFC 9700 §4.14.2).

use alloc::{string::String, vec::Vec};
use core::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::base::base64url::prefixed;
use crate::base::codes::codes;
use crate::base::secret::{Secret, SecretText};
use crate::base::time::{Stamp, Time};
use crate::crypto::seed::Label;
use crate::crypto::{hmac_sha256, sha256};
use crate::jose::claims::TokenType;
use crate::records::client::ClientRef;
use crate::records::id::{ClientId, SessionId, UserId};
use crate::records::named_clients::NamedClients;
use crate::records::request_inputs::RequestInputs;
use crate::records::scope::Scope;

/// One sign-in of one person for one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The `sid` of its tokens.
    pub id: SessionId,
    /// The user who is signed in.
    pub user_id: UserId,
    /// The user's epoch at sign-in. The session is over when the user has another epoch.
    pub user_epoch: u64,
    /// The actor, if somebody acts as the user.
    pub actor: Option<Actor>,
    /// The client it is for.
    pub client_id: ClientId,
    /// True if the client must authenticate to refresh it.
    pub bind: bool,
    /// True if `client_id` is added to the tokens' `aud`.
    pub for_audience: bool,
    /// The purpose that it is limited to.
    pub purpose: Purpose,
    /// The granted scope.
    pub scope: Scope,
    /// The time of the sign-in by the wall clock: the `auth_time` of its tokens.
    pub auth_time: Time,
    /// The authentication methods: the `amr` of its tokens (RFC 8176).
    pub methods: Vec<String>,
    /// The time when it is over in any case. No token of it lives longer.
    pub expires_at: Time,
    /// The time when it was ended early; none if it was not.
    pub ended_at: Option<Time>,
    /// The state epoch in which it was issued.
    pub state_epoch: u64,
    /// The epoch of that client; none if the session does not depend on a client's record.
    pub client_epoch: Option<u64>,
    /// The client that issued the ticket it began with, if a client did.
    pub issuer: Option<ClientRef>,
    /// The time of the sign-in by `RequestInputs::now`. A session whose time is in the future is not accepted.
    pub signed_in_at: Time,
}

/// A user who acts as somebody else (RFC 8693 §4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The user.
    pub id: UserId,
    /// The epoch at sign-in. The session is over when the actor has another epoch.
    pub epoch: u64,
}

codes! {
    /// The purpose of a session.
    Purpose {
        /// Everything that its scope allows.
        Anything = "anything",
        /// Enrolling a second factor, and nothing else.
        Enrol = "enrol",
        /// Changing the password, and nothing else.
        ChangePassword = "change-password",
    }
}

impl Purpose {
    /// The type of the access tokens of such a session.
    pub const fn token_type(self) -> TokenType {
        match self {
            Self::Anything => TokenType::Access,
            Self::Enrol | Self::ChangePassword => TokenType::Restricted,
        }
    }
}

impl Session {
    /// Returns the actor, if somebody acts as the user.
    pub fn actor_id(&self) -> Option<&UserId> {
        self.actor.as_ref().map(|actor| &actor.id)
    }

    /// Returns the clients that it depends on.
    pub const fn clients(&self) -> NamedClients<'_> {
        NamedClients::new(&self.client_id, self.client_epoch, self.issuer.as_ref())
    }

    /// Returns true if it has refresh tokens. A session for one thing is not prolonged, and neither is one that administers.
    pub fn is_prolonged(&self) -> bool {
        self.purpose == Purpose::Anything && !self.scope.contains(Scope::ADMIN)
    }

    /// Returns true if it is over, or not to be accepted, at `now` for a user of `epoch`.
    pub fn is_over(&self, epoch: u64, now: Time) -> bool {
        self.ended_at.is_some()
            || now >= self.expires_at
            || self.signed_in_at.is_ahead_of(now)
            || self.user_epoch != epoch
    }
}

/// A refresh token of a session, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// The digest of its text.
    pub digest: RefreshDigest,
    /// The session it prolongs.
    pub session_id: SessionId,
    /// The time of issue.
    pub issued_at: Time,
    /// The time from which it is refused.
    pub expires_at: Time,
    /// The use of it; none while it is unused.
    pub rotation: Option<Rotation>,
    /// The number of rotations in its session before it was issued. Its successor has the next number.
    pub number: u64,
    /// The refreshes of its session that no audit row has counted yet.
    pub refreshes: u32,
    /// The time of the last audit row about refreshes of its session; none before the first.
    pub recorded_at: Option<Time>,
}

/// The used refresh tokens that a session keeps, the latest. One of them that is presented again ends the session; an older
/// one is unknown.
pub const MAX_USED: u64 = 8;

/// The most refresh tokens that one rotation deletes, so that a session that holds many more loses them in small steps.
pub const MAX_DELETED: u64 = 4;

impl RefreshToken {
    /// Returns the highest number that a token of the same session loses its place for this one with; none while there is
    /// room for all.
    pub const fn last_deleted(&self) -> Option<u64> {
        self.number.checked_sub(MAX_USED + 1)
    }
}

/// The use of a refresh token: it has exactly one successor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The time of the use.
    pub at: Time,
    /// The salt of the successor. The successor is made of it and of the token's own text: the text alone, or the store alone, cannot
    /// make it.
    pub salt: Salt,
    /// The successor.
    pub successor: RefreshDigest,
}

/// 256 bits of one rotation: 16 say when in its second that was, the others are random.
#[derive(Clone, PartialEq, Eq)]
pub struct Salt(pub [u8; 32]);

impl Salt {
    /// The salt of a rotation that is made now.
    pub(crate) fn new(inputs: &RequestInputs) -> Self {
        Self::drawn(inputs, Label::RefreshSalt)
    }

    /// The salt of a credential that is used now with an `Idempotency-Key`.
    pub(crate) fn of_delivery(inputs: &RequestInputs) -> Self {
        Self::drawn(inputs, Label::DeliverySalt)
    }

    fn drawn(inputs: &RequestInputs, label: Label) -> Self {
        let mut salt = *inputs.seed.draw(label).expose();
        let [a, b, ..] = &mut salt;
        [*a, *b] = inputs.fraction.to_be_bytes();
        Self(salt)
    }

    pub(crate) const fn fraction(&self) -> u16 {
        let [a, b, ..] = self.0;
        u16::from_be_bytes([a, b])
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(…)")
    }
}

/// The name of a refresh token in the store: its time, with which its text begins, and 208 bits of the text's
/// SHA-256. Digests begin with their time, so that new rows share index pages.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RefreshDigest(pub [u8; 32]);

impl fmt::Debug for RefreshDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshDigest(…)")
    }
}

impl RefreshDigest {
    /// The digest of a presented text, or none where no refresh token can look so: `rft_` and 51 characters of
    /// base64url.
    pub fn read(text: &str) -> Option<Self> {
        let mut decoded = Zeroizing::new([0; BYTES]);
        let read = URL_SAFE_NO_PAD.decode_slice(text.strip_prefix(PREFIX)?, &mut *decoded);
        let made = Stamp::first_of(&*decoded).filter(|_| read == Ok(decoded.len()))?;
        Some(Self::of(made, text))
    }

    /// The digest of `text`, which was made at `made`.
    fn of(made: Stamp, text: &str) -> Self {
        Self(made.before(&sha256(text.as_bytes())))
    }
}

/// A refresh token as it is handed out, with what the store keeps of it.
pub(crate) struct FreshToken {
    pub(crate) text: SecretText,
    pub(crate) digest: RefreshDigest,
}

impl FreshToken {
    /// One made at `at` of 256 drawn bits.
    pub(crate) fn new(at: Stamp, drawn: &Secret<32>) -> Self {
        let bytes: Zeroizing<[u8; BYTES]> = Zeroizing::new(at.before(drawn.expose()));
        let text = prefixed(PREFIX, &*bytes);
        Self { digest: RefreshDigest::of(at, &text), text: SecretText::new(text) }
    }

    /// The one successor of `token`, used at `at`: the same again for whoever presents the same token again.
    pub(crate) fn successor(token: &SecretText, at: Time, salt: &Salt) -> Self {
        let drawn = Secret::new(hmac_sha256(token.expose().as_bytes(), &salt.0));
        Self::new(Stamp::new(at, salt.fraction()), &drawn)
    }
}

/// The bytes of a token's text: its time, and 256 drawn bits.
const BYTES: usize = Stamp::BYTES + 32;
const PREFIX: &str = "rft_";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::warning::Warnings;
    use crate::crypto::seed::Seed;
    use alloc::format;

    #[test]
    fn a_refresh_tokens_text_has_one_spelling_and_its_digest_begins_with_its_time() {
        let at = Stamp::new(Time::from_unix(0x01_0203_0405), 0x0607);
        let token = FreshToken::new(at, &Secret::new([0xff; 32]));
        let text = token.text.expose();
        assert_eq!(text, &format!("rft_AgMEBQYH{}8", "_".repeat(42)));
        assert_eq!(token.digest.0[..6], [2, 3, 4, 5, 6, 7]);
        assert_eq!(RefreshDigest::read(text), Some(token.digest));
        assert_ne!(token.digest, FreshToken::new(at, &Secret::new([0xfe; 32])).digest);
        let short = format!("rft_{}", "A".repeat(48));
        let unclean = text.strip_suffix('8').map(|text| format!("{text}9")).unwrap();
        let (other, long) = (text.replace("rft", "tkt"), format!("{text}A"));
        for bad in ["", "rft_", &short, &unclean, &text.to_uppercase(), &other, &long] {
            assert_eq!(RefreshDigest::read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_successor_lies_where_the_use_of_its_token_was_made() {
        let inputs = |seed| RequestInputs {
            now: Time::from_unix(0x0203_0405),
            fraction: 0x0607,
            seed: Seed::new([seed; 32]),
            warnings: Warnings::NONE,
            wall: Time::from_unix(0x0203_0405),
        };
        let (salt, token) =
            (Salt::new(&inputs(1)), FreshToken::new(inputs(1).stamp(), &Secret::new([1; 32])));
        assert_ne!(salt, Salt::new(&inputs(2)));
        let successor = FreshToken::successor(&token.text, inputs(1).now, &salt);
        assert_eq!(successor.digest.0[..6], [2, 3, 4, 5, 6, 7]);
        assert_ne!(successor.digest, token.digest);
    }

    #[test]
    fn a_successor_is_the_same_again_and_needs_token_time_and_salt() {
        let token = |byte| FreshToken::new(Stamp::new(Time::from_unix(7), 0), &Secret::new([byte; 32])).text;
        let made = |byte, at, salt| {
            FreshToken::successor(&token(byte), Time::from_unix(at), &Salt([salt; 32])).digest
        };
        let one = made(1, 9, 3);
        assert_eq!(one, made(1, 9, 3));
        assert!([made(2, 9, 3), made(1, 8, 3), made(1, 9, 4)].iter().all(|other| *other != one));
    }
}
