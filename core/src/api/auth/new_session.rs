//! The end of every sign-in: a session, its first refresh token, and the tokens that are made once both are durable.

use alloc::{boxed::Box, vec, vec::Vec};
use core::net::IpAddr;

use crate::api::auth::origin::Origin;
use crate::api::auth::sign_in::RiskNotice;
use crate::api::context::Context;
use crate::api::endpoint::Basis;
use crate::api::reply::Reply;
use crate::api::shapes::LoginResponse;
use crate::api::tokens::{PersonToken, person_token_lifetime};
use crate::crypto::algorithm::Algorithm;
use crate::crypto::seed::Label;
use crate::engine::Engine;
use crate::http::response::Response;
use crate::policy::administration::SESSION_LIFETIME;
use crate::policy::password::{Standing, standing};
use crate::records::challenge::SignIn;
use crate::records::client::Client;
use crate::records::delivery::{AnswerDelivery, OpenedSession};
use crate::records::id::SessionId;
use crate::records::scope::Scope;
use crate::records::session::{Purpose, RefreshToken, Session};
use crate::records::user::User;
use crate::store::change::Change;

/// A session about to be opened, or told of again.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct NewSession {
    user: Box<User>,
    session: Session,
    token_lifetime: u64,
    /// The algorithm that its client chooses.
    algorithm: Option<Algorithm>,
    password: Standing,
    /// The material of the first refresh token.
    origin: Origin,
    /// The address of the person.
    address: IpAddr,
    /// The risk of the sign-in, if the reply tells it.
    notice: Option<RiskNotice>,
}

impl NewSession {
    /// Prepares the session that `sign_in` becomes, good for `purpose`, and what opens it; 500 where no name could be made
    /// for it. Whoever is signed in for everything is remembered by where they were.
    pub(crate) fn prepare(
        basis: &Basis<'_>,
        sign_in: &SignIn,
        (user, actor): (&User, Option<&User>),
        client: Option<&Client>,
        purpose: Purpose,
        origin: Origin,
    ) -> Result<(Self, Vec<Change>), Reply> {
        let (ctx, now, settings) = (basis.ctx, basis.now(), basis.settings());
        let id = SessionId::parse(&ctx.inputs.name(Label::Session, "ses_")).map_err(|_| ctx.internal())?;
        let lifetime = settings.lifetime_of_session(purpose, sign_in.impersonation.is_some());
        let administers = purpose == Purpose::Anything && sign_in.scope.contains(Scope::ADMIN);
        let session = sign_in.session(
            id,
            (user, actor),
            purpose,
            if administers { lifetime.min(SESSION_LIFETIME) } else { lifetime },
            basis.state_epoch,
            ctx.clocks(),
        );
        let refresh = session.is_prolonged().then(|| RefreshToken {
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
        if purpose == Purpose::Anything {
            let user = sign_in.challenged().clone();
            changes.push(Change::RecordSignIn { user, place: sign_in.place, at: now });
        }
        Ok((Self::of(basis, session, (user, client), origin), changes))
    }

    /// Prepares tokens for `session`, which is there or is opened.
    pub(crate) fn of(
        basis: &Basis<'_>,
        session: Session,
        (user, client): (&User, Option<&Client>),
        origin: Origin,
    ) -> Self {
        Self {
            user: Box::new(user.clone()),
            token_lifetime: person_token_lifetime(basis, client, &session),
            algorithm: client.and_then(|client| client.signing_algorithm),
            session,
            password: standing(user, basis.settings().password_age, basis.now()),
            origin,
            address: basis.ctx.peer,
            notice: None,
        }
    }

    /// Returns the same, whose reply says how the sign-in was judged.
    pub(crate) fn with_notice(self, notice: RiskNotice) -> Self {
        Self { notice: Some(notice), ..self }
    }

    pub(crate) const fn id(&self) -> &SessionId {
        &self.session.id
    }

    /// Returns how the credential was used, where its answer can be given again.
    pub(crate) fn delivery(&self, ctx: &Context) -> Option<AnswerDelivery> {
        self.origin.delivery(|origin| OpenedSession {
            id: self.session.id.clone(),
            refresh: self.session.is_prolonged().then(|| origin.refresh_token(ctx).digest),
        })
    }

    /// Makes the tokens, here and nowhere earlier; 500 where the key fails.
    pub(crate) fn reply(&self, ctx: &Context, engine: &Engine) -> Reply {
        self.tokens(ctx, engine)
            .map_or_else(|| ctx.internal(), |tokens| Reply::from(tokens).succeeded_at(self.address))
    }

    fn tokens(&self, ctx: &Context, engine: &Engine) -> Option<Response> {
        let purpose = self.session.purpose;
        let refresh_token = self.session.is_prolonged().then(|| self.origin.refresh_token(ctx).text);
        let token = PersonToken {
            session: &self.session,
            scope: &self.session.scope,
            lifetime: self.token_lifetime,
            algorithm: self.algorithm,
            for_client: true,
        };
        let access_token = token.sign(ctx, engine)?;
        let mut body = LoginResponse::new(
            (access_token.expose(), self.token_lifetime),
            refresh_token.as_ref().map(|token| token.expose()),
            &self.user,
            self.password,
            purpose,
        );
        if let Some(notice) = &self.notice {
            body = body.judged(notice.risk());
            // Who is to enrol is told why, and what.
            if purpose == Purpose::Enrol {
                body.mfa_check_reason = notice.reason;
                body.required_mfa_methods = Some(&notice.methods);
            }
        }
        Some(Response::json(200, &body).uncached())
    }
}
