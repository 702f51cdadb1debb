//! Connections for reading: a few, each used by one thread for one snapshot.

use std::iter::once;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use rusqlite::Connection;

use super::connect::{Connector, Role};
use super::transaction_error::TransactionError;
use crate::store::error::StoreError;

/// The readers of one file. If there are as many as threads that read, each finds one free, most often the same, and
/// none waits for another.
pub(super) struct Readers {
    connector: Connector,
    /// Each place's connection is opened when it is first needed.
    first: Place,
    others: Box<[Place]>,
}

type Place = Mutex<Option<Connection>>;

/// The number of threads that have read so far, any file.
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static NUMBER: usize = THREADS.fetch_add(1, Relaxed);
}

impl Readers {
    /// Makes a pool of at most `most` connections.
    pub(super) fn new(connector: Connector, most: usize) -> Self {
        Self { connector, first: Place::default(), others: (1..most).map(|_| Place::default()).collect() }
    }

    /// Returns what `look` returns for one consistent snapshot.
    pub(super) fn snapshot<T>(
        &self,
        look: impl FnOnce(&Connection) -> Result<T, TransactionError>,
    ) -> Result<T, StoreError> {
        let mut place = self.place();
        // Taken out, so that a connection left in the middle of something is not used again.
        let db = match place.take() {
            Some(db) => db,
            None => self.connector.connect(Role::Reader)?,
        };
        let seen = begin_look_end(&db, look);
        // After any error of SQLite, the next read begins with a new connection.
        if !matches!(seen, Err(TransactionError::Sql(_))) && db.is_autocommit() {
            *place = Some(db);
        }
        seen.map_err(|trouble| trouble.at(&self.connector.path))
    }

    /// Closes the connections. One that is in use is closed when it is put back.
    pub(super) fn close(&self) {
        for place in once(&self.first).chain(&*self.others) {
            if let Ok(mut place) = place.try_lock() {
                *place = None;
            }
        }
    }

    /// Returns this thread's own place, or another that is free; if none is, waits for its own.
    fn place(&self) -> MutexGuard<'_, Option<Connection>> {
        let places = || once(&self.first).chain(&*self.others);
        let number = NUMBER.with(|number| *number) % (1 + self.others.len());
        let own = places().nth(number).unwrap_or(&self.first);
        for place in once(own).chain(places()) {
            match place.try_lock() {
                Ok(place) => return place,
                Err(TryLockError::Poisoned(place)) => return place.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn begin_look_end<T>(
    db: &Connection,
    look: impl FnOnce(&Connection) -> Result<T, TransactionError>,
) -> Result<T, TransactionError> {
    db.prepare_cached("BEGIN")?.execute([])?;
    let seen = look(db);
    // Nothing was written, so a failed end changes nothing.
    db.prepare_cached("COMMIT")?.execute([])?;
    seen
}
