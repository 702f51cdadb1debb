//! A session's fresh tokens for its refresh token: `POST /auth/refresh`, and `grant_type=refresh_token` at
//! `POST /oauth2/token` (RFC 6749 §6). The token is used once; within a short grace the same one brings the same
//! successor again, for an answer that was lost.

use alloc::{boxed::Box, string::ToString, vec};
use core::convert::Infallible;

use crate::api::context::{Context, ErrorFormat};
use crate::api::description::Description;
use crate::api::endpoint::{Basis, Call, Decided, Endpoint, Next, ParsedRequest, Pending};
use crate::api::oauth::client_auth::{proven, redeemer, unauthenticated};
use crate::api::reply::Reply;
use crate::api::shapes::{AccessToken, LoginResponse};
use crate::api::tokens::{PersonToken, person_token_lifetime};
use crate::base::secret::SecretText;
use crate::base::time::Time;
use crate::crypto::algorithm::Algorithm;
use crate::engine::Engine;
use crate::http::authorization::Authorization;
use crate::http::oauth_error::OAuthError;
use crate::http::problem::Problem;
use crate::http::response::Response;
use crate::http::shape::{ReadBody, body};
use crate::policy::password::standing;
use crate::policy::refresh::{Granted, Presenter, Verdict, decide, refreshes_to_record};
use crate::policy::resources::Resources;
use crate::policy::scope_limit::ScopeLimit;
use crate::policy::ticket_redemption::Redeemer;
use crate::records::client_assertion::ClientAssertion;
use crate::records::client_credentials::{ClientClaim, ClientCredentials};
use crate::records::id::ClientId;
use crate::records::scope::Scope;
use crate::records::session::{FreshToken, RefreshDigest, RefreshToken, Rotation, Salt, Session};
use crate::records::user::User;
use crate::store::audit::{Event, Kind, Refusal};
use crate::store::change::{Change, Outcome};
use crate::store::query::{Family, Query, Records, TokenQuery, TokenRecords};

/// A refresh token that is presented.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Refresh {
    token: SecretText,
    digest: RefreshDigest,
    presenter: Redeemer,
    /// The scope that the client asks for; it may be less than the session's.
    scope: Option<Scope>,
    /// Those of the session's audiences that the client asks for.
    resources: Resources,
}

/// The commit that a refresh token waits for.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) enum PendingRefresh {
    /// Its session ends: it was used before.
    Reused,
    /// It is used, or was just now, and its successor is handed out.
    Refreshed(Box<Refreshed>),
}

/// The material of fresh tokens.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Refreshed {
    token: SecretText,
    used_at: Time,
    salt: Salt,
    user: User,
    session: Session,
    scope: Scope,
    token_lifetime: u64,
    /// The algorithm that its client chooses.
    algorithm: Option<Algorithm>,
    for_client: bool,
}

body! {
    /// A refresh token.
    struct RefreshBody {
        /// The refresh token.
        refresh_token: SecretText = "rft_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    }
}

impl Endpoint for Refresh {
    const DESCRIPTION: Description = Description::new("Refreshes a session")
        .takes::<RefreshBody>()
        .guesses()
        .answers::<LoginResponse<'_>>(200)
        .refuses(&[Problem::RefreshRefused]);

    fn parse(Call { ctx, request, .. }: &Call<'_>) -> Result<Self, Reply> {
        let authorization = Authorization::of(request).map_err(|error| ctx.malformed(error))?;
        let body = RefreshBody::of_json(request).map_err(|error| ctx.malformed(error))?;
        Ok(Self::new(body.refresh_token, redeemer(authorization), None, Resources::default()))
    }
}

impl ParsedRequest for Refresh {
    type Pending = PendingRefresh;
    type Hash = Infallible;

    fn query(&self) -> Query {
        let caller = self.presenter.claimed().cloned();
        let assertion = self.presenter.assertion().map(ClientAssertion::digest);
        Query::Token(TokenQuery { caller, access: None, refresh: Some(self.digest), assertion })
    }

    /// Returns the client that presents the token. Outside `/oauth2` nothing can be learnt of its secret beside a token that is
    /// unknown.
    fn client<'a>(&'a self, basis: &Basis<'_>, records: &'a Records) -> Option<ClientClaim<'a>> {
        let Records::Token(records) = records else { return None };
        let is_revealed = basis.ctx.errors == ErrorFormat::OAuth || self.family(records).is_some();
        let claim = self.presenter.claim(records.caller.as_ref())?;
        Some(ClientClaim { is_revealed, is_used: records.is_assertion_used, ..claim })
    }

    fn decide(&self, basis: &Basis<'_>, records: Records) -> Decided<PendingRefresh> {
        let ctx = basis.ctx;
        let Records::Token(records) = records else { return Err(ctx.internal()) };
        basis.require_signing_key(records.family.as_ref().and_then(|family| family.client.as_ref()))?;
        let refused = |refusal| match ctx.errors {
            ErrorFormat::OAuth => unauthenticated(refusal),
            ErrorFormat::Simple | ErrorFormat::Bearer => refuse(ctx, refusal).wrong(),
        };
        let caller = self
            .caller(basis, &records)
            .map_err(|refusal| refused(refusal).of_client(self.presenter.claimed()))?;
        let family = self.family(&records).ok_or_else(|| refuse(ctx, Refusal::RefreshUnknown))?;
        let presenter = caller.as_ref().map_or(Presenter::Anybody, Presenter::Client);
        match decide(family, presenter, basis.settings(), basis.state_epoch, basis.now()) {
            Verdict::Refuse(refusal) => Ok(record(ctx, &family.session, refusal, refuse(ctx, refusal))),
            Verdict::Reused => Ok(end(ctx, &family.session)),
            Verdict::Rotate(granted) => {
                let used = (basis.now(), Salt::new(&ctx.inputs));
                self.refresh(basis, family, &granted, used, true)
            }
            Verdict::Again(granted) => {
                let rotation = family.refresh.rotation.as_ref().ok_or_else(|| ctx.internal())?;
                self.refresh(basis, family, &granted, (rotation.at, rotation.salt.clone()), false)
            }
        }
    }
}

impl Refresh {
    /// Presents `token` as `grant_type=refresh_token`, by a client that says who it is.
    pub(crate) fn grant(
        credentials: ClientCredentials,
        token: SecretText,
        scope: Option<Scope>,
        resources: Resources,
    ) -> Self {
        Self::new(token, Redeemer::Claimed(credentials), scope, resources)
    }

    fn new(token: SecretText, presenter: Redeemer, scope: Option<Scope>, resources: Resources) -> Self {
        // An illegible token still has its client authenticated, so that the answer tells nothing of the one by the other.
        let digest = RefreshDigest::read(token.expose()).unwrap_or(RefreshDigest([0; 32]));
        Self { token, digest, presenter, scope, resources }
    }

    fn family<'a>(&self, records: &'a TokenRecords) -> Option<&'a Family> {
        records.family.as_ref().filter(|family| family.refresh.digest == self.digest)
    }

    /// Returns the client that presents the token, if it says who it is and proves it.
    fn caller(&self, basis: &Basis<'_>, records: &TokenRecords) -> Result<Option<ClientId>, Refusal> {
        let client = proven(basis, &self.presenter, records.caller.as_ref())?;
        Ok(client.map(|client| client.client().id.clone()))
    }

    /// Uses the token, or hands out what its use led to once more, in one commit that names everyone it rests on.
    fn refresh(
        &self,
        basis: &Basis<'_>,
        family: &Family,
        Granted { user, scope: grantable }: &Granted<'_>,
        (used_at, salt): (Time, Salt),
        first: bool,
    ) -> Decided<PendingRefresh> {
        let (ctx, now, session) = (basis.ctx, basis.now(), &family.session);
        let scope = self.scope.clone().unwrap_or_else(|| grantable.clone());
        if let Err(limit) = ScopeLimit::of_session(&scope, grantable) {
            let refusal = Refusal::NotGrantable;
            let error = OAuthError::InvalidScope(limit.to_string().into());
            return Ok(record(ctx, session, refusal, Reply::from(error).refused(refusal)));
        }
        let (issuer, audience) = (basis.settings().issuer.as_str(), session.client_id.as_str());
        let known = |resource: &str| resource == issuer || session.for_audience && resource == audience;
        if let Err(unknown) = self.resources.check(known) {
            let refusal = Refusal::NotGrantable;
            let error = OAuthError::InvalidTarget(unknown.to_string().into());
            return Ok(record(ctx, session, refusal, Reply::from(error).refused(refusal)));
        }
        let successor = FreshToken::successor(&self.token, used_at, &salt).digest;
        let mut changes = vec![Change::RequireLiveSession(session.id.clone()), Change::require_user(user)];
        changes.extend(family.actor.as_ref().map(Change::require_user));
        changes.extend(session.clients().conditions());
        if first {
            let idle_end = now.plus(basis.settings().refresh_lifetime.into());
            let token = &family.refresh;
            let recorded = refreshes_to_record(token, now);
            changes.push(Change::RotateRefresh {
                digest: self.digest,
                rotation: Rotation { at: used_at, salt: salt.clone(), successor },
                successor: RefreshToken {
                    digest: successor,
                    session_id: session.id.clone(),
                    issued_at: now,
                    expires_at: session.expires_at.min(idle_end),
                    rotation: None,
                    number: token.number.saturating_add(1),
                    refreshes: 0,
                    recorded_at: if recorded.is_some() { Some(now) } else { token.recorded_at },
                },
                recorded: recorded.unwrap_or(0),
            });
            let row = |count| Event { count, ..event(ctx, Kind::SessionRefreshed, session) };
            changes.extend(recorded.map(row).map(Change::Audit));
        } else {
            changes.push(Change::RequireUnusedRefresh(successor));
            changes.push(Change::CountRefresh(successor));
        }
        let refreshed = Refreshed {
            token: self.token.clone(),
            used_at,
            salt,
            user: (*user).clone(),
            session: session.clone(),
            scope,
            token_lifetime: person_token_lifetime(basis, family.client.as_ref(), session),
            algorithm: family.client.as_ref().and_then(|client| client.signing_algorithm),
            for_client: self.resources.include(audience),
        };
        Ok(Next::commit_in(basis.state_epoch, changes, PendingRefresh::Refreshed(Box::new(refreshed))))
    }
}

/// Ends the session of a token that was used before.
fn end(ctx: &Context, session: &Session) -> Next<PendingRefresh> {
    let event = Event { refusal: Some(Refusal::RefreshReused), ..event(ctx, Kind::RefreshReused, session) };
    let end = Change::EndSession { id: session.id.clone(), at: ctx.now() };
    Next::commit(vec![end, Change::Audit(event)], PendingRefresh::Reused)
}

/// Records that `session` gets nothing, then sends `reply`.
fn record(ctx: &Context, session: &Session, refusal: Refusal, reply: Reply) -> Next<PendingRefresh> {
    Next::record(Event { refusal: Some(refusal), ..event(ctx, Kind::RefreshRefused, session) }, reply)
}

fn event(ctx: &Context, kind: Kind, session: &Session) -> Event {
    Event {
        subject: Some(session.user_id.clone()),
        actor: session.actor_id().cloned(),
        client: Some(session.client_id.clone()),
        session: Some(session.id.clone()),
        ..ctx.event(kind)
    }
}

fn refuse(ctx: &Context, refusal: Refusal) -> Reply {
    match ctx.errors {
        ErrorFormat::OAuth => Reply::from(OAuthError::InvalidGrant).refused(refusal),
        ErrorFormat::Simple | ErrorFormat::Bearer => ctx.refuse(Problem::RefreshRefused, refusal),
    }
}

impl Pending for PendingRefresh {
    fn applied(self, ctx: &Context, engine: &Engine) -> Reply {
        match self {
            Self::Reused => refuse(ctx, Refusal::RefreshReused),
            Self::Refreshed(refreshed) => {
                let tokens = refreshed.tokens(ctx, engine);
                tokens.map_or_else(|| ctx.internal(), |tokens| Reply::from(tokens).succeeded())
            }
        }
    }

    fn retries(&self) -> u8 {
        match self {
            Self::Reused => 0,
            Self::Refreshed(_) => 1,
        }
    }

    fn failed(self, ctx: &Context, outcome: Outcome) -> Reply {
        match (self, outcome) {
            // Another request has ended the session.
            (Self::Reused, Outcome::Conflict) => refuse(ctx, Refusal::RefreshReused),
            (Self::Reused | Self::Refreshed(_), _) => ctx.undone(outcome),
        }
    }
}

impl Refreshed {
    /// Makes the tokens, here and nowhere earlier; none where the key fails.
    fn tokens(&self, ctx: &Context, engine: &Engine) -> Option<Response> {
        let refresh_token = FreshToken::successor(&self.token, self.used_at, &self.salt).text;
        let token = PersonToken {
            session: &self.session,
            scope: &self.scope,
            lifetime: self.token_lifetime,
            algorithm: self.algorithm,
            for_client: self.for_client,
        };
        let access_token = token.sign(ctx, engine)?;
        let (access_token, refresh_token) = (access_token.expose(), refresh_token.expose());
        let response = match ctx.errors {
            ErrorFormat::OAuth => {
                let body = AccessToken {
                    access_token,
                    expires_in: self.token_lifetime,
                    token_type: "Bearer",
                    scope: self.scope.as_str(),
                    refresh_token: Some(refresh_token),
                };
                Response::json(200, &body)
            }
            ErrorFormat::Simple | ErrorFormat::Bearer => {
                let password = standing(&self.user, engine.settings().password_age, ctx.now());
                let (tokens, purpose) = ((access_token, self.token_lifetime), self.session.purpose);
                let body = LoginResponse::new(tokens, Some(refresh_token), &self.user, password, purpose);
                Response::json(200, &body)
            }
        };
        Some(response.uncached())
    }
}
