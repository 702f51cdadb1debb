//! A store that was written from `docs/embedding.md` alone: it searches lists, and drops its copy if a condition does not
//! hold. It passes the conformance kit.
#![allow(clippy::panic, reason = "a broken promise is a failed test")]

use std::cmp::Reverse;
use std::sync::{Arc, Mutex, PoisonError};

use gatepass_core::records::challenge::Challenge;
use gatepass_core::records::client::{ClientRef, UsedSecret};
use gatepass_core::records::client_assertion::AssertionDigest;
use gatepass_core::records::delivery::{Delivered, DeliveredSession, OpenedSession, TicketResult};
use gatepass_core::records::factor::{BackupDigest, Factors, Lockout, LockoutOf, TotpDevice};
use gatepass_core::records::id::{DeviceId, SessionId};
use gatepass_core::records::identifier::{CanonicalIdentifier, IdentifierKind};
use gatepass_core::records::named_clients::NamedClients;
use gatepass_core::records::password::Password;
use gatepass_core::records::role::{Role, Roles};
use gatepass_core::records::session::{RefreshDigest, RefreshToken, Session};
use gatepass_core::records::sign_in_history::SignInHistory;
use gatepass_core::records::signing_key::{KeyRecord, KeyRecords, KeyState, StoredKey};
use gatepass_core::records::ticket::{Ticket, TicketState};
use gatepass_core::store::audit::Event;
use gatepass_core::store::check::{check_races, check_store};
use gatepass_core::store::page::{Cursor, Page, PageQuery};
use gatepass_core::store::query::{
    AccountRecords, AdministeredRecords, BearerQuery, BearerRecords, ByClientRecords, ChallengeRecords,
    ExplainRecords, FactorsRecords, Family, IdentifierOwner, ImportRecords, ImportedRecords, IssueRecords,
    LoginRecords, Named, PasswordRecords, RoleHolder, SessionRecords, SessionsRecords, TicketRecords,
    TokenRecords, UserQuery, UserRecords,
};
use gatepass_core::{
    Algorithm, Change, Client, ClientId, Found, Outcome, Query, Records, Store, Time, User, UserId, UserRef,
};

/// A condition that does not hold.
struct Conflict;

type Held = Result<(), Conflict>;

fn holds(condition: bool) -> Held {
    if condition { Ok(()) } else { Err(Conflict) }
}

#[derive(Clone, Default)]
struct Rows {
    generation: u64,
    keys: Vec<StoredKey>,
    state_epoch: u64,
    users: Vec<User>,
    passwords: Vec<(UserId, Password)>,
    clients: Vec<Client>,
    tickets: Vec<Ticket>,
    sessions: Vec<Session>,
    refresh_tokens: Vec<RefreshToken>,
    challenges: Vec<Challenge>,
    devices: Vec<TotpDevice>,
    codes: Vec<(UserId, BackupDigest, DeviceId)>,
    lockouts: Vec<(UserId, Lockout)>,
    histories: Vec<(UserId, SignInHistory)>,
    revoked: Vec<String>,
    assertions: Vec<AssertionDigest>,
    deleted: Vec<UserId>,
    audit: Vec<Event>,
}

fn get<'a, T>(rows: &'a [(UserId, T)], user: &UserId) -> Option<&'a T> {
    rows.iter().find(|(id, _)| id == user).map(|(_, row)| row)
}

/// Returns the row of the user, and adds one if there is none.
fn entry<'a, T: Default>(rows: &'a mut Vec<(UserId, T)>, user: &UserId) -> Result<&'a mut T, Conflict> {
    if get(rows, user).is_none() {
        rows.push((user.clone(), T::default()));
    }
    rows.iter_mut().find(|(id, _)| id == user).map(|(_, row)| row).ok_or(Conflict)
}

/// Makes a page in the order of names, which are the cursors.
fn page<T>(query: &PageQuery, rows: impl IntoIterator<Item = T>, name: impl Fn(&T) -> &str) -> Page<T> {
    let after = query.after.as_ref().map_or("", |Cursor(text)| text);
    let mut rows: Vec<T> = rows.into_iter().filter(|row| name(row) > after).collect();
    rows.sort_by(|one, other| name(one).cmp(name(other)));
    Page::of(
        query,
        rows.into_iter().map(|row| {
            let cursor = Cursor(name(&row).to_owned());
            (row, cursor)
        }),
    )
}

/// Reading.
impl Rows {
    fn user(&self, id: &UserId) -> Option<&User> {
        self.users.iter().find(|user| user.id == *id)
    }

    /// Nobody can give two users one identifier here, so none names several.
    fn named(&self, who: &UserRef) -> Named<User> {
        let found = match who {
            UserRef::Username(name) => {
                self.owner(name, None).filter(|owned| owned.0 == IdentifierKind::Username)
            }
            UserRef::Any(text) => match self.users.iter().find(|user| user.id.as_str() == text) {
                Some(user) => return Named::One(user.clone()),
                None => self.owner(text, None),
            },
        };
        found.map(|(_, user)| user.clone()).into()
    }

    /// Returns the user who has the identifier, but for `but`, and the kind that it is of the user's.
    fn owner(&self, text: &str, but: Option<&UserId>) -> Option<(IdentifierKind, &User)> {
        let form = CanonicalIdentifier::of(text, None);
        self.users.iter().filter(|user| Some(&user.id) != but).find_map(|user| {
            let kind = user.canonical_identifiers(None).find(|(_, other)| *other == form)?.0;
            Some((kind, user))
        })
    }

    fn owners(&self, texts: &[String], but: Option<&UserId>) -> Vec<Option<IdentifierOwner>> {
        let of = |(kind, user): (IdentifierKind, &User)| IdentifierOwner {
            user: user.id.clone(),
            username: user.username.clone(),
            kind,
        };
        texts.iter().map(|text| self.owner(text, but).map(of)).collect()
    }

    fn are_free(&self, new: &User) -> bool {
        new.identifiers().all(|(_, text)| self.owner(text, Some(&new.id)).is_none())
    }

    fn client(&self, id: &ClientId) -> Option<&Client> {
        self.clients.iter().find(|client| client.id == *id)
    }

    fn other_issuer(&self, named: NamedClients<'_>) -> Option<Client> {
        self.client(named.other_issuer()?).cloned()
    }

    fn session(&self, id: &SessionId) -> Option<&Session> {
        self.sessions.iter().find(|session| session.id == *id)
    }

    fn refresh_token(&self, digest: &RefreshDigest) -> Option<&RefreshToken> {
        self.refresh_tokens.iter().find(|token| token.digest == *digest)
    }

    fn factors(&self, user: &UserId) -> Factors {
        Factors {
            devices: self.devices.iter().rev().filter(|device| device.user_id == *user).cloned().collect(),
            backup_codes: self.codes.iter().filter(|code| code.0 == *user).map(|code| code.1).collect(),
            lockout: get(&self.lockouts, user).copied().unwrap_or_default(),
        }
    }

    fn history(&self, user: &UserId) -> SignInHistory {
        get(&self.histories, user).cloned().unwrap_or_default()
    }

    fn opened(&self, opened: &OpenedSession) -> Option<DeliveredSession> {
        let session = self.session(&opened.id)?.clone();
        let refresh = opened.refresh.as_ref().and_then(|digest| self.refresh_token(digest)).cloned();
        Some(DeliveredSession { session, refresh })
    }

    fn bearer(&self, query: &BearerQuery) -> BearerRecords {
        let person = query.person.as_ref();
        let session = person.and_then(|person| self.session(&person.session));
        BearerRecords {
            client: self.client(&query.client).cloned(),
            user: person.and_then(|person| self.user(&person.user)).cloned(),
            actor: person.and_then(|person| self.user(person.actor.as_ref()?)).cloned(),
            issuer: session.and_then(|session| self.other_issuer(session.clients())),
            session: session.cloned(),
            revoked: self.revoked.contains(&query.token_id),
        }
    }

    fn ticket(&self, ticket: &Ticket) -> TicketRecords {
        let actor = ticket.impersonation.as_ref().map(|impersonation| &impersonation.actor);
        let presents = actor.unwrap_or(&ticket.user_id);
        let delivered = match &ticket.state {
            TicketState::Spent { delivery: Some(delivery), .. } => match &delivery.result {
                TicketResult::Session(opened) => self.opened(opened).map(Delivered::Session),
                TicketResult::Challenge(digest) => {
                    self.challenge(|c| c.digest == *digest).map(Delivered::Challenge)
                }
            },
            TicketState::Spent { delivery: None, .. } | TicketState::Live | TicketState::Revoked(_) => None,
        };
        TicketRecords {
            user: self.user(&ticket.user_id).cloned(),
            actor: actor.and_then(|id| self.user(id)).cloned(),
            client: self.client(&ticket.client_id).cloned(),
            issuer: self.other_issuer(ticket.clients()),
            factors: self.factors(presents),
            history: self.history(presents),
            delivered,
            ticket: ticket.clone(),
        }
    }

    fn challenge(&self, is: impl Fn(&&Challenge) -> bool) -> Option<Challenge> {
        self.challenges.iter().find(is).cloned()
    }

    fn challenged(&self, challenge: Challenge) -> ChallengeRecords {
        let sign_in = &challenge.sign_in;
        let actor = sign_in.impersonation.as_ref().map(|impersonation| &impersonation.actor);
        let delivery = challenge.answered.as_ref().and_then(|answered| answered.delivery.as_ref());
        ChallengeRecords {
            user: self.user(&sign_in.user_id).cloned(),
            actor: actor.and_then(|id| self.user(id)).cloned(),
            client: self.client(&sign_in.client_id).cloned(),
            issuer: self.other_issuer(sign_in.clients()),
            factors: self.factors(actor.unwrap_or(&sign_in.user_id)),
            history: self.history(actor.unwrap_or(&sign_in.user_id)),
            delivered: delivery.and_then(|delivery| self.opened(&delivery.result)),
            challenge,
        }
    }

    fn family(&self, digest: &RefreshDigest) -> Option<Family> {
        let refresh = self.refresh_token(digest)?.clone();
        let session = self.session(&refresh.session_id)?.clone();
        Some(Family {
            successor: refresh.rotation.as_ref().and_then(|r| self.refresh_token(&r.successor)).cloned(),
            user: self.user(&session.user_id).cloned(),
            actor: session.actor.as_ref().and_then(|actor| self.user(&actor.id)).cloned(),
            client: self.client(&session.client_id).cloned(),
            issuer: self.other_issuer(session.clients()),
            refresh,
            session,
        })
    }

    fn listed(&self, query: &BearerQuery) -> Vec<Session> {
        let own = query.person.as_ref().and_then(|person| {
            let session = self.session(&person.session)?;
            (session.ended_at.is_none() && session.user_id == person.user).then_some(&person.user)
        });
        let stands = |named: &ClientRef| {
            self.client(&named.id).is_some_and(|client| client.enabled && client.epoch == named.epoch)
        };
        let is_listed = |session: &&Session| {
            let client = session.client_epoch.map(|epoch| ClientRef { id: session.client_id.clone(), epoch });
            Some(&session.user_id) == own
                && session.ended_at.is_none()
                && session.actor.as_ref().is_none_or(|actor| self.is_user(&actor.id, actor.epoch))
                && client.iter().chain(&session.issuer).all(stands)
        };
        let mut listed: Vec<Session> = self.sessions.iter().filter(is_listed).cloned().collect();
        listed.sort_by_key(|session| Reverse((session.auth_time, session.id.clone())));
        listed.truncate(200);
        listed
    }

    fn is_user(&self, id: &UserId, epoch: u64) -> bool {
        self.user(id).is_some_and(|user| user.is_active() && user.epoch == epoch)
    }

    fn imported(&self, query: &UserQuery) -> ImportedRecords {
        let user = self.named(&query.user);
        let id = user.one().map(|user| user.id.clone());
        ImportedRecords {
            password: id.as_ref().and_then(|id| get(&self.passwords, id)).cloned(),
            owners: self.owners(&query.identifiers, id.as_ref()),
            another_officer: user.one().is_some_and(|user| self.has_another_officer(user)),
            user: user.map(Box::new),
        }
    }

    fn login(&self, text: &str) -> Option<LoginRecords> {
        let user = self.owner(text, None)?.1.clone();
        Some(LoginRecords {
            password: get(&self.passwords, &user.id).cloned(),
            factors: self.factors(&user.id),
            history: self.history(&user.id),
            user,
        })
    }

    fn answer(&self, query: &Query) -> Records {
        match query {
            Query::Generation => Records::Generation,
            Query::Client(id) => Records::Client(self.client(id).cloned()),
            Query::Ticket(digest) => {
                let ticket = self.tickets.iter().find(|ticket| ticket.digest == *digest);
                Records::Ticket(ticket.map(|ticket| Box::new(self.ticket(ticket))))
            }
            Query::Bearer(bearer) => Records::Bearer(Box::new(self.bearer(bearer))),
            Query::Issue(issue) => Records::Issue(Box::new(IssueRecords {
                bearer: issue.bearer.as_ref().map(|bearer| self.bearer(bearer)).unwrap_or_default(),
                user: issue.user.as_ref().map(|who| self.named(who)).unwrap_or_default(),
                actor: issue.actor.as_ref().map(|who| self.named(who)).unwrap_or_default(),
                audience: issue.audience.as_ref().and_then(|id| self.client(id)).cloned(),
            })),
            Query::Explain(asked) => {
                let actor = asked.actor.as_ref().map(|who| self.named(who)).unwrap_or_default();
                let user = self.named(&asked.user);
                let person = if asked.actor.is_some() { &actor } else { &user };
                let id = person.one().map(|person| person.id.clone());
                Records::Explain(Box::new(ExplainRecords {
                    client: asked.client.as_ref().and_then(|id| self.client(id)).cloned(),
                    factors: id.as_ref().map(|id| self.factors(id)).unwrap_or_default(),
                    history: id.as_ref().map(|id| self.history(id)).unwrap_or_default(),
                    user,
                    actor,
                }))
            }
            Query::Token(token) => Records::Token(Box::new(TokenRecords {
                caller: token.caller.as_ref().and_then(|id| self.client(id)).cloned(),
                bearer: token.access.as_ref().map(|bearer| self.bearer(bearer)).unwrap_or_default(),
                family: token.refresh.as_ref().and_then(|digest| self.family(digest)),
                is_assertion_used: token.assertion.is_some_and(|digest| self.assertions.contains(&digest)),
            })),
            Query::Sessions(query) => {
                let (bearer, sessions) = (self.bearer(query), self.listed(query));
                Records::Sessions(Box::new(SessionsRecords { bearer, sessions }))
            }
            Query::Challenge(digest) => {
                let challenge = self.challenge(|challenge| challenge.digest == *digest);
                Records::Challenge(challenge.map(|challenge| Box::new(self.challenged(challenge))))
            }
            Query::Factors(query) => {
                let factors =
                    query.person.as_ref().map(|person| self.factors(&person.user)).unwrap_or_default();
                let history = query.person.as_ref().map(|person| self.history(&person.user));
                let history = history.unwrap_or_default();
                Records::Factors(Box::new(FactorsRecords { bearer: self.bearer(query), factors, history }))
            }
            Query::Login(identity) => Records::Login(self.login(&identity.0).map(Box::new).into()),
            Query::ByClient(by) => Records::ByClient(Box::new(ByClientRecords {
                caller: self.client(&by.caller).cloned(),
                records: self.answer(&by.query),
            })),
            Query::Administered(asked) => Records::Administered(Box::new(AdministeredRecords {
                bearer: self.bearer(&asked.bearer),
                records: self.answer(&asked.query),
            })),
            Query::User(query) => Records::User(self.named(&query.user).map(|user| {
                let owners = self.owners(&query.identifiers, Some(&user.id));
                let another_officer = self.has_another_officer(&user);
                Box::new(UserRecords { user, owners, another_officer })
            })),
            Query::Owners(texts) => Records::Owners(self.owners(texts, None)),
            Query::Import(queries) => Records::Import(Box::new(ImportRecords {
                numbering_plan: None,
                users: queries.iter().map(|query| self.imported(query)).collect(),
            })),
            Query::Account(who) => Records::Account(self.named(who).map(|user| {
                Box::new(AccountRecords {
                    password: get(&self.passwords, &user.id).cloned(),
                    factors: self.factors(&user.id),
                    history: self.history(&user.id),
                    another_officer: self.has_another_officer(&user),
                    user,
                })
            })),
            Query::Session(id) => Records::Session(self.session(id).cloned().map(Box::new)),
            Query::TicketById(id) => {
                let ticket = self.tickets.iter().find(|ticket| ticket.id == *id);
                Records::TicketById(ticket.cloned().map(Box::new))
            }
            Query::Keys => {
                let mut found = KeyRecords::default();
                found.keys.extend(self.keys.iter().map(|key| key.record.clone()));
                for client in &self.clients {
                    found.chosen.extend(client.signing_algorithm);
                    let lifetimes = [client.token_lifetime, client.user_token_lifetime];
                    found.longest_lifetime = lifetimes.into_iter().fold(found.longest_lifetime, Ord::max);
                }
                found.chosen.sort();
                found.chosen.dedup();
                Records::Keys(Box::new(found))
            }
            Query::UserPage(query) => {
                Records::UserPage(page(query, self.users.clone(), |user| user.id.as_str()))
            }
            Query::ClientPage(query) => {
                Records::ClientPage(page(query, self.clients.clone(), |client| client.id.as_str()))
            }
            Query::RoleHolderPage(query) => {
                let users = self.users.iter().filter(|user| user.roles != Roles::NONE);
                let clients = self.clients.iter().filter(|client| client.roles != Roles::NONE);
                let users =
                    users.map(|user| (format!("a{}", user.id), RoleHolder::User(Box::new(user.clone()))));
                let clients = clients
                    .map(|client| (format!("b{}", client.id), RoleHolder::Client(Box::new(client.clone()))));
                let Page { items, next } = page(query, users.chain(clients), |(name, _)| name);
                let items = items.into_iter().map(|(_, holder)| holder).collect();
                Records::RoleHolderPage(Page { items, next })
            }
            Query::TicketPage(query) => {
                Records::TicketPage(page(query, self.tickets.clone(), |ticket| ticket.id.as_str()))
            }
            Query::SessionPage(query) => {
                let is_asked =
                    |session: &&Session| query.user.as_ref().is_none_or(|user| session.user_id == *user);
                let sessions = self.sessions.iter().filter(is_asked);
                let records = sessions.map(|session| SessionRecords {
                    session: session.clone(),
                    user: self.user(&session.user_id).cloned(),
                    actor: session.actor.as_ref().and_then(|actor| self.user(&actor.id)).cloned(),
                    client: self.client(&session.client_id).cloned(),
                    issuer: self.other_issuer(session.clients()),
                });
                Records::SessionPage(page(&query.page, records, |records| records.session.id.as_str()))
            }
            Query::Password(query) => {
                let password =
                    query.person.as_ref().and_then(|person| get(&self.passwords, &person.user)).cloned();
                let history = query.person.as_ref().map(|person| self.history(&person.user));
                let history = history.unwrap_or_default();
                Records::Password(Box::new(PasswordRecords { bearer: self.bearer(query), password, history }))
            }
        }
    }
}

/// Returns the first row for which `is` is true, to be changed.
fn row<T>(rows: &mut [T], is: impl Fn(&&mut T) -> bool) -> Result<&mut T, Conflict> {
    rows.iter_mut().find(is).ok_or(Conflict)
}

/// Writing.
impl Rows {
    fn token(&mut self, digest: &RefreshDigest) -> Result<&mut RefreshToken, Conflict> {
        row(&mut self.refresh_tokens, |token| token.digest == *digest)
    }

    fn has_officer_besides(&self, besides: &UserId) -> bool {
        let is_officer = |user: &User| user.is_active() && user.roles.contains(Role::Officer);
        self.users.iter().any(|user| user.id != *besides && is_officer(user))
    }

    fn has_another_officer(&self, user: &User) -> bool {
        user.roles.contains(Role::Officer) && self.has_officer_besides(&user.id)
    }

    fn has_verified(&self, user: &UserId) -> bool {
        self.devices.iter().any(|device| device.user_id == *user && device.verified_at.is_some())
    }

    fn raise_generation(&mut self, read: u64) -> Held {
        holds(self.generation == read)?;
        self.generation += 1;
        Ok(())
    }

    fn activate(&mut self, id: &str, beside: bool, retire_from: Time) -> Held {
        let algorithm = row(&mut self.keys, |key| key.record.id == id)?.record.algorithm;
        let chosen = |by: Algorithm| self.clients.iter().any(|client| client.signing_algorithm == Some(by));
        let mut is_default = true;
        for KeyRecord { id: other, algorithm: by, state, beside: aside, retire_from: until, .. } in
            self.keys.iter_mut().map(|key| &mut key.record)
        {
            if other == id || *state != KeyState::Signing {
                continue;
            }
            if *by == algorithm || (!beside && !*aside && !chosen(*by)) {
                (*state, *aside, *until) = (KeyState::VerifyingOnly, false, Some(retire_from));
            } else if beside {
                is_default &= *aside;
            } else {
                *aside = true;
            }
        }
        let key = &mut row(&mut self.keys, |key| key.record.id == id)?.record;
        (key.state, key.beside, key.retire_from) = (KeyState::Signing, !is_default, None);
        Ok(())
    }

    fn apply(&mut self, change: &Change) -> Held {
        match change {
            Change::RequireStateEpoch(epoch) => holds(self.state_epoch == *epoch),
            Change::RequireUserEpoch { id, epoch } => holds(self.is_user(id, *epoch)),
            Change::RequireClientEpoch { id, epoch } => {
                holds(self.client(id).is_some_and(|client| client.enabled && client.epoch == *epoch))
            }
            Change::RequireAnotherOfficer { besides } => holds(self.has_officer_besides(besides)),
            Change::RequireLiveSession(id) => {
                holds(self.session(id).is_some_and(|session| session.ended_at.is_none()))
            }
            Change::InsertTicket(new) => {
                holds(!self.tickets.iter().any(|ticket| ticket.id == new.id || ticket.digest == new.digest))?;
                self.tickets.push(new.clone());
                Ok(())
            }
            Change::SpendTicket { digest, at, delivery } => {
                let ticket = row(&mut self.tickets, |ticket| ticket.digest == *digest)?;
                holds(ticket.state == TicketState::Live)?;
                ticket.state = TicketState::Spent { at: *at, delivery: delivery.clone() };
                Ok(())
            }
            Change::RepeatTicket { digest, first } => {
                let ticket = row(&mut self.tickets, |ticket| ticket.digest == *digest)?;
                let TicketState::Spent { delivery: Some(delivery), .. } = &mut ticket.state else {
                    return Err(Conflict);
                };
                holds((delivery.repeated == 0) == *first)?;
                delivery.repeated += 1;
                Ok(())
            }
            Change::RevokeTicket { id, at } => {
                let ticket = row(&mut self.tickets, |ticket| ticket.id == *id)?;
                holds(ticket.state == TicketState::Live)?;
                ticket.state = TicketState::Revoked(*at);
                Ok(())
            }
            Change::InsertSession { session, refresh } => {
                holds(self.session(&session.id).is_none() && self.user(&session.user_id).is_some())?;
                holds(refresh.as_ref().is_none_or(|token| self.refresh_token(&token.digest).is_none()))?;
                self.sessions.push(session.clone());
                self.refresh_tokens.extend(refresh.clone());
                Ok(())
            }
            Change::RotateRefresh { digest, rotation, successor, recorded } => {
                holds(self.refresh_token(&successor.digest).is_none())?;
                holds(self.session(&successor.session_id).is_some())?;
                let token = self.token(digest)?;
                holds(token.rotation.is_none())?;
                token.rotation = Some(rotation.clone());
                let refreshes = (token.refreshes + 1).saturating_sub(*recorded);
                self.refresh_tokens.push(RefreshToken { refreshes, ..successor.clone() });
                if let Some(last) = successor.last_deleted() {
                    let of_session =
                        self.refresh_tokens.iter().filter(|t| t.session_id == successor.session_id);
                    let old = of_session.filter(|token| token.number <= last);
                    let mut old: Vec<_> = old.map(|token| (token.number, token.digest)).collect();
                    old.sort();
                    old.truncate(4);
                    self.refresh_tokens.retain(|token| !old.contains(&(token.number, token.digest)));
                }
                Ok(())
            }
            Change::CountRefresh(digest) => self.token(digest).map(|token| token.refreshes += 1).or(Ok(())),
            Change::RequireUnusedRefresh(digest) => holds(self.token(digest)?.rotation.is_none()),
            Change::EndSession { id, at } => {
                let session = row(&mut self.sessions, |session| session.id == *id)?;
                holds(session.ended_at.is_none())?;
                session.ended_at = Some(*at);
                Ok(())
            }
            Change::RaiseEpoch { id, epoch } => {
                let user = row(&mut self.users, |user| user.id == *id)?;
                holds(user.epoch == *epoch)?;
                user.epoch += 1;
                Ok(())
            }
            Change::RevokeToken { token_id, .. } => {
                self.revoked.push(token_id.clone());
                Ok(())
            }
            Change::InsertChallenge(new) => {
                holds(self.challenge(|challenge| challenge.digest == new.digest).is_none())?;
                holds(self.user(&new.sign_in.user_id).is_some())?;
                self.challenges.push(new.clone());
                Ok(())
            }
            Change::CountWrong { digest, wrong, answered } => {
                let challenge = row(&mut self.challenges, |challenge| challenge.digest == *digest)?;
                holds(challenge.wrong == *wrong && challenge.answered.is_some() == *answered)?;
                challenge.wrong += 1;
                Ok(())
            }
            Change::AnswerChallenge { digest, wrong, answered } => {
                let challenge = row(&mut self.challenges, |challenge| challenge.digest == *digest)?;
                holds(challenge.wrong == *wrong && challenge.answered.is_none())?;
                challenge.answered = Some(answered.clone());
                Ok(())
            }
            Change::RepeatAnswer { digest, wrong, first } => {
                let challenge = row(&mut self.challenges, |challenge| challenge.digest == *digest)?;
                holds(challenge.wrong == *wrong)?;
                let delivery = challenge.answered.as_mut().and_then(|answered| answered.delivery.as_mut());
                let delivery = delivery.ok_or(Conflict)?;
                holds((delivery.repeated == 0) == *first)?;
                delivery.repeated += 1;
                Ok(())
            }
            Change::RequireOpenChallenge(digest) => {
                let challenge = self.challenge(|challenge| challenge.digest == *digest);
                holds(challenge.is_some_and(|challenge| challenge.answered.is_none() && challenge.wrong < 5))
            }
            Change::InsertDevice(new) => {
                holds(
                    !self.devices.iter().any(|device| device.id == new.id)
                        && self.user(&new.user_id).is_some(),
                )?;
                holds(self.devices.iter().filter(|device| device.user_id == new.user_id).count() < 8)?;
                self.devices.push(new.clone());
                Ok(())
            }
            Change::VerifyDevice { id, session, step, at } => {
                let device = row(&mut self.devices, |device| device.id == *id)?;
                holds(device.verified_at.is_none())?;
                (device.verified_at, device.verified_by, device.last_step) =
                    (Some(*at), session.clone(), *step);
                Ok(())
            }
            Change::UseStep { id, step, before } => {
                let device = row(&mut self.devices, |device| device.id == *id)?;
                holds(device.verified_at.is_some() && device.last_step == *before)?;
                device.last_step = *step;
                Ok(())
            }
            Change::DeleteDevice { id, counts } => {
                let device = row(&mut self.devices, |device| device.id == *id)?;
                holds(device.verified_at.is_some() == *counts)?;
                self.devices.retain(|device| device.id != *id);
                self.codes.retain(|(_, _, with)| *counts || with != id);
                Ok(())
            }
            Change::AddBackupCodes { user, device, codes } => {
                holds(!self.has_verified(user) && self.user(user).is_some())?;
                holds(!self.codes.iter().any(|(whose, code, _)| whose == user && codes.contains(code)))?;
                self.codes.extend(codes.iter().map(|code| (user.clone(), *code, device.clone())));
                Ok(())
            }
            Change::KeepBackupCodes { user, device } => {
                holds(!self.has_verified(user))?;
                self.codes.retain(|(whose, _, with)| whose != user || with == device);
                Ok(())
            }
            Change::DropBackupCodes(user) => {
                self.codes.retain(|(whose, _, _)| whose != user);
                Ok(())
            }
            Change::UseBackupCode { user, code } => {
                let before = self.codes.len();
                self.codes.retain(|(whose, other, _)| whose != user || other != code);
                holds(self.codes.len() < before)
            }
            Change::SetLockout { user, before, after } => {
                holds(self.user(user).is_some())?;
                let lockout = entry(&mut self.lockouts, user)?;
                holds(lockout == before)?;
                *lockout = *after;
                Ok(())
            }
            Change::RecordSignIn { user, place, at } => {
                holds(self.user(user).is_some())?;
                entry(&mut self.histories, user)?.learn(*place, *at);
                Ok(())
            }
            Change::CountFailure { user, at } => {
                holds(self.user(user).is_some())?;
                entry(&mut self.histories, user)?.fail(*at);
                Ok(())
            }
            Change::SetPassword { user, hash } => {
                holds(self.user(user).is_some())?;
                self.passwords.retain(|(whose, _)| whose != user);
                let password = Password { hash: hash.clone(), lockout: Lockout::default() };
                self.passwords.push((user.clone(), password));
                Ok(())
            }
            Change::ReplacePasswordHash { user, before, after } => {
                let (_, password) = row(&mut self.passwords, |(whose, _)| whose == user)?;
                holds(password.hash == *before)?;
                password.hash = after.clone();
                Ok(())
            }
            Change::SetPasswordLockout { user, before, after } => {
                let (_, password) = row(&mut self.passwords, |(whose, _)| whose == user)?;
                holds(password.lockout == *before)?;
                password.lockout = *after;
                Ok(())
            }
            Change::SetPlaceLockout { user, place, of, before, after } => {
                let (_, history) = row(&mut self.histories, |(whose, _)| whose == user)?;
                let known = history.places.iter_mut().take(4).find(|known| known.place == *place);
                let known = known.ok_or(Conflict)?;
                let lockout = match of {
                    LockoutOf::Password => &mut known.password,
                    LockoutOf::Factors => &mut known.factors,
                };
                holds(lockout == before)?;
                *lockout = *after;
                Ok(())
            }
            Change::InsertUser(new) => {
                holds(self.user(&new.id).is_none() && self.are_free(new))?;
                holds(!self.deleted.contains(&new.id))?;
                self.users.push(new.clone());
                Ok(())
            }
            Change::UpdateUser(new) => {
                holds(self.are_free(new))?;
                let user = row(&mut self.users, |user| user.id == new.id)?;
                holds(user.revision == new.revision)?;
                *user = User { revision: new.revision + 1, ..new.clone() };
                Ok(())
            }
            Change::DeleteUser(id) => {
                holds(self.user(id).is_some())?;
                self.users.retain(|user| user.id != *id);
                self.passwords.retain(|(whose, _)| whose != id);
                self.devices.retain(|device| device.user_id != *id);
                self.codes.retain(|(whose, _, _)| whose != id);
                self.lockouts.retain(|(whose, _)| whose != id);
                self.histories.retain(|(whose, _)| whose != id);
                self.deleted.push(id.clone());
                Ok(())
            }
            Change::InsertClient(new) => {
                holds(self.client(&new.id).is_none())?;
                self.clients.push(new.clone());
                Ok(())
            }
            Change::UpdateClient(new) => {
                let client = row(&mut self.clients, |client| client.id == new.id)?;
                holds(client.revision == new.revision)?;
                *client = Client { revision: new.revision + 1, ..new.clone() };
                Ok(())
            }
            Change::DeleteClient(id) => {
                holds(self.client(id).is_some())?;
                self.clients.retain(|client| client.id != *id);
                Ok(())
            }
            Change::RecordSecretUse(UsedSecret { client, digest, at }) => {
                let client = row(&mut self.clients, |known| known.id == *client);
                let secrets = client.into_iter().flat_map(|client| &mut client.secrets);
                for secret in secrets.filter(|secret| secret.digest == *digest) {
                    secret.last_used_at = secret.last_used_at.max(Some(*at));
                }
                Ok(())
            }
            Change::UseAssertion(used) => {
                holds(!self.assertions.contains(&used.digest))?;
                self.assertions.push(used.digest);
                Ok(())
            }
            Change::RequireSigningKey(algorithm) => holds(
                self.keys
                    .iter()
                    .any(|key| key.record.algorithm == *algorithm && key.record.state == KeyState::Signing),
            ),
            Change::InsertKey { key, generation, retire_from } => {
                holds(!self.keys.iter().any(|other| other.record.id == key.record.id))?;
                self.raise_generation(*generation)?;
                self.keys.push(StoredKey::clone(key));
                if key.record.state == KeyState::Signing {
                    self.activate(&key.record.id, key.record.beside, *retire_from)?;
                }
                Ok(())
            }
            Change::ActivateKey { id, generation, beside, retire_from } => {
                self.raise_generation(*generation)?;
                self.activate(id, *beside, *retire_from)
            }
            Change::StopKey { id, generation, retire_from } => {
                self.raise_generation(*generation)?;
                let key = &mut row(&mut self.keys, |key| key.record.id == *id)?.record;
                holds(key.state == KeyState::Signing && key.beside)?;
                holds(self.clients.iter().all(|client| client.signing_algorithm != Some(key.algorithm)))?;
                (key.state, key.beside) = (KeyState::VerifyingOnly, false);
                key.retire_from = Some(*retire_from);
                Ok(())
            }
            Change::RetireKey { id, generation } => {
                self.raise_generation(*generation)?;
                let key = row(&mut self.keys, |key| key.record.id == *id)?;
                holds(key.record.state != KeyState::Signing)?;
                self.keys.retain(|key| key.record.id != *id);
                Ok(())
            }
            Change::Audit(event) => {
                self.audit.push(event.clone());
                Ok(())
            }
            Change::Probe | Change::DummyWrite => Ok(()),
        }
    }
}

#[derive(Default)]
struct FreshStore(Mutex<Rows>);

impl Store for FreshStore {
    fn read(&self, query: &Query) -> Found {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Found { generation: rows.generation, state_epoch: rows.state_epoch, records: rows.answer(query) }
    }

    fn commit(&self, changes: &Arc<[Change]>) -> Outcome {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut copy = rows.clone();
        if changes.iter().try_for_each(|change| copy.apply(change)).is_err() {
            return Outcome::Conflict;
        }
        *rows = copy;
        Outcome::Applied
    }
}

#[test]
fn a_store_that_was_written_from_the_page_passes() {
    let store = FreshStore::default();
    let report = check_store(&store).unwrap_or_else(|broken| panic!("{broken}"));
    println!("{report}");
    let at_once = |jobs: &[&(dyn Fn() + Sync)]| {
        std::thread::scope(|scope| jobs.iter().for_each(|job| drop(scope.spawn(job))));
    };
    check_races(&FreshStore::default(), at_once).unwrap_or_else(|broken| panic!("{broken}"));
}
