//! `/mfa/totp/devices`: a person sees their devices, and removes one.

use alloc::{borrow::ToOwned, string::String, vec::Vec};
use core::convert::Infallible;

use super::{counter, event, wrong_code};
use crate::api::context::place;
use crate::api::description::Description;
use crate::api::endpoint::{Basis, Call, Decided, Next};
use crate::api::lockout::dates_ignored;
use crate::api::person::{BearerEndpoint, PendingChange, Person};
use crate::api::shapes::DeviceEntry;
use crate::base::secret::SecretText;
use crate::base::time::Time;
use crate::http::problem::Problem;
use crate::http::request_error::RequestError;
use crate::http::shape::{ReadBody, body};
use crate::policy::second_factor::{Method, accept};
use crate::policy::totp::{STEP, accepted_step};
use crate::records::factor::TotpDevice;
use crate::records::session::Purpose;
use crate::records::sign_in_history::DeviceOnNetwork;
use crate::store::audit::Kind;
use crate::store::change::Change;
use crate::store::query::FactorsRecords;

/// `GET`: the devices.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct ListDevices;

/// `DELETE`: a device is taken away, for a code of any that counts.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct RemoveDevice {
    device: String,
    code: SecretText,
    place: DeviceOnNetwork,
}

impl BearerEndpoint for ListDevices {
    type Records = FactorsRecords;
    type Pending = Infallible;
    type Hash = Infallible;

    const DESCRIPTION: Description =
        Description::new("Lists one's TOTP devices").done_with::<Vec<DeviceEntry<'_>>>();
    const PURPOSE: Option<Purpose> = Some(Purpose::Enrol);

    fn parse(_: &Call<'_>) -> Result<Self, RequestError> {
        Ok(Self)
    }

    fn decide(&self, basis: &Basis<'_>, _: &Person<'_>, records: &FactorsRecords) -> Decided {
        let entries: Vec<DeviceEntry<'_>> = records.factors.devices.iter().map(entry).collect();
        Ok(basis.ctx.done(Some(entries)).into())
    }
}

fn entry(device: &TotpDevice) -> DeviceEntry<'_> {
    DeviceEntry {
        device_id: device.id.as_str(),
        device_name: device.name.as_deref(),
        algorithm: device.parameters.hash.as_str(),
        digits: device.parameters.digits,
        period: STEP,
        verified: device.verified_at.is_some(),
        created_at: device.created_at.rfc3339(),
    }
}

body! {
    /// A code, for which a device is taken away.
    struct RemoveDeviceBody {
        /// A code of any device that counts.
        code: SecretText = "123456",
    }
}

impl BearerEndpoint for RemoveDevice {
    type Records = FactorsRecords;
    type Pending = PendingChange;
    type Hash = Infallible;

    const DESCRIPTION: Description = Description::new("Removes a TOTP device")
        .takes::<RemoveDeviceBody>()
        .refuses(&[Problem::CodeRefused, Problem::DeviceUnknown]);
    const PURPOSE: Option<Purpose> = Some(Purpose::Enrol);
    const GUESSES: bool = true;

    fn parse(call: &Call<'_>) -> Result<Self, RequestError> {
        let RemoveDeviceBody { code } = RemoveDeviceBody::of_json(call.request)?;
        Ok(Self { device: call.id().to_owned(), code, place: place(call.request)? })
    }

    fn compares(&self, _: &Person<'_>, records: &FactorsRecords, _: Time) -> bool {
        records.factors.devices.iter().any(|device| device.id.as_str() == self.device)
    }

    /// Takes a device away for a code of one that counts; one that does not count yet goes for a code of its own too.
    fn decide(
        &self,
        basis: &Basis<'_>,
        person: &Person<'_>,
        records: &FactorsRecords,
    ) -> Decided<PendingChange> {
        let (ctx, user, code, clocks) = (basis.ctx, person.user, self.code.expose(), basis.clocks());
        let (factors, counter) = (&records.factors, counter(person, records, &self.place));
        let device = factors.devices.iter().find(|device| device.id.as_str() == self.device);
        let device = device.ok_or_else(|| ctx.problem(Problem::DeviceUnknown))?;
        let mut changes = person.conditions();
        let own = device.verified_at.is_none().then(|| accepted_step(device, code, clocks)).flatten();
        match (own, accept(factors, &counter, Method::Totp, code, clocks)) {
            (Some(_), _) => {}
            (None, Ok(used)) => {
                changes.extend(dates_ignored(ctx, &counter, &used));
                changes.extend(used);
            }
            (None, Err(refusal)) => {
                let changes = wrong_code(ctx, person, &counter, Some(&device.id), refusal);
                return Ok(Next::commit(changes, PendingChange::Refused(Problem::CodeRefused, refusal)));
            }
        }
        let mut left = factors.verified().filter(|other| other.id != device.id);
        if device.verified_at.is_some() && left.next().is_none() {
            changes.push(Change::DropBackupCodes(user.id.clone()));
        }
        changes.push(Change::DeleteDevice { id: device.id.clone(), counts: device.verified_at.is_some() });
        changes.push(Change::Audit(event(ctx, person, Kind::DeviceRemoved, &device.id)));
        Ok(Next::commit_in(basis.state_epoch, changes, PendingChange::Done))
    }
}
