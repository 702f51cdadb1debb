//! Warnings for an operator while the server goes on, in the body of `/readyz`.

use crate::base::codes::codes;

codes! {
    /// Something that an operator should look at.
    #[non_exhaustive]
    Warning {
        /// The state generation could not be written to the witness file.
        WitnessNotWritten = "witness-not-written",
        /// The wall clock is behind the time that counts.
        ClockBehind = "clock-behind",
        /// The wall clock has jumped ahead. It is used, and the clock's mark does not follow yet.
        ClockAhead = "clock-ahead",
        /// The disk is full: only what ends, disables, revokes or counts something is written.
        DiskFull = "disk-full",
    }
}

impl Warning {
    const fn bit(self) -> u32 {
        match self {
            Self::WitnessNotWritten => 1,
            Self::ClockBehind => 2,
            Self::ClockAhead => 4,
            Self::DiskFull => 8,
        }
    }
}

/// A set of warnings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Warnings(u32);

impl Warnings {
    /// No warning.
    pub const NONE: Self = Self(0);

    /// Returns the set with `warning` in it.
    #[must_use]
    pub const fn with(self, warning: Warning) -> Self {
        Self(self.0 | warning.bit())
    }

    /// Returns true if `warning` is in the set.
    pub const fn contains(self, warning: Warning) -> bool {
        self.0 & warning.bit() != 0
    }

    /// Returns each warning of the set, in the order of [`Warning::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Warning> {
        Warning::ALL.iter().copied().filter(move |warning| self.contains(*warning))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn a_set_holds_what_was_put_in() {
        assert_eq!(Warnings::default(), Warnings::NONE);
        assert_eq!(Warnings::NONE.iter().count(), 0);
        for warning in Warning::ALL.iter().copied() {
            let set = Warnings::NONE.with(warning).with(warning);
            assert_eq!(set.iter().collect::<Vec<_>>(), [warning]);
        }
        let all = Warning::ALL.iter().fold(Warnings::NONE, |set, warning| set.with(*warning));
        assert_eq!(all.iter().collect::<Vec<_>>(), Warning::ALL);
    }
}
