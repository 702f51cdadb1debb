//! A connection of a copy, and the rows that are read by it, page by page.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use tokio::runtime::Runtime;
use tokio_postgres::{Row, RowStream};

use super::super::audit_walk::{self, Kept};
use super::super::connection::{Connection, DatabaseError};
use super::super::connector::Connector;
use super::super::migrate::{self, Schema};
use super::super::open;
use super::super::state::SharedState;
use super::super::trouble::Trouble;
use crate::store::audit_chain::{Chain, broken};
use crate::store::backend::Access;
use crate::store::copy::{
    AuditRows, CopiedTable, EachPage, KeptChain, Order, PAGE, Rows, audit_columns, copied_values,
};
use crate::store::database_server::DatabaseServer;
use crate::store::error::StoreError;
use crate::store::rows::Columns;
use crate::store::sqlite::Installation;

/// The copy alone decides how long a transaction lasts.
const SETTINGS: &str = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0";

/// Asks whether a row has a lower number in the list than one before it in its chain.
const FALLING: &str = "SELECT EXISTS (SELECT 1 FROM (SELECT number - lag(number) OVER (PARTITION BY slot ORDER BY seq) AS step \
                       FROM audit) steps WHERE step <= 0)";

/// A connection, and what runs it.
pub(in super::super) struct Session {
    pub(in super::super) connection: Connection,
    pub(in super::super) connector: Arc<Connector>,
    runtime: Runtime,
}

impl Session {
    /// Connects to `database`.
    pub(super) fn connect(
        database: &DatabaseServer,
        installation: &Installation,
    ) -> Result<Self, StoreError> {
        let connector = Arc::new(Connector::new(database, Arc::clone(&installation.files))?);
        let failed = |error: &dyn std::fmt::Display| StoreError::Postgres {
            address: connector.address.clone(),
            detail: error.to_string(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| failed(&error))?;
        let connection = runtime.block_on(async {
            let connection = connector.connect().await.map_err(|error| connector.error(&error))?;
            connection.run(SETTINGS).await.map_err(|error| connector.error(&error))?;
            open::refuse_unsafe(&connection, &connector).await?;
            Ok::<_, StoreError>(connection)
        })?;
        Ok(Self { connection, connector, runtime })
    }

    /// Connects to `database`, in which there is an installation of this binary's schema.
    pub(in super::super) fn of_installation(
        database: &DatabaseServer,
        installation: &Installation,
    ) -> Result<(Self, SharedState), StoreError> {
        let session = Self::connect(database, installation)?;
        let found = session.schema()?;
        if !matches!(found, Schema::Known { number, .. } if number == migrate::known()) {
            return Err(found.refusal(&session.connector));
        }
        session.commit()?;
        let state = open::state(&session.connection, &session.connector, installation, Access::Read);
        let state = session.run(state)?;
        Ok((session, state))
    }

    /// Runs `work` to its end.
    pub(in super::super) fn run<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.runtime.block_on(work)
    }

    /// Runs `work` to its end, and names the database where it fails.
    pub(super) fn wait<T>(
        &self,
        work: impl Future<Output = Result<T, DatabaseError>>,
    ) -> Result<T, StoreError> {
        self.runtime.block_on(work).map_err(|error| self.connector.error(&error))
    }

    /// Commits, and fails if the commit may be lost together with this machine.
    pub(in super::super) fn commit(&self) -> Result<(), StoreError> {
        let unknown = |cause: String| StoreError::Unknown(format!("{}: {cause}", self.connector.address));
        match self.runtime.block_on(self.connection.run("COMMIT")) {
            Err(DatabaseError::Lost(cause)) => Err(unknown(cause)),
            Err(error @ DatabaseError::Refused(_)) => Err(self.connector.error(&error)),
            Ok(()) if self.connection.was_not_replicated() => {
                Err(unknown("its standby has not confirmed it".into()))
            }
            Ok(()) => Ok(()),
        }
    }

    /// Begins the transaction in which the schema is looked at, as [`migrate::begin`] does.
    pub(super) fn schema(&self) -> Result<Schema, StoreError> {
        self.wait(migrate::begin(&self.connection))
    }

    fn read(
        &self,
        sql: &str,
        table: &'static str,
        columns: &[&'static str],
        each: &mut EachPage<'_>,
    ) -> Result<(), StoreError> {
        let mut found = Box::pin(self.wait(self.connection.stream(sql))?);
        loop {
            let rows = self.wait(next(&mut found))?;
            let is_last = rows.len() < PAGE;
            let mut page = Vec::with_capacity(rows.len());
            for row in &rows {
                page.push(copied_values(row, table, columns).map_err(|row| self.connector.malformed(row))?);
            }
            if !page.is_empty() {
                each(page)?;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Returns the ends of the chains of all slots, whose sealed list is whole.
    pub(super) fn chains(&self, chain: &Chain) -> Result<Vec<KeptChain>, StoreError> {
        let trouble = |trouble: Trouble| trouble.at(&self.connector);
        self.run(async {
            let slots = audit_walk::slots(&self.connection, chain).await.map_err(trouble)?;
            let slots = slots.ok_or_else(|| trouble(audit_walk::slots_altered()))?;
            let mut chains = Vec::new();
            for slot in 0..slots {
                let Kept { head, marks } = audit_walk::kept(&self.connection, slot).await.map_err(trouble)?;
                chains.push(KeptChain { slot, head, marks });
            }
            // Numbers in the list are not part of a chain, but they rise along it.
            let falling = self.connection.query(FALLING, &[]).await.map_err(|error| trouble(error.into()))?;
            let is_falling = falling.first().is_some_and(|row| row.get(0));
            if is_falling { Err(broken("the order of its rows was altered")) } else { Ok(chains) }
        })
    }

    pub(super) fn count(&self, name: &'static str) -> Result<u64, StoreError> {
        let mut count = 0;
        self.read(&format!("SELECT count(*) FROM {name}"), name, &["count"], &mut |page| {
            for row in &page {
                count =
                    Columns::of(row, name).number("count").map_err(|row| self.connector.malformed(row))?;
            }
            Ok(())
        })?;
        Ok(count)
    }
}

/// A side of a copy whose rows are read over a session.
pub(super) trait ReadOver {
    /// Returns the session.
    fn session(&self) -> &Session;
}

impl<S: ReadOver> Rows for S {
    fn place(&self) -> String {
        self.session().connector.address.clone()
    }

    /// Names of users and clients do not tell their age.
    fn rows(&mut self, table: CopiedTable, order: Order, each: &mut EachPage<'_>) -> Result<(), StoreError> {
        let is_named_by_chance = matches!(table, CopiedTable::Users | CopiedTable::Clients);
        let key = if is_named_by_chance && order == Order::Age { "created_at, id" } else { table.key() };
        let sql = format!("SELECT {} FROM {} ORDER BY {key}", table.columns(), table.name());
        self.session().read(&sql, table.name(), &table.names().collect::<Vec<_>>(), each)
    }

    fn audit_rows(&mut self, which: AuditRows, each: &mut EachPage<'_>) -> Result<(), StoreError> {
        let names = audit_columns();
        let which = match which {
            AuditRows::OfSlot(slot) => format!("WHERE slot = {slot} ORDER BY seq"),
            AuditRows::All => "ORDER BY number".into(),
        };
        let sql = format!("SELECT {} FROM audit {which}", names.join(", "));
        self.session().read(&sql, "audit", &names, each)
    }
}

/// Returns the next rows of a statement, as many as a page has; fewer at the end.
async fn next(found: &mut std::pin::Pin<Box<RowStream>>) -> Result<Vec<Row>, DatabaseError> {
    let mut rows = Vec::with_capacity(PAGE);
    while rows.len() < PAGE {
        match found.try_next().await? {
            Some(row) => rows.push(row),
            None => break,
        }
    }
    Ok(rows)
}
