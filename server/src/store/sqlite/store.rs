//! The open store: how reads and commits reach the file, and how it is closed.

use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use gatepass_core::base::time::Time;
use gatepass_core::records::identifier::NumberingPlan;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::{Found, Query, Records};
use rusqlite::Connection;

use super::advance::{Advance, GenerationThread, Progress};
use super::audit::Tail;
use super::batch::Failure;
use super::installation::{Installation, Presence};
use super::reader::Readers;
use super::reserve::Reserve;
use super::state::MasterKeys;
use super::transaction_error::TransactionError;
use super::writer::{Class, Writer};
use super::{apply, create, identifiers, open, read, row_counts};
use crate::secrets::files;
use crate::store::audit_chain::Chain;
use crate::store::backend::{
    Access, CountedRows, CountedTable, Create, EndedAhead, Requests, RowCursor, Swept, Then, Upkeep,
};
use crate::store::error::StoreError;
use crate::store::measures::StoreMeasures;
use crate::store::notice::Notice;
use crate::threads::default_workers;

/// The options for opening a store.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The number of reads at once. With as many threads, none waits for another.
    pub readers: usize,
    /// The time to wait for another process that writes.
    pub busy_timeout: Duration,
    /// The most commits that may wait; more are refused at once.
    pub queue: usize,
    /// The most pages of 4 KiB that the file may have; none for no limit.
    pub max_pages: Option<u32>,
    /// The time for which a durable commit proves that the store can commit. Anybody may ask, and without this each
    /// request would sync the disk.
    pub proof: Duration,
    /// The longest time from a commit to a new state generation.
    pub witness_interval: Duration,
    /// The numbering plan that a server makes canonical identifiers with; none keeps that of the file.
    pub numbering_plan: Option<Option<NumberingPlan>>,
}

impl Default for StoreOptions {
    /// Returns as many readers as the guarded front has workers, five seconds, 4096 commits, no bound, one second, one second.
    fn default() -> Self {
        Self {
            readers: default_workers(),
            busy_timeout: Duration::from_secs(5),
            queue: 4096,
            max_pages: None,
            proof: Duration::from_secs(1),
            witness_interval: Duration::from_secs(1),
            numbering_plan: None,
        }
    }
}

/// An open store; clones share it.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    files: Advance,
    access: Access,
    notices: Vec<Notice>,
    queue: usize,
    readers: Readers,
    writer: Arc<OnceLock<Writer>>,
    proof: Duration,
    /// The time when a commit was last seen to be durable, if none has failed since.
    proven: Mutex<Option<Instant>>,
    open: Mutex<Option<Open>>,
}

/// The things held while the store is open, in the order in which they are released.
struct Open {
    generations: Option<GenerationThread>,
    /// Holds the files open, so that SQLite never removes the log under another connection.
    anchor: Connection,
    presence: Option<Presence>,
    /// True for the log and its index if they existed before: a reader leaves nothing behind.
    had_files: (bool, bool),
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Store").field(&self.path()).finish()
    }
}

impl Store {
    /// Opens the installation.
    ///
    /// # Errors
    /// [`StoreError`], in one line that names the file and the way out. Nothing was touched.
    pub fn open(
        installation: &Installation,
        access: Access,
        options: &StoreOptions,
    ) -> Result<Self, StoreError> {
        let had_files = had_files(installation);
        let opened = open::open(installation, access, options).inspect_err(|_| {
            // A failed opening must not change files. If this fails, it does no harm.
            let _ = leave_as_found(installation, None, had_files);
        })?;
        let files = Advance {
            installation: opened.installation,
            connector: opened.connector.clone(),
            chain: Arc::new(opened.chain),
            keys: Arc::new(opened.keys),
            progress: Arc::<Progress>::default(),
            reserve: Reserve::at(&installation.dir),
            measures: Arc::default(),
        };
        if access == Access::Serve {
            files.reserve.make();
        }
        let writer = Arc::<OnceLock<Writer>>::default();
        let generations = match access {
            Access::Serve => {
                // The start itself has written to the log.
                files.progress.committed(false);
                let started =
                    GenerationThread::start(files.clone(), Arc::clone(&writer), options.witness_interval);
                Some(started.map_err(|e| StoreError::file(&installation.dir, "start a thread for", &e))?)
            }
            Access::Write | Access::WriteHandedOver | Access::Read => None,
        };
        Ok(Self(Arc::new(Inner {
            readers: Readers::new(opened.connector, options.readers),
            files,
            access,
            notices: opened.notices,
            queue: options.queue.max(1),
            writer,
            proof: options.proof,
            proven: Mutex::new(None),
            open: Mutex::new(Some(Open {
                generations,
                anchor: opened.anchor,
                presence: opened.presence,
                had_files,
            })),
        })))
    }

    /// Opens the installation, and creates it first if there is none.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_or_create(
        installation: &Installation,
        access: Access,
        create: Create,
        options: &StoreOptions,
    ) -> Result<Self, StoreError> {
        match Self::open(installation, access, options) {
            Err(StoreError::Nothing { dir, .. }) if create == Create::InEmpty => {
                if let Some(near) = installation.around() {
                    return Err(StoreError::Second { dir, near });
                }
            }
            Err(StoreError::Nothing { .. }) if create == Create::BesideKey => {}
            Err(StoreError::DatabaseMissing { .. }) if create == Create::BesideKey => {}
            opened => return opened,
        }
        create::create(installation, options, create == Create::BesideKey)?;
        Self::open(installation, access, options)
    }

    /// Returns the path of the database.
    pub fn path(&self) -> &Path {
        &self.0.files.connector.path
    }

    /// Returns the installation that was opened.
    pub fn installation(&self) -> &Installation {
        &self.0.files.installation
    }

    pub(super) fn write_restrictive<T: Send + 'static>(
        &self,
        run: impl FnMut(&Connection, &Tail<'_>) -> Result<T, TransactionError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer()?.write(Class::Restricts, run).map_err(StoreError::from)
    }

    pub(super) fn master_keys(&self) -> &MasterKeys {
        &self.0.files.keys
    }

    pub(super) fn chain(&self) -> &Arc<Chain> {
        &self.0.files.chain
    }

    /// Returns the files and everything that a change of them needs.
    pub(super) fn files(&self) -> &Advance {
        &self.0.files
    }

    pub(super) fn snapshot<T>(
        &self,
        look: impl FnOnce(&Connection) -> Result<T, TransactionError>,
    ) -> Result<T, StoreError> {
        if self.0.files.connector.is_replaced() {
            // The files may be back.
            self.0.files.connector.verify()?;
        }
        self.0.readers.snapshot(look)
    }

    pub(super) fn write<T: Send + 'static>(
        &self,
        run: impl FnMut(&Connection, &Tail<'_>) -> Result<T, TransactionError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer()?.write(Class::Opens, run).map_err(StoreError::from)
    }

    /// Writes as [`Store::write`] does, something that was promised to nobody: no state generation follows it.
    pub(super) fn write_aside<T: Send + 'static>(
        &self,
        run: impl FnMut(&Connection, &Tail<'_>) -> Result<T, TransactionError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer()?.write(Class::Aside, run).map_err(StoreError::from)
    }

    fn proven(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.proven.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the core's outcome of a commit.
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

    /// Returns the writing thread, and starts it for the first write.
    fn writer(&self) -> Result<&Writer, StoreError> {
        let inner = &*self.0;
        if let Some(writer) = inner.writer.get() {
            return Ok(writer);
        }
        if inner.access == Access::Read {
            return Err(StoreError::OpenedForReading);
        }
        // Held during the start, so that it is started once, and not after the store was closed.
        let open = inner.open();
        if inner.writer.get().is_none() && open.is_some() {
            let writer = Writer::start(inner.files.clone(), inner.queue)
                .map_err(|e| StoreError::file(self.path(), "start a thread that writes", &e))?;
            let _ = inner.writer.set(writer);
        }
        inner.writer.get().ok_or(StoreError::Overloaded)
    }
}

impl Inner {
    fn open(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) -> Result<(), StoreError> {
        let Some(open) = self.open().take() else { return Ok(()) };
        if let Some(writer) = self.writer.get() {
            writer.stop();
        }
        let Open { generations, anchor, presence, had_files } = open;
        drop(generations);
        self.readers.close();
        if self.access == Access::Read {
            drop(anchor);
            return leave_as_found(&self.files.installation, presence, had_files);
        }
        if self.files.connector.verify().is_err() {
            // The log under the path may be another file's: it is neither copied nor removed.
            let _ = anchor.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
            return Err(StoreError::Replaced(self.files.connector.path.clone()));
        }
        if self.access == Access::Serve {
            // A command may have committed and been killed before it made a generation.
            self.files.progress.committed(true);
        }
        let followed = self.files.follow(&anchor, None);
        let emptied = self.files.empty_log(&anchor);
        // The last connection that closes removes the empty log.
        drop(anchor);
        drop(presence);
        if !matches!(followed, Err(StoreError::HandedOver(_))) {
            followed?;
        }
        // If other processes have it open, they empty the log.
        let log = self.files.installation.log();
        match self.files.installation.files.about(&log) {
            Ok(about) if !emptied && about.size > 0 && self.access == Access::Serve => {
                Err(StoreError::LogNotEmptied(log))
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(%error, "the store was not closed as it should be");
        }
    }
}

/// Returns true for the log and for its index if they exist.
pub(super) fn had_files(installation: &Installation) -> (bool, bool) {
    let there = |path| files::exists(&*installation.files, path).unwrap_or(true);
    (there(&installation.log()), there(&installation.log_index()))
}

/// Removes the files that SQLite put beside the database during a read, if no other process has it open. A log with
/// content stays.
pub(super) fn leave_as_found(
    installation: &Installation,
    presence: Option<Presence>,
    (had_log, had_index): (bool, bool),
) -> Result<(), StoreError> {
    let Ok(_locked) = installation.lock_directory(Duration::ZERO) else { return Ok(()) };
    let mut presence = match presence {
        Some(presence) => Some(presence),
        // Another process made it since.
        None => installation.enter(false)?,
    };
    if !presence.as_mut().is_none_or(Presence::try_alone) {
        return Ok(());
    }
    let files = &*installation.files;
    let empty = files.about(&installation.log()).map_or(true, |about| about.size == 0);
    if empty && !had_log {
        let _ = files.remove(&installation.log());
    }
    if empty && !had_log || !had_index {
        let _ = files.remove(&installation.log_index());
    }
    Ok(())
}

impl Requests for Store {
    fn find(&self, query: &Query) -> Result<Found, StoreError> {
        self.snapshot(|db| match self.0.access {
            Access::Read => read::answer_anyway(db, self.master_keys(), query),
            Access::Serve | Access::Write | Access::WriteHandedOver => {
                read::answer(db, self.master_keys(), query)
            }
        })
    }

    fn numbering_plan(&self) -> Result<Option<NumberingPlan>, StoreError> {
        self.snapshot(identifiers::plan)
    }

    fn read_all(&self, queries: &[&Query]) -> Result<Vec<Found>, StoreError> {
        self.snapshot(|db| read::answer_all(db, self.master_keys(), queries))
    }

    fn commit_then(&self, changes: &Arc<[Change]>, then: Then<Outcome>) {
        let is_probe = matches!(**changes, [Change::Probe]);
        let is_proven = || self.proven().is_some_and(|at| at.elapsed() < self.0.proof);
        if is_probe && !self.0.files.connector.is_replaced() && is_proven() {
            return then(Outcome::Applied);
        }
        let writer = match self.writer() {
            Ok(writer) => writer,
            Err(error) => return then(self.outcome(Err(Failure::NotApplied(error)))),
        };
        let class = match changes.iter().all(Change::is_restrictive) {
            _ if is_probe => Class::Aside,
            true => Class::Restricts,
            false => Class::Opens,
        };
        let (changes, store) = (Arc::clone(changes), self.clone());
        let run = move |db: &Connection, tail: &Tail<'_>| {
            changes.iter().try_for_each(|change| apply::apply(db, tail, change))
        };
        writer.send(class, run, move |end| {
            let outcome = store.outcome(end);
            // `then` may close the store, so this must not hold it any more.
            drop(store);
            then(outcome);
        });
    }
}

impl Upkeep for Store {
    fn engine(&self) -> &'static str {
        self.installation().engine()
    }

    fn place(&self) -> String {
        self.path().display().to_string()
    }

    fn newest_are_dated_ahead(&self, now: Time) -> Result<bool, StoreError> {
        self.newest_are_ahead(now)
    }

    fn end_dated_ahead(&self, now: Time) -> Result<EndedAhead, StoreError> {
        self.end_rows_ahead(now)
    }

    fn sweep(&self, now: Time, batch: usize) -> Result<Swept, StoreError> {
        self.sweep_step(now, batch)
    }

    fn notices(&self) -> &[Notice] {
        &self.0.notices
    }

    fn witness_works(&self) -> bool {
        self.0.files.progress.witness_works()
    }

    fn is_disk_full(&self) -> bool {
        self.0.files.reserve.is_given_up()
    }

    fn make_reserve(&self) {
        if self.is_disk_full() {
            self.0.files.reserve.make();
        }
    }

    fn log_bytes(&self) -> u64 {
        let installation = self.installation();
        installation.files.about(&installation.log()).map_or(0, |about| about.size)
    }

    fn database_bytes(&self) -> u64 {
        let installation = self.installation();
        installation.files.about(&installation.database()).map_or(0, |about| about.size)
    }

    fn last_backup(&self) -> Option<Time> {
        self.installation().last_backup()
    }

    fn count_rows(
        &self,
        table: CountedTable,
        after: Option<RowCursor>,
        most: u32,
    ) -> Result<Option<CountedRows>, StoreError> {
        self.snapshot(|db| row_counts::count(db, table, after, most)).map(Some)
    }

    fn measures(&self) -> Option<&StoreMeasures> {
        Some(&self.0.files.measures)
    }

    fn close(&self) -> Result<(), StoreError> {
        self.0.close()
    }
}

impl gatepass_core::store::Store for Store {
    fn read(&self, query: &Query) -> Found {
        self.snapshot(|db| read::answer(db, self.master_keys(), query)).unwrap_or_else(|error| {
            tracing::error!(%error, "the store could not be read");
            Found { generation: 0, state_epoch: 0, records: Records::Unreadable }
        })
    }

    fn commit(&self, changes: &Arc<[Change]>) -> Outcome {
        let (answer, answered) = sync_channel(1);
        let then = move |outcome| {
            let _ = answer.send(outcome);
        };
        self.commit_then(changes, Box::new(then));
        answered.recv().unwrap_or(Outcome::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatepass_core::base::time::Time;
    use gatepass_core::store::Store as _;
    use gatepass_core::store::audit::{Event, Kind};

    #[test]
    fn who_was_answered_holds_the_store_alone() {
        let dir = tempfile::tempdir().unwrap();
        let installation = Installation::at(dir.path());
        let options = StoreOptions::default();
        let store = Store::open_or_create(&installation, Access::Write, Create::InEmpty, &options).unwrap();
        let changes: Arc<[Change]> = [Change::Audit(Event::new(Kind::ClockReset, Time::default()))].into();
        for _ in 0..200 {
            assert_eq!(store.commit(&changes), Outcome::Applied);
            assert_eq!(Arc::strong_count(&store.0), 1);
        }
    }
}
