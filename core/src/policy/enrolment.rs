//! A TOTP device is set up, then verified by a first code: until then it counts for nothing. The same for the endpoint and
//! for the command line.

use alloc::{string::String, vec, vec::Vec};

use data_encoding::BASE32_NOPAD;
use zeroize::Zeroizing;

use crate::base::time::{Clocks, Time};
use crate::crypto::seed::Label;
use crate::policy::totp::accepted_step;
use crate::records::factor::{BACKUP_CODES, BackupDigest, Factors, MAX_DEVICES, OtpParameters, TotpDevice};
use crate::records::id::{DeviceId, SessionId, UserId};
use crate::records::request_inputs::RequestInputs;
use crate::store::change::Change;

/// The longest name of a device or an account, in characters.
pub const MAX_NAME: usize = 128;

/// The reason why no device can be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetUpError {
    /// There are [`MAX_DEVICES`].
    TooMany,
    /// No name could be made for it.
    Nameless,
}

/// A device about to be set up.
#[derive(Debug)]
pub struct SetUp {
    /// The device.
    pub device: TotpDevice,
    /// The devices that were set up and never verified, and make room.
    pub abandoned: Vec<DeviceId>,
    /// The backup codes that come with a first one.
    pub codes: Option<Vec<Zeroizing<String>>>,
}

impl SetUp {
    /// The device of `user` that `moment` makes beside `factors`; the same again whenever it is asked.
    ///
    /// # Errors
    /// [`SetUpError`] where there can be no more.
    pub fn prepare(
        parameters: OtpParameters,
        user: &UserId,
        factors: &Factors,
        name: Option<String>,
        vouched_for: bool,
        inputs: &RequestInputs,
    ) -> Result<Self, SetUpError> {
        let now = inputs.now;
        let abandoned: Vec<DeviceId> =
            factors.devices.iter().filter(|d| d.is_abandoned(now)).map(|d| d.id.clone()).collect();
        if factors.devices.len().saturating_sub(abandoned.len()) >= MAX_DEVICES {
            return Err(SetUpError::TooMany);
        }
        let codes = (!factors.is_enrolled()).then(|| backup_codes(inputs));
        let device = device(parameters, user, name, vouched_for, inputs).ok_or(SetUpError::Nameless)?;
        Ok(Self { device, abandoned, codes })
    }

    /// Returns the changes that write it.
    pub fn changes(&self) -> Vec<Change> {
        let Self { device, abandoned, codes } = self;
        let user = &device.user_id;
        let mut changes: Vec<Change> =
            abandoned.iter().map(|id| Change::DeleteDevice { id: id.clone(), counts: false }).collect();
        changes.extend(codes.as_ref().map(|codes| Change::AddBackupCodes {
            user: user.clone(),
            device: device.id.clone(),
            codes: codes.iter().map(|code| BackupDigest::of(user, code)).collect(),
        }));
        changes.push(Change::InsertDevice(device.clone()));
        changes
    }
}

/// The device that `moment` makes.
pub(crate) fn device(
    parameters: OtpParameters,
    user: &UserId,
    name: Option<String>,
    vouched_for: bool,
    inputs: &RequestInputs,
) -> Option<TotpDevice> {
    Some(TotpDevice {
        id: DeviceId::parse(&inputs.seed.name(Label::Device, "dev_")).ok()?,
        user_id: user.clone(),
        name,
        parameters,
        secret: inputs.seed.stretch(Label::FactorSecret, parameters.hash.secret_length()),
        created_at: inputs.now,
        verified_at: None,
        verified_by: None,
        vouched_for,
        last_step: 0,
    })
}

/// The backup codes that `moment` makes: four groups of four characters, 80 bits each.
pub(crate) fn backup_codes(inputs: &RequestInputs) -> Vec<Zeroizing<String>> {
    let drawn = inputs.seed.stretch(Label::BackupCodes, 100);
    let group = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
    let codes = drawn.expose().chunks(10).take(BACKUP_CODES).map(|bits| {
        let text = Zeroizing::new(BASE32_NOPAD.encode(bits));
        Zeroizing::new(text.as_bytes().chunks(4).map(group).collect::<Vec<_>>().join("-"))
    });
    codes.collect()
}

/// The device that waits for its first code, the newest unless one is `named`.
pub fn waiting<'a>(factors: &'a Factors, named: Option<&str>, now: Time) -> Option<&'a TotpDevice> {
    let mut waiting = factors.devices.iter().filter(|device| device.is_waiting(now));
    waiting.find(|device| named.is_none_or(|id| device.id.as_str() == id))
}

/// Returns the changes to write if `code` is a first code of `device`, shown by `session` or by a command; none if it is not.
pub fn verified(
    factors: &Factors,
    device: &TotpDevice,
    code: &str,
    session: Option<&SessionId>,
    clocks: Clocks,
) -> Option<Vec<Change>> {
    let step = accepted_step(device, code, clocks)?;
    let mut changes = vec![];
    if !factors.is_enrolled() {
        changes.push(Change::KeepBackupCodes { user: device.user_id.clone(), device: device.id.clone() });
    }
    changes.push(Change::VerifyDevice {
        id: device.id.clone(),
        session: session.cloned(),
        step,
        at: clocks.now,
    });
    Some(changes)
}
