//! Writes beside the commits: under the same rules, each in a transaction of its own.

use gatepass_core::store::audit::Event;
use gatepass_core::store::change::{Change, Outcome};
use tokio_postgres::Row;

use super::commit_names::{CommitNames, Lock};
use super::connection::Connection;
use super::load::{Loaded, Parameter};
use super::save;
use super::table::Saves;
use super::trouble::Trouble;
use super::writer::{Prepared, Unit, Writer};

/// A transaction under way.
pub(super) struct Transaction<'c> {
    connection: &'c Connection,
    events: Vec<Event>,
}

impl<'c> Transaction<'c> {
    /// Returns the connection, to read with.
    pub(super) const fn connection(&self) -> &'c Connection {
        self.connection
    }

    /// Runs a statement, and returns its rows.
    pub(super) async fn query(
        &self,
        sql: &'static str,
        parameters: &[Parameter],
    ) -> Result<Vec<Row>, Trouble> {
        Ok(self.connection.query(sql, parameters).await?)
    }

    /// Adds an audit row when it commits.
    pub(super) fn append(&mut self, event: Event) {
        self.events.push(event);
    }
}

/// Changes, and `work` that follows them, all or none.
pub(super) struct Beside<'u, W> {
    pub(super) changes: &'u [Change],
    /// The mode in which the row of the whole store is locked.
    pub(super) meta: Lock,
    pub(super) work: W,
}

impl<T, W: AsyncFnMut(&mut Transaction<'_>) -> Result<T, Trouble>> Unit for Beside<'_, W> {
    type Made = T;

    fn commits(&self) -> usize {
        1
    }

    async fn prepare(&mut self, writer: &Writer, connection: &Connection) -> Result<Prepared<T>, Trouble> {
        let mut names = CommitNames::of(self.changes.iter(), writer.plan().as_ref());
        names.meta = names.meta.max(Some(self.meta));
        let master = writer.state.master.current();
        let Loaded { tables: before, .. } = writer.begin(connection, &master, &names, false, None).await?;
        let mut after = before.clone();
        if after.commit(self.changes) != Outcome::Applied {
            return Err(Trouble::conflict());
        }
        let events = std::mem::take(&mut after.audit);
        let mut transaction = Transaction { connection, events };
        let made = (self.work)(&mut transaction).await?;
        let mut saves = Saves::default();
        save::save(&before, &after, self.changes.iter(), &master.key, &mut saves)?;
        if !transaction.events.is_empty() {
            let slot = writer.state.slot().read(connection).await?;
            writer.append(slot, &transaction.events, &mut saves)?;
        }
        Ok(Prepared { made, saves: Some(saves) })
    }
}
