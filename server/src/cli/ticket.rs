//! `gatepass ticket`: one-time tickets that sign a user in. Issuing keeps to the rules of the endpoint.

use std::net::IpAddr;

use clap::{Args, Subcommand};
use gatepass_core::admin::tickets::{
    IssueTicket, IssuedTicket, ListTickets, ListedTicket, RevokeTicket, TicketFilter,
};
use gatepass_core::admin::{AdminError, Obstacle};
use gatepass_core::base::time::Time;
use gatepass_core::policy::ticket_request::{TicketRequest, TicketRequestError};
use gatepass_core::records::id::{ClientId, TicketId, UserRef};
use gatepass_core::records::scope::Scope;

use super::context::Context;
use super::edit::parsed;
use crate::error::ProgramError;
use crate::output::Record;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Issue a ticket, and print it once
    Issue(Issue),
    /// List tickets, the newest first
    List,
    /// Revoke a ticket that was not redeemed
    Revoke {
        /// The ticket's id, not the ticket itself
        id: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Issue {
    /// The user it signs in: id, user name, e-mail address or telephone number
    #[arg(long)]
    user: String,
    /// Its lifetime, 1 to 3600 [default: ticket_lifetime]
    #[arg(long, value_name = "SECONDS")]
    ttl: Option<u64>,
    /// The client that the sign-in is for
    #[arg(long, value_name = "CLIENT")]
    audience: Option<String>,
    /// Only that client may redeem it
    #[arg(long)]
    bind: bool,
    /// The scope of the sign-in [default: user_scope]
    #[arg(long)]
    scope: Option<String>,
    /// The only address that may redeem it
    #[arg(long, value_name = "IP")]
    client_ip: Option<IpAddr>,
    /// The administrator who acts as the user: id, user name, e-mail address or telephone number
    #[arg(long, requires = "reason")]
    actor: Option<String>,
    /// The reason why they act as the user
    #[arg(long, requires = "actor")]
    reason: Option<String>,
}

impl Issue {
    fn asked(&self) -> Result<TicketRequest, ProgramError> {
        let wrong = |error: TicketRequestError| ProgramError::usage(error.to_string());
        let who = |text: &String| UserRef::Any(text.clone());
        let mut asked = TicketRequest::new(who(&self.user));
        if let Some(ttl) = self.ttl {
            asked = asked.lasting(ttl).map_err(wrong)?;
        }
        let audience = self.audience.as_deref();
        asked.audience = audience.map(|id| parsed("--audience", id, ClientId::parse)).transpose()?;
        asked.bind = self.bind;
        let scope = self.scope.as_deref().filter(|scope| !scope.is_empty());
        asked.scope = scope.map(|scope| parsed("--scope", scope, Scope::parse)).transpose()?;
        asked.client_ip = self.client_ip.map(|address| address.to_canonical());
        asked.impersonated(self.actor.as_ref().map(who), self.reason.as_deref()).map_err(wrong)
    }
}

/// Returns the facts to show about a ticket.
fn record(listed: &ListedTicket) -> Record {
    let ListedTicket { ticket, status, ended_at } = listed;
    let impersonation = ticket.impersonation.as_ref();
    Record::new()
        .with("id", ticket.id.as_str())
        .with("state", status.as_str())
        .with("user_id", ticket.user_id.as_str())
        .with("client_id", ticket.client_id.as_str())
        .with("issuer", ticket.issuer.as_ref().map(|issuer| issuer.id.as_str()))
        .with("bind", ticket.bind)
        .with("scope", ticket.scope.to_string())
        .with("client_ip", ticket.client_ip.map(|address| address.to_string()))
        .with("actor", impersonation.map(|impersonation| impersonation.actor.as_str()))
        .with("reason", impersonation.map(|impersonation| impersonation.reason.clone()))
        .with("issued_at", ticket.issued_at.rfc3339())
        .with("expires_at", ticket.expires_at.rfc3339())
        .with("ended_at", ended_at.map(Time::rfc3339))
}

pub(super) fn run(context: &Context, verb: Verb) -> Result<(), ProgramError> {
    match verb {
        Verb::Issue(issue) => {
            let request = issue.asked()?;
            let issued = context.writing()?.run(IssueTicket { request })?;
            let IssuedTicket { id, ticket, expires_in } = &issued;
            let shown = Record::new().with("id", id.as_str()).with("ticket", ticket.expose());
            context.print_once(&shown.with("expires_in", *expires_in), || {
                format!(
                    "ticket {id} was issued, and nobody has seen it: run the command again for another. This one ends in \
                     {expires_in} s, or at once by `gatepass ticket revoke {id}`"
                )
            })
        }
        Verb::List => list(context),
        Verb::Revoke { id } => revoke(context, &id),
    }
}

fn list(context: &Context) -> Result<(), ProgramError> {
    let admin = context.reading()?;
    let columns = &["id", "state", "user_id", "client_id", "actor", "issued_at", "expires_at"];
    let mut rows = context.out.rows(columns)?;
    admin.pages(
        |page| ListTickets { page, filter: TicketFilter::default() },
        |ticket| Ok(rows.print(record(&ticket))?),
    )?;
    Ok(rows.end()?)
}

fn revoke(context: &Context, given: &str) -> Result<(), ProgramError> {
    if given.starts_with("tkt_") {
        return Err(ProgramError::usage(
            "that is a ticket itself: name its id, which `gatepass ticket list` shows; and keep tickets out of the shell's history",
        ));
    }
    let ticket = parsed("the ticket id", given, TicketId::parse)?;
    let revoked = context.writing()?.run(RevokeTicket { ticket: ticket.clone() });
    let revoked = revoked.map_err(|error| {
        error.into_message(|error| {
            (*error == AdminError::Refused(Obstacle::AlreadyEnded)).then(|| {
                ProgramError::failed(format!(
                    "ticket {ticket} was already spent or revoked: nothing was changed"
                ))
            })
        })
    })?;
    Ok(context.out.one(&record(&revoked))?)
}
