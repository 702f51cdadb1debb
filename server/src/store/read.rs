//! The core's questions, each answered inside one snapshot.

use gatepass_core::model::client::Client;
use gatepass_core::model::id::{ClientId, SessionId, UserId, UserRef};
use gatepass_core::model::query::{
    BearerQuery, BearerRecords, Found, IssueQuery, IssueRecords, Query, Records, TicketRecords,
};
use gatepass_core::model::session::Session;
use gatepass_core::model::ticket::{Ticket, TicketDigest};
use gatepass_core::model::user::User;
use rusqlite::{Connection, Params, Row};

use super::error::Trouble;
use super::rows::{self, Columns};

/// Answers `query` from the snapshot of `db`.
pub(super) fn answer(db: &Connection, query: &Query) -> Result<Found, Trouble> {
    let generation = generation(db)?;
    let records = match query {
        Query::Generation => Records::Generation,
        Query::Client(id) => Records::Client(client(db, id)?),
        Query::Ticket(digest) => Records::Ticket(ticket_records(db, digest)?.map(Box::new)),
        Query::Bearer(query) => Records::Bearer(Box::new(bearer(db, query)?)),
        Query::Issue(query) => Records::Issue(Box::new(issue(db, query)?)),
    };
    Ok(Found { generation, records })
}

/// The generation of the keys.
pub(super) fn generation(db: &Connection) -> Result<u64, Trouble> {
    let read = |row: &Row<'_>| Columns::of(row, "meta").number("generation");
    first(db, "SELECT generation FROM meta", [], read)?
        .ok_or(Trouble::Row { table: "meta", column: "only row" })
}

/// The first row of a query, if there is one.
pub(super) fn first<T>(
    db: &Connection,
    sql: &str,
    values: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T, Trouble>,
) -> Result<Option<T>, Trouble> {
    db.prepare_cached(sql)?.query(values)?.next()?.map(read).transpose()
}

/// Every row of a query.
pub(super) fn every<T>(
    db: &Connection,
    sql: &str,
    values: impl Params,
    mut read: impl FnMut(&Row<'_>) -> Result<T, Trouble>,
) -> Result<Vec<T>, Trouble> {
    let mut select = db.prepare_cached(sql)?;
    let mut found = select.query(values)?;
    let mut all = Vec::new();
    while let Some(row) = found.next()? {
        all.push(read(row)?);
    }
    Ok(all)
}

pub(super) fn user(db: &Connection, who: &UserRef) -> Result<Option<User>, Trouble> {
    let by = |column: &str, text: &str| {
        first(db, &format!("SELECT {} FROM users WHERE {column} = ?1", rows::USER), [text], rows::user)
    };
    match who {
        UserRef::Username(name) => by("username", name),
        UserRef::IdOrUsername(text) => match by("id", text)? {
            Some(user) => Ok(Some(user)),
            None => by("username", text),
        },
    }
}

fn user_by_id(db: &Connection, id: &UserId) -> Result<Option<User>, Trouble> {
    first(db, &format!("SELECT {} FROM users WHERE id = ?1", rows::USER), [id.as_str()], rows::user)
}

pub(super) fn client(db: &Connection, id: &ClientId) -> Result<Option<Client>, Trouble> {
    let sql = format!("SELECT {} FROM clients WHERE id = ?1", rows::CLIENT);
    let client = first(db, &sql, [id.as_str()], rows::client)?;
    client.map(|client| with_secrets(db, client)).transpose()
}

/// `client` with its secrets, in their order.
pub(super) fn with_secrets(db: &Connection, mut client: Client) -> Result<Client, Trouble> {
    let sql = format!("SELECT {} FROM client_secrets WHERE client_id = ?1 ORDER BY position", rows::SECRET);
    client.secrets = every(db, &sql, [client.id.as_str()], rows::secret)?;
    Ok(client)
}

fn ticket(db: &Connection, digest: &TicketDigest) -> Result<Option<Ticket>, Trouble> {
    first(db, &format!("SELECT {} FROM tickets WHERE digest = ?1", rows::TICKET), [digest.0], rows::ticket)
}

fn session(db: &Connection, id: &SessionId) -> Result<Option<Session>, Trouble> {
    let sql = format!("SELECT {} FROM sessions WHERE id = ?1", rows::SESSION);
    first(db, &sql, [id.as_str()], rows::session)
}

/// What `find` finds of something that may not be named at all.
fn named<K, T>(
    key: Option<K>,
    find: impl FnOnce(K) -> Result<Option<T>, Trouble>,
) -> Result<Option<T>, Trouble> {
    key.map_or(Ok(None), find)
}

fn ticket_records(db: &Connection, digest: &TicketDigest) -> Result<Option<TicketRecords>, Trouble> {
    let Some(ticket) = ticket(db, digest)? else { return Ok(None) };
    let client = client(db, &ticket.client_id)?;
    let issuer = match &ticket.issuer {
        Some(id) if *id == ticket.client_id => client.clone(),
        other => named(other.as_ref(), |id| self::client(db, id))?,
    };
    let actor = ticket.impersonation.as_ref().map(|i| &i.actor);
    Ok(Some(TicketRecords {
        user: user_by_id(db, &ticket.user_id)?,
        actor: named(actor, |id| user_by_id(db, id))?,
        client,
        issuer,
        ticket,
    }))
}

fn bearer(db: &Connection, query: &BearerQuery) -> Result<BearerRecords, Trouble> {
    let person = query.person.as_ref();
    Ok(BearerRecords {
        client: client(db, &query.client)?,
        user: named(person, |p| user_by_id(db, &p.user))?,
        session: named(person, |p| session(db, &p.session))?,
        actor: named(person.and_then(|p| p.actor.as_ref()), |id| user_by_id(db, id))?,
    })
}

fn issue(db: &Connection, query: &IssueQuery) -> Result<IssueRecords, Trouble> {
    Ok(IssueRecords {
        bearer: query.bearer.as_ref().map_or_else(|| Ok(BearerRecords::default()), |b| bearer(db, b))?,
        user: named(query.user.as_ref(), |who| user(db, who))?,
        actor: named(query.actor.as_ref(), |who| user(db, who))?,
        audience: named(query.audience.as_ref(), |id| client(db, id))?,
    })
}
