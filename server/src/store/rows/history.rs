//! Sign-in histories: the devices, networks and hours of a user's sign-ins, and the lockouts of the latest places.

use gatepass_core::base::time::Time;
use gatepass_core::records::factor::Lockout;
use gatepass_core::records::sign_in_history::{
    DeviceMark, DeviceOnNetwork, KnownPlace, Network, SignInHistory,
};

use super::row::{Columns, MalformedRow};
use super::value::Value;
use crate::secrets::master_key::{hex, unhex};

pub(in crate::store) fn history(c: &mut Columns<'_>) -> Result<SignInHistory, MalformedRow> {
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
}

pub(in crate::store) fn history_values(history: &SignInHistory) -> [Value<'static>; 4] {
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
    [Value::json(&history.hours), Value::json(&places), Value::json(&failures), Value::json(&lockouts)]
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
pub(super) fn place(c: &mut Columns<'_>) -> Result<DeviceOnNetwork, MalformedRow> {
    let device = DeviceMark(c.bytes("device")?);
    Ok(DeviceOnNetwork { device, network: c.parsed("network", Network::parse)? })
}
