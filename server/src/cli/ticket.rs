//! `gatepass ticket`: one-time tickets that sign a person in. Issuing keeps to the rules of the endpoint.

use std::net::IpAddr;

use clap::{Args, Subcommand};
use gatepass_core::api::step::finish;
use gatepass_core::base::time::Time;
use gatepass_core::engine::{Engine, Keys};
use gatepass_core::policy::ticket_request::{TicketRequest, TicketRequestError};
use gatepass_core::records::id::{ClientId, TicketId, UserRef};
use gatepass_core::records::scope::Scope;
use gatepass_core::records::ticket::{Ticket, TicketState};
use gatepass_core::settings::{Issuer, Settings};
use gatepass_core::store::audit::{Event, Kind};
use gatepass_core::store::change::Change;
use serde_json::Value;

use crate::store::AdminSession;

use super::context::Context;
use super::edit::parsed;
use crate::config::ConfigLayer;
use crate::error::ProgramError;
use crate::output::Record;
use crate::secrets::random::request_inputs;

/// The most tickets that are listed.
const LISTED: usize = 10_000;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Issue a ticket, and print it once
    Issue(Issue),
    /// List tickets, the newest first
    List,
    /// Withdraw a ticket that was not redeemed
    Revoke {
        /// The ticket's id, not the ticket itself
        id: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Issue {
    /// Who it signs in: id or user name
    #[arg(long)]
    user: String,
    /// Its life, 1 to 3600 [default: the configured one]
    #[arg(long, value_name = "SECONDS")]
    ttl: Option<u64>,
    /// The client that the sign-in is for
    #[arg(long, value_name = "CLIENT")]
    audience: Option<String>,
    /// Only that client may redeem it
    #[arg(long)]
    bind: bool,
    /// What the sign-in may do [default: the configured user scope]
    #[arg(long)]
    scope: Option<String>,
    /// The only address that may redeem it
    #[arg(long, value_name = "IP")]
    client_ip: Option<IpAddr>,
    /// Who acts as the user: id or user name
    #[arg(long, requires = "reason")]
    actor: Option<String>,
    /// Why they act as the user
    #[arg(long, requires = "actor")]
    reason: Option<String>,
}

impl Issue {
    fn asked(&self) -> Result<TicketRequest, ProgramError> {
        let wrong = |error: TicketRequestError| ProgramError::usage(error.to_string());
        let who = |text: &String| UserRef::IdOrUsername(text.clone());
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

/// Returns the facts to show about a ticket at `now`, in this state epoch.
fn record(ticket: &Ticket, now: Time, state_epoch: u64) -> Record {
    let (state, ended) = match &ticket.state {
        TicketState::Spent { at, .. } => ("spent", Some(*at)),
        TicketState::Revoked(at) => ("revoked", Some(*at)),
        TicketState::Live if ticket.state_epoch != state_epoch => ("superseded", None),
        TicketState::Live if now >= ticket.expires_at => ("expired", Some(ticket.expires_at)),
        TicketState::Live => ("live", None),
    };
    let impersonation = ticket.impersonation.as_ref();
    Record::new()
        .with("id", ticket.id.as_str())
        .with("state", state)
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
        .with("ended_at", ended.map(Time::rfc3339))
}

pub(super) fn run(context: &Context, verb: Verb) -> Result<(), ProgramError> {
    match verb {
        Verb::Issue(issue) => {
            let asked = issue.asked()?;
            let config = context.config(ConfigLayer::default())?;
            // No token is made here, so the issuer is not told to anybody.
            let issuer =
                Issuer::parse("http://localhost").map_err(|bad| ProgramError::failed(bad.to_string()))?;
            let admin = context.writing()?;
            let issued = issue_by_command(&admin, config.core_settings(issuer), asked)?;
            Ok(context.out.one(&issued)?)
        }
        Verb::List => {
            let admin = context.reading()?;
            let epoch = admin.store.state_epoch()?;
            let tickets: Vec<Record> =
                admin.store.tickets(LISTED)?.iter().map(|ticket| record(ticket, admin.now, epoch)).collect();
            let columns = ["id", "state", "user_id", "client_id", "actor", "issued_at", "expires_at"];
            Ok(context.out.list(&columns, &tickets)?)
        }
        Verb::Revoke { id } => revoke(context, &id),
    }
}

/// Issues the ticket that was `asked` for: `{"id", "ticket", "expires_in"}`.
pub(crate) fn issue_by_command(
    admin: &AdminSession,
    settings: Settings,
    asked: TicketRequest,
) -> Result<Record, ProgramError> {
    // Issuing signs nothing: whatever the keys are, none at all will do.
    let engine = Engine::new(settings, Keys::new(u64::MAX, None, Vec::new()));
    let step = engine.issue_by_command(asked, request_inputs(&admin.clock)?);
    let response = finish(&engine, &admin.store, step);
    let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
    let part = |key: &str| body.get(key).cloned().unwrap_or_default();
    if response.status() != 200 {
        let message = part("message");
        let message = message.as_str().unwrap_or("the answer cannot be read");
        return Err(ProgramError::failed(format!("no ticket was issued: {message}")));
    }
    Ok(Record::new()
        .with("id", part("id"))
        .with("ticket", part("ticket"))
        .with("expires_in", part("expires_in")))
}

fn revoke(context: &Context, given: &str) -> Result<(), ProgramError> {
    if given.starts_with("tkt_") {
        return Err(ProgramError::usage(
            "that is a ticket itself: name its id, which `gatepass ticket list` shows; and keep tickets out of the shell's history",
        ));
    }
    let id = parsed("the ticket id", given, TicketId::parse)?;
    let admin = context.writing()?;
    let ticket = admin.store.ticket(&id)?.ok_or_else(|| {
        ProgramError::failed(format!("there is no ticket {id}: `gatepass ticket list` shows those there are"))
    })?;
    let event = Event {
        ticket: Some(id.clone()),
        subject: Some(ticket.user_id.clone()),
        client: Some(ticket.client_id.clone()),
        actor: ticket.impersonation.as_ref().map(|impersonation| impersonation.actor.clone()),
        ..Event::new(Kind::TicketRevoked, admin.now)
    };
    let changes = vec![Change::RevokeTicket { id: id.clone(), at: admin.now }, Change::Audit(event)];
    admin.commit(changes, || format!("ticket {id} was already spent or revoked: nothing was changed"))?;
    let revoked = Ticket { state: TicketState::Revoked(admin.now), ..ticket };
    Ok(context.out.one(&record(&revoked, admin.now, revoked.state_epoch))?)
}
