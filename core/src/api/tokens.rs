//! The two kinds of access token (RFC 9068 §2.2): a person's, and a client's own.

use alloc::string::String;
use core::iter::once;
use core::num::NonZero;

use crate::api::context::Context;
use crate::api::endpoint::Basis;
use crate::base::secret::SecretText;
use crate::base::time::Clocks;
use crate::crypto::algorithm::Algorithm;
use crate::crypto::seed::Label;
use crate::engine::Engine;
use crate::jose::claims::{Actor, TokenType, WireClaims};
use crate::policy::resources::Resources;
use crate::records::client::Client;
use crate::records::scope::Scope;
use crate::records::session::Session;

/// A person's token.
pub(crate) struct PersonToken<'a> {
    pub(crate) session: &'a Session,
    /// The session's, or less.
    pub(crate) scope: &'a Scope,
    /// Seconds.
    pub(crate) lifetime: u64,
    /// The algorithm that its client chooses.
    pub(crate) algorithm: Option<Algorithm>,
    /// True if the token is good for the client that the session is for, where it is for one as an audience.
    pub(crate) for_client: bool,
}

/// Returns how long a token for `session` lives, in seconds: as its client says, and no longer than the session. One that administers
/// lives as long as its session, which has no refresh token.
pub(crate) fn person_token_lifetime(basis: &Basis<'_>, client: Option<&Client>, session: &Session) -> u64 {
    let left = basis.now().until(session.expires_at);
    if session.scope.contains(Scope::ADMIN) {
        return left;
    }
    let lifetime = client.and_then(|client| client.user_token_lifetime);
    let lifetime = u64::from(lifetime.unwrap_or(basis.settings().user_token_lifetime));
    lifetime.min(left)
}

impl PersonToken<'_> {
    /// Makes the token; none where the key fails.
    pub(crate) fn sign(&self, ctx: &Context, engine: &Engine) -> Option<SecretText> {
        let token_id = ctx.inputs.seed.name(Label::TokenId, "");
        let claims = person_claims(self, engine.settings().issuer.as_str(), ctx.clocks(), &token_id);
        engine.sign(self.algorithm, self.session.purpose.token_type(), &claims)
    }
}

fn person_claims<'a>(
    token: &'a PersonToken<'_>,
    issuer: &'a str,
    clocks: Clocks,
    token_id: &'a str,
) -> WireClaims<'a> {
    let (session, issued) = (token.session, Issued::of(clocks, token.lifetime));
    let for_client = session.for_audience && token.for_client;
    WireClaims {
        iss: issuer,
        sub: session.user_id.as_str(),
        aud: once(issuer).chain(for_client.then(|| session.client_id.as_str())).collect(),
        exp: issued.exp,
        iat: issued.iat,
        nbf: Some(issued.iat),
        jti: token_id,
        client_id: session.client_id.as_str(),
        scope: Some(token.scope.as_str()),
        auth_time: Some(session.auth_time.unix()),
        amr: Some(&session.methods),
        sid: Some(session.id.as_str()),
        act: session.actor_id().map(|actor| Actor { sub: actor.as_str() }),
        // The store knows both of the session.
        state_epoch: None,
        client_epoch: None,
        own_iat: issued.own_iat,
    }
}

/// The times of a token that is issued now.
struct Issued {
    /// By the wall clock.
    iat: u64,
    /// By the wall clock.
    exp: u64,
    /// By our own time, where the two differ: then the token is judged here by that.
    own_iat: Option<u64>,
}

impl Issued {
    fn of(clocks: Clocks, lifetime: u64) -> Self {
        Self {
            iat: clocks.wall.unix(),
            exp: clocks.wall.plus(lifetime).unix(),
            own_iat: clocks.differ().then(|| clocks.now.unix()),
        }
    }
}

/// A client's own token.
pub(crate) struct ClientToken<'a> {
    pub(crate) client: &'a Client,
    /// The client's, or less.
    pub(crate) scope: &'a Scope,
    /// Those of the client's audiences that the token is good for.
    pub(crate) resources: &'a Resources,
    pub(crate) state_epoch: u64,
    /// Seconds.
    pub(crate) lifetime: u64,
}

impl ClientToken<'_> {
    /// Makes the token; none where the key fails.
    pub(crate) fn sign(&self, ctx: &Context, engine: &Engine) -> Option<SecretText> {
        let token_id = ctx.inputs.seed.name(Label::TokenId, "");
        let claims = client_claims(self, engine.settings().issuer.as_str(), ctx.clocks(), &token_id);
        engine.sign(self.client.signing_algorithm, TokenType::Access, &claims)
    }
}

fn client_claims<'a>(
    token: &'a ClientToken<'_>,
    issuer: &'a str,
    clocks: Clocks,
    token_id: &'a str,
) -> WireClaims<'a> {
    let (client, issued) = (token.client, Issued::of(clocks, token.lifetime));
    let others = client.audiences.iter().map(String::as_str);
    let others = others.filter(|audience| *audience != issuer && token.resources.include(audience));
    WireClaims {
        iss: issuer,
        sub: client.id.as_str(),
        aud: once(issuer).chain(others).collect(),
        exp: issued.exp,
        iat: issued.iat,
        nbf: Some(issued.iat),
        jti: token_id,
        client_id: client.id.as_str(),
        scope: Some(token.scope.as_str()),
        auth_time: None,
        amr: None,
        sid: None,
        act: None,
        state_epoch: NonZero::new(token.state_epoch),
        client_epoch: NonZero::new(client.epoch),
        own_iat: issued.own_iat,
    }
}
