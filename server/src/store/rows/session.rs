//! Sessions and their refresh tokens.

use gatepass_core::records::session::{Actor, Purpose, RefreshDigest, RefreshToken, Rotation, Salt, Session};

use super::row::{Columns, MalformedRow};
use super::text::{client_id, scope, session_id, texts, user_id};
use super::value::Value;

pub(in crate::store) fn session(c: &mut Columns<'_>) -> Result<Session, MalformedRow> {
    Ok(Session {
        id: c.parsed("id", session_id)?,
        user_id: c.parsed("user_id", user_id)?,
        user_epoch: c.number("user_epoch")?,
        actor: match (c.maybe("actor", user_id)?, c.maybe_number("actor_epoch")?) {
            (Some(id), Some(epoch)) => Some(Actor { id, epoch }),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err(c.unreadable("actor_epoch")),
        },
        client_id: c.parsed("client_id", client_id)?,
        bind: c.flag("bind")?,
        for_audience: c.flag("for_audience")?,
        purpose: c.parsed("purpose", Purpose::parse)?,
        scope: c.parsed("scope", scope)?,
        auth_time: c.time("auth_time")?,
        methods: c.parsed("methods", texts)?,
        expires_at: c.time("expires_at")?,
        ended_at: c.maybe_time("ended_at")?,
        state_epoch: c.number("state_epoch")?,
        client_epoch: c.maybe_number("client_epoch")?,
        issuer: {
            let issuer = c.maybe("issuer", client_id)?;
            c.issuer(issuer)?
        },
        signed_in_at: c.time("signed_in_at")?,
    })
}

pub(in crate::store) fn session_values(session: &Session) -> [Value<'_>; 19] {
    [
        session.id.as_str().into(),
        session.user_id.as_str().into(),
        session.user_epoch.into(),
        session.actor.as_ref().map(|actor| actor.id.as_str()).into(),
        session.actor.as_ref().map(|actor| actor.epoch).into(),
        session.client_id.as_str().into(),
        session.bind.into(),
        session.for_audience.into(),
        session.purpose.as_str().into(),
        session.scope.as_str().into(),
        session.auth_time.into(),
        Value::json(&session.methods),
        session.expires_at.into(),
        session.ended_at.into(),
        session.state_epoch.into(),
        session.client_epoch.into(),
        session.issuer.as_ref().map(|issuer| issuer.id.as_str()).into(),
        session.issuer.as_ref().map(|issuer| issuer.epoch).into(),
        session.signed_in_at.into(),
    ]
}

/// Reads a refresh token. The column `session` has the id of its session.
pub(in crate::store) fn refresh_token(c: &mut Columns<'_>) -> Result<RefreshToken, MalformedRow> {
    let digest = RefreshDigest(c.bytes("digest")?);
    let session_id = c.parsed("session", session_id)?;
    let (issued_at, expires_at) = (c.time("issued_at")?, c.time("expires_at")?);
    let used_at = c.maybe_time("used_at")?;
    let (salt, successor) = (c.maybe_bytes("salt")?, c.maybe_bytes("successor")?);
    let rotation = match (used_at, salt, successor) {
        (None, _, _) => None,
        (Some(at), Some(salt), Some(successor)) => {
            Some(Rotation { at, salt: Salt(salt), successor: RefreshDigest(successor) })
        }
        (Some(_), None, _) => return Err(c.unreadable("salt")),
        (Some(_), Some(_), None) => return Err(c.unreadable("successor")),
    };
    Ok(RefreshToken {
        digest,
        session_id,
        issued_at,
        expires_at,
        rotation,
        number: c.number("number")?,
        refreshes: c.small("refreshes")?,
        recorded_at: c.maybe_time("recorded_at")?,
    })
}

/// Returns the values of a refresh token. The column `session` gets the id of its session.
pub(in crate::store) fn refresh_token_values(token: &RefreshToken) -> [Value<'_>; 10] {
    let rotation = token.rotation.as_ref();
    [
        (&token.digest.0).into(),
        token.session_id.as_str().into(),
        token.issued_at.into(),
        token.expires_at.into(),
        rotation.map(|rotation| rotation.at).into(),
        rotation.map(|rotation| &rotation.salt.0).into(),
        rotation.map(|rotation| &rotation.successor.0).into(),
        token.number.into(),
        token.refreshes.into(),
        token.recorded_at.into(),
    ]
}
