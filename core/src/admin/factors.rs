//! Operations on a user's second factors.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use zeroize::Zeroizing;

use crate::admin::error::{AdminError, Field, Obstacle};
use crate::admin::fields::plain;
use crate::admin::roles::take_from_user;
use crate::admin::step::{Decision, Operation, OperationInputs};
use crate::admin::users::{account, account_by_id, event};
use crate::policy::enrolment::{MAX_NAME, SetUp, SetUpError, verified, waiting};
use crate::policy::guess_counter::clear_places;
use crate::records::factor::{Lockout, LockoutOf, TotpDevice};
use crate::records::id::{DeviceId, UserId, UserRef};
use crate::records::user::User;
use crate::store::audit::{Event, Kind};
use crate::store::change::Change;
use crate::store::query::{AccountRecords, Query, Records};

/// Sets up a TOTP device for a user. It counts from a first code on.
#[derive(Clone, Debug, PartialEq)]
pub struct SetUpTotp {
    user: UserRef,
    name: Option<String>,
}

impl SetUpTotp {
    /// Sets up a device of `user`, which they call `name`.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] where the name is longer than 128 characters, or has a control character.
    pub fn new(user: UserRef, name: Option<&str>) -> Result<Self, AdminError> {
        let name = name.map(|name| plain(Field::DeviceName, name, MAX_NAME)).transpose()?.flatten();
        Ok(Self { user, name })
    }
}

/// A device that was set up, with the secrets to be shown once.
#[derive(Debug)]
pub struct NewDevice {
    /// The user it belongs to.
    pub user: User,
    /// The device.
    pub device: TotpDevice,
    /// The backup codes that come with a first device.
    pub backup_codes: Option<BackupCodes>,
}

/// Backup codes in plain text, to be shown once.
#[derive(Clone)]
pub struct BackupCodes(Vec<Zeroizing<String>>);

impl BackupCodes {
    /// Returns the codes themselves.
    pub fn expose(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|code| code.as_str())
    }
}

impl core::fmt::Debug for BackupCodes {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("BackupCodes(…)")
    }
}

/// Verifies a first code of the newest device that waits for one.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifyTotp {
    /// The user.
    pub user: UserRef,
    /// The code.
    pub code: String,
}

/// A device that counts from now on.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedDevice {
    /// The user it belongs to.
    pub user: User,
    /// The device.
    pub device: DeviceId,
}

/// Takes every device and backup code of a user away, lifts the lock on their factors, and ends their sessions: one that has
/// shown a factor could add another, and may be a thief's.
#[derive(Clone, Debug, PartialEq)]
pub struct ResetFactors {
    /// The user.
    pub user: UserRef,
}

/// The factors that were taken away.
#[derive(Clone, Debug, PartialEq)]
pub struct RemovedFactors {
    /// The user.
    pub user: User,
    /// The number of devices.
    pub devices: usize,
    /// The number of backup codes.
    pub backup_codes: usize,
}

impl Operation for SetUpTotp {
    type Output = NewDevice;

    fn query(&self) -> Query {
        Query::Account(self.user.clone())
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<NewDevice>, AdminError> {
        let records = account(&self.user, records)?;
        let (user, parameters) = (records.user.clone(), inputs.settings.totp);
        // An administrator may do anything: they vouch.
        let set_up =
            SetUp::prepare(parameters, &user.id, &records.factors, self.name.clone(), true, inputs.request);
        let set_up = set_up.map_err(|problem| match problem {
            SetUpError::TooMany => AdminError::Refused(Obstacle::TooManyDevices),
            SetUpError::Nameless => AdminError::Internal,
        })?;
        let mut changes = set_up.changes();
        changes.push(device_event(inputs, Kind::DeviceAdded, &user.id, &set_up.device.id));
        let (user, roles) = without_roles(inputs, records)?;
        changes.extend(roles);
        let SetUp { device, codes, abandoned: _ } = set_up;
        let output = NewDevice { user, device, backup_codes: codes.map(BackupCodes) };
        Ok(account_by_id(changes, &records.user.id, output))
    }
}

impl Operation for VerifyTotp {
    type Output = VerifiedDevice;

    fn query(&self) -> Query {
        Query::Account(self.user.clone())
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<VerifiedDevice>, AdminError> {
        let records = account(&self.user, records)?;
        let (user, factors) = (records.user.clone(), &records.factors);
        let device =
            waiting(factors, None, inputs.request.now).ok_or(AdminError::Refused(Obstacle::NoDeviceWaits))?;
        let mut changes = verified(factors, device, &self.code, None, inputs.request.clocks())
            .ok_or(AdminError::Refused(Obstacle::WrongCode))?;
        changes.push(device_event(inputs, Kind::DeviceVerified, &user.id, &device.id));
        let (user, roles) = without_roles(inputs, records)?;
        changes.extend(roles);
        let output = VerifiedDevice { user, device: device.id.clone() };
        Ok(account_by_id(changes, &records.user.id, output))
    }
}

impl Operation for ResetFactors {
    type Output = RemovedFactors;

    fn query(&self) -> Query {
        Query::Account(self.user.clone())
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<RemovedFactors>, AdminError> {
        let records = account(&self.user, records)?;
        let (user, factors) = (records.user.clone(), &records.factors);
        let id = || user.id.clone();
        let delete = |device: &TotpDevice| Change::DeleteDevice {
            id: device.id.clone(),
            counts: device.verified_at.is_some(),
        };
        let mut changes: Vec<Change> = factors.devices.iter().map(delete).collect();
        changes.extend(vec![
            Change::DropBackupCodes(id()),
            Change::SetLockout { user: id(), before: factors.lockout, after: Lockout::default() },
            Change::RaiseEpoch { id: id(), epoch: user.epoch },
            event(inputs, Kind::FactorsReset, &user.id),
        ]);
        let (user, roles) = without_roles(inputs, records)?;
        if !roles.is_empty() {
            // The record has the raised epoch then.
            changes.retain(|change| !matches!(change, Change::RaiseEpoch { .. }));
            changes.extend(roles);
        }
        changes.extend(clear_places(&user.id, LockoutOf::Factors, &records.history));
        let (devices, backup_codes) = (factors.devices.len(), factors.backup_codes.len());
        Ok(account_by_id(changes, &records.user.id, RemovedFactors { user, devices, backup_codes }))
    }
}

/// Takes the roles of a user whose factors somebody else changes over HTTP. Returns the user, and what is to be written.
fn without_roles(
    inputs: &OperationInputs<'_>,
    records: &AccountRecords,
) -> Result<(User, Vec<Change>), AdminError> {
    let mut user = records.user.clone();
    let mut changes = take_from_user(inputs, &mut user, records.another_officer)?;
    if !changes.is_empty() {
        user.updated_at = inputs.request.now;
        changes.insert(0, Change::UpdateUser(user.clone()));
    }
    Ok((user, changes))
}

fn device_event(inputs: &OperationInputs<'_>, kind: Kind, user: &UserId, device: &DeviceId) -> Change {
    Change::Audit(Event {
        subject: Some(user.clone()),
        key: Some(device.as_str().to_owned()),
        ..Event::new(kind, inputs.request.now)
    })
}
