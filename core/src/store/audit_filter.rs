//! The audit rows that somebody asks for.

use alloc::vec::Vec;

use crate::base::time::Time;
use crate::records::id::{ClientId, UserId};
use crate::records::request_id::RequestId;
use crate::store::audit::{Event, Kind, Refusal};

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
    pub refusal: Option<RefusalFilter>,
    /// The id of the request, ours or the one that was sent.
    pub request: Option<RequestId>,
    /// At this time or later.
    pub since: Option<Time>,
    /// Before this time.
    pub until: Option<Time>,
}

/// The refusals that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalFilter {
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
            RefusalFilter::Any => event.refusal.is_some(),
            RefusalFilter::For(refusal) => event.refusal == Some(refusal),
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
