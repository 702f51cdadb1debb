//! Checks an answer at the moment it leaves, from outside: by its request, the durable state, and the outcomes of its
//! flow's commits.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use gatepass_core::api::step::Step;
use gatepass_core::base::time::Time;
use gatepass_core::records::challenge::ChallengeDigest;
use gatepass_core::records::client::ClientRef;
use gatepass_core::records::id::SessionId;
use gatepass_core::records::session::RefreshDigest;
use gatepass_core::records::ticket::{TicketDigest, TicketState};
use gatepass_core::store::change::{Change, Outcome};
use serde_json::Value;

use super::World;
use super::administration::administers;
use super::network::RequestKind;
use super::oracle::BrokenPromise;
use super::server::Flow;
use crate::memory::Tables;

/// The answers that were sent, whether or not they arrived.
#[derive(Default)]
pub(super) struct SentAnswers {
    /// The first answer to each ticket and challenge.
    first_answers: BTreeMap<String, FirstAnswer>,
    tickets: Vec<TicketDigest>,
    sessions: Vec<SessionId>,
    /// The services' tokens by `jti`, and how often older state had been put back by then.
    services: BTreeMap<String, u64>,
}

/// The first successful answer to a ticket or a challenge.
struct FirstAnswer {
    key: Option<String>,
    /// The code of a challenge is unknown here: a repetition has every byte the same.
    session: Option<SessionId>,
    refresh: Option<String>,
    challenge: Option<String>,
}

impl SentAnswers {
    /// Checks that everything sent is durable at the end.
    pub(super) fn check(&self, tables: &Tables) -> Result<(), BrokenPromise> {
        let tickets = self.tickets.iter().all(|digest| tables.tickets.contains_key(digest));
        let sessions = self.sessions.iter().all(|id| tables.sessions.contains_key(id));
        if tickets && sessions { Ok(()) } else { Err("a ticket or a session that was told is gone".into()) }
    }
}

/// Returns the claims of an access token, unverified.
pub(super) fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap_or_default();
    let payload = URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
    serde_json::from_slice(&payload).unwrap_or_default()
}

/// Checks the answer of `flow` as it leaves.
pub(super) fn check(world: &mut World, flow: &Flow, status: u16, body: &Value) -> Result<(), BrokenPromise> {
    outcomes(world, flow, status)?;
    let (token, challenge) = (body["access_token"].as_str(), body["challenge_token"].as_str());
    if token.is_some() && challenge.is_some() {
        return Err("the answer has a token and a challenge".into());
    }
    if let RequestKind::Administer { .. } = &flow.what {
        return administered(world, flow, status);
    }
    if status != 200 {
        if token.is_some() || challenge.is_some() || body.to_string().contains("rft_") {
            return Err(format!("{status} has a credential"));
        }
        return refused(world, flow, status);
    }
    match &flow.what {
        RequestKind::Issue => issued(world, body),
        RequestKind::Present { ticket, key } => {
            let digest = TicketDigest::of(ticket).ok_or("no ticket looks so")?;
            let state = world.tables.tickets.get(&digest).map(|ticket| ticket.state.clone());
            if !matches!(state, Some(TicketState::Spent { .. })) {
                return Err(format!("a welcome leaves, and its ticket is {state:?}"));
            }
            welcomed(world, Some((ticket, key)), body)
        }
        RequestKind::AnswerChallenge { challenge, key } => welcomed(world, Some((challenge, key)), body),
        RequestKind::Login => welcomed(world, None, body),
        RequestKind::Refresh { .. } => refreshed(world, body),
        RequestKind::Userinfo(token) => accepted(world, token),
        RequestKind::Introspect(token) if body["active"] == true => accepted(world, token),
        RequestKind::Introspect(token) => {
            count_ended(world, token);
            Ok(())
        }
        RequestKind::ServiceToken => {
            let claims = claims(token.ok_or("no token in the answer")?);
            if administers(&claims) {
                world.oracle.check_client(&claims)?;
                let life = claims["exp"].as_u64().zip(claims["iat"].as_u64()).map(|(exp, iat)| exp - iat);
                if life.is_none_or(|life| life > 900) {
                    return Err("a client's token administers for too long".into());
                }
            }
            let id = claims["jti"].as_str().map(str::to_owned);
            world.sent.services.insert(id.ok_or("a token without a name")?, world.oracle.put_back());
            Ok(())
        }
        RequestKind::SetUp
        | RequestKind::VerifyDevice
        | RequestKind::EndSession
        | RequestKind::Revoke(_)
        | RequestKind::ChangePassword
        | RequestKind::Administer { .. } => Ok(()),
    }
}

/// Checks the answer to a request to administer. What was written was checked as it became durable.
fn administered(world: &mut World, flow: &Flow, status: u16) -> Result<(), BrokenPromise> {
    let written = flow.outcomes.last() == Some(&Outcome::Applied);
    match status {
        200..300 => {
            world.coverage.count("administrations");
            let RequestKind::Administer { token, .. } = &flow.what else { return Ok(()) };
            if !written {
                accepted(world, token)?;
                let author = world.author_of(flow);
                world.oracle.check_administrator(&author)?;
            }
            Ok(())
        }
        400..500 if written => Err("it is refused, and something was written".into()),
        400..500 => {
            world.coverage.count("administrations refused");
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Checks that the status fits the outcomes: a write answers 200 only if it was applied.
fn outcomes(world: &mut World, flow: &Flow, status: u16) -> Result<(), BrokenPromise> {
    let unknown = flow.outcomes.contains(&Outcome::Unknown);
    let applied = flow.outcomes.contains(&Outcome::Applied);
    match status {
        500 => world.coverage.count("answers 500"),
        503 => world.coverage.count("answers 503"),
        _ => {}
    }
    match status {
        503 if applied || unknown => Err("503, and something may have been written".into()),
        500 if !unknown => Err("500, and every outcome is known".into()),
        200..300 if unknown => Err("200, and nobody knows whether it was written".into()),
        200 if writes(&flow.what) && flow.outcomes.last() != Some(&Outcome::Applied) => {
            Err(format!("200 after {:?}", flow.outcomes))
        }
        _ => Ok(()),
    }
}

fn writes(what: &RequestKind) -> bool {
    match what {
        RequestKind::Issue
        | RequestKind::Present { .. }
        | RequestKind::Login
        | RequestKind::AnswerChallenge { .. }
        | RequestKind::Refresh { .. }
        | RequestKind::SetUp
        | RequestKind::VerifyDevice
        | RequestKind::EndSession
        | RequestKind::ChangePassword => true,
        // Revoking an expired token writes nothing.
        RequestKind::ServiceToken
        | RequestKind::Userinfo(_)
        | RequestKind::Introspect(_)
        | RequestKind::Administer { .. }
        | RequestKind::Revoke(_) => false,
    }
}

/// Checks that a refusal of an existing credential has its audit row, in the same commit or in one of its own.
fn refused(world: &mut World, flow: &Flow, status: u16) -> Result<(), BrokenPromise> {
    let (tables, oracle) = (&world.tables, &world.oracle);
    // True if it exists, true if it was issued before older state was put back, and the case to count.
    let (exists, superseded, count) = match &flow.what {
        RequestKind::Present { ticket, .. } => {
            let digest = TicketDigest::of(ticket);
            let exists = digest.is_some_and(|d| tables.tickets.contains_key(&d));
            let superseded = digest.is_some_and(|d| oracle.is_superseded_ticket(&d));
            (exists, superseded, Some("tickets refused"))
        }
        RequestKind::AnswerChallenge { challenge, .. } => {
            let digest = ChallengeDigest::read(challenge);
            let exists = digest.is_some_and(|d| tables.challenges.contains_key(&d));
            (exists, digest.is_some_and(|d| oracle.is_superseded_challenge(&d)), None)
        }
        RequestKind::Refresh { token, by_portal: false } => {
            let token = RefreshDigest::read(token).and_then(|d| tables.refresh_tokens.get(&d));
            (token.is_some(), token.is_some_and(|t| oracle.is_superseded_session(&t.session_id)), None)
        }
        RequestKind::Login => (true, false, Some("passwords refused")),
        RequestKind::Userinfo(token) => {
            let token = token.clone();
            count_ended(world, &token);
            return Ok(());
        }
        RequestKind::ServiceToken
        | RequestKind::Issue
        | RequestKind::Refresh { by_portal: true, .. }
        | RequestKind::Introspect(_)
        | RequestKind::SetUp
        | RequestKind::VerifyDevice
        | RequestKind::EndSession
        | RequestKind::Revoke(_)
        | RequestKind::Administer { .. }
        | RequestKind::ChangePassword => (false, false, None),
    };
    if !(400..500).contains(&status) {
        return Ok(());
    }
    if superseded {
        world.coverage.count("superseded credentials refused");
    }
    count.into_iter().for_each(|count| world.coverage.count(count));
    if exists && !flow.recorded { Err("it is refused, and no row says so".into()) } else { Ok(()) }
}

fn issued(world: &mut World, body: &Value) -> Result<(), BrokenPromise> {
    let digest = body["ticket"].as_str().and_then(TicketDigest::of).ok_or("no ticket in the answer")?;
    if !world.tables.tickets.contains_key(&digest) {
        return Err("a ticket leaves, and is not durable".into());
    }
    world.sent.tickets.push(digest);
    Ok(())
}

/// Checks a successful sign-in. A credential is good once, and again only with its key and for the same result. A
/// password is good again.
fn welcomed(
    world: &mut World,
    credential: Option<(&String, &Option<String>)>,
    body: &Value,
) -> Result<(), BrokenPromise> {
    world.coverage.count("welcomes");
    let (token, challenge) = (body["access_token"].as_str(), body["challenge_token"].as_str());
    if let Some((credential, key)) = credential {
        let sid = token.map(claims).and_then(|claims| SessionId::parse(claims["sid"].as_str()?).ok());
        let text = |member: &str| body[member].as_str().map(str::to_owned);
        let now = FirstAnswer {
            key: key.clone(),
            session: sid,
            refresh: text("refresh_token"),
            challenge: text("challenge_token"),
        };
        match world.sent.first_answers.get(credential) {
            None => drop(world.sent.first_answers.insert(credential.clone(), now)),
            Some(first) if first.key.is_none() || first.key != now.key => {
                return Err(format!("{credential} was welcomed twice"));
            }
            Some(first) => {
                let same = (&first.session, &first.refresh, &first.challenge)
                    == (&now.session, &now.refresh, &now.challenge);
                if !same {
                    return Err(format!("{credential} was welcomed to another session"));
                }
                world.coverage.count("answers repeated");
            }
        }
    }
    match (token, challenge) {
        (Some(token), _) => {
            let claims = claims(token);
            let id = claims["sid"].as_str().and_then(|sid| SessionId::parse(sid).ok());
            let id = id.ok_or("a person's token without a session")?;
            if !world.tables.sessions.contains_key(&id) {
                return Err(format!("a token leaves, and {id} is not durable"));
            }
            world.sent.sessions.push(id);
            Ok(())
        }
        (None, Some(text)) => {
            let kept = ChallengeDigest::read(text).is_some_and(|d| world.tables.challenges.contains_key(&d));
            if kept { Ok(()) } else { Err("a challenge leaves, and is not durable".into()) }
        }
        (None, None) => Err("a welcome with nothing in it".into()),
    }
}

fn refreshed(world: &World, body: &Value) -> Result<(), BrokenPromise> {
    let token = body["refresh_token"].as_str().ok_or("no refresh token in the answer")?;
    let kept = RefreshDigest::read(token).is_some_and(|d| world.tables.refresh_tokens.contains_key(&d));
    if kept { Ok(()) } else { Err("a refresh token leaves, and is not durable".into()) }
}

/// Returns true if a durable change has ended the token.
fn is_ended_token(world: &World, token: &str) -> bool {
    let claims = claims(token);
    let session = claims["sid"].as_str();
    session.is_some_and(|session| world.oracle.is_ended(session))
        || claims["jti"].as_str().is_some_and(|id| world.oracle.is_revoked(id))
        || world.is_superseded(&claims)
}

impl World {
    /// Returns true if older state was put back since a token with `claims` was issued.
    pub(super) fn is_superseded(&self, claims: &Value) -> bool {
        let session = claims["sid"].as_str().and_then(|id| SessionId::parse(id).ok());
        let issued = claims["jti"].as_str().and_then(|id| self.sent.services.get(id));
        session.is_some_and(|id| self.oracle.is_superseded_session(&id))
            || issued.is_some_and(|put_back| *put_back != self.oracle.put_back())
    }
}

fn accepted(world: &mut World, token: &str) -> Result<(), BrokenPromise> {
    world.coverage.count("live tokens accepted");
    if is_ended_token(world, token) {
        Err(format!("{} is accepted after its end", claims(token)))
    } else {
        Ok(())
    }
}

fn count_ended(world: &mut World, token: &str) {
    if is_ended_token(world, token) {
        world.coverage.count("dead tokens refused");
    }
}

/// The refresh grace of the settings, in seconds.
const GRACE: u64 = 10;

/// Checks the decision about a refresh token by what was read: in time the session goes on, a late reuse ends the family,
/// and nothing else does.
pub(super) fn check_read(tables: &Tables, flow: &Flow, step: &Step) -> Result<(), BrokenPromise> {
    let RequestKind::Refresh { token, by_portal } = &flow.what else { return Ok(()) };
    let Some(token) = RefreshDigest::read(token).and_then(|digest| tables.refresh_tokens.get(&digest)) else {
        return Ok(());
    };
    let changes = if let Step::Commit(commit) = step { &commit.changes()[..] } else { &[] };
    let ends = changes.iter().any(|c| matches!(c, Change::EndSession { .. }));
    let goes_on =
        changes.iter().any(|c| matches!(c, Change::RotateRefresh { .. } | Change::RequireUnusedRefresh(_)));
    let fresh = |at: Time| flow.now < at;
    let in_time = match &token.rotation {
        None => true,
        Some(rotation) => {
            let successor = tables.refresh_tokens.get(&rotation.successor);
            fresh(rotation.at.plus(GRACE))
                && !rotation.at.is_ahead_of(flow.now)
                && successor.is_some_and(|next| next.rotation.is_none() && fresh(next.expires_at))
        }
    };
    let session = tables.sessions.get(&token.session_id).ok_or("a token without its session")?;
    if session.state_epoch != tables.state_epoch {
        let left_alone = !ends && !goes_on;
        return if left_alone { Ok(()) } else { Err(format!("{} is of another state epoch", session.id)) };
    }
    let user = tables.users.get(&session.user_id).ok_or("a session without its user")?;
    let lives = session.ended_at.is_none()
        && fresh(session.expires_at)
        && !session.signed_in_at.is_ahead_of(flow.now)
        && user.is_active()
        && user.epoch == session.user_epoch;
    let own = session.client_epoch.map(|epoch| ClientRef { id: session.client_id.clone(), epoch });
    let mut named = own.iter().chain(&session.issuer);
    let client = named.all(|named| tables.clients.get(&named.id).is_some_and(|client| client.is(named)));
    // A portal may have an old secret.
    let speaks = !by_portal && !session.bind;
    match (lives, in_time) {
        _ if ends && in_time => Err(format!("{} ends for a token in time", session.id)),
        (true, false) if speaks && !ends => Err(format!("{} goes on after a reuse", session.id)),
        (true, true)
            if speaks && client && !goes_on && (fresh(token.expires_at) || token.rotation.is_some()) =>
        {
            Err(format!("an honest holder of {} is locked out", session.id))
        }
        _ => Ok(()),
    }
}
