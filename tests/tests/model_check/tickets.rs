//! One ticket: three who present it, the ticket revoked, the user disabled, a clock that steps past its end and back.

use gatepass_core::base::time::Time;
use gatepass_core::engine::Engine;
use gatepass_core::http::request::Request;
use gatepass_core::records::id::{ClientId, UserId};
use gatepass_core::records::ticket::TicketState;
use gatepass_core::store::change::Change;
use gatepass_tests::guard::Guard;
use gatepass_tests::memory::{Memory, Tables};
use gatepass_tests::world::{self, NOON, inputs, presents, refreshes};

use crate::stage::{Held, Moved, Promises, Stage, Told, promised};

pub(crate) fn stage<'a>(engine: &'a Engine, unguarded: &[Guard], faults: u8) -> Stage<'a> {
    let store = Memory::new(world::tables());
    let ticket = world::issue(engine, &store, "alice", inputs(NOON, 1));
    let tables = store.with(|tables| Tables { unguarded: unguarded.to_vec(), ..tables.clone() });
    // At its last second, at its end, and back again.
    let clock = [NOON.plus(299), NOON.plus(300), NOON];
    Stage::new(engine, tables, &clock, Promises { of_moves, of_states: Box::new(of_states) })
        .with_faults(faults)
        .sends("one", presenting(&ticket))
        .sends("another", presenting(&ticket))
        .sends("a third", presenting(&ticket))
        .commands_at_once("the operator", |tables, at| {
            let ticket = tables.tickets.values().next()?;
            Some(vec![Change::RevokeTicket { id: ticket.id.clone(), at }])
        })
        .commands_at_once("the administrator", |tables, _| {
            let mut user = tables.users.get(&UserId::parse("usr_alice").ok()?)?.clone();
            user.disable();
            Some(vec![Change::UpdateUser(user)])
        })
}

/// Boss signs in as alice at the portal and refreshes, while boss is signed out everywhere, disabled or deleted, and the
/// portal shut out.
pub(crate) fn impersonation<'a>(engine: &'a Engine, unguarded: &[Guard], faults: u8) -> Stage<'a> {
    let store = Memory::new(Tables { unguarded: unguarded.to_vec(), ..world::tables() });
    let ticket = world::impersonating(engine, &store);
    let tables = store.with(|tables| tables.clone());
    let promises = Promises { of_moves, of_states: Box::new(|_, _| Ok(())) };
    Stage::new(engine, tables, &[NOON.plus(5)], promises)
        .with_faults(faults)
        .sends("boss", presenting(&ticket))
        .asks("boss again", |told| told[0].welcome()?.body["refresh_token"].as_str().map(refreshes))
        .commands_at_once("one who disables boss", |tables, _| {
            let mut user = tables.users.get(&UserId::parse("usr_boss").ok()?)?.clone();
            user.disable();
            Some(vec![Change::UpdateUser(user)])
        })
        .commands_at_once("one who deletes boss", deletes_boss)
        .commands_at_once("one who signs boss out", |tables, _| {
            let boss = tables.users.get(&UserId::parse("usr_boss").ok()?)?;
            Some(vec![Change::RaiseEpoch { id: boss.id.clone(), epoch: boss.epoch }])
        })
        .commands_at_once("one who disables the portal", |tables, _| {
            let mut client = tables.clients.get(&ClientId::parse("portal").ok()?)?.clone();
            client.disable();
            Some(vec![Change::UpdateClient(client)])
        })
}

/// Somebody who is not the portal presents its ticket, by which boss was to act as alice, while boss is deleted: what is
/// remembered of boss must not outlive them.
pub(crate) fn wasted<'a>(engine: &'a Engine, unguarded: &[Guard]) -> Stage<'a> {
    let store = Memory::new(Tables { unguarded: unguarded.to_vec(), ..world::tables() });
    let ticket = world::impersonating(engine, &store);
    store.with(|tables| tables.tickets.values_mut().for_each(|ticket| ticket.bind = true));
    let tables = store.with(|tables| tables.clone());
    let promises = Promises { of_moves, of_states: Box::new(|_, _| Ok(())) };
    Stage::new(engine, tables, &[NOON.plus(5)], promises)
        .sends("a stranger", presenting(&ticket))
        .sends("another", presenting(&ticket))
        .commands_at_once("one who deletes boss", deletes_boss)
}

/// A ticket is presented twice and its session refreshed, while older state is put back: the state epoch is another one from
/// then on.
pub(crate) fn put_back<'a>(engine: &'a Engine, unguarded: &[Guard], faults: u8) -> Stage<'a> {
    let store = Memory::new(Tables { unguarded: unguarded.to_vec(), ..world::tables() });
    let ticket = world::issue(engine, &store, "alice", inputs(NOON, 1));
    let of_moves = |moved: &Moved<'_>| {
        let welcomed = moved.answer.is_some_and(|answer| answer.status == 200);
        let raised = moved.before.state_epoch != 0;
        promised(!(welcomed && raised), "nothing that was issued before is answered 200 afterwards")?;
        of_moves(moved)
    };
    let of_states = |tables: &Tables, told: &[Told<'_>]| of_states(tables, &told[..2]);
    let promises = Promises { of_moves, of_states: Box::new(of_states) };
    Stage::new(engine, store.with(|tables| tables.clone()), &[NOON.plus(5)], promises)
        .with_faults(faults)
        .sends("one", presenting(&ticket))
        .sends("another", presenting(&ticket))
        .asks("one again", |told| told[0].welcome()?.body["refresh_token"].as_str().map(refreshes))
        .alters("one who puts older state back", |tables| tables.state_epoch = 7)
}

fn deletes_boss(tables: &Tables, _: Time) -> Option<Vec<Change>> {
    let boss = UserId::parse("usr_boss").ok()?;
    tables.users.contains_key(&boss).then(|| vec![Change::DeleteUser(boss)])
}

fn presenting(ticket: &str) -> impl Fn() -> Request + use<> {
    let ticket = ticket.to_owned();
    move || presents(&ticket)
}

fn of_moves(moved: &Moved<'_>) -> Held {
    for (digest, before) in &moved.before.tickets {
        let after = moved.after.tickets.get(digest).map(|ticket| ticket.state.clone());
        let same = before.state == TicketState::Live || after.is_none_or(|after| after == before.state);
        promised(same, "a ticket that was spent or revoked stays so")?;
    }
    let expired = moved.applied.iter().any(|change| {
        matches!(change, Change::InsertSession { session, .. }
            if moved.before.tickets.values().any(|ticket| session.auth_time >= ticket.expires_at))
    });
    promised(!expired, "a ticket opens nothing once it has expired")
}

fn of_states(tables: &Tables, told: &[Told<'_>]) -> Held {
    let welcomed = told.iter().filter(|told| told.welcome().is_some()).count();
    promised(welcomed <= 1, "a ticket is answered 200 at most once")?;
    let spent = tables.tickets.values().any(|ticket| matches!(ticket.state, TicketState::Spent { .. }));
    promised(spent || welcomed == 0, "a ticket that was answered 200 is spent")?;
    promised(tables.sessions.len() <= usize::from(spent), "a session has its ticket")
}
