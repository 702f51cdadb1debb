//! Reads and commits of requests.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use gatepass_core::records::identifier::NumberingPlan;
use gatepass_core::store::Store;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::{Found, Query, Records};

use super::store::PostgresStore;
use crate::store::backend::{Requests, Then};
use crate::store::error::StoreError;
use crate::store::rows::{Columns, NO_META};

fn unreadable(error: &StoreError) -> Found {
    tracing::error!(%error, "the store could not be read");
    Found { generation: 0, state_epoch: 0, records: Records::Unreadable }
}

/// Returns the only answer.
fn only(found: Result<Vec<Found>, StoreError>) -> Result<Found, StoreError> {
    found.and_then(|mut found| found.pop().ok_or(StoreError::Overloaded))
}

impl Requests for PostgresStore {
    fn reads_inline(&self) -> bool {
        false
    }

    fn read_then(&self, query: Query, then: Then<Found>) {
        let then = |found| then(only(found).unwrap_or_else(|error| unreadable(&error)));
        self.ask(vec![query], Box::new(then));
    }

    fn find(&self, query: &Query) -> Result<Found, StoreError> {
        only(self.read_all(&[query]))
    }

    fn numbering_plan(&self) -> Result<Option<NumberingPlan>, StoreError> {
        self.read_with(async |connection| {
            let rows = connection.query("SELECT numbering_plan FROM meta", &[]).await?;
            let row = rows.first().ok_or(NO_META)?;
            Ok(Columns::of(row, "meta").maybe("numbering_plan", |text| NumberingPlan::parse(text).ok())?)
        })
    }

    fn read_all(&self, queries: &[&Query]) -> Result<Vec<Found>, StoreError> {
        let (answer, answered) = sync_channel(1);
        let queries = queries.iter().map(|query| (*query).clone()).collect();
        self.read_all_then(
            queries,
            Box::new(move |found| {
                let _ = answer.send(found);
            }),
        );
        answered.recv().unwrap_or(Err(StoreError::Overloaded))
    }

    fn read_all_then(&self, queries: Vec<Query>, then: Then<Result<Vec<Found>, StoreError>>) {
        self.ask(queries, then);
    }

    fn commit_then(&self, changes: &Arc<[Change]>, then: Then<Outcome>) {
        self.send(Arc::clone(changes), then);
    }
}

impl Store for PostgresStore {
    fn read(&self, query: &Query) -> Found {
        self.find(query).unwrap_or_else(|error| unreadable(&error))
    }

    fn commit(&self, changes: &Arc<[Change]>) -> Outcome {
        let (answer, answered) = sync_channel(1);
        self.commit_then(
            changes,
            Box::new(move |outcome| {
                let _ = answer.send(outcome);
            }),
        );
        answered.recv().unwrap_or(Outcome::Unknown)
    }
}
