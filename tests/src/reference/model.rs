//! What everybody must be told, and nothing of how it comes about: no digests, no keys, no store, no commits. A secret is
//! known by its place among those of its kind that were ever handed out.

use std::collections::{BTreeMap, BTreeSet};

use gatepass_core::settings::Unenrolled;
use serde_json::{Value, json};

use super::operation::{Key, Operation};
use crate::world::{KIM_PASSWORD, NOON, PAM_PASSWORD};

/// A user name, or a client's id.
pub type Name = &'static str;

/// Who issues the tokens.
pub const ISSUER: &str = "http://gate.example";
pub(super) const MINUTE: u64 = 60;
pub(super) const DAY: u64 = 86_400;

/// A device, in one of two networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The device.
    pub device: Name,
    /// Whether it is in the usual network.
    pub here: bool,
}

/// Who sends a request, as far as clients go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Nobody who says so.
    Nobody,
    /// A client, by its secret.
    Client(Name),
    /// Somebody who does not know the secret of the client they say they are.
    Impostor(Name),
}

/// When a second factor is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Always, and not of new places alone.
    pub always: bool,
    /// What becomes of somebody who has none.
    pub unenrolled: Unenrolled,
}

/// The answer to an operation.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The kind of answer it is.
    pub kind: String,
    /// Its HTTP status.
    pub status: u16,
    /// What its body says, other members apart; null stands for a member that is not there.
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
    /// The same answer, for a reason that is not told.
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
    /// The tenth locks, for a time that doubles.
    pub(super) fn fail(&mut self, now: u64) {
        self.wrong += 1;
        if self.wrong.is_multiple_of(10) {
            self.until = now + (MINUTE << self.locks.min(20)).min(DAY);
            self.locks += 1;
        }
    }

    /// From the third on, a password has to wait as well; its locks are a quarter of an hour at most.
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
    /// Raised to end whatever was begun before.
    pub(super) epoch: u32,
    pub(super) password: Option<Password>,
    pub(super) places: BTreeSet<Place>,
    /// The backup codes left: with which device they came, and which of ten.
    pub(super) codes: BTreeSet<(usize, usize)>,
    pub(super) lockout: Lockout,
}

/// What somebody is, or is to be, signed in for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant {
    pub(super) user: Name,
    pub(super) actor: Option<Name>,
    pub(super) client: Name,
    pub(super) audience: bool,
    pub(super) bind: bool,
    pub(super) scope: Name,
    /// The registration of the client, unless it rests on none.
    pub(super) client_epoch: Option<u64>,
    /// The client that issued the ticket, and its registration.
    pub(super) issuer: Option<(Name, u64)>,
}

impl Grant {
    /// Who is at the keyboard.
    pub(super) fn person(&self) -> Name {
        self.actor.unwrap_or(self.user)
    }
}

/// What a ticket was redeemed for with a key, or a challenge answered, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivered {
    pub(super) key: Key,
    pub(super) at: u64,
    pub(super) result: Led,
}

/// What a ticket or a challenge led to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Led {
    /// A session, and its first refresh token.
    Session(usize, Option<usize>),
    Challenge(usize),
}

/// A code as it is typed, whenever.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Typed {
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
    pub(super) place: Place,
    pub(super) amr: Name,
    pub(super) expires: u64,
    pub(super) wrong: u32,
    pub(super) answered: bool,
    pub(super) state_epoch: u64,
    pub(super) delivered: Option<(Delivered, Typed)>,
}

#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) grant: Grant,
    pub(super) epochs: [u32; 2],
    /// Whether it is good for one thing only, which its scope names.
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
    /// When it was used, and for which.
    pub(super) used: Option<(u64, usize)>,
}

#[derive(Clone, Debug)]
pub(super) struct Access {
    /// None for a service.
    pub(super) session: Option<usize>,
    pub(super) client: Name,
    pub(super) scope: Name,
    pub(super) expires: u64,
    pub(super) revoked: bool,
    pub(super) state_epoch: u64,
    /// The registration of a service.
    pub(super) client_epoch: Option<u64>,
}

/// A client of one registration, or since it was last disabled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    pub(super) enabled: bool,
    pub(super) epoch: u64,
    /// Whether it may have less than at first.
    pub(super) narrowed: bool,
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
    /// The last step whose code was accepted.
    pub(super) step: u64,
}

impl Device {
    pub(super) fn is_waiting(&self, now: u64) -> bool {
        !self.gone && !self.counts && now < self.made + 60 * MINUTE
    }
}

/// Whom an access token speaks for.
pub(super) enum Holder {
    Nobody,
    Service(usize),
    Person(usize),
    Restricted(usize),
}

/// Everything there is to know.
#[derive(Clone, Debug)]
pub struct Model {
    pub(super) rules: Rules,
    /// Unix seconds.
    pub now: u64,
    pub(super) state_epoch: u64,
    pub(super) people: BTreeMap<Name, Person>,
    pub(super) clients: BTreeMap<Name, Client>,
    /// How often a client was added.
    pub(super) registrations: u64,
    pub(super) tickets: Vec<Ticket>,
    pub(super) challenges: Vec<Challenge>,
    pub(super) sessions: Vec<Session>,
    pub(super) refresh: Vec<Refresh>,
    pub(super) access: Vec<Access>,
    pub(super) devices: Vec<Device>,
}

impl Model {
    /// The world before anything was done.
    pub fn new(rules: Rules) -> Self {
        let known = |text, must_change| {
            let password = Password { text, set_at: NOON.unix(), must_change, lockout: Lockout::default() };
            Person { password: Some(password), ..Person::default() }
        };
        let people = [
            ("alice", Person::default()),
            ("boss", Person::default()),
            ("pam", known(PAM_PASSWORD, false)),
            ("kim", known(KIM_PASSWORD, true)),
        ];
        Self {
            rules,
            now: NOON.unix(),
            state_epoch: 0,
            people: people.into(),
            clients: ["backend", "portal"]
                .map(|id| (id, Client { enabled: true, epoch: 0, narrowed: false }))
                .into(),
            registrations: 0,
            tickets: vec![],
            challenges: vec![],
            sessions: vec![],
            refresh: vec![],
            access: vec![],
            devices: vec![],
        }
    }

    /// The state epoch once older state has been put back.
    pub(super) fn next_state_epoch(&self) -> u64 {
        self.state_epoch + 1_000_003
    }

    /// The epoch of the next client that is added.
    pub(super) fn next_client_epoch(&self) -> u64 {
        (self.registrations + 1) * 1_000
    }

    /// Does `operation`, and says what has to be answered.
    pub fn answer(&mut self, operation: &Operation) -> Answer {
        match *operation {
            Operation::Wait(seconds) => self.now += seconds,
            Operation::Again(_) | Operation::Restart | Operation::Sweep => {}
            Operation::PutBack => self.state_epoch = self.next_state_epoch(),
            Operation::Issue { by, wish } => return self.issue(by, &wish),
            Operation::Redeem { ticket, caller, place, key } => {
                return self.redeem(self.ticket(ticket), caller, place, key);
            }
            Operation::Login { user, right, place } => return self.login(user, right, place),
            Operation::Answer { challenge, code, key } => {
                return self.challenged(self.challenge(challenge), code, key);
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
            Operation::RevokeTicket(ticket) => return self.revoke_ticket(self.ticket(ticket)),
            Operation::DisableClient(client)
            | Operation::EnableClient(client)
            | Operation::DeleteClient(client)
            | Operation::AddClient(client)
            | Operation::NarrowClient(client)
            | Operation::WidenClient(client) => self.edit_client(client, operation),
            Operation::Delete(user) => self.delete(user),
            Operation::ResetFactors(user) => self.reset_factors(user),
            Operation::Disable(user)
            | Operation::Enable(user)
            | Operation::RequireChange(user)
            | Operation::Unlock(user) => self.edit(user, operation),
        }
        Answer { kind: "nothing".into(), status: 0, says: json!({}) }
    }
}
