//! Follows the audit chain, a page at a time: no read transaction stays open between two pages, so a slow reader does
//! not keep the write-ahead log from being emptied.

use rusqlite::{Connection, params};

use super::audit::{columns, kept_head, kept_marks, row_fields};
use super::transaction_error::TransactionError;
use crate::store::audit_chain::{AuditVerdict, Chain, WIDTH, Walk};

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
