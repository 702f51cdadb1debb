//! The randomness of one request: one seed, from which every random value is drawn by label.

use alloc::{string::String, vec::Vec};

use zeroize::Zeroizing;

use crate::base::base64url::prefixed;
use crate::base::secret::{Secret, SecretBytes};
use crate::crypto::hmac_sha256;

/// 32 bytes from the system's generator, from which every random value of one request is drawn by label.
#[derive(Clone, Debug, PartialEq)]
pub struct Seed(Secret<32>);

/// The label of a drawn value. Two labels never give the same value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Label {
    Ticket,
    TicketId,
    Session,
    RefreshToken,
    RefreshSalt,
    DeliverySalt,
    TokenId,
    Challenge,
    Device,
    FactorSecret,
    BackupCodes,
    PasswordSalt,
    User,
    ClientSecret,
    ClientSecretId,
    ClientEpoch,
    RequestId,
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
            Label::DeliverySalt => b"delivery salt",
            Label::TokenId => b"token id",
            Label::Challenge => b"challenge",
            Label::Device => b"device",
            Label::FactorSecret => b"factor secret",
            Label::BackupCodes => b"backup codes",
            Label::PasswordSalt => b"password salt",
            Label::User => b"user",
            Label::ClientSecret => b"client secret",
            Label::ClientSecretId => b"client secret id",
            Label::ClientEpoch => b"client epoch",
            Label::RequestId => b"request id",
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

    /// 256 bits for the `number`th of many values for `label`.
    pub(crate) fn numbered(&self, label: Label, number: u32) -> Secret<32> {
        Secret::new(hmac_sha256(self.draw(label).expose(), &number.to_be_bytes()))
    }

    /// A name that nobody guesses and nothing else bears: `prefix` and 128 bits in base64url.
    pub(crate) fn name(&self, label: Label, prefix: &str) -> String {
        prefixed(prefix, self.draw(label).expose().get(..16).unwrap_or_default())
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
}
