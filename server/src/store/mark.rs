//! The clock's high-water mark, kept in the file.

use gatepass_core::audit::Event;
use gatepass_core::time::Time;
use rusqlite::{Connection, Row, params};

use super::apply::one;
use super::error::Trouble;
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
}

const READ: &str = "SELECT clock_mark, clock_resets FROM meta";

fn clock_mark(row: &Row<'_>) -> Result<ClockMark, Trouble> {
    let mut c = Columns::of(row, "meta");
    Ok(ClockMark { mark: c.time("clock_mark")?, resets: c.number("clock_resets")? })
}

/// The mark alone.
pub(super) fn clock_mark_of(db: &Connection) -> Result<Time, Trouble> {
    let found = first(db, READ, [], clock_mark)?;
    found.map(|found| found.mark).ok_or(Trouble::Row { table: "meta", column: "only row" })
}

impl Store {
    /// The mark, the epoch where there is none yet, and how often it was set.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub fn clock_state(&self) -> Result<ClockMark, StoreError> {
        self.snapshot(|db| {
            first(db, READ, [], clock_mark)?.ok_or(Trouble::Row { table: "meta", column: "only row" })
        })
    }

    /// Sets the mark, forwards or back, as a person's decision: every running server takes it over.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be written.
    pub fn set_clock_mark(&self, mark: Time, event: Option<Event>) -> Result<(), StoreError> {
        self.write(move |db, tail| {
            let sql = "UPDATE meta SET clock_mark = ?1, clock_resets = clock_resets + 1";
            one(db, sql, [stamp(mark)])?;
            record(db, tail, event.as_slice())
        })
    }

    /// Raises the mark to `state.mark`, where it is lower and nobody has set it since `state` was read; answers with
    /// what stands afterwards.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be written.
    pub fn raise_clock_mark(&self, state: ClockMark) -> Result<ClockMark, StoreError> {
        self.write_aside(move |db, _| {
            db.prepare_cached("UPDATE meta SET clock_mark = ?1 WHERE clock_mark < ?1 AND clock_resets = ?2")?
                .execute(params![stamp(state.mark), signed(state.resets)?])?;
            first(db, READ, [], clock_mark)?.ok_or(Trouble::Row { table: "meta", column: "only row" })
        })
    }
}
