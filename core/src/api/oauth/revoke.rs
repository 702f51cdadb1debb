//! `POST /oauth2/revoke`: a client gives a token up (RFC 7009). A refresh token takes its whole session along (§2.1); a
//! token that is unknown, over, or another client's is left alone, and answered alike.

use alloc::{vec, vec::Vec};
use core::convert::Infallible;

use crate::api::bearer::Holder;
use crate::api::context::Context;
use crate::api::description::Description;
use crate::api::endpoint::{Basis, Call, Decided, Endpoint, Next, ParsedRequest, Pending};
use crate::api::oauth::token_inquiry::{TokenInquiry, TokenInquiryForm};
use crate::api::reply::Reply;
use crate::engine::Engine;
use crate::http::response::Response;
use crate::http::shape::answer;
use crate::records::client_credentials::ClientClaim;
use crate::records::id::ClientId;
use crate::store::audit::{Event, Kind};
use crate::store::change::{Change, Outcome};
use crate::store::query::{Query, Records, TokenRecords};

/// A token to be revoked.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Revoke(TokenInquiry);

/// A revocation that is about to be durable.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct PendingRevocation;

answer! {
    /// The body says nothing (RFC 7009 §2.2).
    struct Nothing {}
}

fn revoked() -> Reply {
    Reply::from(Response::json(200, &Nothing {}).uncached()).succeeded()
}

impl Endpoint for Revoke {
    const DESCRIPTION: Description = Description::new("Gives a token up")
        .posts::<TokenInquiryForm<'_>>()
        .guesses()
        .answers::<Nothing>(200)
        .fails(&["invalid_request"]);

    fn parse(call: &Call<'_>) -> Result<Self, Reply> {
        TokenInquiry::parse(call).map(Self)
    }
}

impl ParsedRequest for Revoke {
    type Pending = PendingRevocation;
    type Hash = Infallible;

    fn query(&self) -> Query {
        self.0.query()
    }

    fn client<'a>(&'a self, _: &Basis<'_>, records: &'a Records) -> Option<ClientClaim<'a>> {
        self.0.client(records)
    }

    fn decide(&self, basis: &Basis<'_>, records: Records) -> Decided<PendingRevocation> {
        let (caller, records) = self.0.authenticate(basis, records)?;
        let changes = self.access(basis, &records, &caller);
        let changes = changes.or_else(|| self.session(basis, &records, &caller));
        Ok(changes.map_or_else(|| revoked().into(), |changes| Next::commit(changes, PendingRevocation)))
    }
}

impl Revoke {
    fn access(&self, basis: &Basis<'_>, records: &TokenRecords, caller: &ClientId) -> Option<Vec<Change>> {
        let token = self.0.access.as_ref()?.verify_to_end(basis, &records.bearer).ok()?;
        let claims = token.claims();
        if claims.client_id != caller.as_str() {
            return None;
        }
        let about = Event { client: Some(caller.clone()), ..basis.ctx.event(Kind::TokenRevoked) };
        let event = match token.holder() {
            Holder::Client(_) => about,
            Holder::Person { user, session } | Holder::Restricted { user, session, .. } => Event {
                subject: Some(user.id.clone()),
                actor: session.actor_id().cloned(),
                session: Some(session.id.clone()),
                ..about
            },
        };
        let revoke = Change::RevokeToken { token_id: claims.jti.clone(), expires_at: claims.expires_at() };
        Some(vec![revoke, Change::Audit(event)])
    }

    fn session(&self, basis: &Basis<'_>, records: &TokenRecords, caller: &ClientId) -> Option<Vec<Change>> {
        let family = records.family.as_ref().filter(|f| Some(f.refresh.digest) == self.0.refresh)?;
        let session = &family.session;
        // What a client of the same name was given before is no concern of this one.
        let stands = session.clients().stand(family.client.as_ref(), family.issuer.as_ref()).is_ok();
        let over = session.ended_at.is_some() || session.state_epoch != basis.state_epoch || !stands;
        if session.client_id != *caller || over {
            return None;
        }
        let event = Event {
            subject: Some(session.user_id.clone()),
            actor: session.actor_id().cloned(),
            client: Some(caller.clone()),
            session: Some(session.id.clone()),
            ..basis.ctx.event(Kind::SessionEnded)
        };
        let end = Change::EndSession { id: session.id.clone(), at: basis.now() };
        Some(vec![end, Change::Audit(event)])
    }
}

impl Pending for PendingRevocation {
    fn applied(self, _ctx: &Context, _engine: &Engine) -> Reply {
        revoked()
    }

    fn retries(&self) -> u8 {
        0
    }

    fn failed(self, ctx: &Context, outcome: Outcome) -> Reply {
        match outcome {
            // Another request has ended the session.
            Outcome::Conflict => revoked(),
            Outcome::Applied | Outcome::NotApplied | Outcome::Unknown => ctx.undone(outcome),
        }
    }
}
