//! The one thread that writes: it takes the waiting jobs, writes them in one transaction, then wakes the waiters. No
//! timer: a lone request is written at once, and while one batch is being synced the next one gathers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, current};

use arc_swap::ArcSwapOption;
use rusqlite::Connection;

use super::advance::Advance;
use super::audit::Tail;
use super::batch::{self, CommitTiming, End, Failure, Work};
use super::checkpoint::Checkpoints;
use super::connect::Role;
use super::transaction_error::TransactionError;
use crate::store::error::{SqliteErrorKind, StoreError};
use crate::store::measures::StoreMeasures;
use crate::threads::named;

/// One transaction may always have this many jobs: enough for a sync to cost each of them little.
const LEAST: usize = 32;
/// The most jobs in one transaction: limits the time that the lock is held.
const MOST: usize = 256;
/// The stack that the writing thread needs, with a margin.
const STACK: usize = 256 * 1024;

/// The kind of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// It opens or adds something: a new state generation follows it, and it is refused while the disk is full.
    Opens,
    /// It ends, disables, revokes or counts something: a new state generation follows it.
    Restricts,
    /// It was promised to nobody: no state generation follows.
    Aside,
}

/// The handle of the writing thread.
pub(super) struct Writer {
    queue: ArcSwapOption<SyncSender<Box<dyn Work>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    measures: Arc<StoreMeasures>,
}

impl Writer {
    /// Starts the thread; at most `bound` jobs wait.
    pub(super) fn start(files: Advance, bound: usize) -> std::io::Result<Self> {
        let (queue, waiting) = sync_channel(bound);
        let measures = Arc::clone(&files.measures);
        let checkpoints = Checkpoints::new(files.connector.clone());
        let mut writer_thread = WriterThread { files, db: None, checkpoints, room: LEAST };
        let thread = named("writer").stack_size(STACK).spawn(move || writer_thread.work(&waiting))?;
        Ok(Self { queue: ArcSwapOption::from_pointee(queue), thread: Mutex::new(Some(thread)), measures })
    }

    /// Runs `run` on the writing thread, all or none, and waits until its writes are durable.
    pub(super) fn write<T, F>(&self, class: Class, run: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnMut(&Connection, &Tail<'_>) -> Result<T, TransactionError> + Send + 'static,
    {
        let (answer, answered) = sync_channel(1);
        self.send(class, run, move |end| {
            let _ = answer.send(end);
        });
        answered.recv().unwrap_or_else(|_| Err(lost()))
    }

    /// Runs `run` on the writing thread, all or none. Once its writes are durable, or are known not to be, the thread
    /// calls `then`, which must return soon.
    pub(super) fn send<T, F>(
        &self,
        class: Class,
        run: F,
        then: impl FnOnce(Result<T, Failure>) + Send + 'static,
    ) where
        T: Send + 'static,
        F: FnMut(&Connection, &Tail<'_>) -> Result<T, TransactionError> + Send + 'static,
    {
        let job = Box::new(Job { class, run, made: None, then: Some(then) });
        let refused = match &*self.queue.load() {
            Some(queue) => {
                self.measures.waiting.rise();
                match queue.try_send(job) {
                    Ok(()) => return,
                    Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => {
                        self.measures.waiting.fall();
                        job
                    }
                }
            }
            None => job,
        };
        refused.settle(Err(Failure::NotApplied(StoreError::Overloaded)));
    }
}

fn lost() -> Failure {
    Failure::Unknown(StoreError::Unknown("the writer failed in the middle of it".into()))
}

impl Writer {
    /// Writes the waiting jobs, then ends the thread.
    pub(super) fn stop(&self) {
        drop(self.queue.swap(None));
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The thread itself may drop the last clone of the store.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != current().id()) {
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A job with a waiter for its result.
struct Job<T, F, G>
where
    G: FnOnce(Result<T, Failure>),
{
    class: Class,
    run: F,
    made: Option<T>,
    then: Option<G>,
}

impl<T, F, G> Work for Job<T, F, G>
where
    T: Send,
    F: FnMut(&Connection, &Tail<'_>) -> Result<T, TransactionError> + Send,
    G: FnOnce(Result<T, Failure>) + Send,
{
    fn apply(&mut self, db: &Connection, tail: &Tail<'_>) -> Result<(), TransactionError> {
        self.made = Some((self.run)(db, tail)?);
        Ok(())
    }

    fn counts(&self) -> bool {
        self.class != Class::Aside
    }

    fn is_restrictive(&self) -> bool {
        self.class != Class::Opens
    }

    fn settle(mut self: Box<Self>, end: Result<(), Failure>) {
        let end = match (end, self.made.take()) {
            (Ok(()), Some(made)) => Ok(made),
            (Ok(()), None) => Err(Failure::Unknown(StoreError::Unknown("it was never begun".into()))),
            (Err(failure), _) => Err(failure),
        };
        if let Some(then) = self.then.take() {
            then(end);
        }
    }
}

impl<T, F, G> Drop for Job<T, F, G>
where
    G: FnOnce(Result<T, Failure>),
{
    /// Dropped without a result: the writer failed in the middle of it.
    fn drop(&mut self) {
        if let Some(then) = self.then.take() {
            then(Err(lost()));
        }
    }
}

/// The state of the writing thread.
struct WriterThread {
    files: Advance,
    db: Option<Connection>,
    checkpoints: Checkpoints,
    /// The number of jobs that the next transaction takes.
    room: usize,
}

/// Returns the number of jobs that the next transaction takes, if the last one of `written` jobs had this `timing`.
///
/// As many as are written in the time of one sync. With more of them the rest of the machine would be idle while they
/// are written, because all waiting jobs are in this transaction; the others gather while it is synced.
fn room(written: usize, timing: CommitTiming) -> usize {
    let together = u128::try_from(written).unwrap_or_default().saturating_mul(timing.syncing.as_nanos());
    let room = together.checked_div(timing.writing.as_nanos()).unwrap_or_default();
    usize::try_from(room).unwrap_or(MOST).clamp(LEAST, MOST)
}

impl WriterThread {
    fn work(&mut self, waiting: &Receiver<Box<dyn Work>>) {
        while let Ok(first) = waiting.recv() {
            let mut jobs = vec![first];
            jobs.extend(waiting.try_iter().take(self.room - 1));
            jobs.iter().for_each(|_| self.files.measures.waiting.fall());
            // A bug in one job must not stop all later ones. Its batch is dropped, which reports an unknown outcome to
            // the waiters, and so is the connection, which rolls back.
            if catch_unwind(AssertUnwindSafe(|| self.write(jobs))).is_err() {
                tracing::error!("the writer panicked; what it was writing may or may not have been written");
                self.db = None;
            }
        }
    }

    fn write(&mut self, mut jobs: Vec<Box<dyn Work>>) {
        let Advance { connector, chain, keys, progress, reserve, .. } = &self.files;
        let mut open = || match self.db.take() {
            Some(db) => connector.verify().map(|()| db),
            None => connector.connect(Role::Writer),
        };
        let db = match open() {
            Ok(db) => db,
            Err(error) => return settle_all(jobs, &Failure::NotApplied(error)),
        };
        if reserve.is_given_up() {
            jobs = refuse_what_opens(jobs);
        }
        let mut end = batch::write(&db, chain, keys, &mut jobs);
        if let End::NotApplied(error) = &end
            && SqliteErrorKind::of(error) == SqliteErrorKind::Full
            && db.is_autocommit()
            && reserve.give_up()
        {
            // Nothing was written, and there is room now for the most important jobs.
            jobs = refuse_what_opens(jobs);
            end = batch::write(&db, chain, keys, &mut jobs);
        }
        match end {
            End::Committed(went, timing) => {
                // Writes to a file that was removed from its path are as good as lost.
                if let Some(timing) = timing {
                    self.files.measures.took(jobs.len(), timing.writing, timing.syncing);
                }
                if timing.is_some()
                    && let Err(error) = connector.verify()
                {
                    return settle_all(jobs, &Failure::Unknown(error));
                }
                self.room = timing.map_or(self.room, |timing| room(jobs.len(), timing));
                let mut counts = false;
                for (job, went) in jobs.into_iter().zip(went) {
                    counts |= went.is_ok() && job.counts();
                    job.settle(went.map_err(|trouble| match trouble {
                        TransactionError::Conflict => Failure::Conflict,
                        TransactionError::Refused(error) => Failure::NotApplied(error),
                        other @ (TransactionError::Sql(_) | TransactionError::Row { .. }) => {
                            let error = other.at(&connector.path);
                            tracing::error!(%error, "a change could not be written");
                            Failure::NotApplied(error)
                        }
                    }));
                }
                if timing.is_some() {
                    progress.committed(counts);
                }
                self.checkpoints.after_commit(&db);
                self.db = Some(db);
            }
            End::NotApplied(error) => {
                // After a lock or a full disk the connection is fine; after anything else a new one is made.
                if matches!(SqliteErrorKind::of(&error), SqliteErrorKind::Locked | SqliteErrorKind::Full)
                    && db.is_autocommit()
                {
                    self.db = Some(db);
                }
                settle_all(jobs, &Failure::NotApplied(TransactionError::Sql(error).at(&connector.path)));
            }
            // Also jobs with a conflict: the rows they ran into may or may not exist.
            End::Unknown(error) => {
                drop(db);
                settle_all(jobs, &Failure::Unknown(TransactionError::Sql(error).at(&connector.path)));
            }
        }
    }
}

/// Refuses the jobs that open something. Returns the rest.
fn refuse_what_opens(jobs: Vec<Box<dyn Work>>) -> Vec<Box<dyn Work>> {
    let (rest, opening): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.is_restrictive());
    for job in opening {
        job.settle(Err(Failure::NotApplied(StoreError::DiskFull)));
    }
    rest
}

fn settle_all(jobs: Vec<Box<dyn Work>>, failure: &Failure) {
    match failure {
        Failure::Conflict => {}
        Failure::NotApplied(error) => tracing::error!(%error, changes = jobs.len(), "nothing was written"),
        Failure::Unknown(error) => {
            tracing::error!(%error, changes = jobs.len(), "it may or may not have been written");
        }
    }
    for job in jobs {
        job.settle(Err(failure.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::super::connect::to_an_empty_file;
    use super::super::installation::Installation;
    use super::super::reserve::Reserve;
    use super::super::state::{META, MasterKeys};
    use super::*;
    use crate::store::audit_chain::Chain;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    #[test]
    fn a_transaction_takes_what_there_is_room_for_and_the_next_one_what_its_pace_allows() {
        let (dir, connector) = to_an_empty_file();
        let db = connector.connect(Role::Writer).unwrap();
        connector.use_wal(&db).unwrap();
        db.execute_batch(META).unwrap();
        let (queue, waiting) = sync_channel(100);
        let (sender, receiver) = channel();
        for _ in 0..100 {
            let sender = sender.clone();
            let run = |db: &Connection, _: &Tail<'_>| {
                db.execute_batch("CREATE TABLE IF NOT EXISTS t (x)")?;
                Ok(db.query_row("SELECT commits FROM meta", [], |row| row.get::<_, i64>(0))?)
            };
            let then = move |end: Result<i64, Failure>| sender.send(end.unwrap()).unwrap();
            queue
                .send(
                    Box::new(Job { class: Class::Opens, run, made: None, then: Some(then) }) as Box<dyn Work>
                )
                .unwrap();
        }
        drop((queue, sender));
        let checkpoints = Checkpoints::new(connector.clone());
        let files = Advance {
            installation: Installation::at(dir.path()),
            connector,
            chain: Arc::new(Chain::new(b"key")),
            keys: Arc::new(MasterKeys::for_test()),
            progress: Arc::default(),
            reserve: Reserve::at(dir.path()),
            measures: Arc::default(),
        };
        WriterThread { files, db: Some(db), checkpoints, room: 5 }.work(&waiting);
        let numbers: Vec<i64> = receiver.iter().collect();
        let together = |number| numbers.iter().filter(|n| **n == number).count();
        assert_eq!((numbers.len(), together(0)), (100, 5));
        assert!(together(1) >= LEAST, "{numbers:?}");
    }

    #[test]
    fn a_transaction_takes_as_many_as_are_written_during_a_sync() {
        for (written, writing, syncing, takes) in [
            (0, 0, 0, LEAST),
            (1, 100, 1_000, LEAST),
            (50, 1_000, 200, LEAST),
            (50, 1_000, 2_000, 100),
            (50, 1_000, 60_000, MOST),
            (MOST, 0, u64::MAX, LEAST),
            (MOST, 1, u64::MAX, MOST),
        ] {
            let timing = CommitTiming {
                writing: Duration::from_micros(writing),
                syncing: Duration::from_micros(syncing),
            };
            assert_eq!(room(written, timing), takes, "{written} {timing:?}");
        }
    }
}
