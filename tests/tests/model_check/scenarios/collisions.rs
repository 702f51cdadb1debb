//! A random generator that repeats itself: an existing record is never overwritten.

use std::collections::BTreeSet;

use gatepass_core::engine::Engine;
use gatepass_core::http::request::Request;
use gatepass_core::records::id::{DeviceId, SessionId, TicketId, UserId};
use gatepass_core::records::session::{RefreshDigest, RefreshToken, Session};
use gatepass_core::records::ticket::TicketDigest;
use gatepass_tests::api_document::drive;
use gatepass_tests::fixtures::{
    self, BACKEND_SECRET, NOON, asks_for_token, inputs, presents, refreshes, request, user_id,
};
use gatepass_tests::guard::Guard;
use gatepass_tests::memory::{Memory, Tables};
use serde_json::{Value, json};

use super::explorer::{Explorer, FIRST_SEED, Promises, Transition, Verdict, promised};
use super::factors::{enrolled, presented};

/// The value that is drawn twice.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Collision {
    TicketId,
    Ticket,
    SessionId,
    FirstRefresh,
    Successor,
    Challenge,
    DeviceId,
    BackupCode,
}

fn boss() -> UserId {
    user_id("boss")
}

/// Prepares a store, and a request that draws the value again.
fn request_for(collision: Collision, engine: &Engine) -> (Memory, Box<dyn Fn() -> Request>) {
    let store = Memory::new(fixtures::tables());
    match collision {
        Collision::TicketId | Collision::Ticket => {
            let token = asks_for_token("backend", BACKEND_SECRET, "ticket:issue");
            let token = drive(engine, &store, token, inputs(NOON, 1)).into_response().into_body();
            let token: Value = serde_json::from_slice(&token).expect("JSON");
            let bearer = format!("Bearer {}", token["access_token"].as_str().expect("a token"));
            let asked = json!({"user_id": "usr_alice"});
            (store, Box::new(move || request("/auth/generate-ticket", &bearer, &asked)))
        }
        Collision::SessionId | Collision::FirstRefresh => {
            let ticket = fixtures::issue(engine, &store, "alice", inputs(NOON, 1));
            (store, Box::new(move || presents(&ticket)))
        }
        Collision::Challenge => {
            let store = enrolled(&[]);
            let ticket = fixtures::issue(engine, &store, "fay", inputs(NOON, 1));
            (store, Box::new(move || presents(&ticket)))
        }
        Collision::Successor => {
            let session = presented(engine, &store, 1);
            let token = session["refresh_token"].as_str().expect("a token").to_owned();
            (store, Box::new(move || refreshes(&token)))
        }
        Collision::DeviceId | Collision::BackupCode => {
            let session = presented(engine, &store, 1);
            let bearer = format!("Bearer {}", session["access_token"].as_str().expect("a token"));
            (store, Box::new(move || request("/mfa/totp/setup", &bearer, &json!({}))))
        }
    }
}

/// Adds to `tables` a record of boss with the key that was written between them and `written`.
fn plant(collision: Collision, tables: &mut Tables, written: &Tables) {
    match collision {
        Collision::TicketId | Collision::Ticket => {
            let mut ticket = written.tickets.values().next().expect("a ticket").clone();
            if matches!(collision, Collision::TicketId) {
                ticket.digest = TicketDigest([1; 32]);
            } else {
                ticket.id = TicketId::parse("tid_boss").expect("an id");
            }
            ticket.user_id = boss();
            tables.tickets.insert(ticket.digest, ticket);
        }
        Collision::SessionId | Collision::FirstRefresh => {
            let mut session = written.sessions.values().next().expect("a session").clone();
            let mut token = written.refresh_tokens.values().next().expect("a token").clone();
            if matches!(collision, Collision::SessionId) {
                token.digest = RefreshDigest([1; 32]);
            } else {
                session.id = SessionId::parse("ses_boss").expect("an id");
            }
            session.user_id = boss();
            token.session_id = session.id.clone();
            tables.sessions.insert(session.id.clone(), session);
            tables.refresh_tokens.insert(token.digest, token);
        }
        Collision::Successor => {
            let session = tables.sessions.values().next().expect("a session").clone();
            let id = SessionId::parse("ses_boss").expect("an id");
            let new = |digest: &&RefreshDigest| !tables.refresh_tokens.contains_key(*digest);
            let digest = *written.refresh_tokens.keys().find(new).expect("a successor");
            let mut token = written.refresh_tokens[&digest].clone();
            token.session_id = id.clone();
            tables.refresh_tokens.insert(digest, token);
            let session = Session { id: id.clone(), user_id: boss(), ..session };
            tables.sessions.insert(id, session);
        }
        Collision::Challenge => {
            let mut challenge = written.challenges.values().next().expect("a challenge").clone();
            challenge.sign_in.user_id = boss();
            tables.challenges.insert(challenge.digest, challenge);
        }
        Collision::DeviceId => {
            let mut device = written.devices.first().expect("a device").clone();
            device.user_id = boss();
            tables.devices.push(device);
        }
        Collision::BackupCode => {
            let key = written.backup_codes.keys().next().expect("a code").clone();
            tables.backup_codes.insert(key, DeviceId::parse("dev_old").expect("an id"));
        }
    }
}

pub(crate) fn explorer<'a>(engine: &'a Engine, unguarded: &[Guard], collision: Collision) -> Explorer<'a> {
    let (store, request) = request_for(collision, engine);
    let mut tables = store.with(|tables| tables.clone());
    drive(engine, &store, request(), inputs(NOON, FIRST_SEED));
    store.with(|written| plant(collision, &mut tables, written));
    tables.unguarded = unguarded.to_vec();
    let promises = Promises { check_transition, check_state: Box::new(|_, _| Ok(())) };
    Explorer::new(engine, tables, &[NOON], promises).sends("one who draws it again", request)
}

fn check_transition(transition: &Transition<'_>) -> Verdict {
    let (before, after) = (transition.before, transition.after);
    let bosses = before.tickets.values().filter(|ticket| ticket.user_id == boss());
    let mut same = bosses.map(|ticket| after.tickets.get(&ticket.digest) == Some(ticket));
    promised(same.all(|same| same), "a ticket stays whose it is")?;
    let ids = after.tickets.values().map(|ticket| ticket.id.as_str());
    promised(are_distinct(ids), "a ticket's id is its own")?;
    let bosses = before.sessions.values().filter(|session| session.user_id == boss());
    let mut same = bosses.map(|session| after.sessions.get(&session.id) == Some(session));
    promised(same.all(|same| same), "a session stays whose it is")?;
    let is_boss = |id: &SessionId| before.sessions.get(id).is_some_and(|session| session.user_id == boss());
    let bosses = before.refresh_tokens.values().filter(|token: &&RefreshToken| is_boss(&token.session_id));
    let mut same = bosses.map(|token| after.refresh_tokens.get(&token.digest) == Some(token));
    promised(same.all(|same| same), "a refresh token stays whose it is")?;
    let bosses = before.challenges.values().filter(|challenge| challenge.sign_in.user_id == boss());
    let mut same = bosses.map(|challenge| after.challenges.get(&challenge.digest) == Some(challenge));
    promised(same.all(|same| same), "a challenge stays whose it is")?;
    let ids = after.devices.iter().map(|device| device.id.as_str());
    promised(are_distinct(ids), "a device's id is its own")?;
    let mut same = before.backup_codes.iter().map(|(code, with)| after.backup_codes.get(code) == Some(with));
    promised(same.all(|same| same), "a backup code stays with its device")
}

fn are_distinct<'a>(ids: impl Iterator<Item = &'a str>) -> bool {
    let mut seen = BTreeSet::new();
    ids.into_iter().all(|id| seen.insert(id))
}
