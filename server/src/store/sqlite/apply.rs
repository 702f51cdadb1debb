//! Each change begins with a conditional statement: if that does not change exactly one row, the condition does not
//! hold.

use gatepass_core::base::time::Time;
use gatepass_core::records::challenge::MAX_WRONG;
use gatepass_core::records::client::{Client, UsedSecret};
use gatepass_core::records::session::{MAX_DELETED, RefreshDigest, RefreshToken, Rotation, Session};
use gatepass_core::records::ticket::Ticket;
use gatepass_core::records::user::User;
use gatepass_core::store::audit::{Event, Kind, Refusal};
use gatepass_core::store::change::Change;
use rusqlite::{Connection, Params, params, params_from_iter};

use super::audit::Tail;
use super::read::{first, has_officer_besides};
use super::transaction_error::TransactionError;
use super::values::signed;
use super::{deliveries, factors, identifiers, keys, passwords, sign_in_history};
use crate::store::rows::{self, Value, columns, stamp};

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
    one(
        db,
        concat!(
            "INSERT INTO tickets (",
            columns!(tickets),
            ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, \
             ?22, ?23, ?24)"
        ),
        params_from_iter(rows::ticket_values(ticket)),
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
    let session = insert_refresh(db, &RefreshToken { refreshes, ..successor.clone() })?;
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
        concat!(
            "INSERT INTO sessions (",
            columns!(sessions),
            ") SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19 \
             FROM users WHERE id = ?2"
        ),
        params_from_iter(rows::session_values(session)),
    )?;
    refresh.map_or(Ok(()), |refresh| insert_refresh(db, refresh).map(drop))
}

/// Inserts a refresh token of a session that is there. Returns the number of the session's row.
fn insert_refresh(db: &Connection, token: &RefreshToken) -> Result<i64, TransactionError> {
    let session = first(
        db,
        concat!(
            "INSERT INTO refresh_tokens (",
            columns!(refresh_tokens),
            ") SELECT ?1, seq, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 FROM sessions WHERE id = ?2 RETURNING session"
        ),
        params_from_iter(rows::refresh_token_values(token)),
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
    one(db, sql, params_from_iter(rows::user_values(user)))?;
    identifiers::update(db, user)
}

fn update_user(db: &Connection, user: &User) -> Result<(), TransactionError> {
    let sql = concat!(
        "UPDATE users SET (",
        columns!(user_values),
        ") = (?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13 + 1, ?14, ?15, ?16) WHERE id = ?1 AND revision = ?13"
    );
    one(db, sql, params_from_iter(rows::user_values(user)))?;
    identifiers::update(db, user)
}

fn insert_client(db: &Connection, client: &Client) -> Result<(), TransactionError> {
    let sql = concat!(
        "INSERT INTO clients (",
        columns!(clients),
        ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)"
    );
    one(db, sql, params_from_iter(rows::client_values(client)))?;
    insert_secrets(db, client)
}

fn update_client(db: &Connection, client: &Client) -> Result<(), TransactionError> {
    let sql = concat!(
        "UPDATE clients SET (",
        columns!(client_values),
        ") = (?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 + 1, ?11, ?12, ?13, ?14, ?15, ?16) WHERE id = ?1 AND revision = ?10"
    );
    one(db, sql, params_from_iter(rows::client_values(client)))?;
    db.prepare_cached("DELETE FROM client_secrets WHERE client_id = ?1")?.execute([client.id.as_str()])?;
    insert_secrets(db, client)
}

fn insert_secrets(db: &Connection, client: &Client) -> Result<(), TransactionError> {
    let sql = concat!(
        "INSERT INTO client_secrets (client_id, position, ",
        columns!(client_secrets),
        ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
    );
    for (position, secret) in (0i64..).zip(&client.secrets) {
        let first = [Value::from(client.id.as_str()), position.into()];
        one(db, sql, params_from_iter(first.into_iter().chain(rows::secret_values(secret))))?;
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
