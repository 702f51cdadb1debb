//! A database that is copied.

use std::path::PathBuf;

use super::super::handover;
use super::super::reader::BEGIN;
use super::super::state::SharedState;
use super::session::{ReadOver, Session};
use crate::store::copy::{KeptChain, Source};
use crate::store::database_server::DatabaseServer;
use crate::store::error::StoreError;
use crate::store::rows::{Columns, owned};
use crate::store::sqlite::Installation;

/// A database that is copied.
pub(in crate::store) struct PostgresSource {
    session: Session,
    state: SharedState,
}

impl PostgresSource {
    /// Opens `database`, whose master key is that of `installation`.
    pub(in crate::store) fn open(
        database: &DatabaseServer,
        installation: &Installation,
    ) -> Result<Self, StoreError> {
        let (session, state) = Session::of_installation(database, installation)?;
        Ok(Self { session, state })
    }
}

impl ReadOver for PostgresSource {
    fn session(&self) -> &Session {
        &self.session
    }
}

impl Source for PostgresSource {
    fn chains(&mut self) -> Result<Vec<KeptChain>, StoreError> {
        self.session.chains(&self.state.chain)
    }

    fn count(&mut self, name: &'static str) -> Result<u64, StoreError> {
        self.session.count(name)
    }

    fn master_key(&self) -> PathBuf {
        self.state.master.current().key.file().to_owned()
    }

    fn handover(&mut self) -> Result<Option<String>, StoreError> {
        let rows = self.session.wait(self.session.connection.query("SELECT handover FROM meta", &[]))?;
        let read = rows.first().map(|row| Columns::of(row, "meta").maybe("handover", owned));
        read.transpose().map(Option::flatten).map_err(|row| self.session.connector.malformed(row))
    }

    fn hand_over(&mut self, id: &str) -> Result<(), StoreError> {
        let Session { connection, connector, .. } = &self.session;
        self.session.run(handover::begin(connection, connector, &self.state.chain, id))?;
        self.session.commit()
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        self.session.wait(self.session.connection.run(BEGIN))
    }
}
