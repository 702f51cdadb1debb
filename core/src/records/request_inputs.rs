//! Everything impure that a request needs, given as a value.

use alloc::string::String;

use crate::base::base64url::prefixed;
use crate::base::time::{Clocks, Stamp, Time};
use crate::base::warning::Warnings;
use crate::crypto::seed::{Label, Seed};
use crate::records::request_id::RequestId;

/// The time, and the randomness, of one request. The same request, records and moment give the same bytes
/// (PS and ES signatures excepted, whose backend draws its own nonces).
#[derive(Clone, Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(PartialEq))]
pub struct RequestInputs {
    /// The present time. It decides what has expired, and must never go back.
    pub now: Time,
    /// The part of the second that has passed since `now`, in 65 536ths; 0 if the clock does not tell. It brings
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

impl RequestInputs {
    /// Makes the inputs of a request that comes at `now`, from one clock that tells whole seconds, without warnings.
    pub const fn new(now: Time, seed: Seed) -> Self {
        Self { now, fraction: 0, seed, warnings: Warnings::NONE, wall: now }
    }

    /// Returns both clocks.
    pub(crate) const fn clocks(&self) -> Clocks {
        Clocks { now: self.now, wall: self.wall }
    }

    /// Returns the salt of a password that is hashed now.
    pub(crate) fn password_salt(&self) -> [u8; 16] {
        let drawn = self.seed.draw(Label::PasswordSalt);
        drawn.expose().first_chunk().copied().unwrap_or_default()
    }

    /// Returns the id of the request, for its answer, log lines and audit rows.
    pub fn request_id(&self) -> RequestId {
        RequestId::drawn(self.name(Label::RequestId, "req_"))
    }

    /// Returns the stamp that names of rows begin with.
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
    fn names_made_together_begin_alike_and_are_not() {
        let name = |now, fraction, seed| {
            let (now, seed, warnings) = (Time::from_unix(now), Seed::new([seed; 32]), Warnings::NONE);
            let inputs = RequestInputs { now, fraction, seed, warnings, wall: now };
            inputs.name(Label::Session, "ses_")
        };
        let (one, other) = (name(1_750_000_000, 7, 1), name(1_750_000_000, 7, 2));
        assert_eq!((one.len(), &one[..12]), (4 + 22, &other[..12]));
        assert!(one[12..] != other[12..]);
        assert!([name(1_750_000_001, 7, 1), name(1_750_000_000, 8, 1)].iter().all(|later| *later != one));
    }
}
