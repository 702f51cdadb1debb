//! The rows that a query names, before any of them is read.

use std::collections::BTreeSet;

use gatepass_core::records::id::{ClientId, UserId, UserRef};
use gatepass_core::records::identifier::{CanonicalIdentifier, NumberingPlan};
use gatepass_core::store::page::PageQuery;
use gatepass_core::store::query::{
    AdministeredQuery, BearerQuery, ByClientQuery, ExplainQuery, Identity, IssueQuery, Query,
    SessionPageQuery, TokenQuery, UserQuery,
};

/// The rows that one or several queries name. What these rows name in turn is read with them.
#[derive(Debug, Default)]
pub(super) struct QueryNames {
    pub(super) clients: BTreeSet<ClientId>,
    pub(super) tickets: BTreeSet<[u8; 32]>,
    pub(super) ticket_ids: BTreeSet<String>,
    pub(super) challenges: BTreeSet<[u8; 32]>,
    pub(super) refresh_tokens: BTreeSet<[u8; 32]>,
    pub(super) sessions: BTreeSet<String>,
    /// Users, by id or by a text that may be one.
    pub(super) users: BTreeSet<String>,
    /// Identifiers, in their canonical form.
    pub(super) forms: BTreeSet<String>,
    /// Of `users` and of those who have an identifier of `forms`, everything that a sign-in rests on is read, too.
    pub(super) with_credentials: bool,
    /// The users whose live sessions are listed.
    pub(super) sessions_of: BTreeSet<UserId>,
    pub(super) token_ids: BTreeSet<String>,
    pub(super) assertions: BTreeSet<[u8; 32]>,
    /// True if it matters whether there is another officer.
    pub(super) officers: bool,
    /// True if every key is read, and what the clients ask of them.
    pub(super) keys: bool,
    pub(super) pages: Vec<PageNames>,
}

/// A page of a list.
#[derive(Debug)]
pub(super) enum PageNames {
    Users(PageQuery),
    Clients(PageQuery),
    RoleHolders(PageQuery),
    Tickets(PageQuery),
    Sessions(SessionPageQuery),
}

impl QueryNames {
    /// Returns the rows that `queries` name.
    pub(super) fn of<'q>(queries: impl Iterator<Item = &'q Query>, plan: Option<&NumberingPlan>) -> Self {
        let mut names = Self::default();
        queries.for_each(|query| names.add(query, plan));
        names
    }

    fn text(&mut self, text: &str, plan: Option<&NumberingPlan>) {
        self.forms.insert(CanonicalIdentifier::of(text, plan).as_str().to_owned());
    }

    fn user(&mut self, who: &UserRef, plan: Option<&NumberingPlan>) {
        match who {
            UserRef::Any(text) => {
                self.users.insert(text.clone());
                self.text(text, plan);
            }
            UserRef::Username(text) => self.text(text, plan),
        }
    }

    fn bearer(&mut self, query: &BearerQuery) {
        self.clients.insert(query.client.clone());
        self.token_ids.insert(query.token_id.clone());
        if let Some(person) = &query.person {
            self.users.insert(person.user.as_str().to_owned());
            self.users.extend(person.actor.iter().map(|actor| actor.as_str().to_owned()));
            self.sessions.insert(person.session.as_str().to_owned());
        }
    }

    fn user_query(&mut self, UserQuery { user, identifiers }: &UserQuery, plan: Option<&NumberingPlan>) {
        self.user(user, plan);
        identifiers.iter().for_each(|text| self.text(text, plan));
        self.officers = true;
    }

    fn add(&mut self, query: &Query, plan: Option<&NumberingPlan>) {
        match query {
            Query::Generation => {}
            Query::Client(id) => drop(self.clients.insert(id.clone())),
            Query::Ticket(digest) => {
                self.tickets.insert(digest.0);
                self.with_credentials = true;
            }
            Query::Bearer(bearer) => self.bearer(bearer),
            Query::Sessions(bearer) => {
                self.bearer(bearer);
                self.sessions_of.extend(bearer.person.iter().map(|person| person.user.clone()));
            }
            Query::Factors(bearer) | Query::Password(bearer) => {
                self.bearer(bearer);
                self.with_credentials = true;
            }
            Query::Issue(IssueQuery { bearer, user, actor, audience }) => {
                bearer.iter().for_each(|bearer| self.bearer(bearer));
                user.iter().chain(actor).for_each(|who| self.user(who, plan));
                self.clients.extend(audience.clone());
            }
            Query::Token(TokenQuery { caller, access, refresh, assertion }) => {
                self.clients.extend(caller.clone());
                access.iter().for_each(|bearer| self.bearer(bearer));
                self.refresh_tokens.extend(refresh.map(|digest| digest.0));
                self.assertions.extend(assertion.map(|digest| digest.0));
            }
            Query::Challenge(digest) => {
                self.challenges.insert(digest.0);
                self.with_credentials = true;
            }
            Query::Login(Identity(text)) => {
                self.text(text, plan);
                self.with_credentials = true;
            }
            Query::User(query) => self.user_query(query, plan),
            Query::Owners(texts) => texts.iter().for_each(|text| self.text(text, plan)),
            Query::Import(queries) => {
                queries.iter().for_each(|query| self.user_query(query, plan));
                self.with_credentials = true;
            }
            Query::Account(who) => {
                self.user(who, plan);
                (self.with_credentials, self.officers) = (true, true);
            }
            Query::Explain(ExplainQuery { user, actor, client }) => {
                self.user(user, plan);
                actor.iter().for_each(|who| self.user(who, plan));
                self.clients.extend(client.clone());
                self.with_credentials = true;
            }
            Query::Session(id) => drop(self.sessions.insert(id.as_str().to_owned())),
            Query::TicketById(id) => drop(self.ticket_ids.insert(id.as_str().to_owned())),
            Query::Keys => self.keys = true,
            Query::UserPage(page) => self.pages.push(PageNames::Users(page.clone())),
            Query::ClientPage(page) => self.pages.push(PageNames::Clients(page.clone())),
            Query::RoleHolderPage(page) => self.pages.push(PageNames::RoleHolders(page.clone())),
            Query::TicketPage(page) => self.pages.push(PageNames::Tickets(page.clone())),
            Query::SessionPage(page) => self.pages.push(PageNames::Sessions(page.clone())),
            Query::ByClient(ByClientQuery { caller, query }) => {
                self.clients.insert(caller.clone());
                self.add(query, plan);
            }
            Query::Administered(AdministeredQuery { bearer, query }) => {
                self.bearer(bearer);
                self.add(query, plan);
            }
        }
    }
}
