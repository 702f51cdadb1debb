//! A generator that draws what it drew before: a record that is there already is never written over.

use std::collections::BTreeSet;

use gatepass_core::api::step::drive;
use gatepass_core::engine::Engine;
use gatepass_core::http::request::Request;
use gatepass_core::records::id::{DeviceId, SessionId, TicketId, UserId};
use gatepass_core::records::session::{RefreshDigest, RefreshToken, Session};
use gatepass_core::records::ticket::TicketDigest;
use gatepass_tests::guard::Guard;
use gatepass_tests::memory::{Memory, Tables};
use gatepass_tests::world::{
    self, BACKEND_SECRET, NOON, asks_for_token, inputs, presents, refreshes, request,
};
use serde_json::{Value, json};

use crate::factors::{enrolled, presented};
use crate::stage::{FIRST_SEED, Held, Moved, Promises, Stage, promised};

/// What is drawn a second time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Drawn {
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
    UserId::parse("usr_boss").expect("an id")
}

/// A world, and a request in it that draws such a thing.
fn request_for(drawn: Drawn, engine: &Engine) -> (Memory, Box<dyn Fn() -> Request>) {
    let store = Memory::new(world::tables());
    match drawn {
        Drawn::TicketId | Drawn::Ticket => {
            let token = asks_for_token("backend", BACKEND_SECRET, "ticket:issue");
            let token = drive(engine, &store, token, inputs(NOON, 1)).into_body();
            let token: Value = serde_json::from_slice(&token).expect("JSON");
            let bearer = format!("Bearer {}", token["access_token"].as_str().expect("a token"));
            let asked = json!({"user_id": "usr_alice"});
            (store, Box::new(move || request("/auth/generate-ticket", &bearer, &asked)))
        }
        Drawn::SessionId | Drawn::FirstRefresh => {
            let ticket = world::issue(engine, &store, "alice", inputs(NOON, 1));
            (store, Box::new(move || presents(&ticket)))
        }
        Drawn::Challenge => {
            let store = enrolled(&[]);
            let ticket = world::issue(engine, &store, "fay", inputs(NOON, 1));
            (store, Box::new(move || presents(&ticket)))
        }
        Drawn::Successor => {
            let session = presented(engine, &store, 1);
            let token = session["refresh_token"].as_str().expect("a token").to_owned();
            (store, Box::new(move || refreshes(&token)))
        }
        Drawn::DeviceId | Drawn::BackupCode => {
            let session = presented(engine, &store, 1);
            let bearer = format!("Bearer {}", session["access_token"].as_str().expect("a token"));
            (store, Box::new(move || request("/mfa/totp/setup", &bearer, &json!({}))))
        }
    }
}

/// Puts a record of the boss's into `tables` that has the key of what was written between them and `written`.
fn plant(drawn: Drawn, tables: &mut Tables, written: &Tables) {
    match drawn {
        Drawn::TicketId | Drawn::Ticket => {
            let mut ticket = written.tickets.values().next().expect("a ticket").clone();
            if matches!(drawn, Drawn::TicketId) {
                ticket.digest = TicketDigest([1; 32]);
            } else {
                ticket.id = TicketId::parse("tid_boss").expect("an id");
            }
            ticket.user_id = boss();
            tables.tickets.insert(ticket.digest, ticket);
        }
        Drawn::SessionId | Drawn::FirstRefresh => {
            let mut session = written.sessions.values().next().expect("a session").clone();
            let mut token = written.refresh_tokens.values().next().expect("a token").clone();
            if matches!(drawn, Drawn::SessionId) {
                token.digest = RefreshDigest([1; 32]);
            } else {
                session.id = SessionId::parse("ses_boss").expect("an id");
            }
            session.user_id = boss();
            token.session_id = session.id.clone();
            tables.sessions.insert(session.id.clone(), session);
            tables.refresh_tokens.insert(token.digest, token);
        }
        Drawn::Successor => {
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
        Drawn::Challenge => {
            let mut challenge = written.challenges.values().next().expect("a challenge").clone();
            challenge.sign_in.user_id = boss();
            tables.challenges.insert(challenge.digest, challenge);
        }
        Drawn::DeviceId => {
            let mut device = written.devices.first().expect("a device").clone();
            device.user_id = boss();
            tables.devices.push(device);
        }
        Drawn::BackupCode => {
            let key = written.backup_codes.keys().next().expect("a code").clone();
            tables.backup_codes.insert(key, DeviceId::parse("dev_old").expect("an id"));
        }
    }
}

pub(crate) fn stage<'a>(engine: &'a Engine, unguarded: &[Guard], drawn: Drawn) -> Stage<'a> {
    let (store, request) = request_for(drawn, engine);
    let mut tables = store.with(|tables| tables.clone());
    drive(engine, &store, request(), inputs(NOON, FIRST_SEED));
    store.with(|written| plant(drawn, &mut tables, written));
    tables.unguarded = unguarded.to_vec();
    let promises = Promises { of_moves, of_states: Box::new(|_, _| Ok(())) };
    Stage::new(engine, tables, &[NOON], promises).sends("one who draws it again", request)
}

fn of_moves(moved: &Moved<'_>) -> Held {
    let (before, after) = (moved.before, moved.after);
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
