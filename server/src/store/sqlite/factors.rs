//! Second factors and challenges: read and written like everything else, their secrets sealed by the master key.

use gatepass_core::base::secret::SecretBytes;
use gatepass_core::base::time::Time;
use gatepass_core::crypto::OtpHash;
use gatepass_core::records::challenge::{Answered, Challenge, ChallengeDigest, SignIn};
use gatepass_core::records::factor::{
    BackupDigest, Factors, Lockout, MAX_DEVICES, OtpParameters, TotpDevice,
};
use gatepass_core::records::id::{DeviceId, SessionId, UserId};
use rusqlite::{Connection, Row, params};

use super::apply::{json, one};
use super::deliveries::{self, DeliveryColumns};
use super::read::{every, first};
use super::rows::{self, Columns, signed, stamp};
use super::sign_in_history;
use super::transaction_error::TransactionError;
use crate::secrets::master_key::MasterKey;

/// Returns the purpose that a device's secret is sealed for.
pub(super) fn purpose(id: &str) -> String {
    format!("totp:{id}")
}

/// Returns everything `user` could answer a challenge with.
pub(super) fn of(db: &Connection, master: &MasterKey, user: &UserId) -> Result<Factors, TransactionError> {
    let devices = every(
        db,
        "SELECT id, user_id, name, hash, digits, sealed, created_at, verified_at, verified_by, last_step, vouched_for FROM totp_devices \
         WHERE user_id = ?1 ORDER BY seq DESC",
        [user.as_str()],
        |row| device(row, master),
    )?;
    let digest = |row: &Row<'_>| Columns::of(row, "backup_codes").bytes("digest").map(BackupDigest);
    let sql = "SELECT digest FROM backup_codes WHERE user_id = ?1 ORDER BY digest";
    Ok(Factors {
        devices,
        backup_codes: every(db, sql, [user.as_str()], digest)?,
        lockout: lockout(db, user)?,
    })
}

/// Opens the secret of every device, and keeps none.
pub(super) fn each_opens(db: &Connection, master: &MasterKey) -> Result<(), TransactionError> {
    let mut select = db.prepare("SELECT id, sealed FROM totp_devices")?;
    let mut found = select.query([])?;
    while let Some(row) = found.next()? {
        let (id, sealed): (String, Vec<u8>) = (row.get(0)?, row.get(1)?);
        if master.open(&purpose(&id), &sealed).is_none() {
            return Err(TransactionError::Row { table: "totp_devices", column: "sealed" });
        }
    }
    Ok(())
}

fn lockout(db: &Connection, user: &UserId) -> Result<Lockout, TransactionError> {
    let sql = "SELECT wrong, locks, locked_until FROM factor_guesses WHERE user_id = ?1";
    let found = first(db, sql, [user.as_str()], |row| Columns::of(row, "factor_guesses").lockout())?;
    Ok(found.unwrap_or_default())
}

fn device(row: &Row<'_>, master: &MasterKey) -> Result<TotpDevice, TransactionError> {
    let mut c = Columns::of(row, "totp_devices");
    let id = c.parsed("id", |text| DeviceId::parse(text).ok())?;
    let user_id = c.parsed("user_id", rows::user_id)?;
    let name = c.maybe("name", rows::owned)?;
    let hash = c.parsed("hash", OtpHash::parse)?;
    let digits = u8::try_from(c.small("digits")?)
        .map_err(|_| TransactionError::Row { table: "totp_devices", column: "digits" })?;
    let sealed = c.blob("sealed")?;
    let secret = master
        .open(&purpose(id.as_str()), &sealed)
        .ok_or(TransactionError::Row { table: "totp_devices", column: "sealed" })?;
    Ok(TotpDevice {
        id,
        user_id,
        name,
        parameters: OtpParameters { hash, digits },
        secret: SecretBytes::new(secret.to_vec()),
        created_at: c.time("created_at")?,
        verified_at: c.maybe_time("verified_at")?,
        verified_by: c.maybe("verified_by", |text| SessionId::parse(text).ok())?,
        last_step: c.number("last_step")?,
        vouched_for: c.flag("vouched_for")?,
    })
}

pub(super) fn insert_device(
    db: &Connection,
    master: &MasterKey,
    device: &TotpDevice,
) -> Result<(), TransactionError> {
    let sealed = master.seal(&purpose(device.id.as_str()), device.secret.expose())?;
    let sql = format!(
        "INSERT INTO totp_devices (id, user_id, name, hash, digits, sealed, created_at, verified_at, last_step, \
         verified_by, vouched_for) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11 \
         WHERE (SELECT count(*) FROM totp_devices WHERE user_id = ?2) < {MAX_DEVICES}"
    );
    one(
        db,
        &sql,
        params![
            device.id.as_str(),
            device.user_id.as_str(),
            device.name,
            device.parameters.hash.as_str(),
            device.parameters.digits,
            sealed,
            stamp(device.created_at),
            device.verified_at.map(stamp),
            signed(device.last_step)?,
            device.verified_by.as_ref().map(|id| id.as_str()),
            device.vouched_for,
        ],
    )
}

pub(super) fn verify_device(
    db: &Connection,
    id: &DeviceId,
    session: Option<&SessionId>,
    step: u64,
    at: Time,
) -> Result<(), TransactionError> {
    one(
        db,
        "UPDATE totp_devices SET verified_at = ?2, last_step = ?3, verified_by = ?4 WHERE id = ?1 AND verified_at IS NULL",
        params![id.as_str(), stamp(at), signed(step)?, session.map(|id| id.as_str())],
    )
}

pub(super) fn use_step(
    db: &Connection,
    id: &DeviceId,
    step: u64,
    before: u64,
) -> Result<(), TransactionError> {
    one(
        db,
        "UPDATE totp_devices SET last_step = ?2 WHERE id = ?1 AND last_step = ?3 AND verified_at IS NOT NULL",
        params![id.as_str(), signed(step)?, signed(before)?],
    )
}

pub(super) fn delete_device(db: &Connection, id: &DeviceId, counts: bool) -> Result<(), TransactionError> {
    let sql = "DELETE FROM backup_codes WHERE device = \
               (SELECT id FROM totp_devices WHERE id = ?1 AND verified_at IS NULL)";
    db.prepare_cached(sql)?.execute([id.as_str()])?;
    let sql = "DELETE FROM totp_devices WHERE id = ?1 AND (verified_at IS NOT NULL) = ?2";
    one(db, sql, params![id.as_str(), counts])
}

/// Checks that no device of `user` counts.
fn nothing_counts(db: &Connection, user: &UserId) -> Result<(), TransactionError> {
    let sql = "SELECT 1 FROM totp_devices WHERE user_id = ?1 AND verified_at IS NOT NULL";
    if db.prepare_cached(sql)?.exists([user.as_str()])? { Err(TransactionError::Conflict) } else { Ok(()) }
}

pub(super) fn add_backup_codes(
    db: &Connection,
    user: &UserId,
    device: &DeviceId,
    codes: &[BackupDigest],
) -> Result<(), TransactionError> {
    nothing_counts(db, user)?;
    let sql = "INSERT INTO backup_codes (user_id, digest, device) VALUES (?1, ?2, ?3)";
    codes.iter().try_for_each(|code| one(db, sql, params![user.as_str(), code.0, device.as_str()]))
}

pub(super) fn keep_backup_codes(
    db: &Connection,
    user: &UserId,
    device: &DeviceId,
) -> Result<(), TransactionError> {
    nothing_counts(db, user)?;
    let sql = "DELETE FROM backup_codes WHERE user_id = ?1 AND device <> ?2";
    db.prepare_cached(sql)?.execute([user.as_str(), device.as_str()])?;
    Ok(())
}

pub(super) fn drop_backup_codes(db: &Connection, user: &UserId) -> Result<(), TransactionError> {
    db.prepare_cached("DELETE FROM backup_codes WHERE user_id = ?1")?.execute([user.as_str()])?;
    Ok(())
}

pub(super) fn use_backup_code(
    db: &Connection,
    user: &UserId,
    code: &BackupDigest,
) -> Result<(), TransactionError> {
    let sql = "DELETE FROM backup_codes WHERE user_id = ?1 AND digest = ?2";
    one(db, sql, params![user.as_str(), code.0])
}

pub(super) fn set_guesses(
    db: &Connection,
    user: &UserId,
    before: &Lockout,
    after: &Lockout,
) -> Result<(), TransactionError> {
    if lockout(db, user)? != *before {
        return Err(TransactionError::Conflict);
    }
    if *after == Lockout::default() {
        db.prepare_cached("DELETE FROM factor_guesses WHERE user_id = ?1")?.execute([user.as_str()])?;
        return Ok(());
    }
    one(
        db,
        "INSERT INTO factor_guesses (user_id, wrong, locks, locked_until) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (user_id) DO UPDATE SET wrong = ?2, locks = ?3, locked_until = ?4",
        params![user.as_str(), after.wrong, after.locks, after.locked_until.map(stamp)],
    )
}

pub(super) fn challenge(
    db: &Connection,
    digest: &ChallengeDigest,
) -> Result<Option<Challenge>, TransactionError> {
    let sql = "SELECT digest, user_id, user_epoch, actor_epoch, actor, reason, client_id, for_audience, bind, scope, \
               methods, ticket, device, network, expires_at, wrong, answered, state_epoch, answered_at, delivery_request, delivery_salt, \
               delivery_session, delivery_refresh, repeated, client_epoch, issuer, issuer_epoch, issued_at FROM challenges \
               WHERE digest = ?1";
    first(db, sql, [digest.0], |row| {
        let mut c = Columns::of(row, "challenges");
        let digest = ChallengeDigest(c.bytes("digest")?);
        let user_id = c.parsed("user_id", rows::user_id)?;
        let (user_epoch, actor_epoch) = (c.number("user_epoch")?, c.maybe_number("actor_epoch")?);
        let impersonation = c.impersonation()?;
        let mut sign_in = SignIn {
            user_id,
            impersonation,
            client_id: c.parsed("client_id", rows::client_id)?,
            for_audience: c.flag("for_audience")?,
            bind: c.flag("bind")?,
            scope: c.parsed("scope", rows::scope)?,
            methods: c.parsed("methods", rows::texts)?,
            ticket: c.maybe("ticket", rows::ticket_id)?,
            place: sign_in_history::place(&mut c)?,
            client_epoch: None,
            issuer: None,
        };
        let (expires_at, wrong) = (c.time("expires_at")?, c.small("wrong")?);
        let (is_answered, state_epoch) = (c.flag("answered")?, c.number("state_epoch")?);
        let at = c.maybe_time("answered_at")?;
        let delivery = deliveries::answer_delivery(&mut c)?.map(Box::new);
        let answered = match (is_answered, at, delivery) {
            (true, Some(at), delivery) => Some(Answered { at, delivery }),
            (false, None, None) => None,
            (true, None, _) | (false, _, _) => return Err(c.unreadable("answered_at")),
        };
        sign_in.client_epoch = c.maybe_number("client_epoch")?;
        let issuer = c.maybe("issuer", rows::client_id)?;
        sign_in.issuer = c.issuer(issuer)?;
        let issued_at = c.time("issued_at")?;
        Ok(Challenge {
            digest,
            sign_in,
            user_epoch,
            actor_epoch,
            expires_at,
            wrong,
            answered,
            state_epoch,
            issued_at,
        })
    })
}

/// Inserts a challenge, and checks that its user exists: no foreign key does.
pub(super) fn insert_challenge(db: &Connection, challenge: &Challenge) -> Result<(), TransactionError> {
    let sign_in = &challenge.sign_in;
    let delivery = DeliveryColumns::of_answer(challenge.answered.as_ref());
    one(
        db,
        "INSERT INTO challenges (digest, user_id, actor, reason, client_id, for_audience, bind, scope, methods, ticket, \
         expires_at, wrong, answered, user_epoch, actor_epoch, device, network, state_epoch, answered_at, delivery_request, \
         delivery_salt, delivery_session, delivery_refresh, repeated, client_epoch, issuer, issuer_epoch, issued_at) \
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, \
         ?24, ?25, ?26, ?27, ?28 FROM users WHERE id = ?2",
        params![
            challenge.digest.0,
            sign_in.user_id.as_str(),
            sign_in.impersonation.as_ref().map(|i| i.actor.as_str()),
            sign_in.impersonation.as_ref().map(|i| i.reason.as_str()),
            sign_in.client_id.as_str(),
            sign_in.for_audience,
            sign_in.bind,
            sign_in.scope.as_str(),
            json(&sign_in.methods)?,
            sign_in.ticket.as_ref().map(|id| id.as_str()),
            stamp(challenge.expires_at),
            challenge.wrong,
            challenge.answered.is_some(),
            signed(challenge.user_epoch)?,
            challenge.actor_epoch.map(signed).transpose()?,
            sign_in.place.device.0,
            sign_in.place.network.to_string(),
            signed(challenge.state_epoch)?,
            challenge.answered.as_ref().map(|answered| stamp(answered.at)),
            delivery.request,
            delivery.salt,
            delivery.session,
            delivery.refresh,
            delivery.repeated,
            sign_in.client_epoch.map(signed).transpose()?,
            sign_in.issuer.as_ref().map(|issuer| issuer.id.as_str()),
            sign_in.issuer.as_ref().map(|issuer| signed(issuer.epoch)).transpose()?,
            stamp(challenge.issued_at),
        ],
    )
}

pub(super) fn count_wrong(
    db: &Connection,
    digest: &ChallengeDigest,
    wrong: u32,
    answered: bool,
) -> Result<(), TransactionError> {
    one(
        db,
        "UPDATE challenges SET wrong = wrong + 1 WHERE digest = ?1 AND wrong = ?2 AND answered = ?3",
        params![digest.0, wrong, answered],
    )
}
