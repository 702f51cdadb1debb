//! Pages of long lists: users and clients oldest first, tickets and sessions newest first.

use gatepass_core::records::client::Client;
use gatepass_core::records::session::Session;
use gatepass_core::records::ticket::Ticket;
use gatepass_core::records::user::User;
use gatepass_core::store::page::{Cursor, Page, PageQuery};
use gatepass_core::store::query::{RoleHolder, SessionPageQuery};
use rusqlite::{Connection, Params, Row, params};

use super::read::{every, sessions_of, with_secrets};
use super::transaction_error::TransactionError;
use super::values::{decoder, signed};
use crate::store::rows::{self, Columns, columns};

pub(super) fn users(db: &Connection, query: &PageQuery) -> Result<Page<User>, TransactionError> {
    let sql = concat!("SELECT ", columns!(users), ", seq FROM users WHERE seq > ?1 ORDER BY seq LIMIT ?2");
    let Some(after) = after(query, i64::MIN) else { return Ok(Page::default()) };
    page(db, query, sql, params![after, limit(query)?], decoder("users", rows::user))
}

pub(super) fn clients(db: &Connection, query: &PageQuery) -> Result<Page<Client>, TransactionError> {
    let sql =
        concat!("SELECT ", columns!(clients), ", seq FROM clients WHERE seq > ?1 ORDER BY seq LIMIT ?2");
    let Some(after) = after(query, i64::MIN) else { return Ok(Page::default()) };
    let read = |row: &Row<'_>| with_secrets(db, rows::client(&mut Columns::of(row, "clients"))?);
    page(db, query, sql, params![after, limit(query)?], read)
}

/// Returns the users with roles, then the clients. Cursors are the number of a user's row, or that of a client's after a `c`.
pub(super) fn role_holders(db: &Connection, query: &PageQuery) -> Result<Page<RoleHolder>, TransactionError> {
    const AFTER_USERS: &str = "c";
    let most = limit(query)?;
    let of_clients = query.after.as_ref().and_then(|Cursor(text)| text.strip_prefix(AFTER_USERS));
    let mut found = Vec::new();
    let after_client = match of_clients {
        Some(text) => text.parse().ok(),
        None => {
            let Some(after) = after(query, i64::MIN) else { return Ok(Page::default()) };
            let sql = concat!(
                "SELECT ",
                columns!(users),
                ", seq FROM users WHERE roles <> 0 AND seq > ?1 ORDER BY seq LIMIT ?2"
            );
            found = every(db, sql, params![after, most], |row| {
                let user = rows::user(&mut Columns::of(row, "users"))?;
                let cursor = Cursor(row.get::<_, i64>("seq")?.to_string());
                Ok((RoleHolder::User(Box::new(user)), cursor))
            })?;
            Some(i64::MIN)
        }
    };
    let Some(after) = after_client else { return Ok(Page::default()) };
    let rest = most.saturating_sub(i64::try_from(found.len()).unwrap_or(i64::MAX));
    if rest > 0 {
        let sql = concat!(
            "SELECT ",
            columns!(clients),
            ", seq FROM clients WHERE roles <> 0 AND seq > ?1 ORDER BY seq LIMIT ?2"
        );
        found.extend(every(db, sql, params![after, rest], |row| {
            let client = with_secrets(db, rows::client(&mut Columns::of(row, "clients"))?)?;
            let cursor = Cursor(format!("{AFTER_USERS}{}", row.get::<_, i64>("seq")?));
            Ok((RoleHolder::Client(Box::new(client)), cursor))
        })?);
    }
    Ok(Page::of(query, found))
}

pub(super) fn tickets(db: &Connection, query: &PageQuery) -> Result<Page<Ticket>, TransactionError> {
    let sql =
        concat!("SELECT ", columns!(tickets), ", seq FROM tickets WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2");
    let Some(after) = after(query, i64::MAX) else { return Ok(Page::default()) };
    page(db, query, sql, params![after, limit(query)?], decoder("tickets", rows::ticket))
}

pub(super) fn sessions(db: &Connection, query: &SessionPageQuery) -> Result<Page<Session>, TransactionError> {
    let SessionPageQuery { user, page: query } = query;
    let Some(after) = after(query, i64::MAX) else { return Ok(Page::default()) };
    let limit = limit(query)?;
    match user {
        None => {
            let sql = concat!(
                "SELECT ",
                columns!(sessions),
                ", seq FROM sessions WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2"
            );
            page(db, query, sql, params![after, limit], decoder("sessions", rows::session))
        }
        Some(user) => {
            let sql = concat!(
                sessions_of!(concat!(columns!(sessions), ", seq")),
                " WHERE seq < ?2 ORDER BY seq DESC LIMIT ?3"
            );
            page(db, query, sql, params![user.as_str(), after, limit], decoder("sessions", rows::session))
        }
    }
}

/// Returns the row after which the page begins: `first` for the first page, none if no row has the cursor.
fn after(query: &PageQuery, first: i64) -> Option<i64> {
    query.after.as_ref().map_or(Some(first), |Cursor(text)| text.parse().ok())
}

/// Returns the limit: one row more than asked for shows if there is another page.
fn limit(query: &PageQuery) -> Result<i64, TransactionError> {
    signed(u64::try_from(query.limit()).unwrap_or(u64::MAX >> 1).saturating_add(1))
}

fn page<T>(
    db: &Connection,
    query: &PageQuery,
    sql: &str,
    values: impl Params,
    read: impl Fn(&Row<'_>) -> Result<T, TransactionError>,
) -> Result<Page<T>, TransactionError> {
    let found =
        every(db, sql, values, |row| Ok((read(row)?, Cursor(row.get::<_, i64>("seq")?.to_string()))))?;
    Ok(Page::of(query, found))
}
