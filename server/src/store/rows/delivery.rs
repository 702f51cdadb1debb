//! The records of tickets and challenges that were used with an `Idempotency-Key`: some columns of each.

use gatepass_core::records::challenge::ChallengeDigest;
use gatepass_core::records::delivery::{
    AnswerDelivery, Delivery, OpenedSession, RequestDigest, TicketDelivery, TicketResult,
};
use gatepass_core::records::session::{RefreshDigest, Salt};
use gatepass_core::records::ticket::{Ticket, TicketState};

use super::row::{Columns, MalformedRow};
use super::text::session_id;
use super::value::Value;

/// Returns the delivery of `ticket`, if it has one.
pub(in crate::store) fn delivery_of(ticket: &Ticket) -> Option<&TicketDelivery> {
    match &ticket.state {
        TicketState::Spent { delivery, .. } => delivery.as_deref(),
        TicketState::Live | TicketState::Revoked(_) => None,
    }
}

/// Reads the next columns of a ticket: its delivery.
pub(super) fn ticket_delivery(c: &mut Columns<'_>) -> Result<Option<TicketDelivery>, MalformedRow> {
    let Some((request, salt)) = request(c)? else { return nothing(c, 4) };
    let opened = opened(c)?;
    let challenge = c.maybe_bytes("delivery_challenge")?.map(ChallengeDigest);
    let result = match (opened, challenge) {
        (Some(opened), None) => TicketResult::Session(opened),
        (None, Some(digest)) => TicketResult::Challenge(digest),
        (Some(_), Some(_)) | (None, None) => return Err(c.unreadable("delivery_challenge")),
    };
    Ok(Some(Delivery { request, salt, result, repeated: c.small("repeated")? }))
}

/// Reads the next columns of a challenge: its delivery.
pub(super) fn answer_delivery(c: &mut Columns<'_>) -> Result<Option<AnswerDelivery>, MalformedRow> {
    let Some((request, salt)) = request(c)? else { return nothing(c, 3) };
    let result = opened(c)?.ok_or_else(|| c.unreadable("delivery_session"))?;
    Ok(Some(Delivery { request, salt, result, repeated: c.small("repeated")? }))
}

/// Skips the columns of a delivery that is absent.
fn nothing<T>(c: &mut Columns<'_>, columns: usize) -> Result<Option<T>, MalformedRow> {
    c.skip(columns);
    Ok(None)
}

/// Reads the digest of the request and the salt; none if there was no delivery.
fn request(c: &mut Columns<'_>) -> Result<Option<(RequestDigest, Salt)>, MalformedRow> {
    match (c.maybe_bytes("delivery_request")?, c.maybe_bytes("delivery_salt")?) {
        (Some(request), Some(salt)) => Ok(Some((RequestDigest(request), Salt(salt)))),
        (None, None) => Ok(None),
        (Some(_), None) | (None, Some(_)) => Err(c.unreadable("delivery_salt")),
    }
}

fn opened(c: &mut Columns<'_>) -> Result<Option<OpenedSession>, MalformedRow> {
    let id = c.maybe("delivery_session", session_id)?;
    let refresh = c.maybe_bytes("delivery_refresh")?.map(RefreshDigest);
    match (id, refresh) {
        (Some(id), refresh) => Ok(Some(OpenedSession { id, refresh })),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(c.unreadable("delivery_refresh")),
    }
}

/// Returns the values of the columns of a ticket from `delivery_request` to `repeated`.
pub(in crate::store) fn ticket_delivery_values(delivery: Option<&TicketDelivery>) -> [Value<'_>; 6] {
    let (session, challenge) = match delivery.map(|delivery| &delivery.result) {
        Some(TicketResult::Session(opened)) => (Some(opened), None),
        Some(TicketResult::Challenge(digest)) => (None, Some(digest)),
        None => (None, None),
    };
    let [request, salt, session, refresh, repeated] = values(delivery, session);
    [request, salt, session, refresh, challenge.map(|digest| &digest.0).into(), repeated]
}

/// Returns the values of the columns of a challenge from `delivery_request` to `repeated`.
pub(in crate::store) fn answer_delivery_values(delivery: Option<&AnswerDelivery>) -> [Value<'_>; 5] {
    values(delivery, delivery.map(|delivery| &delivery.result))
}

fn values<'a, R>(delivery: Option<&'a Delivery<R>>, session: Option<&'a OpenedSession>) -> [Value<'a>; 5] {
    [
        delivery.map(|delivery| &delivery.request.0).into(),
        delivery.map(|delivery| &delivery.salt.0).into(),
        session.map(|opened| opened.id.as_str()).into(),
        session.and_then(|opened| opened.refresh.as_ref()).map(|refresh| &refresh.0).into(),
        delivery.map_or(0, |delivery| delivery.repeated).into(),
    ]
}
