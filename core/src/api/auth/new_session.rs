//! The end of every sign-in: a session, its first refresh token, and the tokens that are made once both are durable.

use alloc::{boxed::Box, vec, vec::Vec};

use crate::api::auth::origin::Origin;
use crate::api::auth::sign_in::Told;
use crate::api::context::Context;
use crate::api::shapes::LoginResponse;
use crate::api::tokens::{PersonToken, person_claims};
use crate::crypto::seed::Label;
use crate::engine::Engine;
use crate::http::response::Response;
use crate::policy::password::{Standing, standing};
use crate::records::challenge::SignIn;
use crate::records::client::Client;
use crate::records::delivery::{AnswerDelivery, OpenedSession};
use crate::records::id::SessionId;
use crate::records::session::{Purpose, RefreshToken, Session};
use crate::records::user::User;
use crate::store::change::Change;

/// Somebody about to be let in.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct NewSession {
    user: Box<User>,
    session: Session,
    token_lifetime: u64,
    password: Standing,
    /// What the first refresh token is made of.
    origin: Origin,
    /// How the sign-in was judged, where it was just now.
    told: Option<Told>,
}

impl NewSession {
    /// The session that `sign_in` becomes, good for `purpose`, and what opens it; none where no name could be made for it.
    /// Whoever is signed in for everything is remembered by where they were; a session for one thing is not prolonged.
    pub(crate) fn prepare(
        ctx: &Context,
        engine: &Engine,
        sign_in: &SignIn,
        (user, actor): (&User, Option<&User>),
        client: Option<&Client>,
        purpose: Purpose,
        (state_epoch, origin): (u64, Origin),
    ) -> Option<(Self, Vec<Change>)> {
        let (now, settings) = (ctx.now(), engine.settings());
        let id = SessionId::parse(&ctx.inputs.name(Label::Session, "ses_")).ok()?;
        let session = sign_in.session(
            id,
            (user, actor),
            purpose,
            settings.lifetime_of_session(purpose, sign_in.impersonation.is_some()),
            state_epoch,
            ctx.clocks(),
        );
        let whole = purpose == Purpose::Anything;
        let refresh = whole.then(|| RefreshToken {
            digest: origin.refresh_token(ctx).digest,
            session_id: session.id.clone(),
            issued_at: now,
            expires_at: session.expires_at.min(now.plus(settings.refresh_lifetime.into())),
            rotation: None,
            number: 0,
            refreshes: 0,
            recorded_at: None,
        });
        let mut changes = vec![Change::InsertSession { session: session.clone(), refresh }];
        if whole {
            let user = sign_in.challenged().clone();
            changes.push(Change::RecordSignIn { user, place: sign_in.place, at: now });
        }
        Some((Self::of(ctx, engine, session, (user, client), origin), changes))
    }

    /// Tokens for `session`, which is there or is opened.
    pub(crate) fn of(
        ctx: &Context,
        engine: &Engine,
        session: Session,
        (user, client): (&User, Option<&Client>),
        origin: Origin,
    ) -> Self {
        let (now, settings) = (ctx.now(), engine.settings());
        let lifetime = client.and_then(|client| client.user_token_lifetime);
        let lifetime = u64::from(lifetime.unwrap_or(settings.user_token_lifetime));
        Self {
            user: Box::new(user.clone()),
            token_lifetime: lifetime.min(now.until(session.expires_at)),
            session,
            password: standing(user, settings.password_age, now),
            origin,
            told: None,
        }
    }

    /// The same, telling how the sign-in was judged.
    pub(crate) fn telling(self, told: Told) -> Self {
        Self { told: Some(told), ..self }
    }

    pub(crate) const fn session(&self) -> &Session {
        &self.session
    }

    /// How the credential was used, where its answer can be given again.
    pub(crate) fn delivery(&self, ctx: &Context) -> Option<AnswerDelivery> {
        self.origin.delivery(|origin| OpenedSession {
            id: self.session.id.clone(),
            refresh: (self.session.purpose == Purpose::Anything).then(|| origin.refresh_token(ctx).digest),
        })
    }

    /// The tokens, made here and nowhere earlier; 500 where the key fails.
    pub(crate) fn response(&self, ctx: &Context, engine: &Engine) -> Response {
        self.tokens(ctx, engine).unwrap_or_else(|| ctx.internal())
    }

    fn tokens(&self, ctx: &Context, engine: &Engine) -> Option<Response> {
        let seed = &ctx.inputs.seed;
        let purpose = self.session.purpose;
        let refresh_token = (purpose == Purpose::Anything).then(|| self.origin.refresh_token(ctx).text);
        let person = PersonToken {
            issuer: &engine.settings().issuer,
            session: &self.session,
            scope: &self.session.scope,
            clocks: ctx.clocks(),
            lifetime: self.token_lifetime,
            token_id: seed.name(Label::TokenId, ""),
        };
        let access_token = engine.sign(purpose.token_type(), &person_claims(&person))?;
        let mut body = LoginResponse::new(
            (access_token.expose(), self.token_lifetime),
            refresh_token.as_ref().map(|token| token.expose()),
            &self.user,
            self.password,
            purpose,
        );
        if let Some(told) = &self.told {
            body = body.judged(told.risk());
            // Who is to enrol is told why, and what.
            if purpose == Purpose::Enrol {
                body.mfa_check_reason = told.reason;
                body.required_mfa_methods = Some(&told.methods);
            }
        }
        Some(Response::json(200, &body).uncached())
    }
}
