//! Texts of columns.

use std::net::IpAddr;

use gatepass_core::records::id::{ClientId, SessionId, TicketId, UserId};
use gatepass_core::records::request_id::RequestId;
use gatepass_core::records::scope::Scope;

pub(in crate::store) fn owned(text: &str) -> Option<String> {
    Some(text.to_owned())
}

pub(in crate::store) fn user_id(text: &str) -> Option<UserId> {
    UserId::parse(text).ok()
}

pub(in crate::store) fn client_id(text: &str) -> Option<ClientId> {
    ClientId::parse(text).ok()
}

pub(in crate::store) fn ticket_id(text: &str) -> Option<TicketId> {
    TicketId::parse(text).ok()
}

pub(in crate::store) fn session_id(text: &str) -> Option<SessionId> {
    SessionId::parse(text).ok()
}

pub(super) fn request_id(text: &str) -> Option<RequestId> {
    RequestId::parse(text).ok()
}

pub(super) fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

pub(super) fn scope(text: &str) -> Option<Scope> {
    Scope::parse(text).ok()
}

pub(super) fn texts(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}
