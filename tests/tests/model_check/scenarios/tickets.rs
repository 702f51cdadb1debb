//! One ticket: three present it, it is revoked, the user is disabled, and the clock steps past its end and back.

use gatepass_core::admin::sessions::EndUserSessions;
use gatepass_core::admin::tickets::RevokeTicket;
use gatepass_core::engine::Engine;
use gatepass_core::http::request::Request;
use gatepass_core::records::id::UserRef;
use gatepass_core::records::ticket::TicketState;
use gatepass_core::store::change::Change;
use gatepass_tests::fixtures::{self, BACKEND_SECRET, NOON, inputs, presents, presents_as, refreshes};
use gatepass_tests::guard::Guard;
use gatepass_tests::memory::{Memory, Tables};

use super::commands::{deletes, disables, disables_client, operates};
use super::explorer::{ActorResult, Explorer, Promises, Transition, Verdict, promised};

pub(crate) fn explorer<'a>(engine: &'a Engine, unguarded: &[Guard], faults: u8) -> Explorer<'a> {
    let store = Memory::new(fixtures::tables());
    let ticket = fixtures::issue(engine, &store, "alice", inputs(NOON, 1));
    let tables = store.with(|tables| Tables { unguarded: unguarded.to_vec(), ..tables.clone() });
    let id = tables.tickets.values().next().expect("a ticket").id.clone();
    // At its last second, at its end, and back again.
    let clock = [NOON.plus(299), NOON.plus(300), NOON];
    Explorer::new(engine, tables, &clock, Promises { check_transition, check_state: Box::new(check_state) })
        .with_faults(faults)
        .sends("one", presenting(&ticket))
        .sends("another", presenting(&ticket))
        .sends("a third", presenting(&ticket))
        .commands("the operator", operates(2, move || RevokeTicket { ticket: id.clone() }))
        .commands_at_once("the administrator", disables("alice"))
}

/// Boss signs in as alice at the portal and refreshes, while boss is signed out everywhere, disabled or deleted, and the
/// portal is disabled.
pub(crate) fn impersonation<'a>(engine: &'a Engine, unguarded: &[Guard], faults: u8) -> Explorer<'a> {
    let store = Memory::new(Tables { unguarded: unguarded.to_vec(), ..fixtures::tables() });
    let ticket = fixtures::impersonating(engine, &store);
    let tables = store.with(|tables| tables.clone());
    let promises = Promises { check_transition, check_state: Box::new(|_, _| Ok(())) };
    Explorer::new(engine, tables, &[NOON.plus(5)], promises)
        .with_faults(faults)
        .sends("boss", presenting(&ticket))
        .asks("boss again", |told| told[0].welcome()?.body["refresh_token"].as_str().map(refreshes))
        .commands_at_once("one who disables boss", disables("boss"))
        .commands_at_once("one who deletes boss", deletes("boss"))
        .commands_at_once(
            "one who signs boss out",
            operates(1, || EndUserSessions { user: UserRef::Username("boss".into()) }),
        )
        .commands_at_once("one who disables the portal", disables_client("portal"))
}

/// Another client presents the portal's ticket, by which boss was to act as alice, while boss is deleted. No record about
/// boss may outlive them.
pub(crate) fn wasted<'a>(engine: &'a Engine, unguarded: &[Guard]) -> Explorer<'a> {
    let store = Memory::new(Tables { unguarded: unguarded.to_vec(), ..fixtures::tables() });
    let ticket = fixtures::impersonating(engine, &store);
    store.with(|tables| tables.tickets.values_mut().for_each(|ticket| ticket.bind = true));
    let tables = store.with(|tables| tables.clone());
    let promises = Promises { check_transition, check_state: Box::new(|_, _| Ok(())) };
    let by_another = |ticket: String| move || presents_as("backend", BACKEND_SECRET, &ticket);
    Explorer::new(engine, tables, &[NOON.plus(5)], promises)
        .sends("another client", by_another(ticket.clone()))
        .sends("the same again", by_another(ticket))
        .commands_at_once("one who deletes boss", deletes("boss"))
}

/// A ticket is presented twice and its session refreshed, while older state is put back, which changes the state epoch.
pub(crate) fn put_back<'a>(engine: &'a Engine, unguarded: &[Guard], faults: u8) -> Explorer<'a> {
    let store = Memory::new(Tables { unguarded: unguarded.to_vec(), ..fixtures::tables() });
    let ticket = fixtures::issue(engine, &store, "alice", inputs(NOON, 1));
    let check_transition = |transition: &Transition<'_>| {
        let welcomed = transition.answer.is_some_and(|answer| answer.status == 200);
        let raised = transition.before.state_epoch != 0;
        promised(!(welcomed && raised), "nothing that was issued before is answered 200 afterwards")?;
        check_transition(transition)
    };
    let check_state = |tables: &Tables, told: &[ActorResult<'_>]| check_state(tables, &told[..2]);
    let promises = Promises { check_transition, check_state: Box::new(check_state) };
    Explorer::new(engine, store.with(|tables| tables.clone()), &[NOON.plus(5)], promises)
        .with_faults(faults)
        .sends("one", presenting(&ticket))
        .sends("another", presenting(&ticket))
        .asks("one again", |told| told[0].welcome()?.body["refresh_token"].as_str().map(refreshes))
        .alters("one who puts older state back", |tables| tables.state_epoch = 7)
}

fn presenting(ticket: &str) -> impl Fn() -> Request + use<> {
    let ticket = ticket.to_owned();
    move || presents(&ticket)
}

fn check_transition(transition: &Transition<'_>) -> Verdict {
    for (digest, before) in &transition.before.tickets {
        let after = transition.after.tickets.get(digest).map(|ticket| ticket.state.clone());
        let same = before.state == TicketState::Live || after.is_none_or(|after| after == before.state);
        promised(same, "a ticket that was spent or revoked stays so")?;
    }
    let expired = transition.applied.iter().any(|change| {
        matches!(change, Change::InsertSession { session, .. }
            if transition.before.tickets.values().any(|ticket| session.auth_time >= ticket.expires_at))
    });
    promised(!expired, "a ticket opens nothing once it has expired")
}

fn check_state(tables: &Tables, told: &[ActorResult<'_>]) -> Verdict {
    let welcomed = told.iter().filter(|told| told.welcome().is_some()).count();
    promised(welcomed <= 1, "a ticket is answered 200 at most once")?;
    let spent = tables.tickets.values().any(|ticket| matches!(ticket.state, TicketState::Spent { .. }));
    promised(spent || welcomed == 0, "a ticket that was answered 200 is spent")?;
    promised(tables.sessions.len() <= usize::from(spent), "a session has its ticket")
}
