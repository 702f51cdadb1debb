//! One transaction and one commit for several jobs, each written whole or not at all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::audit::Tail;
use super::state::{MasterKeys, State, handed_over};
use super::transaction_error::TransactionError;
use crate::secrets::master_key::MasterKey;
use crate::store::audit_chain::Chain;
use crate::store::error::{SqliteErrorKind, StoreError};

/// A job: something to write whole or not at all.
pub(super) trait Work: Send {
    /// Writes it, inside a transaction. If this fails, what it wrote is rolled back. It may also be rolled back because
    /// of another job, and applied again.
    fn apply(&mut self, db: &Connection, tail: &Tail<'_>) -> Result<(), TransactionError>;

    /// Returns true if a new state generation follows it.
    fn counts(&self) -> bool;

    /// Returns true if it is written even when the disk is nearly full.
    fn is_restrictive(&self) -> bool;

    /// Reports the result to the waiter.
    fn settle(self: Box<Self>, end: Result<(), Failure>);
}

/// The reason why a job failed.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// A condition did not hold; nothing was written.
    Conflict,
    /// Nothing was written.
    NotApplied(StoreError),
    /// It may or may not have been written.
    Unknown(StoreError),
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Conflict => Self::Conflict("it was changed in the meantime; try again".into()),
            Failure::NotApplied(error) => error,
            Failure::Unknown(error) => Self::Unknown(error.to_string()),
        }
    }
}

/// The result of a transaction.
pub(super) enum End {
    /// The result of each job. What was written is durable; the timing is none if nothing was.
    Committed(Vec<Result<(), TransactionError>>, Option<CommitTiming>),
    /// Nothing was written. The connection may be broken.
    NotApplied(rusqlite::Error),
    /// The commit's own result was lost.
    Unknown(rusqlite::Error),
}

/// The durations of a transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct CommitTiming {
    /// From the lock to the commit; from the second lock if it was written twice.
    pub(super) writing: Duration,
    /// The commit, which waits for the disk.
    pub(super) syncing: Duration,
}

/// Writes all of `jobs` in one transaction.
pub(super) fn write(db: &Connection, chain: &Chain, keys: &MasterKeys, jobs: &mut [Box<dyn Work>]) -> End {
    let gathered = match gather(db, chain, keys, jobs) {
        Ok(gathered) => gathered,
        // COMMIT was not issued: without its mark, nothing that reached the log counts.
        Err(error) => {
            roll_back(db);
            return End::NotApplied(error);
        }
    };
    let Some(number) = gathered.number else {
        roll_back(db);
        return End::Committed(gathered.went, None);
    };
    let written = Instant::now();
    match run(db, "COMMIT") {
        Ok(()) => {
            let writing = written.duration_since(gathered.began);
            End::Committed(gathered.went, Some(CommitTiming { writing, syncing: written.elapsed() }))
        }
        Err(error) => {
            if roll_back(db) && fence(db, number) {
                End::NotApplied(error)
            } else {
                End::Unknown(error)
            }
        }
    }
}

/// A transaction before its commit.
struct Gathered {
    /// The result of each job.
    went: Vec<Result<(), TransactionError>>,
    /// The time when it had the lock; the second time, if the batch was written twice.
    began: Instant,
    /// The transaction's number; none if there is nothing to commit.
    number: Option<i64>,
}

fn gather(
    db: &Connection,
    chain: &Chain,
    keys: &MasterKeys,
    jobs: &mut [Box<dyn Work>],
) -> Result<Gathered, rusqlite::Error> {
    let count = jobs.len();
    let held = |error: StoreError| {
        let went = (0..count).map(|_| Err(TransactionError::Refused(error.clone()))).collect();
        Ok(Gathered { went, began: Instant::now(), number: None })
    };
    let (state, master) = match begin(db, keys)? {
        Ok(begun) => begun,
        Err(error) => return held(error),
    };
    let mut began = Instant::now();
    let again;
    let (tail, went) = match apply_all(db, Tail::of(chain, &master, state), jobs, Isolation::None)? {
        Some(applied) => applied,
        None => {
            run(db, "ROLLBACK")?;
            again = match begin(db, keys)? {
                Ok(begun) => begun,
                Err(error) => return held(error),
            };
            began = Instant::now();
            let tail = Tail::of(chain, &again.1, again.0);
            apply_all(db, tail, jobs, Isolation::Savepoints)?.ok_or(rusqlite::Error::InvalidQuery)?
        }
    };
    if went.iter().all(Result::is_err) {
        return Ok(Gathered { went, began, number: None });
    }
    tail.keep(db)?;
    let number = number(db)?;
    // Writes everything now, except the commit's own mark: a full disk shows here, while it is still certain that
    // nothing was applied.
    db.cache_flush()?;
    Ok(Gathered { went, began, number: Some(number) })
}

/// Begins a transaction, and returns the state of the file and the master key that seals what is written; or the reason
/// why nothing may be written.
fn begin(
    db: &Connection,
    keys: &MasterKeys,
) -> Result<Result<(State, Arc<MasterKey>), StoreError>, rusqlite::Error> {
    run(db, "BEGIN IMMEDIATE")?;
    let begun = State::read(db).and_then(|state| {
        if state.handed_over {
            return Err(handed_over(db));
        }
        Ok((state, keys.of(db, &state)?))
    });
    match begun {
        Ok(begun) => Ok(Ok(begun)),
        Err(TransactionError::Sql(error)) => Err(error),
        Err(trouble) => Ok(Err(trouble.at(db.path().unwrap_or_default().as_ref()))),
    }
}

/// Numbers the transaction, and gives it an id and its parent's. Every transaction that writes does this. Returns the
/// number.
pub(super) fn number(db: &Connection) -> rusqlite::Result<i64> {
    let sql = "UPDATE meta SET commits = commits + 1, parent_id = commit_id, commit_id = randomblob(16) \
               RETURNING commits";
    db.prepare_cached(sql)?.query_row([], |row| row.get(0))
}

/// The treatment of a change when the state was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// It is refused, as nearly everything is.
    Refuse,
    /// It is about the handover itself.
    Allow,
}

/// Writes on a connection without a writer thread: when a store is opened, or by some commands. All or none.
pub(super) fn directly<T>(
    db: &Connection,
    chain: &Chain,
    master: &MasterKey,
    held: Held,
    write: impl FnOnce(&Connection, &Tail<'_>) -> Result<T, TransactionError>,
) -> Result<T, TransactionError> {
    run(db, "BEGIN IMMEDIATE")?;
    let written = (|| {
        let state = State::read(db)?;
        if state.handed_over && held == Held::Refuse {
            return Err(handed_over(db));
        }
        let tail = Tail::of(chain, master, state);
        let made = write(db, &tail)?;
        tail.keep(db)?;
        number(db)?;
        Ok(made)
    })();
    match written {
        Ok(made) => {
            if let Err(error) = run(db, "COMMIT") {
                roll_back(db);
                return Err(TransactionError::Sql(error));
            }
            Ok(made)
        }
        Err(trouble) => {
            roll_back(db);
            Err(trouble)
        }
    }
}

/// The isolation of jobs from each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Isolation {
    /// None: nearly always, a job that fails has written nothing.
    None,
    /// A savepoint for each, for which SQLite copies every page that a job changes.
    Savepoints,
}

type Applied<'a> = (Tail<'a>, Vec<Result<(), TransactionError>>);

/// Applies all of `jobs`; none if one failed after it had written something, which cannot be rolled back alone without
/// savepoints.
fn apply_all<'a>(
    db: &Connection,
    tail: Tail<'a>,
    jobs: &mut [Box<dyn Work>],
    isolation: Isolation,
) -> Result<Option<Applied<'a>>, rusqlite::Error> {
    let mut went = Vec::with_capacity(jobs.len());
    for job in jobs {
        let (end, rows) = (tail.end(), db.total_changes());
        if isolation == Isolation::Savepoints {
            run(db, "SAVEPOINT job")?;
        }
        match job.apply(db, &tail) {
            Ok(()) => went.push(Ok(())),
            Err(TransactionError::Sql(error)) if db.is_autocommit() || spoils_all(&error) => {
                return Err(error);
            }
            Err(_) if isolation == Isolation::None && db.total_changes() != rows => return Ok(None),
            Err(trouble) => {
                if isolation == Isolation::Savepoints {
                    run(db, "ROLLBACK TO job")?;
                }
                tail.back_to(end);
                went.push(Err(trouble));
            }
        }
        if isolation == Isolation::Savepoints {
            run(db, "RELEASE job")?;
        }
    }
    Ok(Some((tail, went)))
}

/// Returns true if every other job will fail with the same error.
fn spoils_all(error: &rusqlite::Error) -> bool {
    match SqliteErrorKind::of(error) {
        SqliteErrorKind::Other => false,
        SqliteErrorKind::Locked
        | SqliteErrorKind::Full
        | SqliteErrorKind::ReadOnly
        | SqliteErrorKind::Corrupt
        | SqliteErrorKind::NotADatabase
        | SqliteErrorKind::CannotOpen
        | SqliteErrorKind::Io
        | SqliteErrorKind::NoMemory => true,
    }
}

/// Ensures that transaction `number`, whose commit failed and was rolled back, never counts.
///
/// Its commit mark may stand in the log behind the end that the other connections know, and a recovery after a crash
/// would accept it. Another commit overwrites the place where it began, which breaks the checksums of all that follows.
/// Returns false if that fails too, or if the file has changed since.
fn fence(db: &Connection, number: i64) -> bool {
    let overwrite = || -> rusqlite::Result<bool> {
        run(db, "BEGIN IMMEDIATE")?;
        let touched = db
            .prepare_cached(
                "UPDATE meta SET commits = commits + 1, parent_id = commit_id, commit_id = randomblob(16) \
                 WHERE commits = ?1",
            )?
            .execute([number.saturating_sub(1)])?;
        if touched != 1 {
            return Ok(false);
        }
        run(db, "COMMIT")?;
        Ok(true)
    };
    let fenced = overwrite().unwrap_or(false);
    if !fenced {
        roll_back(db);
    }
    fenced
}

/// Ends the open transaction, if SQLite has not done so itself; returns false if it stays open.
fn roll_back(db: &Connection) -> bool {
    db.is_autocommit() || (run(db, "ROLLBACK").is_ok() && db.is_autocommit())
}

fn run(db: &Connection, sql: &str) -> rusqlite::Result<()> {
    db.prepare_cached(sql)?.execute([]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::super::connect::{Role, to_an_empty_file};
    use super::super::state::META;
    use super::*;
    use std::sync::{Arc, Mutex};

    struct Sql {
        text: &'static str,
        conflict: bool,
        end: Arc<Mutex<Option<Result<(), Failure>>>>,
    }

    impl Work for Sql {
        fn apply(&mut self, db: &Connection, _: &Tail<'_>) -> Result<(), TransactionError> {
            db.execute_batch(self.text)?;
            if self.conflict { Err(TransactionError::Conflict) } else { Ok(()) }
        }

        fn counts(&self) -> bool {
            true
        }

        fn is_restrictive(&self) -> bool {
            true
        }

        fn settle(self: Box<Self>, end: Result<(), Failure>) {
            *self.end.lock().unwrap() = Some(end);
        }
    }

    const PARENT: &str = "INSERT INTO parent VALUES (1)";
    /// Passes as a statement, and fails at COMMIT.
    const ORPHAN: &str = "PRAGMA defer_foreign_keys = ON; INSERT INTO child VALUES (9)";

    fn jobs(texts: &[(&'static str, bool)]) -> Vec<Box<dyn Work>> {
        let job = |&(text, conflict): &(_, _)| {
            Box::new(Sql { text, conflict, end: Arc::default() }) as Box<dyn Work>
        };
        texts.iter().map(job).collect()
    }

    fn with_db(test: impl FnOnce(&Connection, &Chain)) {
        let (_dir, connector) = to_an_empty_file();
        let db = connector.connect(Role::Writer).unwrap();
        connector.use_wal(&db).unwrap();
        db.execute_batch(
            "CREATE TABLE parent (id INTEGER PRIMARY KEY);
             CREATE TABLE child (parent INTEGER REFERENCES parent (id))",
        )
        .unwrap();
        db.execute_batch(META).unwrap();
        test(&db, &Chain::new(b"key"));
    }

    fn count(db: &Connection, table: &str) -> i64 {
        db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn what_fails_between_two_good_ones_spoils_neither() {
        let bad = [
            ("SELECT 1", true),
            ("INSERT INTO parent VALUES (2)", true),
            ("INSERT INTO parent VALUES (1)", false),
            ("INSERT INTO parent VALUES (3); INSERT INTO parent VALUES (1)", false),
            ("INSERT INTO parent VALUES (4), (5), (1)", false),
        ];
        for some in (1..=bad.len()).flat_map(|many| bad.windows(many)) {
            with_db(|db, chain| {
                let mut jobs =
                    jobs(&[&[(PARENT, false)], some, &[("INSERT INTO child VALUES (1)", false)]].concat());
                let End::Committed(went, _) = write(db, chain, &MasterKeys::for_test(), &mut jobs) else {
                    panic!()
                };
                let went: Vec<bool> = went.iter().map(Result::is_ok).collect();
                assert_eq!(went, [&[true][..], &vec![false; some.len()], &[true]].concat(), "{some:?}");
                assert_eq!((count(db, "parent"), count(db, "child")), (1, 1), "{some:?}");
            });
        }
    }

    #[test]
    fn a_commit_that_fails_is_fenced_off_and_certain_not_to_count() {
        with_db(|db, chain| {
            assert!(matches!(
                write(db, chain, &MasterKeys::for_test(), &mut jobs(&[(PARENT, false), (ORPHAN, false)])),
                End::NotApplied(_)
            ));
            assert_eq!((count(db, "parent"), count(db, "child")), (0, 0));
            assert!(db.is_autocommit());
            assert!(matches!(
                write(db, chain, &MasterKeys::for_test(), &mut jobs(&[(PARENT, false)])),
                End::Committed(..)
            ));
        });
    }

    #[test]
    fn a_commit_that_fails_and_cannot_be_fenced_off_is_unknown() {
        with_db(|db, chain| {
            let elsewhere = "UPDATE meta SET commits = commits + 5";
            assert!(matches!(
                write(db, chain, &MasterKeys::for_test(), &mut jobs(&[(ORPHAN, false), (elsewhere, false)])),
                End::Unknown(_)
            ));
            assert!(db.is_autocommit());
        });
    }

    #[test]
    fn nothing_to_commit_is_no_commit() {
        with_db(|db, chain| {
            let End::Committed(went, _) =
                write(db, chain, &MasterKeys::for_test(), &mut jobs(&[(PARENT, true)]))
            else {
                panic!()
            };
            assert!(matches!(went[..], [Err(TransactionError::Conflict)]));
            let commits: i64 = db.query_row("SELECT commits FROM meta", [], |row| row.get(0)).unwrap();
            assert_eq!((commits, count(db, "parent")), (0, 0));
        });
    }

    #[test]
    fn settling_reaches_the_waiter() {
        let end = Arc::default();
        let job: Box<dyn Work> = Box::new(Sql { text: "", conflict: false, end: Arc::clone(&end) });
        job.settle(Err(Failure::Conflict));
        assert!(matches!(*end.lock().unwrap(), Some(Err(Failure::Conflict))));
    }
}
