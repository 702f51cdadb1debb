//! Second factors: devices, and their codes by an implementation that is not ours.

use std::time::{SystemTime, UNIX_EPOCH};

use gatepass_core::base::secret::SecretBytes;
use gatepass_core::records::factor::{BackupDigest, OtpParameters, TotpDevice};
use gatepass_core::records::id::{DeviceId, UserId};

use crate::fixtures::{self, NOON, user_id};
use crate::memory::Tables;

/// The secret of the device that [`enrol`] adds.
pub const SECRET: &[u8] = b"12345678901234567890";
/// The backup code that [`enrol`] adds.
pub const BACKUP: &str = "AAAA-BBBB-CCCC-DDDD";

/// Returns the code of `secret` at `time`, in Unix seconds.
pub fn code(secret: &[u8], time: u64) -> String {
    code_of_digits(6, secret.to_vec(), time)
}

/// Returns the code of `secret` (base32) at `time`, in Unix seconds.
pub fn code_of(secret: &str, time: u64) -> String {
    code_of_digits(6, decoded(secret), time)
}

/// Returns the code of `secret` (base32) with eight digits.
pub(crate) fn long_code_of(secret: &str, time: u64) -> String {
    code_of_digits(8, decoded(secret), time)
}

/// Returns the code of `secret` (base32), `ahead` steps from the machine's time.
pub fn code_ahead(secret: &str, ahead: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
    code_of(secret, now + 30 * ahead)
}

fn decoded(secret: &str) -> Vec<u8> {
    totp_rs::Secret::Encoded(secret.into()).to_bytes().expect("base32")
}

fn code_of_digits(digits: usize, secret: Vec<u8>, time: u64) -> String {
    let totp = totp_rs::TOTP::new(totp_rs::Algorithm::SHA1, digits, 1, 30, secret);
    totp.expect("a secret").generate(time)
}

/// A verified device of `user`.
pub fn device(id: &str, user: &UserId, secret: &[u8]) -> TotpDevice {
    TotpDevice {
        id: DeviceId::parse(id).expect("an id"),
        user_id: user.clone(),
        name: None,
        parameters: OtpParameters::DEFAULT,
        secret: SecretBytes::new(secret.to_vec()),
        created_at: NOON,
        verified_at: Some(NOON),
        verified_by: None,
        vouched_for: false,
        last_step: 0,
    }
}

/// Gives `user` the verified device `dev_1`, and a backup code.
pub fn enrol(tables: &mut Tables, user: &UserId) {
    let device = device("dev_1", user, SECRET);
    add_backup_code(tables, &device, BACKUP);
    tables.devices.push(device);
}

/// Adds a backup code that came with `device`.
pub fn add_backup_code(tables: &mut Tables, device: &TotpDevice, code: &str) {
    let user = device.user_id.clone();
    tables.backup_codes.insert((user.clone(), BackupDigest::of(&user, code)), device.id.clone());
}

/// Returns the test data, in which fay is enrolled.
pub fn enrolled() -> Tables {
    let mut tables = fixtures::tables();
    enrol(&mut tables, &user_id("fay"));
    tables
}
