//! The clock's high-water mark, kept in the database.

use gatepass_core::base::time::Time;
use gatepass_core::store::audit::Event;
use tokio_postgres::Row;

use super::load::Parameter;
use super::store::PostgresStore;
use super::trouble::Trouble;
use crate::clock::ServerClock;
use crate::store::backend::{ClockMark, ClockStore};
use crate::store::error::StoreError;
use crate::store::rows::{Columns, NO_META, integer, stamp};

/// Reads the mark, and the database's clock in milliseconds.
const READ: &str = "SELECT clock_mark, clock_resets, clock_jumped_at, clock_ahead_since, \
                    floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint FROM meta";
const RAISE: &str = "UPDATE meta SET clock_mark = greatest(clock_mark, $1), clock_jumped_at = greatest(clock_jumped_at, $3), \
                     clock_ahead_since = coalesce(clock_ahead_since, $4) WHERE clock_resets = $2";
const SET: &str = "UPDATE meta SET clock_mark = $1, clock_resets = clock_resets + 1, clock_jumped_at = $1, \
                   generation = generation + 1";
const FORGET: &str = "UPDATE meta SET clock_ahead_since = NULL";

impl PostgresStore {
    /// Returns the mark, and takes over the database's clock.
    fn mark(&self, rows: &[Row]) -> Result<ClockMark, Trouble> {
        let mut c = Columns::of(rows.first().ok_or(NO_META)?, "meta");
        let mark = ClockMark {
            mark: c.time("clock_mark")?,
            resets: c.number("clock_resets")?,
            jumped_at: c.maybe_time("clock_jumped_at")?,
            ahead_since: c.maybe_time("clock_ahead_since")?,
        };
        self.state().clock.read(c.number("clock_timestamp")?);
        Ok(mark)
    }
}

impl ClockStore for PostgresStore {
    fn clock_state(&self) -> Result<ClockMark, StoreError> {
        self.read_with(async |connection| self.mark(&connection.query(READ, &[]).await?))
    }

    fn raise_clock_mark(&self, state: ClockMark) -> Result<ClockMark, StoreError> {
        let ClockMark { mark: to, resets, jumped_at, ahead_since } = state;
        let parameters: [Parameter; 4] = [
            Box::new(stamp(to)),
            Box::new(integer(resets)),
            Box::new(jumped_at.map(stamp)),
            Box::new(ahead_since.map(stamp)),
        ];
        self.write_meta_with(async |transaction| {
            transaction.query(RAISE, &parameters).await?;
            self.mark(&transaction.query(READ, &[]).await?)
        })
    }

    fn set_clock_mark(&self, to: Time, event: Option<Event>) -> Result<(), StoreError> {
        self.write_meta_with(async |transaction| {
            transaction.query(SET, &[Box::new(stamp(to))]).await?;
            event.iter().cloned().for_each(|event| transaction.append(event));
            Ok(())
        })
    }

    fn server_clock(&self) -> Option<ServerClock> {
        self.state().clock.last()
    }

    fn forget_clock_ahead(&self) -> Result<ClockMark, StoreError> {
        self.write_meta_with(async |transaction| {
            transaction.query(FORGET, &[]).await?;
            self.mark(&transaction.query(READ, &[]).await?)
        })
    }
}
