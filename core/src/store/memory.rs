//! A store in memory that keeps every promise but durability: for tests, examples and a first embedding.
//!
//! [`MemoryStore`] serves one thread. [`Tables`] is the same without the cell around it, to be put behind the lock of your
//! runtime. Nothing is ever swept.

pub mod guard;
mod read;
mod undo_log;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::RefCell;

use crate::base::time::Time;
use crate::crypto::algorithm::Algorithm;
use crate::records::challenge::{Challenge, ChallengeDigest};
use crate::records::client::{Client, UsedSecret};
use crate::records::client_assertion::AssertionDigest;
use crate::records::factor::{BackupDigest, Lockout, TotpDevice};
use crate::records::id::{ClientId, DeviceId, SessionId, UserId};
use crate::records::identifier::NumberingPlan;
use crate::records::password::Password;
use crate::records::session::{MAX_DELETED, RefreshDigest, RefreshToken, Session};
use crate::records::sign_in_history::SignInHistory;
use crate::records::signing_key::{KeyRecord, KeyState, StoredKey};
use crate::records::ticket::{Ticket, TicketDigest, TicketState};
use crate::records::user::User;
use crate::store::Store;
use crate::store::audit::Event;
use crate::store::change::{Change, Outcome};
use crate::store::query::{Found, Query};

use guard::Guard;
use undo_log::Before;

/// Every record there is.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Tables {
    /// The generation of the keys.
    pub generation: u64,
    /// The state epoch.
    pub state_epoch: u64,
    /// The numbering plan that canonical identifiers are made with.
    pub numbering_plan: Option<NumberingPlan>,
    /// Users by id.
    pub users: BTreeMap<UserId, User>,
    /// Clients by id.
    pub clients: BTreeMap<ClientId, Client>,
    /// Tickets by digest.
    pub tickets: BTreeMap<TicketDigest, Ticket>,
    /// Sessions by id.
    pub sessions: BTreeMap<SessionId, Session>,
    /// Refresh tokens by digest.
    pub refresh_tokens: BTreeMap<RefreshDigest, RefreshToken>,
    /// TOTP devices, oldest first.
    pub devices: Vec<TotpDevice>,
    /// Backup codes that were not used, by whose they are, and the device each came with.
    pub backup_codes: BTreeMap<(UserId, BackupDigest), DeviceId>,
    /// Lockouts of second factors.
    pub lockout: BTreeMap<UserId, Lockout>,
    /// Sign-in histories.
    pub histories: BTreeMap<UserId, SignInHistory>,
    /// Passwords.
    pub passwords: BTreeMap<UserId, Password>,
    /// Challenges by digest.
    pub challenges: BTreeMap<ChallengeDigest, Challenge>,
    /// The identifiers of access tokens that were revoked.
    pub revoked: BTreeSet<String>,
    /// The assertions of clients that were used.
    pub used_assertions: BTreeSet<AssertionDigest>,
    /// The keys, oldest first.
    pub keys: Vec<StoredKey>,
    /// The audit table, oldest first.
    pub audit: Vec<Event>,
    /// Deleted users, of whom something may be left: nothing of this store is swept.
    pub deleted: BTreeSet<UserId>,
    /// The guards that are switched off, to see what they are for.
    pub unguarded: Vec<Guard>,
}

impl Tables {
    /// Applies all of `changes`, or none.
    pub fn commit(&mut self, changes: &[Change]) -> Outcome {
        let mut overwritten = Vec::new();
        for change in changes {
            overwritten.push(Before::of(self, change));
            if !self.apply(change) {
                overwritten.into_iter().rev().for_each(|before| before.put_back(self));
                return Outcome::Conflict;
            }
        }
        Outcome::Applied
    }

    /// Applies one change, and says whether what it names still held; where not, it may have written all the same.
    fn apply(&mut self, change: &Change) -> bool {
        let holds = |(guard, holds)| holds || self.unguarded.contains(&guard);
        let holds = self.guards(change).into_iter().all(holds);
        if holds {
            self.write(change);
        }
        holds
    }

    /// Writes what `change` says, whatever its guards say.
    fn write(&mut self, change: &Change) {
        match change {
            Change::InsertTicket(ticket) => drop(self.tickets.insert(ticket.digest, ticket.clone())),
            Change::SpendTicket { digest, at, delivery } => {
                let spent = TicketState::Spent { at: *at, delivery: delivery.clone() };
                self.tickets.entry(*digest).and_modify(|ticket| ticket.state = spent);
            }
            Change::RepeatTicket { digest, .. } => {
                let state = self.tickets.get_mut(digest).map(|ticket| &mut ticket.state);
                if let Some(TicketState::Spent { delivery: Some(delivery), .. }) = state {
                    delivery.repeated += 1;
                }
            }
            Change::RevokeTicket { id, at } => {
                let named = self.tickets.values_mut().filter(|ticket| ticket.id == *id);
                named.for_each(|ticket| ticket.state = TicketState::Revoked(*at));
            }
            Change::InsertSession { session, refresh } => {
                if let Some(refresh) = refresh {
                    self.refresh_tokens.insert(refresh.digest, refresh.clone());
                }
                self.sessions.insert(session.id.clone(), session.clone());
            }
            Change::RotateRefresh { digest, rotation, successor, recorded } => {
                let mut counted = 0u32;
                if let Some(token) = self.refresh_tokens.get_mut(digest) {
                    token.rotation = Some(rotation.clone());
                    counted = token.refreshes;
                }
                let refreshes = counted.saturating_add(1).saturating_sub(*recorded);
                self.refresh_tokens.insert(successor.digest, RefreshToken { refreshes, ..successor.clone() });
                self.crowded_out(successor).iter().for_each(|old| drop(self.refresh_tokens.remove(old)));
            }
            Change::CountRefresh(digest) => {
                let token = self.refresh_tokens.get_mut(digest);
                token.into_iter().for_each(|token| token.refreshes = token.refreshes.saturating_add(1));
            }
            Change::EndSession { id, at } => {
                self.sessions.get_mut(id).into_iter().for_each(|session| session.ended_at = Some(*at));
            }
            Change::RaiseEpoch { id, .. } => {
                self.users.get_mut(id).into_iter().for_each(User::end_sessions);
            }
            Change::RevokeToken { token_id, .. } => drop(self.revoked.insert(token_id.clone())),
            Change::InsertChallenge(challenge) => {
                self.challenges.insert(challenge.digest, challenge.clone());
            }
            Change::CountWrong { digest, .. } => {
                self.challenges.entry(*digest).and_modify(|challenge| challenge.wrong += 1);
            }
            Change::AnswerChallenge { digest, answered, .. } => {
                let answered = Some(answered.clone());
                self.challenges.entry(*digest).and_modify(|challenge| challenge.answered = answered);
            }
            Change::RepeatAnswer { digest, .. } => {
                let answered = self.challenges.get_mut(digest).and_then(|c| c.answered.as_mut());
                if let Some(delivery) = answered.and_then(|answered| answered.delivery.as_mut()) {
                    delivery.repeated += 1;
                }
            }
            Change::InsertDevice(device) => self.devices.push(device.clone()),
            Change::VerifyDevice { id, session, step, at } => {
                let verified = (Some(*at), session.clone(), *step);
                let device = self.devices.iter_mut().find(|device| device.id == *id);
                device
                    .into_iter()
                    .for_each(|d| (d.verified_at, d.verified_by, d.last_step) = verified.clone());
            }
            Change::UseStep { id, step, .. } => {
                let device = self.devices.iter_mut().find(|device| device.id == *id);
                device.into_iter().for_each(|device| device.last_step = *step);
            }
            Change::DeleteDevice { id, .. } => {
                if self.devices.iter().any(|device| device.id == *id && device.verified_at.is_none()) {
                    self.backup_codes.retain(|_, device| device != id);
                }
                self.devices.retain(|device| device.id != *id);
            }
            Change::AddBackupCodes { user, device, codes } => {
                let rows = codes.iter().map(|code| ((user.clone(), *code), device.clone()));
                self.backup_codes.extend(rows);
            }
            Change::KeepBackupCodes { user, device } => {
                self.backup_codes.retain(|(whose, _), with| whose != user || with == device);
            }
            Change::DropBackupCodes(user) => self.backup_codes.retain(|(whose, _), _| whose != user),
            Change::UseBackupCode { user, code } => {
                self.backup_codes.remove(&(user.clone(), *code));
            }
            Change::SetLockout { user, after, .. } => drop(self.lockout.insert(user.clone(), *after)),
            Change::RecordSignIn { user, place, at } => {
                self.histories.entry(user.clone()).or_default().learn(*place, *at);
            }
            Change::CountFailure { user, at } => self.histories.entry(user.clone()).or_default().fail(*at),
            Change::SetPassword { user, hash } => {
                let password = Password { hash: hash.clone(), lockout: Lockout::default() };
                self.passwords.insert(user.clone(), password);
            }
            Change::ReplacePasswordHash { user, after, .. } => {
                let password = self.passwords.get_mut(user);
                password.into_iter().for_each(|password| password.hash = after.clone());
            }
            Change::SetPasswordLockout { user, after, .. } => {
                self.passwords.get_mut(user).into_iter().for_each(|password| password.lockout = *after);
            }
            Change::SetPlaceLockout { user, place, of, after, .. } => {
                let history = self.histories.get_mut(user);
                history.into_iter().for_each(|history| history.set_lockout(*of, place, *after));
            }
            Change::InsertUser(user) => drop(self.users.insert(user.id.clone(), user.clone())),
            Change::UpdateUser(user) => {
                let after = User { revision: user.revision + 1, ..user.clone() };
                self.users.insert(user.id.clone(), after);
            }
            Change::DeleteUser(id) => {
                self.devices.retain(|device| device.user_id != *id);
                self.backup_codes.retain(|(whose, _), _| whose != id);
                self.lockout.remove(id);
                self.histories.remove(id);
                self.passwords.remove(id);
                self.users.remove(id);
                self.deleted.insert(id.clone());
            }
            Change::InsertClient(client) => drop(self.clients.insert(client.id.clone(), client.clone())),
            Change::UpdateClient(client) => {
                let after = Client { revision: client.revision + 1, ..client.clone() };
                self.clients.insert(client.id.clone(), after);
            }
            Change::DeleteClient(id) => drop(self.clients.remove(id)),
            Change::RecordSecretUse(UsedSecret { client, digest, at }) => {
                let secrets = self.clients.get_mut(client).into_iter().flat_map(|client| &mut client.secrets);
                secrets.filter(|secret| secret.digest == *digest).for_each(|secret| secret.record_use(*at));
            }
            Change::UseAssertion(used) => drop(self.used_assertions.insert(used.digest)),
            Change::InsertKey { key, retire_from, .. } => {
                self.keys.push(StoredKey::clone(key));
                if key.record.state == KeyState::Signing {
                    self.activate(&key.record.id, key.record.beside, *retire_from);
                }
                self.generation += 1;
            }
            Change::ActivateKey { id, beside, retire_from, .. } => {
                self.activate(id, *beside, *retire_from);
                self.generation += 1;
            }
            Change::StopKey { id, retire_from, .. } => {
                let key = self.keys.iter_mut().find(|key| key.record.id == *id);
                key.into_iter().for_each(|key| key.record.stop(*retire_from));
                self.generation += 1;
            }
            Change::RetireKey { id, .. } => {
                self.keys.retain(|key| key.record.id != *id);
                self.generation += 1;
            }
            Change::Audit(event) => self.audit.push(event.clone()),
            Change::RequireStateEpoch(_)
            | Change::RequireSigningKey(_)
            | Change::RequireUserEpoch { .. }
            | Change::RequireClientEpoch { .. }
            | Change::RequireAnotherOfficer { .. }
            | Change::RequireLiveSession(_)
            | Change::RequireUnusedRefresh(_)
            | Change::RequireOpenChallenge(_)
            | Change::Probe
            | Change::DummyWrite => {}
        }
    }

    /// Lets the key `id` sign, beside the default key or as that.
    fn activate(&mut self, id: &str, beside: bool, retire_from: Time) {
        let algorithm = self.keys.iter().find(|key| key.record.id == id).map(|key| key.record.algorithm);
        let chosen: Vec<_> = self.clients.values().filter_map(|client| client.signing_algorithm).collect();
        for KeyRecord { id: other, .. } in self.signing() {
            let Some(key) = self.keys.iter_mut().map(|key| &mut key.record).find(|key| key.id == other)
            else {
                continue;
            };
            let makes_room = key.is_default() && !beside;
            if key.id == id {
                // It signs already.
            } else if Some(key.algorithm) == algorithm || makes_room && !chosen.contains(&key.algorithm) {
                key.stop(retire_from);
            } else if makes_room {
                key.beside = true;
            }
        }
        let beside = beside && self.signing().iter().any(|key| key.id != id && key.is_default());
        if let Some(key) = self.keys.iter_mut().map(|key| &mut key.record).find(|key| key.id == id) {
            (key.state, key.beside, key.retire_from) = (KeyState::Signing, beside, None);
        }
    }

    /// Returns the keys that sign.
    fn signing(&self) -> Vec<KeyRecord> {
        let records = self.keys.iter().map(|key| &key.record);
        records.filter(|key| key.state == KeyState::Signing).cloned().collect()
    }

    /// Returns true if a client chooses `algorithm`.
    pub(crate) fn is_chosen(&self, algorithm: Algorithm) -> bool {
        self.clients.values().any(|client| client.signing_algorithm == Some(algorithm))
    }

    /// The tokens that have no room beside `successor`, the oldest first, and no more than are deleted at once.
    pub(crate) fn crowded_out(&self, successor: &RefreshToken) -> Vec<RefreshDigest> {
        let Some(last) = successor.last_deleted() else { return Vec::new() };
        let of_session = self.refresh_tokens.values().filter(|t| t.session_id == successor.session_id);
        let mut old: Vec<_> = of_session.filter(|t| t.number <= last).map(|t| (t.number, t.digest)).collect();
        old.sort_unstable();
        old.into_iter()
            .map(|(_, digest)| digest)
            .take(usize::try_from(MAX_DELETED).unwrap_or(usize::MAX))
            .collect()
    }
}

/// [`Tables`] as a [`Store`], for one thread.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(RefCell<Tables>);

impl MemoryStore {
    /// Makes a store that holds `tables`; `MemoryStore::default()` is an empty one.
    pub const fn new(tables: Tables) -> Self {
        Self(RefCell::new(tables))
    }

    /// Gives the tables back.
    pub fn into_tables(self) -> Tables {
        self.0.into_inner()
    }
}

impl Store for MemoryStore {
    fn read(&self, query: &Query) -> Found {
        self.0.borrow().read(query)
    }

    fn commit(&self, changes: &Arc<[Change]>) -> Outcome {
        self.0.borrow_mut().commit(changes)
    }
}
