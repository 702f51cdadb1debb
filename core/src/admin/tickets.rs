//! Operations on tickets.

use alloc::vec;

use super::error::{AdminError, Item, Obstacle};
use super::step::{Decision, Operation, OperationInputs, Plan};
use crate::base::secret::SecretText;
use crate::base::time::Time;
use crate::crypto::seed::Label;
use crate::policy::ticket_issuing::{Authority, TicketDraft, draft};
use crate::policy::ticket_request::TicketRequest;
use crate::policy::ticket_status::{TicketStatus, ticket_status};
use crate::records::id::{ClientId, TicketId, UserId};
use crate::records::ticket::{Ticket, TicketState, ticket_text};
use crate::store::audit::{Event, Kind};
use crate::store::change::Change;
use crate::store::page::{Page, PageQuery};
use crate::store::query::{IssueQuery, Query, Records};

/// Lists tickets.
#[derive(Clone, Debug, PartialEq)]
pub struct ListTickets {
    /// The page.
    pub page: PageQuery,
    /// Only those that pass it. A page may have fewer of them than were asked for, or none, and others after it.
    pub filter: TicketFilter,
}

/// The tickets that are looked for: those of which everything that is named here is so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TicketFilter {
    /// The user whom a ticket signs in, or who acts.
    pub user: Option<UserId>,
    /// The client that a ticket is for, or that issued it.
    pub client: Option<ClientId>,
    /// The status of a ticket.
    pub status: Option<TicketStatus>,
}

impl TicketFilter {
    fn passes(&self, ListedTicket { ticket, status, .. }: &ListedTicket) -> bool {
        let actor = ticket.impersonation.as_ref().map(|impersonation| &impersonation.actor);
        let issuer = ticket.issuer.as_ref().map(|issuer| &issuer.id);
        self.user.as_ref().is_none_or(|user| *user == ticket.user_id || Some(user) == actor)
            && self.client.as_ref().is_none_or(|client| *client == ticket.client_id || Some(client) == issuer)
            && self.status.is_none_or(|wanted| wanted == *status)
    }
}

/// Shows a ticket.
#[derive(Clone, Debug, PartialEq)]
pub struct ShowTicket {
    /// The ticket.
    pub ticket: TicketId,
}

/// A ticket, and its status.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedTicket {
    /// The ticket.
    pub ticket: Ticket,
    /// Its status.
    pub status: TicketStatus,
    /// The time when it was redeemed or revoked, or when it expired.
    pub ended_at: Option<Time>,
}

/// Issues a ticket. No client answers for it.
#[derive(Clone, Debug, PartialEq)]
pub struct IssueTicket {
    /// The request.
    pub request: TicketRequest,
}

/// The result of [`IssueTicket`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedTicket {
    /// The identifier of the ticket.
    pub id: TicketId,
    /// The ticket itself. The store does not keep it.
    pub ticket: SecretText,
    /// Its lifetime in seconds.
    pub expires_in: u32,
}

/// Withdraws a ticket that nobody has redeemed.
#[derive(Clone, Debug, PartialEq)]
pub struct RevokeTicket {
    /// The ticket.
    pub ticket: TicketId,
}

impl Operation for ListTickets {
    type Output = Page<ListedTicket>;

    fn query(&self) -> Query {
        Query::TicketPage(self.page.clone())
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<Page<ListedTicket>>, AdminError> {
        let Records::TicketPage(Page { items, next }) = records else { return Err(AdminError::Internal) };
        let listed = items.iter().map(|ticket| listed(inputs, ticket.clone()));
        let items = listed.filter(|ticket| self.filter.passes(ticket)).collect();
        Ok(Decision::Done(Page { items, next: next.clone() }))
    }
}

impl Operation for ShowTicket {
    type Output = ListedTicket;

    fn query(&self) -> Query {
        Query::TicketById(self.ticket.clone())
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<ListedTicket>, AdminError> {
        Ok(Decision::Done(listed(inputs, found(&self.ticket, records)?.clone())))
    }
}

impl Operation for IssueTicket {
    type Output = IssuedTicket;

    fn query(&self) -> Query {
        let TicketRequest { user, audience, impersonation, .. } = &self.request;
        Query::Issue(IssueQuery {
            bearer: None,
            user: Some(user.clone()),
            actor: impersonation.as_ref().map(|asked| asked.actor.clone()),
            audience: audience.clone(),
        })
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<IssuedTicket>, AdminError> {
        let Records::Issue(records) = records else { return Err(AdminError::Internal) };
        let (request, state_epoch) = (inputs.request, inputs.state_epoch);
        let drafted =
            draft(&self.request, Authority::default(), records, state_epoch, inputs.settings, request);
        let drafted = drafted.map_err(AdminError::NotIssued)?;
        let TicketDraft { ticket, lifetime, .. } = &drafted;
        let issued = IssuedTicket {
            id: ticket.id.clone(),
            ticket: ticket_text(&request.seed.draw(Label::Ticket)),
            expires_in: *lifetime,
        };
        let mut changes = vec![Change::RequireStateEpoch(state_epoch)];
        changes.extend(drafted.into_changes(Event::new(Kind::TicketIssued, request.now)));
        Ok(Plan::new(changes, issued).into())
    }
}

impl Operation for RevokeTicket {
    type Output = ListedTicket;

    fn query(&self) -> Query {
        Query::TicketById(self.ticket.clone())
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<ListedTicket>, AdminError> {
        let ticket = found(&self.ticket, records)?;
        if ticket.state != TicketState::Live {
            return Err(AdminError::Refused(Obstacle::AlreadyEnded));
        }
        let now = inputs.request.now;
        let revoked = Event {
            ticket: Some(ticket.id.clone()),
            subject: Some(ticket.user_id.clone()),
            client: Some(ticket.client_id.clone()),
            actor: ticket.impersonation.as_ref().map(|impersonation| impersonation.actor.clone()),
            ..Event::new(Kind::TicketRevoked, now)
        };
        let changes = vec![Change::RevokeTicket { id: ticket.id.clone(), at: now }, Change::Audit(revoked)];
        let ticket = Ticket { state: TicketState::Revoked(now), ..ticket.clone() };
        Ok(Plan::new(changes, listed(inputs, ticket)).into())
    }
}

fn found<'r>(id: &TicketId, records: &'r Records) -> Result<&'r Ticket, AdminError> {
    let Records::TicketById(found) = records else { return Err(AdminError::Internal) };
    found.as_deref().ok_or_else(|| AdminError::NotFound(Item::Ticket(id.clone())))
}

fn listed(inputs: &OperationInputs<'_>, ticket: Ticket) -> ListedTicket {
    let (status, ended_at) = ticket_status(&ticket, inputs.state_epoch, inputs.request.now);
    ListedTicket { ticket, status, ended_at }
}
