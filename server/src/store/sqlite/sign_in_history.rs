//! The devices, networks and hours of each user's sign-ins: one row for each user.

use gatepass_core::base::time::Time;
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
    let sql = "SELECT hours, places, failures FROM habits WHERE user_id = ?1";
    let history = first(db, sql, [user.as_str()], |row| {
        let mut c = Columns::of(row, "habits");
        Ok(SignInHistory {
            hours: c.parsed("hours", |text| serde_json::from_str(text).ok())?,
            places: c.parsed("places", places)?,
            failures: c.parsed("failures", failures)?,
        })
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
        Some(KnownPlace { place, last_at: Time::from_unix(last_at) })
    };
    kept.into_iter().map(place).collect()
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
    let kept = |known: &KnownPlace| -> Kept {
        let DeviceOnNetwork { device, network } = known.place;
        (hex(&device.0).as_str().to_owned(), network.to_string(), known.last_at.unix())
    };
    let places: Vec<Kept> = history.places.iter().map(kept).collect();
    let failures: Vec<u64> = history.failures.iter().map(|at| at.unix()).collect();
    one(
        db,
        "INSERT INTO habits (user_id, hours, places, failures) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (user_id) \
         DO UPDATE SET hours = excluded.hours, places = excluded.places, failures = excluded.failures",
        params![user.as_str(), json(&history.hours)?, json(&places)?, json(&failures)?],
    )
}
