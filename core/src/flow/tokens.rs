//! The claims of the two kinds of access token (RFC 9068 §2.2).

use alloc::{borrow::ToOwned, string::String, vec};

use crate::jose::claims::AccessClaims;
use crate::model::client::Client;
use crate::model::scope::Scope;
use crate::model::session::Session;
use crate::settings::Issuer;
use crate::time::Time;

/// What a person's token is made of.
pub(crate) struct PersonToken<'a> {
    pub(crate) issuer: &'a Issuer,
    pub(crate) session: &'a Session,
    /// The session's, or less.
    pub(crate) scope: &'a Scope,
    pub(crate) now: Time,
    /// Seconds.
    pub(crate) lifetime: u64,
    pub(crate) token_id: String,
}

pub(crate) fn person_claims(token: &PersonToken<'_>) -> AccessClaims {
    let session = token.session;
    let mut audience = vec![token.issuer.as_str().to_owned()];
    if session.for_audience {
        audience.push(session.client_id.as_str().to_owned());
    }
    AccessClaims {
        iss: token.issuer.as_str().to_owned(),
        sub: session.user_id.as_str().to_owned(),
        aud: audience,
        exp: token.now.plus(token.lifetime),
        iat: token.now,
        nbf: None,
        jti: token.token_id.clone(),
        client_id: session.client_id.as_str().to_owned(),
        scope: Some(String::from(token.scope)),
        auth_time: Some(session.auth_time),
        amr: Some(session.methods.clone()),
        sid: Some(session.id.as_str().to_owned()),
        act: session.actor_id().map(|actor| actor.as_str().to_owned()),
    }
}

pub(crate) fn client_claims(
    issuer: &Issuer,
    client: &Client,
    scope: &Scope,
    token_id: String,
    now: Time,
    lifetime: u64,
) -> AccessClaims {
    let mut audience = vec![issuer.as_str().to_owned()];
    audience.extend(client.audiences.iter().filter(|a| *a != issuer.as_str()).cloned());
    AccessClaims {
        iss: issuer.as_str().to_owned(),
        sub: client.id.as_str().to_owned(),
        aud: audience,
        exp: now.plus(lifetime),
        iat: now,
        nbf: None,
        jti: token_id,
        client_id: client.id.as_str().to_owned(),
        scope: Some(String::from(scope)),
        auth_time: None,
        amr: None,
        sid: None,
        act: None,
    }
}
