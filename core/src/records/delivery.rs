//! The answer to a used ticket or challenge, as far as the store keeps it: enough to make the answer again for whoever sends
//! the same request again, and for nobody else (docs/integrating.md).

use alloc::vec::Vec;
use core::fmt;

use crate::base::idempotency_key::IdempotencyKey;
use crate::base::secret::{Secret, SecretBytes, SecretText, same_bytes};
use crate::base::time::{Stamp, Time};
use crate::crypto::{hmac_sha256, sha256};
use crate::records::challenge::{Challenge, ChallengeDigest, challenge_text};
use crate::records::id::SessionId;
use crate::records::session::{FreshToken, RefreshDigest, RefreshToken, Salt, Session};

/// SHA-256 over a credential, the key it came with and, where it is a challenge, the code.
#[derive(Clone, Copy)]
pub struct RequestDigest(pub [u8; 32]);

impl PartialEq for RequestDigest {
    fn eq(&self, other: &Self) -> bool {
        same_bytes(&self.0, &other.0)
    }
}

impl Eq for RequestDigest {}

impl fmt::Debug for RequestDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestDigest(…)")
    }
}

/// The session that a credential opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedSession {
    /// The session.
    pub id: SessionId,
    /// Its first refresh token; none if the session cannot be refreshed.
    pub refresh: Option<RefreshDigest>,
}

/// The result of a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TicketResult {
    /// It opened a session.
    Session(OpenedSession),
    /// It led to a challenge.
    Challenge(ChallengeDigest),
}

/// The use of a credential with an `Idempotency-Key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery<R> {
    /// The request that used it.
    pub request: RequestDigest,
    /// Together with the request: what the answer's tokens are made of. The store alone, or the request alone, cannot make them.
    pub salt: Salt,
    /// The result of the use.
    pub result: R,
    /// The number of repetitions of the answer.
    pub repeated: u32,
}

/// The use of a ticket with an `Idempotency-Key`.
pub type TicketDelivery = Delivery<TicketResult>;

/// The use of a challenge with an `Idempotency-Key`.
pub type AnswerDelivery = Delivery<OpenedSession>;

/// A session that a credential opened, in its present state.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveredSession {
    /// The session.
    pub session: Session,
    /// Its first refresh token, if there is one.
    pub refresh: Option<RefreshToken>,
}

/// The result of a ticket, in its present state.
#[derive(Clone, Debug, PartialEq)]
pub enum Delivered {
    /// A session.
    Session(DeliveredSession),
    /// A challenge.
    Challenge(Challenge),
}

/// A credential with the key it comes with and, where it is a challenge, the code: all that the sender of one request knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestSecret(SecretBytes);

impl RequestSecret {
    /// The secret of a request that presents `ticket`.
    pub(crate) fn of_ticket(ticket: &SecretText, key: &IdempotencyKey) -> Self {
        Self::of("ticket", &[ticket.expose(), key.expose()])
    }

    /// The secret of a request that answers `challenge` with `code`.
    pub(crate) fn of_answer(challenge: &SecretText, key: &IdempotencyKey, code: &SecretText) -> Self {
        Self::of("challenge", &[challenge.expose(), key.expose(), code.expose()])
    }

    /// Every part after its length, so that no two lists of parts read alike.
    fn of(kind: &str, parts: &[&str]) -> Self {
        let parts = ["gatepass delivery", kind].into_iter().chain(parts.iter().copied());
        let length = |part: &str| u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes();
        // Reserved whole: a vector that grows leaves copies behind that nobody wipes.
        let mut bytes = Vec::with_capacity(parts.clone().map(|part| 8 + part.len()).sum());
        for part in parts {
            bytes.extend_from_slice(&length(part));
            bytes.extend_from_slice(part.as_bytes());
        }
        Self(SecretBytes::new(bytes))
    }

    /// Returns the digest that the store keeps.
    pub(crate) fn digest(&self) -> RequestDigest {
        RequestDigest(sha256(self.0.expose()))
    }

    /// The first refresh token of the session that the request opened at `at`.
    pub(crate) fn refresh_token(&self, at: Time, salt: &Salt) -> FreshToken {
        FreshToken::new(Stamp::new(at, salt.fraction()), &self.draw(salt, b"refresh token"))
    }

    /// The challenge that the request led to.
    pub(crate) fn challenge(&self, salt: &Salt) -> SecretText {
        challenge_text(&self.draw(salt, b"challenge"))
    }

    /// 256 bits for `label` (HKDF, RFC 5869, whose first block needs no counter where the labels differ).
    fn draw(&self, salt: &Salt, label: &[u8]) -> Secret<32> {
        let extracted = Secret::new(hmac_sha256(&salt.0, self.0.expose()));
        Secret::new(hmac_sha256(extracted.expose(), label))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{borrow::ToOwned, collections::BTreeSet, format};

    fn text(text: &str) -> SecretText {
        SecretText::new(text.into())
    }

    fn key(text: &str) -> IdempotencyKey {
        IdempotencyKey::parse(&format!("{text:!<22}")).unwrap()
    }

    #[test]
    fn every_part_of_a_request_distinguishes_it() {
        let requests = [
            RequestSecret::of_ticket(&text("a"), &key("k")),
            RequestSecret::of_ticket(&text("b"), &key("k")),
            RequestSecret::of_ticket(&text("a"), &key("l")),
            RequestSecret::of_answer(&text("a"), &key("k"), &text("1")),
            RequestSecret::of_answer(&text("b"), &key("k"), &text("1")),
            RequestSecret::of_answer(&text("a"), &key("l"), &text("1")),
            RequestSecret::of_answer(&text("a"), &key("k"), &text("2")),
            // Moved over a boundary.
            RequestSecret::of_answer(&text("ak"), &key(""), &text("1")),
            RequestSecret::of_answer(&text("a"), &key("k!1"), &text("")),
        ];
        let digests: BTreeSet<_> = requests.iter().map(|request| request.digest().0).collect();
        assert_eq!(digests.len(), requests.len());
    }

    #[test]
    fn tokens_are_the_same_again_and_need_request_time_and_salt() {
        let request = |name: &str| RequestSecret::of_ticket(&text(name), &key("k"));
        let token = |name, at, salt| {
            request(name).refresh_token(Time::from_unix(at), &Salt([salt; 32])).text.expose().to_owned()
        };
        let one = token("a", 9, 3);
        assert_eq!(one, token("a", 9, 3));
        assert!([token("b", 9, 3), token("a", 8, 3), token("a", 9, 4)].iter().all(|other| *other != one));
        let challenge = |name, salt| request(name).challenge(&Salt([salt; 32]));
        assert_eq!(challenge("a", 3), challenge("a", 3));
        assert!(challenge("a", 3) != challenge("b", 3) && challenge("a", 3) != challenge("a", 4));
        // One secret never makes two things.
        let (salt, request) = (Salt([3; 32]), request("a"));
        assert_ne!(request.draw(&salt, b"refresh token"), request.draw(&salt, b"challenge"));
    }

    #[test]
    fn nothing_of_a_request_is_shown() {
        let shown = format!("{:?}", RequestSecret::of_ticket(&text("tkt_x"), &key("k")));
        assert_eq!(shown, "RequestSecret(SecretBytes(…))");
    }
}
