//! The devices, networks and hours of each user's sign-ins, and the lockouts of the latest places: one row for each user.

use gatepass_core::base::time::Time;
use gatepass_core::records::factor::{Lockout, LockoutOf};
use gatepass_core::records::id::UserId;
use gatepass_core::records::sign_in_history::{DeviceOnNetwork, SignInHistory};
use rusqlite::{Connection, params_from_iter};

use super::apply::one;
use super::read::first;
use super::transaction_error::TransactionError;
use super::values::decoder;
use crate::store::rows::{self, Value, columns};

/// Returns the history of `user`.
pub(super) fn of(db: &Connection, user: &UserId) -> Result<SignInHistory, TransactionError> {
    let sql = concat!("SELECT ", columns!(habit_values), " FROM habits WHERE user_id = ?1");
    Ok(first(db, sql, [user.as_str()], decoder("habits", rows::history))?.unwrap_or_default())
}

pub(super) fn learn(
    db: &Connection,
    user: &UserId,
    place: DeviceOnNetwork,
    at: Time,
) -> Result<(), TransactionError> {
    change(db, user, |history| history.learn(place, at))
}

/// Sets the lockout that `place` has of its own, if it is `before`.
pub(super) fn set_lockout(
    db: &Connection,
    user: &UserId,
    (place, of): (&DeviceOnNetwork, LockoutOf),
    before: &Lockout,
    after: &Lockout,
) -> Result<(), TransactionError> {
    let mut history = self::of(db, user)?;
    if history.lockout(of, place) != Some(*before) {
        return Err(TransactionError::Conflict);
    }
    if before == after {
        return Ok(());
    }
    history.set_lockout(of, place, *after);
    write(db, user, &history)
}

pub(super) fn fail(db: &Connection, user: &UserId, at: Time) -> Result<(), TransactionError> {
    change(db, user, |history| history.fail(at))
}

fn change(
    db: &Connection,
    user: &UserId,
    change: impl FnOnce(&mut SignInHistory),
) -> Result<(), TransactionError> {
    let mut history = of(db, user)?;
    change(&mut history);
    write(db, user, &history)
}

fn write(db: &Connection, user: &UserId, history: &SignInHistory) -> Result<(), TransactionError> {
    one(
        db,
        concat!(
            "INSERT INTO habits (",
            columns!(habits),
            ") VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (user_id) DO UPDATE SET hours = excluded.hours, \
             places = excluded.places, failures = excluded.failures, lockouts = excluded.lockouts"
        ),
        params_from_iter([Value::from(user.as_str())].into_iter().chain(rows::history_values(history))),
    )
}
