//! Follows the audit chain, a page at a time: no read transaction stays open between two pages, so a slow reader does
//! not keep the write-ahead log from being emptied.

use gatepass_core::base::time::Time;
use rusqlite::{Connection, params};

use super::audit::{audit_row, columns, kept_head, kept_marks, row_fields};
use super::read::every;
use super::rows::{signed, stamp};
use super::schema;
use super::transaction_error::TransactionError;
use crate::store::audit_chain::{AuditRow, AuditVerdict, Chain, WIDTH, Walk};

/// The rows of one page.
pub(super) const PAGE: i64 = 500;

/// The first schema in which a chain may begin later than at its first row.
const CUTS_SINCE: i64 = 8;

/// A walk along the chain of a file.
pub(super) struct FileWalk {
    walk: Walk,
    select: String,
}

/// Begins a walk along the chain of a file of this schema.
pub(super) fn walk(schema: i64) -> FileWalk {
    let select = format!("SELECT {}, mac FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2", columns(schema));
    FileWalk { walk: Walk::new(schema >= CUTS_SINCE), select }
}

/// Verifies the chain of a file that nothing writes to, or of one snapshot.
pub(super) fn verify(chain: &Chain, db: &Connection, schema: i64) -> Result<AuditVerdict, TransactionError> {
    let mut walk = walk(schema);
    loop {
        if let Some(verdict) = verify_page(&mut walk, chain, db)? {
            return Ok(verdict);
        }
    }
}

/// Verifies the next page, in one snapshot. Returns the verdict after the last.
pub(super) fn verify_page(
    walk: &mut FileWalk,
    chain: &Chain,
    db: &Connection,
) -> Result<Option<AuditVerdict>, TransactionError> {
    if !db.is_autocommit() {
        return follow(walk, chain, db);
    }
    db.execute_batch("BEGIN")?;
    let verified = follow(walk, chain, db);
    db.execute_batch("COMMIT")?;
    verified
}

fn follow(
    FileWalk { walk, select }: &mut FileWalk,
    chain: &Chain,
    db: &Connection,
) -> Result<Option<AuditVerdict>, TransactionError> {
    let marks = walk.has_cuts().then(|| kept_marks(db)).transpose()?;
    let from = match walk.begin(chain, marks.as_ref()) {
        Ok(from) => from,
        Err(verdict) => return Ok(Some(verdict)),
    };
    let mut select = db.prepare_cached(select)?;
    let mut found = select.query(params![from, PAGE])?;
    let mut count = 0;
    while let Some(row) = found.next()? {
        count += 1;
        let mac = row.get_ref(WIDTH)?.as_blob().unwrap_or_default();
        if let Err(verdict) = walk.row(chain, row.get(0)?, &row_fields(row)?, mac) {
            return Ok(Some(verdict));
        }
    }
    if count == PAGE { Ok(None) } else { Ok(Some(walk.end(chain, &kept_head(db)?))) }
}

/// Reads a page of the rows of the time `since` and later, the oldest first: those after the row `after`, or the first ones.
pub(super) fn rows_after(
    db: &Connection,
    since: Option<Time>,
    after: Option<u64>,
) -> Result<Vec<AuditRow>, TransactionError> {
    let since = since.map_or(0, stamp);
    let after = match after {
        Some(after) => signed(after)?,
        None if since == 0 => -1,
        // Found by the index over times. The rows after it are in the order of writing, in which the clock may have
        // been set back, so each row's time is compared.
        None => {
            let sql = "SELECT min(seq) FROM audit WHERE at >= ?1";
            let first: Option<i64> = db.query_row(sql, [since], |row| row.get(0))?;
            let Some(first) = first else { return Ok(Vec::new()) };
            first.saturating_sub(1)
        }
    };
    let columns = columns(schema::known());
    let sql = format!("SELECT {columns} FROM audit WHERE seq > ?1 AND +at >= ?2 ORDER BY seq LIMIT ?3");
    every(db, &sql, params![after, since, PAGE], audit_row)
}
