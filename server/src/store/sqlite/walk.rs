//! Walks along the audit chain, a page at a time: no read transaction stays open between two pages, so that whoever reads
//! slowly, or stops, does not keep the write-ahead log from being emptied.

use gatepass_core::base::secret::same_bytes;
use gatepass_core::base::time::Time;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};

use super::audit::{AuditRow, AuditVerdict, BrokenLink, COLUMNS, Chain, Head, WIDTH, audit_row, kept_head};
use super::error::TransactionError;
use super::read::first;
use super::rows::{Columns, signed, stamp};

/// The rows of one page.
pub(super) const PAGE: i64 = 500;

/// The first schema in which a chain may begin later than at its first row.
pub(super) const CUTS_SINCE: i64 = 8;

/// What is kept of a chain whose oldest rows were archived, and then deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marks {
    /// The row up to which it was archived.
    pub(super) archived: u64,
    /// The last row that was deleted, with its link.
    pub(super) cut: Head,
}

impl Chain {
    /// Reads the marks; none where one of them was altered.
    pub(super) fn marks(&self, db: &Connection) -> Result<Option<Marks>, TransactionError> {
        let read = |row: &rusqlite::Row<'_>| {
            let mut c = Columns::of(row, "meta");
            let archived = (c.number("audit_archived")?, c.maybe_bytes::<32>("audit_archived_seal")?);
            let (seq, mac) = (c.number("audit_cut")?, c.maybe_bytes::<32>("audit_cut_mac")?);
            Ok((archived, seq, mac, c.maybe_bytes::<32>("audit_cut_seal")?))
        };
        let sql =
            "SELECT audit_archived, audit_archived_seal, audit_cut, audit_cut_mac, audit_cut_seal FROM meta";
        let found =
            first(db, sql, [], read)?.ok_or(TransactionError::Row { table: "meta", column: "only row" })?;
        let ((archived, archived_seal), seq, mac, cut_seal) = found;
        let is_sealed = match archived_seal {
            None => archived == 0,
            Some(seal) => same_bytes(&self.seal_of_archived(archived), &seal),
        };
        let cut = match (seq, mac, cut_seal) {
            (0, None, None) => Some(self.empty()),
            (seq, Some(mac), Some(seal)) => {
                let cut = Head { seq, mac };
                Some(cut).filter(|cut| seq <= archived && same_bytes(&self.seal_of_cut(cut), &seal))
            }
            (_, _, _) => None,
        };
        Ok(cut.filter(|_| is_sealed).map(|cut| Marks { archived, cut }))
    }

    /// Follows the chain of a file that nobody writes to, or of one snapshot.
    pub(super) fn verify(&self, db: &Connection, schema: i64) -> Result<AuditVerdict, TransactionError> {
        let mut walk = Walk::new(schema);
        loop {
            if let Some(verdict) = walk.page(self, db)? {
                return Ok(verdict);
            }
        }
    }
}

/// A chain that is being followed.
#[derive(Debug)]
pub(super) struct Walk {
    has_cuts: bool,
    /// The last row that holds; none before the first page.
    at: Option<Head>,
    rows: u64,
}

impl Walk {
    /// Begins where the chain of a file of this schema begins.
    pub(super) const fn new(schema: i64) -> Self {
        Self { has_cuts: schema >= CUTS_SINCE, at: None, rows: 0 }
    }

    /// Follows the chain for one page, in one snapshot; the verdict where that was the last.
    pub(super) fn page(
        &mut self,
        chain: &Chain,
        db: &Connection,
    ) -> Result<Option<AuditVerdict>, TransactionError> {
        if !db.is_autocommit() {
            return self.follow(chain, db);
        }
        db.execute_batch("BEGIN")?;
        let followed = self.follow(chain, db);
        db.execute_batch("COMMIT")?;
        followed
    }

    fn follow(&mut self, chain: &Chain, db: &Connection) -> Result<Option<AuditVerdict>, TransactionError> {
        let broken = |rows, link| Ok(Some(AuditVerdict { rows, broken: Some(link) }));
        let cut = match self.has_cuts.then(|| chain.marks(db)).transpose()? {
            None => chain.empty(),
            Some(Some(marks)) => marks.cut,
            Some(None) => return broken(self.rows, BrokenLink::Start),
        };
        // Rows that were to come may have been deleted since: it goes on behind them.
        let mut from = i64::MIN;
        let mut head = match self.at.take() {
            Some(at) if at.seq >= cut.seq => {
                from = signed(at.seq)?;
                at
            }
            Some(_) | None => cut,
        };
        let mut select = db.prepare_cached(&format!(
            "SELECT {COLUMNS}, mac FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2"
        ))?;
        let mut found = select.query(params![from, PAGE])?;
        let mut count = 0;
        while let Some(row) = found.next()? {
            count += 1;
            let (seq, next) = (row.get::<_, i64>(0)?, head.seq.saturating_add(1));
            let expected = signed(next)?;
            if seq != expected {
                // A row before the first one was moved there.
                let moved = seq < expected;
                let link = if moved { BrokenLink::Altered(next) } else { BrokenLink::Missing(next) };
                return broken(self.rows, link);
            }
            let mut fields = [ValueRef::Null; WIDTH];
            for (i, field) in fields.iter_mut().enumerate() {
                *field = row.get_ref(i)?;
            }
            let mac = chain.link(&head.mac, fields.into_iter());
            if !same_bytes(&mac, row.get_ref(WIDTH)?.as_blob().unwrap_or_default()) {
                return broken(self.rows, BrokenLink::Altered(next));
            }
            head = Head { seq: next, mac };
            self.rows = self.rows.saturating_add(1);
        }
        if count == PAGE {
            self.at = Some(head);
            return Ok(None);
        }
        let (kept, seal) = kept_head(db)?;
        if head != kept {
            let link = match head.seq.cmp(&kept.seq) {
                std::cmp::Ordering::Less => BrokenLink::Cut(head.seq.saturating_add(1)),
                std::cmp::Ordering::Equal => BrokenLink::Head,
                std::cmp::Ordering::Greater => BrokenLink::Added(kept.seq.saturating_add(1)),
            };
            return broken(self.rows, link);
        }
        if !same_bytes(&chain.seal_of(&kept), &seal) {
            return broken(self.rows, BrokenLink::Head);
        }
        Ok(Some(AuditVerdict { rows: self.rows, broken: None }))
    }
}

/// Rows from a time on, the oldest first, a page at a time.
#[derive(Debug)]
pub(super) struct Pages {
    since: i64,
    /// The last row that was looked at; none before the first page.
    after: Option<i64>,
}

impl Pages {
    pub(super) fn since(since: Option<Time>) -> Self {
        Self { since: since.map_or(0, stamp), after: None }
    }

    /// Reads the next page, in one snapshot; nothing after the last.
    pub(super) fn page(&mut self, db: &Connection) -> Result<Vec<AuditRow>, TransactionError> {
        let after = match self.after {
            Some(after) => after,
            // Found by the index over times. The rows after it are in the order of writing, in which the clock may have stood
            // back, so the time is asked of each.
            None => {
                let sql = "SELECT min(seq) FROM audit WHERE at >= ?1";
                let first: Option<i64> = if self.since == 0 {
                    Some(0)
                } else {
                    db.query_row(sql, [self.since], |row| row.get(0))?
                };
                let Some(first) = first else { return Ok(Vec::new()) };
                first.saturating_sub(1)
            }
        };
        let sql = format!("SELECT {COLUMNS} FROM audit WHERE seq > ?1 AND +at >= ?2 ORDER BY seq LIMIT ?3");
        let rows = super::read::every(db, &sql, params![after, self.since, PAGE], audit_row)?;
        self.after = match rows.last() {
            Some(last) => Some(signed(last.seq)?),
            None => Some(after),
        };
        Ok(rows)
    }
}
