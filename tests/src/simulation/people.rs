//! Who there is: people in their places, what they know, and the tables of a world before anything has happened.

use std::collections::BTreeMap;

use gatepass_core::base::secret::SecretBytes;
use gatepass_core::records::factor::{BackupDigest, Lockout, OtpParameters, TotpDevice};
use gatepass_core::records::id::{DeviceId, UserId};
use gatepass_core::records::password::{Password, PasswordHash};
use gatepass_core::records::user::Status;

use super::chance::Chance;
use crate::memory::Tables;
use crate::world::{self, KIM_HASH, KIM_PASSWORD, NOON, PAM_HASH, PAM_PASSWORD};

pub(super) const USERS: usize = 40;
const PEOPLE: usize = 200;
/// Services that ask about tokens.
pub(super) const SERVICES: usize = 5;

/// Both passwords that there are.
pub(super) const PASSWORDS: [(&str, &str); 2] = [(PAM_PASSWORD, PAM_HASH), (KIM_PASSWORD, KIM_HASH)];

/// A place where somebody sits: one user may sit in several.
pub(super) struct Person {
    pub(super) user: String,
    /// Whether a request of theirs is under way.
    pub(super) busy: bool,
    pub(super) device: String,
    pub(super) by_password: bool,
    pub(super) by_portal: bool,
    pub(super) bound: bool,
    pub(super) ticket: Option<String>,
    pub(super) challenge: Option<String>,
    pub(super) access: Option<String>,
    pub(super) refresh: Option<String>,
    /// Whether whoever redeems for them sends an `Idempotency-Key`.
    pub(super) keyed: bool,
}

/// What a user's authenticator knows.
pub(super) struct Authenticator {
    pub(super) secret: Vec<u8>,
    pub(super) device: String,
    pub(super) backup_codes: Vec<String>,
    /// The last code that was shown, to be shown again by mistake.
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

/// The tables of a world before anything has happened.
pub(super) fn tables() -> Tables {
    let mut tables = world::tables();
    for user in 0..USERS {
        let mut person = world::user(&name(user), Status::Active);
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

/// A device that counts from the beginning.
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

/// The authenticators that count from the beginning.
pub(super) fn authenticators() -> BTreeMap<String, Authenticator> {
    let known = |user: usize| Authenticator {
        secret: secret(user),
        device: format!("dev_{user}"),
        backup_codes: backup_codes(user),
        last: None,
    };
    (0..USERS).filter(|user| is_enrolled(*user)).map(|user| (name(user), known(user))).collect()
}

/// The passwords as people know them.
pub(super) fn passwords() -> BTreeMap<String, &'static str> {
    (0..USERS).filter(|user| has_password(*user)).map(|user| (name(user), PAM_PASSWORD)).collect()
}

pub(super) fn everybody(chance: &mut Chance) -> Vec<Person> {
    let person = |place: usize| {
        let user = place % USERS;
        let by_password = has_password(user) && chance.one_in(2);
        let by_portal = !by_password && chance.one_in(3);
        Person {
            user: name(user),
            busy: false,
            // Two of a user's places are the same device to the eye.
            device: format!("device-{user}-{}", chance.below(2)),
            by_password,
            by_portal,
            bound: by_portal && chance.one_in(3),
            ticket: None,
            challenge: None,
            access: None,
            refresh: None,
            keyed: chance.one_in(2),
        }
    };
    (0..PEOPLE).map(person).collect()
}

/// The identifier of the user called `name`.
pub(super) fn user_id(name: &str) -> UserId {
    UserId::parse(&format!("usr_{name}")).expect("an id")
}
