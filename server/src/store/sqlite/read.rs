//! The core's queries, each answered inside one snapshot.

use std::sync::Arc;

use gatepass_core::records::challenge::ChallengeDigest;
use gatepass_core::records::client::Client;
use gatepass_core::records::client_assertion::AssertionDigest;
use gatepass_core::records::delivery::{Delivered, DeliveredSession, OpenedSession, TicketResult};
use gatepass_core::records::factor::Factors;
use gatepass_core::records::id::{ClientId, SessionId, TicketId, UserId, UserRef};
use gatepass_core::records::named_clients::NamedClients;
use gatepass_core::records::role::{Role, Roles};
use gatepass_core::records::session::{RefreshDigest, RefreshToken, Session};
use gatepass_core::records::sign_in_history::SignInHistory;
use gatepass_core::records::ticket::{Ticket, TicketDigest};
use gatepass_core::records::user::User;
use gatepass_core::store::page::Page;
use gatepass_core::store::query::{
    AccountRecords, AdministeredQuery, AdministeredRecords, BearerQuery, BearerRecords, ByClientQuery,
    ByClientRecords, ChallengeRecords, ExplainQuery, ExplainRecords, FactorsRecords, Family, Found, Identity,
    ImportRecords, ImportedRecords, IssueQuery, IssueRecords, LoginRecords, MAX_SESSIONS, Named,
    PasswordRecords, Query, Records, SessionPageQuery, SessionRecords, SessionsRecords, TicketRecords,
    TokenQuery, TokenRecords, UserQuery, UserRecords,
};
use rusqlite::{Connection, Params, Row, params};

use super::state::{MasterKeys, State, handed_over};
use super::transaction_error::TransactionError;
use super::values::decoder;
use super::{factors, identifiers, keys, pages, passwords, sign_in_history};
use crate::secrets::master_key::MasterKey;
use crate::store::rows::{self, columns};

/// Answers `query` from the snapshot of `db`.
pub(super) fn answer(db: &Connection, keys: &MasterKeys, query: &Query) -> Result<Found, TransactionError> {
    let (state, master) = state(db, keys)?;
    Snapshot { db, master: &master, state, clients: Vec::new() }.answer(query)
}

/// Answers `query` from the snapshot of `db`, also where the state was handed over.
pub(super) fn answer_anyway(
    db: &Connection,
    keys: &MasterKeys,
    query: &Query,
) -> Result<Found, TransactionError> {
    let state = State::read(db)?;
    let master = keys.of(db, &state)?;
    Snapshot { db, master: &master, state, clients: Vec::new() }.answer(query)
}

/// Answers each of `queries` from the snapshot of `db`.
pub(super) fn answer_all(
    db: &Connection,
    keys: &MasterKeys,
    queries: &[&Query],
) -> Result<Vec<Found>, TransactionError> {
    let (state, master) = state(db, keys)?;
    let mut snapshot = Snapshot { db, master: &master, state, clients: Vec::new() };
    queries.iter().map(|query| snapshot.answer(query)).collect()
}

/// Returns the state of the whole file and the master key; an error if the state was handed over.
fn state(db: &Connection, keys: &MasterKeys) -> Result<(State, Arc<MasterKey>), TransactionError> {
    let state = State::read(db)?;
    if state.handed_over {
        return Err(handed_over(db));
    }
    Ok((state, keys.of(db, &state)?))
}

/// A snapshot that is being read.
struct Snapshot<'a> {
    db: &'a Connection,
    master: &'a MasterKey,
    state: State,
    /// The clients found so far: requests that are read together mostly need the same few.
    clients: Vec<Client>,
}

impl Snapshot<'_> {
    fn answer(&mut self, query: &Query) -> Result<Found, TransactionError> {
        let records = records(self, query)?;
        Ok(Found { generation: self.state.key_generation, state_epoch: self.state.epoch, records })
    }

    /// Returns the client `id`; it is read once.
    fn client(&mut self, id: &ClientId) -> Result<Option<Client>, TransactionError> {
        if let Some(known) = self.clients.iter().find(|client| client.id == *id) {
            return Ok(Some(known.clone()));
        }
        let found = client(self.db, id)?;
        self.clients.extend(found.clone());
        Ok(found)
    }

    /// Returns the issuer among the clients of `named`, if it is another than the audience.
    fn other_issuer(&mut self, named: NamedClients<'_>) -> Result<Option<Client>, TransactionError> {
        named.other_issuer().map_or(Ok(None), |id| self.client(id))
    }
}

fn records(snapshot: &mut Snapshot<'_>, query: &Query) -> Result<Records, TransactionError> {
    let (db, master) = (snapshot.db, snapshot.master);
    Ok(match query {
        Query::Generation => Records::Generation,
        Query::Client(id) => Records::Client(snapshot.client(id)?),
        Query::Ticket(digest) => Records::Ticket(ticket_records(snapshot, digest)?.map(Box::new)),
        Query::Bearer(query) => Records::Bearer(Box::new(bearer(snapshot, query)?)),
        Query::Issue(query) => Records::Issue(Box::new(issue(snapshot, query)?)),
        Query::Token(query) => Records::Token(Box::new(token(snapshot, query)?)),
        Query::Sessions(query) => Records::Sessions(Box::new(sessions(snapshot, query)?)),
        Query::Challenge(digest) => Records::Challenge(challenge(snapshot, digest)?.map(Box::new)),
        Query::Factors(query) => Records::Factors(Box::new(FactorsRecords {
            bearer: bearer(snapshot, query)?,
            factors: match &query.person {
                None => Factors::default(),
                Some(person) => factors::of(db, master, &person.user)?,
            },
            history: history_of(db, query)?,
        })),
        Query::Login(identity) => Records::Login(login(db, master, identity)?.map(Box::new)),
        Query::Password(query) => Records::Password(Box::new(PasswordRecords {
            bearer: bearer(snapshot, query)?,
            password: named(query.person.as_ref(), |person| passwords::of(db, &person.user))?,
            history: history_of(db, query)?,
        })),
        Query::User(query) => Records::User(user_records(db, query)?.map(Box::new)),
        Query::Owners(texts) => Records::Owners(identifiers::owners(db, texts, "")?),
        Query::Import(queries) => Records::Import(Box::new(ImportRecords {
            numbering_plan: identifiers::plan(db)?,
            users: queries.iter().map(|query| imported(db, query)).collect::<Result<_, _>>()?,
        })),
        Query::Account(who) => Records::Account(account(db, master, who)?.map(Box::new)),
        Query::Explain(query) => Records::Explain(Box::new(explain(snapshot, query)?)),
        Query::Session(id) => Records::Session(session(db, id)?.map(Box::new)),
        Query::TicketById(id) => Records::TicketById(ticket_by_id(db, id)?.map(Box::new)),
        Query::Keys => Records::Keys(Box::new(keys::records_of(db)?)),
        Query::UserPage(query) => Records::UserPage(pages::users(db, query)?),
        Query::ClientPage(query) => Records::ClientPage(pages::clients(db, query)?),
        Query::RoleHolderPage(query) => Records::RoleHolderPage(pages::role_holders(db, query)?),
        Query::TicketPage(query) => Records::TicketPage(pages::tickets(db, query)?),
        Query::SessionPage(query) => Records::SessionPage(session_page(snapshot, query)?),
        Query::ByClient(ByClientQuery { caller, query }) => Records::ByClient(Box::new(ByClientRecords {
            caller: snapshot.client(caller)?,
            records: records(snapshot, query)?,
        })),
        Query::Administered(AdministeredQuery { bearer: query, query: asked }) => {
            Records::Administered(Box::new(AdministeredRecords {
                bearer: bearer(snapshot, query)?,
                records: records(snapshot, asked)?,
            }))
        }
    })
}

/// Returns the first row of a query, if there is one.
pub(super) fn first<T>(
    db: &Connection,
    sql: &str,
    values: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T, TransactionError>,
) -> Result<Option<T>, TransactionError> {
    db.prepare_cached(sql)?.query(values)?.next()?.map(read).transpose()
}

/// Returns every row of a query.
pub(super) fn every<T>(
    db: &Connection,
    sql: &str,
    values: impl Params,
    mut read: impl FnMut(&Row<'_>) -> Result<T, TransactionError>,
) -> Result<Vec<T>, TransactionError> {
    let mut select = db.prepare_cached(sql)?;
    let mut found = select.query(values)?;
    let mut all = Vec::new();
    while let Some(row) = found.next()? {
        all.push(read(row)?);
    }
    Ok(all)
}

/// The ticket called `id`.
pub(super) fn ticket_by_id(db: &Connection, id: &TicketId) -> Result<Option<Ticket>, TransactionError> {
    let sql = concat!("SELECT ", columns!(tickets), " FROM tickets WHERE id = ?1");
    first(db, sql, [id.as_str()], decoder("tickets", rows::ticket))
}

fn user_by_id(db: &Connection, id: &UserId) -> Result<Option<User>, TransactionError> {
    user_by_id_text(db, id.as_str())
}

pub(super) fn user_by_id_text(db: &Connection, id: &str) -> Result<Option<User>, TransactionError> {
    let sql = concat!("SELECT ", columns!(users), " FROM users WHERE id = ?1");
    first(db, sql, [id], decoder("users", rows::user))
}

pub(super) fn client(db: &Connection, id: &ClientId) -> Result<Option<Client>, TransactionError> {
    let sql = concat!("SELECT ", columns!(clients), " FROM clients WHERE id = ?1");
    let client = first(db, sql, [id.as_str()], decoder("clients", rows::client))?;
    client.map(|client| with_secrets(db, client)).transpose()
}

/// Returns `client` with its secrets, in their order.
pub(super) fn with_secrets(db: &Connection, mut client: Client) -> Result<Client, TransactionError> {
    let sql = concat!(
        "SELECT ",
        columns!(client_secrets),
        " FROM client_secrets WHERE client_id = ?1 ORDER BY position"
    );
    client.secrets = every(db, sql, [client.id.as_str()], decoder("client_secrets", rows::secret))?;
    Ok(client)
}

/// Returns the row of the ticket with `digest`: from the latest 256 seconds in which tickets were issued, or else from
/// before.
pub(super) fn ticket_row(db: &Connection, digest: &TicketDigest) -> Result<Option<i64>, TransactionError> {
    let sql = "SELECT period, (SELECT seq FROM tickets WHERE issued_at / 256 = period AND digest = ?1) \
               FROM (SELECT issued_at / 256 AS period FROM tickets WHERE issued_at / 256 < ?2 \
               ORDER BY issued_at / 256 DESC LIMIT 1)";
    let mut before = i64::MAX;
    loop {
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?));
        match first(db, sql, params![digest.0, before], read)? {
            None => return Ok(None),
            Some((_, Some(seq))) => return Ok(Some(seq)),
            Some((period, None)) => before = period,
        }
    }
}

fn ticket(db: &Connection, digest: &TicketDigest) -> Result<Option<Ticket>, TransactionError> {
    let Some(seq) = ticket_row(db, digest)? else { return Ok(None) };
    let sql = concat!("SELECT ", columns!(tickets), " FROM tickets WHERE seq = ?1");
    first(db, sql, [seq], decoder("tickets", rows::ticket))
}

fn session(db: &Connection, id: &SessionId) -> Result<Option<Session>, TransactionError> {
    let sql = concat!("SELECT ", columns!(sessions), " FROM sessions WHERE id = ?1");
    first(db, sql, [id.as_str()], decoder("sessions", rows::session))
}

/// Returns what `find` finds for an optional key.
fn named<K, T>(
    key: Option<K>,
    find: impl FnOnce(K) -> Result<Option<T>, TransactionError>,
) -> Result<Option<T>, TransactionError> {
    key.map_or(Ok(None), find)
}

fn ticket_records(
    snapshot: &mut Snapshot<'_>,
    digest: &TicketDigest,
) -> Result<Option<TicketRecords>, TransactionError> {
    let (db, master) = (snapshot.db, snapshot.master);
    let Some(ticket) = ticket(db, digest)? else { return Ok(None) };
    Ok(Some(TicketRecords {
        factors: factors::of(db, master, ticket.presented_by())?,
        history: sign_in_history::of(db, ticket.presented_by())?,
        user: user_by_id(db, &ticket.user_id)?,
        actor: named(ticket.impersonation.as_ref(), |i| user_by_id(db, &i.actor))?,
        client: snapshot.client(&ticket.client_id)?,
        issuer: snapshot.other_issuer(ticket.clients())?,
        delivered: named(rows::delivery_of(&ticket), |delivery| delivered(db, &delivery.result))?,
        ticket,
    }))
}

/// Returns the result of a ticket, if it still exists.
fn delivered(db: &Connection, result: &TicketResult) -> Result<Option<Delivered>, TransactionError> {
    Ok(match result {
        TicketResult::Session(opened) => delivered_session(db, opened)?.map(Delivered::Session),
        TicketResult::Challenge(digest) => factors::challenge(db, digest)?.map(Delivered::Challenge),
    })
}

fn delivered_session(
    db: &Connection,
    opened: &OpenedSession,
) -> Result<Option<DeliveredSession>, TransactionError> {
    let Some(session) = session(db, &opened.id)? else { return Ok(None) };
    let refresh = named(opened.refresh.as_ref(), |digest| refresh_token(db, digest))?;
    Ok(Some(DeliveredSession { session, refresh }))
}

/// Returns the user of a login.
fn login(
    db: &Connection,
    master: &MasterKey,
    identity: &Identity,
) -> Result<Named<LoginRecords>, TransactionError> {
    let (named, ..) = identifiers::identified(db, &identity.0)?;
    if named.one().is_none()
        && let Ok(nobody) = UserId::parse("usr_nobody")
    {
        // The same amount is read as for a user who exists.
        let _ = (
            passwords::of(db, &nobody)?,
            factors::of(db, master, &nobody)?,
            sign_in_history::of(db, &nobody)?,
        );
    }
    with_user(named, |user| {
        Ok(LoginRecords {
            password: passwords::of(db, &user.id)?,
            factors: factors::of(db, master, &user.id)?,
            history: sign_in_history::of(db, &user.id)?,
            user,
        })
    })
}

fn user_records(db: &Connection, query: &UserQuery) -> Result<Named<UserRecords>, TransactionError> {
    with_user(identifiers::named(db, &query.user)?, |user| {
        let owners = identifiers::owners(db, &query.identifiers, user.id.as_str())?;
        let another_officer = has_another_officer(db, &user)?;
        Ok(UserRecords { user, owners, another_officer })
    })
}

fn imported(db: &Connection, query: &UserQuery) -> Result<ImportedRecords, TransactionError> {
    let user = identifiers::named(db, &query.user)?;
    let id = user.one().map(|user| &user.id);
    Ok(ImportedRecords {
        password: id.map(|id| passwords::of(db, id)).transpose()?.flatten(),
        owners: identifiers::owners(db, &query.identifiers, id.map_or("", UserId::as_str))?,
        another_officer: user.one().map_or(Ok(false), |user| has_another_officer(db, user))?,
        user: user.map(Box::new),
    })
}

/// Returns what `read` reads for the one user.
fn with_user<T>(
    named: Named<User>,
    read: impl FnOnce(User) -> Result<T, TransactionError>,
) -> Result<Named<T>, TransactionError> {
    Ok(match named {
        Named::One(user) => Named::One(read(user)?),
        Named::Nobody => Named::Nobody,
        Named::Several(users) => Named::Several(users),
    })
}

fn account(
    db: &Connection,
    master: &MasterKey,
    who: &UserRef,
) -> Result<Named<AccountRecords>, TransactionError> {
    with_user(identifiers::named(db, who)?, |user| {
        Ok(AccountRecords {
            password: passwords::of(db, &user.id)?,
            factors: factors::of(db, master, &user.id)?,
            history: sign_in_history::of(db, &user.id)?,
            another_officer: has_another_officer(db, &user)?,
            user,
        })
    })
}

fn explain(snapshot: &mut Snapshot<'_>, query: &ExplainQuery) -> Result<ExplainRecords, TransactionError> {
    let db = snapshot.db;
    let user = identifiers::named(db, &query.user)?;
    let actor = query.actor.as_ref().map(|who| identifiers::named(db, who)).transpose()?;
    let person = actor.as_ref().unwrap_or(&user).one();
    Ok(ExplainRecords {
        factors: person
            .map(|person| factors::of(db, snapshot.master, &person.id))
            .transpose()?
            .unwrap_or_default(),
        history: person.map(|person| sign_in_history::of(db, &person.id)).transpose()?.unwrap_or_default(),
        client: named(query.client.as_ref(), |id| snapshot.client(id))?,
        user,
        actor: actor.unwrap_or_default(),
    })
}

/// Returns true if `user` is an officer, and another active user is one, too.
fn has_another_officer(db: &Connection, user: &User) -> Result<bool, TransactionError> {
    if user.roles.contains(Role::Officer) { has_officer_besides(db, &user.id) } else { Ok(false) }
}

/// Returns true if another active user than `besides` is an officer.
pub(super) fn has_officer_besides(db: &Connection, besides: &UserId) -> Result<bool, TransactionError> {
    let sql = "SELECT 1 FROM users INDEXED BY users_with_roles WHERE roles <> 0 AND roles & ?2 <> 0 AND status = 'active' \
               AND id <> ?1";
    let officer = Roles::of(&[Role::Officer]).bits();
    Ok(db.prepare_cached(sql)?.exists(params![besides.as_str(), officer])?)
}

fn session_page(
    snapshot: &mut Snapshot<'_>,
    query: &SessionPageQuery,
) -> Result<Page<SessionRecords>, TransactionError> {
    let db = snapshot.db;
    let Page { items, next } = pages::sessions(db, query)?;
    let mut with_names = |session: Session| {
        Ok(SessionRecords {
            user: user_by_id(db, &session.user_id)?,
            actor: named(session.actor_id(), |id| user_by_id(db, id))?,
            client: snapshot.client(&session.client_id)?,
            issuer: snapshot.other_issuer(session.clients())?,
            session,
        })
    };
    let items = items.into_iter().map(&mut with_names).collect::<Result<_, TransactionError>>()?;
    Ok(Page { items, next })
}

/// Returns the sign-in history of the person whom a token names.
fn history_of(db: &Connection, query: &BearerQuery) -> Result<SignInHistory, TransactionError> {
    match &query.person {
        None => Ok(SignInHistory::default()),
        Some(person) => sign_in_history::of(db, &person.user),
    }
}

fn challenge(
    snapshot: &mut Snapshot<'_>,
    digest: &ChallengeDigest,
) -> Result<Option<ChallengeRecords>, TransactionError> {
    let (db, master) = (snapshot.db, snapshot.master);
    let Some(challenge) = factors::challenge(db, digest)? else { return Ok(None) };
    let sign_in = &challenge.sign_in;
    Ok(Some(ChallengeRecords {
        user: user_by_id(db, &sign_in.user_id)?,
        actor: named(sign_in.impersonation.as_ref(), |i| user_by_id(db, &i.actor))?,
        client: snapshot.client(&sign_in.client_id)?,
        issuer: snapshot.other_issuer(sign_in.clients())?,
        factors: factors::of(db, master, sign_in.challenged())?,
        history: sign_in_history::of(db, sign_in.challenged())?,
        delivered: named(
            challenge.answered.as_ref().and_then(|answered| answered.delivery.as_deref()),
            |delivery| delivered_session(db, &delivery.result),
        )?,
        challenge,
    }))
}

fn bearer(snapshot: &mut Snapshot<'_>, query: &BearerQuery) -> Result<BearerRecords, TransactionError> {
    let db = snapshot.db;
    let person = query.person.as_ref();
    let session = named(person, |p| session(db, &p.session))?;
    Ok(BearerRecords {
        client: snapshot.client(&query.client)?,
        user: named(person, |p| user_by_id(db, &p.user))?,
        issuer: session.as_ref().map_or(Ok(None), |s| snapshot.other_issuer(s.clients()))?,
        session,
        actor: named(person.and_then(|p| p.actor.as_ref()), |id| user_by_id(db, id))?,
        revoked: db
            .prepare_cached("SELECT 1 FROM revoked_tokens WHERE token_id = ?1")?
            .exists([&query.token_id])?,
    })
}

fn refresh_token(db: &Connection, digest: &RefreshDigest) -> Result<Option<RefreshToken>, TransactionError> {
    // The columns of `columns!(refresh_tokens)`, where `session` is the id of the session.
    let sql = "SELECT t.digest, s.id, t.issued_at, t.expires_at, t.used_at, t.salt, t.successor, t.number, t.refreshes, \
               t.recorded_at FROM refresh_tokens t JOIN sessions s ON s.seq = t.session WHERE t.digest = ?1";
    first(db, sql, [digest.0], decoder("refresh_tokens", rows::refresh_token))
}

fn family(snapshot: &mut Snapshot<'_>, digest: &RefreshDigest) -> Result<Option<Family>, TransactionError> {
    let db = snapshot.db;
    let Some(refresh) = refresh_token(db, digest)? else { return Ok(None) };
    let Some(session) = session(db, &refresh.session_id)? else { return Ok(None) };
    Ok(Some(Family {
        successor: named(refresh.rotation.as_ref(), |r| refresh_token(db, &r.successor))?,
        user: user_by_id(db, &session.user_id)?,
        actor: named(session.actor_id(), |id| user_by_id(db, id))?,
        client: snapshot.client(&session.client_id)?,
        issuer: snapshot.other_issuer(session.clients())?,
        refresh,
        session,
    }))
}

fn is_used(db: &Connection, assertion: &AssertionDigest) -> Result<bool, TransactionError> {
    Ok(db.prepare_cached("SELECT 1 FROM used_assertions WHERE digest = ?1")?.exists([assertion.0])?)
}

fn token(snapshot: &mut Snapshot<'_>, query: &TokenQuery) -> Result<TokenRecords, TransactionError> {
    Ok(TokenRecords {
        caller: named(query.caller.as_ref(), |id| snapshot.client(id))?,
        bearer: query.access.as_ref().map(|b| bearer(snapshot, b)).transpose()?.unwrap_or_default(),
        family: named(query.refresh.as_ref(), |digest| family(snapshot, digest))?,
        is_assertion_used: query.assertion.map_or(Ok(false), |digest| is_used(snapshot.db, &digest))?,
    })
}

/// `$what` of each session of user ?1, from blocks of 1024 rows. The index is named: otherwise each block would be a
/// scan of the table.
macro_rules! sessions_of {
    ($what:expr) => {
        concat!(
            "WITH RECURSIVE parts (part) AS (SELECT max(seq / 1024) FROM sessions UNION ALL \
             SELECT (SELECT max(seq / 1024) FROM sessions WHERE seq / 1024 < part) FROM parts WHERE part IS NOT NULL) \
             SELECT ",
            $what,
            " FROM parts CROSS JOIN sessions INDEXED BY sessions_by_user ON seq / 1024 = part AND user_id = ?1"
        )
    };
}
pub(super) use sessions_of;

fn sessions(snapshot: &mut Snapshot<'_>, query: &BearerQuery) -> Result<SessionsRecords, TransactionError> {
    let sql = format!(
        concat!(
            sessions_of!(columns!(sessions)),
            " WHERE ended_at IS NULL AND (actor IS NULL OR EXISTS (SELECT 1 FROM users a WHERE a.id = sessions.actor \
             AND a.epoch = sessions.actor_epoch AND a.status = 'active')) AND (client_epoch IS NULL OR EXISTS \
             (SELECT 1 FROM clients c WHERE c.id = sessions.client_id AND c.epoch = sessions.client_epoch AND c.enabled = 1)) \
             AND (issuer IS NULL OR EXISTS (SELECT 1 FROM clients i WHERE i.id = sessions.issuer \
             AND i.epoch = sessions.issuer_epoch AND i.enabled = 1)) ORDER BY auth_time DESC, id DESC LIMIT {}"
        ),
        MAX_SESSIONS
    );
    let bearer = bearer(snapshot, query)?;
    // The token's signature is not verified yet: without a live session nothing more is read.
    let session = bearer.session.as_ref().filter(|session| session.ended_at.is_none());
    let sessions = match query.person.as_ref().filter(|p| session.is_some_and(|s| s.user_id == p.user)) {
        None => Vec::new(),
        Some(person) => every(snapshot.db, &sql, [person.user.as_str()], decoder("sessions", rows::session))?,
    };
    Ok(SessionsRecords { bearer, sessions })
}

fn issue(snapshot: &mut Snapshot<'_>, query: &IssueQuery) -> Result<IssueRecords, TransactionError> {
    let db = snapshot.db;
    Ok(IssueRecords {
        bearer: query.bearer.as_ref().map(|b| bearer(snapshot, b)).transpose()?.unwrap_or_default(),
        user: query.user.as_ref().map(|who| identifiers::named(db, who)).transpose()?.unwrap_or_default(),
        actor: query.actor.as_ref().map(|who| identifiers::named(db, who)).transpose()?.unwrap_or_default(),
        audience: named(query.audience.as_ref(), |id| snapshot.client(id))?,
    })
}
