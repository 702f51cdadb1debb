//! The people of a world, their knowledge, and the initial tables.

use std::collections::BTreeMap;

use gatepass_core::records::factor::Lockout;
use gatepass_core::records::password::{Password, PasswordHash};
use gatepass_core::records::role::{Role, Roles};
use gatepass_core::records::user::Status;

use crate::fixtures::{self, KIM_HASH, KIM_PASSWORD, PAM_HASH, PAM_PASSWORD};
pub(super) use crate::fixtures::{client_id, user_id};
use crate::memory::Tables;
use crate::rng::Rng;
use crate::totp;

pub(super) const USERS: usize = 40;
const PEOPLE: usize = 200;
/// Services that ask about tokens.
pub(super) const SERVICES: usize = 5;

/// The users with a role at first; all but boss have a password and a second factor.
pub(super) const HOLDERS: [(&str, Role); 4] =
    [("p00", Role::Officer), ("p15", Role::Operator), ("p30", Role::Auditor), ("boss", Role::Officer)];

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
            let device = totp::device(&format!("dev_{user}"), &person.id, &secret(user));
            backup_codes(user).iter().for_each(|code| totp::add_backup_code(&mut tables, &device, code));
            tables.devices.push(device);
        }
        tables.users.insert(person.id.clone(), person);
    }
    for (name, role) in HOLDERS {
        tables.users.get_mut(&user_id(name)).expect("a user").roles = Roles::of(&[role]);
    }
    tables.clients.get_mut(&client_id("backend")).expect("a client").roles = Roles::of(&[Role::Operator]);
    tables
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
