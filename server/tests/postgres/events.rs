//! Audit rows that the tests write and read.

use std::sync::Arc;

use gatepass::store::postgres::PostgresStore;
use gatepass::store::{AuditFilter, AuditRow, BackendExt as _, StoreError};
use gatepass_core::records::id::TicketId;
use gatepass_core::store::Store as _;
use gatepass_core::store::audit::{Event, Kind};
use gatepass_core::store::change::{Change, Outcome};
use gatepass_tests::fixtures;

use crate::fixture::NOW;

pub(crate) fn commit(store: &PostgresStore, changes: impl IntoIterator<Item = Change>) -> Outcome {
    let changes: Arc<[Change]> = changes.into_iter().collect();
    store.commit(&changes)
}

/// Inserts the users and clients of the test data.
pub(crate) fn insert_records(store: &PostgresStore) {
    let tables = fixtures::tables();
    let users = tables.users.into_values().map(Change::InsertUser);
    let clients = tables.clients.into_values().map(Change::InsertClient);
    assert_eq!(commit(store, users.chain(clients)), Outcome::Applied);
}

/// Returns an event that is told apart by its number.
pub(crate) fn event(number: u64) -> Change {
    let ticket = TicketId::parse(&format!("tid_{number}")).ok();
    Change::Audit(Event { ticket, ..Event::new(Kind::TicketIssued, NOW.plus(number)) })
}

/// Writes so many events, each in a commit of its own.
pub(crate) fn write(store: &PostgresStore, events: u64) {
    (0..events).for_each(|number| assert_eq!(commit(store, [event(number)]), Outcome::Applied));
}

pub(crate) fn listed(store: &PostgresStore) -> Vec<AuditRow> {
    let mut rows = Vec::new();
    let each = |row| {
        rows.push(row);
        Ok::<_, StoreError>(())
    };
    store.audit(&AuditFilter::default(), each).unwrap();
    rows
}
