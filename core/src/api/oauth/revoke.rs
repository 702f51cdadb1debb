//! `POST /oauth2/revoke`: a client gives a token up (RFC 7009). A refresh token takes its whole session along (§2.1); a
//! token that is unknown, over, or another client's is left alone, and answered alike.

use alloc::{vec, vec::Vec};

use serde::Serialize;

use crate::api::bearer::Holder;
use crate::api::context::Context;
use crate::api::oauth::introspect::Asked;
use crate::api::step::Step;
use crate::engine::Engine;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::records::id::ClientId;
use crate::store::audit::{Event, Kind};
use crate::store::change::{Change, Outcome};
use crate::store::query::{Found, Records, TokenRecords};

/// Waits for whatever the token names.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Looking {
    ctx: Context,
    asked: Asked,
}

/// Waits for the revocation to be durable.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Revoking {
    ctx: Context,
}

/// The body says nothing (RFC 7009 §2.2).
#[derive(Serialize)]
struct Nothing {}

fn revoked() -> Response {
    Response::json(200, &Nothing {}).uncached()
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
        let access = self.access(engine, &records, found.state_epoch, &caller);
        let changes = access.or_else(|| self.session(&records, found.state_epoch, &caller));
        match changes {
            Some(changes) => Step::commit(changes, Revoking { ctx: self.ctx }),
            None => Step::Reply(revoked()),
        }
    }

    fn access(
        &self,
        engine: &Engine,
        records: &TokenRecords,
        state_epoch: u64,
        caller: &ClientId,
    ) -> Option<Vec<Change>> {
        let token = self.asked.access.as_ref()?;
        let token = token.verify_to_end(engine, &records.bearer, state_epoch, self.ctx.now()).ok()?;
        let claims = token.claims();
        if claims.client_id != caller.as_str() {
            return None;
        }
        let about = Event { client: Some(caller.clone()), ..self.ctx.event(Kind::TokenRevoked) };
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

    fn session(&self, records: &TokenRecords, state_epoch: u64, caller: &ClientId) -> Option<Vec<Change>> {
        let family = records.family.as_ref().filter(|f| Some(f.refresh.digest) == self.asked.refresh)?;
        let session = &family.session;
        // What a client of the same name was given before is no concern of this one.
        let stands = session.clients().stand(family.client.as_ref(), family.issuer.as_ref()).is_ok();
        let over = session.ended_at.is_some() || session.state_epoch != state_epoch || !stands;
        if session.client_id != *caller || over {
            return None;
        }
        let event = Event {
            subject: Some(session.user_id.clone()),
            actor: session.actor_id().cloned(),
            client: Some(caller.clone()),
            session: Some(session.id.clone()),
            ..self.ctx.event(Kind::SessionEnded)
        };
        let end = Change::EndSession { id: session.id.clone(), at: self.ctx.now() };
        Some(vec![end, Change::Audit(event)])
    }
}

impl Revoking {
    pub(crate) fn settle(self, outcome: Outcome) -> Step {
        Step::Reply(match outcome {
            // A conflict: somebody else has ended the session.
            Outcome::Applied | Outcome::Conflict => revoked(),
            Outcome::NotApplied | Outcome::Unknown => self.ctx.undone(outcome),
        })
    }
}
