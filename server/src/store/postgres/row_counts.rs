//! Counts of rows, a bounded number of pages of a table at a time.

use super::load::Parameter;
use super::store::PostgresStore;
use crate::store::backend::{CountedRows, CountedTable, RowCursor};
use crate::store::error::StoreError;

/// The most rows in one page of 8 KiB.
const ROWS_PER_PAGE: i64 = 291;

/// Counts the rows of a table in the pages from `$1` to before `$2`, and the pages that it has.
macro_rules! count {
    ($table:literal) => {
        concat!(
            "SELECT count(*), pg_relation_size('",
            $table,
            "') / current_setting('block_size')::bigint FROM ",
            $table,
            " WHERE ctid >= format('(%s,0)', $1::bigint)::tid AND ctid < format('(%s,0)', $2::bigint)::tid"
        )
    };
}

impl PostgresStore {
    /// Counts at most `most` rows after `after`. The cursor is the number of the next page.
    pub(super) fn count(
        &self,
        table: CountedTable,
        after: Option<RowCursor>,
        most: u32,
    ) -> Result<CountedRows, StoreError> {
        let sql = match table {
            CountedTable::Users => count!("users"),
            CountedTable::Clients => count!("clients"),
            CountedTable::Tickets => count!("tickets"),
            CountedTable::Sessions => count!("sessions"),
        };
        let from = after.map_or(0, |RowCursor(page, _)| page);
        let to = from.saturating_add((i64::from(most) / ROWS_PER_PAGE).max(1));
        let (rows, pages) = self.read_with(async |connection| {
            let parameters: [Parameter; 2] = [Box::new(from), Box::new(to)];
            let rows = connection.query(sql, &parameters).await?;
            Ok(rows.first().map_or((0, 0), |row| (row.get::<_, i64>(0), row.get::<_, i64>(1))))
        })?;
        let rest = (to < pages).then_some(RowCursor(to, 0));
        Ok(CountedRows { rows: u32::try_from(rows).unwrap_or(u32::MAX), rest })
    }
}
