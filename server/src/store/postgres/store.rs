//! The open store: how work reaches the thread that talks to the database, and how it ends.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, current};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::{Found, Query};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::batch::Commit;
use super::beside::{Beside, Transaction};
use super::commit_names::Lock;
use super::connection::{Connection, DatabaseError};
use super::connector::Connector;
use super::open;
use super::pool::Pool;
use super::reader::{Asked, Reader};
use super::state::SharedState;
use super::trouble::Trouble;
use super::writer::{Unit, Writer};
use crate::store::backend::{Access, Create, Then};
use crate::store::database_server::DatabaseServer;
use crate::store::error::StoreError;
use crate::store::sqlite::{Installation, StoreOptions};
use crate::threads::named;

/// The most commits that wait, and as many reads; more are refused at once.
const QUEUE: usize = 4096;
/// The longest time of a read that is no request's: one page of a long list.
const LONGEST_READ: Duration = Duration::from_secs(60);
/// The number of times that a read is tried whose connection was lost.
const ATTEMPTS: u32 = 3;

/// An open store in a PostgreSQL database; clones share it.
#[derive(Clone)]
pub struct PostgresStore(Arc<Inner>);

struct Inner {
    connector: Arc<Connector>,
    state: Arc<SharedState>,
    installation: Installation,
    pool: Pool,
    open: ArcSwapOption<Open>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The handles of an open store. The thread runs until nobody holds them.
struct Open {
    runtime: Handle,
    commits: Sender<Commit>,
    reads: Sender<Asked>,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PostgresStore").field(&self.0.connector.address).finish()
    }
}

impl PostgresStore {
    /// Opens the store in `database`, and creates it first in the cases of `create`. Its master key is that of `installation`.
    ///
    /// # Errors
    /// [`StoreError`] names the database or the file, and the way out.
    pub fn open(
        database: &DatabaseServer,
        installation: &Installation,
        access: Access,
        create: Create,
        options: &StoreOptions,
    ) -> Result<Self, StoreError> {
        let connector = Arc::new(Connector::new(database, Arc::clone(&installation.files))?);
        let failed =
            |error: &std::io::Error| StoreError::file(&installation.dir, "start a thread for", error);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| failed(&error))?;
        let state = runtime.block_on(open::open(&connector, installation, access, create, options))?;
        let (commits, waiting_commits) = channel(QUEUE);
        let (reads, waiting_reads) = channel(QUEUE);
        let open = Open { runtime: runtime.handle().clone(), commits, reads };
        let tasks = Tasks { connector: Arc::clone(&connector), state: Arc::clone(&state) };
        let thread = named("postgres")
            .spawn(move || tasks.run(&runtime, waiting_commits, waiting_reads))
            .map_err(|error| failed(&error))?;
        Ok(Self(Arc::new(Inner {
            connector,
            state,
            installation: installation.clone(),
            pool: Pool::default(),
            open: ArcSwapOption::from_pointee(open),
            thread: Mutex::new(Some(thread)),
        })))
    }

    pub(super) fn state(&self) -> &SharedState {
        &self.0.state
    }

    pub(super) fn installation(&self) -> &Installation {
        &self.0.installation
    }

    pub(super) fn address(&self) -> &str {
        &self.0.connector.address
    }

    /// Answers several queries from one snapshot.
    pub(super) fn ask(&self, queries: Vec<Query>, then: Then<Result<Vec<Found>, StoreError>>) {
        let asked = Asked::new(queries, then);
        let refused = match &*self.0.open.load() {
            Some(open) => open.reads.try_send(asked).err().map(|error| error.into_inner()),
            None => Some(asked),
        };
        if let Some(asked) = refused {
            asked.settle(Err(StoreError::Overloaded));
        }
    }

    /// Has `changes` committed.
    pub(super) fn send(&self, changes: Arc<[Change]>, then: Then<Outcome>) {
        if matches!(*changes, [Change::Probe]) {
            if self.0.state.clock.is_too_far() {
                return then(Outcome::NotApplied);
            }
            if self.0.state.is_proven() {
                return then(Outcome::Applied);
            }
        }
        let commit = Commit::new(changes, then);
        let refused = match &*self.0.open.load() {
            _ if self.0.state.access == Access::Read => Some(commit),
            Some(open) => {
                self.0.state.measures.waiting.rise();
                let refused = open.commits.try_send(commit).err().map(|error| error.into_inner());
                refused.inspect(|_| self.0.state.measures.waiting.fall())
            }
            None => Some(commit),
        };
        if let Some(commit) = refused {
            commit.settle(Outcome::NotApplied);
        }
    }

    /// Reads over a connection of the pool, and waits for it. Each statement has a snapshot of its own, unless `work` begins a transaction.
    /// It is called again if the connection was lost.
    pub(super) fn read_with<T>(
        &self,
        work: impl AsyncFn(&Connection) -> Result<T, Trouble>,
    ) -> Result<T, StoreError> {
        let inner = &*self.0;
        let open = inner.open.load_full().ok_or(StoreError::Overloaded)?;
        let read = async |kept: &mut Option<Connection>| -> Result<T, Trouble> {
            for attempt in 1..=ATTEMPTS {
                let connection = match kept.take() {
                    Some(connection) => connection,
                    None => inner.connector.connect().await?,
                };
                match work(&connection).await {
                    Err(Trouble::Database(DatabaseError::Lost(_))) if attempt < ATTEMPTS => {}
                    Ok(read) => {
                        *kept = Some(connection);
                        return Ok(read);
                    }
                    Err(trouble) => {
                        if connection.roll_back(inner.connector.longest_connect).await {
                            *kept = Some(connection);
                        }
                        return Err(trouble);
                    }
                }
            }
            Err(Trouble::Again)
        };
        let timed = async {
            let read = tokio::time::timeout(LONGEST_READ, inner.pool.with(read)).await;
            read.unwrap_or_else(|_| Err(DatabaseError::Lost("it took too long".into()).into()))
        };
        open.runtime.block_on(timed).map_err(|trouble| trouble.at(&inner.connector))
    }

    /// Writes `changes` and what `work` writes after them, all or none, and waits until that is durable. Commits do not wait for it, unless
    /// they name the same rows. It is called again if it met another transaction.
    pub(super) fn write_with<T>(
        &self,
        changes: &[Change],
        work: impl AsyncFnMut(&mut Transaction<'_>) -> Result<T, Trouble>,
    ) -> Result<T, StoreError> {
        self.write_unit(Beside { changes, meta: Lock::Share, work }, &self.0.connector)
    }

    /// Writes as [`PostgresStore::write_with`] does, in the row of the whole store: every commit waits for it.
    pub(super) fn write_meta_with<T>(
        &self,
        work: impl AsyncFnMut(&mut Transaction<'_>) -> Result<T, Trouble>,
    ) -> Result<T, StoreError> {
        self.write_unit(Beside { changes: &[], meta: Lock::Update, work }, &self.0.connector)
    }

    /// Writes as [`PostgresStore::write_meta_with`] does, and takes as long as `longest`: no commit goes through meanwhile.
    pub(super) fn write_meta_within<T>(
        &self,
        longest: Duration,
        work: impl AsyncFnMut(&mut Transaction<'_>) -> Result<T, Trouble>,
    ) -> Result<T, StoreError> {
        self.write_unit(
            Beside { changes: &[], meta: Lock::Update, work },
            &Arc::new(self.0.connector.with_longest_commit(longest)),
        )
    }

    fn write_unit<U: Unit>(&self, mut unit: U, connector: &Arc<Connector>) -> Result<U::Made, StoreError> {
        let inner = &*self.0;
        if inner.state.access == Access::Read {
            return Err(StoreError::OpenedForReading);
        }
        let open = inner.open.load_full().ok_or(StoreError::Overloaded)?;
        let written = open.runtime.block_on(inner.pool.with(async |kept: &mut Option<Connection>| {
            let mut writer = Writer::new(connector, &inner.state, kept.take());
            let written = writer.write(&mut unit).await;
            *kept = writer.connection;
            written
        }));
        written.map_err(StoreError::from).inspect_err(|error| inner.state.failed(error))
    }

    /// Writes `unit` in a transaction of its own, and waits until that is durable.
    pub(super) fn write_alone<U: Unit>(&self, unit: U) -> Result<U::Made, StoreError> {
        self.write_unit(unit, &self.0.connector)
    }

    /// Writes what waits, and ends the thread.
    pub(super) fn end(&self) {
        self.0.end();
    }
}

impl Inner {
    fn end(&self) {
        drop(self.open.swap(None));
        self.pool.clear();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The thread itself may drop the last clone of the store.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != current().id()) {
            let _ = thread.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.end();
    }
}

/// The state that the tasks share.
struct Tasks {
    connector: Arc<Connector>,
    state: Arc<SharedState>,
}

impl Tasks {
    /// Runs the tasks until the store is closed and what waits is done.
    fn run(self, runtime: &Runtime, commits: Receiver<Commit>, reads: Receiver<Asked>) {
        let Self { connector, state } = self;
        runtime.block_on(async {
            let writer = tokio::spawn(Writer::new(&connector, &state, None).work(commits));
            let reader =
                Reader { connector: Arc::clone(&connector), state: Arc::clone(&state), connection: None };
            let _ = tokio::join!(writer, tokio::spawn(reader.work(reads)));
            if state.access == Access::Serve
                && let Ok(connection) = connector.connect().await
            {
                state.slot().give_back(&connection).await;
            }
        });
    }
}
