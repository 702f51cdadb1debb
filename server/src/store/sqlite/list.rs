//! Plain reads for the command line.

use gatepass_core::base::time::Time;
use gatepass_core::records::client::Client;
use gatepass_core::records::id::{ClientId, TicketId, UserRef};
use gatepass_core::records::ticket::Ticket;
use gatepass_core::records::user::User;
use gatepass_core::store::page::{MAX_PAGE, PageQuery};
use rusqlite::{Connection, Row, params};

use super::audit::{AuditRow, AuditVerdict};
use super::error::TransactionError;
use super::read::{self, every, first};
use super::rows::{self, columns, signed};
use super::state::State;
use super::walk::{PAGE, Pages, Walk};
use super::{Store, StoreError};
use super::{pages, schema};

impl Store {
    /// One user.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub fn user(&self, who: &UserRef) -> Result<Option<User>, StoreError> {
        self.snapshot(|db| read::user(db, who))
    }

    /// One client.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub fn client(&self, id: &ClientId) -> Result<Option<Client>, StoreError> {
        self.snapshot(|db| read::client(db, id))
    }

    /// Every user, oldest first, as far as there is memory for them.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub fn users(&self) -> Result<Vec<User>, StoreError> {
        let (mut users, mut query) = (Vec::new(), PageQuery::first());
        loop {
            let page = self.snapshot(|db| pages::users(db, &query))?;
            users.extend(page.items);
            match page.next {
                None => return Ok(users),
                after => query = PageQuery::new(after, MAX_PAGE),
            }
        }
    }

    /// Every client, oldest first, as far as there is memory for them.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub fn clients(&self) -> Result<Vec<Client>, StoreError> {
        let mut clients = Vec::new();
        self.each_client(|client| {
            clients.push(client);
            Ok::<_, StoreError>(())
        })?;
        Ok(clients)
    }

    /// Gives every client to `each`, oldest first. They are read in pages, and none is being read while `each` has one.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read, or `each` fails.
    pub fn each_client<E: From<StoreError>>(
        &self,
        each: impl FnMut(Client) -> Result<(), E>,
    ) -> Result<(), E> {
        let sql =
            concat!("SELECT ", columns!(clients), ", seq FROM clients WHERE seq > ?1 ORDER BY seq LIMIT ?2");
        self.pages(sql, |db, row| read::with_secrets(db, rows::client(row)?), each)
    }

    /// Gives what `sql` finds after a row, page by page, to `each`.
    fn pages<T, E: From<StoreError>>(
        &self,
        sql: &str,
        read: impl Fn(&Connection, &Row<'_>) -> Result<T, TransactionError>,
        mut each: impl FnMut(T) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut after = i64::MIN;
        loop {
            let page = self.snapshot(|db| {
                every(db, sql, params![after, PAGE], |row| Ok((row.get::<_, i64>("seq")?, read(db, row)?)))
            })?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = *last;
            page.into_iter().try_for_each(|(_, record)| each(record))?;
        }
    }

    /// Whether there is any client.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub fn has_clients(&self) -> Result<bool, StoreError> {
        self.snapshot(|db| Ok(db.prepare_cached("SELECT 1 FROM clients")?.exists([])?))
    }

    /// The last `limit` tickets, newest first.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub fn tickets(&self, limit: usize) -> Result<Vec<Ticket>, StoreError> {
        self.snapshot(|db| {
            let limit = signed(u64::try_from(limit).unwrap_or(u64::MAX).min(u64::MAX >> 1))?;
            let sql = concat!("SELECT ", columns!(tickets), " FROM tickets ORDER BY seq DESC LIMIT ?1");
            every(db, sql, [limit], rows::ticket)
        })
    }

    /// One ticket.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub fn ticket(&self, id: &TicketId) -> Result<Option<Ticket>, StoreError> {
        self.snapshot(|db| {
            let sql = concat!("SELECT ", columns!(tickets), " FROM tickets WHERE id = ?1");
            first(db, sql, [id.as_str()], rows::ticket)
        })
    }

    /// The state epoch: what was issued in another is refused.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub fn state_epoch(&self) -> Result<u64, StoreError> {
        self.snapshot(|db| Ok(State::read(db)?.epoch))
    }

    /// Gives every row of the audit table from `since` on to `each`, oldest first, one at a time. They are read in pages, and none
    /// is being read while `each` has one.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read, or `each` fails.
    pub fn audit<E: From<StoreError>>(
        &self,
        since: Option<Time>,
        mut each: impl FnMut(AuditRow) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut pages = Pages::since(since);
        loop {
            let rows = self.snapshot(|db| pages.page(db))?;
            if rows.is_empty() {
                return Ok(());
            }
            rows.into_iter().try_for_each(&mut each)?;
        }
    }

    /// Follows the audit chain from the first row that is kept to its last, page by page.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read; a broken chain is an answer, not an error.
    pub fn verify_audit(&self) -> Result<AuditVerdict, StoreError> {
        let mut walk = Walk::new(schema::known());
        loop {
            if let Some(verdict) = self.snapshot(|db| walk.page(self.chain(), db))? {
                return Ok(verdict);
            }
        }
    }
}
