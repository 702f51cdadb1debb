//! Rows to records and back. A row that does not decode is [`TransactionError::Row`], naming table and column.

use std::net::IpAddr;

use gatepass_core::base::time::Time;
use gatepass_core::crypto::algorithm::Algorithm;
use gatepass_core::records::client::{Client, ClientRef, ClientSecret, SecretDigest};
use gatepass_core::records::client_key::ClientKey;
use gatepass_core::records::factor::{AskFactor, Lockout};
use gatepass_core::records::id::{ClientId, SecretId, SessionId, TicketId, UserId};
use gatepass_core::records::request_id::RequestId;
use gatepass_core::records::role::Roles;
use gatepass_core::records::scope::Scope;
use gatepass_core::records::session::{Actor, Purpose, RefreshDigest, RefreshToken, Rotation, Salt, Session};
use gatepass_core::records::ticket::{Impersonation, Ticket, TicketDigest, TicketState};
use gatepass_core::records::user::{Gender, Status, User, Username};
use rusqlite::types::FromSql;

use super::deliveries;
use super::transaction_error::TransactionError;

/// The columns of a table, as a literal for `concat!`, in the order in which [`user`], [`client`], [`secret`], [`ticket`],
/// [`refresh_token`] (where the session is joined) and [`session`] read them.
macro_rules! columns {
    (users) => {
        concat!("id, ", columns!(user_values))
    };
    (user_values) => {
        "username, email, phone, name, gender, address, status, must_change_password, created_at, \
         updated_at, epoch, revision, password_changed_at, second_factor, roles"
    };
    (clients) => {
        concat!("id, ", columns!(client_values))
    };
    (client_values) => {
        "name, scope, default_scope, audiences, enabled, token_lifetime, user_token_lifetime, created_at, \
         revision, second_factor, epoch, trusted_context, roles, jwks, signing_algorithm"
    };
    (client_secrets) => {
        "id, digest, created_at, expires_at, last_used_at"
    };
    (tickets) => {
        "id, digest, user_id, client_id, issuer, for_audience, bind, scope, client_ip, actor, reason, \
         issued_at, expires_at, spent_at, revoked_at, state_epoch, delivery_request, delivery_salt, delivery_session, \
         delivery_refresh, delivery_challenge, repeated, client_epoch, issuer_epoch"
    };
    (refresh_tokens) => {
        "t.digest, s.id, t.issued_at, t.expires_at, t.used_at, t.salt, t.successor, t.number, t.refreshes, t.recorded_at"
    };
    (sessions) => {
        "id, user_id, user_epoch, actor, actor_epoch, client_id, bind, for_audience, purpose, scope, \
         auth_time, methods, expires_at, ended_at, state_epoch, client_epoch, issuer, issuer_epoch, signed_in_at"
    };
}
pub(super) use columns;

/// The columns of a row of a known table, taken one after the other.
pub(super) struct Columns<'a> {
    row: &'a rusqlite::Row<'a>,
    table: &'static str,
    next: usize,
}

impl<'a> Columns<'a> {
    pub(super) const fn of(row: &'a rusqlite::Row<'a>, table: &'static str) -> Self {
        Self { row, table, next: 0 }
    }

    pub(super) const fn unreadable(&self, column: &'static str) -> TransactionError {
        TransactionError::Row { table: self.table, column }
    }

    fn take<T: FromSql>(&mut self, column: &'static str) -> Result<T, TransactionError> {
        let value = self.row.get(self.next).map_err(|_| self.unreadable(column))?;
        self.next += 1;
        Ok(value)
    }

    /// Reads a text that `parse` understands.
    pub(super) fn parsed<T>(
        &mut self,
        column: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, TransactionError> {
        self.maybe(column, parse)?.ok_or_else(|| self.unreadable(column))
    }

    /// The same, or NULL.
    pub(super) fn maybe<T>(
        &mut self,
        column: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, TransactionError> {
        let value = self.row.get_ref(self.next).map_err(|_| self.unreadable(column))?;
        let text = value.as_str_or_null().map_err(|_| self.unreadable(column))?;
        self.next += 1;
        match text {
            None => Ok(None),
            Some(text) => parse(text).map(Some).ok_or_else(|| self.unreadable(column)),
        }
    }

    pub(super) fn number(&mut self, column: &'static str) -> Result<u64, TransactionError> {
        self.take::<i64>(column)?.try_into().map_err(|_| self.unreadable(column))
    }

    pub(super) fn small(&mut self, column: &'static str) -> Result<u32, TransactionError> {
        self.number(column)?.try_into().map_err(|_| self.unreadable(column))
    }

    fn maybe_small(&mut self, column: &'static str) -> Result<Option<u32>, TransactionError> {
        let number: Option<i64> = self.take(column)?;
        number.map(u32::try_from).transpose().map_err(|_| self.unreadable(column))
    }

    pub(super) fn maybe_number(&mut self, column: &'static str) -> Result<Option<u64>, TransactionError> {
        let number: Option<i64> = self.take(column)?;
        number.map(u64::try_from).transpose().map_err(|_| self.unreadable(column))
    }

    pub(super) fn time(&mut self, column: &'static str) -> Result<Time, TransactionError> {
        self.number(column).map(Time::from_unix)
    }

    pub(super) fn maybe_time(&mut self, column: &'static str) -> Result<Option<Time>, TransactionError> {
        Ok(self.maybe_number(column)?.map(Time::from_unix))
    }

    /// Reads a set of roles, as a number.
    fn roles(&mut self, column: &'static str) -> Result<Roles, TransactionError> {
        let bits = u8::try_from(self.small(column)?).ok();
        bits.and_then(Roles::from_bits).ok_or_else(|| self.unreadable(column))
    }

    /// Reads the next three columns: counts of wrong guesses.
    pub(super) fn lockout(&mut self) -> Result<Lockout, TransactionError> {
        Ok(Lockout {
            wrong: self.small("wrong")?,
            locks: self.small("locks")?,
            locked_until: self.maybe_time("locked_until")?,
        })
    }

    pub(super) fn flag(&mut self, column: &'static str) -> Result<bool, TransactionError> {
        match self.take::<i64>(column)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.unreadable(column)),
        }
    }

    pub(super) fn bytes<const N: usize>(
        &mut self,
        column: &'static str,
    ) -> Result<[u8; N], TransactionError> {
        self.take(column)
    }

    /// The next two columns: who acts as the user, and why.
    pub(super) fn impersonation(&mut self) -> Result<Option<Impersonation>, TransactionError> {
        match (self.maybe("actor", user_id)?, self.maybe("reason", owned)?) {
            (Some(actor), Some(reason)) => Ok(Some(Impersonation { actor, reason })),
            (None, None) => Ok(None),
            (Some(_), None) | (None, Some(_)) => Err(self.unreadable("reason")),
        }
    }

    /// Reads the next column: the epoch of the client `id` that issued something, which is there if `id` is.
    pub(super) fn issuer(&mut self, id: Option<ClientId>) -> Result<Option<ClientRef>, TransactionError> {
        match (id, self.maybe_number("issuer_epoch")?) {
            (Some(id), Some(epoch)) => Ok(Some(ClientRef { id, epoch })),
            (None, None) => Ok(None),
            (Some(_), None) | (None, Some(_)) => Err(self.unreadable("issuer_epoch")),
        }
    }

    pub(super) fn maybe_bytes<const N: usize>(
        &mut self,
        column: &'static str,
    ) -> Result<Option<[u8; N]>, TransactionError> {
        self.take(column)
    }

    /// Leaves the next `columns` unread.
    pub(super) const fn skip(&mut self, columns: usize) {
        self.next += columns;
    }

    pub(super) fn blob(&mut self, column: &'static str) -> Result<Vec<u8>, TransactionError> {
        self.take(column)
    }
}

/// Returns a number as SQLite keeps it.
pub(super) fn signed(number: u64) -> Result<i64, TransactionError> {
    i64::try_from(number)
        .map_err(|e| TransactionError::Sql(rusqlite::Error::ToSqlConversionFailure(e.into())))
}

/// Returns a time as SQLite keeps it; the year 9999 fits.
pub(super) fn stamp(time: Time) -> i64 {
    i64::try_from(time.unix()).unwrap_or(i64::MAX)
}

pub(super) fn owned(text: &str) -> Option<String> {
    Some(text.to_owned())
}

pub(super) fn user_id(text: &str) -> Option<UserId> {
    UserId::parse(text).ok()
}

pub(super) fn client_id(text: &str) -> Option<ClientId> {
    ClientId::parse(text).ok()
}

fn secret_id(text: &str) -> Option<SecretId> {
    SecretId::parse(text).ok()
}

fn client_keys(text: &str) -> Option<Vec<ClientKey>> {
    ClientKey::read_set(text.as_bytes()).ok()
}

pub(super) fn request_id(text: &str) -> Option<RequestId> {
    RequestId::parse(text).ok()
}

pub(super) fn ticket_id(text: &str) -> Option<TicketId> {
    TicketId::parse(text).ok()
}

pub(super) fn session_id(text: &str) -> Option<SessionId> {
    SessionId::parse(text).ok()
}

pub(super) fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

pub(super) fn scope(text: &str) -> Option<Scope> {
    Scope::parse(text).ok()
}

fn status(text: &str) -> Option<Status> {
    [Status::Active, Status::Disabled].into_iter().find(|s| s.as_str() == text)
}

pub(super) fn texts(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

pub(super) fn user(row: &rusqlite::Row<'_>) -> Result<User, TransactionError> {
    let mut c = Columns::of(row, "users");
    Ok(User {
        id: c.parsed("id", user_id)?,
        username: c.parsed("username", |t| Username::stored(t).ok())?,
        email: c.maybe("email", owned)?,
        phone: c.maybe("phone", owned)?,
        name: c.maybe("name", owned)?,
        gender: c.maybe("gender", Gender::parse)?,
        address: c.maybe("address", owned)?,
        status: c.parsed("status", status)?,
        must_change_password: c.flag("must_change_password")?,
        created_at: c.time("created_at")?,
        updated_at: c.time("updated_at")?,
        epoch: c.number("epoch")?,
        revision: c.number("revision")?,
        password_changed_at: c.maybe_time("password_changed_at")?,
        second_factor: c.maybe("second_factor", AskFactor::parse)?,
        roles: c.roles("roles")?,
    })
}

/// Reads a client without its secrets.
pub(super) fn client(row: &rusqlite::Row<'_>) -> Result<Client, TransactionError> {
    let mut c = Columns::of(row, "clients");
    Ok(Client {
        id: c.parsed("id", client_id)?,
        name: c.maybe("name", owned)?,
        scope: c.parsed("scope", scope)?,
        default_scope: c.parsed("default_scope", scope)?,
        audiences: c.parsed("audiences", texts)?,
        enabled: c.flag("enabled")?,
        token_lifetime: c.maybe_small("token_lifetime")?,
        user_token_lifetime: c.maybe_small("user_token_lifetime")?,
        created_at: c.time("created_at")?,
        revision: c.number("revision")?,
        second_factor: c.maybe("second_factor", AskFactor::parse)?,
        epoch: c.number("epoch")?,
        trusted_context: c.flag("trusted_context")?,
        roles: c.roles("roles")?,
        keys: c.maybe("jwks", client_keys)?.unwrap_or_default(),
        signing_algorithm: c.maybe("signing_algorithm", Algorithm::parse)?,
        secrets: Vec::new(),
    })
}

pub(super) fn secret(row: &rusqlite::Row<'_>) -> Result<ClientSecret, TransactionError> {
    let mut c = Columns::of(row, "client_secrets");
    Ok(ClientSecret {
        id: c.parsed("id", secret_id)?,
        digest: SecretDigest(c.bytes("digest")?),
        created_at: c.time("created_at")?,
        expires_at: c.maybe_time("expires_at")?,
        last_used_at: c.maybe_time("last_used_at")?,
    })
}

pub(super) fn ticket(row: &rusqlite::Row<'_>) -> Result<Ticket, TransactionError> {
    let mut c = Columns::of(row, "tickets");
    let id = c.parsed("id", ticket_id)?;
    let digest = TicketDigest(c.bytes("digest")?);
    let user_id = c.parsed("user_id", user_id)?;
    let client_id = c.parsed("client_id", client_id)?;
    let issuer = c.maybe("issuer", self::client_id)?;
    let for_audience = c.flag("for_audience")?;
    let bind = c.flag("bind")?;
    let scope = c.parsed("scope", scope)?;
    let client_ip = c.maybe("client_ip", address)?;
    let impersonation = c.impersonation()?;
    let issued_at = c.time("issued_at")?;
    let expires_at = c.time("expires_at")?;
    let state = match (c.maybe_time("spent_at")?, c.maybe_time("revoked_at")?) {
        (None, None) => TicketState::Live,
        (Some(at), None) => TicketState::Spent { at, delivery: None },
        (None, Some(at)) => TicketState::Revoked(at),
        (Some(_), Some(_)) => return Err(c.unreadable("revoked_at")),
    };
    let state_epoch = c.number("state_epoch")?;
    let delivery = deliveries::ticket_delivery(&mut c)?.map(Box::new);
    let state = match (state, delivery) {
        (TicketState::Spent { at, .. }, delivery) => TicketState::Spent { at, delivery },
        (state, None) => state,
        (_, Some(_)) => return Err(c.unreadable("delivery_request")),
    };
    let client_epoch = c.maybe_number("client_epoch")?;
    Ok(Ticket {
        id,
        digest,
        user_id,
        client_id,
        issuer: c.issuer(issuer)?,
        for_audience,
        bind,
        scope,
        client_ip,
        impersonation,
        issued_at,
        expires_at,
        state,
        state_epoch,
        client_epoch,
    })
}

pub(super) fn refresh_token(row: &rusqlite::Row<'_>) -> Result<RefreshToken, TransactionError> {
    let mut c = Columns::of(row, "refresh_tokens");
    let digest = RefreshDigest(c.bytes("digest")?);
    let session_id = c.parsed("session", session_id)?;
    let (issued_at, expires_at) = (c.time("issued_at")?, c.time("expires_at")?);
    let used_at = c.maybe_time("used_at")?;
    let (salt, successor) = (c.maybe_bytes("salt")?, c.maybe_bytes("successor")?);
    let rotation = match (used_at, salt, successor) {
        (None, _, _) => None,
        (Some(at), Some(salt), Some(successor)) => {
            Some(Rotation { at, salt: Salt(salt), successor: RefreshDigest(successor) })
        }
        (Some(_), None, _) => return Err(c.unreadable("salt")),
        (Some(_), Some(_), None) => return Err(c.unreadable("successor")),
    };
    Ok(RefreshToken {
        digest,
        session_id,
        issued_at,
        expires_at,
        rotation,
        number: c.number("number")?,
        refreshes: c.small("refreshes")?,
        recorded_at: c.maybe_time("recorded_at")?,
    })
}

pub(super) fn session(row: &rusqlite::Row<'_>) -> Result<Session, TransactionError> {
    let mut c = Columns::of(row, "sessions");
    Ok(Session {
        id: c.parsed("id", session_id)?,
        user_id: c.parsed("user_id", user_id)?,
        user_epoch: c.number("user_epoch")?,
        actor: match (c.maybe("actor", user_id)?, c.maybe_number("actor_epoch")?) {
            (Some(id), Some(epoch)) => Some(Actor { id, epoch }),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err(c.unreadable("actor_epoch")),
        },
        client_id: c.parsed("client_id", client_id)?,
        bind: c.flag("bind")?,
        for_audience: c.flag("for_audience")?,
        purpose: c.parsed("purpose", Purpose::parse)?,
        scope: c.parsed("scope", scope)?,
        auth_time: c.time("auth_time")?,
        methods: c.parsed("methods", texts)?,
        expires_at: c.time("expires_at")?,
        ended_at: c.maybe_time("ended_at")?,
        state_epoch: c.number("state_epoch")?,
        client_epoch: c.maybe_number("client_epoch")?,
        issuer: {
            let issuer = c.maybe("issuer", client_id)?;
            c.issuer(issuer)?
        },
        signed_in_at: c.time("signed_in_at")?,
    })
}
