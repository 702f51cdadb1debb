//! Passwords: their hashes, and their counts of wrong guesses.

use gatepass_core::records::factor::Lockout;
use gatepass_core::records::id::UserId;
use gatepass_core::records::password::{Password, PasswordHash};
use rusqlite::{Connection, params, params_from_iter};

use super::apply::one;
use super::read::first;
use super::transaction_error::TransactionError;
use super::values::decoder;
use crate::store::rows::{self, Value, columns};

/// Returns the password of `user`, if they have one.
pub(super) fn of(db: &Connection, user: &UserId) -> Result<Option<Password>, TransactionError> {
    let sql = concat!("SELECT ", columns!(password_values), " FROM passwords WHERE user_id = ?1");
    first(db, sql, [user.as_str()], decoder("passwords", rows::password))
}

pub(super) fn set(db: &Connection, user: &UserId, hash: &PasswordHash) -> Result<(), TransactionError> {
    let password = Password { hash: hash.clone(), lockout: Lockout::NONE };
    one(
        db,
        concat!(
            "INSERT INTO passwords (",
            columns!(passwords),
            ") VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT (user_id) DO UPDATE SET hash = ?2, wrong = ?3, locks = ?4, locked_until = ?5"
        ),
        params_from_iter([Value::from(user.as_str())].into_iter().chain(rows::password_values(&password))),
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
        params_from_iter(
            [Value::from(user.as_str())]
                .into_iter()
                .chain(rows::lockout_values(before))
                .chain(rows::lockout_values(after)),
        ),
    )
}
