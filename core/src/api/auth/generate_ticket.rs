//! `POST /auth/generate-ticket`: a one-time ticket for a user.

use alloc::{boxed::Box, format, string::String, vec::Vec};
use core::convert::Infallible;
use core::net::IpAddr;

use crate::api::bearer::{Holder, Presented, VerifiedToken, unauthorized};
use crate::api::context::Context;
use crate::api::description::Description;
use crate::api::endpoint::{Basis, Call, Decided, Endpoint, Next, ParsedRequest, Pending};
use crate::api::reply::Reply;
use crate::api::scope_detail::{malformed_scope, scope_detail};
use crate::api::shapes::IssuedTicket;
use crate::crypto::seed::Label;
use crate::engine::Engine;
use crate::http::detail::Detail;
use crate::http::problem::Problem;
use crate::http::request_error::RequestError;
use crate::http::response::Response;
use crate::http::shape::{ReadBody, body};
use crate::policy::ticket_issuing::{Authority, IssueError, TicketDraft, draft};
use crate::policy::ticket_request::{TicketRequest, TicketRequestError};
use crate::records::id::{ClientId, UserId, UserRef};
use crate::records::scope::Scope;
use crate::records::ticket::{MAX_LIFETIME, MAX_REASON_CHARS, ticket_text};
use crate::settings::Settings;
use crate::store::audit::{Event, Kind, Refusal};
use crate::store::change::Change;
use crate::store::query::{BearerRecords, IssueQuery, Query, Records};

/// A request for a ticket.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct GenerateTicket {
    presented: Presented,
    /// The request, or the error in it: a bad token is answered before a bad body.
    asked: Result<TicketRequest, RequestError>,
}

/// A ticket that is about to be durable.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct PendingTicket {
    lifetime: u32,
}

impl Endpoint for GenerateTicket {
    const DESCRIPTION: Description = Description::new("Issues a ticket for a user")
        .takes::<GenerateTicketBody>()
        .answers::<IssuedTicket<'_>>(200)
        .refuses(&[
            Problem::UserRefused,
            Problem::AudienceRefused,
            Problem::ScopeRefused,
            Problem::ActorRefused,
            Problem::ScopeMissing,
            Problem::ImpersonationRefused,
            Problem::SessionRestricted,
        ]);

    fn parse(Call { ctx, engine, request, .. }: &Call<'_>) -> Result<Self, Reply> {
        let presented = Presented::demanded(ctx, request)?;
        let body = GenerateTicketBody::of_json(request);
        let asked = body.and_then(|body| read_request(body, engine.settings()));
        Ok(Self { presented, asked })
    }
}

impl ParsedRequest for GenerateTicket {
    type Pending = PendingTicket;
    type Hash = Infallible;

    fn query(&self) -> Query {
        let asked = self.asked.as_ref().ok();
        Query::Issue(IssueQuery {
            bearer: Some(self.presented.query().clone()),
            user: asked.map(|a| a.user.clone()),
            actor: asked.and_then(|a| a.impersonation.as_ref()).map(|i| i.actor.clone()),
            audience: asked.and_then(|a| a.audience.clone()),
        })
    }

    fn decide(&self, basis: &Basis<'_>, records: Records) -> Decided<PendingTicket> {
        let ctx = basis.ctx;
        let Records::Issue(records) = records else { return Err(ctx.internal()) };
        let mut conditions = Vec::new();
        let token = self.presented.verify(basis, &records.bearer);
        let token = token.map_err(|refusal| unauthorized(ctx, refusal))?;
        let authority = self.authority(ctx, &token, &records.bearer, &mut conditions);
        let drafted = authority.and_then(|authority| {
            let asked =
                self.asked.as_ref().map_err(|error| Refused::new(error.clone(), Refusal::Malformed))?;
            Ok(draft(asked, authority, &records, basis.state_epoch, basis.settings(), &ctx.inputs)?)
        });
        match drafted {
            Ok(draft) => Ok(issue(ctx, draft, conditions)),
            Err(Refused { error, refusal, about }) => {
                let reply = ctx.refuse(error, refusal);
                Ok(match about {
                    Some(event) => Next::record(Event { refusal: Some(refusal), ..*event }, reply),
                    None => reply.into(),
                })
            }
        }
    }
}

impl GenerateTicket {
    /// Returns the authority of the bearer of `token`, and adds the conditions that the commit must name.
    fn authority<'a>(
        &self,
        ctx: &Context,
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
        let refused = |error: RequestError, refusal, subject: Option<&UserId>, client: &ClientId| Refused {
            about: Some(Box::new(Event {
                subject: subject.cloned(),
                client: Some(client.clone()),
                ..ctx.event(Kind::IssueRefused)
            })),
            ..Refused::new(error, refusal)
        };
        match token.holder() {
            Holder::Client(client) => {
                if !token.scope().contains(wanted) {
                    return Err(refused(scope_missing(wanted), Refusal::ScopeMissing, None, &client.id));
                }
                conditions.push(Change::require_client(client));
                Ok(Authority { client: Some(client), person: None })
            }
            Holder::Restricted { user, session, .. } => Err(refused(
                Problem::SessionRestricted.into(),
                Refusal::SessionRestricted,
                Some(&user.id),
                &session.client_id,
            )),
            Holder::Person { user, session } => {
                if session.actor.is_some() {
                    return Err(refused(
                        Problem::ImpersonationRefused.into(),
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
                        scope_missing(wanted),
                        Refusal::ScopeMissing,
                        Some(&user.id),
                        &session.client_id,
                    ));
                };
                conditions.extend(session.clients().conditions());
                conditions.push(Change::RequireLiveSession(session.id.clone()));
                conditions.push(Change::require_user(user));
                Ok(Authority { client: Some(client), person: Some(user) })
            }
        }
    }
}

fn issue(ctx: &Context, draft: TicketDraft, mut changes: Vec<Change>) -> Next<PendingTicket> {
    let (lifetime, state_epoch) = (draft.lifetime, draft.ticket.state_epoch);
    changes.extend(draft.into_changes(ctx.event(Kind::TicketIssued)));
    Next::commit_in(state_epoch, changes, PendingTicket { lifetime })
}

impl Pending for PendingTicket {
    fn applied(self, ctx: &Context, _engine: &Engine) -> Reply {
        let ticket = ticket_text(&ctx.inputs.seed.draw(Label::Ticket));
        let ticket = IssuedTicket { ticket: ticket.expose(), expires_in: self.lifetime };
        Response::json(200, &ticket).uncached().into()
    }
}

/// Why no ticket is issued.
struct Refused {
    error: RequestError,
    refusal: Refusal,
    /// The row it is written down as, where it concerns something that exists.
    about: Option<Box<Event>>,
}

impl Refused {
    fn new(error: impl Into<RequestError>, refusal: Refusal) -> Self {
        Self { error: error.into(), refusal, about: None }
    }
}

impl From<IssueError> for Refused {
    fn from(error: IssueError) -> Self {
        let (error, refusal) = match error {
            IssueError::User => (Problem::UserRefused.into(), Refusal::NotGrantable),
            IssueError::UserAmbiguous => (Problem::UserRefused.into(), Refusal::IdentityAmbiguous),
            IssueError::Audience => (Problem::AudienceRefused.into(), Refusal::NotGrantable),
            IssueError::Unbound => (Problem::AudienceRefused.with(unbound()), Refusal::NotGrantable),
            IssueError::Actor => (Problem::ActorRefused.into(), Refusal::NotGrantable),
            IssueError::ActorAmbiguous => (Problem::ActorRefused.into(), Refusal::IdentityAmbiguous),
            IssueError::ActorForged => (Problem::ScopeMissing.with(actor_forged()), Refusal::ActorForged),
            IssueError::Scope(limit) => {
                (Problem::ScopeRefused.with(scope_detail(&limit)), Refusal::NotGrantable)
            }
            IssueError::Internal => (Problem::Internal.into(), Refusal::NotGrantable),
        };
        Self::new(error, refusal)
    }
}

const fn unbound() -> Detail {
    Detail::fixed("bind needs one, and audience is missing", "bind 需要 audience,而 audience 缺失")
}

const fn actor_forged() -> Detail {
    Detail::fixed("a person can name nobody but themselves as actor", "用户只能以自己作为 actor")
}

/// Returns the error that `wanted` is not in the token's scope, or not in its client's.
fn scope_missing(wanted: &str) -> RequestError {
    Problem::ScopeMissing
        .with(Detail::new(format!("it needs the scope {wanted}"), format!("需要 scope {wanted}")))
}

body! {
    /// A request for a ticket. One of `user_id` and `username` says who is to be signed in.
    struct GenerateTicketBody {
        /// Id, user name, e-mail address or telephone number of an enabled user.
        user_id: Option<String> = "alice",
        /// The user name of an enabled user, in place of `user_id`.
        username: Option<String>,
        /// The lifetime in seconds; 300 by default.
        ttl: Option<u64> [within(1, MAX_LIFETIME)] => BadTtl = 120,
        /// Id of the client that the sign-in is for: it becomes the tokens' `client_id` and joins `aud`.
        audience: Option<ClientId> => AudienceRefused,
        /// True if whoever redeems the ticket has to authenticate as `audience`, by Basic.
        bind: Option<bool>,
        /// The scope of the session, within what the issuing client may have itself.
        scope: Option<String> = "profile",
        /// The only address that may redeem the ticket.
        client_ip: Option<IpAddr> => BadClientIp,
        /// The one tenant that is served here.
        tenant_id: Option<String> => TenantRefused,
        /// The user who acts: id, user name, e-mail address or telephone number.
        actor: Option<String>,
        /// The reason why the actor acts. It goes with `actor`.
        reason: Option<String> [length(1, MAX_REASON_CHARS).plain()] => ReasonRequired,
    }
}

/// Reads the body of `generate-ticket`.
fn read_request(body: GenerateTicketBody, settings: &Settings) -> Result<TicketRequest, RequestError> {
    let user = match (body.user_id, body.username) {
        (Some(text), None) => UserRef::Any(text),
        (None, Some(text)) => UserRef::Username(text),
        (Some(_), Some(_)) | (None, None) => {
            return Err(RequestError::body(Detail::fixed(
                "exactly one of the members user_id and username is needed",
                "成员 user_id 与 username 须有且仅有一个",
            )));
        }
    };
    let mut asked = TicketRequest::new(user);
    if let Some(ttl) = body.ttl {
        asked = asked.lasting(ttl).map_err(problem)?;
    }
    asked.audience = body.audience;
    asked.bind = body.bind.unwrap_or_default();
    if let Some(scope) = body.scope {
        let malformed = |error| Problem::ScopeRefused.with(malformed_scope(error));
        asked.scope = Some(Scope::parse(&scope).map_err(malformed)?);
    }
    asked.client_ip = body.client_ip;
    if body.tenant_id.as_deref().is_some_and(|tenant| settings.tenant.as_deref() != Some(tenant)) {
        return Err(Problem::TenantRefused.into());
    }
    let actor = body.actor.map(UserRef::Any);
    Ok(asked.impersonated(actor, body.reason.as_deref()).map_err(problem)?)
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
    use alloc::vec;

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
            let body = GenerateTicketBody::of_json(&request).unwrap();
            read_request(body, &settings).err().map(|error| error.problem)
        };
        let named = |name: &str| format!(",\"tenant_id\":\"{name}\"");
        for (tenant, member, refused) in [
            (None, "", None),
            (Some("acme"), "", None),
            (Some("acme"), &*named("acme"), None),
            (Some("acme"), &named("ACME"), Some(Problem::TenantRefused)),
            (Some("acme"), &named(""), Some(Problem::TenantRefused)),
            (None, &named("acme"), Some(Problem::TenantRefused)),
            (Some("acme"), ",\"tenant_id\":null", None),
        ] {
            assert_eq!(read(tenant, member), refused, "{tenant:?} {member}");
        }
    }
}
