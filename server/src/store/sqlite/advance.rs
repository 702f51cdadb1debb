//! Makes new state generations while the store is open, and keeps the log short while nothing is written.
//!
//! At most one generation is not in the witness: a new one is made only when the witness holds the one before. So a
//! witness that cannot be written for a while, or a crash between the two, differs from files that were put back.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::audit::Tail;
use super::batch;
use super::connect::{Connector, Role};
use super::generation::{self, Generation, Standing};
use super::installation::Installation;
use super::reserve::Reserve;
use super::start::write_witness;
use super::state::{MasterKeys, State};
use super::transaction_error::TransactionError;
use super::witness::Witness;
use super::writer::{Class, Writer};
use crate::clock::wall;
use crate::store::audit_chain::Chain;
use crate::store::error::StoreError;
use crate::store::measures::StoreMeasures;
use crate::threads::named;

/// The time that a change of the generation waits for another process that starts.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest time between two checks of the files under their paths.
const TICK: Duration = Duration::from_secs(1);
/// The stack that the thread needs, with a margin.
const STACK: usize = 256 * 1024;

/// The commits since the last generation, reported by the writer to the thread that follows them.
#[derive(Debug, Default)]
pub(super) struct Progress {
    state: Mutex<Committed>,
    wake: Condvar,
    /// True if the witness could not be read or written at the last attempt.
    witness_fails: AtomicBool,
    /// The reason why the last change of the generation failed: each is logged once.
    last_failure: Mutex<Option<StoreError>>,
}

#[derive(Debug, Default)]
struct Committed {
    /// True if something was committed that no generation followed.
    unfollowed: bool,
    /// True if something was committed since the log was last emptied.
    logged: bool,
    /// The number of transactions that were committed.
    count: u64,
    /// The store is being closed.
    over: bool,
}

impl Progress {
    fn state(&self) -> MutexGuard<'_, Committed> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports a commit. One that `counts` is followed by a new generation.
    pub(super) fn committed(&self, counts: bool) {
        let mut state = self.state();
        state.logged = true;
        state.count += 1;
        state.unfollowed |= counts;
    }

    /// Returns true if the witness can be read and written, as far as is known.
    pub(super) fn witness_works(&self) -> bool {
        !self.witness_fails.load(Relaxed)
    }
}

/// The things that a change of the generation needs.
#[derive(Clone)]
pub(super) struct Advance {
    pub(super) installation: Installation,
    pub(super) connector: Connector,
    pub(super) chain: Arc<Chain>,
    pub(super) keys: Arc<MasterKeys>,
    pub(super) progress: Arc<Progress>,
    pub(super) reserve: Reserve,
    pub(super) measures: Arc<StoreMeasures>,
}

impl Advance {
    /// Makes a new generation if something was committed since the last one. With a `writer`, it is written together
    /// with other waiting work: under load, another connection would wait for the lock in vain.
    ///
    /// # Errors
    /// [`StoreError`] if the store or the witness cannot be read or written. It is tried again with the next call.
    pub(super) fn follow(&self, db: &Connection, writer: Option<&Writer>) -> Result<(), StoreError> {
        // Later commits are followed by the next generation.
        if !std::mem::take(&mut self.progress.state().unfollowed) {
            return Ok(());
        }
        let advanced = self.advance(db, writer);
        if advanced.is_err() {
            self.progress.state().unfollowed = true;
        }
        let fails = matches!(
            advanced,
            Err(StoreError::WitnessUnreadable { .. }
                | StoreError::WitnessNotWritten { .. }
                | StoreError::WitnessForeign(_))
        );
        self.progress.witness_fails.store(fails, Relaxed);
        let mut last_failure = self.progress.last_failure.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *last_failure, advanced.clone().err());
        match &advanced {
            Err(error) if before.as_ref() != Some(error) => {
                tracing::warn!(%error, "until this is mended, older files that are put back may not be noticed");
            }
            Ok(()) if before.is_some() => tracing::info!("the state generation can be changed again"),
            Ok(()) | Err(_) => {}
        }
        advanced
    }

    fn advance(&self, db: &Connection, writer: Option<&Writer>) -> Result<(), StoreError> {
        let at = |trouble: TransactionError| trouble.at(&self.connector.path);
        let _locked = self.installation.lock_directory(PATIENCE)?;
        self.connector.verify()?;
        let witness = Witness::read(&*self.installation.files, &self.installation.witness())?;
        let id = generation::installation(db).map_err(at)?;
        let newest = generation::newest(db).map_err(at)?;
        let Some(newest) = newest else { return Ok(()) };
        match generation::compare(db, witness.as_ref(), false).map_err(at)? {
            Standing::Confirmed => {}
            // The files are known to be the newest: they were when they were opened, and nothing has replaced them.
            Standing::Unconfirmed | Standing::First => write_witness(&self.installation, id, newest)?,
            Standing::Older if witness.is_none() => {
                tracing::warn!(path = %self.installation.witness().display(), "the witness was removed and is written anew");
                write_witness(&self.installation, id, newest)?;
            }
            Standing::Older => return Err(StoreError::WitnessForeign(self.installation.witness())),
        }
        let next = Generation::new(newest.number.saturating_add(1), wall())?;
        let insert = move |db: &Connection, _: &Tail<'_>| generation::insert(db, &next);
        if let Some(writer) = writer {
            writer.write(Class::Aside, insert)?;
        } else {
            let master = State::read(db).and_then(|state| self.keys.of(db, &state)).map_err(at)?;
            batch::directly(db, &self.chain, &master, batch::Held::Refuse, insert).map_err(at)?;
        }
        self.connector.verify()?;
        write_witness(&self.installation, id, next)
    }

    /// Copies the whole log into the file and empties it, if no other connection prevents it.
    pub(super) fn empty_log(&self, db: &Connection) -> bool {
        self.progress.state().logged = false;
        let done = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        let emptied = matches!(done, Ok(0));
        if !emptied {
            self.progress.state().logged = true;
        }
        emptied
    }
}

/// The thread that follows commits.
#[derive(Debug)]
pub(super) struct GenerationThread {
    progress: Arc<Progress>,
    thread: Option<JoinHandle<()>>,
}

impl GenerationThread {
    /// Starts the thread. A generation is made at most `interval` after the first commit that none followed.
    pub(super) fn start(
        advance: Advance,
        writer: Arc<OnceLock<Writer>>,
        interval: Duration,
    ) -> std::io::Result<Self> {
        let progress = Arc::clone(&advance.progress);
        let work = move || work(&advance, &writer, interval);
        let thread = named("generation").stack_size(STACK).spawn(work)?;
        Ok(Self { progress, thread: Some(thread) })
    }
}

impl Drop for GenerationThread {
    fn drop(&mut self) {
        self.progress.state().over = true;
        self.progress.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic was reported already.
            let _ = thread.join();
        }
    }
}

fn work(advance: &Advance, writer: &OnceLock<Writer>, interval: Duration) {
    let mut db = None;
    let (mut seen, mut due) = (0, Instant::now());
    while wait(&advance.progress, interval.min(TICK)) {
        // Also without writes: reads end, too, when the files were replaced.
        if advance.connector.verify().is_err() {
            db = None;
            continue;
        }
        let (unfollowed, logged, count) = {
            let state = advance.progress.state();
            (state.unfollowed, state.logged, state.count)
        };
        if !unfollowed && !logged {
            continue;
        }
        let open = match db.take().map_or_else(|| connect(&advance.connector), Ok) {
            Ok(open) => open,
            Err(error) => {
                tracing::warn!(%error, "the state generation was not changed");
                continue;
            }
        };
        if unfollowed && Instant::now() >= due {
            due = Instant::now() + interval;
            // Its errors are logged where they arise.
            let _ = advance.follow(&open, writer.get());
        } else if logged && count == seen {
            // Nothing was written since the last check.
            advance.empty_log(&open);
        }
        seen = count;
        db = Some(open).filter(Connection::is_autocommit);
    }
}

/// Opens a connection that does not wait for readers: then the log is emptied later.
fn connect(connector: &Connector) -> Result<Connection, StoreError> {
    let db = connector.connect(Role::Occasional)?;
    db.busy_timeout(Duration::from_millis(100)).map_err(|e| TransactionError::Sql(e).at(&connector.path))?;
    Ok(db)
}

/// Waits for `interval`; returns false if the store is being closed.
fn wait(progress: &Progress, interval: Duration) -> bool {
    let end = Instant::now() + interval;
    let mut state = progress.state();
    loop {
        let rest = end.saturating_duration_since(Instant::now());
        if state.over {
            return false;
        }
        if rest.is_zero() {
            return true;
        }
        state = progress.wake.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
    }
}
