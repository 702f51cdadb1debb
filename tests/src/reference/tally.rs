//! How often each operation met each kind of answer.

use std::collections::BTreeMap;
use std::fmt;

use super::{Answer, Operation};

/// Every operation, and every kind of answer that it can meet.
const EVERY: &str = include_str!("every.txt");

/// An operation, and a kind of answer.
type Met = (String, String);

/// How often each operation met each kind of answer.
#[derive(Clone, Debug, Default)]
pub struct Tally(BTreeMap<Met, u64>);

impl Tally {
    /// One more.
    pub fn count(&mut self, operation: &Operation, answer: &Answer) {
        *self.0.entry((operation.name(), answer.kind.clone())).or_default() += 1;
    }

    /// How many operations there were.
    pub fn operations(&self) -> u64 {
        self.0.values().sum()
    }

    /// What was never met of what can be, and what was met beside.
    pub fn compared(&self) -> (Vec<Met>, Vec<Met>) {
        let mut expected = vec![];
        for line in EVERY.lines().filter(|line| !line.starts_with('#')) {
            let (operation, kinds) = line.split_once(':').unwrap_or((line, ""));
            expected.extend(kinds.split(',').map(|kind| (operation.to_owned(), kind.trim().to_owned())));
        }
        let unmet = expected.iter().filter(|kind| !self.0.contains_key(kind)).cloned().collect();
        let beside = self.0.keys().filter(|kind| !expected.contains(kind)).cloned().collect();
        (unmet, beside)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|((operation, kind), times)| writeln!(f, "{operation}: {kind} {times}"))
    }
}
