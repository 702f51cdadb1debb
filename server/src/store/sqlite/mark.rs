//! The clock's high-water mark, kept in the file.

use gatepass_core::base::time::Time;
use gatepass_core::store::audit::Event;
use rusqlite::{Connection, Row, params};

use super::Store;
use super::apply::one;
use super::read::first;
use super::transaction_error::TransactionError;
use super::values::signed;
use crate::store::backend::{ClockMark, ClockStore};
use crate::store::error::StoreError;
use crate::store::rows::{Columns, NO_META, stamp};

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

/// Reads the mark and what belongs to it.
fn read(db: &Connection) -> Result<ClockMark, TransactionError> {
    first(db, READ, [], clock_mark)?.ok_or(NO_META.into())
}

/// Reads the mark alone.
pub(super) fn clock_mark_of(db: &Connection) -> Result<Time, TransactionError> {
    Ok(read(db)?.mark)
}

impl ClockStore for Store {
    fn clock_state(&self) -> Result<ClockMark, StoreError> {
        self.snapshot(read)
    }

    fn set_clock_mark(&self, mark: Time, event: Option<Event>) -> Result<(), StoreError> {
        self.write(move |db, tail| {
            let sql = "UPDATE meta SET clock_mark = ?1, clock_resets = clock_resets + 1, clock_jumped_at = ?1, \
                       generation = generation + 1";
            one(db, sql, [stamp(mark)])?;
            event.iter().try_for_each(|event| tail.append(db, event))
        })
    }

    fn raise_clock_mark(&self, state: ClockMark) -> Result<ClockMark, StoreError> {
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
            read(db)
        })
    }

    fn forget_clock_ahead(&self) -> Result<ClockMark, StoreError> {
        self.write_aside(|db, _| {
            one(db, "UPDATE meta SET clock_ahead_since = NULL", [])?;
            read(db)
        })
    }
}
