//! The store of the tests that hold on any store: a database. What they look at and alter is what its rows say.

use std::cell::RefCell;
use std::sync::{Arc, Mutex};

use gatepass::store::postgres::PostgresStore;
use gatepass::store::prelude::*;
use gatepass::store::{AuditFilter, AuditOrder};
use gatepass_core::base::time::Time;
use gatepass_core::store::Store;
use gatepass_core::store::audit::Event;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::{Found, Query};
use gatepass_tests::guard::Guard;
use gatepass_tests::memory::Tables;
use gatepass_tests::reference::RestartableStore;

use crate::cluster::Fixture;
use crate::{is_large, scale};

/// Returns how many of `count` cases are tried.
pub(crate) fn fewer(count: u64) -> u64 {
    scale(count.div_ceil(50), count)
}

/// Returns those of `all` that are tried.
pub(crate) fn some<T>(all: &[T]) -> impl Iterator<Item = &T> {
    all.iter().step_by(if is_large() { 1 } else { 30 })
}

/// A database, and the store that is open in it.
struct Opened {
    store: PostgresStore,
    fixture: Fixture,
}

thread_local! {
    /// The databases that the test on this thread has made and does not use any more.
    static FREE: RefCell<Vec<Opened>> = const { RefCell::new(Vec::new()) };
}

/// Any records, in a database of their own.
pub(crate) struct TestedStore {
    /// None once it was given back.
    opened: Option<Opened>,
    /// The conditions that it does not know.
    unguarded: Vec<Guard>,
    audit: Mutex<AuditStart>,
}

/// The audit table is never emptied: the audit rows of the records are `events`, and those after number `last`.
struct AuditStart {
    events: Vec<Event>,
    last: u64,
}

impl TestedStore {
    /// Makes a database with the records of `tables`.
    pub(crate) fn new(tables: Tables) -> Self {
        let opened = FREE.with_borrow_mut(Vec::pop).unwrap_or_else(|| {
            let fixture = Fixture::empty();
            Opened { store: fixture.command(), fixture }
        });
        let audit = Mutex::new(AuditStart { events: Vec::new(), last: 0 });
        let made = Self { opened: Some(opened), unguarded: tables.unguarded.clone(), audit };
        made.replace(&tables);
        made
    }

    fn store(&self) -> &PostgresStore {
        &self.opened.as_ref().unwrap().store
    }

    /// Looks at, or alters, the records.
    pub(crate) fn with<T>(&self, visit: impl FnOnce(&mut Tables) -> T) -> T {
        let before = Tables { audit: self.audit(), ..self.store().whole().unwrap() };
        let mut tables = before.clone();
        let seen = visit(&mut tables);
        if tables != before {
            self.replace(&tables);
        }
        seen
    }

    fn replace(&self, tables: &Tables) {
        self.store().replace_whole(tables).unwrap();
        let last = self.store().audit_span(&AuditFilter::default()).unwrap().map_or(0, |span| *span.end());
        *self.audit.lock().unwrap() = AuditStart { events: tables.audit.clone(), last };
    }

    fn audit(&self) -> Vec<Event> {
        let start = self.audit.lock().unwrap();
        let mut events = start.events.clone();
        let filter = AuditFilter::default();
        let span = self.store().audit_span(&filter).unwrap();
        let mut rest = span.map(|span| start.last + 1..=*span.end()).filter(|span| !span.is_empty());
        while let Some(span) = rest {
            let page = self.store().audit_page(&filter, &span, AuditOrder::OldestFirst).unwrap();
            events.extend(page.rows.into_iter().map(|row| row.event));
            rest = page.rest;
        }
        events
    }
}

impl Store for TestedStore {
    fn read(&self, query: &Query) -> Found {
        self.store().read(query)
    }

    fn commit(&self, changes: &Arc<[Change]>) -> Outcome {
        let outcome = self.store().commit(changes);
        if outcome != Outcome::Conflict || self.unguarded.is_empty() {
            return outcome;
        }
        self.with(|tables| {
            tables.unguarded.clone_from(&self.unguarded);
            let outcome = tables.commit(changes);
            tables.unguarded.clear();
            outcome
        })
    }
}

impl RestartableStore for TestedStore {
    fn restart(&mut self) {
        let opened = self.opened.as_mut().unwrap();
        opened.store.close().unwrap();
        opened.store = opened.fixture.command();
    }

    fn sweep(&mut self, now: Time) {
        while self.store().sweep(now, 1_000).unwrap().more {}
    }

    fn set_state_epoch(&mut self, epoch: u64) {
        self.with(|tables| tables.state_epoch = epoch);
    }
}

impl Drop for TestedStore {
    fn drop(&mut self) {
        let opened = self.opened.take();
        FREE.with_borrow_mut(|free| free.extend(opened));
    }
}
