//! Passwords: their hashes, and their counts of wrong guesses.

use gatepass_core::records::factor::Lockout;
use gatepass_core::records::id::UserId;
use gatepass_core::records::password::{Password, PasswordHash};
use rusqlite::{Connection, Row, params};

use super::apply::one;
use super::read::first;
use super::rows::{Columns, stamp};
use super::transaction_error::TransactionError;

/// Returns the password of `user`, if they have one.
pub(super) fn of(db: &Connection, user: &UserId) -> Result<Option<Password>, TransactionError> {
    let sql = "SELECT hash, wrong, locks, locked_until FROM passwords WHERE user_id = ?1";
    first(db, sql, [user.as_str()], |row: &Row<'_>| {
        let mut c = Columns::of(row, "passwords");
        let hash = c.parsed("hash", |text| PasswordHash::parse(text).ok())?;
        Ok(Password { hash, lockout: c.lockout()? })
    })
}

pub(super) fn set(db: &Connection, user: &UserId, hash: &PasswordHash) -> Result<(), TransactionError> {
    one(
        db,
        "INSERT INTO passwords (user_id, hash, wrong, locks) VALUES (?1, ?2, 0, 0) \
         ON CONFLICT (user_id) DO UPDATE SET hash = ?2, wrong = 0, locks = 0, locked_until = NULL",
        params![user.as_str(), hash.as_str()],
    )
}

pub(super) fn replace(
    db: &Connection,
    user: &UserId,
    before: &PasswordHash,
    after: &PasswordHash,
) -> Result<(), TransactionError> {
    one(
        db,
        "UPDATE passwords SET hash = ?3 WHERE user_id = ?1 AND hash = ?2",
        params![user.as_str(), before.as_str(), after.as_str()],
    )
}

pub(super) fn set_guesses(
    db: &Connection,
    user: &UserId,
    before: &Lockout,
    after: &Lockout,
) -> Result<(), TransactionError> {
    one(
        db,
        "UPDATE passwords SET wrong = ?5, locks = ?6, locked_until = ?7 \
         WHERE user_id = ?1 AND wrong = ?2 AND locks = ?3 AND locked_until IS ?4",
        params![
            user.as_str(),
            before.wrong,
            before.locks,
            before.locked_until.map(stamp),
            after.wrong,
            after.locks,
            after.locked_until.map(stamp)
        ],
    )
}
