//! The answers of the store in memory.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::crypto::algorithm::Algorithm;
use crate::records::client::{Client, ClientRef};
use crate::records::delivery::{Delivered, DeliveredSession, OpenedSession, TicketResult};
use crate::records::factor::Factors;
use crate::records::id::{UserId, UserRef};
use crate::records::identifier::{CanonicalIdentifier, IdentifierKind};
use crate::records::named_clients::NamedClients;
use crate::records::role::Role;
use crate::records::session::{RefreshDigest, Session};
use crate::records::sign_in_history::SignInHistory;
use crate::records::signing_key::KeyRecords;
use crate::records::ticket::{Ticket, TicketState};
use crate::records::user::User;
use crate::store::page::{Cursor, Page, PageQuery};
use crate::store::query::{
    AccountRecords, AdministeredQuery, AdministeredRecords, BearerQuery, BearerRecords, ByClientQuery,
    ByClientRecords, ChallengeRecords, ExplainQuery, ExplainRecords, FactorsRecords, Family, Found,
    IdentifierOwner, Identity, ImportRecords, ImportedRecords, IssueRecords, LoginRecords, MAX_NAMESAKES,
    MAX_SESSIONS, Named, PasswordRecords, Query, Records, RoleHolder, SessionPageQuery, SessionRecords,
    SessionsRecords, TicketRecords, TokenRecords, UserQuery, UserRecords,
};

use super::Tables;

impl Tables {
    fn user(&self, who: &UserRef) -> Named<&User> {
        match who {
            UserRef::Any(text) => match UserId::parse(text).ok().and_then(|id| self.users.get(&id)) {
                Some(user) => Named::One(user),
                None => self.identified(text),
            },
            UserRef::Username(text) => {
                let form = self.canonical(text);
                self.identified(text).filter(|user| self.has(user, &form, Some(IdentifierKind::Username)))
            }
        }
    }

    fn canonical(&self, text: &str) -> CanonicalIdentifier {
        CanonicalIdentifier::of(text, self.numbering_plan.as_ref())
    }

    /// Returns true if the user has the identifier, and it is of the kind, if one is asked for.
    fn has(&self, user: &User, form: &CanonicalIdentifier, kind: Option<IdentifierKind>) -> bool {
        let mut own = user.canonical_identifiers(self.numbering_plan.as_ref());
        own.any(|(own, other)| other == *form && kind.is_none_or(|kind| kind == own))
    }

    /// Returns the user who has the identifier, of whatever kind.
    fn identified(&self, text: &str) -> Named<&User> {
        let form = self.canonical(text);
        let mut all = self.users.values().filter(|user| self.has(user, &form, None));
        match (all.next(), all.next()) {
            (None, _) => Named::Nobody,
            (Some(user), None) => Named::One(user),
            (Some(first), Some(second)) => {
                let users = [first, second].into_iter().chain(all).take(MAX_NAMESAKES);
                Named::Several(users.map(|user| user.id.clone()).collect())
            }
        }
    }

    /// Returns the first user by id who has the identifier, but for `but`.
    pub(super) fn owner(&self, form: &CanonicalIdentifier, but: Option<&UserId>) -> Option<IdentifierOwner> {
        let others = self.users.values().filter(|user| Some(&user.id) != but);
        let mut owned = others.filter_map(|user| {
            let mut own = user.canonical_identifiers(self.numbering_plan.as_ref());
            let (kind, _) = own.find(|(_, other)| other == form)?;
            Some(IdentifierOwner { user: user.id.clone(), username: user.username.clone(), kind })
        });
        owned.next()
    }

    fn owners_of(&self, texts: &[String], but: Option<&UserId>) -> Vec<Option<IdentifierOwner>> {
        texts.iter().map(|text| self.owner(&self.canonical(text), but)).collect()
    }

    fn imported(&self, query: &UserQuery) -> ImportedRecords {
        let user = self.user(&query.user);
        let id = user.one().map(|user| user.id.clone());
        ImportedRecords {
            password: id.as_ref().and_then(|id| self.passwords.get(id)).cloned(),
            owners: self.owners_of(&query.identifiers, id.as_ref()),
            another_officer: user.one().is_some_and(|user| self.has_another_officer(user)),
            user: user.map(|user| Box::new(user.clone())),
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
        let Page { items, next } =
            page(&query.page, Order::Backwards, sessions, |session| session.id.as_str());
        let with_names = |session: Session| SessionRecords {
            user: self.users.get(&session.user_id).cloned(),
            actor: session.actor_id().and_then(|id| self.users.get(id)).cloned(),
            client: self.clients.get(&session.client_id).cloned(),
            issuer: self.other_issuer(session.clients()),
            session,
        };
        Page { items: items.into_iter().map(with_names).collect(), next }
    }

    /// Returns the users with roles, then the clients.
    fn role_holder_page(&self, query: &PageQuery) -> Page<RoleHolder> {
        let users = self.users.values().filter(|user| !user.roles.is_empty());
        let clients = self.clients.values().filter(|client| !client.roles.is_empty());
        let users =
            users.map(|user| (RoleHolder::User(Box::new(user.clone())), Cursor(format!("1 {}", user.id))));
        let clients = clients
            .map(|client| (RoleHolder::Client(Box::new(client.clone())), Cursor(format!("2 {}", client.id))));
        let is_later = |(_, Cursor(cursor)): &(RoleHolder, Cursor)| {
            query.after.as_ref().is_none_or(|Cursor(after)| cursor > after)
        };
        Page::of(query, users.chain(clients).filter(is_later))
    }

    /// Returns true if another active user than `besides` is an officer.
    pub(super) fn has_officer_besides(&self, besides: &UserId) -> bool {
        let mut others = self.users.values().filter(|user| user.id != *besides);
        others.any(|user| user.is_active() && user.roles.contains(Role::Officer))
    }

    fn has_another_officer(&self, user: &User) -> bool {
        user.roles.contains(Role::Officer) && self.has_officer_besides(&user.id)
    }

    fn history(&self, user: &UserId) -> SignInHistory {
        self.histories.get(user).cloned().unwrap_or_default()
    }

    fn factors(&self, user: &UserId) -> Factors {
        let codes = self.backup_codes.keys().filter(|(whose, _)| whose == user);
        Factors {
            devices: self.devices.iter().rev().filter(|device| device.user_id == *user).cloned().collect(),
            backup_codes: codes.map(|(_, code)| *code).collect(),
            lockout: self.lockout.get(user).copied().unwrap_or_default(),
        }
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

    /// Returns every key without its private part, and what the clients ask of them.
    fn key_records(&self) -> KeyRecords {
        let chosen = |algorithm: &&Algorithm| self.is_chosen(**algorithm);
        let lifetimes = |client: &Client| client.token_lifetime.max(client.user_token_lifetime);
        KeyRecords {
            keys: self.keys.iter().map(|key| key.record.clone()).collect(),
            chosen: Algorithm::ALL.iter().filter(chosen).copied().collect(),
            longest_lifetime: self.clients.values().filter_map(lifetimes).max(),
        }
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
        let rest = self.lockout.keys().chain(self.histories.keys()).chain(self.passwords.keys());
        devices.chain(codes).chain(rest)
    }

    /// Answers `query`.
    pub fn read(&self, query: &Query) -> Found {
        let records = self.records(query);
        Found { generation: self.generation, state_epoch: self.state_epoch, records }
    }

    fn records(&self, query: &Query) -> Records {
        match query {
            Query::Generation => Records::Generation,
            Query::Client(id) => Records::Client(self.clients.get(id).cloned()),
            Query::Bearer(query) => Records::Bearer(Box::new(self.bearer(query))),
            Query::Ticket(digest) => Records::Ticket(self.tickets.get(digest).map(|ticket| {
                let actor = ticket.impersonation.as_ref().and_then(|i| self.users.get(&i.actor));
                Box::new(TicketRecords {
                    factors: self.factors(ticket.presented_by()),
                    history: self.history(ticket.presented_by()),
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
                user: query.user.as_ref().map(|who| self.user(who).map(User::clone)).unwrap_or_default(),
                actor: query.actor.as_ref().map(|who| self.user(who).map(User::clone)).unwrap_or_default(),
                audience: query.audience.as_ref().and_then(|id| self.clients.get(id)).cloned(),
            })),
            Query::Explain(ExplainQuery { user, actor, client }) => {
                let [user, person] = [user, actor.as_ref().unwrap_or(user)].map(|who| self.user(who));
                let id = person.one().map(|person| &person.id);
                let of_person = id.map(|id| (self.factors(id), self.history(id)));
                let (factors, history) = of_person.unwrap_or_default();
                Records::Explain(Box::new(ExplainRecords {
                    user: user.map(User::clone),
                    actor: if actor.is_some() { person.map(User::clone) } else { Named::Nobody },
                    client: client.as_ref().and_then(|id| self.clients.get(id)).cloned(),
                    factors,
                    history,
                }))
            }
            Query::Token(query) => Records::Token(Box::new(TokenRecords {
                caller: query.caller.as_ref().and_then(|id| self.clients.get(id)).cloned(),
                bearer: query.access.as_ref().map(|bearer| self.bearer(bearer)).unwrap_or_default(),
                family: query.refresh.as_ref().and_then(|digest| self.family(digest)),
                is_assertion_used: query
                    .assertion
                    .is_some_and(|digest| self.used_assertions.contains(&digest)),
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
                    history: self.history(sign_in.challenged()),
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
                history: query.person.as_ref().map(|p| self.history(&p.user)).unwrap_or_default(),
            })),
            Query::Login(Identity(text)) => Records::Login(self.identified(text).map(|user| {
                Box::new(LoginRecords {
                    password: self.passwords.get(&user.id).cloned(),
                    factors: self.factors(&user.id),
                    history: self.history(&user.id),
                    user: user.clone(),
                })
            })),
            Query::Password(query) => Records::Password(Box::new(PasswordRecords {
                bearer: self.bearer(query),
                password: query.person.as_ref().and_then(|p| self.passwords.get(&p.user)).cloned(),
                history: query.person.as_ref().map(|p| self.history(&p.user)).unwrap_or_default(),
            })),
            Query::User(query) => Records::User(self.user(&query.user).map(|user| {
                let owners = self.owners_of(&query.identifiers, Some(&user.id));
                let another_officer = self.has_another_officer(user);
                Box::new(UserRecords { user: user.clone(), owners, another_officer })
            })),
            Query::Owners(texts) => Records::Owners(self.owners_of(texts, None)),
            Query::Import(queries) => Records::Import(Box::new(ImportRecords {
                numbering_plan: self.numbering_plan.clone(),
                users: queries.iter().map(|query| self.imported(query)).collect(),
            })),
            Query::Account(who) => Records::Account(self.user(who).map(|user| {
                Box::new(AccountRecords {
                    password: self.passwords.get(&user.id).cloned(),
                    factors: self.factors(&user.id),
                    history: self.history(&user.id),
                    another_officer: self.has_another_officer(user),
                    user: user.clone(),
                })
            })),
            Query::Session(id) => Records::Session(self.sessions.get(id).cloned().map(Box::new)),
            Query::TicketById(id) => {
                let ticket = self.tickets.values().find(|ticket| ticket.id == *id);
                Records::TicketById(ticket.cloned().map(Box::new))
            }
            Query::Keys => Records::Keys(Box::new(self.key_records())),
            Query::UserPage(query) => {
                Records::UserPage(page(query, Order::Forwards, self.users.values(), |user| user.id.as_str()))
            }
            Query::ClientPage(query) => {
                Records::ClientPage(page(query, Order::Forwards, self.clients.values(), |client| {
                    client.id.as_str()
                }))
            }
            Query::RoleHolderPage(query) => Records::RoleHolderPage(self.role_holder_page(query)),
            Query::TicketPage(query) => {
                Records::TicketPage(page(query, Order::Backwards, self.tickets.values(), |ticket| {
                    ticket.id.as_str()
                }))
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
            Query::ByClient(ByClientQuery { caller, query }) => {
                Records::ByClient(Box::new(ByClientRecords {
                    caller: self.clients.get(caller).cloned(),
                    records: self.records(query),
                }))
            }
            Query::Administered(AdministeredQuery { bearer, query }) => {
                Records::Administered(Box::new(AdministeredRecords {
                    bearer: self.bearer(bearer),
                    records: self.records(query),
                }))
            }
        }
    }
}

/// The order of a list, by the names of its records.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    Forwards,
    /// Names of tickets and sessions begin with their time: about the newest first.
    Backwards,
}

/// One page of `all`.
fn page<'a, T: Clone + 'a>(
    query: &PageQuery,
    order: Order,
    all: impl Iterator<Item = &'a T>,
    name: impl Fn(&T) -> &str,
) -> Page<T> {
    let compare = |one: &str, other: &str| match order {
        Order::Forwards => one.cmp(other),
        Order::Backwards => other.cmp(one),
    };
    let is_later =
        |record: &&T| query.after.as_ref().is_none_or(|Cursor(after)| compare(name(record), after).is_gt());
    let mut found: Vec<&T> = all.filter(is_later).collect();
    found.sort_by(|one, other| compare(name(one), name(other)));
    Page::of(query, found.into_iter().map(|record| (record.clone(), Cursor(name(record).into()))))
}
