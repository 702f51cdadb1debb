//! Second factors and challenges: read and written like everything else, their secrets sealed by the master key.

use gatepass_core::base::time::Time;
use gatepass_core::records::challenge::{Challenge, ChallengeDigest};
use gatepass_core::records::factor::{BackupDigest, Factors, Lockout, MAX_DEVICES, TotpDevice};
use gatepass_core::records::id::{DeviceId, SessionId, UserId};
use rusqlite::{Connection, params, params_from_iter};

use super::apply::one;
use super::read::{every, first};
use super::transaction_error::TransactionError;
use super::values::{decoder, signed};
use crate::secrets::master_key::MasterKey;
use crate::store::rows::{self, Columns, Value, columns, stamp};

/// Returns everything `user` could answer a challenge with.
pub(super) fn of(db: &Connection, master: &MasterKey, user: &UserId) -> Result<Factors, TransactionError> {
    let sql =
        concat!("SELECT ", columns!(totp_devices), " FROM totp_devices WHERE user_id = ?1 ORDER BY seq DESC");
    let device = |c: &mut Columns<'_>| rows::device(c, master);
    let devices = every(db, sql, [user.as_str()], decoder("totp_devices", device))?;
    let digest = decoder("backup_codes", |c| c.bytes("digest").map(BackupDigest));
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
        if master.open(&rows::device_purpose(&id), &sealed).is_none() {
            return Err(TransactionError::Row { table: "totp_devices", column: "sealed" });
        }
    }
    Ok(())
}

fn lockout(db: &Connection, user: &UserId) -> Result<Lockout, TransactionError> {
    let sql = concat!("SELECT ", columns!(lockout_values), " FROM factor_guesses WHERE user_id = ?1");
    let found = first(db, sql, [user.as_str()], decoder("factor_guesses", |c| c.lockout()))?;
    Ok(found.unwrap_or_default())
}

pub(super) fn insert_device(
    db: &Connection,
    master: &MasterKey,
    device: &TotpDevice,
) -> Result<(), TransactionError> {
    let sealed = master.seal(&rows::device_purpose(device.id.as_str()), device.secret.expose())?;
    let sql = format!(
        concat!(
            "INSERT INTO totp_devices (",
            columns!(totp_devices),
            ") SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11 \
             WHERE (SELECT count(*) FROM totp_devices WHERE user_id = ?2) < {}"
        ),
        MAX_DEVICES
    );
    one(db, &sql, params_from_iter(rows::device_values(device).into_iter().chain([Value::from(sealed)])))
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
        concat!(
            "INSERT INTO factor_guesses (",
            columns!(factor_guesses),
            ") VALUES (?1, ?2, ?3, ?4) ON CONFLICT (user_id) DO UPDATE SET wrong = ?2, locks = ?3, locked_until = ?4"
        ),
        params_from_iter([Value::from(user.as_str())].into_iter().chain(rows::lockout_values(after))),
    )
}

pub(super) fn challenge(
    db: &Connection,
    digest: &ChallengeDigest,
) -> Result<Option<Challenge>, TransactionError> {
    let sql = concat!("SELECT ", columns!(challenges), " FROM challenges WHERE digest = ?1");
    first(db, sql, [digest.0], decoder("challenges", rows::challenge))
}

/// Inserts a challenge, and checks that its user exists: no foreign key does.
pub(super) fn insert_challenge(db: &Connection, challenge: &Challenge) -> Result<(), TransactionError> {
    one(
        db,
        concat!(
            "INSERT INTO challenges (",
            columns!(challenges),
            ") SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, \
             ?22, ?23, ?24, ?25, ?26, ?27, ?28 FROM users WHERE id = ?2"
        ),
        params_from_iter(rows::challenge_values(challenge)),
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
