//! The devices, networks and hours of each user's sign-ins, and the lockouts of the latest places: one row for each user.

use gatepass_core::base::time::Time;
use gatepass_core::records::factor::{Lockout, LockoutOf};
use gatepass_core::records::id::UserId;
use gatepass_core::records::sign_in_history::{
    DeviceMark, DeviceOnNetwork, KnownPlace, Network, SignInHistory,
};
use rusqlite::{Connection, params};

use super::apply::{json, one};
use super::read::first;
use super::rows::Columns;
use super::transaction_error::TransactionError;
use crate::secrets::master_key::{hex, unhex};

/// Returns the history of `user`.
pub(super) fn of(db: &Connection, user: &UserId) -> Result<SignInHistory, TransactionError> {
    let sql = "SELECT hours, places, failures, lockouts FROM habits WHERE user_id = ?1";
    let history = first(db, sql, [user.as_str()], |row| {
        let mut c = Columns::of(row, "habits");
        let mut history = SignInHistory {
            hours: c.parsed("hours", |text| serde_json::from_str(text).ok())?,
            places: c.parsed("places", places)?,
            failures: c.parsed("failures", failures)?,
        };
        let lockouts: Vec<[KeptLockout; 2]> = c.parsed("lockouts", |text| serde_json::from_str(text).ok())?;
        for (known, [password, factors]) in history.places.iter_mut().zip(lockouts) {
            (known.password, known.factors) = (lockout(password), lockout(factors));
        }
        Ok(history)
    })?;
    Ok(history.unwrap_or_default())
}

fn failures(text: &str) -> Option<Vec<Time>> {
    let at: Vec<u64> = serde_json::from_str(text).ok()?;
    Some(at.into_iter().map(Time::from_unix).collect())
}

/// A device in a network, as stored.
type Kept = (String, String, u64);

fn places(text: &str) -> Option<Vec<KnownPlace>> {
    let kept: Vec<Kept> = serde_json::from_str(text).ok()?;
    let place = |(device, network, last_at): Kept| {
        let place =
            DeviceOnNetwork { device: DeviceMark(*unhex(&device)?), network: Network::parse(&network)? };
        Some(KnownPlace::new(place, Time::from_unix(last_at)))
    };
    kept.into_iter().map(place).collect()
}

/// Wrong guesses and locks in a row, and the end of the lock, as stored.
type KeptLockout = (u32, u32, Option<u64>);

fn lockout((wrong, locks, locked_until): KeptLockout) -> Lockout {
    Lockout { wrong, locks, locked_until: locked_until.map(Time::from_unix) }
}

fn kept_lockout(lockout: Lockout) -> KeptLockout {
    (lockout.wrong, lockout.locks, lockout.locked_until.map(Time::unix))
}

/// Reads the next two columns: a device in a network.
pub(super) fn place(c: &mut Columns<'_>) -> Result<DeviceOnNetwork, TransactionError> {
    let device = DeviceMark(c.bytes("device")?);
    Ok(DeviceOnNetwork { device, network: c.parsed("network", Network::parse)? })
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
    let kept = |known: &KnownPlace| -> Kept {
        let DeviceOnNetwork { device, network } = known.place;
        (hex(&device.0).as_str().to_owned(), network.to_string(), known.last_at.unix())
    };
    let places: Vec<Kept> = history.places.iter().map(kept).collect();
    let mut lockouts: Vec<_> = history
        .with_lockouts()
        .map(|known| [kept_lockout(known.password), kept_lockout(known.factors)])
        .collect();
    if lockouts.iter().flatten().all(|kept| *kept == kept_lockout(Lockout::NONE)) {
        lockouts.clear();
    }
    let failures: Vec<u64> = history.failures.iter().map(|at| at.unix()).collect();
    one(
        db,
        "INSERT INTO habits (user_id, hours, places, failures, lockouts) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (user_id) DO UPDATE SET hours = excluded.hours, places = excluded.places, \
         failures = excluded.failures, lockouts = excluded.lockouts",
        params![user.as_str(), json(&history.hours)?, json(&places)?, json(&failures)?, json(&lockouts)?],
    )
}
