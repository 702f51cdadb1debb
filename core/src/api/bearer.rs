//! Bearer tokens at our own endpoints (RFC 6750): presented, looked up, and only then believed.

use alloc::boxed::Box;

use crate::api::context::Context;
use crate::api::endpoint::Basis;
use crate::api::person::Person;
use crate::api::reply::Reply;
use crate::base::time::Time;
use crate::http::authorization::Authorization;
use crate::http::problem::Problem;
use crate::http::request::{HeaderError, Request};
use crate::jose::claims::{AccessClaims, ClaimError, TokenError, TokenType, UnverifiedToken};
use crate::policy::administration::{scope_of_client, scope_of_person};
use crate::policy::issuing::Issuing;
use crate::records::client::Client;
use crate::records::id::{ClientId, SessionId, UserId};
use crate::records::scope::Scope;
use crate::records::session::{Purpose, Session};
use crate::records::user::User;
use crate::store::audit::Refusal;
use crate::store::query::{BearerQuery, BearerRecords, PersonQuery};

/// A token somebody presented. What it says of itself is good for looking up, and for nothing else.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Presented {
    token: Box<UnverifiedToken>,
    query: BearerQuery,
}

/// Returns 401 of the paths below `/auth` and `/mfa`.
pub(crate) fn unauthorized(ctx: &Context, refusal: Refusal) -> Reply {
    let response = ctx.problem(Problem::TokenRequired).into_response();
    Reply::from(response.with("www-authenticate", "Bearer realm=\"gatepass\"")).refused(refusal)
}

impl Presented {
    /// Returns the token in the `Authorization` header; none where there is none that could be one of ours.
    fn by_header(request: &Request) -> Result<Option<Self>, HeaderError> {
        Ok(match Authorization::of(request)? {
            Authorization::Bearer(token) => Self::read(token.expose()),
            Authorization::Absent
            | Authorization::Basic(_)
            | Authorization::BadBasic
            | Authorization::BadBearer
            | Authorization::Other => None,
        })
    }

    /// Returns the same.
    ///
    /// # Errors
    /// The reply at the paths below `/auth` and `/mfa` where there is none.
    pub(crate) fn demanded(ctx: &Context, request: &Request) -> Result<Self, Reply> {
        let presented = Self::by_header(request).map_err(|error| ctx.malformed(error))?;
        presented.ok_or_else(|| unauthorized(ctx, Refusal::TokenInvalid))
    }

    /// Reads `token` as far as its claims can be looked up; none where it cannot be one of ours.
    pub(crate) fn read(token: &str) -> Option<Self> {
        let token = Box::new(UnverifiedToken::parse(token).ok()?);
        let names = token.names().ok()?;
        let person = match names.sid {
            None => None,
            Some(sid) => Some(PersonQuery {
                user: UserId::parse(names.sub).ok()?,
                session: SessionId::parse(sid).ok()?,
                actor: names.act.map(UserId::parse).transpose().ok()?,
            }),
        };
        let client = ClientId::parse(names.client_id).ok()?;
        let query = BearerQuery { client, token_id: names.jti.into(), person };
        Some(Self { token, query })
    }

    /// Returns the query for those whom it names.
    pub(crate) const fn query(&self) -> &BearerQuery {
        &self.query
    }

    /// Believes the token, if it is ours, in time, of this state epoch, and neither it nor anyone it speaks for or rests on has been
    /// ended. Its scope is what whoever granted it may grant now.
    pub(crate) fn verify<'a>(
        &self,
        basis: &Basis<'_>,
        records: &'a BearerRecords,
    ) -> Result<VerifiedToken<'a>, Refusal> {
        self.verify_at(basis, records, basis.now())
    }

    fn verify_at<'a>(
        &self,
        basis: &Basis<'_>,
        records: &'a BearerRecords,
        now: Time,
    ) -> Result<VerifiedToken<'a>, Refusal> {
        let (engine, state_epoch) = (basis.engine, basis.state_epoch);
        let (token_type, claims) = engine.believe(&self.token, now).map_err(|_| Refusal::TokenInvalid)?;
        if records.revoked {
            return Err(Refusal::TokenRevoked);
        }
        let scope =
            Scope::parse(claims.scope.as_deref().unwrap_or_default()).map_err(|_| Refusal::TokenInvalid)?;
        let (holder, scope) = match &claims.sid {
            None if token_type == TokenType::Access => {
                let client = service(&claims, records, state_epoch)?;
                (Holder::Client(client), scope_of_client(&scope, client, engine.settings()))
            }
            None => return Err(Refusal::TokenInvalid),
            Some(sid) => {
                let (holder, issuing) = person((token_type, &claims), sid, records, state_epoch, now)?;
                let scope = issuing.grantable(&scope, engine.settings());
                let scope = match holder {
                    Holder::Person { user, session } | Holder::Restricted { user, session, .. } => {
                        scope_of_person(scope, user, session, engine.settings())
                    }
                    Holder::Client(_) => scope,
                };
                (holder, scope)
            }
        };
        Ok(VerifiedToken { claims, scope, holder })
    }

    /// Believes a token that is to be ended: it may be dated ahead, and is not to come alive when that date comes.
    pub(crate) fn verify_to_end<'a>(
        &self,
        basis: &Basis<'_>,
        records: &'a BearerRecords,
    ) -> Result<VerifiedToken<'a>, Refusal> {
        let verified = self.verify(basis, records);
        if verified.is_ok() {
            return verified;
        }
        match basis.engine.believe(&self.token, basis.now()) {
            Err(TokenError::Claims(ClaimError::NotYet { from, .. })) => self.verify_at(basis, records, from),
            Ok(_) | Err(_) => verified,
        }
    }
}

/// A service's token: its client is enabled, no namesake, and was not disabled since.
fn service<'a>(
    claims: &AccessClaims,
    records: &'a BearerRecords,
    state_epoch: u64,
) -> Result<&'a Client, Refusal> {
    let client = records.client.as_ref().filter(|c| c.id.as_str() == claims.client_id);
    let client = client.ok_or(Refusal::ClientUnknown)?;
    if claims.sub != claims.client_id || claims.act.is_some() {
        return Err(Refusal::TokenInvalid);
    }
    if claims.state_epoch != state_epoch {
        return Err(Refusal::StateSuperseded);
    }
    if client.enabled && client.epoch == claims.client_epoch {
        Ok(client)
    } else {
        Err(Refusal::ClientInactive)
    }
}

/// A person's token: the session lives, is what the token's type says, and everyone it rests on stands.
fn person<'a>(
    (token_type, claims): (TokenType, &AccessClaims),
    sid: &str,
    records: &'a BearerRecords,
    state_epoch: u64,
    now: Time,
) -> Result<(Holder<'a>, Issuing<'a>), Refusal> {
    let user = records.user.as_ref().filter(|u| u.id.as_str() == claims.sub).ok_or(Refusal::UserInactive)?;
    let session = records.session.as_ref().filter(|s| s.id.as_str() == sid).ok_or(Refusal::SessionOver)?;
    if session.user_id != user.id
        || session.client_id.as_str() != claims.client_id
        || session.actor_id().map(UserId::as_str) != claims.act.as_deref()
        || session.purpose.token_type() != token_type
    {
        return Err(Refusal::TokenInvalid);
    }
    if !user.is_active() {
        return Err(Refusal::UserInactive);
    }
    if session.state_epoch != state_epoch {
        return Err(Refusal::StateSuperseded);
    }
    if session.signed_in_at.is_ahead_of(now) {
        return Err(Refusal::DatedAhead);
    }
    if session.is_over(user.epoch, now) {
        return Err(Refusal::SessionOver);
    }
    if let Some(actor) = &session.actor {
        let acting = records.actor.as_ref().filter(|a| a.id == actor.id && a.is_active());
        if acting.ok_or(Refusal::ActorInactive)?.epoch != actor.epoch {
            return Err(Refusal::SessionOver);
        }
    }
    let issuing = session.clients().stand(records.client.as_ref(), records.issuer.as_ref())?;
    let holder = match session.purpose {
        Purpose::Anything => Holder::Person { user, session },
        purpose @ (Purpose::Enrol | Purpose::ChangePassword) => Holder::Restricted { user, session, purpose },
    };
    Ok((holder, issuing))
}

/// Proof that a token was presented, verified, and not revoked as of one snapshot. Only [`Presented::verify`] makes one.
#[derive(Debug)]
pub(crate) struct VerifiedToken<'a> {
    claims: AccessClaims,
    scope: Scope,
    holder: Holder<'a>,
}

/// The client or the user that a verified token speaks for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Holder<'a> {
    /// A service, for itself.
    Client(&'a Client),
    /// A person, or somebody acting as that person.
    Person { user: &'a User, session: &'a Session },
    /// A person whose session is good for one thing only.
    Restricted { user: &'a User, session: &'a Session, purpose: Purpose },
}

impl<'a> VerifiedToken<'a> {
    pub(crate) const fn claims(&self) -> &AccessClaims {
        &self.claims
    }

    /// Returns the scope that it allows now: the claim's, as far as it may still be granted.
    pub(crate) const fn scope(&self) -> &Scope {
        &self.scope
    }

    pub(crate) const fn holder(&self) -> Holder<'a> {
        self.holder
    }

    /// Returns the person that it speaks for, where their session is good for everything, or for `this` alone.
    pub(crate) fn person(&self, this: Option<Purpose>) -> Result<Person<'a>, (Problem, Refusal)> {
        match self.holder {
            Holder::Person { user, session } => Ok(Person { user, session }),
            Holder::Restricted { user, session, purpose } if Some(purpose) == this => {
                Ok(Person { user, session })
            }
            Holder::Restricted { .. } => Err((Problem::SessionRestricted, Refusal::SessionRestricted)),
            Holder::Client(_) => Err((Problem::ScopeMissing, Refusal::ScopeMissing)),
        }
    }
}
