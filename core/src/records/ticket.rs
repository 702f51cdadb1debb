//! A one-time ticket.

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

/// The longest life of a ticket, in seconds.
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
    /// Returns the person who presents it: the actor if there is one, or else the user.
    pub fn presented_by(&self) -> &UserId {
        self.impersonation.as_ref().map_or(&self.user_id, |i| &i.actor)
    }

    /// Returns the clients that it depends on.
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

/// Returns true if `text` is `prefix` and 256 bits in base64url, in their one spelling.
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
    /// The digest of its text.
    pub digest: TicketDigest,
    /// The user whom it signs in.
    pub user_id: UserId,
    /// The client that the sign-in is for: the audience, or else the issuer.
    pub client_id: ClientId,
    /// The client that issued it; none for the command line.
    pub issuer: Option<ClientRef>,
    /// True if an audience was named. It is added to the token's `aud`.
    pub for_audience: bool,
    /// True if the client that redeems it must authenticate as `client_id`.
    pub bind: bool,
    /// The scope of the sign-in.
    pub scope: Scope,
    /// The only address that may redeem it; none allows every address.
    pub client_ip: Option<IpAddr>,
    /// The actor and the reason, if somebody acts as the user.
    pub impersonation: Option<Impersonation>,
    /// The time of issue.
    pub issued_at: Time,
    /// The time from which it is refused.
    pub expires_at: Time,
    /// The state.
    pub state: TicketState,
    /// The state epoch in which it was issued.
    pub state_epoch: u64,
    /// The epoch of that client; none if the ticket does not depend on a client's record.
    pub client_epoch: Option<u64>,
}

/// An administrator acting as a user (RFC 8693 §4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Impersonation {
    /// The user who acts.
    pub actor: UserId,
    /// The reason in the actor's words: 1–500 characters.
    pub reason: String,
}

impl Impersonation {
    /// Returns true if `reason` is allowed: 1–500 characters, not only white space, no control characters.
    pub fn is_reason(reason: &str) -> bool {
        (1..=MAX_REASON_CHARS).contains(&reason.chars().count())
            && !reason.trim().is_empty()
            && !reason.chars().any(char::is_control)
    }
}

/// The state of a ticket, apart from its expiry. No state leads back to `Live`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TicketState {
    /// Never presented.
    Live,
    /// Presented.
    Spent {
        /// The time.
        at: Time,
        /// The redemption, if it came with an `Idempotency-Key`.
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
