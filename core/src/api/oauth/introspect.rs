//! `POST /oauth2/introspect`: whether a token is good, and for what (RFC 7662). Any enabled client may ask of an access
//! token; of a refresh token, the client it was issued to alone.

use alloc::string::String;
use core::convert::Infallible;

use crate::api::bearer::Holder;
use crate::api::description::Description;
use crate::api::endpoint::{Basis, Call, Decided, Endpoint, ParsedRequest};
use crate::api::oauth::token_inquiry::{TokenInquiry, TokenInquiryForm};
use crate::api::reply::Reply;
use crate::api::shapes::Introspection;
use crate::http::response::Response;
use crate::jose::claims::Actor;
use crate::policy::refresh::{Granted, Presenter, Verdict, decide};
use crate::records::client_credentials::ClientClaim;
use crate::records::id::UserId;
use crate::store::query::{Query, Records, TokenRecords};

/// A token to be told about.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Introspect(TokenInquiry);

impl Endpoint for Introspect {
    const DESCRIPTION: Description = Description::new("Tells whether a token is good, and for what")
        .posts::<TokenInquiryForm<'_>>()
        .guesses()
        .answers::<Introspection<'_>>(200)
        .fails(&["invalid_request"]);

    fn parse(call: &Call<'_>) -> Result<Self, Reply> {
        TokenInquiry::parse(call).map(Self)
    }
}

impl ParsedRequest for Introspect {
    type Pending = Infallible;
    type Hash = Infallible;

    fn query(&self) -> Query {
        self.0.query()
    }

    fn client<'a>(&'a self, _: &Basis<'_>, records: &'a Records) -> Option<ClientClaim<'a>> {
        self.0.client(records)
    }

    fn decide(&self, basis: &Basis<'_>, records: Records) -> Decided {
        let (caller, records) = self.0.authenticate(basis, records)?;
        let answer = self.access(basis, &records);
        let answer = answer.or_else(|| self.refresh(basis, &records, Presenter::Client(&caller)));
        let answer = answer.unwrap_or_else(|| Response::json(200, &Introspection::default()));
        Ok(Reply::from(answer.uncached()).succeeded().into())
    }
}

impl Introspect {
    fn access(&self, basis: &Basis<'_>, records: &TokenRecords) -> Option<Response> {
        let token = self.0.access.as_ref()?.verify(basis, &records.bearer).ok()?;
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
        basis: &Basis<'_>,
        records: &TokenRecords,
        presenter: Presenter<'_>,
    ) -> Option<Response> {
        let family = records.family.as_ref().filter(|f| Some(f.refresh.digest) == self.0.refresh)?;
        let decided = decide(family, presenter, basis.settings(), basis.state_epoch, basis.now());
        let Verdict::Rotate(Granted { user, scope }) = decided else { return None };
        let (session, clocks) = (&family.session, basis.clocks());
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
                iss: Some(basis.settings().issuer.as_str()),
                sid: Some(session.id.as_str()),
                act: session.actor_id().map(UserId::as_str).map(|sub| Actor { sub }),
                ..Introspection::default()
            },
        ))
    }
}
