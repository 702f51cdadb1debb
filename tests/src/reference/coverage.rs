//! Counts of each operation's kinds of answers.

use std::collections::BTreeMap;
use std::fmt;

use super::{Answer, Operation};

/// Every operation, and every kind of answer that it can get.
const EVERY: &str = include_str!("every.txt");

/// An operation, and a kind of answer.
type Case = (String, String);

/// Counts of each operation's kinds of answers.
#[derive(Clone, Debug, Default)]
pub struct Coverage(BTreeMap<Case, u64>);

impl Coverage {
    /// Counts one answer.
    pub fn count(&mut self, operation: &Operation, answer: &Answer) {
        *self.0.entry((operation.name(), answer.kind.clone())).or_default() += 1;
    }

    /// Returns the number of operations.
    pub fn operations(&self) -> u64 {
        self.0.values().sum()
    }

    /// Returns the expected cases that never occurred, and the unexpected ones that did.
    pub fn compared(&self) -> (Vec<Case>, Vec<Case>) {
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

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|((operation, kind), times)| writeln!(f, "{operation}: {kind} {times}"))
    }
}
