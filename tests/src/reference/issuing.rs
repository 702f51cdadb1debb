//! Issuing and revoking tickets.

use serde_json::json;

use super::model::{Answer, Grant, Holder, Model, Ticket, granted, is_within, refused};
use super::operation::{Issuer, TicketSpec};

impl Model {
    pub(super) fn issue(&mut self, by: Issuer, spec: &TicketSpec) -> Answer {
        let malformed = match spec {
            TicketSpec { ttl: Some(0), .. } => Some(40012),
            TicketSpec { actor: Some(_), reason: false, .. } => Some(40018),
            _ => None,
        };
        let acts = spec.actor.is_some() && malformed.is_none();
        let wanted = if acts { "ticket:impersonate" } else { "ticket:issue" };
        let issuer = match by {
            Issuer::Command => None,
            Issuer::Bearer(bearer) => match self.holder(bearer) {
                Holder::Nobody => return refused(40100),
                Holder::Restricted(_) => return refused(40303),
                Holder::Person(session) if self.sessions[session].grant.actor.is_some() => {
                    return refused(40301);
                }
                Holder::Service(token)
                    if is_within(
                        wanted,
                        self.scope_of(self.access[token].client, self.access[token].scope),
                    ) =>
                {
                    Some(self.access[token].client)
                }
                Holder::Person(_) | Holder::Service(_) => return refused(40300),
            },
        };
        let scope = spec.scope.unwrap_or("profile");
        let refusal = match spec {
            _ if malformed.is_some() => malformed,
            _ if !self.is_active(spec.user) => Some(40011),
            TicketSpec { audience: Some(client), .. } if !self.is_enabled(client) => Some(40013),
            TicketSpec { audience: None, bind: true, .. } => Some(40013),
            TicketSpec { actor: Some(actor), .. } if *actor == spec.user || !self.is_active(actor) => {
                Some(40017)
            }
            _ if scope.starts_with("ticket:") || scope.starts_with("gatepass:") => Some(40014),
            _ if issuer.is_some_and(|issuer| self.scope_of(issuer, scope) != scope) => Some(40014),
            _ => None,
        };
        if let Some(code) = refusal {
            return refused(code);
        }
        let TicketSpec { user, audience, bind, here, actor, ttl, .. } = *spec;
        let client = audience.or(issuer).unwrap_or("admin");
        let client_epoch = audience.or(issuer).and_then(|client| self.registration(client));
        let issuer = issuer.and_then(|issuer| Some((issuer, self.registration(issuer)?)));
        let grant =
            Grant { user, actor, client, audience: audience.is_some(), bind, scope, client_epoch, issuer };
        let life = ttl.unwrap_or(300);
        let (expires, state_epoch) = (self.now + life, self.state_epoch);
        self.tickets.push(Ticket { grant, here, expires, over: false, state_epoch, delivered: None });
        granted("ticket", json!({"ticket": self.tickets.len() - 1, "expires_in": life}))
    }

    pub(super) fn revoke_ticket(&mut self, ticket: Option<usize>) -> Answer {
        let over = ticket.map(|at| std::mem::replace(&mut self.tickets[at].over, true));
        let (kind, status) = if over == Some(false) { ("revoked", 200) } else { ("left alone", 400) };
        Answer { kind: kind.into(), status, says: json!({}) }
    }
}
