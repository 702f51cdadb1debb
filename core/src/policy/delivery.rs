//! The one place where it is decided who is given an answer again (docs/integrating.md).

use core::net::IpAddr;

use crate::base::time::Time;
use crate::policy::refresh::{Parties, others_stand};
use crate::policy::ticket_redemption::{Proven, is_refused_here, prove};
use crate::records::challenge::{Challenge, MAX_WRONG};
use crate::records::delivery::{
    AnswerDelivery, Delivered, DeliveredSession, RequestDigest, TicketDelivery, TicketResult,
};
use crate::records::session::{Purpose, Session};
use crate::records::ticket::TicketState;
use crate::records::user::User;
use crate::settings::Settings;
use crate::store::audit::Refusal;
use crate::store::query::{ChallengeRecords, TicketRecords};

/// An answer that may be given again, of a credential used at `at`.
#[derive(Debug)]
pub(crate) struct Repetition<'a, D, R> {
    pub(crate) at: Time,
    pub(crate) delivery: &'a D,
    pub(crate) user: &'a User,
    pub(crate) result: &'a R,
}

/// The verdict about a challenge that was answered before.
#[derive(Debug)]
pub(crate) enum AnswerVerdict<'a> {
    /// The same answer again.
    Repeat(Repetition<'a, AnswerDelivery, DeliveredSession>),
    /// Another code, or another key: it counts as a wrong code, so that nobody tries every one.
    CountWrong,
    /// It is refused, and nothing changes.
    Refuse(Refusal),
}

/// Decides on a ticket of this state epoch that was spent before, presented by `request`.
pub(crate) fn decide_ticket<'a>(
    records: &'a TicketRecords,
    redeemer: &Proven<'_>,
    peer: IpAddr,
    request: &RequestDigest,
    settings: &Settings,
    now: Time,
) -> Result<Repetition<'a, TicketDelivery, Delivered>, Refusal> {
    let ticket = &records.ticket;
    let TicketState::Spent { at, delivery: Some(delivery) } = &ticket.state else {
        return Err(Refusal::TicketSpent);
    };
    if delivery.request != *request || !is_within_grace(*at, settings, now) {
        return Err(Refusal::TicketSpent);
    }
    if is_refused_here(ticket, peer, settings) {
        return Err(Refusal::AddressMismatch);
    }
    prove(records, redeemer)?;
    ticket.clients().stand(records.client.as_ref(), records.issuer.as_ref())?;
    let result = records.delivered.as_ref().ok_or(Refusal::SessionOver)?;
    let user = match (result, &delivery.result) {
        (Delivered::Session(delivered), TicketResult::Session(opened)) => {
            let first_is = opened.refresh == delivered.refresh.as_ref().map(|refresh| refresh.digest);
            if delivered.session.id != opened.id || !first_is {
                return Err(Refusal::TicketSpent);
            }
            let parties = Parties {
                session: &delivered.session,
                user: records.user.as_ref(),
                actor: records.actor.as_ref(),
                client: records.client.as_ref(),
                issuer: records.issuer.as_ref(),
            };
            session_stands(&parties, delivered, Refusal::TicketSpent, settings, now)?
        }
        (Delivered::Challenge(challenge), TicketResult::Challenge(digest)) if challenge.digest == *digest => {
            challenge_stands(records, challenge, now)?
        }
        (Delivered::Session(_) | Delivered::Challenge(_), _) => return Err(Refusal::TicketSpent),
    };
    Ok(Repetition { at: *at, delivery, user, result })
}

/// Decides on a challenge of this state epoch that was answered before or has had its wrong codes, answered by `request`.
pub(crate) fn decide_answer<'a>(
    records: &'a ChallengeRecords,
    request: &RequestDigest,
    settings: &Settings,
    now: Time,
) -> AnswerVerdict<'a> {
    let closed = AnswerVerdict::Refuse(Refusal::ChallengeClosed);
    let challenge = &records.challenge;
    let Some(answered) = &challenge.answered else { return closed };
    let Some(delivery) = &answered.delivery else { return closed };
    if challenge.wrong >= MAX_WRONG || !is_within_grace(answered.at, settings, now) {
        return closed;
    }
    if delivery.request != *request {
        return AnswerVerdict::CountWrong;
    }
    let Some(delivered) = &records.delivered else { return AnswerVerdict::Refuse(Refusal::SessionOver) };
    let first_is = delivery.result.refresh == delivered.refresh.as_ref().map(|refresh| refresh.digest);
    if delivered.session.id != delivery.result.id || !first_is {
        return closed;
    }
    let parties = Parties {
        session: &delivered.session,
        user: records.user.as_ref(),
        actor: records.actor.as_ref(),
        client: records.client.as_ref(),
        issuer: records.issuer.as_ref(),
    };
    match session_stands(&parties, delivered, Refusal::ChallengeClosed, settings, now) {
        Ok(user) => AnswerVerdict::Repeat(Repetition { at: answered.at, delivery, user, result: delivered }),
        Err(refusal) => AnswerVerdict::Refuse(refusal),
    }
}

/// Returns true within `redeem_grace` of `at`. A use that is dated in the future gives no grace.
fn is_within_grace(at: Time, settings: &Settings, now: Time) -> bool {
    at <= now && at.until(now) < settings.redeem_grace.into()
}

/// Returns the user of a session whose first refresh token is unused, where everyone it rests on stands; `used` where it was
/// refreshed.
fn session_stands<'a>(
    parties: &Parties<'a>,
    delivered: &DeliveredSession,
    used: Refusal,
    settings: &Settings,
    now: Time,
) -> Result<&'a User, Refusal> {
    let session: &Session = parties.session;
    let user = parties.user.filter(|user| user.is_active()).ok_or(Refusal::UserInactive)?;
    if user.id != session.user_id || session.is_over(user.epoch, now) {
        return Err(Refusal::SessionOver);
    }
    match (&delivered.refresh, session.is_prolonged()) {
        (Some(first), true) if first.rotation.is_none() && now < first.expires_at => {}
        (None, false) => {}
        (Some(_), _) | (None, true) => return Err(used),
    }
    let grantable = others_stand(parties, settings, now)?;
    if session.purpose == Purpose::Anything && grantable != session.scope {
        return Err(Refusal::NotGrantable);
    }
    Ok(user)
}

/// Returns the user of an open challenge of `records`, where everyone it rests on stands.
fn challenge_stands<'a>(
    records: &'a TicketRecords,
    challenge: &Challenge,
    now: Time,
) -> Result<&'a User, Refusal> {
    let sign_in = &challenge.sign_in;
    if !challenge.is_open(now) {
        return Err(Refusal::ChallengeClosed);
    }
    sign_in.clients().stand(records.client.as_ref(), records.issuer.as_ref())?;
    let user = records.user.as_ref().filter(|user| user.is_active()).ok_or(Refusal::UserInactive)?;
    let actor = records.actor.as_ref().filter(|_| sign_in.impersonation.is_some());
    if sign_in.impersonation.is_some() && !actor.is_some_and(User::is_active) {
        return Err(Refusal::ActorInactive);
    }
    if user.id != sign_in.user_id
        || user.epoch != challenge.user_epoch
        || actor.map(|actor| actor.epoch) != challenge.actor_epoch
    {
        return Err(Refusal::SessionOver);
    }
    Ok(user)
}

#[cfg(test)]
mod tests;
