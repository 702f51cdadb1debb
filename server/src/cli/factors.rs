//! Second factors on the command line: set up with a QR code, verified, or removed.

use gatepass_core::admin::factors::{
    NewDevice, RemovedFactors, ResetFactors, SetUpTotp, VerifiedDevice, VerifyTotp,
};
use gatepass_core::admin::{AdminError, Obstacle};
use gatepass_core::api::mfa::otpauth::{otpauth_uri, qr_blocks, secret_text};
use gatepass_core::records::user::User;
use serde_json::Value;

use super::context::Context;
use super::edit::named;
use crate::error::{OperationError, ProgramError};
use crate::output::Record;

fn shown(user: &User) -> Record {
    Record::new().with("id", user.id.as_str()).with("username", user.username.as_str())
}

/// Sets up a device, and prints what an authenticator needs, once.
pub(super) fn set_up(context: &Context, who: &str, name: Option<&str>) -> Result<(), ProgramError> {
    let set_up = SetUpTotp::new(named(who), name)?;
    let admin = context.writing()?;
    let set_up = admin.run(set_up);
    let NewDevice { user, device, backup_codes } = set_up.map_err(|error| failure(error, who))?;
    let uri = otpauth_uri(&device, &admin.settings.totp_issuer, user.username.as_str());
    let codes = backup_codes.map(|codes| Value::from(codes.expose().collect::<Vec<_>>()));
    let record = shown(&user)
        .with("device_id", device.id.as_str())
        .with("secret", secret_text(&device).as_str())
        .with("uri", uri.as_str())
        .with("backup_codes", codes.unwrap_or(Value::Null));
    context.print_once(&record, || {
        format!(
            "device {} of {who} was set up, and nobody has seen its secret: it never counts, and is gone within an hour; \
             run `gatepass user totp {who}` again",
            device.id
        )
    })?;
    if let Some(blocks) = qr_blocks(&uri) {
        context.out.say(&blocks)?;
    }
    Ok(context.out.say(&format!(
        "Shown this once. It counts from a first code on, within an hour: gatepass user totp {} --verify CODE",
        user.username.as_str()
    ))?)
}

/// Verifies a first code of the newest device that waits for one.
pub(super) fn verify(context: &Context, who: &str, code: String) -> Result<(), ProgramError> {
    let verified = context.writing()?.run(VerifyTotp { user: named(who), code });
    let VerifiedDevice { user, device } = verified.map_err(|error| failure(error, who))?;
    Ok(context.out.one(&shown(&user).with("device_id", device.as_str()).with("verified", true))?)
}

/// Removes every device, every backup code and the lock, and ends every session.
pub(super) fn reset(context: &Context, who: &str) -> Result<(), ProgramError> {
    let removed = context.writing()?.run(ResetFactors { user: named(who) });
    let RemovedFactors { user, devices, backup_codes } = removed.map_err(|error| failure(error, who))?;
    Ok(context.out.one(&shown(&user).with("devices", devices).with("backup_codes", backup_codes))?)
}

/// Returns the failure of an operation on the factors of `who`.
fn failure(error: OperationError, who: &str) -> ProgramError {
    error.into_message_of([
        (AdminError::Conflict, format!("the factors of {who:?} keep changing: try again")),
        (
            AdminError::Refused(Obstacle::TooManyDevices),
            format!(
                "{who:?} has as many devices as there can be: `gatepass user reset-mfa {who}` takes them all away"
            ),
        ),
        (
            AdminError::Refused(Obstacle::NoDeviceWaits),
            format!("no device of {who:?} waits for a first code: set one up with `gatepass user totp {who}`"),
        ),
        (
            AdminError::Refused(Obstacle::WrongCode),
            "the code is wrong: take the one that is shown now, and see whether the device's clock is right".into(),
        ),
    ])
}
