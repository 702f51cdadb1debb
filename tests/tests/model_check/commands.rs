//! What two administrators decide on at the same time, and what a client issues meanwhile.

use gatepass_core::api::step::drive;
use gatepass_core::base::time::Time;
use gatepass_core::engine::Engine;
use gatepass_core::records::client::{Client, ClientRef};
use gatepass_core::records::id::{ClientId, UserId};
use gatepass_core::records::user::{User, Username};
use gatepass_core::store::change::Change;
use gatepass_tests::guard::Guard;
use gatepass_tests::memory::{Memory, Tables};
use gatepass_tests::world::{self, BACKEND_SECRET, NOON, asks_for_token, inputs, request};
use serde_json::{Value, json};

use crate::stage::{Held, Moved, Promises, Stage, Told, promised};

fn id(name: &str) -> UserId {
    UserId::parse(&format!("usr_{name}")).expect("an id")
}

fn backend() -> ClientId {
    ClientId::parse("backend").expect("an id")
}

/// Changes one user's record, where it is there.
fn edits(name: &'static str, edit: fn(&mut User)) -> impl Fn(&Tables, Time) -> Option<Vec<Change>> {
    move |tables, _| {
        let mut user = tables.users.get(&id(name))?.clone();
        edit(&mut user);
        Some(vec![Change::UpdateUser(user)])
    }
}

fn is_called(user: &mut User, name: &str) {
    user.username = Username::parse(name).expect("a user name");
}

/// A new user, where the name is free.
fn adds(who: &'static str, name: &'static str) -> impl Fn(&Tables, Time) -> Option<Vec<Change>> {
    move |tables, _| {
        let mut user = User { id: id(who), ..tables.users.values().next()?.clone() };
        is_called(&mut user, name);
        tables
            .users
            .values()
            .all(|other| other.username != user.username)
            .then(|| vec![Change::InsertUser(user)])
    }
}

fn nothing(_: &Moved<'_>) -> Held {
    Ok(())
}

fn done(told: &[Told<'_>]) -> usize {
    told.iter().filter(|told| told.is_done()).count()
}

pub(crate) fn users<'a>(engine: &'a Engine, unguarded: &[Guard]) -> Stage<'a> {
    let tables = Tables { unguarded: unguarded.to_vec(), ..world::tables() };
    let of_states = |tables: &Tables, told: &[Told<'_>]| {
        let disabled = tables.users.get(&id("fay")).is_none_or(|fay| !fay.is_active());
        promised(disabled || !told[0].is_done(), "whoever was disabled is")?;
        promised(done(&told[2..4]) <= 1, "a user is deleted once")?;
        promised(done(&told[4..6]) <= 1, "an id is given once")?;
        let again = tables.users.contains_key(&id("lou")) && done(&told[2..4]) == 1;
        promised(!again, "nobody gets the id of somebody who was deleted")?;
        let mut names: Vec<&str> = tables.users.values().map(|user| user.username.as_str()).collect();
        names.sort_unstable();
        promised(names.windows(2).all(|pair| pair[0] != pair[1]), "a user name is one user's")
    };
    Stage::new(engine, tables, &[NOON], Promises { of_moves: nothing, of_states: Box::new(of_states) })
        .commands("one who disables", edits("fay", User::disable))
        .commands("one who renames", edits("fay", |user| is_called(user, "zoe")))
        .commands("one who deletes", |tables, _| deletes(tables))
        .commands("another who deletes", |tables, _| deletes(tables))
        .commands("one who adds", adds("new", "zoe"))
        .commands("another who adds", adds("new", "max"))
        .commands("a third who adds", adds("newer", "max"))
        .commands("one who adds her again", adds("lou", "lou"))
}

fn deletes(tables: &Tables) -> Option<Vec<Change>> {
    tables.users.get(&id("lou")).map(|user| vec![Change::DeleteUser(user.id.clone())])
}

/// Changes the record of `backend`, where it is there.
fn alters(edit: fn(&mut Client)) -> impl Fn(&Tables, Time) -> Option<Vec<Change>> {
    move |tables, _| {
        let mut client = tables.clients.get(&backend())?.clone();
        edit(&mut client);
        Some(vec![Change::UpdateClient(client)])
    }
}

fn adds_client(name: &'static str) -> impl Fn(&Tables, Time) -> Option<Vec<Change>> {
    move |tables, _| {
        let id = ClientId::parse("new").ok()?;
        let client =
            Client { id: id.clone(), name: Some(name.into()), ..tables.clients.values().next()?.clone() };
        (!tables.clients.contains_key(&id)).then(|| vec![Change::InsertClient(client)])
    }
}

fn deletes_client(tables: &Tables) -> Option<Vec<Change>> {
    let id = ClientId::parse("closed").ok()?;
    tables.clients.contains_key(&id).then(|| vec![Change::DeleteClient(id)])
}

pub(crate) fn clients<'a>(engine: &'a Engine, unguarded: &[Guard]) -> Stage<'a> {
    let tables = Tables { unguarded: unguarded.to_vec(), ..world::tables() };
    let of_states = |tables: &Tables, told: &[Told<'_>]| {
        let disabled = tables.clients.get(&backend()).is_none_or(|client| !client.enabled);
        promised(disabled || !told[0].is_done(), "a client that was disabled is")?;
        promised(done(&told[2..4]) <= 1, "a client is deleted once")?;
        promised(done(&told[4..6]) <= 1, "a client's id is given once")
    };
    Stage::new(engine, tables, &[NOON], Promises { of_moves: nothing, of_states: Box::new(of_states) })
        .commands("one who disables", alters(Client::disable))
        .commands("one who names", alters(|client| client.name = Some("Renamed".into())))
        .commands("one who deletes", |tables, _| deletes_client(tables))
        .commands("another who deletes", |tables, _| deletes_client(tables))
        .commands("one who adds", adds_client("one"))
        .commands("another who adds", adds_client("another"))
}

/// Whether the client is enabled, and the one that is named.
pub(crate) fn stands(tables: &Tables, named: &ClientRef) -> bool {
    tables.clients.get(&named.id).is_some_and(|client| client.is(named))
}

/// A ticket that one client issued for another is presented, and its session refreshed, while the issuer is deleted or added anew and
/// the other disabled.
pub(crate) fn ends_of_clients<'a>(engine: &'a Engine, unguarded: &[Guard], faults: u8) -> Stage<'a> {
    let store = Memory::new(Tables { unguarded: unguarded.to_vec(), ..world::tables() });
    let token = asks_for_token("backend", BACKEND_SECRET, "ticket:issue");
    let token = drive(engine, &store, token, inputs(NOON, 1)).into_body();
    let token: Value = serde_json::from_slice(&token).expect("JSON");
    let bearer = format!("Bearer {}", token["access_token"].as_str().expect("a token"));
    let issue = || {
        let asked =
            request("/auth/generate-ticket", &bearer, &json!({"user_id": "usr_alice", "audience": "portal"}));
        let issued = drive(engine, &store, asked, inputs(NOON, 2)).into_body();
        let issued: Value = serde_json::from_slice(&issued).expect("JSON");
        issued["ticket"].as_str().expect("a ticket").to_owned()
    };
    let ticket = issue();
    let of_moves = |moved: &Moved<'_>| {
        for change in moved.applied {
            let session = if let Change::InsertSession { session, .. } = change {
                Some(session)
            } else if let Change::RotateRefresh { successor, .. } = change {
                moved.before.sessions.get(&successor.session_id)
            } else {
                None
            };
            let Some(session) = session else { continue };
            let client = session.client_epoch.map(|epoch| ClientRef { id: session.client_id.clone(), epoch });
            let stand = client.iter().chain(&session.issuer).all(|named| stands(moved.before, named));
            promised(stand, "nobody is signed in by or for a client that has ended")?;
        }
        Ok(())
    };
    let promises = Promises { of_moves, of_states: Box::new(|_, _| Ok(())) };
    Stage::new(engine, store.with(|tables| tables.clone()), &[NOON.plus(5)], promises)
        .with_faults(faults)
        .sends("one", move || world::presents(&ticket))
        .asks("one again", |told| told[0].welcome()?.body["refresh_token"].as_str().map(world::refreshes))
        .commands_at_once("one who deletes the issuer", |tables, _| {
            tables.clients.contains_key(&backend()).then(|| vec![Change::DeleteClient(backend())])
        })
        .commands_at_once("one who adds the issuer anew", |tables, _| {
            let gone = tables.clients.contains_key(&backend()).then(|| Change::DeleteClient(backend()));
            let anew = Client { epoch: 9, ..world::tables().clients.remove(&backend())? };
            Some(gone.into_iter().chain([Change::InsertClient(anew)]).collect())
        })
        .commands_at_once("one who disables the portal", |tables, _| {
            let mut portal = tables.clients.get(&ClientId::parse("portal").ok()?)?.clone();
            portal.disable();
            Some(vec![Change::UpdateClient(portal)])
        })
        .commands_at_once("one who enables the portal", |tables, _| {
            let mut portal = tables.clients.get(&ClientId::parse("portal").ok()?)?.clone();
            portal.enable();
            Some(vec![Change::UpdateClient(portal)])
        })
}

/// A client issues tickets for alice, while she is deleted or disabled and the client is disabled.
pub(crate) fn issuing<'a>(engine: &'a Engine, unguarded: &[Guard], faults: u8) -> Stage<'a> {
    let store = Memory::new(Tables { unguarded: unguarded.to_vec(), ..world::tables() });
    let token = asks_for_token("backend", BACKEND_SECRET, "ticket:issue");
    let token = drive(engine, &store, token, inputs(NOON, 1)).into_body();
    let token: Value = serde_json::from_slice(&token).expect("JSON");
    let bearer = format!("Bearer {}", token["access_token"].as_str().expect("a token"));
    let issues = move || request("/auth/generate-ticket", &bearer, &json!({"user_id": "usr_alice"}));
    let of_moves = |moved: &Moved<'_>| {
        for change in moved.applied {
            let Change::InsertTicket(ticket) = change else { continue };
            let user = moved.before.users.get(&ticket.user_id);
            promised(user.is_some_and(User::is_active), "a ticket is for somebody who may sign in")?;
            let issuer = ticket.issuer.as_ref();
            let stands = issuer.is_some_and(|named| stands(moved.before, named));
            promised(stands, "a ticket is issued by who may")?;
        }
        Ok(())
    };
    let of_states = |tables: &Tables, told: &[Told<'_>]| {
        let issued = told.iter().filter(|told| told.welcome().is_some()).count();
        let gone = !tables.users.contains_key(&id("alice"));
        promised(gone || issued <= tables.tickets.len(), "a ticket that is handed out is there")
    };
    let stage = Stage::new(
        engine,
        store.with(|tables| tables.clone()),
        &[NOON],
        Promises { of_moves, of_states: Box::new(of_states) },
    );
    stage
        .with_faults(faults)
        .sends("one request", issues.clone())
        .sends("another", issues)
        .commands_at_once("one who disables", edits("alice", User::disable))
        .commands_at_once("one who deletes", |tables, _| {
            tables.users.get(&id("alice")).map(|user| vec![Change::DeleteUser(user.id.clone())])
        })
        .commands_at_once("one who closes", alters(Client::disable))
}
