//! The people of a world, their knowledge, and the initial tables.

use std::collections::BTreeMap;

use gatepass_core::base::secret::SecretBytes;
use gatepass_core::records::factor::{BackupDigest, Lockout, OtpParameters, TotpDevice};
use gatepass_core::records::id::{DeviceId, UserId};
use gatepass_core::records::password::{Password, PasswordHash};
use gatepass_core::records::user::Status;

use super::rng::Rng;
use crate::fixtures::{self, KIM_HASH, KIM_PASSWORD, NOON, PAM_HASH, PAM_PASSWORD};
use crate::memory::Tables;

pub(super) const USERS: usize = 40;
const PEOPLE: usize = 200;
/// Services that ask about tokens.
pub(super) const SERVICES: usize = 5;

/// Both passwords.
pub(super) const PASSWORDS: [(&str, &str); 2] = [(PAM_PASSWORD, PAM_HASH), (KIM_PASSWORD, KIM_HASH)];

/// A person's client. One user may have several.
pub(super) struct Person {
    pub(super) user: String,
    /// True while a request is in flight.
    pub(super) busy: bool,
    pub(super) device: String,
    pub(super) by_password: bool,
    pub(super) by_portal: bool,
    pub(super) bound: bool,
    pub(super) ticket: Option<String>,
    pub(super) challenge: Option<String>,
    pub(super) access: Option<String>,
    pub(super) refresh: Option<String>,
    /// True if the client sends an `Idempotency-Key`.
    pub(super) keyed: bool,
}

/// The content of a user's authenticator.
pub(super) struct Authenticator {
    pub(super) secret: Vec<u8>,
    pub(super) device: String,
    pub(super) backup_codes: Vec<String>,
    /// The last code, to be reused by mistake.
    pub(super) last: Option<String>,
}

fn name(user: usize) -> String {
    format!("p{user:02}")
}

fn is_enrolled(user: usize) -> bool {
    user.is_multiple_of(5)
}

fn has_password(user: usize) -> bool {
    user.is_multiple_of(3)
}

/// Returns the initial tables.
pub(super) fn tables() -> Tables {
    let mut tables = fixtures::tables();
    for user in 0..USERS {
        let mut person = fixtures::user(&name(user), Status::Active);
        if has_password(user) {
            person.password_changed_at = Some(person.created_at);
            let hash = PasswordHash::parse(PAM_HASH).expect("a hash");
            tables.passwords.insert(person.id.clone(), Password { hash, lockout: Lockout::default() });
        }
        if is_enrolled(user) {
            let device = device(user, &person.id);
            let codes = backup_codes(user);
            let codes = codes.iter().map(|code| (person.id.clone(), BackupDigest::of(&person.id, code)));
            tables.backup_codes.extend(codes.map(|key| (key, device.id.clone())));
            tables.devices.push(device);
        }
        tables.users.insert(person.id.clone(), person);
    }
    tables
}

/// A device that is verified from the beginning.
fn device(user: usize, id: &UserId) -> TotpDevice {
    TotpDevice {
        id: DeviceId::parse(&format!("dev_{user}")).expect("an id"),
        user_id: id.clone(),
        name: None,
        parameters: OtpParameters::DEFAULT,
        secret: SecretBytes::new(secret(user)),
        created_at: NOON,
        verified_at: Some(NOON),
        verified_by: None,
        vouched_for: false,
        last_step: 0,
    }
}

fn secret(user: usize) -> Vec<u8> {
    format!("the secret of user {user:02}").into_bytes()
}

fn backup_codes(user: usize) -> Vec<String> {
    (0..3).map(|number| format!("AAAA-BBBB-CC{user:02}-DDD{number}")).collect()
}

/// Returns the authenticators of the verified devices.
pub(super) fn authenticators() -> BTreeMap<String, Authenticator> {
    let known = |user: usize| Authenticator {
        secret: secret(user),
        device: format!("dev_{user}"),
        backup_codes: backup_codes(user),
        last: None,
    };
    (0..USERS).filter(|user| is_enrolled(*user)).map(|user| (name(user), known(user))).collect()
}

/// Returns the passwords that people know.
pub(super) fn passwords() -> BTreeMap<String, &'static str> {
    (0..USERS).filter(|user| has_password(*user)).map(|user| (name(user), PAM_PASSWORD)).collect()
}

pub(super) fn everybody(rng: &mut Rng) -> Vec<Person> {
    let person = |place: usize| {
        let user = place % USERS;
        let by_password = has_password(user) && rng.one_in(2);
        let by_portal = !by_password && rng.one_in(3);
        Person {
            user: name(user),
            busy: false,
            // Two clients of a user may look like the same device.
            device: format!("device-{user}-{}", rng.below(2)),
            by_password,
            by_portal,
            bound: by_portal && rng.one_in(3),
            ticket: None,
            challenge: None,
            access: None,
            refresh: None,
            keyed: rng.one_in(2),
        }
    };
    (0..PEOPLE).map(person).collect()
}

/// Returns the id of the user called `name`.
pub(super) fn user_id(name: &str) -> UserId {
    UserId::parse(&format!("usr_{name}")).expect("an id")
}
