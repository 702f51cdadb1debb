//! The measures of a store, since it was opened.

use std::time::Duration;

use crate::measures::{Count, Histogram, Level, NUMBERS, TIMES};

/// The measures of the thread that writes.
#[derive(Debug)]
pub struct StoreMeasures {
    /// Commits that wait for it.
    pub waiting: Level,
    /// Commits in one transaction.
    pub batch: Histogram,
    /// The time to write a transaction, in microseconds.
    pub writing: Histogram,
    /// The time until a written transaction was durable, in microseconds.
    pub syncing: Histogram,
    /// Transactions whose answer was lost, by what was found out about them.
    pub lost: LostAnswers,
}

/// The numbers of transactions whose answer was lost.
#[derive(Debug, Default)]
pub struct LostAnswers {
    /// Found to be written.
    pub written: Count,
    /// Found not to be written.
    pub not_written: Count,
    /// Not found out in time.
    pub unknown: Count,
}

impl Default for StoreMeasures {
    fn default() -> Self {
        Self {
            waiting: Level::default(),
            batch: Histogram::new(NUMBERS),
            writing: Histogram::new(TIMES),
            syncing: Histogram::new(TIMES),
            lost: LostAnswers::default(),
        }
    }
}

impl StoreMeasures {
    /// Takes a transaction of `commits`.
    pub(super) fn took(&self, commits: usize, writing: Duration, syncing: Duration) {
        self.batch.take(u64::try_from(commits).unwrap_or(u64::MAX));
        self.writing.take_time(writing);
        self.syncing.take_time(syncing);
    }
}
