//! Everything impure that a request needs, given as a value.

use alloc::string::String;

use crate::base::base64url::prefixed;
use crate::base::time::{Clocks, Stamp, Time};
use crate::base::warning::Warnings;
use crate::crypto::seed::{Label, Seed};

/// The time, and the randomness, of one request. The same request, records and moment give the same bytes
/// (PS and ES signatures excepted, whose backend draws its own nonces).
#[derive(Clone, Debug)]
#[cfg_attr(feature = "checker", derive(PartialEq))]
pub struct RequestInputs {
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

impl RequestInputs {
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
