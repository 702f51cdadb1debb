//! Taking out rows that are of no more use, a small batch at a time.

use std::time::{Duration, Instant};

use gatepass_core::time::Time;
use rusqlite::params;

use super::rows::{signed, stamp};
use super::{Store, StoreError, deliveries};

/// How long an expired row stays, in seconds. A ticket taken out answers as unknown, which is the same on the wire
/// as spent or expired; until then the audit table can tell them apart.
pub const KEEP_EXPIRED: u64 = 3600;

/// What one batch took out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Swept {
    /// Tickets, whatever became of them.
    pub tickets: usize,
    /// Sessions, with their refresh tokens.
    pub sessions: usize,
    /// Challenges, answered or not.
    pub challenges: usize,
    /// Access tokens remembered as revoked.
    pub revoked: usize,
    /// Whether there is more to take out.
    pub more: bool,
    /// How long it took, the wait for its turn and for the disk apart.
    pub took: Duration,
}

impl Store {
    /// Takes out at most `batch` tickets, as many sessions, challenges and revoked tokens that expired [`KEEP_EXPIRED`] before `now`. A spent
    /// ticket that could still pass for a live one by its time is never touched.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be written.
    pub fn sweep(&self, now: Time, batch: usize) -> Result<Swept, StoreError> {
        let before = now.unix().saturating_sub(KEEP_EXPIRED);
        if !self.has_expired(before)? {
            return Ok(Swept::default());
        }
        self.write_aside(move |db, tail| {
            let begin = Instant::now();
            let before = stamp(Time::from_unix(before));
            let limit = signed(u64::try_from(batch).unwrap_or(u64::MAX))?;
            deliveries::tell_repetitions(db, tail, (now, before, limit))?;
            let take = |table: &str| {
                db.prepare_cached(&format!(
                    "DELETE FROM {table} WHERE seq IN \
                     (SELECT seq FROM {table} WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)"
                ))?
                .execute(params![before, limit])
            };
            let (tickets, sessions) = (take("tickets")?, take("sessions")?);
            let challenges = take("challenges")?;
            let revoked = db
                .prepare_cached(
                    "DELETE FROM revoked_tokens WHERE token_id IN \
                     (SELECT token_id FROM revoked_tokens WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
                )?
                .execute(params![before, limit])?;
            let more = [tickets, sessions, challenges, revoked].iter().any(|taken| *taken >= batch);
            Ok(Swept { tickets, sessions, challenges, revoked, more, took: begin.elapsed() })
        })
    }

    /// Returns true if anything expired before `before`. So a server that nobody asks writes nothing.
    fn has_expired(&self, before: u64) -> Result<bool, StoreError> {
        let before = stamp(Time::from_unix(before));
        self.snapshot(|db| {
            for table in ["tickets", "sessions", "challenges", "revoked_tokens"] {
                let sql = format!("SELECT 1 FROM {table} WHERE expires_at < ?1 LIMIT 1");
                if db.prepare_cached(&sql)?.exists([before])? {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }
}
