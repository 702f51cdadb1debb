//! Second factors: a person sets up authenticators, verifies their first code, lists and removes them. An impersonated
//! session can do none of it.

use alloc::{borrow::ToOwned, vec::Vec};

use crate::api::context::Context;
use crate::api::lockout::count_wrong;
use crate::api::person::Person;
use crate::policy::guess_counter::GuessCounter;
use crate::records::id::DeviceId;
use crate::records::sign_in_history::DeviceOnNetwork;
use crate::store::audit::{Event, Kind, Refusal};
use crate::store::change::Change;
use crate::store::query::FactorsRecords;

pub(crate) mod devices;
pub mod otpauth;
pub(crate) mod set_up;
pub(crate) mod verify;

/// Returns an audit event about a device.
fn event(ctx: &Context, person: &Person<'_>, kind: Kind, device: &DeviceId) -> Event {
    Event { key: Some(device.as_str().to_owned()), ..person.event(ctx, kind) }
}

/// Returns the count of wrong codes that one from `place` adds to.
fn counter(person: &Person<'_>, records: &FactorsRecords, place: &DeviceOnNetwork) -> GuessCounter {
    GuessCounter::of_factors(&person.user.id, &records.factors, &records.history, place)
}

/// Returns what is written of a wrong code; `device` where it was meant for one. While every code is refused that is a row and
/// nothing else: the server counts rows that say the same instead of writing them.
fn wrong_code(
    ctx: &Context,
    person: &Person<'_>,
    counter: &GuessCounter,
    device: Option<&DeviceId>,
    refusal: Refusal,
) -> Vec<Change> {
    let mut changes = count_wrong(ctx, counter);
    if !counter.is_locked(ctx.now()) {
        changes.push(Change::CountFailure { user: person.user.id.clone(), at: ctx.now() });
    }
    let key = device.map(|id| id.as_str().to_owned());
    changes.push(Change::Audit(Event {
        key,
        refusal: Some(refusal),
        ..person.event(ctx, Kind::FactorRefused)
    }));
    changes
}
