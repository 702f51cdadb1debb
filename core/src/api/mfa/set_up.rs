//! `POST /mfa/totp/setup`: a new device, and backup codes with the first one.

use alloc::{borrow::ToOwned, string::String, vec::Vec};
use core::convert::Infallible;

use super::{counter, event, wrong_code};
use crate::api::context::{Context, place};
use crate::api::description::Description;
use crate::api::endpoint::{Basis, Call, Decided, Next, Pending};
use crate::api::lockout::dates_ignored;
use crate::api::mfa::otpauth::{otpauth_uri, qr_data_uri, secret_text};
use crate::api::person::{BearerEndpoint, Person};
use crate::api::reply::Reply;
use crate::api::shapes::Enrolment;
use crate::base::secret::SecretText;
use crate::base::time::Time;
use crate::engine::Engine;
use crate::http::problem::Problem;
use crate::http::request_error::RequestError;
use crate::http::shape::{ReadBody, body};
use crate::policy::enrolment::{MAX_NAME, SetUp, SetUpError, backup_codes, device};
use crate::policy::second_factor::{Method, accept, has_shown};
use crate::records::id::UserId;
use crate::records::session::Purpose;
use crate::records::sign_in_history::DeviceOnNetwork;
use crate::store::audit::{Kind, Refusal};
use crate::store::change::Change;
use crate::store::query::FactorsRecords;

/// A new device, for an account that is called so in the authenticator. Whoever has not shown a factor yet shows one by its
/// code.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct SetUpDevice {
    account: Option<String>,
    name: Option<String>,
    code: Option<SecretText>,
    place: DeviceOnNetwork,
}

/// A device that is about to be durable, or the refusal of one.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) enum PendingDevice {
    SetUp {
        account: String,
        name: Option<String>,
        user: UserId,
        /// Backup codes come with it.
        with_codes: bool,
    },
    Refused(Refusal),
}

body! {
    /// A device to be set up.
    struct SetUpDeviceBody {
        /// The name of the account in the authenticator; the user name by default.
        account: Option<String> [length(1, MAX_NAME).plain()],
        /// The name of the device.
        device_name: Option<String> [length(1, MAX_NAME).plain()] = "Phone",
        /// A code of a factor that counts, where the session has not shown one.
        code: Option<SecretText>,
    }
}

impl BearerEndpoint for SetUpDevice {
    type Records = FactorsRecords;
    type Pending = PendingDevice;
    type Hash = Infallible;

    const DESCRIPTION: Description = Description::new("Sets up a TOTP device")
        .takes::<SetUpDeviceBody>()
        .done_with::<Enrolment<'_>>()
        .refuses(&[Problem::CodeRefused, Problem::TooManyDevices, Problem::SecondFactorFirst]);
    const PURPOSE: Option<Purpose> = Some(Purpose::Enrol);
    const GUESSES: bool = true;

    fn parse(call: &Call<'_>) -> Result<Self, RequestError> {
        let SetUpDeviceBody { account, device_name, code } = SetUpDeviceBody::of_json(call.request)?;
        Ok(Self { account, name: device_name, code, place: place(call.request)? })
    }

    fn compares(&self, person: &Person<'_>, records: &FactorsRecords, _: Time) -> bool {
        let factors = &records.factors;
        self.code.is_some() && factors.is_enrolled() && !has_shown(person.session, factors)
    }

    fn decide(
        &self,
        basis: &Basis<'_>,
        person: &Person<'_>,
        records: &FactorsRecords,
    ) -> Decided<PendingDevice> {
        let (ctx, user, factors) = (basis.ctx, person.user, &records.factors);
        let counter = counter(person, records, &self.place);
        let mut changes = person.conditions();
        let vouched_for = match (has_shown(person.session, factors), &self.code) {
            (true, _) => true,
            (false, _) if !factors.is_enrolled() => false,
            (false, None) => {
                return Err(ctx.refuse(Problem::SecondFactorFirst, Refusal::SecondFactorMissing));
            }
            (false, Some(code)) => {
                match accept(factors, &counter, Method::Totp, code.expose(), basis.clocks()) {
                    Err(refusal) => {
                        let changes = wrong_code(ctx, person, &counter, None, refusal);
                        return Ok(Next::commit(changes, PendingDevice::Refused(refusal)));
                    }
                    Ok(used) => {
                        changes.extend(dates_ignored(ctx, &counter, &used));
                        changes.extend(used);
                        true
                    }
                }
            }
        };
        let (parameters, name) = (basis.settings().totp, self.name.clone());
        let set_up = SetUp::prepare(parameters, &user.id, factors, name, vouched_for, &ctx.inputs);
        let set_up = set_up.map_err(|error| match error {
            SetUpError::TooMany => ctx.problem(Problem::TooManyDevices),
            SetUpError::Nameless => ctx.internal(),
        })?;
        for device in &set_up.abandoned {
            changes.push(Change::Audit(event(ctx, person, Kind::DeviceRemoved, device)));
        }
        changes.push(Change::Audit(event(ctx, person, Kind::DeviceAdded, &set_up.device.id)));
        changes.extend(set_up.changes());
        let pending = PendingDevice::SetUp {
            account: self.account.clone().unwrap_or_else(|| user.username.as_str().to_owned()),
            name: self.name.clone(),
            user: user.id.clone(),
            with_codes: set_up.codes.is_some(),
        };
        Ok(Next::commit_in(basis.state_epoch, changes, pending))
    }
}

impl Pending for PendingDevice {
    fn applied(self, ctx: &Context, engine: &Engine) -> Reply {
        match self {
            Self::Refused(refusal) => ctx.refuse(Problem::CodeRefused, refusal),
            Self::SetUp { account, name, user, with_codes } => {
                enrolment(ctx, engine, (&account, name), &user, with_codes).unwrap_or_else(|| ctx.internal())
            }
        }
    }
}

/// Makes the device's secret and the backup codes, here and nowhere earlier.
fn enrolment(
    ctx: &Context,
    engine: &Engine,
    (account, name): (&str, Option<String>),
    user: &UserId,
    with_codes: bool,
) -> Option<Reply> {
    let device = device(engine.settings().totp, user, name, false, &ctx.inputs)?;
    let uri = otpauth_uri(&device, &engine.settings().totp_issuer, account);
    let picture = qr_data_uri(&uri)?;
    let codes = with_codes.then(|| backup_codes(&ctx.inputs));
    let codes = codes.as_ref().map(|codes| codes.iter().map(|code| code.as_str()).collect::<Vec<_>>());
    Some(ctx.done(Some(Enrolment {
        device_id: device.id.as_str(),
        secret: &secret_text(&device),
        qr_code: &picture,
        qr_code_url: &uri,
        backup_codes: codes,
    })))
}
