//! The state that decides the answers, without digests, keys, store or commits. A secret is known by its number among all
//! secrets of its kind.

use std::collections::{BTreeMap, BTreeSet};

use gatepass_core::records::role::Roles;
use gatepass_core::settings::Unenrolled;
use serde_json::{Value, json};

use super::operation::{Key, Operation};
use super::places::KnownPlace;
use crate::fixtures::{KIM_PASSWORD, NOON, PAM_PASSWORD};

/// A user name, or a client's id.
pub type Name = &'static str;

/// The issuer of the tokens.
pub const ISSUER: &str = "http://gate.example";
pub(super) const MINUTE: u64 = 60;
pub(super) const DAY: u64 = 86_400;

/// A device, in one of two networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceOnNetwork {
    /// The device's name.
    pub device: Name,
    /// True in the usual network.
    pub here: bool,
}

/// The client that sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// No client.
    Nobody,
    /// A client, by its secret.
    Client(Name),
    /// A caller with a wrong secret for the client.
    Impostor(Name),
}

/// The rules for second factors.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// True to ask always, and not on new devices alone.
    pub always: bool,
    /// The treatment of users without a factor.
    pub unenrolled: Unenrolled,
    /// True if nobody may have several roles.
    pub separate: bool,
}

/// The answer to an operation.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its kind.
    pub kind: String,
    /// Its HTTP status.
    pub status: u16,
    /// Members that its body must have, among others; null means absent.
    pub says: Value,
}

pub(super) fn granted(kind: &str, says: Value) -> Answer {
    Answer { kind: kind.into(), status: 200, says }
}

pub(super) fn done() -> Answer {
    granted("done", json!({"code": 0, "data": null}))
}

pub(super) fn refused(code: u16) -> Answer {
    Answer { kind: code.to_string(), status: code / 100, says: json!({ "code": code }) }
}

pub(super) fn error(status: u16, error: &str) -> Answer {
    Answer { kind: error.into(), status, says: json!({"error": error, "access_token": null}) }
}

impl Answer {
    /// Returns the same answer with a reason that is not shown.
    pub(super) fn because(self, why: &str) -> Self {
        Self { kind: format!("{} {why}", self.kind), ..self }
    }
}

pub(super) fn is_within(scope: &str, whole: &str) -> bool {
    scope.split(' ').all(|word| whole.split(' ').any(|other| other == word))
}

/// Wrong guesses in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lockout {
    pub(super) wrong: u32,
    pub(super) locks: u32,
    pub(super) until: u64,
}

impl Lockout {
    /// Counts a wrong guess. The tenth locks, for a time that doubles.
    pub(super) fn fail(&mut self, now: u64) {
        self.wrong += 1;
        if self.wrong.is_multiple_of(10) {
            self.until = now + (MINUTE << self.locks.min(20)).min(DAY);
            self.locks += 1;
        }
    }

    /// Counts a wrong password. From the third on there is a delay; locks last a quarter of an hour at most.
    pub(super) fn fail_password(&mut self, now: u64) {
        self.fail(now);
        self.until = self.until.min(now + 15 * MINUTE);
        if self.wrong >= 3 && !self.wrong.is_multiple_of(10) {
            self.until = now + (1 << (self.wrong - 3)).min(30);
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Password {
    pub(super) text: Name,
    pub(super) set_at: u64,
    pub(super) must_change: bool,
    pub(super) lockout: Lockout,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Person {
    pub(super) disabled: bool,
    pub(super) roles: Roles,
    /// The domain of the e-mail address.
    pub(super) mail: Option<Name>,
    /// Raised to end everything that began before.
    pub(super) epoch: u32,
    pub(super) password: Option<Password>,
    /// The latest first.
    pub(super) places: Vec<KnownPlace>,
    /// The remaining backup codes: the device they came with, and which of ten.
    pub(super) codes: BTreeSet<(usize, usize)>,
    pub(super) lockout: Lockout,
}

/// The user, actor and client of a sign-in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant {
    pub(super) user: Name,
    pub(super) actor: Option<Name>,
    pub(super) client: Name,
    pub(super) audience: bool,
    pub(super) bind: bool,
    pub(super) scope: Name,
    /// The client's registration, unless it depends on none.
    pub(super) client_epoch: Option<u64>,
    /// The client that issued the ticket, and its registration.
    pub(super) issuer: Option<(Name, u64)>,
}

impl Grant {
    /// Returns the person at the keyboard: the actor or the user.
    pub(super) fn person(&self) -> Name {
        self.actor.unwrap_or(self.user)
    }
}

/// The result of a keyed redemption or answer, and its time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivered {
    pub(super) key: Key,
    pub(super) at: u64,
    pub(super) result: SignInResult,
}

/// The result of a ticket or a challenge.
#[derive(Clone, Copy, Debug)]
pub(super) enum SignInResult {
    /// A session, and its first refresh token.
    Session(usize, Option<usize>),
    Challenge(usize),
}

/// A code as typed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum TypedCode {
    Wrong,
    Totp(Option<usize>, Option<u64>),
    Backup(Option<usize>, usize),
}

#[derive(Clone, Debug)]
pub(super) struct Ticket {
    pub(super) grant: Grant,
    pub(super) here: bool,
    pub(super) expires: u64,
    pub(super) over: bool,
    pub(super) state_epoch: u64,
    pub(super) delivered: Option<Delivered>,
}

#[derive(Clone, Debug)]
pub(super) struct Challenge {
    pub(super) grant: Grant,
    pub(super) epochs: [u32; 2],
    pub(super) place: DeviceOnNetwork,
    pub(super) amr: Name,
    pub(super) expires: u64,
    pub(super) wrong: u32,
    pub(super) answered: bool,
    pub(super) state_epoch: u64,
    pub(super) delivered: Option<(Delivered, TypedCode)>,
}

#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) grant: Grant,
    pub(super) epochs: [u32; 2],
    /// True if it is good for one purpose only, which its scope names.
    pub(super) restricted: bool,
    pub(super) amr: Vec<Name>,
    pub(super) expires: u64,
    pub(super) ended: bool,
    pub(super) state_epoch: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Refresh {
    pub(super) session: usize,
    pub(super) expires: u64,
    /// The time of its use, and its successor.
    pub(super) used: Option<(u64, usize)>,
}

#[derive(Clone, Debug)]
pub(super) struct Access {
    /// `None` for a service.
    pub(super) session: Option<usize>,
    pub(super) client: Name,
    pub(super) scope: Name,
    pub(super) expires: u64,
    pub(super) revoked: bool,
    pub(super) state_epoch: u64,
    /// The registration of a service.
    pub(super) client_epoch: Option<u64>,
}

/// A client: its registration, which also changes when it is disabled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    pub(super) enabled: bool,
    pub(super) epoch: u64,
    /// True if its scope was narrowed.
    pub(super) narrowed: bool,
    pub(super) roles: Roles,
    /// The number of its secrets.
    pub(super) secrets: usize,
}

impl Client {
    pub(super) const fn new(epoch: u64) -> Self {
        Self { enabled: true, epoch, narrowed: false, roles: Roles::NONE, secrets: 1 }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Device {
    pub(super) owner: Name,
    pub(super) made: u64,
    pub(super) gone: bool,
    pub(super) counts: bool,
    /// The session that verified it.
    pub(super) by: Option<usize>,
    pub(super) vouched: bool,
    /// The last step of an accepted code.
    pub(super) step: u64,
}

impl Device {
    pub(super) fn is_waiting(&self, now: u64) -> bool {
        !self.gone && !self.counts && now < self.made + 60 * MINUTE
    }
}

/// The holder of an access token.
pub(super) enum Holder {
    Nobody,
    Service(usize),
    Person(usize),
    Restricted(usize),
}

/// The whole state of the model.
#[derive(Clone, Debug)]
pub struct Model {
    pub(super) rules: Rules,
    /// Unix seconds.
    pub now: u64,
    pub(super) state_epoch: u64,
    pub(super) people: BTreeMap<Name, Person>,
    pub(super) clients: BTreeMap<Name, Client>,
    /// The number of clients added so far.
    pub(super) registrations: u64,
    pub(super) tickets: Vec<Ticket>,
    pub(super) challenges: Vec<Challenge>,
    pub(super) sessions: Vec<Session>,
    pub(super) refresh: Vec<Refresh>,
    pub(super) access: Vec<Access>,
    pub(super) devices: Vec<Device>,
}

impl Model {
    /// Makes the initial state.
    pub fn new(rules: Rules) -> Self {
        let known = |text, must_change| {
            let password = Password { text, set_at: NOON.unix(), must_change, lockout: Lockout::default() };
            Person { password: Some(password), ..Person::default() }
        };
        let mail = Some("example.com");
        let people = [
            ("alice", Person { mail, ..Person::default() }),
            ("boss", Person::default()),
            ("pam", Person { mail, ..known(PAM_PASSWORD, false) }),
            ("kim", known(KIM_PASSWORD, true)),
        ];
        Self {
            rules,
            now: NOON.unix(),
            state_epoch: 0,
            people: people.into(),
            clients: ["backend", "portal"].map(|id| (id, Client::new(0))).into(),
            registrations: 0,
            tickets: vec![],
            challenges: vec![],
            sessions: vec![],
            refresh: vec![],
            access: vec![],
            devices: vec![],
        }
    }

    /// Returns the state epoch after older state is put back.
    pub(super) fn next_state_epoch(&self) -> u64 {
        self.state_epoch + 1_000_003
    }

    /// Returns the epoch of the next client that is added.
    pub(super) fn next_client_epoch(&self) -> u64 {
        (self.registrations + 1) * 1_000
    }

    /// Runs `operation`, and returns the expected answer.
    pub fn answer(&mut self, operation: &Operation) -> Answer {
        match *operation {
            Operation::Wait(seconds) => self.now += seconds,
            Operation::Again(_) | Operation::Restart | Operation::Sweep => {}
            Operation::PutBack => self.state_epoch = self.next_state_epoch(),
            Operation::Issue { by, spec } => return self.issue(by, &spec),
            Operation::Redeem { ticket, caller, place, stated, key } => {
                return self.redeem(self.ticket(ticket), caller, (place, stated), key);
            }
            Operation::Login { user, right, scope, caller, place, stated } => {
                return self.login(user, right, scope, caller, (place, stated));
            }
            Operation::Answer { challenge, code, caller, key } => {
                return self.challenged(self.challenge(challenge), code, caller, key);
            }
            Operation::Refresh { token, caller, grant, scope } => {
                return self.refreshed(self.refresh(token), caller, grant, scope);
            }
            Operation::Credentials { caller, scope } => return self.credentials(caller, scope),
            Operation::UserInfo(bearer) => return self.user_info(bearer),
            Operation::Introspect { token, caller } => return self.introspect(token, caller),
            Operation::Revoke { token, caller } => return self.revoke(token, caller),
            Operation::ChangePassword { bearer, right, new } => {
                return self.change_password(bearer, right, new);
            }
            Operation::Sessions(_) | Operation::EndSessions(_) | Operation::EndSession { .. } => {
                return self.own_sessions(operation);
            }
            Operation::SetUp { bearer, .. }
            | Operation::Verify { bearer, .. }
            | Operation::Devices(bearer)
            | Operation::Remove { bearer, .. } => return self.own_factors(bearer, operation),
            Operation::Administer { bearer, act } => return self.administer(bearer, act),
            Operation::GiveRoles(user, roles) => self.give_roles(user, roles),
            Operation::GiveClientRoles(client, roles) => self.give_client_roles(client, roles),
            Operation::RevokeTicket(ticket) => return self.revoke_ticket(self.ticket(ticket)),
            Operation::DisableClient(client)
            | Operation::EnableClient(client)
            | Operation::DeleteClient(client)
            | Operation::AddClient(client)
            | Operation::NarrowClient(client)
            | Operation::WidenClient(client) => self.edit_client(client, operation),
            Operation::Delete(user) => self.delete(user),
            Operation::ResetFactors(user) => self.reset_factors(user),
            Operation::EndByCommand(session) => self.end_session(self.session(session)),
            Operation::Disable(user)
            | Operation::Enable(user)
            | Operation::RequireChange(user)
            | Operation::Unlock(user)
            | Operation::SetPassword(user, _)
            | Operation::EndAllByCommand(user) => self.edit(user, operation),
        }
        Answer { kind: "nothing".into(), status: 0, says: json!({}) }
    }
}
