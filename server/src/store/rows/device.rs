//! TOTP devices, their secrets sealed by the master key.

use gatepass_core::base::secret::SecretBytes;
use gatepass_core::crypto::OtpHash;
use gatepass_core::records::factor::{OtpParameters, TotpDevice};
use gatepass_core::records::id::DeviceId;

use super::row::{Columns, MalformedRow};
use super::text::{owned, session_id, user_id};
use super::value::Value;
use crate::secrets::master_key::MasterKey;

/// Returns the purpose that a device's secret is sealed for.
pub(in crate::store) fn device_purpose(id: &str) -> String {
    format!("totp:{id}")
}

/// Reads a device. The last column is its sealed secret.
pub(in crate::store) fn device(c: &mut Columns<'_>, master: &MasterKey) -> Result<TotpDevice, MalformedRow> {
    let id = c.parsed("id", |text| DeviceId::parse(text).ok())?;
    let user_id = c.parsed("user_id", user_id)?;
    let name = c.maybe("name", owned)?;
    let hash = c.parsed("hash", OtpHash::parse)?;
    let digits = u8::try_from(c.small("digits")?).map_err(|_| c.unreadable("digits"))?;
    let created_at = c.time("created_at")?;
    let verified_at = c.maybe_time("verified_at")?;
    let verified_by = c.maybe("verified_by", session_id)?;
    let last_step = c.number("last_step")?;
    let vouched_for = c.flag("vouched_for")?;
    let secret = master.open(&device_purpose(id.as_str()), &c.blob("sealed")?);
    let mut secret = secret.ok_or_else(|| c.unreadable("sealed"))?;
    Ok(TotpDevice {
        id,
        user_id,
        name,
        parameters: OtpParameters { hash, digits },
        secret: SecretBytes::new(std::mem::take(&mut *secret)),
        created_at,
        verified_at,
        verified_by,
        vouched_for,
        last_step,
    })
}

/// Returns the values of a device without its secret.
pub(in crate::store) fn device_values(device: &TotpDevice) -> [Value<'_>; 10] {
    [
        device.id.as_str().into(),
        device.user_id.as_str().into(),
        device.name.as_deref().into(),
        device.parameters.hash.as_str().into(),
        device.parameters.digits.into(),
        device.created_at.into(),
        device.verified_at.into(),
        device.verified_by.as_ref().map(|id| id.as_str()).into(),
        device.last_step.into(),
        device.vouched_for.into(),
    ]
}
