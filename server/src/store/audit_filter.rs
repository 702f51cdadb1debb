//! The rows of the audit table that somebody asks for.

use std::ops::RangeInclusive;

use gatepass_core::base::time::Time;
use gatepass_core::records::id::{ClientId, UserId};
use gatepass_core::records::request_id::RequestId;
use gatepass_core::store::audit::{Event, Kind, Refusal};

use super::audit_chain::AuditRow;

/// The rows that are asked for: those for which all that is given holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// The user it is about, who acted, whose token asked, or who did it as an administrator.
    pub user: Option<UserId>,
    /// The client involved, the issuer, or the one that did it as an administrator.
    pub client: Option<ClientId>,
    /// One of these kinds; any, if there are none.
    pub kinds: Vec<Kind>,
    /// A refusal.
    pub refusal: Option<Refused>,
    /// The id of the request, ours or the one that was sent.
    pub request: Option<RequestId>,
    /// At this time or later.
    pub since: Option<Time>,
    /// Before this time.
    pub until: Option<Time>,
}

/// The refusals that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// For whatever reason.
    Any,
    /// For this reason.
    For(Refusal),
}

impl AuditFilter {
    /// Returns true if `event` is asked for.
    pub fn takes(&self, event: &Event) -> bool {
        let user = |id: &UserId| {
            let users = [&event.subject, &event.actor, &event.issuer_user, &event.by_user];
            users.contains(&&Some(id.clone()))
        };
        let client =
            |id: &ClientId| [&event.client, &event.issuer, &event.by_client].contains(&&Some(id.clone()));
        let request = |id: &RequestId| [&event.request, &event.sent_request].contains(&&Some(id.clone()));
        let refusal = |refused| match refused {
            Refused::Any => event.refusal.is_some(),
            Refused::For(refusal) => event.refusal == Some(refusal),
        };
        self.user.as_ref().is_none_or(user)
            && self.client.as_ref().is_none_or(client)
            && (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && self.refusal.is_none_or(refusal)
            && self.request.as_ref().is_none_or(request)
            && self.since.is_none_or(|since| event.at >= since)
            && self.until.is_none_or(|until| event.at < until)
    }
}

/// The numbers of rows that have not been looked at yet.
pub type AuditSpan = RangeInclusive<u64>;

/// The end of a span at which its next rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditOrder {
    /// The oldest rows first.
    OldestFirst,
    /// The newest rows first.
    NewestFirst,
}

/// Rows that were found, and what is left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditPage {
    /// The rows that are asked for, in the order asked for. There may be none although some are left.
    pub rows: Vec<AuditRow>,
    /// The numbers that are left; none at the end.
    pub rest: Option<AuditSpan>,
}
