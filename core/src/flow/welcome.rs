//! The end of every sign-in: a session, its first refresh token, and the tokens that are made once both are durable.

use alloc::boxed::Box;

use super::context::Context;
use super::tokens::{PersonToken, person_claims};
use crate::gatepass::Gatepass;
use crate::model::challenge::SignIn;
use crate::model::change::Change;
use crate::model::client::Client;
use crate::model::id::SessionId;
use crate::model::session::{RefreshDigest, RefreshToken, Session, refresh_text};
use crate::model::user::User;
use crate::moment::Label;
use crate::wire::response::Response;
use crate::wire::shapes::{Account, LoginResponse};

/// Somebody about to be let in.
#[derive(Debug)]
#[cfg_attr(feature = "checker", derive(Clone, PartialEq))]
pub(crate) struct Welcome {
    user: Box<User>,
    session: Session,
    token_lifetime: u64,
}

impl Welcome {
    /// The session that `sign_in` becomes, and the change that opens it; none where no name could be made for it.
    pub(crate) fn prepare(
        ctx: &Context,
        gatepass: &Gatepass,
        sign_in: &SignIn,
        user: &User,
        client: Option<&Client>,
    ) -> Option<(Self, Change)> {
        let (now, settings) = (ctx.now(), gatepass.settings());
        let id = SessionId::parse(&ctx.moment.seed.name(Label::Session, "ses_")).ok()?;
        let session = sign_in.session(id, user.epoch, settings, now);
        let refresh = RefreshToken {
            digest: RefreshDigest::of(&refresh_text(&ctx.moment.seed.draw(Label::RefreshToken))),
            session_id: session.id.clone(),
            issued_at: now,
            expires_at: session.expires_at.min(now.plus(settings.refresh_lifetime.into())),
            rotation: None,
        };
        let lifetime = client.and_then(|client| client.user_token_lifetime);
        let lifetime = u64::from(lifetime.unwrap_or(settings.user_token_lifetime));
        let welcome = Self {
            user: Box::new(user.clone()),
            token_lifetime: lifetime.min(now.until(session.expires_at)),
            session: session.clone(),
        };
        Some((welcome, Change::InsertSession { session, refresh }))
    }

    pub(crate) const fn session(&self) -> &Session {
        &self.session
    }

    /// The tokens, made here and nowhere earlier; 500 where the key fails.
    pub(crate) fn response(&self, ctx: &Context, gatepass: &Gatepass) -> Response {
        self.tokens(ctx, gatepass).unwrap_or_else(|| ctx.internal())
    }

    fn tokens(&self, ctx: &Context, gatepass: &Gatepass) -> Option<Response> {
        let seed = &ctx.moment.seed;
        let refresh_token = refresh_text(&seed.draw(Label::RefreshToken));
        let claims = person_claims(&PersonToken {
            issuer: &gatepass.settings().issuer,
            session: &self.session,
            scope: &self.session.scope,
            now: ctx.now(),
            lifetime: self.token_lifetime,
            token_id: seed.name(Label::TokenId, ""),
        });
        let access_token = gatepass.sign(&claims)?;
        let body = LoginResponse {
            access_token: access_token.expose(),
            refresh_token: refresh_token.expose(),
            token_type: "Bearer",
            expires_in: self.token_lifetime,
            user: Account::from(&*self.user),
            user_id: self.user.id.as_str(),
            must_change_password: self.user.must_change_password,
            requires_mfa: false,
        };
        Some(Response::json(200, &body).uncached())
    }
}
