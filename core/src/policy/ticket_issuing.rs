//! The decision on a request for a ticket: one rule for the endpoint and for administrators.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use crate::crypto::seed::Label;
use crate::policy::scope_limit::ScopeLimit;
use crate::policy::ticket_request::{AskedImpersonation, TicketRequest};
use crate::records::client::Client;
use crate::records::id::{ClientId, TicketId, UserId};
use crate::records::request_inputs::RequestInputs;
use crate::records::ticket::{Impersonation, Ticket, TicketDigest, TicketState, ticket_text};
use crate::records::user::User;
use crate::settings::Settings;
use crate::store::audit::Event;
use crate::store::change::Change;
use crate::store::query::{IssueRecords, Named};

/// The authority that a ticket is issued by. An administrator's has neither client nor person.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Authority<'a> {
    /// The client that issues it.
    pub(crate) client: Option<&'a Client>,
    /// The person who asks.
    pub(crate) person: Option<&'a User>,
}

/// The reason why a ticket is not issued.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IssueError {
    /// The user is not there, or is disabled.
    User,
    /// Several users have the identifier of the user.
    UserAmbiguous,
    /// The audience is not there or is disabled.
    Audience,
    /// The ticket is to be bound, and has no audience.
    Unbound,
    /// The actor is not there, is disabled or is the user.
    Actor,
    /// Several users have the identifier of the actor.
    ActorAmbiguous,
    /// The actor is another person than the one who asks.
    ActorForged,
    /// The scope is reserved, or beyond the issuer's.
    Scope(ScopeLimit),
    /// The ticket could not be made.
    Internal,
}

impl fmt::Display for IssueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "the user does not exist or is disabled",
            Self::UserAmbiguous => {
                "several users have the identifier of the user: name the one that is meant by id"
            }
            Self::Audience => "audience must name an enabled client",
            Self::Unbound => "bind needs an audience: the client that the ticket is bound to",
            Self::Actor => "the actor does not exist, is disabled or is the user itself",
            Self::ActorAmbiguous => {
                "several users have the identifier of the actor: name the one that is meant by id"
            }
            Self::ActorForged => "the actor is not who asks",
            Self::Scope(limit) => return write!(f, "the scope cannot be granted: {limit}"),
            Self::Internal => "internal error",
        })
    }
}

impl core::error::Error for IssueError {}

/// A ticket that may be issued.
#[derive(Debug)]
pub(crate) struct TicketDraft {
    /// The ticket.
    pub(crate) ticket: Ticket,
    /// Its lifetime in seconds.
    pub(crate) lifetime: u32,
    conditions: Vec<Change>,
    /// The user whose token asked for it.
    asked_by: Option<UserId>,
}

impl TicketDraft {
    /// Returns what writes the ticket, with its audit row, and holds only while everybody it names is as read. `base` is an event of
    /// [`Kind::TicketIssued`](crate::store::audit::Kind::TicketIssued).
    pub(crate) fn into_changes(self, base: Event) -> impl Iterator<Item = Change> {
        let ticket = self.ticket;
        let event = Event {
            subject: Some(ticket.user_id.clone()),
            actor: ticket.impersonation.as_ref().map(|i| i.actor.clone()),
            client: Some(ticket.client_id.clone()),
            ticket: Some(ticket.id.clone()),
            reason: ticket.impersonation.as_ref().map(|i| i.reason.clone()),
            issuer: ticket.issuer.as_ref().map(|issuer| issuer.id.clone()),
            issuer_user: self.asked_by,
            ..base
        };
        self.conditions.into_iter().chain([Change::InsertTicket(ticket), Change::Audit(event)])
    }
}

/// Decides on `asked` by `authority`. The text of the ticket is drawn from the same inputs once the ticket is durable.
pub(crate) fn draft(
    asked: &TicketRequest,
    authority: Authority<'_>,
    records: &IssueRecords,
    state_epoch: u64,
    settings: &Settings,
    inputs: &RequestInputs,
) -> Result<TicketDraft, IssueError> {
    let user = resolve(&records.user, IssueError::User, IssueError::UserAmbiguous)?;
    let user = Some(user).filter(|user| user.is_active()).ok_or(IssueError::User)?;
    let mut conditions = vec![Change::require_user(user)];
    let is_issuer = |client: &Client| authority.client.is_some_and(|issuer| issuer.id == client.id);
    let audience = match &asked.audience {
        None if asked.bind => return Err(IssueError::Unbound),
        None => None,
        Some(id) => {
            let client = records.audience.as_ref().filter(|client| client.id == *id && client.enabled);
            Some(client.ok_or(IssueError::Audience)?)
        }
    };
    conditions.extend(audience.filter(|client| !is_issuer(client)).map(Change::require_client));
    let impersonation = match &asked.impersonation {
        None => None,
        Some(asked) => {
            let actor = actor(user, authority, records)?;
            conditions.push(Change::require_user(actor));
            let AskedImpersonation { reason, .. } = asked;
            Some(Impersonation { actor: actor.id.clone(), reason: reason.clone() })
        }
    };
    let scope = match &asked.scope {
        None => settings.user_scope.clone(),
        Some(scope) => {
            ScopeLimit::unreserved(scope).map_err(IssueError::Scope)?;
            if let Some(client) = authority.client {
                ScopeLimit::of_client(scope, client).map_err(IssueError::Scope)?;
            }
            scope.clone()
        }
    };
    // It is for the audience, or else for its issuer; one from an administrator may have no client.
    let client = audience.or(authority.client);
    let lifetime = asked.ttl.unwrap_or(settings.ticket_lifetime);
    let text = ticket_text(&inputs.seed.draw(Label::Ticket));
    Ok(TicketDraft {
        lifetime,
        conditions,
        asked_by: authority.person.map(|person| person.id.clone()),
        ticket: Ticket {
            id: TicketId::parse(&inputs.name(Label::TicketId, "tid_")).map_err(|_| IssueError::Internal)?,
            digest: TicketDigest::of(text.expose()).ok_or(IssueError::Internal)?,
            user_id: user.id.clone(),
            client_id: client.map_or_else(ClientId::admin, |client| client.id.clone()),
            issuer: authority.client.map(Client::reference),
            for_audience: audience.is_some(),
            bind: asked.bind,
            scope,
            client_ip: asked.client_ip,
            impersonation,
            issued_at: inputs.now,
            expires_at: inputs.now.plus(lifetime.into()),
            state: TicketState::Live,
            state_epoch,
            client_epoch: client.map(|client| client.epoch),
        },
    })
}

/// Returns the one user that is named; `nobody` is the error where there is no such user, `several` where there are several.
fn resolve(named: &Named<User>, nobody: IssueError, several: IssueError) -> Result<&User, IssueError> {
    match named {
        Named::One(user) => Ok(user),
        Named::Nobody => Err(nobody),
        Named::Several(_) => Err(several),
    }
}

/// Returns who acts as `user`: somebody else, active, and the very person who asks where a person does.
fn actor<'r>(
    user: &User,
    authority: Authority<'_>,
    records: &'r IssueRecords,
) -> Result<&'r User, IssueError> {
    let actor = resolve(&records.actor, IssueError::Actor, IssueError::ActorAmbiguous)?;
    let actor = Some(actor).filter(|actor| actor.is_active() && actor.id != user.id);
    let actor = actor.ok_or(IssueError::Actor)?;
    if authority.person.is_some_and(|person| person.id != actor.id) {
        return Err(IssueError::ActorForged);
    }
    Ok(actor)
}
