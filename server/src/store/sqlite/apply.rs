//! Each change begins with a conditional statement: if that does not change exactly one row, the condition does not
//! hold.

use gatepass_core::base::time::Time;
use gatepass_core::crypto::algorithm::Algorithm;
use gatepass_core::records::challenge::MAX_WRONG;
use gatepass_core::records::client::{Client, UsedSecret};
use gatepass_core::records::client_key::ClientKey;
use gatepass_core::records::factor::AskFactor;
use gatepass_core::records::session::{MAX_DELETED, RefreshDigest, RefreshToken, Rotation, Session};
use gatepass_core::records::ticket::{Ticket, TicketState};
use gatepass_core::records::user::User;
use gatepass_core::store::audit::{Event, Kind, Refusal};
use gatepass_core::store::change::Change;
use rusqlite::{Connection, Params, params};
use serde::Serialize;

use super::audit::Tail;
use super::deliveries::DeliveryColumns;
use super::read::{first, has_officer_besides};
use super::rows::{columns, signed, stamp};
use super::transaction_error::TransactionError;
use super::{deliveries, factors, identifiers, keys, passwords, sign_in_history};

/// Applies `change` inside the transaction of `db`; if this fails, the caller rolls back what came before.
pub(super) fn apply(db: &Connection, tail: &Tail<'_>, change: &Change) -> Result<(), TransactionError> {
    match change {
        Change::RequireStateEpoch(epoch) if *epoch == tail.state().epoch => Ok(()),
        Change::RequireStateEpoch(_) => Err(TransactionError::Conflict),
        Change::RequireUserEpoch { id, epoch } => holds(
            db,
            "SELECT 1 FROM users WHERE id = ?1 AND epoch = ?2 AND status = 'active'",
            params![id.as_str(), signed(*epoch)?],
        ),
        Change::RequireClientEpoch { id, epoch } => holds(
            db,
            "SELECT 1 FROM clients WHERE id = ?1 AND epoch = ?2 AND enabled = 1",
            params![id.as_str(), signed(*epoch)?],
        ),
        Change::RequireAnotherOfficer { besides } => {
            if has_officer_besides(db, besides)? {
                Ok(())
            } else {
                Err(TransactionError::Conflict)
            }
        }
        Change::RequireLiveSession(id) => {
            holds(db, "SELECT 1 FROM sessions WHERE id = ?1 AND ended_at IS NULL", [id.as_str()])
        }
        Change::InsertTicket(ticket) => insert_ticket(db, ticket),
        Change::SpendTicket { digest, at, delivery } => {
            deliveries::spend_ticket(db, digest, *at, delivery.as_deref())
        }
        Change::RepeatTicket { digest, first } => deliveries::repeat_ticket(db, digest, *first),
        Change::RevokeTicket { id, at } => one(
            db,
            "UPDATE tickets SET revoked_at = ?2 WHERE id = ?1 AND spent_at IS NULL AND revoked_at IS NULL",
            params![id.as_str(), stamp(*at)],
        ),
        Change::InsertSession { session, refresh } => insert_session(db, session, refresh.as_ref()),
        Change::RotateRefresh { digest, rotation, successor, recorded } => {
            rotate_refresh(db, digest, rotation, successor, *recorded)
        }
        Change::RequireUnusedRefresh(digest) => {
            holds(db, "SELECT 1 FROM refresh_tokens WHERE digest = ?1 AND used_at IS NULL", [digest.0])
        }
        Change::CountRefresh(digest) => {
            db.prepare_cached(
                "UPDATE refresh_tokens SET refreshes = min(refreshes + 1, 4294967295) WHERE digest = ?1",
            )?
            .execute([digest.0])?;
            Ok(())
        }
        Change::EndSession { id, at } => one(
            db,
            "UPDATE sessions SET ended_at = ?2 WHERE id = ?1 AND ended_at IS NULL",
            params![id.as_str(), stamp(*at)],
        ),
        Change::RaiseEpoch { id, epoch } => one(
            db,
            "UPDATE users SET epoch = epoch + 1 WHERE id = ?1 AND epoch = ?2",
            params![id.as_str(), signed(*epoch)?],
        ),
        Change::RevokeToken { token_id, expires_at } => {
            db.prepare_cached("INSERT OR IGNORE INTO revoked_tokens (token_id, expires_at) VALUES (?1, ?2)")?
                .execute(params![token_id, stamp(*expires_at)])?;
            Ok(())
        }
        Change::InsertChallenge(challenge) => factors::insert_challenge(db, challenge),
        Change::CountWrong { digest, wrong, answered } => factors::count_wrong(db, digest, *wrong, *answered),
        Change::AnswerChallenge { digest, wrong, answered } => {
            deliveries::answer_challenge(db, digest, *wrong, answered)
        }
        Change::RepeatAnswer { digest, wrong, first } => {
            deliveries::repeat_answer(db, digest, *wrong, *first)
        }
        Change::RequireOpenChallenge(digest) => holds(
            db,
            "SELECT 1 FROM challenges WHERE digest = ?1 AND answered = 0 AND wrong < ?2",
            params![digest.0, MAX_WRONG],
        ),
        Change::InsertDevice(device) => factors::insert_device(db, tail.master(), device),
        Change::VerifyDevice { id, session, step, at } => {
            factors::verify_device(db, id, session.as_ref(), *step, *at)
        }
        Change::UseStep { id, step, before } => factors::use_step(db, id, *step, *before),
        Change::DeleteDevice { id, counts } => factors::delete_device(db, id, *counts),
        Change::AddBackupCodes { user, device, codes } => factors::add_backup_codes(db, user, device, codes),
        Change::KeepBackupCodes { user, device } => factors::keep_backup_codes(db, user, device),
        Change::DropBackupCodes(user) => factors::drop_backup_codes(db, user),
        Change::UseBackupCode { user, code } => factors::use_backup_code(db, user, code),
        Change::SetLockout { user, before, after } => factors::set_guesses(db, user, before, after),
        Change::RecordSignIn { user, place, at } => sign_in_history::learn(db, user, *place, *at),
        Change::CountFailure { user, at } => sign_in_history::fail(db, user, *at),
        Change::SetPassword { user, hash } => passwords::set(db, user, hash),
        Change::ReplacePasswordHash { user, before, after } => passwords::replace(db, user, before, after),
        Change::SetPasswordLockout { user, before, after } => passwords::set_guesses(db, user, before, after),
        Change::SetPlaceLockout { user, place, of, before, after } => {
            sign_in_history::set_lockout(db, user, (place, *of), before, after)
        }
        Change::InsertUser(user) => insert_user(db, user),
        Change::UpdateUser(user) => update_user(db, user),
        Change::DeleteUser(id) => {
            one(db, "DELETE FROM users WHERE id = ?1", [id.as_str()])?;
            // The sweep deletes the rest of their rows in steps: there may be any number.
            one(db, "INSERT INTO deleted_users (user_id) VALUES (?1)", [id.as_str()])
        }
        Change::InsertClient(client) => insert_client(db, client),
        Change::UpdateClient(client) => update_client(db, client),
        Change::DeleteClient(id) => one(db, "DELETE FROM clients WHERE id = ?1", [id.as_str()]),
        Change::RecordSecretUse(used) => record_secret_use(db, used),
        Change::UseAssertion(used) => one(
            db,
            "INSERT OR IGNORE INTO used_assertions (digest, expires_at) VALUES (?1, ?2)",
            params![used.digest.0, stamp(used.expires_at)],
        ),
        Change::RequireSigningKey(algorithm) => {
            holds(db, "SELECT 1 FROM keys WHERE alg = ?1 AND state = 'signing'", [algorithm.as_str()])
        }
        Change::InsertKey { key, generation, retire_from } => {
            keys::insert(db, tail.master(), key, *generation, *retire_from)
        }
        Change::ActivateKey { id, generation, beside, retire_from } => {
            keys::activate(db, id, *generation, *beside, *retire_from)
        }
        Change::StopKey { id, generation, retire_from } => keys::stop(db, id, *generation, *retire_from),
        Change::RetireKey { id, generation } => keys::retire(db, id, *generation),
        Change::Audit(event) => tail.append(db, event),
        // Every batch numbers itself, which is a write and proves that writing works.
        Change::Probe => Ok(()),
        Change::DummyWrite => decoy(db, tail),
    }
}

/// Does what writing a refusal does, and rolls it back.
fn decoy(db: &Connection, tail: &Tail<'_>) -> Result<(), TransactionError> {
    let refusal = Some(Refusal::PasswordWrong);
    let event = Event { refusal, ..Event::new(Kind::PasswordRefused, Time::default()) };
    let end = tail.end();
    db.execute_batch("SAVEPOINT decoy")?;
    let done = tail.append(db, &event);
    db.execute_batch("ROLLBACK TO decoy; RELEASE decoy")?;
    tail.back_to(end);
    done
}

/// Runs a statement that must touch exactly one row.
pub(super) fn one(db: &Connection, sql: &str, values: impl Params) -> Result<(), TransactionError> {
    match db.prepare_cached(sql)?.execute(values)? {
        1 => Ok(()),
        _ => Err(TransactionError::Conflict),
    }
}

/// Runs a query that must find something.
fn holds(db: &Connection, sql: &str, values: impl Params) -> Result<(), TransactionError> {
    if db.prepare_cached(sql)?.exists(values)? { Ok(()) } else { Err(TransactionError::Conflict) }
}

fn insert_ticket(db: &Connection, ticket: &Ticket) -> Result<(), TransactionError> {
    let (spent, revoked) = match &ticket.state {
        TicketState::Live => (None, None),
        TicketState::Spent { at, .. } => (Some(stamp(*at)), None),
        TicketState::Revoked(at) => (None, Some(stamp(*at))),
    };
    let delivery = DeliveryColumns::of_ticket(deliveries::of_ticket(ticket));
    one(
        db,
        "INSERT INTO tickets (id, digest, user_id, client_id, issuer, for_audience, bind, scope, client_ip, actor, \
         reason, issued_at, expires_at, spent_at, revoked_at, state_epoch, delivery_request, delivery_salt, \
         delivery_session, delivery_refresh, delivery_challenge, repeated, client_epoch, issuer_epoch) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, \
         ?23, ?24)",
        params![
            ticket.id.as_str(),
            ticket.digest.0,
            ticket.user_id.as_str(),
            ticket.client_id.as_str(),
            ticket.issuer.as_ref().map(|issuer| issuer.id.as_str()),
            ticket.for_audience,
            ticket.bind,
            ticket.scope.as_str(),
            ticket.client_ip.map(|ip| ip.to_string()),
            ticket.impersonation.as_ref().map(|i| i.actor.as_str()),
            ticket.impersonation.as_ref().map(|i| i.reason.as_str()),
            stamp(ticket.issued_at),
            stamp(ticket.expires_at),
            spent,
            revoked,
            signed(ticket.state_epoch)?,
            delivery.request,
            delivery.salt,
            delivery.session,
            delivery.refresh,
            delivery.challenge,
            delivery.repeated,
            ticket.client_epoch.map(signed).transpose()?,
            ticket.issuer.as_ref().map(|issuer| signed(issuer.epoch)).transpose()?,
        ],
    )
}

fn rotate_refresh(
    db: &Connection,
    digest: &RefreshDigest,
    rotation: &Rotation,
    successor: &RefreshToken,
    recorded: u32,
) -> Result<(), TransactionError> {
    let counted: Option<u32> = first(
        db,
        "UPDATE refresh_tokens SET used_at = ?2, salt = ?3, successor = ?4 WHERE digest = ?1 AND used_at IS NULL \
         RETURNING refreshes",
        params![digest.0, stamp(rotation.at), rotation.salt.0, rotation.successor.0],
        |row| Ok(row.get(0)?),
    )?;
    let refreshes = counted.ok_or(TransactionError::Conflict)?.saturating_add(1).saturating_sub(recorded);
    let session = insert_refresh(db, successor, refreshes)?;
    let Some(last) = successor.last_deleted() else { return Ok(()) };
    db.prepare_cached(
        "DELETE FROM refresh_tokens WHERE digest IN (SELECT digest FROM refresh_tokens INDEXED BY \
         refresh_tokens_by_session WHERE session = ?1 AND number <= ?2 ORDER BY number, digest LIMIT ?3)",
    )?
    .execute(params![session, signed(last)?, signed(MAX_DELETED)?])?;
    Ok(())
}

/// Inserts a session, and checks that its user exists: no foreign key does.
fn insert_session(
    db: &Connection,
    session: &Session,
    refresh: Option<&RefreshToken>,
) -> Result<(), TransactionError> {
    one(
        db,
        "INSERT INTO sessions (id, user_id, user_epoch, actor, client_id, bind, for_audience, scope, auth_time, \
         expires_at, ended_at, methods, actor_epoch, purpose, state_epoch, client_epoch, issuer, issuer_epoch, signed_in_at) \
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19 FROM users WHERE id = ?2",
        params![
            session.id.as_str(),
            session.user_id.as_str(),
            signed(session.user_epoch)?,
            session.actor_id().map(|id| id.as_str()),
            session.client_id.as_str(),
            session.bind,
            session.for_audience,
            session.scope.as_str(),
            stamp(session.auth_time),
            stamp(session.expires_at),
            session.ended_at.map(stamp),
            json(&session.methods)?,
            session.actor.as_ref().map(|actor| signed(actor.epoch)).transpose()?,
            session.purpose.as_str(),
            signed(session.state_epoch)?,
            session.client_epoch.map(signed).transpose()?,
            session.issuer.as_ref().map(|issuer| issuer.id.as_str()),
            session.issuer.as_ref().map(|issuer| signed(issuer.epoch)).transpose()?,
            stamp(session.signed_in_at),
        ],
    )?;
    refresh.map_or(Ok(()), |refresh| insert_refresh(db, refresh, refresh.refreshes).map(drop))
}

/// Inserts a refresh token of a session that is there. Returns the number of the session's row.
fn insert_refresh(db: &Connection, token: &RefreshToken, refreshes: u32) -> Result<i64, TransactionError> {
    let session = first(
        db,
        "INSERT INTO refresh_tokens (digest, session, issued_at, expires_at, number, refreshes, recorded_at) \
         SELECT ?1, seq, ?3, ?4, ?5, ?6, ?7 FROM sessions WHERE id = ?2 RETURNING session",
        params![
            token.digest.0,
            token.session_id.as_str(),
            stamp(token.issued_at),
            stamp(token.expires_at),
            signed(token.number)?,
            refreshes,
            token.recorded_at.map(stamp),
        ],
        |row| Ok(row.get(0)?),
    )?;
    session.ok_or(TransactionError::Conflict)
}

fn insert_user(db: &Connection, user: &User) -> Result<(), TransactionError> {
    let sql = concat!(
        "INSERT INTO users (",
        columns!(users),
        ") SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16 \
         WHERE NOT EXISTS (SELECT 1 FROM deleted_users WHERE user_id = ?1)"
    );
    write_user(db, sql, user, user.revision)?;
    identifiers::update(db, user)
}

fn update_user(db: &Connection, user: &User) -> Result<(), TransactionError> {
    let sql = concat!(
        "UPDATE users SET (",
        columns!(user_values),
        ") = (?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16) WHERE id = ?1 AND revision = ?13 - 1"
    );
    write_user(db, sql, user, user.revision.saturating_add(1))?;
    identifiers::update(db, user)
}

/// Runs a statement that writes one user, whose values are those of `columns!(users)`.
fn write_user(db: &Connection, sql: &str, user: &User, revision: u64) -> Result<(), TransactionError> {
    one(
        db,
        sql,
        params![
            user.id.as_str(),
            user.username.as_str(),
            user.email,
            user.phone,
            user.name,
            user.gender.map(|g| g.as_str()),
            user.address,
            user.status.as_str(),
            user.must_change_password,
            stamp(user.created_at),
            stamp(user.updated_at),
            signed(user.epoch)?,
            signed(revision)?,
            user.password_changed_at.map(stamp),
            user.second_factor.map(AskFactor::as_str),
            user.roles.bits(),
        ],
    )
}

/// Returns a value as JSON for a column.
pub(super) fn json(value: &impl Serialize) -> Result<String, TransactionError> {
    serde_json::to_string(value)
        .map_err(|e| TransactionError::Sql(rusqlite::Error::ToSqlConversionFailure(e.into())))
}

fn insert_client(db: &Connection, client: &Client) -> Result<(), TransactionError> {
    let sql = concat!(
        "INSERT INTO clients (",
        columns!(clients),
        ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)"
    );
    write_client(db, sql, client, client.revision)?;
    insert_secrets(db, client)
}

fn update_client(db: &Connection, client: &Client) -> Result<(), TransactionError> {
    let sql = concat!(
        "UPDATE clients SET (",
        columns!(client_values),
        ") = (?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16) WHERE id = ?1 AND revision = ?10 - 1"
    );
    write_client(db, sql, client, client.revision.saturating_add(1))?;
    db.prepare_cached("DELETE FROM client_secrets WHERE client_id = ?1")?.execute([client.id.as_str()])?;
    insert_secrets(db, client)
}

/// Runs a statement that writes one client, whose values are those of `columns!(clients)`.
fn write_client(db: &Connection, sql: &str, client: &Client, revision: u64) -> Result<(), TransactionError> {
    one(
        db,
        sql,
        params![
            client.id.as_str(),
            client.name,
            client.scope.as_str(),
            client.default_scope.as_str(),
            json(&client.audiences)?,
            client.enabled,
            client.token_lifetime,
            client.user_token_lifetime,
            stamp(client.created_at),
            signed(revision)?,
            client.second_factor.map(AskFactor::as_str),
            signed(client.epoch)?,
            client.trusted_context,
            client.roles.bits(),
            (!client.keys.is_empty()).then(|| ClientKey::write_set(&client.keys)),
            client.signing_algorithm.map(Algorithm::as_str),
        ],
    )
}

fn insert_secrets(db: &Connection, client: &Client) -> Result<(), TransactionError> {
    for (position, secret) in (0i64..).zip(&client.secrets) {
        one(
            db,
            "INSERT INTO client_secrets (client_id, position, digest, created_at, expires_at, last_used_at, id) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                client.id.as_str(),
                position,
                secret.digest.0,
                stamp(secret.created_at),
                secret.expires_at.map(stamp),
                secret.last_used_at.map(stamp),
                secret.id.as_str(),
            ],
        )?;
    }
    Ok(())
}

fn record_secret_use(db: &Connection, used: &UsedSecret) -> Result<(), TransactionError> {
    let UsedSecret { client, digest, at } = used;
    db.prepare_cached(
        "UPDATE client_secrets SET last_used_at = max(ifnull(last_used_at, ?3), ?3) WHERE client_id = ?1 AND digest = ?2",
    )?
    .execute(params![client.as_str(), digest.0, stamp(*at)])?;
    Ok(())
}
