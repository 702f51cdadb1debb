//! From where and when people usually sign in: a few rows each, bounded as they are written.

use gatepass_core::model::habit::{
    DeviceMark, Habit, KnownPlace, MAX_FAILURES, MAX_PLACES, Network, Place, hour_of,
};
use gatepass_core::model::id::UserId;
use gatepass_core::time::Time;
use rusqlite::{Connection, Row, params};

use super::apply::one;
use super::error::Trouble;
use super::read::every;
use super::rows::{Columns, stamp};

/// What is remembered of `user`.
pub(super) fn of(db: &Connection, user: &UserId) -> Result<Habit, Trouble> {
    let mut hours = [0; 24];
    let sql = "SELECT hour, times FROM sign_in_hours WHERE user_id = ?1";
    let known = every(db, sql, [user.as_str()], |row| {
        let mut c = Columns::of(row, "sign_in_hours");
        Ok((c.small("hour")?, c.small("times")?))
    })?;
    for (hour, times) in known {
        let slot = usize::try_from(hour).ok().and_then(|hour| hours.get_mut(hour));
        *slot.ok_or(Trouble::Row { table: "sign_in_hours", column: "hour" })? = times;
    }
    let at = |row: &Row<'_>| Columns::of(row, "sign_in_failures").time("at");
    let sql = "SELECT at FROM sign_in_failures WHERE user_id = ?1 ORDER BY seq DESC";
    Ok(Habit { places: places(db, user)?, hours, failures: every(db, sql, [user.as_str()], at)? })
}

/// Where they have signed in from, the latest first.
fn places(db: &Connection, user: &UserId) -> Result<Vec<KnownPlace>, Trouble> {
    let sql = "SELECT device, network, last_at FROM known_places WHERE user_id = ?1 \
               ORDER BY last_at DESC, device, network";
    every(db, sql, [user.as_str()], |row| {
        let mut c = Columns::of(row, "known_places");
        Ok(KnownPlace { place: place(&mut c)?, last_at: c.time("last_at")? })
    })
}

/// The next two columns, which are a place.
pub(super) fn place(c: &mut Columns<'_>) -> Result<Place, Trouble> {
    let device = DeviceMark(c.bytes("device")?);
    Ok(Place { device, network: c.parsed("network", Network::parse)? })
}

pub(super) fn learn(db: &Connection, user: &UserId, place: &Place, at: Time) -> Result<(), Trouble> {
    let network = place.network.to_string();
    let values = params![user.as_str(), place.device.0, network, stamp(at)];
    let known = "UPDATE known_places SET last_at = max(last_at, ?4) WHERE user_id = ?1 AND device = ?2 AND network = ?3";
    if db.prepare_cached(known)?.execute(values)? == 0 {
        one(
            db,
            "INSERT INTO known_places (user_id, device, network, last_at) VALUES (?1, ?2, ?3, ?4)",
            values,
        )?;
        let sql = format!(
            "DELETE FROM known_places WHERE user_id = ?1 AND (device, network) IN \
             (SELECT device, network FROM known_places WHERE user_id = ?1 \
             ORDER BY last_at DESC, device, network LIMIT -1 OFFSET {MAX_PLACES})"
        );
        db.prepare_cached(&sql)?.execute([user.as_str()])?;
    }
    one(
        db,
        "INSERT INTO sign_in_hours (user_id, hour, times) VALUES (?1, ?2, 1) \
         ON CONFLICT (user_id, hour) DO UPDATE SET times = min(times + 1, 4294967295)",
        params![user.as_str(), i64::try_from(hour_of(at)).unwrap_or_default()],
    )
}

pub(super) fn count_failure(db: &Connection, user: &UserId, at: Time) -> Result<(), Trouble> {
    one(db, "INSERT INTO sign_in_failures (user_id, at) VALUES (?1, ?2)", params![user.as_str(), stamp(at)])?;
    let sql = format!(
        "DELETE FROM sign_in_failures WHERE user_id = ?1 AND seq <= \
         (SELECT seq FROM sign_in_failures WHERE user_id = ?1 ORDER BY seq DESC LIMIT 1 OFFSET {MAX_FAILURES})"
    );
    db.prepare_cached(&sql)?.execute([user.as_str()])?;
    Ok(())
}
