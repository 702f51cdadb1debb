//! The claims of the two kinds of access token (RFC 9068 §2.2).

use alloc::string::String;
use core::iter::once;
use core::num::NonZero;

use crate::base::time::Clocks;
use crate::jose::claims::{Actor, WireClaims};
use crate::records::client::Client;
use crate::records::scope::Scope;
use crate::records::session::Session;
use crate::settings::Issuer;

/// What a person's token is made of.
pub(crate) struct PersonToken<'a> {
    pub(crate) issuer: &'a Issuer,
    pub(crate) session: &'a Session,
    /// The session's, or less.
    pub(crate) scope: &'a Scope,
    pub(crate) clocks: Clocks,
    /// Seconds.
    pub(crate) lifetime: u64,
    pub(crate) token_id: String,
}

pub(crate) fn person_claims<'a>(token: &'a PersonToken<'_>) -> WireClaims<'a> {
    let (session, issued) = (token.session, Issued::of(token.clocks, token.lifetime));
    let issuer = token.issuer.as_str();
    WireClaims {
        iss: issuer,
        sub: session.user_id.as_str(),
        aud: once(issuer).chain(session.for_audience.then(|| session.client_id.as_str())).collect(),
        exp: issued.exp,
        iat: issued.iat,
        nbf: Some(issued.iat),
        jti: &token.token_id,
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

/// The parts of a service's token.
pub(crate) struct ClientToken<'a> {
    pub(crate) issuer: &'a Issuer,
    pub(crate) client: &'a Client,
    /// The client's, or less.
    pub(crate) scope: &'a Scope,
    pub(crate) state_epoch: u64,
    pub(crate) clocks: Clocks,
    /// Seconds.
    pub(crate) lifetime: u64,
    pub(crate) token_id: String,
}

pub(crate) fn client_claims<'a>(token: &'a ClientToken<'_>) -> WireClaims<'a> {
    let (client, issuer) = (token.client, token.issuer.as_str());
    let issued = Issued::of(token.clocks, token.lifetime);
    let others = client.audiences.iter().map(String::as_str).filter(|audience| *audience != issuer);
    WireClaims {
        iss: issuer,
        sub: client.id.as_str(),
        aud: once(issuer).chain(others).collect(),
        exp: issued.exp,
        iat: issued.iat,
        nbf: Some(issued.iat),
        jti: &token.token_id,
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
