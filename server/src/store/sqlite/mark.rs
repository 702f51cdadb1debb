//! The clock's high-water mark, kept in the file.

use gatepass_core::base::time::Time;
use gatepass_core::store::audit::Event;
use rusqlite::{Connection, Row, params};

use super::apply::one;
use super::error::TransactionError;
use super::keys::record;
use super::read::first;
use super::rows::{Columns, signed, stamp};
use super::{Store, StoreError};

/// The mark as it stands in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockMark {
    /// The latest time that was trusted.
    pub mark: Time,
    /// How often a person has set it; whoever knows an older number starts over from the mark.
    pub resets: u64,
    /// When a jump ended, or a person set the mark, by own time.
    pub jumped_at: Option<Time>,
    /// Since when, by own time, a jump has been in use that the mark does not follow. It stays until what was issued
    /// meanwhile and is dated ahead was looked for.
    pub ahead_since: Option<Time>,
}

const READ: &str = "SELECT clock_mark, clock_resets, clock_jumped_at, clock_ahead_since FROM meta";

fn clock_mark(row: &Row<'_>) -> Result<ClockMark, TransactionError> {
    let mut c = Columns::of(row, "meta");
    Ok(ClockMark {
        mark: c.time("clock_mark")?,
        resets: c.number("clock_resets")?,
        jumped_at: c.maybe_time("clock_jumped_at")?,
        ahead_since: c.maybe_time("clock_ahead_since")?,
    })
}

/// The mark alone.
pub(super) fn clock_mark_of(db: &Connection) -> Result<Time, TransactionError> {
    let found = first(db, READ, [], clock_mark)?;
    found.map(|found| found.mark).ok_or(TransactionError::Row { table: "meta", column: "only row" })
}

impl Store {
    /// The mark, the epoch where there is none yet, and how often it was set.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub fn clock_state(&self) -> Result<ClockMark, StoreError> {
        self.snapshot(|db| {
            first(db, READ, [], clock_mark)?
                .ok_or(TransactionError::Row { table: "meta", column: "only row" })
        })
    }

    /// Sets the mark, forwards or back, as a person's decision. Raises the generation of the keys: so every running server
    /// takes the mark over with the next request.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be written.
    pub fn set_clock_mark(&self, mark: Time, event: Option<Event>) -> Result<(), StoreError> {
        self.write(move |db, tail| {
            let sql = "UPDATE meta SET clock_mark = ?1, clock_resets = clock_resets + 1, clock_jumped_at = ?1, \
                       generation = generation + 1";
            one(db, sql, [stamp(mark)])?;
            record(db, tail, event.as_slice())
        })
    }

    /// Raises the mark to `state.mark` and the last jump to `state.jumped_at`, each where it is lower, and writes down since
    /// when a jump is in use, unless a person has set the mark since `state` was read. Returns what stands afterwards.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be written.
    pub fn raise_clock_mark(&self, state: ClockMark) -> Result<ClockMark, StoreError> {
        self.write_aside(move |db, _| {
            let ClockMark { mark, resets, jumped_at, ahead_since } = state;
            db.prepare_cached(
                "UPDATE meta SET clock_mark = max(clock_mark, ?1), \
                 clock_jumped_at = nullif(max(coalesce(clock_jumped_at, 0), coalesce(?3, 0)), 0), \
                 clock_ahead_since = coalesce(clock_ahead_since, ?4) WHERE clock_resets = ?2",
            )?
            .execute(params![
                stamp(mark),
                signed(resets)?,
                jumped_at.map(stamp),
                ahead_since.map(stamp)
            ])?;
            first(db, READ, [], clock_mark)?
                .ok_or(TransactionError::Row { table: "meta", column: "only row" })
        })
    }

    /// Forgets that a jump was in use, once what is dated ahead was looked for. Returns what stands afterwards.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be written.
    pub fn forget_clock_ahead(&self) -> Result<ClockMark, StoreError> {
        self.write_aside(|db, _| {
            one(db, "UPDATE meta SET clock_ahead_since = NULL", [])?;
            first(db, READ, [], clock_mark)?
                .ok_or(TransactionError::Row { table: "meta", column: "only row" })
        })
    }
}
