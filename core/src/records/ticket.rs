//! A one-time ticket (CONTRACT §3).

use alloc::{boxed::Box, string::String};
use core::{fmt, net::IpAddr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::base::base64url::prefixed;
use crate::base::secret::{Secret, SecretText};
use crate::base::time::Time;
use crate::crypto::sha256;
use crate::records::client::ClientRef;
use crate::records::delivery::TicketDelivery;
use crate::records::id::{ClientId, TicketId, UserId};
use crate::records::named_clients::NamedClients;
use crate::records::scope::Scope;

/// The longest a ticket lives, in seconds.
pub const MAX_LIFETIME: u32 = 3600;

/// The longest reason for an impersonation, in characters.
pub const MAX_REASON_CHARS: usize = 500;

/// SHA-256 of a ticket's text: all the store keeps of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TicketDigest(pub [u8; 32]);

impl fmt::Debug for TicketDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketDigest(…)")
    }
}

const PREFIX: &str = "tkt_";

impl Ticket {
    /// Who is at the keyboard: the actor, where somebody acts as the user.
    pub fn presented_by(&self) -> &UserId {
        self.impersonation.as_ref().map_or(&self.user_id, |i| &i.actor)
    }

    /// The clients that it rests on.
    pub const fn clients(&self) -> NamedClients<'_> {
        NamedClients::new(&self.client_id, self.client_epoch, self.issuer.as_ref())
    }
}

impl TicketDigest {
    /// The digest of a presented text, or none where no ticket can look so: `tkt_` and 43 characters of
    /// base64url whose last one has no stray bits.
    pub fn of(text: &str) -> Option<Self> {
        is_token_text(PREFIX, text).then(|| Self(sha256(text.as_bytes())))
    }
}

/// Whether `text` is `prefix` and 256 bits in base64url, in their one spelling.
pub(crate) fn is_token_text(prefix: &str, text: &str) -> bool {
    let mut decoded = Zeroizing::new([0u8; 33]);
    let Some(encoded) = text.strip_prefix(prefix) else { return false };
    URL_SAFE_NO_PAD.decode_slice(encoded, &mut *decoded) == Ok(32)
}

/// The text of a ticket made of 256 drawn bits.
pub(crate) fn ticket_text(drawn: &Secret<32>) -> SecretText {
    SecretText::new(prefixed(PREFIX, drawn.expose()))
}

/// A ticket as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Its public name.
    pub id: TicketId,
    /// What its text digests to.
    pub digest: TicketDigest,
    /// Who it signs in.
    pub user_id: UserId,
    /// The client the sign-in is for: the audience, or else who issued it.
    pub client_id: ClientId,
    /// Who issued it; none for the command line.
    pub issuer: Option<ClientRef>,
    /// Whether an audience was named; it then joins the token's `aud`.
    pub for_audience: bool,
    /// Whether the redeemer must authenticate as `client_id`.
    pub bind: bool,
    /// The scope of the sign-in.
    pub scope: Scope,
    /// The only address that may redeem it, where one was named.
    pub client_ip: Option<IpAddr>,
    /// Who acts as the user, and why, where this is an impersonation.
    pub impersonation: Option<Impersonation>,
    /// When it was issued.
    pub issued_at: Time,
    /// From when on it is refused.
    pub expires_at: Time,
    /// Whether it can still be redeemed.
    pub state: TicketState,
    /// The state epoch it was issued in.
    pub state_epoch: u64,
    /// The epoch of the client it is for; none where it rests on no client's record.
    pub client_epoch: Option<u64>,
}

/// An administrator acting as a user (RFC 8693 §4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Impersonation {
    /// The user who acts.
    pub actor: UserId,
    /// Why, in their words: 1–500 characters.
    pub reason: String,
}

impl Impersonation {
    /// Whether `reason` will do: 1–500 characters, not only white space, no control characters.
    pub fn is_reason(reason: &str) -> bool {
        (1..=MAX_REASON_CHARS).contains(&reason.chars().count())
            && !reason.trim().is_empty()
            && !reason.chars().any(char::is_control)
    }
}

/// The life of a ticket, its expiry apart. There is no way back to `Live`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TicketState {
    /// Never presented.
    Live,
    /// Presented.
    Spent {
        /// When.
        at: Time,
        /// How it was redeemed, where it was with an `Idempotency-Key`.
        delivery: Option<Box<TicketDelivery>>,
    },
    /// Withdrawn by a command before it was presented.
    Revoked(Time),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tickets_text_has_one_spelling() {
        let text = ticket_text(&Secret::new([0xff; 32]));
        assert_eq!(text.expose(), "tkt___________________________________________8");
        assert!(TicketDigest::of(text.expose()).is_some());
        for bad in [
            "",
            "tkt_",
            "tkt_AAAA",
            "TKT_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "tkt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB",
            "tkt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "tkt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA A",
            "tkt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert_eq!(TicketDigest::of(bad), None, "{bad}");
        }
    }
}
