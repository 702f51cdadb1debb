//! The counts of wrong passwords and codes that `gatepass user show` prints.

use std::fmt;

use gatepass_core::base::time::Time;
use gatepass_core::records::factor::Lockout;
use gatepass_core::records::sign_in_history::DeviceOnNetwork;
use gatepass_core::store::query::AccountRecords;
use serde_json::{Value, json};

/// Returns the wrong passwords and codes that are counted of a user, for a program or for people; none where nothing is.
pub(super) fn of(account: &AccountRecords, json: bool) -> Option<Value> {
    let counted = counted(account);
    match counted.as_slice() {
        [] => None,
        some if json => Some(some.iter().map(Counted::json).collect()),
        some => Some(some.iter().map(Counted::to_string).collect::<Vec<_>>().join("; ").into()),
    }
}

/// Wrong guesses that are counted.
struct Counted {
    of: &'static str,
    /// The place that they came from; none is everywhere else.
    place: Option<DeviceOnNetwork>,
    lockout: Lockout,
}

impl Counted {
    fn json(&self) -> Value {
        json!({
            "of": self.of,
            "device": self.place.map(|place| place.device.to_string()),
            "network": self.place.map(|place| place.network.to_string()),
            "wrong": self.lockout.wrong,
            "locked_until": self.lockout.locked_until.map(Time::rfc3339),
        })
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} wrong {}", self.lockout.wrong, self.of)?;
        match self.place {
            Some(place) => write!(f, " from device {} in {}", place.device, place.network)?,
            None => f.write_str(" from other places")?,
        }
        self.lockout.locked_until.map_or(Ok(()), |until| write!(f, ", locked until {}", until.rfc3339()))
    }
}

/// Returns the wrong passwords and codes that are counted of a user.
fn counted(AccountRecords { password, factors, history, .. }: &AccountRecords) -> Vec<Counted> {
    let password = password.as_ref().map_or(Lockout::NONE, |password| password.lockout);
    let of_account = [("passwords", None, password), ("codes", None, factors.lockout)];
    let of_places = history.with_lockouts().flat_map(|known| {
        [("passwords", Some(known.place), known.password), ("codes", Some(known.place), known.factors)]
    });
    let counted = of_account.into_iter().chain(of_places).filter(|(.., lockout)| *lockout != Lockout::NONE);
    counted.map(|(of, place, lockout)| Counted { of, place, lockout }).collect()
}
