//! What an answer may say at the moment it leaves, seen from outside: by what was asked, what is durable, and how the
//! commits of its flow went.

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
use super::ledger::Broken;
use super::network::What;
use super::server::Flow;
use crate::memory::Tables;

/// What has left, whether or not it arrived.
#[derive(Default)]
pub(super) struct Told {
    /// What each ticket, and each challenge, was welcomed to.
    welcomes: BTreeMap<String, Welcomed>,
    tickets: Vec<TicketDigest>,
    sessions: Vec<SessionId>,
    /// The services' tokens by `jti`, and how often older state had been put back by then.
    services: BTreeMap<String, u64>,
}

/// The first welcome of a ticket or a challenge.
struct Welcomed {
    key: Option<String>,
    /// The code that a challenge was answered with is not known here: whoever repeats, repeats every byte.
    session: Option<SessionId>,
    refresh: Option<String>,
    challenge: Option<String>,
}

impl Told {
    /// What was told is durable, however it all ended.
    pub(super) fn check(&self, tables: &Tables) -> Result<(), Broken> {
        let tickets = self.tickets.iter().all(|digest| tables.tickets.contains_key(digest));
        let sessions = self.sessions.iter().all(|id| tables.sessions.contains_key(id));
        if tickets && sessions { Ok(()) } else { Err("a ticket or a session that was told is gone".into()) }
    }
}

/// The claims of an access token, unverified.
fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap_or_default();
    let payload = URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
    serde_json::from_slice(&payload).unwrap_or_default()
}

/// Judges the answer of `flow` as it leaves.
pub(super) fn check(world: &mut World, flow: &Flow, status: u16, body: &Value) -> Result<(), Broken> {
    outcomes(world, flow, status)?;
    let (token, challenge) = (body["access_token"].as_str(), body["challenge_token"].as_str());
    if token.is_some() && challenge.is_some() {
        return Err("the answer has a token and a challenge".into());
    }
    if status != 200 {
        if token.is_some() || challenge.is_some() || body.to_string().contains("rft_") {
            return Err(format!("{status} has a credential"));
        }
        return refused(world, flow, status);
    }
    match &flow.what {
        What::Issue => issued(world, body),
        What::Present { ticket, key } => {
            let digest = TicketDigest::of(ticket).ok_or("no ticket looks so")?;
            let state = world.tables.tickets.get(&digest).map(|ticket| ticket.state.clone());
            if !matches!(state, Some(TicketState::Spent { .. })) {
                return Err(format!("a welcome leaves, and its ticket is {state:?}"));
            }
            welcomed(world, Some((ticket, key)), body)
        }
        What::AnswerChallenge { challenge, key } => welcomed(world, Some((challenge, key)), body),
        What::Login => welcomed(world, None, body),
        What::Refresh { .. } => refreshed(world, body),
        What::Userinfo(token) => accepted(world, token),
        What::Introspect(token) if body["active"] == true => accepted(world, token),
        What::Introspect(token) => {
            told_dead(world, token);
            Ok(())
        }
        What::ServiceToken => {
            let id = claims(token.ok_or("no token in the answer")?)["jti"].as_str().map(str::to_owned);
            world.told.services.insert(id.ok_or("a token without a name")?, world.ledger.put_back());
            Ok(())
        }
        What::SetUp | What::VerifyDevice | What::EndSession | What::Revoke(_) | What::ChangePassword => {
            Ok(())
        }
    }
}

/// The outcome decides the status: 200 where something was to be written is never told but for what was applied.
fn outcomes(world: &mut World, flow: &Flow, status: u16) -> Result<(), Broken> {
    let unknown = flow.outcomes.contains(&Outcome::Unknown);
    let applied = flow.outcomes.contains(&Outcome::Applied);
    match status {
        500 => world.tally.met("answers 500"),
        503 => world.tally.met("answers 503"),
        _ => {}
    }
    match status {
        503 if applied || unknown => Err("503, and something may have been written".into()),
        500 if !unknown => Err("500, and every outcome is known".into()),
        200 if unknown => Err("200, and nobody knows whether it was written".into()),
        200 if writes(&flow.what) && flow.outcomes.last() != Some(&Outcome::Applied) => {
            Err(format!("200 after {:?}", flow.outcomes))
        }
        _ => Ok(()),
    }
}

fn writes(what: &What) -> bool {
    match what {
        What::Issue
        | What::Present { .. }
        | What::Login
        | What::AnswerChallenge { .. }
        | What::Refresh { .. }
        | What::SetUp
        | What::VerifyDevice
        | What::EndSession
        | What::ChangePassword => true,
        // A token that is over already is given up without a write.
        What::ServiceToken | What::Userinfo(_) | What::Introspect(_) | What::Revoke(_) => false,
    }
}

/// A refusal of what exists wants its row, in the same commit or in one of its own.
fn refused(world: &mut World, flow: &Flow, status: u16) -> Result<(), Broken> {
    let (tables, ledger) = (&world.tables, &world.ledger);
    // Whether it exists, whether it was issued before older state was put back, and what is met.
    let (exists, superseded, met) = match &flow.what {
        What::Present { ticket, .. } => {
            let digest = TicketDigest::of(ticket);
            let exists = digest.is_some_and(|d| tables.tickets.contains_key(&d));
            let superseded = digest.is_some_and(|d| ledger.is_superseded_ticket(&d));
            (exists, superseded, Some("tickets refused"))
        }
        What::AnswerChallenge { challenge, .. } => {
            let digest = ChallengeDigest::read(challenge);
            let exists = digest.is_some_and(|d| tables.challenges.contains_key(&d));
            (exists, digest.is_some_and(|d| ledger.is_superseded_challenge(&d)), None)
        }
        What::Refresh { token, by_portal: false } => {
            let token = RefreshDigest::read(token).and_then(|d| tables.refresh_tokens.get(&d));
            (token.is_some(), token.is_some_and(|t| ledger.is_superseded_session(&t.session_id)), None)
        }
        What::Login => (true, false, Some("passwords refused")),
        What::Userinfo(token) => {
            let token = token.clone();
            told_dead(world, &token);
            return Ok(());
        }
        What::ServiceToken
        | What::Issue
        | What::Refresh { by_portal: true, .. }
        | What::Introspect(_)
        | What::SetUp
        | What::VerifyDevice
        | What::EndSession
        | What::Revoke(_)
        | What::ChangePassword => (false, false, None),
    };
    if !(400..500).contains(&status) {
        return Ok(());
    }
    if superseded {
        world.tally.met("superseded credentials refused");
    }
    met.into_iter().for_each(|met| world.tally.met(met));
    if exists && !flow.recorded { Err("it is refused, and no row says so".into()) } else { Ok(()) }
}

fn issued(world: &mut World, body: &Value) -> Result<(), Broken> {
    let digest = body["ticket"].as_str().and_then(TicketDigest::of).ok_or("no ticket in the answer")?;
    if !world.tables.tickets.contains_key(&digest) {
        return Err("a ticket leaves, and is not durable".into());
    }
    world.told.tickets.push(digest);
    Ok(())
}

/// Somebody is let in for a credential, which is good once, and again for whoever has the key it was used with, and then for
/// the same; a password is good again.
fn welcomed(
    world: &mut World,
    credential: Option<(&String, &Option<String>)>,
    body: &Value,
) -> Result<(), Broken> {
    world.tally.met("welcomes");
    let (token, challenge) = (body["access_token"].as_str(), body["challenge_token"].as_str());
    if let Some((credential, key)) = credential {
        let sid = token.map(claims).and_then(|claims| SessionId::parse(claims["sid"].as_str()?).ok());
        let text = |member: &str| body[member].as_str().map(str::to_owned);
        let now = Welcomed {
            key: key.clone(),
            session: sid,
            refresh: text("refresh_token"),
            challenge: text("challenge_token"),
        };
        match world.told.welcomes.get(credential) {
            None => drop(world.told.welcomes.insert(credential.clone(), now)),
            Some(first) if first.key.is_none() || first.key != now.key => {
                return Err(format!("{credential} was welcomed twice"));
            }
            Some(first) => {
                let same = (&first.session, &first.refresh, &first.challenge)
                    == (&now.session, &now.refresh, &now.challenge);
                if !same {
                    return Err(format!("{credential} was welcomed to another session"));
                }
                world.tally.met("answers repeated");
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
            world.told.sessions.push(id);
            Ok(())
        }
        (None, Some(text)) => {
            let kept = ChallengeDigest::read(text).is_some_and(|d| world.tables.challenges.contains_key(&d));
            if kept { Ok(()) } else { Err("a challenge leaves, and is not durable".into()) }
        }
        (None, None) => Err("a welcome with nothing in it".into()),
    }
}

fn refreshed(world: &World, body: &Value) -> Result<(), Broken> {
    let token = body["refresh_token"].as_str().ok_or("no refresh token in the answer")?;
    let kept = RefreshDigest::read(token).is_some_and(|d| world.tables.refresh_tokens.contains_key(&d));
    if kept { Ok(()) } else { Err("a refresh token leaves, and is not durable".into()) }
}

/// Whether what became durable has ended the token.
fn is_dead(world: &World, token: &str) -> bool {
    let claims = claims(token);
    let session = claims["sid"].as_str();
    session.is_some_and(|session| world.ledger.is_ended(session))
        || claims["jti"].as_str().is_some_and(|id| world.ledger.is_revoked(id))
        || is_superseded(world, &claims)
}

/// Whether older state was put back since a token with `claims` was issued.
fn is_superseded(world: &World, claims: &Value) -> bool {
    let session = claims["sid"].as_str().and_then(|id| SessionId::parse(id).ok());
    let issued = claims["jti"].as_str().and_then(|id| world.told.services.get(id));
    session.is_some_and(|id| world.ledger.is_superseded_session(&id))
        || issued.is_some_and(|put_back| *put_back != world.ledger.put_back())
}

fn accepted(world: &mut World, token: &str) -> Result<(), Broken> {
    world.tally.met("live tokens accepted");
    if is_dead(world, token) { Err(format!("{} is accepted after its end", claims(token))) } else { Ok(()) }
}

fn told_dead(world: &mut World, token: &str) {
    if is_dead(world, token) {
        world.tally.met("dead tokens refused");
    }
}

/// The grace of the settings, in seconds.
const GRACE: u64 = 10;

/// Judges what becomes of a refresh token by what was read: whoever comes in time goes on, whoever comes late with a used
/// one ends the family, and nothing else does.
pub(super) fn check_read(tables: &Tables, flow: &Flow, step: &Step) -> Result<(), Broken> {
    let What::Refresh { token, by_portal } = &flow.what else { return Ok(()) };
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
