//! Tickets.

use gatepass_core::records::ticket::{Ticket, TicketDigest, TicketState};

use super::delivery::{delivery_of, ticket_delivery, ticket_delivery_values};
use super::row::{Columns, MalformedRow};
use super::text::{address, client_id, scope, ticket_id, user_id};
use super::value::Value;

pub(in crate::store) fn ticket(c: &mut Columns<'_>) -> Result<Ticket, MalformedRow> {
    let id = c.parsed("id", ticket_id)?;
    let digest = TicketDigest(c.bytes("digest")?);
    let user_id = c.parsed("user_id", user_id)?;
    let client_id = c.parsed("client_id", client_id)?;
    let issuer = c.maybe("issuer", self::client_id)?;
    let for_audience = c.flag("for_audience")?;
    let bind = c.flag("bind")?;
    let scope = c.parsed("scope", scope)?;
    let client_ip = c.maybe("client_ip", address)?;
    let impersonation = c.impersonation()?;
    let issued_at = c.time("issued_at")?;
    let expires_at = c.time("expires_at")?;
    let state = match (c.maybe_time("spent_at")?, c.maybe_time("revoked_at")?) {
        (None, None) => TicketState::Live,
        (Some(at), None) => TicketState::Spent { at, delivery: None },
        (None, Some(at)) => TicketState::Revoked(at),
        (Some(_), Some(_)) => return Err(c.unreadable("revoked_at")),
    };
    let state_epoch = c.number("state_epoch")?;
    let delivery = ticket_delivery(c)?.map(Box::new);
    let state = match (state, delivery) {
        (TicketState::Spent { at, .. }, delivery) => TicketState::Spent { at, delivery },
        (state, None) => state,
        (_, Some(_)) => return Err(c.unreadable("delivery_request")),
    };
    let client_epoch = c.maybe_number("client_epoch")?;
    Ok(Ticket {
        id,
        digest,
        user_id,
        client_id,
        issuer: c.issuer(issuer)?,
        for_audience,
        bind,
        scope,
        client_ip,
        impersonation,
        issued_at,
        expires_at,
        state,
        state_epoch,
        client_epoch,
    })
}

pub(in crate::store) fn ticket_values(ticket: &Ticket) -> [Value<'_>; 24] {
    let (spent, revoked) = match &ticket.state {
        TicketState::Live => (None, None),
        TicketState::Spent { at, .. } => (Some(*at), None),
        TicketState::Revoked(at) => (None, Some(*at)),
    };
    let [request, salt, session, refresh, challenge, repeated] = ticket_delivery_values(delivery_of(ticket));
    [
        ticket.id.as_str().into(),
        (&ticket.digest.0).into(),
        ticket.user_id.as_str().into(),
        ticket.client_id.as_str().into(),
        ticket.issuer.as_ref().map(|issuer| issuer.id.as_str()).into(),
        ticket.for_audience.into(),
        ticket.bind.into(),
        ticket.scope.as_str().into(),
        ticket.client_ip.map(|ip| ip.to_string()).into(),
        ticket.impersonation.as_ref().map(|i| i.actor.as_str()).into(),
        ticket.impersonation.as_ref().map(|i| i.reason.as_str()).into(),
        ticket.issued_at.into(),
        ticket.expires_at.into(),
        spent.into(),
        revoked.into(),
        ticket.state_epoch.into(),
        request,
        salt,
        session,
        refresh,
        challenge,
        repeated,
        ticket.client_epoch.into(),
        ticket.issuer.as_ref().map(|issuer| issuer.epoch).into(),
    ]
}
