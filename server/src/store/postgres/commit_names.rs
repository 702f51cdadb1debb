//! The rows that a commit names, and how each of them is locked.

use std::collections::{BTreeMap, BTreeSet};

use gatepass_core::records::challenge::ChallengeDigest;
use gatepass_core::records::client_assertion::AssertionDigest;
use gatepass_core::records::factor::Lockout;
use gatepass_core::records::id::{ClientId, DeviceId, SessionId, TicketId, UserId};
use gatepass_core::records::identifier::NumberingPlan;
use gatepass_core::records::session::RefreshDigest;
use gatepass_core::records::ticket::TicketDigest;
use gatepass_core::records::user::User;
use gatepass_core::store::change::Change;

/// The mode in which a row is locked until the transaction ends. The greater one counts where both are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lock {
    /// `FOR SHARE`: others may read the row, and nobody changes it. `FOR KEY SHARE` would let a change through.
    Share,
    /// `FOR UPDATE`: the row is changed.
    Update,
}

/// The rows that the commits of a batch name. Rows of one table are locked in the order of their keys.
#[derive(Debug, Default, PartialEq)]
pub(super) struct CommitNames {
    /// The row of the whole store.
    pub(super) meta: Option<Lock>,
    pub(super) users: BTreeMap<UserId, Lock>,
    pub(super) clients: BTreeMap<ClientId, Lock>,
    pub(super) tickets: BTreeMap<TicketDigest, Lock>,
    pub(super) ticket_ids: BTreeMap<TicketId, Lock>,
    pub(super) sessions: BTreeMap<SessionId, Lock>,
    pub(super) refresh_tokens: BTreeMap<RefreshDigest, Lock>,
    /// The sessions whose refresh tokens are all named.
    pub(super) families: BTreeSet<SessionId>,
    pub(super) challenges: BTreeMap<ChallengeDigest, Lock>,
    pub(super) devices: BTreeSet<DeviceId>,
    /// The users whose devices and backup codes are named.
    pub(super) factors: BTreeSet<UserId>,
    pub(super) guesses: BTreeSet<UserId>,
    pub(super) passwords: BTreeSet<UserId>,
    pub(super) histories: BTreeSet<UserId>,
    pub(super) assertions: BTreeSet<AssertionDigest>,
    /// Identifiers that somebody may get, in their canonical form.
    pub(super) forms: BTreeSet<String>,
    /// The users who may be new.
    pub(super) new_users: BTreeSet<UserId>,
    /// True if every active officer is named.
    pub(super) officers: bool,
    /// True if every key is named, and every client that chooses an algorithm.
    pub(super) keys: bool,
    /// True if rows that are inserted under a random digest or id are named, too.
    pub(super) includes_inserted: bool,
}

fn lock<K: Ord>(rows: &mut BTreeMap<K, Lock>, key: K, lock: Lock) {
    let held = rows.entry(key).or_insert(lock);
    *held = (*held).max(lock);
}

impl CommitNames {
    /// Returns the rows that `changes` name, with those that they insert under a random digest or id: so one that is there already is found.
    pub(super) fn of<'c>(changes: impl Iterator<Item = &'c Change>, plan: Option<&NumberingPlan>) -> Self {
        Self::named(changes, plan, true)
    }

    /// Returns the rows that `changes` name, without those that they insert under a random digest or id: these are not there, or the
    /// database refuses them.
    pub(super) fn without_new<'c>(
        changes: impl Iterator<Item = &'c Change>,
        plan: Option<&NumberingPlan>,
    ) -> Self {
        Self::named(changes, plan, false)
    }

    fn named<'c>(
        changes: impl Iterator<Item = &'c Change>,
        plan: Option<&NumberingPlan>,
        includes_inserted: bool,
    ) -> Self {
        let mut names = Self { includes_inserted, ..Self::default() };
        changes.for_each(|change| names.add(change, plan));
        names
    }

    fn user(&mut self, id: &UserId, mode: Lock) {
        lock(&mut self.users, id.clone(), mode);
    }

    fn meta(&mut self, mode: Lock) {
        self.meta = self.meta.max(Some(mode));
    }

    fn gets_identifiers(&mut self, user: &User, plan: Option<&NumberingPlan>) {
        self.forms.extend(user.canonical_identifiers(plan).map(|(_, form)| form.as_str().to_owned()));
    }

    fn add(&mut self, change: &Change, plan: Option<&NumberingPlan>) {
        use Lock::{Share, Update};
        match change {
            Change::RequireStateEpoch(_) => self.meta(Share),
            Change::RequireUserEpoch { id, .. } => self.user(id, Share),
            Change::RequireClientEpoch { id, .. } => lock(&mut self.clients, id.clone(), Share),
            Change::RequireAnotherOfficer { .. } => self.officers = true,
            Change::RequireLiveSession(id) => lock(&mut self.sessions, id.clone(), Share),
            Change::InsertTicket(ticket) => {
                if self.includes_inserted {
                    lock(&mut self.tickets, ticket.digest, Update);
                    lock(&mut self.ticket_ids, ticket.id.clone(), Share);
                }
            }
            Change::SpendTicket { digest, .. } | Change::RepeatTicket { digest, .. } => {
                lock(&mut self.tickets, *digest, Update);
            }
            Change::RevokeTicket { id, .. } => lock(&mut self.ticket_ids, id.clone(), Update),
            Change::InsertSession { session, refresh } => {
                self.user(&session.user_id, Share);
                if self.includes_inserted {
                    lock(&mut self.sessions, session.id.clone(), Update);
                    refresh.iter().for_each(|token| lock(&mut self.refresh_tokens, token.digest, Update));
                }
            }
            Change::RotateRefresh { digest, successor, .. } => {
                lock(&mut self.sessions, successor.session_id.clone(), Share);
                lock(&mut self.refresh_tokens, *digest, Update);
                if self.includes_inserted {
                    lock(&mut self.refresh_tokens, successor.digest, Update);
                }
                if successor.last_deleted().is_some() {
                    self.families.insert(successor.session_id.clone());
                }
            }
            Change::CountRefresh(digest) => lock(&mut self.refresh_tokens, *digest, Update),
            Change::RequireUnusedRefresh(digest) => lock(&mut self.refresh_tokens, *digest, Share),
            Change::EndSession { id, .. } => lock(&mut self.sessions, id.clone(), Update),
            Change::RaiseEpoch { id, .. } => self.user(id, Update),
            Change::InsertChallenge(challenge) => {
                self.user(&challenge.sign_in.user_id, Share);
                if self.includes_inserted {
                    lock(&mut self.challenges, challenge.digest, Update);
                }
            }
            Change::CountWrong { digest, .. }
            | Change::AnswerChallenge { digest, .. }
            | Change::RepeatAnswer { digest, .. } => lock(&mut self.challenges, *digest, Update),
            Change::RequireOpenChallenge(digest) => lock(&mut self.challenges, *digest, Share),
            Change::InsertDevice(device) => {
                // Two devices at once would each find room.
                self.user(&device.user_id, Update);
                self.factors.insert(device.user_id.clone());
                self.devices.insert(device.id.clone());
            }
            Change::VerifyDevice { id, .. }
            | Change::UseStep { id, .. }
            | Change::DeleteDevice { id, .. } => drop(self.devices.insert(id.clone())),
            Change::AddBackupCodes { user, .. } | Change::KeepBackupCodes { user, .. } => {
                self.user(user, Update);
                self.factors.insert(user.clone());
            }
            Change::DropBackupCodes(user) | Change::UseBackupCode { user, .. } => {
                self.factors.insert(user.clone());
            }
            Change::SetLockout { user, after, .. } => {
                if *after != Lockout::default() {
                    self.user(user, Share);
                }
                self.guesses.insert(user.clone());
            }
            Change::RecordSignIn { user, .. } | Change::CountFailure { user, .. } => {
                self.user(user, Share);
                self.histories.insert(user.clone());
            }
            Change::SetPlaceLockout { user, .. } => drop(self.histories.insert(user.clone())),
            Change::SetPassword { user, .. } => {
                self.user(user, Share);
                self.passwords.insert(user.clone());
            }
            Change::ReplacePasswordHash { user, .. } | Change::SetPasswordLockout { user, .. } => {
                self.passwords.insert(user.clone());
            }
            Change::InsertUser(user) => {
                self.user(&user.id, Update);
                self.new_users.insert(user.id.clone());
                self.gets_identifiers(user, plan);
            }
            Change::UpdateUser(user) => {
                self.user(&user.id, Update);
                self.gets_identifiers(user, plan);
            }
            // What belongs to the user goes with the row.
            Change::DeleteUser(id) => self.user(id, Update),
            Change::InsertClient(client) => lock(&mut self.clients, client.id.clone(), Update),
            Change::UpdateClient(client) => lock(&mut self.clients, client.id.clone(), Update),
            Change::DeleteClient(id) => lock(&mut self.clients, id.clone(), Update),
            Change::RecordSecretUse(used) => lock(&mut self.clients, used.client.clone(), Update),
            Change::UseAssertion(used) => drop(self.assertions.insert(used.digest)),
            Change::RequireSigningKey(_) => {
                self.meta(Share);
                self.keys = true;
            }
            Change::InsertKey { .. }
            | Change::ActivateKey { .. }
            | Change::StopKey { .. }
            | Change::RetireKey { .. } => {
                self.meta(Update);
                self.keys = true;
            }
            Change::RevokeToken { .. } | Change::Audit(_) | Change::Probe | Change::DummyWrite => {}
        }
    }
}
