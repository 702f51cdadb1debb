//! The numbers of rows for the metrics. A count goes through a part of an index in each round of the maintenance, so that a file of
//! millions of rows is counted in hours, and nobody notices; one of thousands is counted in each round.

use std::sync::{Mutex, PoisonError};

use crate::store::{Backend, CountedRows, CountedTable, RowCursor};

/// The most rows of a table that are counted in one round.
const PER_ROUND: u32 = 20_000;

/// The numbers of rows of each table.
#[derive(Debug, Default)]
pub struct RowCounts(Mutex<[RowCount; CountedTable::ALL.len()]>);

#[derive(Clone, Copy, Debug, Default)]
struct RowCount {
    /// The result of the last count that came to its end.
    last: Option<u64>,
    /// The rows of the running count.
    running: u64,
    /// The last of them, if it goes on.
    after: Option<RowCursor>,
}

impl RowCounts {
    /// Counts on.
    pub fn count_on(&self, store: &dyn Backend) {
        self.count_at_most(store, PER_ROUND);
    }

    fn count_at_most(&self, store: &dyn Backend, most: u32) {
        for (place, table) in CountedTable::ALL.into_iter().enumerate() {
            let counts = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(count) = counts.get(place) else { continue };
            let counted = match store.count_rows(table, count.after, most) {
                Ok(Some(CountedRows { rows, rest })) => {
                    let rows = count.running.saturating_add(u64::from(rows));
                    match rest {
                        Some(_) => RowCount { running: rows, after: rest, ..*count },
                        None => RowCount { last: Some(rows), ..RowCount::default() },
                    }
                }
                Ok(None) => continue,
                Err(error) => {
                    tracing::debug!(%error, table = table.as_str(), "rows were not counted");
                    continue;
                }
            };
            if let Some(count) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(place) {
                *count = counted;
            }
        }
    }

    /// Returns the tables that were counted, with their numbers of rows.
    pub fn read(&self) -> Vec<(CountedTable, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = CountedTable::ALL.into_iter().zip(counts.iter());
        counted.filter_map(|(table, count)| Some((table, count.last?))).collect()
    }
}
