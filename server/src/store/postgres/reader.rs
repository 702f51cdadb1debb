//! Answers queries: those that wait together are read in one snapshot and one round trip.

use std::sync::Arc;

use gatepass_core::store::memory::Tables;
use gatepass_core::store::query::{Found, Query};
use tokio::sync::mpsc::Receiver;

use super::connection::{Connection, DatabaseError};
use super::connector::Connector;
use super::guard::{guarded, tell};
use super::load::{Loaded, Meta, Read};
use super::query_load;
use super::query_names::QueryNames;
use super::state::SharedState;
use crate::store::backend::{Access, Then};
use crate::store::error::StoreError;
use crate::store::rows::NO_META;

/// The most reads in one snapshot. Those that wait share the next one.
const MOST: usize = 64;

/// One snapshot for all statements until the transaction ends.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";

/// Queries that are answered from one snapshot.
pub(super) struct Asked {
    queries: Vec<Query>,
    then: Option<Then<Result<Vec<Found>, StoreError>>>,
}

impl Asked {
    pub(super) fn new(queries: Vec<Query>, then: Then<Result<Vec<Found>, StoreError>>) -> Self {
        Self { queries, then: Some(then) }
    }

    /// Sends the answers to the caller.
    pub(super) fn settle(mut self, found: Result<Vec<Found>, StoreError>) {
        if let Some(then) = self.then.take() {
            tell(then, found);
        }
    }
}

impl Drop for Asked {
    /// Dropped without an answer: the reader failed in the middle of it.
    fn drop(&mut self) {
        if let Some(then) = self.then.take() {
            tell(then, Err(StoreError::Overloaded));
        }
    }
}

/// The task that reads.
pub(super) struct Reader {
    pub(super) connector: Arc<Connector>,
    pub(super) state: Arc<SharedState>,
    pub(super) connection: Option<Connection>,
}

impl Reader {
    /// Answers the waiting queries until there can be no more.
    pub(super) async fn work(mut self, mut waiting: Receiver<Asked>) {
        let mut asked = Vec::with_capacity(MOST);
        while waiting.recv_many(&mut asked, MOST).await > 0 {
            if guarded(self.answer_all(std::mem::take(&mut asked))).await.is_none() {
                tracing::error!("a reader panicked");
                self.connection = None;
            }
        }
    }

    async fn answer_all(&mut self, mut asked: Vec<Asked>) {
        let queries: Vec<Vec<Query>> =
            asked.iter_mut().map(|asked| std::mem::take(&mut asked.queries)).collect();
        match self.answer(&queries).await {
            Ok(tables) => {
                for (asked, queries) in asked.into_iter().zip(queries) {
                    asked.settle(Ok(queries.iter().map(|query| tables.read(query)).collect()));
                }
            }
            Err(error) => asked.into_iter().for_each(|asked| asked.settle(Err(error.clone()))),
        }
    }

    /// Reads every row that one of `queries` names.
    async fn answer(&mut self, queries: &[Vec<Query>]) -> Result<Tables, StoreError> {
        let mut lost = None;
        // A connection that was idle may be lost, and the plan or the master key may have changed.
        for _ in 0..3 {
            let connection = match self.connection.take().filter(|connection| !connection.is_lost()) {
                Some(connection) => connection,
                None => self.connector.connect().await.map_err(|error| self.connector.error(&error))?,
            };
            let plan = self.state.numbering_plan();
            let loads = query_load::loads(&QueryNames::of(queries.iter().flatten(), plan.as_ref()));
            let reads: Vec<Read> = loads.iter().map(|load| load.read).collect();
            let statements = loads.into_iter().map(|load| (load.sql, load.parameters)).collect();
            // One statement is one snapshot by itself.
            let (begin, end) = if reads.len() > 1 { (BEGIN, "COMMIT") } else { ("", "") };
            let longest = self.connector.longest_commit;
            let rows = match tokio::time::timeout(longest, connection.pipeline(begin, statements, end)).await
            {
                Ok(Ok(rows)) => rows,
                Ok(Err(error @ DatabaseError::Lost(_))) => {
                    lost = Some(error);
                    continue;
                }
                Ok(Err(error)) => {
                    if connection.roll_back(self.connector.longest_connect).await {
                        self.connection = Some(connection);
                    }
                    return Err(self.connector.error(&error));
                }
                Err(_) => return Err(self.connector.error(&DatabaseError::Lost("it took too long".into()))),
            };
            let master = self.state.master.current();
            let mut loaded = Loaded::new(&master.key);
            let read = loaded.read(reads, &rows);
            let is_of = self.state.master.is_of(&master, loaded.meta.as_ref(), &connection).await;
            self.connection = Some(connection);
            if !is_of.map_err(|trouble| trouble.at(&self.connector))? {
                continue;
            }
            read.map_err(|row| self.connector.malformed(row))?;
            let Loaded { tables, meta, .. } = loaded;
            let Meta { numbering_plan, handover, .. } =
                meta.ok_or_else(|| self.connector.malformed(NO_META))?;
            // Whoever opened it for reading is answered anyway.
            if let Some(id) = handover.filter(|_| self.state.access != Access::Read) {
                return Err(StoreError::HandedOver(id));
            }
            if self.state.is_plan(&numbering_plan) {
                return Ok(tables);
            }
        }
        let lost = lost.unwrap_or_else(|| DatabaseError::Lost("it changes again and again".into()));
        Err(self.connector.error(&lost))
    }
}
