//! `POST /auth/generate-ticket`, and the command that does the same: a one-time ticket for a person (CONTRACT §3).

use alloc::{boxed::Box, vec, vec::Vec};

use serde::Serialize;

use crate::api::bearer::{Holder, Presented, VerifiedToken, unauthorized};
use crate::api::context::Context;
use crate::api::recorded::record;
use crate::api::shapes::IssuedTicket;
use crate::api::step::Step;
use crate::crypto::seed::Label;
use crate::engine::Engine;
use crate::http::body::Body;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::policy::ticket_request::{AskedImpersonation, TicketRequest, TicketRequestError};
use crate::records::client::Client;
use crate::records::id::{ClientId, TicketId, UserId, UserRef};
use crate::records::request_inputs::RequestInputs;
use crate::records::scope::Scope;
use crate::records::ticket::{Impersonation, Ticket, TicketDigest, TicketState, ticket_text};
use crate::records::user::User;
use crate::settings::Settings;
use crate::store::audit::{Event, Kind, Refusal};
use crate::store::change::{Change, Outcome};
use crate::store::query::{BearerRecords, Found, IssueQuery, IssueRecords, Query, Records};

/// Waits for the bearer and everyone the request names.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Looking {
    ctx: Context,
    origin: Origin,
    /// What was asked, or what was wrong with it: a bad token is answered before a bad body.
    asked: Result<TicketRequest, Problem>,
    again: bool,
}

/// Where the request came from.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
enum Origin {
    Bearer(Presented),
    CommandLine,
}

/// Waits for the ticket to be durable.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Issuing {
    looking: Looking,
    id: TicketId,
    lifetime: u32,
}

pub(crate) fn begin(ctx: Context, engine: &Engine, request: &Request) -> Step {
    let presented = match Presented::demanded(&ctx, request) {
        Ok(presented) => presented,
        Err(response) => return Step::Reply(response),
    };
    let asked = Body::of(request).and_then(|body| read_request(&body, engine.settings()));
    Looking { ctx, origin: Origin::Bearer(presented), asked, again: false }.look()
}

/// Begins to issue a ticket for the command line, whose user answers for it themselves.
pub(crate) fn by_command(ctx: Context, asked: TicketRequest) -> Step {
    Looking { ctx, origin: Origin::CommandLine, asked: Ok(asked), again: false }.look()
}

/// Who issues a ticket, once their token has been believed.
struct Authority<'a> {
    /// The client that issues it; none for the command line.
    client: Option<&'a Client>,
    /// The person who asks, where one does.
    person: Option<&'a User>,
}

impl Looking {
    pub(crate) const fn context(&self) -> &Context {
        &self.ctx
    }

    fn look(self) -> Step {
        let asked = self.asked.as_ref().ok();
        let query = IssueQuery {
            bearer: match &self.origin {
                Origin::Bearer(presented) => Some(presented.query().clone()),
                Origin::CommandLine => None,
            },
            user: asked.map(|a| a.user.clone()),
            actor: asked.and_then(|a| a.impersonation.as_ref()).map(|i| i.actor.clone()),
            audience: asked.and_then(|a| a.audience.clone()),
        };
        Step::read(Query::Issue(query), self)
    }

    pub(crate) fn resume(self, engine: &Engine, found: Found) -> Step {
        let Records::Issue(records) = found.records else { return Step::Reply(self.ctx.internal()) };
        let state_epoch = found.state_epoch;
        let mut conditions = Vec::new();
        let authority = match &self.origin {
            Origin::CommandLine => Ok(Authority { client: None, person: None }),
            Origin::Bearer(presented) => {
                match presented.verify(engine, &records.bearer, state_epoch, self.ctx.now()) {
                    Err(refusal) => return Step::Reply(unauthorized(&self.ctx, refusal)),
                    Ok(token) => self.authority(&token, &records.bearer, &mut conditions),
                }
            }
        };
        let drafted = authority.and_then(|authority| {
            let asked = self.asked.as_ref().map_err(|&problem| Refused::new(problem, Refusal::Malformed))?;
            draft(asked, &authority, &records, state_epoch, engine.settings(), &self.ctx.inputs)
        });
        match drafted {
            Ok(draft) => self.issue(draft, conditions),
            Err(refused) => {
                let response = self.ctx.problem(refused.problem).refused(refused.refusal);
                match refused.about {
                    Some(event) if self.ctx.peer.is_some() => record(
                        Event { refusal: Some(refused.refusal), address: self.ctx.peer, ..*event },
                        response,
                    ),
                    Some(_) | None => Step::Reply(response),
                }
            }
        }
    }

    /// What the bearer of `token` may do, and what must still hold when the ticket is written.
    fn authority<'a>(
        &self,
        token: &VerifiedToken<'a>,
        bearer: &'a BearerRecords,
        conditions: &mut Vec<Change>,
    ) -> Result<Authority<'a>, Refused> {
        let asked = self.asked.as_ref().ok();
        let wanted = if asked.is_some_and(|a| a.impersonation.is_some()) {
            "ticket:impersonate"
        } else {
            "ticket:issue"
        };
        let refused = |problem, refusal, subject: Option<&UserId>, client: &ClientId| Refused {
            about: Some(Box::new(Event {
                subject: subject.cloned(),
                client: Some(client.clone()),
                ..self.ctx.event(Kind::IssueRefused)
            })),
            ..Refused::new(problem, refusal)
        };
        match token.holder() {
            Holder::Client(client) => {
                if !token.scope().contains(wanted) {
                    return Err(refused(Problem::ScopeMissing, Refusal::ScopeMissing, None, &client.id));
                }
                conditions.push(require(client));
                Ok(Authority { client: Some(client), person: None })
            }
            Holder::Restricted { user, session, .. } => Err(refused(
                Problem::SessionRestricted,
                Refusal::SessionRestricted,
                Some(&user.id),
                &session.client_id,
            )),
            Holder::Person { user, session } => {
                if session.actor.is_some() {
                    return Err(refused(
                        Problem::ImpersonationRefused,
                        Refusal::Impersonated,
                        Some(&user.id),
                        &session.client_id,
                    ));
                }
                // A session that rests on no client's record has no client to issue anything.
                let client = bearer.client.as_ref().filter(|_| session.client_epoch.is_some());
                let client = client.filter(|c| token.scope().contains(wanted) && c.scope.contains(wanted));
                let Some(client) = client else {
                    return Err(refused(
                        Problem::ScopeMissing,
                        Refusal::ScopeMissing,
                        Some(&user.id),
                        &session.client_id,
                    ));
                };
                conditions.extend(session.clients().conditions());
                conditions.push(Change::RequireLiveSession(session.id.clone()));
                conditions.push(Change::RequireUserEpoch { id: user.id.clone(), epoch: user.epoch });
                Ok(Authority { client: Some(client), person: Some(user) })
            }
        }
    }

    fn issue(self, draft: Draft, mut changes: Vec<Change>) -> Step {
        let Draft { ticket, lifetime, conditions } = draft;
        let event = Event {
            subject: Some(ticket.user_id.clone()),
            actor: ticket.impersonation.as_ref().map(|i| i.actor.clone()),
            client: Some(ticket.client_id.clone()),
            ticket: Some(ticket.id.clone()),
            reason: ticket.impersonation.as_ref().map(|i| i.reason.clone()),
            ..self.ctx.event(Kind::TicketIssued)
        };
        let (id, state_epoch) = (ticket.id.clone(), ticket.state_epoch);
        changes.extend(conditions);
        changes.push(Change::InsertTicket(ticket));
        changes.push(Change::Audit(event));
        Step::commit_in(state_epoch, changes, Issuing { looking: self, id, lifetime })
    }
}

/// Why no ticket is issued.
struct Refused {
    problem: Problem,
    refusal: Refusal,
    /// The row it is written down as, where it concerns something that exists.
    about: Option<Box<Event>>,
}

impl Refused {
    const fn new(problem: Problem, refusal: Refusal) -> Self {
        Self { problem, refusal, about: None }
    }
}

/// A ticket ready to be written, and what must still hold then.
struct Draft {
    ticket: Ticket,
    lifetime: u32,
    conditions: Vec<Change>,
}

/// Holds while `client` is enabled and the one that was read.
fn require(client: &Client) -> Change {
    Change::RequireClientEpoch { id: client.id.clone(), epoch: client.epoch }
}

fn draft(
    asked: &TicketRequest,
    authority: &Authority<'_>,
    records: &IssueRecords,
    state_epoch: u64,
    settings: &Settings,
    inputs: &RequestInputs,
) -> Result<Draft, Refused> {
    let not_grantable = |problem| Refused::new(problem, Refusal::NotGrantable);
    let user = records.user.as_ref().filter(|u| u.is_active());
    let user = user.ok_or(not_grantable(Problem::UserRefused))?;
    let mut conditions = vec![Change::RequireUserEpoch { id: user.id.clone(), epoch: user.epoch }];
    let is_issuer = |client: &Client| authority.client.is_some_and(|issuer| issuer.id == client.id);
    let audience = match &asked.audience {
        // Bound to nobody who was named.
        None if asked.bind => return Err(not_grantable(Problem::AudienceRefused)),
        None => None,
        Some(id) => {
            let client = records.audience.as_ref().filter(|c| c.id == *id && c.enabled);
            Some(client.ok_or(not_grantable(Problem::AudienceRefused))?)
        }
    };
    conditions.extend(audience.filter(|client| !is_issuer(client)).map(require));
    let impersonation = match &asked.impersonation {
        None => None,
        Some(asked) => Some(impersonation(asked, user, authority, records, &mut conditions)?),
    };
    let scope = match &asked.scope {
        None => settings.user_scope.clone(),
        Some(scope) => {
            let within = authority.client.is_none_or(|client| scope.is_within(&client.scope));
            if !within || scope.has_reserved() {
                return Err(not_grantable(Problem::ScopeRefused));
            }
            scope.clone()
        }
    };
    // Whom it is for: the audience, or else its issuer; from the command line, nobody's record.
    let client = audience.or(authority.client);
    let lifetime = asked.ttl.unwrap_or(settings.ticket_lifetime);
    let text = ticket_text(&inputs.seed.draw(Label::Ticket));
    let internal = || Refused::new(Problem::Internal, Refusal::NotGrantable);
    Ok(Draft {
        lifetime,
        conditions,
        ticket: Ticket {
            id: TicketId::parse(&inputs.name(Label::TicketId, "tid_")).map_err(|_| internal())?,
            digest: TicketDigest::of(text.expose()).ok_or_else(internal)?,
            user_id: user.id.clone(),
            client_id: client.map_or_else(ClientId::admin, |client| client.id.clone()),
            issuer: authority.client.map(Client::reference),
            for_audience: audience.is_some(),
            bind: asked.bind,
            scope,
            client_ip: asked.client_ip,
            impersonation,
            issued_at: inputs.now,
            expires_at: inputs.now.plus(lifetime.into()),
            state: TicketState::Live,
            state_epoch,
            client_epoch: client.map(|client| client.epoch),
        },
    })
}

/// An administrator acting as `user`: somebody else, active, and the very person who asks where a person does.
fn impersonation(
    asked: &AskedImpersonation,
    user: &User,
    authority: &Authority<'_>,
    records: &IssueRecords,
    conditions: &mut Vec<Change>,
) -> Result<Impersonation, Refused> {
    let actor = records.actor.as_ref().filter(|actor| actor.is_active() && actor.id != user.id);
    let actor = actor.ok_or(Refused::new(Problem::ActorRefused, Refusal::NotGrantable))?;
    if authority.person.is_some_and(|person| person.id != actor.id) {
        return Err(Refused::new(Problem::ScopeMissing, Refusal::ActorForged));
    }
    conditions.push(Change::RequireUserEpoch { id: actor.id.clone(), epoch: actor.epoch });
    Ok(Impersonation { actor: actor.id.clone(), reason: asked.reason.clone() })
}

/// What the command line prints.
#[derive(Serialize)]
struct CommandTicket<'a> {
    id: &'a str,
    ticket: &'a str,
    expires_in: u32,
}

impl Issuing {
    pub(crate) fn settle(self, outcome: Outcome) -> Step {
        let Self { looking, id, lifetime } = self;
        match outcome {
            Outcome::Applied => {
                let ticket = ticket_text(&looking.ctx.inputs.seed.draw(Label::Ticket));
                let ticket = ticket.expose();
                Step::Reply(match looking.origin {
                    Origin::Bearer(_) => {
                        Response::json(200, &IssuedTicket { ticket, expires_in: lifetime }).uncached()
                    }
                    Origin::CommandLine => {
                        Response::json(200, &CommandTicket { id: id.as_str(), ticket, expires_in: lifetime })
                    }
                })
            }
            Outcome::Conflict if looking.again => Step::Reply(looking.ctx.unavailable()),
            Outcome::Conflict => Looking { again: true, ..looking }.look(),
            Outcome::NotApplied | Outcome::Unknown => Step::Reply(looking.ctx.undone(outcome)),
        }
    }
}

/// Reads the body of `generate-ticket`.
fn read_request(body: &Body, settings: &Settings) -> Result<TicketRequest, Problem> {
    let user = match (body.text("user_id")?, body.text("username")?) {
        (Some(text), None) => UserRef::IdOrUsername(text.into()),
        (None, Some(text)) => UserRef::Username(text.into()),
        (Some(_), Some(_)) | (None, None) => return Err(Problem::BadJson),
    };
    let mut asked = TicketRequest::new(user);
    if let Some(ttl) = body.value("ttl") {
        asked = asked.lasting(ttl.as_u64().ok_or(Problem::BadTtl)?).map_err(problem)?;
    }
    if let Some(audience) = body.text("audience")? {
        asked.audience = Some(ClientId::parse(audience).map_err(|_| Problem::AudienceRefused)?);
    }
    asked.bind = body.flag("bind")?;
    if let Some(scope) = body.text("scope")? {
        asked.scope = Some(Scope::parse(scope).map_err(|_| Problem::ScopeRefused)?);
    }
    if let Some(ip) = body.text("client_ip")? {
        asked.client_ip = Some(ip.parse().map_err(|_| Problem::BadClientIp)?);
    }
    if body.text("tenant_id")?.is_some_and(|tenant| settings.tenant.as_deref() != Some(tenant)) {
        return Err(Problem::TenantRefused);
    }
    let actor = body.text("actor")?.map(|actor| UserRef::IdOrUsername(actor.into()));
    asked.impersonated(actor, body.text("reason")?).map_err(problem)
}

const fn problem(error: TicketRequestError) -> Problem {
    match error {
        TicketRequestError::Lifetime => Problem::BadTtl,
        TicketRequestError::Reason => Problem::ReasonRequired,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::Request;
    use crate::settings::Issuer;
    use alloc::{format, vec};

    #[test]
    fn the_one_tenant_is_accepted_and_any_other_refused() {
        let issuer = Issuer::parse("http://gate.example").unwrap();
        let read = |tenant: Option<&str>, member: &str| {
            let settings = Settings { tenant: tenant.map(Into::into), ..Settings::new(issuer.clone()) };
            let request = Request {
                method: "POST".into(),
                target: "/auth/generate-ticket".into(),
                headers: vec![("content-type".into(), b"application/json".to_vec())],
                body: format!("{{\"user_id\":\"alice\"{member}}}").into_bytes(),
                peer: [127, 0, 0, 1].into(),
            };
            read_request(&Body::of(&request).unwrap(), &settings).err()
        };
        let named = |name: &str| format!(",\"tenant_id\":\"{name}\"");
        for (tenant, member, refused) in [
            (None, "", None),
            (Some("acme"), "", None),
            (Some("acme"), &*named("acme"), None),
            (Some("acme"), &named("ACME"), Some(Problem::TenantRefused)),
            (Some("acme"), &named(""), Some(Problem::TenantRefused)),
            (None, &named("acme"), Some(Problem::TenantRefused)),
            (Some("acme"), ",\"tenant_id\":null", Some(Problem::BadJson)),
        ] {
            assert_eq!(read(tenant, member), refused, "{tenant:?} {member}");
        }
    }
}
