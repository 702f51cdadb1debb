//! Records for commands.

use gatepass_core::records::client::Client;
use gatepass_core::records::id::{ClientId, TicketId, UserRef};
use gatepass_core::records::ticket::Ticket;
use gatepass_core::records::user::User;

use super::Store;
use super::read::{self, every, first};
use super::rows::{self, columns, signed};
use super::state::State;
use crate::store::backend::Lookups;
use crate::store::error::StoreError;

impl Lookups for Store {
    fn user(&self, who: &UserRef) -> Result<Option<User>, StoreError> {
        self.snapshot(|db| read::user(db, who))
    }

    fn client(&self, id: &ClientId) -> Result<Option<Client>, StoreError> {
        self.snapshot(|db| read::client(db, id))
    }

    fn has_clients(&self) -> Result<bool, StoreError> {
        self.snapshot(|db| Ok(db.prepare_cached("SELECT 1 FROM clients")?.exists([])?))
    }

    fn tickets(&self, limit: usize) -> Result<Vec<Ticket>, StoreError> {
        self.snapshot(|db| {
            let limit = signed(u64::try_from(limit).unwrap_or(u64::MAX).min(u64::MAX >> 1))?;
            let sql = concat!("SELECT ", columns!(tickets), " FROM tickets ORDER BY seq DESC LIMIT ?1");
            every(db, sql, [limit], rows::ticket)
        })
    }

    fn ticket(&self, id: &TicketId) -> Result<Option<Ticket>, StoreError> {
        self.snapshot(|db| {
            let sql = concat!("SELECT ", columns!(tickets), " FROM tickets WHERE id = ?1");
            first(db, sql, [id.as_str()], rows::ticket)
        })
    }

    fn state_epoch(&self) -> Result<u64, StoreError> {
        self.snapshot(|db| Ok(State::read(db)?.epoch))
    }
}
