//! The engines on which tests of any engine run: SQLite's file, records in memory that answer on threads of their own, as an engine over a
//! network does, and a PostgreSQL database where the feature is on.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use gatepass::store::{
    Archived, AuditCut, AuditFilter, AuditOrder, AuditPage, AuditRow, AuditSpan, AuditTrail, AuditVerdict,
    Backend, ClockMark, ClockStore, EndedAhead, OnProgress, Requests, Rotated, SigningKeys, StoreError,
    StoredKeys, Swept, Then, Upkeep,
};
use gatepass_core::base::time::Time;
use gatepass_core::records::identifier::NumberingPlan;
use gatepass_core::store::Store;
use gatepass_core::store::archive_request::ArchiveRequest;
use gatepass_core::store::audit::Event;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::{Found, Query};
use gatepass_tests::memory::{Memory, Tables};

use crate::fixture::{Fixture, insert_records};

/// A way to open one engine on records of its own. Tests that are generic over it hold for every engine.
pub(crate) trait Engine: Send + Sync + 'static {
    /// Makes a fixture without records.
    fn empty() -> Self;

    /// Opens the fixture, as each of several processes does.
    fn open(&self) -> Arc<dyn Backend>;

    /// Sets the state epoch, as after older state was put back.
    fn set_state_epoch(&self, epoch: u64);

    /// Returns every record, in any form.
    fn dump(&self) -> String;

    /// Deletes tickets, sessions, and the traces of deleted users.
    fn clear(&self);

    /// Panics if the stored records are inconsistent.
    fn check(&self) {}

    /// Makes a fixture with the users and clients of the test data.
    fn with_records() -> Self
    where
        Self: Sized,
    {
        let fixture = Self::empty();
        insert_records(&fixture.open());
        fixture
    }
}

/// An engine that keeps a database: it has everything that a server needs.
pub(crate) trait Database: Engine {
    /// Returns the data directory.
    fn dir(&self) -> &Path;

    /// Runs statements in the database.
    fn execute(&self, sql: &str);

    /// Returns the number of rows of a table, or of those that it is followed by.
    fn count(&self, from: &str) -> u64;
}

/// Runs tests that are generic over [`Database`] on every one.
macro_rules! on_every_database {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test] fn $test() { super::$test::<crate::fixture::Fixture>(); })+
        }
        #[cfg(feature = "postgres")]
        mod postgres {
            $(#[test] fn $test() { super::$test::<crate::cluster::Fixture>(); })+
        }
    };
}
pub(crate) use on_every_database;

/// Runs tests that are generic over [`Engine`] on every one.
macro_rules! on_every_engine {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test] fn $test() { super::$test::<crate::fixture::Fixture>(); })+
        }
        mod memory {
            $(#[test] fn $test() { super::$test::<crate::engines::InMemory>(); })+
        }
        #[cfg(feature = "postgres")]
        mod postgres {
            $(#[test] fn $test() { super::$test::<crate::cluster::Fixture>(); })+
        }
    };
}
pub(crate) use on_every_engine;

impl Engine for Fixture {
    fn empty() -> Self {
        Self::empty()
    }

    fn open(&self) -> Arc<dyn Backend> {
        Arc::new(self.store())
    }

    fn set_state_epoch(&self, epoch: u64) {
        self.set_state_epoch(epoch);
    }

    fn dump(&self) -> String {
        let sql = self.sql();
        let tables = [
            "users",
            "clients",
            "client_secrets",
            "tickets",
            "sessions",
            "refresh_tokens",
            "revoked_tokens",
            "audit",
            "deleted_users",
            "keys",
        ];
        let dumped = tables.map(|table| {
            let mut select = sql.prepare(&format!("SELECT * FROM {table}")).unwrap();
            let width = select.column_count();
            let row = |row: &rusqlite::Row<'_>| (0..width).map(|i| row.get(i)).collect::<Result<Vec<_>, _>>();
            let rows: Vec<Vec<rusqlite::types::Value>> =
                select.query_map([], row).unwrap().map(Result::unwrap).collect();
            rows
        });
        format!("{dumped:?}")
    }

    fn clear(&self) {
        let sql =
            "PRAGMA foreign_keys = ON; DELETE FROM tickets; DELETE FROM sessions; DELETE FROM deleted_users";
        self.sql().execute_batch(sql).unwrap();
    }

    fn check(&self) {
        let report = self.store().check().unwrap();
        assert!(report.is_sound(), "{report:?}");
    }
}

impl Database for Fixture {
    fn dir(&self) -> &Path {
        self.dir()
    }

    fn execute(&self, sql: &str) {
        self.sql().execute_batch(sql).unwrap();
    }

    fn count(&self, from: &str) -> u64 {
        let sql = format!("SELECT count(*) FROM {from}");
        let count: i64 = self.sql().query_row(&sql, [], |row| row.get(0)).unwrap();
        count.unsigned_abs()
    }
}

/// Records in memory. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct InMemory(Arc<State>);

#[derive(Debug)]
struct State {
    memory: Memory,
    mark: Mutex<ClockMark>,
    held: Mutex<Option<Held>>,
    held_more: Condvar,
}

/// Reads that wait to be released.
#[derive(Default)]
struct Held {
    queries: usize,
    reads: Vec<Box<dyn FnOnce() + Send>>,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("queries", &self.queries).finish_non_exhaustive()
    }
}

impl InMemory {
    /// Holds reads that do not block back from now on.
    pub(crate) fn hold_reads(&self) {
        self.0.held.lock().unwrap().get_or_insert_default();
    }

    /// Waits until `queries` of them are held back, or `longest` has passed, and returns how many are.
    pub(crate) fn wait_for_held_reads(&self, queries: usize, longest: Duration) -> usize {
        let count = |held: &Option<Held>| held.as_ref().map_or(0, |held| held.queries);
        let held = self.0.held.lock().unwrap();
        let waited = self.0.held_more.wait_timeout_while(held, longest, |held| count(held) < queries);
        count(&waited.unwrap().0)
    }

    /// Lets every read go on.
    pub(crate) fn release_reads(&self) {
        let held = self.0.held.lock().unwrap().take();
        held.into_iter().flat_map(|held| held.reads).for_each(|read| drop(thread::spawn(read)));
    }

    /// Runs a read of `queries` queries on a thread of its own, or holds it back.
    fn read_later(&self, queries: usize, read: impl FnOnce() + Send + 'static) {
        match &mut *self.0.held.lock().unwrap() {
            None => drop(thread::spawn(read)),
            Some(held) => {
                held.queries += queries;
                held.reads.push(Box::new(read));
                self.0.held_more.notify_all();
            }
        }
    }

    /// Changes the mark, and returns it.
    fn mark(&self, change: impl FnOnce(&mut ClockMark)) -> ClockMark {
        let mut mark = self.0.mark.lock().unwrap();
        change(&mut mark);
        *mark
    }

    fn record(&self, events: &[Event]) {
        self.0.memory.with(|tables| {
            tables.generation += 1;
            tables.audit.extend_from_slice(events);
        });
    }
}

impl Engine for InMemory {
    fn empty() -> Self {
        let memory = Memory::new(Tables { generation: 1, ..Tables::default() });
        let mark = ClockMark { mark: Time::default(), resets: 0, jumped_at: None, ahead_since: None };
        Self(Arc::new(State {
            memory,
            mark: Mutex::new(mark),
            held: Mutex::default(),
            held_more: Condvar::new(),
        }))
    }

    fn open(&self) -> Arc<dyn Backend> {
        Arc::new(self.clone())
    }

    fn set_state_epoch(&self, epoch: u64) {
        self.0.memory.with(|tables| tables.state_epoch = epoch);
    }

    fn dump(&self) -> String {
        self.0.memory.with(|tables| format!("{tables:?}"))
    }

    fn clear(&self) {
        self.0.memory.with(|tables| {
            tables.tickets.clear();
            tables.sessions.clear();
            tables.refresh_tokens.clear();
            tables.deleted.clear();
        });
    }
}

impl Store for InMemory {
    fn read(&self, query: &Query) -> Found {
        self.0.memory.read(query)
    }

    fn commit(&self, changes: &Arc<[Change]>) -> Outcome {
        self.0.memory.commit(changes)
    }
}

impl Requests for InMemory {
    fn reads_inline(&self) -> bool {
        false
    }

    fn read_then(&self, query: Query, then: Then<Found>) {
        let store = self.clone();
        self.read_later(1, move || then(store.read(&query)));
    }

    fn find(&self, query: &Query) -> Result<Found, StoreError> {
        Ok(self.read(query))
    }

    fn numbering_plan(&self) -> Result<Option<NumberingPlan>, StoreError> {
        Ok(self.0.memory.with(|tables| tables.numbering_plan.clone()))
    }

    fn read_all(&self, queries: &[&Query]) -> Result<Vec<Found>, StoreError> {
        Ok(self.0.memory.with(|tables| queries.iter().map(|query| tables.read(query)).collect()))
    }

    fn read_all_then(&self, queries: Vec<Query>, then: Then<Result<Vec<Found>, StoreError>>) {
        let store = self.clone();
        let count = queries.len();
        self.read_later(count, move || then(store.read_all(&queries.iter().collect::<Vec<_>>())));
    }

    fn commit_then(&self, changes: &Arc<[Change]>, then: Then<Outcome>) {
        let (store, changes) = (self.clone(), Arc::clone(changes));
        thread::spawn(move || then(store.commit(&changes)));
    }
}

impl SigningKeys for InMemory {
    fn keys(&self) -> Result<StoredKeys, StoreError> {
        Ok(self
            .0
            .memory
            .with(|tables| StoredKeys { generation: tables.generation, keys: tables.keys.clone() }))
    }

    fn rotate_master_key(&self, _: Option<&Path>) -> Result<Rotated, StoreError> {
        Err(StoreError::Overloaded)
    }
}

impl AuditTrail for InMemory {
    fn audit_span(&self, _: &AuditFilter) -> Result<Option<AuditSpan>, StoreError> {
        let rows = self.0.memory.with(|tables| tables.audit.len());
        Ok(u64::try_from(rows).ok().filter(|rows| *rows > 0).map(|rows| 1..=rows))
    }

    fn audit_page(
        &self,
        filter: &AuditFilter,
        span: &AuditSpan,
        order: AuditOrder,
    ) -> Result<AuditPage, StoreError> {
        let (first, last) = (*span.start(), *span.end());
        let at = if order == AuditOrder::OldestFirst { first } else { last };
        let event = self.0.memory.with(|tables| tables.audit[usize::try_from(at - 1).unwrap()].clone());
        let rest = if order == AuditOrder::OldestFirst { at + 1..=last } else { first..=at - 1 };
        let rows = if filter.takes(&event) { vec![AuditRow { seq: at, event }] } else { Vec::new() };
        Ok(AuditPage { rows, rest: (!rest.is_empty()).then_some(rest) })
    }

    fn audit_head(&self) -> Result<(u64, String), StoreError> {
        let rows = self.0.memory.with(|tables| tables.audit.len());
        Ok((u64::try_from(rows).unwrap(), String::new()))
    }

    fn verify_audit(&self) -> Result<AuditVerdict, StoreError> {
        let rows = self.0.memory.with(|tables| tables.audit.len());
        Ok(AuditVerdict { rows: u64::try_from(rows).unwrap(), broken: None, slot: None })
    }

    fn archive_audit(
        &self,
        _: Option<&Path>,
        _: &ArchiveRequest,
        _: &mut OnProgress<'_>,
    ) -> Result<Archived, StoreError> {
        Err(StoreError::NothingToArchive)
    }

    fn read_archive(&self, path: &Path) -> Result<Archived, StoreError> {
        Err(StoreError::BadArchive { path: path.to_owned(), problem: "memory has none".into() })
    }

    fn cut_audit(&self, _: Time, _: u64, _: Time) -> Result<AuditCut, StoreError> {
        Ok(AuditCut::default())
    }
}

impl ClockStore for InMemory {
    fn clock_state(&self) -> Result<ClockMark, StoreError> {
        Ok(self.mark(|_| ()))
    }

    fn raise_clock_mark(&self, state: ClockMark) -> Result<ClockMark, StoreError> {
        Ok(self.mark(|mark| {
            if mark.resets == state.resets {
                mark.mark = mark.mark.max(state.mark);
                mark.jumped_at = mark.jumped_at.max(state.jumped_at);
                mark.ahead_since = mark.ahead_since.or(state.ahead_since);
            }
        }))
    }

    fn set_clock_mark(&self, to: Time, event: Option<Event>) -> Result<(), StoreError> {
        self.mark(|mark| {
            (mark.mark, mark.jumped_at) = (to, Some(to));
            mark.resets += 1;
        });
        self.record(event.as_slice());
        Ok(())
    }

    fn forget_clock_ahead(&self) -> Result<ClockMark, StoreError> {
        Ok(self.mark(|mark| mark.ahead_since = None))
    }
}

impl Upkeep for InMemory {
    fn engine(&self) -> &'static str {
        "memory"
    }

    fn place(&self) -> String {
        String::new()
    }

    fn newest_are_dated_ahead(&self, _: Time) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn end_dated_ahead(&self, _: Time) -> Result<EndedAhead, StoreError> {
        Ok(EndedAhead::default())
    }

    fn sweep(&self, _: Time, _: usize) -> Result<Swept, StoreError> {
        Ok(Swept::default())
    }

    fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
