//! A store in memory that keeps every promise but durability: for tests, examples and a first embedding.
//!
//! [`MemoryStore`] serves one thread. [`Tables`] is the same without the cell around it, to be put behind the lock of your
//! runtime. Nothing is ever swept.

pub mod guard;
mod undo_log;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::RefCell;

use crate::base::time::Time;
use crate::records::challenge::{Challenge, ChallengeDigest};
use crate::records::client::{Client, ClientRef};
use crate::records::delivery::{Delivered, DeliveredSession, OpenedSession, TicketResult};
use crate::records::factor::{BackupDigest, Factors, Lockout, TotpDevice};
use crate::records::id::{ClientId, DeviceId, SessionId, UserId, UserRef};
use crate::records::named_clients::NamedClients;
use crate::records::password::Password;
use crate::records::session::{MAX_DELETED, RefreshDigest, RefreshToken, Session};
use crate::records::sign_in_history::{
    DeviceOnNetwork, KnownPlace, MAX_FAILURES, MAX_PLACES, SignInHistory, hour_of,
};
use crate::records::signing_key::{KeyState, StoredKey};
use crate::records::ticket::{Ticket, TicketDigest, TicketState};
use crate::records::user::User;
use crate::store::Store;
use crate::store::audit::Event;
use crate::store::change::{Change, Outcome};
use crate::store::page::{Cursor, Page, PageQuery};
use crate::store::query::{
    AccountRecords, BearerQuery, BearerRecords, ChallengeRecords, FactorsRecords, Family, Found, Identity,
    IssueRecords, LoginRecords, MAX_SESSIONS, PasswordRecords, Query, Records, SessionPageQuery,
    SessionRecords, SessionsRecords, TicketRecords, TokenRecords, UserRecords,
};

use guard::Guard;
use undo_log::Before;

/// Every record there is.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Tables {
    /// The generation of the keys.
    pub generation: u64,
    /// The state epoch.
    pub state_epoch: u64,
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
    pub habits: BTreeMap<UserId, SignInHistory>,
    /// Passwords.
    pub passwords: BTreeMap<UserId, Password>,
    /// Challenges by digest.
    pub challenges: BTreeMap<ChallengeDigest, Challenge>,
    /// The identifiers of access tokens that were revoked.
    pub revoked: BTreeSet<String>,
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
    fn user(&self, who: &UserRef) -> Option<&User> {
        let by_name = |name: &str| self.users.values().find(|user| user.username.as_str() == name);
        match who {
            UserRef::Username(name) => by_name(name),
            UserRef::IdOrUsername(text) => {
                UserId::parse(text).ok().and_then(|id| self.users.get(&id)).or_else(|| by_name(text))
            }
        }
    }

    /// The client that issued what rests on `named`, where that is another than the one it is for.
    fn other_issuer(&self, named: NamedClients<'_>) -> Option<Client> {
        named.other_issuer().and_then(|id| self.clients.get(id)).cloned()
    }

    fn bearer(&self, query: &BearerQuery) -> BearerRecords {
        let person = query.person.as_ref();
        let session = person.and_then(|p| self.sessions.get(&p.session));
        BearerRecords {
            client: self.clients.get(&query.client).cloned(),
            user: person.and_then(|p| self.users.get(&p.user)).cloned(),
            issuer: session.and_then(|session| self.other_issuer(session.clients())),
            session: session.cloned(),
            actor: person.and_then(|p| p.actor.as_ref()).and_then(|id| self.users.get(id)).cloned(),
            revoked: self.revoked.contains(&query.token_id),
        }
    }

    fn session_page(&self, query: &SessionPageQuery) -> Page<SessionRecords> {
        let asked = |session: &&Session| query.user.as_ref().is_none_or(|user| session.user_id == *user);
        let sessions = self.sessions.values().filter(asked);
        let Page { items, next } = page(&query.page, sessions, |session| session.id.as_str());
        let with_names = |session: Session| SessionRecords {
            user: self.users.get(&session.user_id).cloned(),
            actor: session.actor_id().and_then(|id| self.users.get(id)).cloned(),
            client: self.clients.get(&session.client_id).cloned(),
            issuer: self.other_issuer(session.clients()),
            session,
        };
        Page { items: items.into_iter().map(with_names).collect(), next }
    }

    fn factors(&self, user: &UserId) -> Factors {
        let codes = self.backup_codes.keys().filter(|(whose, _)| whose == user);
        Factors {
            devices: self.devices.iter().rev().filter(|device| device.user_id == *user).cloned().collect(),
            backup_codes: codes.map(|(_, code)| *code).collect(),
            lockout: self.lockout.get(user).copied().unwrap_or_default(),
        }
    }

    /// The user called so: by user name, or else by an address or a number that nobody else has.
    fn identified(&self, Identity(text): &Identity) -> Option<&User> {
        let only = |is: &dyn Fn(&User) -> bool| {
            let mut all = self.users.values().filter(|user| is(user));
            all.next().filter(|_| all.next().is_none())
        };
        let has_email =
            |user: &User| user.email.as_ref().is_some_and(|email| email.eq_ignore_ascii_case(text));
        only(&|user| user.username.as_str() == text)
            .or_else(|| only(&|user| has_email(user) || user.phone.as_deref() == Some(text)))
    }

    fn family(&self, digest: &RefreshDigest) -> Option<Family> {
        let refresh = self.refresh_tokens.get(digest)?.clone();
        let session = self.sessions.get(&refresh.session_id)?.clone();
        let successor = refresh.rotation.as_ref().and_then(|r| self.refresh_tokens.get(&r.successor));
        Some(Family {
            successor: successor.cloned(),
            user: self.users.get(&session.user_id).cloned(),
            actor: session.actor_id().and_then(|id| self.users.get(id)).cloned(),
            client: self.clients.get(&session.client_id).cloned(),
            issuer: self.other_issuer(session.clients()),
            refresh,
            session,
        })
    }

    /// Returns the result of a ticket that was redeemed with an `Idempotency-Key`.
    fn delivered(&self, ticket: &Ticket) -> Option<Delivered> {
        let TicketState::Spent { delivery: Some(delivery), .. } = &ticket.state else { return None };
        match &delivery.result {
            TicketResult::Session(opened) => self.delivered_session(opened).map(Delivered::Session),
            TicketResult::Challenge(digest) => self.challenges.get(digest).cloned().map(Delivered::Challenge),
        }
    }

    fn delivered_session(&self, opened: &OpenedSession) -> Option<DeliveredSession> {
        let refresh = opened.refresh.and_then(|digest| self.refresh_tokens.get(&digest));
        let session = self.sessions.get(&opened.id)?.clone();
        Some(DeliveredSession { session, refresh: refresh.cloned() })
    }

    /// Returns the owner of everything that is deleted with a user at once. Tickets, sessions and challenges are left to the sweep.
    pub fn owners(&self) -> impl Iterator<Item = &UserId> {
        let devices = self.devices.iter().map(|device| &device.user_id);
        let codes = self.backup_codes.keys().map(|(user, _)| user);
        let rest = self.lockout.keys().chain(self.habits.keys()).chain(self.passwords.keys());
        devices.chain(codes).chain(rest)
    }

    /// Answers `query`.
    pub fn read(&self, query: &Query) -> Found {
        let records = match query {
            Query::Generation => Records::Generation,
            Query::Client(id) => Records::Client(self.clients.get(id).cloned()),
            Query::Bearer(query) => Records::Bearer(Box::new(self.bearer(query))),
            Query::Ticket(digest) => Records::Ticket(self.tickets.get(digest).map(|ticket| {
                let actor = ticket.impersonation.as_ref().and_then(|i| self.users.get(&i.actor));
                Box::new(TicketRecords {
                    factors: self.factors(ticket.presented_by()),
                    history: self.habits.get(ticket.presented_by()).cloned().unwrap_or_default(),
                    user: self.users.get(&ticket.user_id).cloned(),
                    actor: actor.cloned(),
                    client: self.clients.get(&ticket.client_id).cloned(),
                    issuer: self.other_issuer(ticket.clients()),
                    delivered: self.delivered(ticket),
                    ticket: ticket.clone(),
                })
            })),
            Query::Issue(query) => Records::Issue(Box::new(IssueRecords {
                bearer: query.bearer.as_ref().map(|bearer| self.bearer(bearer)).unwrap_or_default(),
                user: query.user.as_ref().and_then(|who| self.user(who)).cloned(),
                actor: query.actor.as_ref().and_then(|who| self.user(who)).cloned(),
                audience: query.audience.as_ref().and_then(|id| self.clients.get(id)).cloned(),
            })),
            Query::Token(query) => Records::Token(Box::new(TokenRecords {
                caller: query.caller.as_ref().and_then(|id| self.clients.get(id)).cloned(),
                bearer: query.access.as_ref().map(|bearer| self.bearer(bearer)).unwrap_or_default(),
                family: query.refresh.as_ref().and_then(|digest| self.family(digest)),
            })),
            Query::Challenge(digest) => Records::Challenge(self.challenges.get(digest).map(|challenge| {
                let sign_in = &challenge.sign_in;
                let actor = sign_in.impersonation.as_ref().and_then(|i| self.users.get(&i.actor));
                Box::new(ChallengeRecords {
                    user: self.users.get(&sign_in.user_id).cloned(),
                    actor: actor.cloned(),
                    client: self.clients.get(&sign_in.client_id).cloned(),
                    issuer: self.other_issuer(sign_in.clients()),
                    factors: self.factors(sign_in.challenged()),
                    delivered: challenge
                        .answered
                        .as_ref()
                        .and_then(|answered| self.delivered_session(&answered.delivery.as_ref()?.result)),
                    challenge: challenge.clone(),
                })
            })),
            Query::Factors(query) => Records::Factors(Box::new(FactorsRecords {
                bearer: self.bearer(query),
                factors: query.person.as_ref().map(|p| self.factors(&p.user)).unwrap_or_default(),
            })),
            Query::Login(identity) => Records::Login(self.identified(identity).map(|user| {
                Box::new(LoginRecords {
                    password: self.passwords.get(&user.id).cloned(),
                    factors: self.factors(&user.id),
                    history: self.habits.get(&user.id).cloned().unwrap_or_default(),
                    user: user.clone(),
                })
            })),
            Query::Password(query) => Records::Password(Box::new(PasswordRecords {
                bearer: self.bearer(query),
                password: query.person.as_ref().and_then(|p| self.passwords.get(&p.user)).cloned(),
            })),
            Query::User(query) => Records::User(self.user(&query.user).map(|user| {
                let owner = query.username.as_ref().map(|name| UserRef::Username(name.as_str().into()));
                let owner = owner.and_then(|name| self.user(&name)).map(|owner| owner.id.clone());
                Box::new(UserRecords { user: user.clone(), username_owner: owner })
            })),
            Query::Account(who) => Records::Account(self.user(who).map(|user| {
                Box::new(AccountRecords {
                    password: self.passwords.get(&user.id).cloned(),
                    factors: self.factors(&user.id),
                    history: self.habits.get(&user.id).cloned().unwrap_or_default(),
                    user: user.clone(),
                })
            })),
            Query::Session(id) => Records::Session(self.sessions.get(id).cloned().map(Box::new)),
            Query::TicketById(id) => {
                let ticket = self.tickets.values().find(|ticket| ticket.id == *id);
                Records::TicketById(ticket.cloned().map(Box::new))
            }
            Query::Keys => Records::Keys(self.keys.iter().map(|key| key.record.clone()).collect()),
            Query::UserPage(query) => {
                Records::UserPage(page(query, self.users.values(), |user| user.id.as_str()))
            }
            Query::ClientPage(query) => {
                Records::ClientPage(page(query, self.clients.values(), |client| client.id.as_str()))
            }
            Query::TicketPage(query) => {
                Records::TicketPage(page(query, self.tickets.values(), |ticket| ticket.id.as_str()))
            }
            Query::SessionPage(query) => Records::SessionPage(self.session_page(query)),
            Query::Sessions(query) => {
                let bearer = self.bearer(query);
                let own = bearer.session.as_ref().filter(|s| s.ended_at.is_none()).map(|s| &s.user_id);
                let person = query.person.as_ref().filter(|p| own == Some(&p.user));
                let whose = |s: &&Session| person.is_some_and(|p| p.user == s.user_id);
                let stands = |s: &&Session| {
                    let is = |user: &User, epoch| user.is_active() && user.epoch == epoch;
                    let is_client =
                        |named: &ClientRef| self.clients.get(&named.id).is_some_and(|c| c.is(named));
                    let client = s.client_epoch.map(|epoch| ClientRef { id: s.client_id.clone(), epoch });
                    s.actor
                        .as_ref()
                        .is_none_or(|a| self.users.get(&a.id).is_some_and(|user| is(user, a.epoch)))
                        && client.iter().chain(&s.issuer).all(is_client)
                };
                let live =
                    self.sessions.values().filter(|s| s.ended_at.is_none()).filter(whose).filter(stands);
                let mut sessions: Vec<Session> = live.cloned().collect();
                sessions.sort_by(|a, b| (b.auth_time, &b.id).cmp(&(a.auth_time, &a.id)));
                sessions.truncate(MAX_SESSIONS);
                Records::Sessions(Box::new(SessionsRecords { bearer, sessions }))
            }
        };
        Found { generation: self.generation, state_epoch: self.state_epoch, records }
    }

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
            Change::RecordSignIn { user, place, at } => self.learn(user, *place, *at),
            Change::CountFailure { user, at } => {
                let failures = &mut self.habits.entry(user.clone()).or_default().failures;
                failures.insert(0, *at);
                failures.truncate(MAX_FAILURES);
            }
            Change::SetPassword { user, hash } => {
                let password = Password { hash: hash.clone(), lockout: Lockout::default() };
                self.passwords.insert(user.clone(), password);
            }
            Change::SetPasswordLockout { user, after, .. } => {
                self.passwords.get_mut(user).into_iter().for_each(|password| password.lockout = *after);
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
                self.habits.remove(id);
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
            Change::InsertKey { key, .. } => {
                if key.record.state == KeyState::Signing {
                    self.stop_signing();
                }
                self.keys.push(StoredKey::clone(key));
                self.generation += 1;
            }
            Change::ActivateKey { id, .. } => {
                self.stop_signing();
                let key = self.keys.iter_mut().find(|key| key.record.id == *id);
                key.into_iter().for_each(|key| key.record.state = KeyState::Signing);
                self.generation += 1;
            }
            Change::RetireKey { id, .. } => {
                self.keys.retain(|key| key.record.id != *id);
                self.generation += 1;
            }
            Change::Audit(event) => self.audit.push(event.clone()),
            Change::RequireStateEpoch(_)
            | Change::RequireUserEpoch { .. }
            | Change::RequireClientEpoch { .. }
            | Change::RequireLiveSession(_)
            | Change::RequireUnusedRefresh(_)
            | Change::RequireOpenChallenge(_)
            | Change::Probe
            | Change::DummyWrite => {}
        }
    }

    fn stop_signing(&mut self) {
        let signing = self.keys.iter_mut().filter(|key| key.record.state == KeyState::Signing);
        signing.for_each(|key| key.record.state = KeyState::VerifyingOnly);
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

    fn learn(&mut self, user: &UserId, place: DeviceOnNetwork, at: Time) {
        let history = self.habits.entry(user.clone()).or_default();
        if let Some(times) = history.hours.get_mut(hour_of(at)) {
            *times += 1;
        }
        history.places.retain(|known| !known.last_at.is_ahead_of(at));
        let known = history.places.iter().position(|known| known.place == place);
        let last_at = known.map(|at| history.places.remove(at).last_at).map_or(at, |before| before.max(at));
        history.places.push(KnownPlace { place, last_at });
        history.places.sort_by_key(|known| (core::cmp::Reverse(known.last_at), known.place));
        history.places.truncate(MAX_PLACES);
    }
}

/// One page of `all`, in the order of their names.
fn page<'a, T: Clone + 'a>(
    query: &PageQuery,
    all: impl Iterator<Item = &'a T>,
    name: impl Fn(&T) -> &str,
) -> Page<T> {
    let is_later =
        |record: &&T| query.after.as_ref().is_none_or(|Cursor(after)| name(record) > after.as_str());
    let mut found: Vec<&T> = all.filter(is_later).collect();
    found.sort_by(|one, other| name(one).cmp(name(other)));
    Page::of(query, found.into_iter().map(|record| (record.clone(), Cursor(name(record).into()))))
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
