//! Everything impure that a request needs, given as a value.

use alloc::{string::String, vec::Vec};

use zeroize::Zeroizing;

use crate::crypto::hmac_sha256;
use crate::jose::base64url::prefixed;
use crate::secret::{Secret, SecretBytes};
use crate::time::{Clocks, Stamp, Time};
use crate::warning::Warnings;

/// The time, and the randomness, of one request. The same request, records and moment give the same bytes
/// (PS and ES signatures excepted, whose backend draws its own nonces).
#[derive(Clone, Debug)]
#[cfg_attr(feature = "checker", derive(PartialEq))]
pub struct Moment {
    /// Now, as the embedder's clock has it.
    pub now: Time,
    /// How much of the second that began at `now` has passed, in 65 536ths; 0 where the clock does not tell. It brings
    /// together in a store's indexes what is made within one second, and does nothing else.
    pub fraction: u16,
    /// Fresh randomness; never to be used for two requests.
    pub seed: Seed,
    /// Warnings for the operator, which `/readyz` alone tells.
    pub warnings: Warnings,
    /// The wall clock's time, for other people's clocks: it is written into tokens, and codes are made by it. The same as
    /// `now` where the embedder has one clock, or a wall clock that is none.
    pub wall: Time,
}

/// 32 bytes from the system's generator, from which every random value of one request is drawn by label.
#[derive(Clone, Debug, PartialEq)]
pub struct Seed(Secret<32>);

/// What a value is drawn for; two labels never give the same value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Label {
    Ticket,
    TicketId,
    Session,
    RefreshToken,
    RefreshSalt,
    TokenId,
    Challenge,
    Device,
    FactorSecret,
    BackupCodes,
    PasswordSalt,
}

impl Seed {
    /// Takes 32 bytes that nobody else has seen.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
    }

    /// 256 bits for `label`: HMAC-SHA-256(seed, label).
    pub(crate) fn draw(&self, label: Label) -> Secret<32> {
        let label: &[u8] = match label {
            Label::Ticket => b"ticket",
            Label::TicketId => b"ticket id",
            Label::Session => b"session",
            Label::RefreshToken => b"refresh token",
            Label::RefreshSalt => b"refresh salt",
            Label::TokenId => b"token id",
            Label::Challenge => b"challenge",
            Label::Device => b"device",
            Label::FactorSecret => b"factor secret",
            Label::BackupCodes => b"backup codes",
            Label::PasswordSalt => b"password salt",
        };
        Secret::new(hmac_sha256(self.0.expose(), label))
    }

    /// `length` bytes for `label`, at most 255: one HMAC for each 32 of them, told apart by a counter.
    pub(crate) fn stretch(&self, label: Label, length: u8) -> SecretBytes {
        let drawn = self.draw(label);
        let mut bytes = Vec::with_capacity(usize::from(length));
        for block in 0..length.div_ceil(32) {
            bytes.extend_from_slice(&*Zeroizing::new(hmac_sha256(drawn.expose(), &[block])));
        }
        bytes.truncate(length.into());
        SecretBytes::new(bytes)
    }

    /// A name that nobody guesses and nothing else bears: `prefix` and 128 bits in base64url.
    pub(crate) fn name(&self, label: Label, prefix: &str) -> String {
        prefixed(prefix, self.draw(label).expose().get(..16).unwrap_or_default())
    }
}

impl Moment {
    /// Both clocks.
    pub(crate) const fn clocks(&self) -> Clocks {
        Clocks { now: self.now, wall: self.wall }
    }

    /// What names of rows begin with.
    pub(crate) const fn stamp(&self) -> Stamp {
        Stamp::new(self.now, self.fraction)
    }

    /// A name of a row: `prefix` and 128 bits in base64url, the first 48 of which are when it was made. What is written
    /// together then lies together in an index of names, however large that grows.
    pub(crate) fn name(&self, label: Label, prefix: &str) -> String {
        let drawn = self.seed.draw(label);
        prefixed(prefix, &self.stamp().before::<16>(drawn.expose()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_always_draws_the_same_and_never_another_labels() {
        let seed = Seed::new([9; 32]);
        assert_eq!(seed.draw(Label::Ticket), Seed::new([9; 32]).draw(Label::Ticket));
        assert_ne!(seed.draw(Label::Ticket), seed.draw(Label::RefreshToken));
        assert_ne!(seed.draw(Label::Ticket), Seed::new([8; 32]).draw(Label::Ticket));
        assert_eq!(seed.name(Label::Session, "ses_").len(), 4 + 22);
    }

    #[test]
    fn names_made_together_begin_alike_and_are_not() {
        let name = |now, fraction, seed| {
            let (now, seed, warnings) = (Time::from_unix(now), Seed::new([seed; 32]), Warnings::NONE);
            let moment = Moment { now, fraction, seed, warnings, wall: now };
            moment.name(Label::Session, "ses_")
        };
        let (one, other) = (name(1_750_000_000, 7, 1), name(1_750_000_000, 7, 2));
        assert_eq!((one.len(), &one[..12]), (4 + 22, &other[..12]));
        assert!(one[12..] != other[12..]);
        assert!([name(1_750_000_001, 7, 1), name(1_750_000_000, 8, 1)].iter().all(|later| *later != one));
    }
}
