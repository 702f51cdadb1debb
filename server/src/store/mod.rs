//! The store: one SQLite file that any number of processes work on at once.
//!
//! Reads borrow one of a few connections for one snapshot (`reader`, `read`, `list`). Writes go through one thread
//! (`writer`) that puts what waits into one transaction (`batch`), each whole or not at all; every change begins with a
//! conditional statement (`apply`). What decides is decided inside `BEGIN IMMEDIATE`, so several processes are as
//! good as one. The file is opened and kept up to date by `connect` and `schema`; `rows` turns rows into records.

mod apply;
mod audit;
mod batch;
mod check;
mod checkpoint;
mod connect;
mod error;
mod factors;
mod habits;
mod keys;
mod list;
mod mark;
mod passwords;
mod read;
mod reader;
mod rows;
mod schema;
mod sweep;
mod writer;

use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use gatepass_core::model::change::{Change, Outcome};
use gatepass_core::model::query::{Found, Query, Records};
use rusqlite::Connection;

pub use audit::{AuditRow, AuditVerdict, BrokenLink};
pub use check::CheckReport;
pub use error::{Fault, StoreError};
pub use keys::{KeyChange, KeyState, StoredKey, StoredKeys};
pub use mark::ClockMark;
pub use sweep::{KEEP_EXPIRED, Swept};

use crate::master_key::MasterKey;
use audit::{Chain, Tail};
use batch::Failure;
use connect::{Connector, Role};
use error::Trouble;
use reader::Readers;
use writer::Writer;

/// The database's name in the data directory.
pub const DATABASE: &str = "gatepass.db";

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// How many reads go on at once. Of as many threads, none waits for another.
    pub readers: usize,
    /// How long to wait for another process that writes.
    pub busy_timeout: Duration,
    /// How many commits may wait for their turn; more are refused at once.
    pub queue: usize,
    /// The most pages of 4 KiB that the file may have; as many as the disk holds, where none.
    pub max_pages: Option<u32>,
    /// How long a durable commit answers the question whether the store can commit. Anybody may ask, and without this
    /// each would have the disk synced.
    pub proof: Duration,
}

impl Default for StoreOptions {
    /// As many readers as the guarded front has workers, five seconds, 4096 commits, no bound, one second.
    fn default() -> Self {
        Self {
            readers: crate::front::workers(),
            busy_timeout: Duration::from_secs(5),
            queue: 4096,
            max_pages: None,
            proof: Duration::from_secs(1),
        }
    }
}

/// An open store; clones share it.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    connector: Connector,
    master: MasterKey,
    chain: Arc<Chain>,
    queue: usize,
    readers: Readers,
    /// The connection that opened the file, until the writer takes it over.
    spare: Mutex<Option<Connection>>,
    writer: OnceLock<Writer>,
    proof: Duration,
    /// When a commit was last seen to be durable, if none has failed since.
    proven: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Store").field(&self.path()).finish()
    }
}

impl Store {
    /// Opens `dir/gatepass.db`, made where it is missing, and brings it up to date.
    ///
    /// # Errors
    /// [`StoreError`], in one line that names the file and the way out.
    pub fn open(dir: &Path, master: &MasterKey, options: &StoreOptions) -> Result<Self, StoreError> {
        let connector = Connector {
            path: dir.join(DATABASE),
            busy_timeout: options.busy_timeout,
            max_pages: options.max_pages,
        };
        connector.make_file()?;
        let mut db = connector.connect(Role::Writer)?;
        let chain = schema::open(&mut db, &connector, master)?;
        Ok(Self(Arc::new(Inner {
            readers: Readers::new(connector.clone(), options.readers),
            master: master.clone(),
            chain: Arc::new(chain),
            queue: options.queue.max(1),
            spare: Mutex::new(Some(db)),
            writer: OnceLock::new(),
            proof: options.proof,
            proven: Mutex::new(None),
            connector,
        })))
    }

    /// The database's file.
    pub fn path(&self) -> &Path {
        &self.0.connector.path
    }

    fn master(&self) -> &MasterKey {
        &self.0.master
    }

    fn chain(&self) -> &Chain {
        &self.0.chain
    }

    fn snapshot<T>(&self, look: impl FnOnce(&Connection) -> Result<T, Trouble>) -> Result<T, StoreError> {
        self.0.readers.snapshot(look)
    }

    fn write<T: Send + 'static>(
        &self,
        run: impl FnMut(&Connection, &Tail<'_>) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.try_write(run).map_err(StoreError::from)
    }

    fn try_write<T: Send + 'static>(
        &self,
        run: impl FnMut(&Connection, &Tail<'_>) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Failure> {
        self.writer().map_err(Failure::NotApplied)?.write(run)
    }

    /// As [`commit`](gatepass_core::store::Store::commit), and does not wait: `then` is told the outcome on the thread
    /// that writes, and must not keep it.
    pub fn commit_then(&self, changes: &Arc<[Change]>, then: impl FnOnce(Outcome) + Send + 'static) {
        if matches!(**changes, [Change::Probe]) && self.proven().is_some_and(|at| at.elapsed() < self.0.proof)
        {
            return then(Outcome::Applied);
        }
        let writer = match self.writer() {
            Ok(writer) => writer,
            Err(error) => return then(self.outcome(Err(Failure::NotApplied(error)))),
        };
        let (changes, store) = (Arc::clone(changes), self.clone());
        let master = self.master().clone();
        let run = move |db: &Connection, tail: &Tail<'_>| {
            changes.iter().try_for_each(|change| apply::apply(db, tail, &master, change))
        };
        writer.send(run, move |end| {
            let outcome = store.outcome(end);
            // Whoever is told may close the store, and is not to find it held from here still.
            drop(store);
            then(outcome);
        });
    }

    /// As [`read`](gatepass_core::store::Store::read), for several queries in one snapshot, whose cost they share: what
    /// each finds, in their order.
    ///
    /// # Errors
    /// Where the file cannot be read, or a row of one of them.
    pub fn read_all<'a>(&self, queries: impl Iterator<Item = &'a Query>) -> Result<Vec<Found>, StoreError> {
        self.snapshot(|db| read::answer_all(db, self.master(), queries))
    }

    fn proven(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.proven.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a commit's end is to the core.
    fn outcome(&self, end: Result<(), Failure>) -> Outcome {
        match end {
            Ok(()) => {
                *self.proven() = Some(Instant::now());
                Outcome::Applied
            }
            Err(Failure::Conflict) => Outcome::Conflict,
            Err(Failure::NotApplied(error)) => {
                *self.proven() = None;
                tracing::warn!(%error, "a commit was not applied");
                Outcome::NotApplied
            }
            Err(Failure::Unknown(error)) => {
                *self.proven() = None;
                tracing::error!(%error, "the outcome of a commit was lost");
                Outcome::Unknown
            }
        }
    }

    /// The writing thread, started by the first who needs it.
    fn writer(&self) -> Result<&Writer, StoreError> {
        let inner = &*self.0;
        if let Some(writer) = inner.writer.get() {
            return Ok(writer);
        }
        let mut spare = inner.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.writer.get().is_none() {
            let (connector, chain) = (inner.connector.clone(), Arc::clone(&inner.chain));
            let writer = Writer::start(connector, chain, spare.take(), inner.queue)
                .map_err(|e| StoreError::file(self.path(), "start a thread that writes", &e))?;
            // Nobody else sets it: the lock is held.
            let _ = inner.writer.set(writer);
        }
        inner.writer.get().ok_or(StoreError::Overloaded)
    }
}

impl gatepass_core::store::Store for Store {
    fn read(&self, query: &Query) -> Found {
        self.snapshot(|db| read::answer(db, self.master(), query)).unwrap_or_else(|error| {
            tracing::error!(%error, "the store could not be read");
            Found { generation: 0, state_epoch: 0, records: Records::Unreadable }
        })
    }

    fn commit(&self, changes: &Arc<[Change]>) -> Outcome {
        let (answer, answered) = sync_channel(1);
        self.commit_then(changes, move |outcome| {
            let _ = answer.send(outcome);
        });
        answered.recv().unwrap_or(Outcome::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatepass_core::audit::{Event, Kind};
    use gatepass_core::store::Store as _;
    use gatepass_core::time::Time;

    #[test]
    fn who_was_answered_holds_the_store_alone() {
        let dir = tempfile::tempdir().unwrap();
        let master = MasterKey::open_or_create(dir.path()).unwrap();
        let store = Store::open(dir.path(), &master, &StoreOptions::default()).unwrap();
        let changes: Arc<[Change]> = [Change::Audit(Event::new(Kind::ClockReset, Time::default()))].into();
        for _ in 0..200 {
            assert_eq!(store.commit(&changes), Outcome::Applied);
            assert_eq!(Arc::strong_count(&store.0), 1);
        }
    }
}
