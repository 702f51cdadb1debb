//! `POST /oauth2/introspect`: whether a token is good, and for what (RFC 7662). Any enabled client may ask of an access
//! token; of a refresh token, the client it was issued to alone.

use alloc::string::String;

use crate::api::bearer::{Holder, Presented};
use crate::api::context::Context;
use crate::api::oauth::client_auth::{credentials, posted_form};
use crate::api::shapes::Introspection;
use crate::api::step::Step;
use crate::base::time::Time;
use crate::engine::Engine;
use crate::http::oauth_error::OAuthError;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::jose::claims::Actor;
use crate::policy::refresh::{Granted, Presenter, Verdict, decide};
use crate::records::client_credentials::ClientCredentials;
use crate::records::id::{ClientId, UserId};
use crate::records::session::RefreshDigest;
use crate::store::query::{Found, Query, Records, TokenQuery, TokenRecords};

/// A token of either kind, presented by a client that says who it is.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Asked {
    pub(super) credentials: ClientCredentials,
    pub(super) access: Option<Presented>,
    pub(super) refresh: Option<RefreshDigest>,
}

impl Asked {
    /// Reads the form of RFC 7662 §2.1 and RFC 7009 §2.1, which are one. `token_type_hint` may be wrong and is not needed.
    pub(super) fn of(ctx: &Context, request: &Request) -> Result<Self, Response> {
        let form = posted_form(ctx, request)?;
        let credentials = credentials(request, &form)?;
        let token =
            form.get("token").ok_or_else(|| OAuthError::InvalidRequest("token is required").response())?;
        Ok(Self { credentials, refresh: RefreshDigest::read(token), access: Presented::read(token) })
    }

    /// The client that asks, which has to prove it.
    pub(super) fn caller(&self, records: &TokenRecords, now: Time) -> Result<ClientId, Response> {
        match self.credentials.authenticate(records.caller.as_ref(), now) {
            Ok(caller) => Ok(caller.client().id.clone()),
            Err(refusal) => Err(OAuthError::InvalidClient.response().refused(refusal.into())),
        }
    }

    pub(super) fn query(&self) -> Query {
        Query::Token(TokenQuery {
            caller: Some(self.credentials.id.clone()),
            access: self.access.as_ref().map(|access| access.query().clone()),
            refresh: self.refresh,
        })
    }
}

/// Waits for whatever the token names.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Looking {
    ctx: Context,
    asked: Asked,
}

pub(crate) fn begin(ctx: Context, request: &Request) -> Step {
    match Asked::of(&ctx, request) {
        Ok(asked) => Step::read(asked.query(), Looking { ctx, asked }),
        Err(response) => Step::Reply(response),
    }
}

impl Looking {
    pub(crate) const fn context(&self) -> &Context {
        &self.ctx
    }

    pub(crate) fn resume(self, engine: &Engine, found: Found) -> Step {
        let Records::Token(records) = found.records else { return Step::Reply(self.ctx.internal()) };
        let caller = match self.asked.caller(&records, self.ctx.now()) {
            Ok(caller) => caller,
            Err(response) => return Step::Reply(response),
        };
        let (state_epoch, presenter) = (found.state_epoch, Presenter::Client(&caller));
        let answer = self.access(engine, &records, state_epoch);
        let answer = answer.or_else(|| self.refresh(engine, &records, state_epoch, presenter));
        Step::Reply(answer.unwrap_or_else(|| Response::json(200, &Introspection::default())).uncached())
    }

    fn access(&self, engine: &Engine, records: &TokenRecords, state_epoch: u64) -> Option<Response> {
        let token = self.asked.access.as_ref()?;
        let token = token.verify(engine, &records.bearer, state_epoch, self.ctx.now()).ok()?;
        let claims = token.claims();
        let username = match token.holder() {
            Holder::Client(_) => None,
            Holder::Person { user, .. } => Some(user.username.as_str()),
            // Good here for one thing, and nowhere else for anything.
            Holder::Restricted { .. } => return None,
        };
        Some(Response::json(
            200,
            &Introspection {
                active: true,
                scope: claims.scope.as_ref().map(|_| token.scope().as_str()),
                client_id: Some(&claims.client_id),
                username,
                token_type: Some("Bearer"),
                exp: Some(claims.exp.unix()),
                iat: Some(claims.iat.unix()),
                sub: Some(&claims.sub),
                aud: Some(claims.aud.iter().map(String::as_str).collect()),
                iss: Some(&claims.iss),
                jti: Some(&claims.jti),
                sid: claims.sid.as_deref(),
                act: claims.act.as_deref().map(|sub| Actor { sub }),
            },
        ))
    }

    fn refresh(
        &self,
        engine: &Engine,
        records: &TokenRecords,
        state_epoch: u64,
        presenter: Presenter<'_>,
    ) -> Option<Response> {
        let family = records.family.as_ref().filter(|f| Some(f.refresh.digest) == self.asked.refresh)?;
        let decided = decide(family, presenter, engine.settings(), state_epoch, self.ctx.now());
        let Verdict::Rotate(Granted { user, scope }) = decided else { return None };
        let (session, clocks) = (&family.session, self.ctx.clocks());
        Some(Response::json(
            200,
            &Introspection {
                active: true,
                scope: Some(scope.as_str()),
                client_id: Some(session.client_id.as_str()),
                username: Some(user.username.as_str()),
                exp: Some(clocks.on_the_wall(family.refresh.expires_at).unix()),
                iat: Some(clocks.on_the_wall(family.refresh.issued_at).unix()),
                sub: Some(user.id.as_str()),
                iss: Some(engine.settings().issuer.as_str()),
                sid: Some(session.id.as_str()),
                act: session.actor_id().map(UserId::as_str).map(|sub| Actor { sub }),
                ..Introspection::default()
            },
        ))
    }
}
