//! The durable state, kept by independent rules: it reads the applied changes and trusts neither the core nor the tables.

use std::collections::{BTreeMap, BTreeSet};

use gatepass_core::records::challenge::{ChallengeDigest, MAX_WRONG};
use gatepass_core::records::client::{Client, ClientRef};
use gatepass_core::records::factor::BackupDigest;
use gatepass_core::records::id::{ClientId, DeviceId, SessionId, UserId};
use gatepass_core::records::role::{Role, Roles};
use gatepass_core::records::session::{RefreshDigest, Session};
use gatepass_core::records::ticket::{Ticket, TicketDigest};
use gatepass_core::records::user::User;
use gatepass_core::store::audit::{Event, Kind};
use gatepass_core::store::change::Change;

use super::administration::{Author, SCOPE, administers};
use super::coverage::Coverage;
use crate::memory::Tables;
use serde_json::Value;

/// A promise that was broken.
pub(super) type BrokenPromise = String;

#[derive(Clone, Copy, PartialEq)]
enum TicketStatus {
    Live,
    Spent,
    Revoked,
}

#[derive(Default)]
struct ChallengeStatus {
    wrong: u32,
    answered: bool,
}

#[derive(Default)]
pub(super) struct Oracle {
    /// Epoch, and true if active.
    users: BTreeMap<UserId, (u64, bool)>,
    /// The whole records of users.
    records: BTreeMap<UserId, User>,
    /// The roles of clients.
    client_roles: BTreeMap<ClientId, Roles>,
    /// The sessions that administer.
    administering: BTreeMap<SessionId, Session>,
    /// The enabled clients and their epochs.
    clients: BTreeMap<ClientId, u64>,
    /// The clients that each session depends on.
    rests_on: BTreeMap<SessionId, Vec<ClientRef>>,
    tickets: BTreeMap<TicketDigest, (TicketStatus, Ticket)>,
    sessions: BTreeMap<SessionId, UserId>,
    ended: BTreeSet<SessionId>,
    /// The unused tokens of each session.
    unused: BTreeMap<SessionId, BTreeSet<RefreshDigest>>,
    /// The refreshes of each session that have no audit row yet.
    refreshes: BTreeMap<SessionId, u32>,
    challenges: BTreeMap<ChallengeDigest, ChallengeStatus>,
    last_steps: BTreeMap<DeviceId, u64>,
    used_codes: BTreeSet<BackupDigest>,
    revoked: BTreeSet<String>,
    /// The tickets and challenges whose answers were repeated.
    repeated: BTreeSet<[u8; 32]>,
    /// Everything issued before older state was put back.
    superseded: Superseded,
    /// The number of times that older state was put back.
    put_back: u64,
    rows: usize,
}

#[derive(Default)]
struct Superseded {
    tickets: BTreeSet<TicketDigest>,
    sessions: BTreeSet<SessionId>,
    challenges: BTreeSet<ChallengeDigest>,
}

fn hold(holds: bool, broken: impl FnOnce() -> BrokenPromise) -> Result<(), BrokenPromise> {
    if holds { Ok(()) } else { Err(broken()) }
}

impl Oracle {
    pub(super) fn of(tables: &Tables) -> Self {
        let users = tables.users.values().map(|user| (user.id.clone(), (user.epoch, user.is_active())));
        let clients = tables.clients.values().filter(|client| client.enabled);
        Self {
            users: users.collect(),
            records: tables.users.clone(),
            client_roles: tables.clients.values().map(|client| (client.id.clone(), client.roles)).collect(),
            clients: clients.map(|client| (client.id.clone(), client.epoch)).collect(),
            rows: tables.audit.len(),
            ..Self::default()
        }
    }

    /// Returns true if a durable change has ended the session.
    pub(super) fn is_ended(&self, session: &str) -> bool {
        SessionId::parse(session).is_ok_and(|id| self.ended.contains(&id))
    }

    pub(super) fn is_revoked(&self, token_id: &str) -> bool {
        self.revoked.contains(token_id)
    }

    /// Puts older state back: everything issued so far is invalid.
    pub(super) fn supersede(&mut self) {
        self.put_back += 1;
        self.superseded.tickets.extend(self.tickets.keys());
        self.superseded.sessions.extend(self.sessions.keys().cloned());
        self.superseded.challenges.extend(self.challenges.keys());
    }

    /// Returns how often older state was put back.
    pub(super) fn put_back(&self) -> u64 {
        self.put_back
    }

    pub(super) fn is_superseded_session(&self, session: &SessionId) -> bool {
        self.superseded.sessions.contains(session)
    }

    pub(super) fn is_superseded_ticket(&self, ticket: &TicketDigest) -> bool {
        self.superseded.tickets.contains(ticket)
    }

    pub(super) fn is_superseded_challenge(&self, challenge: &ChallengeDigest) -> bool {
        self.superseded.challenges.contains(challenge)
    }

    /// Checks and records an applied commit.
    pub(super) fn applied(
        &mut self,
        changes: &[Change],
        author: &Author,
        coverage: &mut Coverage,
    ) -> Result<(), BrokenPromise> {
        self.check_administrator(author)?;
        self.check_roles(changes, author, coverage)?;
        let rows: Vec<&Event> = changes
            .iter()
            .filter_map(|change| if let Change::Audit(event) = change { Some(event) } else { None })
            .collect();
        self.rows += rows.len();
        let opens =
            changes.iter().any(|c| matches!(c, Change::InsertSession { .. } | Change::InsertChallenge(_)));
        for change in changes {
            self.take(change, &rows, opens, coverage)?;
        }
        Ok(())
    }

    fn take(
        &mut self,
        change: &Change,
        rows: &[&Event],
        opens: bool,
        coverage: &mut Coverage,
    ) -> Result<(), BrokenPromise> {
        let told = |kinds: &[Kind], is_it: &dyn Fn(&Event) -> bool| {
            let row = rows.iter().any(|row| kinds.contains(&row.kind) && is_it(row));
            hold(row, || format!("{change:?} has no row of {kinds:?} in its commit"))
        };
        let current = |superseded: bool| {
            hold(!superseded, || format!("{change:?} uses what was issued before older state was put back"))
        };
        match change {
            Change::RequireLiveSession(id) => current(self.is_superseded_session(id)),
            Change::InsertTicket(ticket) => {
                coverage.count("tickets issued");
                let before = self.tickets.insert(ticket.digest, (TicketStatus::Live, ticket.clone()));
                hold(before.is_none(), || "two tickets have one digest".into())?;
                told(&[Kind::TicketIssued], &|row| row.ticket.as_ref() == Some(&ticket.id))
            }
            Change::SpendTicket { digest, at, .. } => {
                current(self.is_superseded_ticket(digest))?;
                let (is, ticket) = self.tickets.get_mut(digest).ok_or("a ticket nobody issued was spent")?;
                hold(*is == TicketStatus::Live, || format!("{} was spent or revoked before", ticket.id))?;
                hold(*at < ticket.expires_at, || format!("{} was spent after its time", ticket.id))?;
                *is = TicketStatus::Spent;
                let kinds: &[Kind] = if opens {
                    &[Kind::TicketRedeemed, Kind::ChallengeIssued]
                } else {
                    &[Kind::TicketRefused]
                };
                told(kinds, &|row| row.ticket.as_ref() == Some(&ticket.id))
            }
            Change::RepeatTicket { digest, first } => {
                current(self.is_superseded_ticket(digest))?;
                let (is, ticket) =
                    self.tickets.get(digest).ok_or("the answer to a ticket nobody issued comes again")?;
                hold(*is == TicketStatus::Spent, || {
                    format!("{} is answered again, and was not spent", ticket.id)
                })?;
                self.repeated_once(
                    *first,
                    digest.0,
                    &|row: &Event| {
                        row.kind == Kind::TicketRepeated && row.ticket.as_ref() == Some(&ticket.id)
                    },
                    rows,
                )?;
                self.repeated.insert(digest.0);
                Ok(())
            }
            Change::RepeatAnswer { digest, first, .. } => {
                current(self.is_superseded_challenge(digest))?;
                let challenge = self.challenges.get(digest).ok_or("nobody made this challenge")?;
                hold(challenge.answered && challenge.wrong < MAX_WRONG, || {
                    "an answer comes again of a challenge that was not answered, or has had its wrong codes"
                        .into()
                })?;
                self.repeated_once(
                    *first,
                    digest.0,
                    &|row: &Event| row.kind == Kind::ChallengeRepeated,
                    rows,
                )?;
                self.repeated.insert(digest.0);
                Ok(())
            }
            Change::RequireOpenChallenge(digest) => {
                let challenge = self.challenges.get(digest).ok_or("nobody made this challenge")?;
                hold(!challenge.answered && challenge.wrong < MAX_WRONG, || {
                    "a challenge that is over is handed out again".into()
                })
            }
            Change::RevokeTicket { id, .. } => {
                coverage.count("tickets revoked");
                let (is, _) = self.tickets.values_mut().find(|(_, t)| t.id == *id).ok_or("no such ticket")?;
                hold(*is == TicketStatus::Live, || format!("{id} was revoked after it was over"))?;
                *is = TicketStatus::Revoked;
                Ok(())
            }
            Change::InsertSession { session, refresh } => {
                let unused = refresh.iter().map(|token| token.digest).collect();
                self.unused.insert(session.id.clone(), unused);
                self.opened(session)?;
                if session.scope.contains(SCOPE) {
                    coverage.count("sessions to administer");
                    self.opened_to_administer(session, refresh.is_some())?;
                }
                let kinds = [Kind::TicketRedeemed, Kind::PasswordAccepted, Kind::ChallengeAnswered];
                told(&kinds, &|row| row.session.as_ref() == Some(&session.id))
            }
            Change::RotateRefresh { digest, successor, recorded, .. } => {
                coverage.count("sessions refreshed");
                let session = &successor.session_id;
                current(self.is_superseded_session(session))?;
                hold(!self.ended.contains(session), || format!("{session} was prolonged after its end"))?;
                let stand = self.rests_on.get(session).is_some_and(|named| self.stand(named));
                hold(stand, || format!("{session} was prolonged after its client's end"))?;
                let unused = self.unused.entry(session.clone()).or_default();
                hold(unused.remove(digest), || format!("a token of {session} was used twice"))?;
                unused.insert(successor.digest);
                hold(unused.len() == 1, || format!("{session} has {} branches", unused.len()))?;
                let counted = self.refreshes.entry(session.clone()).or_default();
                *counted += 1;
                if *recorded == 0 {
                    coverage.count("refreshes that are only counted");
                    return Ok(());
                }
                *counted =
                    counted.checked_sub(*recorded).ok_or("a row tells of more refreshes than there were")?;
                told(&[Kind::SessionRefreshed], &|row| {
                    row.session.as_ref() == Some(session) && row.count == *recorded
                })
            }
            Change::CountRefresh(digest) => {
                let session = self.unused.iter().find(|(_, unused)| unused.contains(digest));
                let session = session.map(|(session, _)| session.clone()).ok_or("a refresh of no session")?;
                *self.refreshes.entry(session).or_default() += 1;
                Ok(())
            }
            Change::RequireUnusedRefresh(digest) => {
                coverage.count("the same successor again");
                let unused = self.unused.values().any(|unused| unused.contains(digest));
                hold(unused, || "a used successor was handed out again".into())
            }
            Change::EndSession { id, .. } => {
                coverage.count("sessions ended");
                self.ended.insert(id.clone());
                if rows.iter().any(|row| row.kind == Kind::RefreshReused) {
                    coverage.count("families ended by a reuse");
                }
                told(&[Kind::SessionEnded, Kind::RefreshReused], &|row| row.session.as_ref() == Some(id))
            }
            Change::RaiseEpoch { id, epoch } => {
                coverage.count("epochs raised");
                self.end_all(id, epoch + 1, true);
                told(&[Kind::SessionsEnded, Kind::FactorsReset], &|row| row.subject.as_ref() == Some(id))
            }
            Change::UpdateUser(user) => self.user_is(user, coverage),
            Change::UpdateClient(client) | Change::InsertClient(client) => {
                self.client_is(client, coverage);
                Ok(())
            }
            Change::DeleteClient(id) => {
                self.clients.remove(id);
                Ok(())
            }
            Change::SetPassword { .. } => {
                coverage.count("passwords changed");
                Ok(())
            }
            Change::RevokeToken { token_id, .. } => {
                self.revoked.insert(token_id.clone());
                told(&[Kind::TokenRevoked], &|_| true)
            }
            Change::InsertChallenge(challenge) => {
                coverage.count("challenges");
                self.challenges.insert(challenge.digest, ChallengeStatus::default());
                told(&[Kind::ChallengeIssued], &|row| {
                    row.subject.as_ref() == Some(&challenge.sign_in.user_id)
                })
            }
            Change::CountWrong { digest, answered, .. } => {
                coverage.count("wrong codes counted");
                let challenge = self.challenges.entry(*digest).or_default();
                challenge.wrong += 1;
                let open = challenge.wrong <= MAX_WRONG && challenge.answered == *answered;
                hold(open, || "a wrong code was counted for a challenge that was over".into())?;
                told(&[Kind::ChallengeRefused], &|row| row.refusal.is_some())
            }
            Change::AnswerChallenge { digest, .. } => {
                current(self.is_superseded_challenge(digest))?;
                coverage.count("challenges answered");
                let challenge = self.challenges.entry(*digest).or_default();
                hold(!challenge.answered, || "one challenge was answered twice".into())?;
                hold(challenge.wrong < MAX_WRONG, || {
                    "a challenge was answered after five wrong codes".into()
                })?;
                challenge.answered = true;
                told(&[Kind::ChallengeAnswered], &|row| row.session.is_some())
            }
            Change::VerifyDevice { id, step, .. } => {
                coverage.count("devices verified");
                let again = self.last_steps.insert(id.clone(), *step);
                hold(again.is_none(), || format!("{id} was verified twice"))
            }
            Change::UseStep { id, step, .. } => {
                let before = self.last_steps.insert(id.clone(), *step);
                // A step that a clock accepted while it was ahead counts as absent.
                let is_ahead = |before: u64| before > step + 4;
                hold(before.is_none_or(|before| before < *step || is_ahead(before)), || {
                    format!("step {step} of {id} came twice")
                })
            }
            Change::UseBackupCode { code, .. } => {
                coverage.count("backup codes used");
                hold(self.used_codes.insert(*code), || "a backup code was used twice".into())
            }
            Change::RequireStateEpoch(_)
            | Change::RequireUserEpoch { .. }
            | Change::RequireClientEpoch { .. }
            | Change::RequireAnotherOfficer { .. }
            | Change::InsertDevice(_)
            | Change::DeleteDevice { .. }
            | Change::AddBackupCodes { .. }
            | Change::KeepBackupCodes { .. }
            | Change::DropBackupCodes(_)
            | Change::SetLockout { .. }
            | Change::RecordSignIn { .. }
            | Change::CountFailure { .. }
            | Change::ReplacePasswordHash { .. }
            | Change::SetPasswordLockout { .. }
            | Change::SetPlaceLockout { .. }
            | Change::InsertUser(_)
            | Change::DeleteUser(_)
            | Change::RecordSecretUse(_)
            | Change::RequireSigningKey(_)
            | Change::UseAssertion(_)
            | Change::InsertKey { .. }
            | Change::StopKey { .. }
            | Change::ActivateKey { .. }
            | Change::RetireKey { .. }
            | Change::Audit(_)
            | Change::Probe
            | Change::DummyWrite => Ok(()),
        }
    }

    fn opened(&mut self, session: &Session) -> Result<(), BrokenPromise> {
        let user = &session.user_id;
        self.sessions.insert(session.id.clone(), user.clone());
        let (epoch, active) = self.users.get(user).copied().ok_or("a session for nobody")?;
        hold(active, || format!("{user} was let in while disabled"))?;
        hold(epoch == session.user_epoch, || format!("{user} was let in by what had been ended"))?;
        let client = session.client_epoch.map(|epoch| ClientRef { id: session.client_id.clone(), epoch });
        let named: Vec<ClientRef> = client.into_iter().chain(session.issuer.clone()).collect();
        hold(self.stand(&named), || format!("{user} was let in for {named:?}, which have ended"))?;
        self.rests_on.insert(session.id.clone(), named);
        Ok(())
    }

    /// Checks that a session that administers is of somebody with a role, who signed in alone and with a second factor.
    fn opened_to_administer(&mut self, session: &Session, is_prolonged: bool) -> Result<(), BrokenPromise> {
        let roles = self.records.get(&session.user_id).map(|user| user.roles);
        let by = |method: &str| session.methods.iter().any(|known| known == method);
        let is_own = session.actor.is_none() && session.client_epoch.is_none() && session.issuer.is_none();
        let lasts = session.signed_in_at.until(session.expires_at);
        hold(roles.is_some_and(|roles| !roles.is_empty()), || "a session administers without a role".into())?;
        hold(by("pwd") && by("mfa") && is_own, || format!("{} administers by {session:?}", session.id))?;
        hold(lasts <= 3_600 && !is_prolonged, || format!("{} administers for {lasts} s", session.id))?;
        self.administering.insert(session.id.clone(), session.clone());
        Ok(())
    }

    /// Checks that a client's token administers that is asked for now.
    pub(super) fn check_client(&self, claims: &Value) -> Result<(), BrokenPromise> {
        let id = claims["client_id"].as_str().and_then(|id| ClientId::parse(id).ok());
        let roles = id.and_then(|id| self.client_roles.get(&id));
        hold(roles.is_some_and(|roles| !roles.is_empty()), || {
            "a client's token administers without a role".into()
        })
    }

    /// Checks that an administrator may be one: by the role, the session or the client, as they are now.
    pub(super) fn check_administrator(&self, author: &Author) -> Result<(), BrokenPromise> {
        let Author::Administrator { claims, role, now, superseded } = author else { return Ok(()) };
        let broken = |why: &str| format!("{claims} administers, {why}");
        hold(administers(claims) && !superseded, || broken("and its token does not"))?;
        let (roles, stands) = match claims["sid"].as_str().map(SessionId::parse) {
            Some(id) => {
                let id = id.map_err(|_| "no session has such an id")?;
                let session =
                    self.administering.get(&id).ok_or_else(|| broken("and its session does not"))?;
                let (_, active) = self.users.get(&session.user_id).ok_or("nobody administers")?;
                let roles = self.records.get(&session.user_id).map(|user| user.roles);
                (roles, *active && !self.ended.contains(&id) && *now < session.expires_at)
            }
            None => {
                let id = claims["client_id"].as_str().and_then(|id| ClientId::parse(id).ok());
                let id = id.ok_or("no client has such an id")?;
                let epoch = claims["client_epoch"].as_u64().unwrap_or_default();
                (self.client_roles.get(&id).copied(), self.clients.get(&id) == Some(&epoch))
            }
        };
        hold(stands, || broken("and is over"))?;
        hold(roles.is_some_and(|roles| roles.contains(*role)), || broken("without the role"))
    }

    /// Checks what a commit does to roles: they are the machine's or an officer's to give, and nobody's who signs in otherwise than before
    /// by somebody else.
    #[allow(clippy::wildcard_enum_match_arm, reason = "the other changes have nothing to do with roles")]
    fn check_roles(
        &mut self,
        changes: &[Change],
        author: &Author,
        coverage: &mut Coverage,
    ) -> Result<(), BrokenPromise> {
        let had_officer = self.has_officer();
        let reset = changes.iter().find_map(|change| match change {
            Change::DropBackupCodes(user) | Change::SetPassword { user, .. } => Some(user),
            _ => None,
        });
        for change in changes {
            match change {
                Change::UpdateUser(user) => {
                    self.roles_of_user(user, reset == Some(&user.id), author, coverage)?;
                }
                Change::UpdateClient(client) => self.roles_of_client(client, author)?,
                Change::InsertClient(client) => {
                    hold(client.roles.is_empty(), || format!("{} is added with a role", client.id))?;
                    self.client_roles.insert(client.id.clone(), client.roles);
                }
                Change::DeleteClient(id) => drop(self.client_roles.remove(id)),
                _ => {}
            }
        }
        if let (Author::Administrator { claims, .. }, Some(user)) = (author, reset) {
            let roles = self.records.get(user).map(|user| user.roles);
            hold(claims["sub"] == user.as_str() || roles.is_some_and(Roles::is_empty), || {
                format!("{user} has a role, and a password or factors by somebody else")
            })?;
        }
        let by_command = matches!(author, Author::Command);
        hold(by_command || !had_officer || self.has_officer(), || "no officer is left".into())
    }

    fn has_officer(&self) -> bool {
        self.records.values().any(|user| user.is_active() && user.roles.contains(Role::Officer))
    }

    fn roles_of_user(
        &mut self,
        user: &User,
        is_reset: bool,
        author: &Author,
        coverage: &mut Coverage,
    ) -> Result<(), BrokenPromise> {
        let before = self.records.insert(user.id.clone(), user.clone()).ok_or("nobody was changed")?;
        let changed = before.roles != user.roles;
        let Author::Administrator { claims, role, .. } = author else {
            let may = matches!(author, Author::Command) || !changed;
            return hold(may, || format!("{} gets other roles by a request of a person", user.id));
        };
        let is_oneself = claims["sub"] == user.id.as_str();
        let is_enabled = user.is_active() && !before.is_active();
        let is_anew = is_reset
            || is_enabled
            || user.must_change_password && !before.must_change_password
            || !user.identifiers().eq(before.identifiers());
        hold(!changed || !is_oneself, || format!("{} changes their own roles", user.id))?;
        hold(!changed || *role == Role::Officer || is_anew && user.roles.is_empty(), || {
            format!("{} gets other roles by no officer", user.id)
        })?;
        hold(!is_anew || is_oneself || user.roles.is_empty(), || {
            format!("{} signs in otherwise by somebody else, and has a role", user.id)
        })?;
        match (changed, user.roles.is_empty(), is_anew) {
            (false, ..) => {}
            (true, false, _) => coverage.count("roles given"),
            (true, true, false) => coverage.count("roles taken"),
            (true, true, true) => coverage.count("roles lost with a way to sign in"),
        }
        Ok(())
    }

    fn roles_of_client(&mut self, client: &Client, author: &Author) -> Result<(), BrokenPromise> {
        let before = self.client_roles.insert(client.id.clone(), client.roles);
        let may = match author {
            Author::Command => true,
            Author::Request => before == Some(client.roles),
            Author::Administrator { .. } => before == Some(client.roles) || client.roles.is_empty(),
        };
        hold(may, || format!("{} gets other roles over HTTP", client.id))
    }

    fn client_is(&mut self, client: &Client, coverage: &mut Coverage) {
        if client.enabled {
            self.clients.insert(client.id.clone(), client.epoch);
        } else {
            coverage.count("clients disabled");
            self.clients.remove(&client.id);
        }
    }

    /// Returns true if all of `named` are enabled, in the same epochs.
    fn stand(&self, named: &[ClientRef]) -> bool {
        named.iter().all(|named| self.clients.get(&named.id) == Some(&named.epoch))
    }

    fn user_is(&mut self, user: &User, coverage: &mut Coverage) -> Result<(), BrokenPromise> {
        let before = self.users.get(&user.id).copied().ok_or("nobody was changed")?;
        match (before.1, user.is_active()) {
            (true, false) => coverage.count("users disabled"),
            (false, true) => coverage.count("users enabled"),
            (true, true) | (false, false) => {}
        }
        if user.epoch != before.0 || !user.is_active() {
            self.end_all(&user.id, user.epoch, user.is_active());
        } else {
            self.users.insert(user.id.clone(), (user.epoch, user.is_active()));
        }
        Ok(())
    }

    fn end_all(&mut self, user: &UserId, epoch: u64, active: bool) {
        self.users.insert(user.clone(), (epoch, active));
        let theirs = self.sessions.iter().filter(|(_, whose)| *whose == user).map(|(id, _)| id.clone());
        self.ended.extend(theirs);
    }

    /// Checks that the first repetition of an answer has an audit row, and no other has one.
    fn repeated_once(
        &self,
        first: bool,
        credential: [u8; 32],
        is_it: &dyn Fn(&Event) -> bool,
        rows: &[&Event],
    ) -> Result<(), BrokenPromise> {
        let told = rows.iter().any(|row| is_it(row));
        let is_first = !self.repeated.contains(&credential);
        hold(first == is_first && told == is_first, || "a first repetition is a row, and it alone".into())
    }

    /// Checks the tables while nothing is being written.
    pub(super) fn check(&self, tables: &Tables) -> Result<(), BrokenPromise> {
        hold(self.rows == tables.audit.len(), || "the audit table lost or gained a row".into())?;
        for (digest, (is, ticket)) in &self.tickets {
            let kept = tables.tickets.get(digest).map(|kept| match &kept.state {
                gatepass_core::records::ticket::TicketState::Live => TicketStatus::Live,
                gatepass_core::records::ticket::TicketState::Spent { .. } => TicketStatus::Spent,
                gatepass_core::records::ticket::TicketState::Revoked(_) => TicketStatus::Revoked,
            });
            hold(kept == Some(*is), || format!("{} is not what became of it", ticket.id))?;
        }
        for (id, unused) in &self.unused {
            let kept = tables.refresh_tokens.values();
            let branches = kept.filter(|token| token.session_id == *id && token.rotation.is_none()).count();
            hold(tables.sessions.contains_key(id), || format!("{id} is gone"))?;
            hold(branches == unused.len(), || format!("{id} has {branches} branches"))?;
        }
        Ok(())
    }
}
