//! A session's fresh tokens for its refresh token: `POST /auth/refresh`, and `grant_type=refresh_token` at
//! `POST /oauth2/token` (RFC 6749 §6). The token is used once; within a short grace the same one brings the same
//! successor again, for an answer that was lost.

use alloc::{boxed::Box, vec};

use crate::api::context::{Context, Manner};
use crate::api::oauth::client_auth::redeemer;
use crate::api::recorded::record;
use crate::api::shapes::{AccessToken, LoginResponse};
use crate::api::step::Step;
use crate::api::tokens::{PersonToken, person_claims};
use crate::base::secret::SecretText;
use crate::base::time::Time;
use crate::crypto::seed::Label;
use crate::engine::Engine;
use crate::http::authorization::Authorization;
use crate::http::body::Body;
use crate::http::oauth_error::OAuthError;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::policy::password::standing;
use crate::policy::refresh::{Granted, Presenter, Verdict, decide, refreshes_to_record};
use crate::policy::ticket_redemption::Redeemer;
use crate::records::client_credentials::ClientCredentials;
use crate::records::id::ClientId;
use crate::records::scope::Scope;
use crate::records::session::{FreshToken, RefreshDigest, RefreshToken, Rotation, Salt, Session};
use crate::records::user::User;
use crate::store::audit::{Event, Kind, Refusal};
use crate::store::change::{Change, Outcome};
use crate::store::query::{Family, Found, Query, Records, TokenQuery, TokenRecords};

/// Waits for the token's family, and the client that presents it.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Looking {
    ctx: Context,
    token: SecretText,
    digest: RefreshDigest,
    presenter: Redeemer,
    /// What the client asks for; it may be less than the session's.
    scope: Option<Scope>,
    again: bool,
}

/// Waits for the family to be ended.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Ending {
    looking: Looking,
}

/// Waits for the successor to be durable.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Refreshing {
    looking: Looking,
    used_at: Time,
    salt: Salt,
    user: Box<User>,
    session: Session,
    scope: Scope,
    token_lifetime: u64,
}

/// `POST /auth/refresh`.
pub(crate) fn begin(ctx: Context, request: &Request) -> Step {
    let presenter = match Authorization::of(request) {
        Err(_) => return ctx.refuse(Problem::BadHeader, Refusal::Malformed),
        Ok(authorization) => redeemer(authorization),
    };
    match Body::of(request).and_then(|body| body.required_text("refresh_token")) {
        Ok(token) => look(ctx, token, presenter, None),
        Err(problem) => ctx.refuse(problem, Refusal::Malformed),
    }
}

/// `grant_type=refresh_token`, from a client that says who it is.
pub(crate) fn begin_grant(
    ctx: Context,
    credentials: ClientCredentials,
    token: SecretText,
    scope: Option<Scope>,
) -> Step {
    look(ctx, token, Redeemer::Claimed(credentials), scope)
}

fn look(ctx: Context, token: SecretText, presenter: Redeemer, scope: Option<Scope>) -> Step {
    // An illegible token still has its client authenticated, so that the answer tells nothing of the one by the other.
    let digest = RefreshDigest::read(token.expose()).unwrap_or(RefreshDigest([0; 32]));
    Looking { ctx, token, digest, presenter, scope, again: false }.ask()
}

impl Looking {
    pub(crate) const fn context(&self) -> &Context {
        &self.ctx
    }

    fn ask(self) -> Step {
        let caller = match &self.presenter {
            Redeemer::Claimed(credentials) => Some(credentials.id.clone()),
            Redeemer::Anybody | Redeemer::Illegible => None,
        };
        Step::read(Query::Token(TokenQuery { caller, access: None, refresh: Some(self.digest) }), self)
    }

    pub(crate) fn resume(self, engine: &Engine, found: Found) -> Step {
        let Records::Token(records) = found.records else { return Step::Reply(self.ctx.internal()) };
        if !engine.can_sign() {
            return Step::Reply(self.ctx.unavailable());
        }
        let caller = match self.caller(&records) {
            Ok(caller) => caller,
            Err(refusal) if self.ctx.manner == Manner::OAuth => {
                return Step::Reply(OAuthError::InvalidClient.response().refused(refusal));
            }
            Err(refusal) => return Step::Reply(self.refused(refusal)),
        };
        let Some(family) = records.family.as_ref().filter(|family| family.refresh.digest == self.digest)
        else {
            return Step::Reply(self.refused(Refusal::RefreshUnknown));
        };
        let presenter = caller.as_ref().map_or(Presenter::Anybody, Presenter::Client);
        let state_epoch = found.state_epoch;
        match decide(family, presenter, engine.settings(), state_epoch, self.ctx.now()) {
            Verdict::Refuse(refusal) => self.record(&family.session, refusal, self.refused(refusal)),
            Verdict::Reused => self.end_family(family),
            Verdict::Rotate(granted) => {
                let salt = Salt::new(&self.ctx.inputs);
                let used_at = self.ctx.now();
                self.refresh(engine, family, state_epoch, &granted, (used_at, salt), true)
            }
            Verdict::Again(granted) => match &family.refresh.rotation {
                Some(rotation) => {
                    let use_of = (rotation.at, rotation.salt.clone());
                    self.refresh(engine, family, state_epoch, &granted, use_of, false)
                }
                None => Step::Reply(self.ctx.internal()),
            },
        }
    }

    /// The client that presents the token, if it says who it is and proves it.
    fn caller(&self, records: &TokenRecords) -> Result<Option<ClientId>, Refusal> {
        match &self.presenter {
            Redeemer::Anybody => Ok(None),
            Redeemer::Illegible => Err(Refusal::RedeemerUnproven),
            Redeemer::Claimed(credentials) => {
                let client = credentials.authenticate(records.caller.as_ref(), self.ctx.now())?;
                Ok(Some(client.client().id.clone()))
            }
        }
    }

    fn end_family(self, family: &Family) -> Step {
        let refusal = Some(Refusal::RefreshReused);
        let event = Event { refusal, ..self.event(Kind::RefreshReused, &family.session) };
        let changes = vec![
            Change::EndSession { id: family.session.id.clone(), at: self.ctx.now() },
            Change::Audit(event),
        ];
        Step::commit(changes, Ending { looking: self })
    }

    /// Uses the token, or hands out what its use led to once more, in one commit that names everyone it rests on.
    fn refresh(
        self,
        engine: &Engine,
        family: &Family,
        state_epoch: u64,
        Granted { user, scope: grantable }: &Granted<'_>,
        (used_at, salt): (Time, Salt),
        first: bool,
    ) -> Step {
        let (now, session) = (self.ctx.now(), &family.session);
        let scope = self.scope.clone().unwrap_or_else(|| grantable.clone());
        if !scope.is_within(grantable) {
            let (refusal, error) =
                (Refusal::NotGrantable, OAuthError::InvalidScope("the session has not all of this scope"));
            return self.record(session, refusal, error.response().refused(refusal));
        }
        let successor = FreshToken::successor(&self.token, used_at, &salt).digest;
        let mut changes = vec![
            Change::RequireLiveSession(session.id.clone()),
            Change::RequireUserEpoch { id: user.id.clone(), epoch: user.epoch },
        ];
        changes.extend(
            family.actor.as_ref().map(|a| Change::RequireUserEpoch { id: a.id.clone(), epoch: a.epoch }),
        );
        changes.extend(session.clients().conditions());
        if first {
            let idle_end = now.plus(engine.settings().refresh_lifetime.into());
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
            let event = |count| Event { count, ..self.event(Kind::SessionRefreshed, session) };
            changes.extend(recorded.map(event).map(Change::Audit));
        } else {
            changes.push(Change::RequireUnusedRefresh(successor));
            changes.push(Change::CountRefresh(successor));
        }
        let lifetime = family.client.as_ref().and_then(|client| client.user_token_lifetime);
        let lifetime = u64::from(lifetime.unwrap_or(engine.settings().user_token_lifetime));
        Step::commit_in(
            state_epoch,
            changes,
            Refreshing {
                used_at,
                salt,
                user: Box::new((*user).clone()),
                session: session.clone(),
                scope,
                token_lifetime: lifetime.min(now.until(session.expires_at)),
                looking: self,
            },
        )
    }

    /// Writes down that `session` gets nothing, then answers `response`.
    fn record(&self, session: &Session, refusal: Refusal, response: Response) -> Step {
        record(Event { refusal: Some(refusal), ..self.event(Kind::RefreshRefused, session) }, response)
    }

    fn event(&self, kind: Kind, session: &Session) -> Event {
        Event {
            subject: Some(session.user_id.clone()),
            actor: session.actor_id().cloned(),
            client: Some(session.client_id.clone()),
            session: Some(session.id.clone()),
            ..self.ctx.event(kind)
        }
    }

    fn refused(&self, refusal: Refusal) -> Response {
        match self.ctx.manner {
            // The client has authenticated, and may have many people behind its one address whose sessions are over.
            Manner::OAuth => OAuthError::InvalidGrant.response().refused_to_client(refusal),
            Manner::Simple | Manner::Bearer => self.ctx.problem(Problem::RefreshRefused).refused(refusal),
        }
    }

    fn once_more(self) -> Step {
        if self.again {
            return Step::Reply(self.ctx.unavailable());
        }
        Self { again: true, ..self }.ask()
    }
}

impl Ending {
    pub(crate) fn settle(self, outcome: Outcome) -> Step {
        match outcome {
            // A conflict: somebody else has ended it.
            Outcome::Applied | Outcome::Conflict => Step::Reply(self.looking.refused(Refusal::RefreshReused)),
            Outcome::NotApplied | Outcome::Unknown => Step::Reply(self.looking.ctx.undone(outcome)),
        }
    }
}

impl Refreshing {
    pub(crate) fn settle(self, engine: &Engine, outcome: Outcome) -> Step {
        match outcome {
            Outcome::Applied => {
                Step::Reply(self.tokens(engine).unwrap_or_else(|| self.looking.ctx.internal()))
            }
            Outcome::Conflict => self.looking.once_more(),
            Outcome::NotApplied | Outcome::Unknown => Step::Reply(self.looking.ctx.undone(outcome)),
        }
    }

    /// The tokens, made here and nowhere earlier.
    fn tokens(&self, engine: &Engine) -> Option<Response> {
        let Looking { ctx, token, .. } = &self.looking;
        let refresh_token = FreshToken::successor(token, self.used_at, &self.salt).text;
        let person = PersonToken {
            issuer: &engine.settings().issuer,
            session: &self.session,
            scope: &self.scope,
            clocks: ctx.clocks(),
            lifetime: self.token_lifetime,
            token_id: ctx.inputs.seed.name(Label::TokenId, ""),
        };
        let access_token = engine.sign(self.session.purpose.token_type(), &person_claims(&person))?;
        let (access_token, refresh_token) = (access_token.expose(), refresh_token.expose());
        let response = if ctx.manner == Manner::OAuth {
            let body = AccessToken {
                access_token,
                expires_in: self.token_lifetime,
                token_type: "Bearer",
                scope: self.scope.as_str(),
                refresh_token: Some(refresh_token),
            };
            Response::json(200, &body)
        } else {
            let password = standing(&self.user, engine.settings().password_age, ctx.now());
            let (tokens, purpose) = ((access_token, self.token_lifetime), self.session.purpose);
            Response::json(
                200,
                &LoginResponse::new(tokens, Some(refresh_token), &self.user, password, purpose),
            )
        };
        Some(response.uncached())
    }
}
