//! Ends what is dated ahead: it was issued while own time was later, and must not become valid when its date arrives.

use std::collections::VecDeque;

use gatepass_core::base::time::{LEEWAY, Time};
use rusqlite::params;

use super::Store;
use super::read::every;
use super::transaction_error::TransactionError;
use crate::store::backend::EndedAhead;
use crate::store::error::StoreError;
use crate::store::rows::stamp;

/// The most rows changed in one transaction.
const BATCH: usize = 500;
/// The span of row numbers read in one snapshot.
const SPAN: i64 = 20_000;
/// The number of newest rows of each kind that a start checks.
const NEWEST: i64 = 1000;

/// A dated kind of record, and how it is ended for good. It also expires, so that it is swept soon and not when its
/// date has passed.
struct Dated {
    table: &'static str,
    issued_at: &'static str,
    is_open: &'static str,
    end: &'static str,
}

const SESSIONS: Dated =
    Dated { table: "sessions", issued_at: "signed_in_at", is_open: "ended_at IS NULL", end: "ended_at = ?2" };
const TICKETS: Dated = Dated {
    table: "tickets",
    issued_at: "issued_at",
    is_open: "spent_at IS NULL AND revoked_at IS NULL",
    end: "revoked_at = ?2",
};
const CHALLENGES: Dated = Dated {
    table: "challenges",
    issued_at: "issued_at",
    is_open: "answered = 0",
    end: "answered = 1, answered_at = ?2",
};

impl Store {
    /// Ends sessions, tickets and challenges dated more than a minute after `now`: in small transactions, so that other
    /// writes get their turn.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read or written. What was ended before stays ended; the rest can be tried
    /// again.
    pub(super) fn end_rows_ahead(&self, now: Time) -> Result<EndedAhead, StoreError> {
        Ok(EndedAhead {
            sessions: self.end_all_of(&SESSIONS, now)?,
            tickets: self.end_all_of(&TICKETS, now)?,
            challenges: self.end_all_of(&CHALLENGES, now)?,
        })
    }

    /// Returns true if one of the newest rows is dated ahead of `now`. The cost does not depend on the number of rows.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub(super) fn newest_are_ahead(&self, now: Time) -> Result<bool, StoreError> {
        let limit = stamp(now.plus(LEEWAY));
        self.snapshot(|db| {
            for Dated { table, issued_at, is_open, .. } in [SESSIONS, TICKETS, CHALLENGES] {
                let sql = format!(
                    "SELECT 1 FROM (SELECT * FROM {table} ORDER BY seq DESC LIMIT {NEWEST}) \
                     WHERE {issued_at} > ?1 AND {is_open}"
                );
                if db.prepare_cached(&sql)?.exists([limit])? {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    fn end_all_of(&self, kind: &'static Dated, now: Time) -> Result<u64, StoreError> {
        let Dated { table, issued_at, is_open, end } = kind;
        let (limit, now) = (stamp(now.plus(LEEWAY)), stamp(now));
        let bounds = format!("SELECT coalesce(min(seq), 0), coalesce(max(seq), -1) FROM {table}");
        let (mut next, last): (i64, i64) =
            self.snapshot(|db| Ok(db.query_row(&bounds, [], |row| Ok((row.get(0)?, row.get(1)?)))?))?;
        let find = format!(
            "SELECT seq FROM {table} WHERE seq BETWEEN ?1 AND ?2 AND {issued_at} > ?3 AND {is_open} ORDER BY seq"
        );
        let update = format!(
            "UPDATE {table} SET {end}, expires_at = min(expires_at, ?2) WHERE seq = ?1 AND {is_open} AND {issued_at} > ?3"
        );
        let mut ended = 0;
        while next <= last {
            let until = next.saturating_add(SPAN - 1);
            let found: Result<Vec<i64>, StoreError> =
                self.snapshot(|db| every(db, &find, params![next, until, limit], |row| Ok(row.get(0)?)));
            let mut found = VecDeque::from(found?);
            while !found.is_empty() {
                let rows: Vec<i64> = found.drain(..found.len().min(BATCH)).collect();
                let update = update.clone();
                ended += self.write(move |db, _| {
                    let mut update = db.prepare_cached(&update)?;
                    let mut ended = 0;
                    for seq in &rows {
                        ended += update.execute(params![seq, now, limit])?;
                    }
                    Ok::<_, TransactionError>(u64::try_from(ended).unwrap_or(u64::MAX))
                })?;
            }
            next = until.saturating_add(1);
        }
        Ok(ended)
    }
}
