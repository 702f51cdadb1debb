//! `/admin/v1/tickets`: tickets, without the text that redeems them.

use alloc::string::String;

use crate::admin::tickets::{ListTickets, ListedTicket, RevokeTicket, ShowTicket, TicketFilter};
use crate::api::admin::answer::{no_content, page, shown};
use crate::api::admin::call::{AdminCall, PageParameters};
use crate::api::admin::{AdminEndpoint, OPERATOR};
use crate::api::context::Context;
use crate::api::description::Description;
use crate::http::problem::Problem;
use crate::http::request_error::RequestError;
use crate::http::response::Response;
use crate::http::shape::{Nullable, answer, body};
use crate::policy::ticket_status::TicketStatus;
use crate::records::id::{ClientId, TicketId, UserId};
use crate::records::role::Roles;
use crate::store::page::Page;

answer! {
    /// A ticket.
    struct ShownTicket<'a> {
        /// The id. It redeems nothing.
        id: &'a str = "tid_AZdwYbPNKzUQAAAAAAAAAA",
        /// The user whom the ticket signs in.
        user_id: &'a str = "usr_01JZ8Q4V7N3K5T9W2X6Y0B1C2D",
        /// The client that the sign-in is for, or else the client that issued the ticket.
        client_id: &'a str = "portal",
        /// The client that issued the ticket, where that is another.
        issuer: Nullable<&'a str>,
        /// True if the redeemer has to authenticate as that client.
        bind: bool = true,
        /// The scope.
        scope: &'a str = "profile",
        /// The address that alone may redeem it.
        client_ip: Nullable<String>,
        /// The user who acts.
        actor: Nullable<&'a str>,
        /// The reason for the impersonation.
        reason: Nullable<&'a str>,
        /// The time of issue.
        issued_at: String [format("date-time")],
        /// The end of its life.
        expires_at: String [format("date-time")],
        /// `live`, `spent`, `revoked`, `expired`, or `superseded` by older state that was put back.
        state: &'a str = "live",
        /// The time when it was redeemed or revoked, or when it expired.
        ended_at: Nullable<String> [format("date-time")],
    }
}

body! {
    /// The tickets to be listed.
    struct ListTicketsQuery {
        /// The id of the user whom a ticket signs in, or who acts.
        user: Option<UserId>,
        /// The client that a ticket is for, or that issued it.
        client: Option<ClientId> = "portal",
        /// The state.
        state: Option<TicketStatus> = "live",
        ..page: PageParameters,
    }
}

fn show(ListedTicket { ticket, status, ended_at }: &ListedTicket) -> ShownTicket<'_> {
    let impersonation = ticket.impersonation.as_ref();
    ShownTicket {
        id: ticket.id.as_str(),
        user_id: ticket.user_id.as_str(),
        client_id: ticket.client_id.as_str(),
        issuer: Nullable(ticket.issuer.as_ref().map(|issuer| issuer.id.as_str())),
        bind: ticket.bind,
        scope: ticket.scope.as_str(),
        client_ip: Nullable(ticket.client_ip.map(|address| alloc::format!("{address}"))),
        actor: Nullable(impersonation.map(|impersonation| impersonation.actor.as_str())),
        reason: Nullable(impersonation.map(|impersonation| impersonation.reason.as_str())),
        issued_at: ticket.issued_at.rfc3339(),
        expires_at: ticket.expires_at.rfc3339(),
        state: status.as_str(),
        ended_at: Nullable(ended_at.map(|at| at.rfc3339())),
    }
}

impl AdminEndpoint for ListTickets {
    const ROLES: Roles = OPERATOR;
    const DESCRIPTION: Description =
        Description::new("Lists tickets").queries::<ListTicketsQuery>().answers_page::<ShownTicket<'_>>();

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        let ListTicketsQuery { user, client, state, page } = call.query()?;
        Ok(Self { page: page.page(), filter: TicketFilter { user, client, status: state } })
    }

    fn respond(_: &Context, found: Page<ListedTicket>) -> Response {
        page(&found, show)
    }
}

impl AdminEndpoint for ShowTicket {
    const ROLES: Roles = OPERATOR;
    const DESCRIPTION: Description = Description::new("Shows a ticket").answers::<ShownTicket<'_>>(200);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        Ok(Self { ticket: call.id(0, TicketId::parse)? })
    }

    fn respond(_: &Context, found: ListedTicket) -> Response {
        shown(&show(&found))
    }
}

impl AdminEndpoint for RevokeTicket {
    const ROLES: Roles = OPERATOR;
    const DESCRIPTION: Description = Description::new("Revokes a ticket that nobody has redeemed")
        .answers_nothing(204)
        .refuses(&[Problem::RecordRefuses]);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        Ok(Self { ticket: call.id(0, TicketId::parse)? })
    }

    fn respond(_: &Context, _: ListedTicket) -> Response {
        no_content()
    }
}
