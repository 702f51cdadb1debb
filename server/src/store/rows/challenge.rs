//! Challenges.

use gatepass_core::records::challenge::{Answered, Challenge, ChallengeDigest, SignIn};

use super::delivery::{answer_delivery, answer_delivery_values};
use super::history::place;
use super::row::{Columns, MalformedRow};
use super::text::{client_id, scope, texts, ticket_id, user_id};
use super::value::Value;

pub(in crate::store) fn challenge(c: &mut Columns<'_>) -> Result<Challenge, MalformedRow> {
    let digest = ChallengeDigest(c.bytes("digest")?);
    let user_id = c.parsed("user_id", user_id)?;
    let (user_epoch, actor_epoch) = (c.number("user_epoch")?, c.maybe_number("actor_epoch")?);
    let impersonation = c.impersonation()?;
    let mut sign_in = SignIn {
        user_id,
        impersonation,
        client_id: c.parsed("client_id", client_id)?,
        for_audience: c.flag("for_audience")?,
        bind: c.flag("bind")?,
        scope: c.parsed("scope", scope)?,
        methods: c.parsed("methods", texts)?,
        ticket: c.maybe("ticket", ticket_id)?,
        place: place(c)?,
        client_epoch: None,
        issuer: None,
    };
    let (expires_at, wrong) = (c.time("expires_at")?, c.small("wrong")?);
    let (is_answered, state_epoch) = (c.flag("answered")?, c.number("state_epoch")?);
    let at = c.maybe_time("answered_at")?;
    let delivery = answer_delivery(c)?.map(Box::new);
    let answered = match (is_answered, at, delivery) {
        (true, Some(at), delivery) => Some(Answered { at, delivery }),
        (false, None, None) => None,
        (true, None, _) | (false, _, _) => return Err(c.unreadable("answered_at")),
    };
    sign_in.client_epoch = c.maybe_number("client_epoch")?;
    let issuer = c.maybe("issuer", client_id)?;
    sign_in.issuer = c.issuer(issuer)?;
    let issued_at = c.time("issued_at")?;
    Ok(Challenge {
        digest,
        sign_in,
        user_epoch,
        actor_epoch,
        expires_at,
        wrong,
        answered,
        state_epoch,
        issued_at,
    })
}

pub(in crate::store) fn challenge_values(challenge: &Challenge) -> [Value<'_>; 28] {
    let sign_in = &challenge.sign_in;
    let answered = challenge.answered.as_ref();
    let delivery = answered.and_then(|answered| answered.delivery.as_deref());
    let [request, salt, session, refresh, repeated] = answer_delivery_values(delivery);
    [
        (&challenge.digest.0).into(),
        sign_in.user_id.as_str().into(),
        challenge.user_epoch.into(),
        challenge.actor_epoch.into(),
        sign_in.impersonation.as_ref().map(|i| i.actor.as_str()).into(),
        sign_in.impersonation.as_ref().map(|i| i.reason.as_str()).into(),
        sign_in.client_id.as_str().into(),
        sign_in.for_audience.into(),
        sign_in.bind.into(),
        sign_in.scope.as_str().into(),
        Value::json(&sign_in.methods),
        sign_in.ticket.as_ref().map(|id| id.as_str()).into(),
        (&sign_in.place.device.0).into(),
        sign_in.place.network.to_string().into(),
        challenge.expires_at.into(),
        challenge.wrong.into(),
        answered.is_some().into(),
        challenge.state_epoch.into(),
        answered.map(|answered| answered.at).into(),
        request,
        salt,
        session,
        refresh,
        repeated,
        sign_in.client_epoch.into(),
        sign_in.issuer.as_ref().map(|issuer| issuer.id.as_str()).into(),
        sign_in.issuer.as_ref().map(|issuer| issuer.epoch).into(),
        challenge.issued_at.into(),
    ]
}
