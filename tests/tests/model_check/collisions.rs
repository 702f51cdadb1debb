//! A generator that draws what it drew before: a record that is there already is never written over.

use gatepass_core::gatepass::Gatepass;
use gatepass_core::model::id::{DeviceId, SessionId, TicketId, UserId};
use gatepass_core::model::session::RefreshDigest;
use gatepass_core::model::ticket::TicketDigest;
use gatepass_core::step::drive;
use gatepass_core::wire::request::Request;
use gatepass_tests::guard::Guard;
use gatepass_tests::memory::{Memory, Tables};
use gatepass_tests::world::{
    self, BACKEND_SECRET, NOON, asks_for_token, moment, presents, refreshes, request,
};
use serde_json::{Value, json};

use crate::factors::{enrolled, presented};
use crate::stage::{FIRST_SEED, Moved, Promises, Stage, promised};

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
fn request_for(drawn: Drawn, gatepass: &Gatepass) -> (Memory, Box<dyn Fn() -> Request>) {
    let store = Memory::new(world::tables());
    match drawn {
        Drawn::TicketId | Drawn::Ticket => {
            let token = asks_for_token("backend", BACKEND_SECRET, "ticket:issue");
            let token = drive(gatepass, &store, token, moment(NOON, 1)).into_body();
            let token: Value = serde_json::from_slice(&token).expect("JSON");
            let bearer = format!("Bearer {}", token["access_token"].as_str().expect("a token"));
            let asked = json!({"user_id": "usr_alice"});
            (store, Box::new(move || request("/auth/generate-ticket", &bearer, &asked)))
        }
        Drawn::SessionId | Drawn::FirstRefresh => {
            let ticket = world::issue(gatepass, &store, "alice", moment(NOON, 1));
            (store, Box::new(move || presents(&ticket)))
        }
        Drawn::Challenge => {
            let store = enrolled(&[]);
            let ticket = world::issue(gatepass, &store, "fay", moment(NOON, 1));
            (store, Box::new(move || presents(&ticket)))
        }
        Drawn::Successor => {
            let session = presented(gatepass, &store, 1);
            let token = session["refresh_token"].as_str().expect("a token").to_owned();
            (store, Box::new(move || refreshes(&token)))
        }
        Drawn::DeviceId | Drawn::BackupCode => {
            let session = presented(gatepass, &store, 1);
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
            match drawn {
                Drawn::TicketId => ticket.digest = TicketDigest([1; 32]),
                _ => ticket.id = TicketId::parse("tid_boss").expect("an id"),
            }
            ticket.user_id = boss();
            tables.tickets.insert(ticket.digest, ticket);
        }
        Drawn::SessionId | Drawn::FirstRefresh => {
            let mut session = written.sessions.values().next().expect("a session").clone();
            let mut token = written.refresh_tokens.values().next().expect("a token").clone();
            match drawn {
                Drawn::SessionId => token.digest = RefreshDigest([1; 32]),
                _ => session.id = SessionId::parse("ses_boss").expect("an id"),
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
            let session =
                gatepass_core::model::session::Session { id: id.clone(), user_id: boss(), ..session };
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

pub(crate) fn stage<'a>(gatepass: &'a Gatepass, unguarded: &[Guard], drawn: Drawn) -> Stage<'a> {
    let (store, request) = request_for(drawn, gatepass);
    let mut tables = store.with(|tables| tables.clone());
    drive(gatepass, &store, request(), moment(NOON, FIRST_SEED));
    store.with(|written| plant(drawn, &mut tables, written));
    tables.unguarded = unguarded.to_vec();
    let promises = Promises { of_moves, of_states: Box::new(|_, _| Ok(())) };
    Stage::new(gatepass, tables, &[NOON], promises).sends("one who draws it again", request)
}

fn of_moves(moved: &Moved<'_>) -> Result<(), String> {
    let (before, after) = (moved.before, moved.after);
    let tickets = before.tickets.iter().filter(|(_, ticket)| ticket.user_id == boss());
    promised(
        tickets.into_iter().all(|(k, v)| after.tickets.get(k) == Some(v)),
        "a ticket stays whose it is",
    )?;
    let mut ids: Vec<&str> = after.tickets.values().map(|ticket| ticket.id.as_str()).collect();
    ids.sort_unstable();
    promised(ids.windows(2).all(|pair| pair[0] != pair[1]), "a ticket's id is its own")?;
    let sessions = before.sessions.iter().filter(|(_, session)| session.user_id == boss());
    promised(
        sessions.into_iter().all(|(k, v)| after.sessions.get(k) == Some(v)),
        "a session stays whose it is",
    )?;
    let whose = |token: &gatepass_core::model::session::RefreshToken| {
        before.sessions.get(&token.session_id).is_some_and(|session| session.user_id == boss())
    };
    let tokens = before.refresh_tokens.iter().filter(|(_, token)| whose(token));
    promised(
        tokens.into_iter().all(|(k, v)| after.refresh_tokens.get(k) == Some(v)),
        "a refresh token stays whose it is",
    )?;
    let challenges = before.challenges.iter().filter(|(_, c)| c.sign_in.user_id == boss());
    promised(
        challenges.into_iter().all(|(k, v)| after.challenges.get(k) == Some(v)),
        "a challenge stays whose it is",
    )?;
    let mut devices: Vec<&DeviceId> = after.devices.iter().map(|device| &device.id).collect();
    devices.sort_unstable();
    promised(devices.windows(2).all(|pair| pair[0] != pair[1]), "a device's id is its own")?;
    let codes = |(key, with): (_, &DeviceId)| after.backup_codes.get(key).is_none_or(|after| after == with);
    promised(before.backup_codes.iter().all(codes), "a backup code stays with its device")
}
