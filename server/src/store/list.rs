//! Plain reads for the command line.

use gatepass_core::model::client::Client;
use gatepass_core::model::factor::Factors;
use gatepass_core::model::habit::Habit;
use gatepass_core::model::id::{ClientId, TicketId, UserId, UserRef};
use gatepass_core::model::password::Password;
use gatepass_core::model::ticket::Ticket;
use gatepass_core::model::user::User;
use gatepass_core::time::Time;

use super::audit::{self, AuditRow, AuditVerdict};
use super::read::{self, every, first};
use super::rows::{self, columns, signed};
use super::state::State;
use super::{Store, StoreError};
use super::{factors, habits, passwords};

impl Store {
    /// The second factors of a user.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read, or one was altered.
    pub fn factors(&self, user: &UserId) -> Result<Factors, StoreError> {
        self.snapshot(|db| {
            let master = self.master_keys().of(db, &State::read(db)?)?;
            factors::of(db, &master, user)
        })
    }

    /// From where and when a user usually signs in.
    ///
    /// # Errors
    /// [`StoreError`] where that cannot be read.
    pub fn habit(&self, user: &UserId) -> Result<Habit, StoreError> {
        self.snapshot(|db| habits::of(db, user))
    }

    /// A user's password, if they have one.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub fn password(&self, user: &UserId) -> Result<Option<Password>, StoreError> {
        self.snapshot(|db| passwords::of(db, user))
    }

    /// One user.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub fn user(&self, who: &UserRef) -> Result<Option<User>, StoreError> {
        self.snapshot(|db| read::user(db, who))
    }

    /// Every user, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub fn users(&self) -> Result<Vec<User>, StoreError> {
        self.snapshot(|db| {
            every(db, concat!("SELECT ", columns!(users), " FROM users ORDER BY seq"), [], rows::user)
        })
    }

    /// One client.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub fn client(&self, id: &ClientId) -> Result<Option<Client>, StoreError> {
        self.snapshot(|db| read::client(db, id))
    }

    /// Every client, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub fn clients(&self) -> Result<Vec<Client>, StoreError> {
        self.snapshot(|db| {
            let sql = concat!("SELECT ", columns!(clients), " FROM clients ORDER BY seq");
            let clients = every(db, sql, [], rows::client)?;
            clients.into_iter().map(|client| read::with_secrets(db, client)).collect()
        })
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

    /// Gives every row of the audit table from `since` on to `each`, oldest first, one at a time.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub fn audit(&self, since: Option<Time>, each: &mut dyn FnMut(AuditRow)) -> Result<(), StoreError> {
        self.snapshot(|db| audit::each(db, since, each))
    }

    /// Follows the audit chain from its first row to its last.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read; a broken chain is an answer, not an error.
    pub fn verify_audit(&self) -> Result<AuditVerdict, StoreError> {
        self.snapshot(|db| self.chain().verify(db))
    }
}
