//! Counts of rows, a bounded number of rows at a time: of a large file, none of them reads more than a part of an index.

use rusqlite::{Connection, Row, params};

use super::read::every;
use super::transaction_error::TransactionError;
use crate::store::backend::{CountedRows, CountedTable, RowCursor};

/// Counts at most `most` rows after `after`.
pub(super) fn count(
    db: &Connection,
    table: CountedTable,
    after: Option<RowCursor>,
    most: u32,
) -> Result<CountedRows, TransactionError> {
    let sql = match table {
        CountedTable::Users => {
            "SELECT seq, 0 FROM users WHERE seq > ?1 AND ?2 IS NOT NULL ORDER BY seq LIMIT ?3"
        }
        CountedTable::Clients => {
            "SELECT seq, 0 FROM clients WHERE seq > ?1 AND ?2 IS NOT NULL ORDER BY seq LIMIT ?3"
        }
        // The smallest index of each, which holds both columns.
        CountedTable::Tickets => {
            "SELECT expires_at, seq FROM tickets WHERE (expires_at, seq) > (?1, ?2) ORDER BY expires_at, seq LIMIT ?3"
        }
        CountedTable::Sessions => {
            "SELECT expires_at, seq FROM sessions WHERE (expires_at, seq) > (?1, ?2) ORDER BY expires_at, seq LIMIT ?3"
        }
    };
    let RowCursor(first, second) = after.unwrap_or(RowCursor(i64::MIN, i64::MIN));
    let read = |row: &Row<'_>| Ok(RowCursor(row.get(0)?, row.get(1)?));
    let found = every(db, sql, params![first, second, most], read)?;
    let rows = u32::try_from(found.len()).unwrap_or(u32::MAX);
    Ok(CountedRows { rows, rest: found.last().copied().filter(|_| rows >= most) })
}
