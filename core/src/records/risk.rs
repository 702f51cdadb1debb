//! A judged risk: signals, each with what it weighed, and what that comes to.

use alloc::{string::String, vec::Vec};
use core::fmt;

use crate::base::codes::codes;

codes! {
    /// Something about a sign-in that an intruder's would have sooner than its owner's.
    Signal {
        /// A device, in its network, that this person has not signed in from lately. The first one is learnt and not suspected,
        /// unless there is a second factor to ask for.
        NewDevice = "new_device",
        /// A network that this person has not signed in from, though they have from others.
        NewNetwork = "new_network",
        /// Most of the ticket's life had passed.
        OldTicket = "old_ticket",
        /// The ticket was meant to be redeemed at another address.
        AddressMismatch = "address_mismatch",
        /// This person was refused several times lately.
        RecentFailures = "recent_failures",
        /// This person has not signed in for long.
        LongAbsence = "long_absence",
        /// An hour of the day at which this person, whose hours are known, never signs in.
        UnusualHour = "unusual_hour",
        /// Somebody acts as somebody else.
        Impersonation = "impersonation",
        /// The account was changed lately.
        AccountChanged = "account_changed",
    }
}

codes! {
    /// The level of a risk.
    Level {
        /// Nothing, or little, speaks against it.
        Low = "low",
        /// Something does.
        Medium = "medium",
        /// Much does.
        High = "high",
    }
}

/// A judged risk: every signal that was seen, with what it weighed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// The signals with their weights, in the order of [`Signal::ALL`].
    pub signals: Vec<(Signal, u8)>,
    /// The sum of the weights, at most 100.
    pub score: u8,
    /// The level that follows from the score.
    pub level: Level,
}

impl Assessment {
    /// The signal that weighs most; the first of several.
    pub fn strongest(&self) -> Option<Signal> {
        let heavier = |best: (Signal, u8), next: &(Signal, u8)| if next.1 > best.1 { *next } else { best };
        let mut signals = self.signals.iter();
        let first = *signals.next()?;
        Some(signals.fold(first, heavier).0)
    }

    /// Reads what [`Display`](fmt::Display) wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (score, level) = (words.next()?.parse().ok()?, Level::parse(words.next()?)?);
        let signals = words.map(|word| {
            let (signal, weight) = word.split_once('=')?;
            Some((Signal::parse(signal)?, weight.parse().ok()?))
        });
        Some(Self { signals: signals.collect::<Option<_>>()?, score, level })
    }
}

/// `55 medium new_device=40 new_network=15`
impl fmt::Display for Assessment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.score, self.level.as_str())?;
        self.signals.iter().try_for_each(|(signal, weight)| write!(f, " {}={weight}", signal.as_str()))
    }
}

impl Assessment {
    /// The signals alone, for people: `new_device 40, new_network 15`.
    pub fn reasons(&self) -> String {
        let reasons: Vec<String> = self
            .signals
            .iter()
            .map(|(signal, weight)| alloc::format!("{} {weight}", signal.as_str()))
            .collect();
        reasons.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_signal_weighs_most_and_comes_first() {
        let strongest = |signals: &[(Signal, u8)]| {
            Assessment { signals: signals.to_vec(), score: 0, level: Level::Low }.strongest()
        };
        assert_eq!(strongest(&[]), None);
        assert_eq!(
            strongest(&[(Signal::OldTicket, 5), (Signal::Impersonation, 6)]),
            Some(Signal::Impersonation)
        );
        assert_eq!(strongest(&[(Signal::OldTicket, 6), (Signal::Impersonation, 6)]), Some(Signal::OldTicket));
    }
}
