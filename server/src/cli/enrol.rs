//! Second factors on the command line: set up with a QR code, verified, or taken away.

use gatepass_core::api::mfa::otpauth::{otpauth_uri, qr_blocks, secret_text};
use gatepass_core::base::time::Clocks;
use gatepass_core::policy::enrolment::{MAX_NAME, NotSetUp, SetUp, verified, waiting};
use gatepass_core::records::factor::{Lockout, TotpDevice};
use gatepass_core::records::id::DeviceId;
use gatepass_core::records::user::User;
use gatepass_core::store::audit::{Event, Kind};
use gatepass_core::store::change::Change;
use serde_json::Value;

use super::context::{self, Context, Site};
use super::edit::{ATTEMPTS, text};
use super::failure::Failure;
use super::output::Record;
use super::user::{event, find};
use crate::config::Given;

/// An audit row about a device.
fn about(kind: Kind, user: &User, device: &DeviceId, site: &Site) -> Change {
    let subject = Some(user.id.clone());
    Change::Audit(Event { subject, key: Some(device.as_str().into()), ..Event::new(kind, site.now) })
}

fn shown(user: &User) -> Record {
    Record::new().with("id", user.id.as_str()).with("username", user.username.as_str())
}

fn changing(who: &str) -> Failure {
    Failure::failed(format!("the factors of {who:?} keep changing: try again"))
}

/// Sets up a device, and prints what an authenticator needs, once.
pub(super) fn set_up(context: &Context, who: &str, name: Option<&str>) -> Result<(), Failure> {
    let name = name.map(|name| text("a device's name", name, MAX_NAME)).transpose()?.flatten();
    let config = context.config(Given::default())?;
    let issuer = config.issuer.as_ref().map_or("gatepass", |issuer| issuer.authority());
    let parameters = context::otp_parameters(&config);
    let site = context.site()?;
    let user = find(&site, who)?;
    for _ in 0..ATTEMPTS {
        let factors = site.store.factors(&user.id)?;
        let inputs = context::inputs(&site.clock)?;
        // Whoever may run this may do anything: they vouch.
        let set_up = SetUp::prepare(parameters, &user.id, &factors, name.clone(), true, &inputs);
        let set_up = set_up.map_err(|problem| {
            Failure::failed(match problem {
                NotSetUp::TooMany => format!(
                    "{who:?} has as many devices as there can be: `gatepass user reset-mfa {who}` takes them all away"
                ),
                NotSetUp::Nameless => "no name could be made for the device".into(),
            })
        })?;
        let mut changes = set_up.changes();
        changes.push(about(Kind::DeviceAdded, &user, &set_up.device.id, &site));
        if !site.try_commit(changes)? {
            continue;
        }
        let device = &set_up.device;
        let uri = otpauth_uri(device, issuer, user.username.as_str());
        if let Some(blocks) = qr_blocks(&uri) {
            context.out.say(&blocks)?;
        }
        let codes = set_up.codes.map(|codes| codes.iter().map(|code| code.to_string()).collect::<Vec<_>>());
        let record = shown(&user)
            .with("device_id", device.id.as_str())
            .with("secret", secret_text(device).as_str())
            .with("uri", uri.as_str())
            .with("backup_codes", codes.map_or(Value::Null, Value::from));
        context.out.one(&record)?;
        return Ok(context.out.say(&format!(
            "Shown this once. It counts from a first code on, within an hour: gatepass user totp {} --verify CODE",
            user.username.as_str()
        ))?);
    }
    Err(changing(who))
}

/// Verifies a first code of the newest device that waits for one.
pub(super) fn verify(context: &Context, who: &str, code: &str) -> Result<(), Failure> {
    let site = context.site()?;
    let user = find(&site, who)?;
    for _ in 0..ATTEMPTS {
        let factors = site.store.factors(&user.id)?;
        let device = waiting(&factors, None, site.now).ok_or_else(|| {
            Failure::failed(format!(
                "no device of {who:?} waits for a first code: set one up with `gatepass user totp {who}`"
            ))
        })?;
        let mut changes = verified(&factors, device, code, None, Clocks { now: site.now, wall: site.clock.stamp }).ok_or_else(|| {
            Failure::failed("the code is wrong: take the one that is shown now, and see whether the device's clock is right")
        })?;
        changes.push(about(Kind::DeviceVerified, &user, &device.id, &site));
        if site.try_commit(changes)? {
            return Ok(context
                .out
                .one(&shown(&user).with("device_id", device.id.as_str()).with("verified", true))?);
        }
    }
    Err(changing(who))
}

/// Takes every device and backup code away, lifts the lock, and ends every session: one that has shown a factor could
/// add another, and may be a thief's.
pub(super) fn reset(context: &Context, who: &str) -> Result<(), Failure> {
    let site = context.site()?;
    for _ in 0..ATTEMPTS {
        let user = find(&site, who)?;
        let factors = site.store.factors(&user.id)?;
        let (devices, codes) = (factors.devices.len(), factors.backup_codes.len());
        let delete =
            |device: TotpDevice| Change::DeleteDevice { id: device.id, counts: device.verified_at.is_some() };
        let mut changes: Vec<Change> = factors.devices.into_iter().map(delete).collect();
        changes.push(Change::DropBackupCodes(user.id.clone()));
        let (before, after) = (factors.lockout, Lockout::default());
        changes.push(Change::SetLockout { user: user.id.clone(), before, after });
        changes.push(Change::RaiseEpoch { id: user.id.clone(), epoch: user.epoch });
        changes.push(event(Kind::FactorsReset, &user.id, site.now));
        if site.try_commit(changes)? {
            return Ok(context
                .out
                .one(&shown(&user).with("devices", devices).with("backup_codes", codes))?);
        }
    }
    Err(changing(who))
}
