//! Deletes useless rows, a small batch at a time.
//!
//! A session may have millions of refresh tokens, and a deleted user any number of sessions. So the dependent rows are
//! deleted first, in transactions of a bounded time, and the row itself once nothing depends on it.

use std::time::Instant;

use gatepass_core::base::time::Time;
use rusqlite::{Connection, params};

use super::read::{every, first, sessions_of};
use super::transaction_error::TransactionError;
use super::values::signed;
use super::{Store, deliveries};
use crate::store::backend::{KEEP_EXPIRED, STEP, Swept};
use crate::store::error::StoreError;
use crate::store::rows::stamp;

/// The number of refresh tokens deleted between two checks of the time.
const TOKENS: usize = 64;
/// The most refresh tokens deleted in one transaction: its pages must be synced, and copied from the log, too.
const MOST_TOKENS: usize = 512;

/// The rows to delete, as a reader found them.
struct Found {
    expired: bool,
    /// A deleted user who may have rows left, with some of their sessions.
    deleted: Option<Deleted>,
}

struct Deleted {
    seq: i64,
    user_id: String,
    sessions: Vec<i64>,
}

impl Store {
    /// Deletes at most `batch` tickets, as many sessions, challenges, revoked tokens and used assertions that expired [`KEEP_EXPIRED`]
    /// before `now`, and as many of a deleted user's; of their refresh tokens, as many as fit about [`STEP`]. A spent
    /// ticket that could still pass for a live one by its time is never deleted.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub(super) fn sweep_step(&self, now: Time, batch: usize) -> Result<Swept, StoreError> {
        let before = stamp(Time::from_unix(now.unix().saturating_sub(KEEP_EXPIRED)));
        let limit = i64::try_from(batch).unwrap_or(i64::MAX);
        let Found { expired, deleted } = self.snapshot(|db| {
            Ok(Found { expired: has_expired(db, before)?, deleted: find_deleted(db, limit)? })
        })?;
        if !expired && deleted.is_none() {
            return Ok(Swept::default());
        }
        self.write_aside(move |db, tail| {
            let begin = Instant::now();
            deliveries::record_repetitions(db, tail, (now, before, limit))?;
            let take = |table: &str| {
                db.prepare_cached(&format!(
                    "DELETE FROM {table} WHERE seq IN \
                     (SELECT seq FROM {table} WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)"
                ))?
                .execute(params![before, limit])
            };
            let mut swept = Swept { tickets: take("tickets")?, challenges: take("challenges")?, ..Swept::default() };
            swept.revoked = db
                .prepare_cached(
                    "DELETE FROM revoked_tokens WHERE token_id IN \
                     (SELECT token_id FROM revoked_tokens WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
                )?
                .execute(params![before, limit])?;
            let mut sessions = every(
                db,
                "SELECT seq FROM sessions WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2",
                params![before, limit],
                |row| Ok(row.get::<_, i64>(0)?),
            )?;
            swept.assertions = db
                .prepare_cached(
                    "DELETE FROM used_assertions WHERE digest IN \
                     (SELECT digest FROM used_assertions WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
                )?
                .execute(params![before, limit])?;
            swept.more = [swept.tickets, sessions.len(), swept.challenges, swept.revoked, swept.assertions]
                .iter()
                .any(|taken| *taken >= batch);
            if let Some(deleted) = &deleted {
                sessions.extend(&deleted.sessions);
                swept.more = true;
            }
            let all = take_sessions(db, &sessions, begin, &mut swept)?;
            if let Some(deleted) = deleted.as_ref().filter(|_| all) {
                swept.challenges += end_deleted(db, deleted, limit)?;
            }
            swept.more |= !all;
            swept.took = begin.elapsed();
            Ok(swept)
        })
    }
}

/// Deletes `sessions` with their refresh tokens, as far as there is time; returns true if that was all.
fn take_sessions(
    db: &Connection,
    sessions: &[i64],
    begin: Instant,
    swept: &mut Swept,
) -> Result<bool, TransactionError> {
    for session in sessions {
        loop {
            let taken = db
                .prepare_cached(
                    "DELETE FROM refresh_tokens WHERE digest IN (SELECT digest FROM refresh_tokens \
                     INDEXED BY refresh_tokens_by_session WHERE session = ?1 ORDER BY number, digest LIMIT ?2)",
                )?
                .execute(params![session, signed(u64::try_from(TOKENS).unwrap_or(u64::MAX))?])?;
            swept.refresh_tokens += taken;
            if taken < TOKENS {
                break;
            }
            if begin.elapsed() >= STEP || swept.refresh_tokens >= MOST_TOKENS {
                return Ok(false);
            }
        }
        swept.sessions += db.prepare_cached("DELETE FROM sessions WHERE seq = ?1")?.execute([session])?;
    }
    Ok(true)
}

/// Deletes challenges of a deleted user, and the note about the user once they have no rows left. Returns the number of
/// challenges.
fn end_deleted(db: &Connection, deleted: &Deleted, limit: i64) -> Result<usize, TransactionError> {
    let challenges = db
        .prepare_cached(
            "DELETE FROM challenges WHERE seq IN (SELECT seq FROM challenges WHERE user_id = ?1 LIMIT ?2)",
        )?
        .execute(params![deleted.user_id, limit])?;
    if challenges == 0 && deleted.sessions.is_empty() {
        db.prepare_cached("DELETE FROM deleted_users WHERE seq = ?1")?.execute([deleted.seq])?;
    }
    Ok(challenges)
}

/// Returns true if anything expired before `before`. So a server without requests writes nothing.
fn has_expired(db: &Connection, before: i64) -> Result<bool, TransactionError> {
    for table in ["tickets", "sessions", "challenges", "revoked_tokens", "used_assertions"] {
        let sql = format!("SELECT 1 FROM {table} WHERE expires_at < ?1 LIMIT 1");
        if db.prepare_cached(&sql)?.exists([before])? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns the first deleted user who may have rows left. Nothing is added for them any more, so a reader finds all of
/// it.
fn find_deleted(db: &Connection, limit: i64) -> Result<Option<Deleted>, TransactionError> {
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
    let found = first(db, "SELECT seq, user_id FROM deleted_users ORDER BY seq LIMIT 1", [], read)?;
    let Some((seq, user_id)) = found else { return Ok(None) };
    let sql = concat!(sessions_of!("seq"), " LIMIT ?2");
    let sessions = every(db, sql, params![user_id, limit], |row| Ok(row.get::<_, i64>(0)?))?;
    Ok(Some(Deleted { seq, user_id, sessions }))
}
