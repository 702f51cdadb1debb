//! Counts of the cases that occurred.

use std::collections::BTreeMap;
use std::fmt;

/// Every case that a run of thousands of seeds must meet, faults first.
const ALL: &[&str] = &[
    "requests lost",
    "requests late",
    "requests doubled",
    "answers lost",
    "answers late",
    "requests to a dead server",
    "crashes",
    "flows lost in a crash",
    "commits lost in a crash",
    "commits durable, outcome lost in a crash",
    "crashes at the instant of the fsync",
    "starts",
    "outcomes unknown, not applied",
    "outcomes unknown, applied",
    "outcomes unknown, applied later",
    "commits on a full disk",
    "commits on a slow disk",
    "commits together with others",
    "reads failed",
    "no room to hash",
    "clock jumps forward",
    "clock jumps back",
    "clocks behind at a start",
    "older state put back",
    "superseded credentials refused",
    "worlds of two servers",
    "conflicts",
    "tickets issued",
    "tickets raced for",
    "welcomes",
    "answers repeated",
    "keys kept from a thief",
    "tickets refused",
    "passwords refused",
    "challenges",
    "challenges answered",
    "wrong codes counted",
    "codes replayed",
    "backup codes used",
    "devices verified",
    "sessions refreshed",
    "refreshes that are only counted",
    "the same successor again",
    "old tokens replayed by a thief",
    "families ended by a reuse",
    "sessions ended",
    "dead tokens refused",
    "live tokens accepted",
    "passwords changed",
    "commands decided again",
    "users disabled",
    "users enabled",
    "epochs raised",
    "tickets revoked",
    "secrets rotated",
    "clients disabled",
    "clients added anew",
    "administrations",
    "administrations refused",
    "sessions to administer",
    "roles given",
    "roles taken",
    "roles lost with a way to sign in",
    "answers 500",
    "answers 503",
];

/// Counts by case.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Coverage(BTreeMap<&'static str, u64>);

impl Coverage {
    pub(super) fn count(&mut self, what: &'static str) {
        self.count_times(what, 1);
    }

    pub(super) fn count_times(&mut self, what: &'static str, times: usize) {
        assert!(ALL.contains(&what), "{what} is not to be met");
        *self.0.entry(what).or_default() += times as u64;
    }

    /// Adds the counts of another world.
    pub fn add(&mut self, other: &Self) {
        for (what, times) in &other.0 {
            *self.0.entry(what).or_default() += times;
        }
    }

    /// Returns the cases that never occurred.
    pub fn missing(&self) -> Vec<&'static str> {
        ALL.iter().copied().filter(|what| !self.0.contains_key(what)).collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ALL.iter()
            .try_for_each(|what| writeln!(f, "{:>12}  {what}", self.0.get(what).copied().unwrap_or_default()))
    }
}
