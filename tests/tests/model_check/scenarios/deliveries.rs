//! Repeated answers: the holders of a key send the same request twice, a thief has only the credential, and another has
//! key and challenge without the code, while sessions end, users are disabled and outcomes are lost.

use std::collections::BTreeSet;

use gatepass_core::admin::sessions::EndSession;
use gatepass_core::engine::Engine;
use gatepass_core::http::request::Request;
use gatepass_core::records::delivery::TicketResult;
use gatepass_core::records::ticket::{Ticket, TicketState};
use gatepass_core::store::audit::Kind;
use gatepass_core::store::change::Change;
use gatepass_tests::api_document::drive;
use gatepass_tests::fixtures::{self, NOON, inputs, presents, refreshes};
use gatepass_tests::guard::Guard;
use gatepass_tests::memory::{Memory, Tables};

use super::commands::{disables, operates};
use super::explorer::{ActorResult, Explorer, Promises, Transition, Verdict, promised};
use super::factors;

/// The key of the redeemer.
const KEY: &str = "a-key-of-the-portal-alone";
/// The key that a thief makes up.
const OTHER: &str = "another-key-that-is-not-it";

fn keyed(key: &str, request: Request) -> Request {
    let mut request = request;
    request.headers.push(("idempotency-key".into(), key.into()));
    request
}

fn with_key(key: &'static str, ask: impl Fn() -> Request) -> impl Fn() -> Request {
    move || keyed(key, ask())
}

fn presenting(ticket: &str) -> impl Fn() -> Request + Clone + use<> {
    let ticket = ticket.to_owned();
    move || presents(&ticket)
}

/// One ticket of alice: the holder of its key sends the same request three times, a thief has the ticket with no key or
/// another one, the session is refreshed or ended, alice is disabled, and the grace passes.
pub(crate) fn ticket<'a>(engine: &'a Engine, unguarded: &[Guard], faults: u8) -> Explorer<'a> {
    let store = Memory::new(fixtures::tables());
    let ticket = fixtures::issue(engine, &store, "alice", inputs(NOON, 1));
    let tables = store.with(|tables| Tables { unguarded: unguarded.to_vec(), ..tables.clone() });
    let ask = presenting(&ticket);
    let promises = Promises { check_transition, check_state: Box::new(|t, told| check_state(t, told, 2)) };
    let explorer = Explorer::new(engine, tables, &[NOON, NOON.plus(60)], promises)
        .with_faults(faults)
        .sends("the holder", with_key(KEY, ask.clone()))
        .sends("the holder again", with_key(KEY, ask.clone()))
        .sends("a thief", ask.clone())
        .asks("the holder, later", |told| told[0].welcome()?.body["refresh_token"].as_str().map(refreshes))
        .commands_at_once("the administrator", disables("alice"));
    if super::large() { explorer.sends("a thief with another key", with_key(OTHER, ask)) } else { explorer }
}

/// Three requests repeat an earlier redemption, while the session is ended.
pub(crate) fn repetitions<'a>(engine: &'a Engine, unguarded: &[Guard], faults: u8) -> Explorer<'a> {
    let store = Memory::new(fixtures::tables());
    let ticket = fixtures::issue(engine, &store, "alice", inputs(NOON, 1));
    let ask = presenting(&ticket);
    drive(engine, &store, keyed(KEY, ask()), inputs(NOON, 2));
    let tables = store.with(|tables| Tables { unguarded: unguarded.to_vec(), ..tables.clone() });
    let promises = Promises { check_transition, check_state: Box::new(|t, told| check_state(t, told, 3)) };
    Explorer::new(engine, tables, &[NOON.plus(59), NOON.plus(60)], promises)
        .with_faults(faults)
        .sends("the holder", with_key(KEY, ask.clone()))
        .sends("the holder again", with_key(KEY, ask.clone()))
        .sends("the holder once more", with_key(KEY, ask.clone()))
        .sends("a thief with another key", with_key(OTHER, ask))
        .commands_at_once("an end of the session", |tables, at| {
            let session = tables.sessions.values().find(|session| session.ended_at.is_none())?;
            let id = session.id.clone();
            operates(1, move || EndSession { session: id.clone(), user: None })(tables, at)
        })
}

/// A ticket of fay leads to a challenge, which is handed out again while it is answered without a key, and allows four
/// wrong codes.
pub(crate) fn challenge<'a>(engine: &'a Engine, unguarded: &[Guard], faults: u8) -> Explorer<'a> {
    let store = factors::enrolled(unguarded);
    let ticket = fixtures::issue(engine, &store, "fay", inputs(NOON, 1));
    let ask = presenting(&ticket);
    let told = drive(engine, &store, keyed(KEY, ask()), inputs(NOON, 2)).into_response().into_body();
    let text = factors::challenge_in(&told);
    for seed in 10..14 {
        drive(engine, &store, factors::wrong(&text)(), inputs(NOON, seed));
    }
    let tables = store.with(|tables| tables.clone());
    let promises = Promises { check_transition, check_state: Box::new(|_, _| Ok(())) };
    Explorer::new(engine, tables, &[NOON], promises)
        .with_faults(faults)
        .sends("the holder", with_key(KEY, ask.clone()))
        .sends("the holder again", with_key(KEY, ask))
        .sends("who has the code", factors::right(&text))
        .sends("a wrong code", factors::wrong(&text))
        .commands_at_once("the administrator", disables("fay"))
}

/// A challenge of fay: the holder of key and code sends the same answer twice, one has key and challenge and guesses the
/// code, another has challenge and code and no key, or another one.
pub(crate) fn answer<'a>(
    engine: &'a Engine,
    unguarded: &[Guard],
    wrong_before: u32,
    faults: u8,
) -> Explorer<'a> {
    let store = factors::enrolled(unguarded);
    let text = factors::challenge(engine, &store, 1);
    for seed in 0..wrong_before {
        drive(engine, &store, factors::wrong(&text)(), inputs(NOON, 10 + u64::from(seed)));
    }
    // Only this challenge counts.
    store.with(|tables| tables.lockout.clear());
    let promises = Promises { check_transition, check_state: Box::new(check_answers) };
    let tables = store.with(|tables| tables.clone());
    let right = factors::right(&text);
    Explorer::new(engine, tables, &[NOON], promises)
        .with_faults(faults)
        .sends("the holder", with_key(KEY, right.clone()))
        .sends("the holder again", with_key(KEY, right.clone()))
        .sends("one without the code", with_key(KEY, factors::wrong(&text)))
        .sends("one without the key", right)
        .commands_at_once("the administrator", disables("fay"))
}

/// The same after the answer: three repeat it, while one guesses twice.
pub(crate) fn answered<'a>(engine: &'a Engine, unguarded: &[Guard], faults: u8) -> Explorer<'a> {
    let store = factors::enrolled(unguarded);
    let text = factors::challenge(engine, &store, 1);
    for seed in 0..3 {
        drive(engine, &store, factors::wrong(&text)(), inputs(NOON, 10 + seed));
    }
    let right = factors::right(&text);
    drive(engine, &store, keyed(KEY, right()), inputs(NOON, 20));
    let promises = Promises { check_transition, check_state: Box::new(|_, _| Ok(())) };
    let tables = store.with(|tables| tables.clone());
    Explorer::new(engine, tables, &[NOON, NOON.plus(60)], promises)
        .with_faults(faults)
        .sends("the holder", with_key(KEY, right.clone()))
        .sends("the holder again", with_key(KEY, right))
        .sends("a guess", with_key(KEY, factors::wrong(&text)))
        .sends("another guess", with_key(KEY, factors::guess(&text)))
        .commands_at_once("an end of the session", |tables, at| {
            let session = tables.sessions.values().find(|session| session.ended_at.is_none())?;
            let id = session.id.clone();
            operates(1, move || EndSession { session: id.clone(), user: None })(tables, at)
        })
}

/// Returns what a redeemed ticket keeps of its redemption.
fn spent(ticket: &Ticket) -> Option<(u64, Option<(TicketResult, u32)>)> {
    match &ticket.state {
        TicketState::Live | TicketState::Revoked(_) => None,
        TicketState::Spent { at, delivery } => {
            let delivery = delivery.as_ref().map(|delivery| (delivery.result.clone(), delivery.repeated));
            Some((at.unix(), delivery))
        }
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "the other changes repeat nothing")]
fn check_transition(transition: &Transition<'_>) -> Verdict {
    let rows = |kind: Kind| {
        transition.applied.iter().filter(|c| matches!(c, Change::Audit(event) if event.kind == kind)).count()
    };
    for change in transition.applied {
        match change {
            Change::RepeatTicket { digest, .. } => {
                let before = transition.before.tickets.get(digest).and_then(spent);
                let delivery = before.and_then(|(_, delivery)| delivery);
                let (_, times) = delivery.ok_or("an answer is given again that was given with a key")?;
                let once = rows(Kind::TicketRepeated) == usize::from(times == 0);
                promised(once, "the first repetition is a row, and no other is")?;
            }
            Change::RepeatAnswer { digest, .. } => {
                let before = transition.before.challenges.get(digest).ok_or("a challenge is there")?;
                promised(before.wrong < 5, "no answer is given again after five wrong codes")?;
                let delivery = before.answered.as_ref().and_then(|answered| answered.delivery.as_ref());
                let delivery = delivery.ok_or("an answer is given again that was given with a key")?;
                let once = rows(Kind::ChallengeRepeated) == usize::from(delivery.repeated == 0);
                promised(once, "the first repetition is a row, and no other is")?;
            }
            _ => {}
        }
    }
    for (digest, before) in &transition.before.tickets {
        let after = transition.after.tickets.get(digest).and_then(spent);
        let result = |spent: Option<(u64, Option<(TicketResult, u32)>)>| {
            spent.map(|(at, delivery)| (at, delivery.map(|(result, _)| result)))
        };
        let same = spent(before).is_none() || result(after) == result(spent(before));
        promised(same, "a ticket that was redeemed leads to the same for ever")?;
    }
    for (digest, before) in &transition.before.challenges {
        let Some(after) = transition.after.challenges.get(digest) else { continue };
        promised(after.wrong <= 5, "a challenge bears five wrong codes")?;
        let session = |c: &gatepass_core::records::challenge::Challenge| {
            c.answered.as_ref().map(|a| (a.at, a.delivery.as_ref().map(|d| d.result.clone())))
        };
        let same = before.answered.is_none() || session(before) == session(after);
        promised(same, "a challenge that was answered leads to the same for ever")?;
        let newly = before.answered.is_none() && after.answered.is_some();
        promised(!newly || before.wrong < 5, "a challenge that is spent is not answered")?;
    }
    let Some(answer) = transition.answer.filter(|answer| answer.status == 200) else { return Ok(()) };
    let Some(text) = answer.body["challenge_token"].as_str() else { return Ok(()) };
    let digest =
        gatepass_core::records::challenge::ChallengeDigest::read(text).ok_or("a challenge is legible")?;
    let open = transition.after.challenges.get(&digest).is_some_and(|c| c.answered.is_none() && c.wrong < 5);
    promised(open, "a challenge is handed out while it is open")
}

/// Checks the answers for one ticket: the holders of its key, the first `holders` actors, get one session and one first
/// refresh token, and no other actor gets that one.
fn check_state(tables: &Tables, told: &[ActorResult<'_>], holders: usize) -> Verdict {
    promised(tables.sessions.len() <= 1, "a ticket opens one session")?;
    let welcomed: Vec<_> = told.iter().map(|told| told.welcome()).collect();
    let tokens: BTreeSet<_> =
        welcomed.iter().take(holders).flatten().map(|a| a.body["refresh_token"].as_str()).collect();
    promised(tokens.len() <= 1, "the holders of a key are given one refresh token")?;
    let thief = told.iter().enumerate().any(|(at, told)| at == 2 && holders == 2 && told.welcome().is_some());
    promised(!thief || tokens.is_empty(), "who has no key, and who has it, are not both let in")?;
    let other = holders == 3 && told[3].welcome().is_some();
    promised(!other, "who has another key is not let in")
}

/// Checks the same of a challenge: two actors have key and code, one has no code, one has no key.
fn check_answers(tables: &Tables, told: &[ActorResult<'_>]) -> Verdict {
    promised(tables.sessions.len() <= 1, "a challenge opens one session")?;
    let holders: BTreeSet<_> = told[..2]
        .iter()
        .filter_map(|told| told.welcome())
        .map(|answer| answer.body["refresh_token"].as_str())
        .collect();
    promised(holders.len() <= 1, "the holders of a key are given one refresh token")?;
    promised(told[2].welcome().is_none(), "who has no code is not let in")?;
    let other = told[3].welcome().is_some();
    promised(!other || holders.is_empty(), "who has no key, and who has it, are not both let in")
}
