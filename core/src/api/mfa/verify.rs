//! `POST /mfa/totp/verify`: the first code of a device, which counts from then on.

use alloc::string::String;
use core::convert::Infallible;

use super::{counter, event, wrong_code};
use crate::api::context::place;
use crate::api::description::Description;
use crate::api::endpoint::{Basis, Call, Decided, Next};
use crate::api::lockout::dates_ignored;
use crate::api::person::{BearerEndpoint, PendingChange, Person};
use crate::base::secret::SecretText;
use crate::base::time::Time;
use crate::http::problem::Problem;
use crate::http::request_error::RequestError;
use crate::http::shape::{ReadBody, body};
use crate::policy::enrolment::{verified, waiting};
use crate::policy::second_factor::has_shown;
use crate::records::session::Purpose;
use crate::records::sign_in_history::DeviceOnNetwork;
use crate::store::audit::{Kind, Refusal};
use crate::store::change::Change;
use crate::store::query::FactorsRecords;

/// A first code of a device: of the newest that waits for one, unless one is named.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct VerifyDevice {
    device: Option<String>,
    code: SecretText,
    place: DeviceOnNetwork,
}

body! {
    /// A first code of a device.
    struct VerifyDeviceBody {
        /// The code.
        code: SecretText = "123456",
        /// The id of the device; the newest that waits for a code by default.
        device_id: Option<String>,
    }
}

impl BearerEndpoint for VerifyDevice {
    type Records = FactorsRecords;
    type Pending = PendingChange;
    type Hash = Infallible;

    const DESCRIPTION: Description = Description::new("Verifies the first code of a TOTP device")
        .takes::<VerifyDeviceBody>()
        .refuses(&[Problem::CodeRefused, Problem::SecondFactorFirst]);
    const PURPOSE: Option<Purpose> = Some(Purpose::Enrol);
    const GUESSES: bool = true;

    fn parse(call: &Call<'_>) -> Result<Self, RequestError> {
        let VerifyDeviceBody { code, device_id: device } = VerifyDeviceBody::of_json(call.request)?;
        Ok(Self { device, code, place: place(call.request)? })
    }

    /// Whoever holds the session of somebody without a factor could as well set up a device of their own: there is nothing to
    /// guess.
    fn compares(&self, _: &Person<'_>, records: &FactorsRecords, now: Time) -> bool {
        let factors = &records.factors;
        factors.is_enrolled() && waiting(factors, self.device.as_deref(), now).is_some()
    }

    fn decide(
        &self,
        basis: &Basis<'_>,
        person: &Person<'_>,
        records: &FactorsRecords,
    ) -> Decided<PendingChange> {
        let (ctx, now, session, factors) = (basis.ctx, basis.now(), person.session, &records.factors);
        let counter = counter(person, records, &self.place);
        let refused = |refusal| ctx.refuse(Problem::CodeRefused, refusal);
        let device = waiting(factors, self.device.as_deref(), now);
        let device = device.ok_or_else(|| refused(Refusal::CodeWrong))?;
        let wrong = |refusal| {
            let changes = wrong_code(ctx, person, &counter, Some(&device.id), refusal);
            Ok(Next::commit(changes, PendingChange::Refused(Problem::CodeRefused, refusal)))
        };
        let enrolled = factors.is_enrolled();
        // A first code beside a factor that counts is one shown, so guesses at it are guesses at them.
        if enrolled && counter.is_locked(now) {
            return wrong(Refusal::FactorsLocked);
        }
        let counted = verified(factors, device, self.code.expose(), Some(&session.id), basis.clocks());
        let Some(counted) = counted else {
            if enrolled {
                return wrong(Refusal::CodeWrong);
            }
            return Err(refused(Refusal::CodeWrong));
        };
        if enrolled && !device.vouched_for && !has_shown(session, factors) {
            return Err(ctx.refuse(Problem::SecondFactorFirst, Refusal::SecondFactorMissing));
        }
        let mut changes = person.conditions();
        if enrolled {
            changes.extend(dates_ignored(ctx, &counter, &[]));
            changes.push(counter.begin_anew());
        }
        changes.extend(counted);
        changes.push(Change::Audit(event(ctx, person, Kind::DeviceVerified, &device.id)));
        Ok(Next::commit_in(basis.state_epoch, changes, PendingChange::Done))
    }
}
