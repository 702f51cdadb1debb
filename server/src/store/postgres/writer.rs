//! Writes transactions that are durable when they are answered: batches of commits, and what is written beside them.
//!
//! A transaction takes two round trips. The first begins it, and reads and locks every row that it names. Then it is decided what is
//! written. The second writes that, and commits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gatepass_core::store::change::Change;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;

use super::audit_slot::AuditSlot;
use super::batch::{self, Batch, Commit, Decided};
use super::commit_id;
use super::connection::{Connection, DatabaseError};
use super::connector::Connector;
use super::guard::guarded;
use super::process::Process;
use super::state::SharedState;
use super::superseded::supersede;
use super::table::Saves;
use super::trouble::Trouble;
use crate::secrets::random::random;
use crate::store::error::StoreError;
use crate::store::measures::LostAnswers;
use crate::store::sqlite::Generation;

/// The most commits in one transaction: limits the time for which rows are locked.
const MOST: usize = 256;
/// The number of times that a transaction is tried which met another one.
const ATTEMPTS: u32 = 10;

/// Begins a transaction that is durable when it was committed, whatever the settings of the server.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = on";

/// The work of one transaction. It may be tried several times.
pub(super) trait Unit {
    /// Its result, if it is committed.
    type Made;

    /// The number of commits in it.
    fn commits(&self) -> usize;

    /// Begins the transaction, locks what it names, and decides what is written.
    async fn prepare(
        &mut self,
        writer: &Writer,
        connection: &Connection,
    ) -> Result<Prepared<Self::Made>, Trouble>;
}

/// A transaction that was decided.
pub(super) struct Prepared<T> {
    pub(super) made: T,
    /// The statements that write what has changed; none where nothing has.
    pub(super) saves: Option<Saves>,
}

/// The reason why a transaction was not committed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing was written.
    NotApplied(StoreError),
    /// Nothing was written: the database refuses it for what it is.
    Refused(StoreError),
    /// COMMIT was sent, its answer was lost, and it could not be found out what became of it.
    Unknown(String),
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotApplied(error) | Failure::Refused(error) => error,
            Failure::Unknown(cause) => Self::Unknown(cause),
        }
    }
}

/// The end of one attempt.
enum Attempt<T> {
    /// It was committed, or had nothing to write.
    Done(T),
    /// Nothing was written, and it may go through when it is tried again.
    Again(DatabaseError),
    /// Nothing was written.
    Failed(Failure),
    /// COMMIT was sent, and its answer was lost.
    Lost(Lost<T>),
}

/// The end of a transaction.
enum End<T> {
    /// It was committed, or had nothing to write.
    Made(T),
    /// It was not.
    Failed(Failure),
    /// COMMIT was sent, and its answer was lost.
    Lost(Lost<T>),
}

/// A transaction whose answer to COMMIT was lost.
struct Lost<T> {
    id: [u8; 16],
    made: T,
    cause: String,
    commits: usize,
}

impl<T> Lost<T> {
    /// Finds out what became of it, and counts it.
    async fn find_out(self, connector: &Connector, counts: &LostAnswers) -> Result<T, Failure> {
        let Self { id, made, cause, commits } = self;
        let (found, count, end) = match commit_id::find_out(connector, &id).await {
            Some(true) => ("written", &counts.written, Ok(made)),
            Some(false) => {
                let lost = connector.error(&DatabaseError::Lost(cause.clone()));
                ("not written", &counts.not_written, Err(Failure::NotApplied(lost)))
            }
            None => ("unknown", &counts.unknown, Err(Failure::Unknown(cause.clone()))),
        };
        count.add();
        tracing::warn!(cause, found, commits, database = %connector.address, "the answer to a commit was lost");
        end
    }
}

/// Writes transactions over one connection, one after the other.
pub(super) struct Writer {
    pub(super) connector: Arc<Connector>,
    pub(super) state: Arc<SharedState>,
    pub(super) connection: Option<Connection>,
    /// The batch that was committed last, until its commits are told.
    committed: Mutex<Option<(Vec<Commit>, Decided)>>,
    /// The state generation that the witness is to hold. It waits for a disk, and so until no transaction is open.
    generation: Mutex<Option<Generation>>,
}

impl Writer {
    /// Returns a writer that connects when there is something to write.
    pub(super) fn new(
        connector: &Arc<Connector>,
        state: &Arc<SharedState>,
        connection: Option<Connection>,
    ) -> Self {
        let (connector, state) = (Arc::clone(connector), Arc::clone(state));
        Self { connector, state, connection, committed: Mutex::default(), generation: Mutex::default() }
    }

    /// Writes the waiting commits until there can be no more.
    pub(super) async fn work(mut self, mut waiting: Receiver<Commit>) {
        let (mut commits, mut lost) = (Vec::with_capacity(MOST), JoinSet::new());
        while self.receive(&mut waiting, &mut commits).await {
            commits.iter().for_each(|_| self.state.measures.waiting.fall());
            let written = self.write_all(std::mem::take(&mut commits), &mut lost);
            if guarded(written).await.is_none() {
                // The commits were dropped: each is told that nothing is known of it.
                tracing::error!("the writer panicked; what it was writing may or may not have been written");
                self.connection = None;
            }
            while lost.try_join_next().is_some() {}
            // If more commits wait, these are told when the first statements of the next batch are sent.
            if waiting.is_empty() {
                self.tell_committed();
            }
            self.write_witness().await;
        }
        while lost.join_next().await.is_some() {}
        if self.state.process().and_then(Process::due_in).is_some() {
            self.make_generation().await;
        }
    }

    /// Tells the commits of the last batch that they are durable, if that was not done.
    pub(super) fn tell_committed(&self) {
        let committed = locked(&self.committed).take();
        if let Some((commits, made)) = committed
            && let Some(generation) = batch::tell_all(&self.state, commits, Ok(made))
        {
            *locked(&self.generation) = Some(generation);
        }
    }

    async fn write_witness(&self) {
        let generation = locked(&self.generation).take();
        if let Some(generation) = generation {
            batch::write_witness(&self.state, generation).await;
        }
    }

    /// Writes `commits` together. One that the database refuses spoils no other.
    async fn write_all(&mut self, commits: Vec<Commit>, lost: &mut JoinSet<()>) {
        for commit in self.write_batch(commits, lost).await {
            self.write_batch(vec![commit], lost).await;
        }
    }

    /// Waits for commits, and makes a state generation when one is due. Returns false when there can be no more commits.
    async fn receive(&mut self, waiting: &mut Receiver<Commit>, commits: &mut Vec<Commit>) -> bool {
        loop {
            let received = waiting.recv_many(commits, MOST);
            let Some(due_in) = self.state.process().and_then(Process::due_in) else {
                return received.await > 0;
            };
            match tokio::time::timeout(due_in, received).await {
                Ok(received) => return received > 0,
                Err(_) => self.make_generation().await,
            }
        }
    }

    /// Makes a state generation.
    async fn make_generation(&mut self) {
        let Some(process) = self.state.process() else { return };
        process.make_due();
        let probe: Arc<[Change]> = Arc::new([Change::Probe]);
        let written = self.write(&mut Batch::one(probe)).await;
        if let (Err(_), Some(process)) = (&written, self.state.process()) {
            process.postpone();
        }
        batch::settle(&self.state, Vec::new(), written).await;
    }

    /// Writes `commits` together, and tells each its outcome. Returns them if the database refuses one of several. What became of a batch
    /// whose answer was lost is found out by a task in `lost`: later ones do not wait for that.
    async fn write_batch(&mut self, commits: Vec<Commit>, lost: &mut JoinSet<()>) -> Vec<Commit> {
        let end = self.try_write(&mut Batch::of(&commits)).await;
        self.tell_committed();
        match end {
            End::Made(made) => *locked(&self.committed) = Some((commits, made)),
            End::Failed(Failure::Refused(_)) if commits.len() > 1 => return commits,
            End::Failed(failure) => batch::settle(&self.state, commits, Err(failure)).await,
            End::Lost(batch) => {
                let (connector, state) = (Arc::clone(&self.connector), Arc::clone(&self.state));
                lost.spawn(async move {
                    let end = batch.find_out(&connector, &state.measures.lost).await;
                    batch::settle(&state, commits, end).await;
                });
            }
        }
        Vec::new()
    }

    /// Writes `unit` in one transaction, which is tried again where it met another one.
    pub(super) async fn write<U: Unit>(&mut self, unit: &mut U) -> Result<U::Made, Failure> {
        match self.try_write(unit).await {
            End::Made(made) => Ok(made),
            End::Failed(failure) => Err(failure),
            End::Lost(lost) => lost.find_out(&self.connector, &self.state.measures.lost).await,
        }
    }

    async fn try_write<U: Unit>(&mut self, unit: &mut U) -> End<U::Made> {
        let began = Instant::now();
        let mut met = DatabaseError::Lost("it took too long".into());
        for attempt in 1..=ATTEMPTS {
            let left = self.connector.longest_commit.saturating_sub(began.elapsed());
            if left.is_zero() {
                return End::Failed(Failure::NotApplied(self.connector.error(&met)));
            }
            match self.attempt(unit, left).await {
                Attempt::Done(made) => return End::Made(made),
                Attempt::Failed(failure) => return End::Failed(failure),
                Attempt::Lost(lost) => return End::Lost(lost),
                Attempt::Again(error) => {
                    tracing::debug!(%error, attempt, "a transaction is written again");
                    met = error;
                    // Two that meet again and again go on at different times.
                    let pause =
                        random::<1>().map_or(0, |bytes| u64::from(bytes.first().copied().unwrap_or(0)));
                    tokio::time::sleep(Duration::from_micros(pause * u64::from(attempt) * 20)).await;
                }
            }
        }
        End::Failed(Failure::Refused(self.connector.error(&met)))
    }

    /// Tries to write `unit`.
    async fn attempt<U: Unit>(&mut self, unit: &mut U, longest: Duration) -> Attempt<U::Made> {
        let deadline = tokio::time::Instant::now() + longest;
        let connection = match self.connection.take().filter(|connection| !connection.is_lost()) {
            Some(connection) => connection,
            None => {
                self.tell_committed();
                match self.connector.connect().await {
                    Ok(connection) => connection,
                    Err(error) => return not_applied(self.connector.error(&error)),
                }
            }
        };
        let began = Instant::now();
        let prepared = match tokio::time::timeout_at(deadline, unit.prepare(self, &connection)).await {
            Ok(Ok(prepared)) => prepared,
            Ok(Err(trouble)) => return self.not_prepared(connection, trouble).await,
            Err(_) => {
                let error = DatabaseError::Lost("it took too long".into());
                return not_applied(self.connector.error(&error));
            }
        };
        let made = prepared.made;
        let Some(saves) = prepared.saves else {
            self.keep(connection).await;
            return Attempt::Done(made);
        };
        let id = match random::<16>() {
            Ok(id) => *id,
            Err(error) => {
                self.keep(connection).await;
                return not_applied(error.into());
            }
        };
        let Some(mut statements) = saves.into_statements() else {
            return self.not_prepared(connection, Trouble::Unstorable).await;
        };
        statements.push(commit_id::insert(&id, true));
        let _ = connection.was_not_replicated();
        let sent = Instant::now();
        let written = tokio::time::timeout_at(deadline, connection.pipeline("", statements, "COMMIT")).await;
        let lost = |made, cause| Attempt::Lost(Lost { id, made, cause, commits: unit.commits() });
        match written {
            Ok(Ok(_)) if connection.was_not_replicated() => {
                lost(made, "it may not have reached the standby".into())
            }
            Ok(Ok(_)) => {
                self.connection = Some(connection);
                self.state.measures.took(unit.commits(), sent.duration_since(began), sent.elapsed());
                Attempt::Done(made)
            }
            // A statement failed, so that COMMIT rolled back.
            Ok(Err(error @ DatabaseError::Refused(_))) => {
                let passing = error.is_passing();
                self.keep(connection).await;
                if passing {
                    Attempt::Again(error)
                } else {
                    Attempt::Failed(Failure::Refused(self.connector.error(&error)))
                }
            }
            Ok(Err(DatabaseError::Lost(cause))) => lost(made, cause),
            Err(_) => lost(made, "it took too long".into()),
        }
    }

    /// Ends the transaction without a trace, and keeps the connection if that works.
    async fn keep(&mut self, connection: Connection) {
        if connection.roll_back(self.connector.longest_connect).await {
            self.connection = Some(connection);
        }
    }

    async fn not_prepared<T>(&mut self, connection: Connection, trouble: Trouble) -> Attempt<T> {
        match trouble {
            Trouble::Database(error @ DatabaseError::Lost(_)) => return Attempt::Again(error),
            Trouble::Database(_)
            | Trouble::Row(_)
            | Trouble::Store(_)
            | Trouble::Unstorable
            | Trouble::Again
            | Trouble::SlotLost
            | Trouble::StateLost => {}
        }
        self.keep(connection).await;
        match trouble {
            Trouble::Database(error) if error.is_passing() => Attempt::Again(error),
            // A row that does not decode is some of the commits' only.
            Trouble::Database(_) | Trouble::Unstorable | Trouble::Row(_) => {
                Attempt::Failed(Failure::Refused(trouble.at(&self.connector)))
            }
            Trouble::Store(_) => not_applied(trouble.at(&self.connector)),
            Trouble::Again => Attempt::Again(DatabaseError::Lost("something was changed meanwhile".into())),
            Trouble::StateLost => match Box::pin(supersede(self)).await {
                Ok(_) => Attempt::Again(DatabaseError::Lost("it had lost commits".into())),
                Err(failure) => Attempt::Failed(failure),
            },
            Trouble::SlotLost => match self.lease().await {
                Ok(()) => Attempt::Again(DatabaseError::Lost("its audit slot was taken over".into())),
                Err(trouble) => not_applied(trouble.at(&self.connector)),
            },
        }
    }

    /// Takes another slot of the audit table.
    async fn lease(&self) -> Result<(), Trouble> {
        let connection = self.connector.connect().await?;
        self.state.set_slot(AuditSlot::lease(&connection, &self.state.chain).await?);
        Ok(())
    }
}

fn locked<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

fn not_applied<T>(error: StoreError) -> Attempt<T> {
    Attempt::Failed(Failure::NotApplied(error))
}
