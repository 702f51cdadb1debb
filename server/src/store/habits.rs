//! From where and when people usually sign in: a row for each of them.

use gatepass_core::model::habit::{DeviceMark, Habit, KnownPlace, Network, Place};
use gatepass_core::model::id::UserId;
use gatepass_core::time::Time;
use rusqlite::{Connection, params};

use super::apply::{json, one};
use super::error::Trouble;
use super::read::first;
use super::rows::Columns;
use crate::master_key::{hex, unhex};

/// What is remembered of `user`.
pub(super) fn of(db: &Connection, user: &UserId) -> Result<Habit, Trouble> {
    let sql = "SELECT hours, places, failures FROM habits WHERE user_id = ?1";
    let habit = first(db, sql, [user.as_str()], |row| {
        let mut c = Columns::of(row, "habits");
        Ok(Habit {
            hours: c.parsed("hours", |text| serde_json::from_str(text).ok())?,
            places: c.parsed("places", places)?,
            failures: c.parsed("failures", failures)?,
        })
    })?;
    Ok(habit.unwrap_or_default())
}

fn failures(text: &str) -> Option<Vec<Time>> {
    let at: Vec<u64> = serde_json::from_str(text).ok()?;
    Some(at.into_iter().map(Time::from_unix).collect())
}

/// A place as its row has it.
type Kept = (String, String, u64);

fn places(text: &str) -> Option<Vec<KnownPlace>> {
    let kept: Vec<Kept> = serde_json::from_str(text).ok()?;
    let place = |(device, network, last_at): Kept| {
        let place = Place { device: DeviceMark(*unhex(&device)?), network: Network::parse(&network)? };
        Some(KnownPlace { place, last_at: Time::from_unix(last_at) })
    };
    kept.into_iter().map(place).collect()
}

/// The next two columns, which are a place.
pub(super) fn place(c: &mut Columns<'_>) -> Result<Place, Trouble> {
    let device = DeviceMark(c.bytes("device")?);
    Ok(Place { device, network: c.parsed("network", Network::parse)? })
}

pub(super) fn learn(db: &Connection, user: &UserId, place: Place, at: Time) -> Result<(), Trouble> {
    change(db, user, |habit| habit.learn(place, at))
}

pub(super) fn fail(db: &Connection, user: &UserId, at: Time) -> Result<(), Trouble> {
    change(db, user, |habit| habit.fail(at))
}

fn change(db: &Connection, user: &UserId, change: impl FnOnce(&mut Habit)) -> Result<(), Trouble> {
    let mut habit = of(db, user)?;
    change(&mut habit);
    let kept = |known: &KnownPlace| -> Kept {
        let Place { device, network } = known.place;
        (hex(&device.0).as_str().to_owned(), network.to_string(), known.last_at.unix())
    };
    let places: Vec<Kept> = habit.places.iter().map(kept).collect();
    let failures: Vec<u64> = habit.failures.iter().map(|at| at.unix()).collect();
    one(
        db,
        "INSERT INTO habits (user_id, hours, places, failures) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (user_id) \
         DO UPDATE SET hours = excluded.hours, places = excluded.places, failures = excluded.failures",
        params![user.as_str(), json(&habit.hours)?, json(&places)?, json(&failures)?],
    )
}
