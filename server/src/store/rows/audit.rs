//! Audit events. Their encoder is [`fields`](crate::store::audit_chain::fields), because the chain hashes what is written.

use gatepass_core::records::risk::Assessment;
use gatepass_core::records::role::Roles;
use gatepass_core::store::audit::{Event, Kind, Refusal};

#[cfg(feature = "postgres")]
use crate::store::audit_chain::Field;

use super::row::{Columns, MalformedRow};
use super::text::{address, client_id, owned, request_id, session_id, ticket_id, user_id};
#[cfg(feature = "postgres")]
use super::value::Value;

/// Reads an event: the columns of an audit row after `seq`.
pub(in crate::store) fn event(c: &mut Columns<'_>) -> Result<Event, MalformedRow> {
    Ok(Event {
        at: c.time("at")?,
        kind: c.parsed("kind", Kind::parse)?,
        subject: c.maybe("subject", user_id)?,
        actor: c.maybe("actor", user_id)?,
        client: c.maybe("client", client_id)?,
        ticket: c.maybe("ticket", ticket_id)?,
        session: c.maybe("session", session_id)?,
        key: c.maybe("key", owned)?,
        address: c.maybe("address", address)?,
        refusal: c.maybe("refusal", Refusal::parse)?,
        reason: c.maybe("reason", owned)?,
        count: c.small("count")?,
        risk: c.maybe("risk", Assessment::parse)?,
        issuer: c.maybe("issuer", client_id)?,
        issuer_user: c.maybe("issuer_user", user_id)?,
        request: c.maybe("request", request_id)?,
        sent_request: c.maybe("sent_request", request_id)?,
        operator: c.maybe("operator", owned)?,
        stated_by: c.maybe("stated_by", client_id)?,
        peer: c.maybe("peer", address)?,
        by_user: c.maybe("by_user", user_id)?,
        by_client: c.maybe("by_client", client_id)?,
        roles: c.maybe("roles", Roles::parse)?,
    })
}

/// Returns a field of an audit row that this binary has made as a value of its own.
#[cfg(feature = "postgres")]
pub(in crate::store) fn audit_value(field: Field<'_>) -> Value<'static> {
    match field {
        Field::Integer(number) => Value::Integer(number),
        Field::Text(text) => Value::from(String::from_utf8_lossy(&text).into_owned()),
        // No row of ours has any.
        Field::Null | Field::Real(_) | Field::Blob(_) => Value::Null,
    }
}
