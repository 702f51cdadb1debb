//! Concurrency: on threads, and on two stores as of two processes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use gatepass_core::records::delivery::TicketResult;
use gatepass_core::records::id::ClientId;
use gatepass_core::records::ticket::TicketState;
use gatepass_core::store::Store as _;
use gatepass_core::store::audit::Kind;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::{Found, Query, Records};

use crate::engines::{Engine, on_every_engine};
use crate::fixture::*;

fn outcomes(all: &[Outcome], which: Outcome) -> usize {
    all.iter().filter(|o| **o == which).count()
}

on_every_engine!(
    of_sixty_four_spends_of_one_ticket_one_succeeds,
    what_is_read_together_is_what_each_finds_in_one_snapshot,
    clients_that_are_read_together_are_each_their_own_and_of_one_snapshot,
    the_chain_holds_however_many_write_it,
    what_one_store_writes_the_other_reads_next,
);

fn of_sixty_four_spends_of_one_ticket_one_succeeds<E: Engine>() {
    for stores in [1, 2] {
        let fixture = E::with_records();
        let stores: Vec<_> = (0..stores).map(|_| fixture.open()).collect();
        assert_eq!(commit(&stores[0], [Change::InsertTicket(ticket(1))]), Outcome::Applied);
        let used = stores.clone();
        let all =
            at_once(64, move |i| commit(&used[usize::try_from(i).unwrap() % used.len()], redemption(1, i)));
        assert_eq!(outcomes(&all, Outcome::Applied), 1);
        assert_eq!(outcomes(&all, Outcome::Conflict), 63);
        assert_eq!(state(&stores[0], 1), Some(TicketState::Spent { at: NOW.plus(1), delivery: None }));
        assert_eq!(audit(&*stores[0]).len(), 1);
        assert!(stores[0].verify_audit().unwrap().holds());
    }
}

fn what_is_read_together_is_what_each_finds_in_one_snapshot<E: Engine>() {
    let fixture = E::with_records();
    let store = fixture.open();
    let both = [1, 2].map(|number| Change::InsertTicket(ticket(number)));
    assert_eq!(commit(&store, both), Outcome::Applied);
    let queries = [1, 3, 2].map(|number| Query::Ticket(ticket(number).digest));
    let alone: Vec<Found> = queries.iter().map(|query| store.read(query)).collect();
    assert_eq!(store.read_all(&queries.each_ref()).unwrap(), alone);
    assert_eq!(store.read_all(&[]).unwrap(), []);

    let led_to = |number| TicketResult::Session(opened(number));
    let use_once = |number| Change::SpendTicket {
        digest: ticket(number).digest,
        at: NOW,
        delivery: delivery(1, led_to(1)),
    };
    assert_eq!(commit(&store, [1, 2].map(use_once)), Outcome::Applied);
    let other = fixture.open();
    let writer = thread::spawn(move || {
        for round in 0..300 {
            let repeat = |number| Change::RepeatTicket { digest: ticket(number).digest, first: round == 0 };
            assert_eq!(commit(&other, [1, 2].map(repeat)), Outcome::Applied);
        }
    });
    while !writer.is_finished() {
        let found = store.read_all(&queries.each_ref()).unwrap();
        let spent = |found: &Found| {
            let Records::Ticket(Some(records)) = &found.records else { panic!("{found:?}") };
            records.ticket.state.clone()
        };
        assert_eq!(spent(&found[0]), spent(&found[2]));
    }
    writer.join().unwrap();
}

fn clients_that_are_read_together_are_each_their_own_and_of_one_snapshot<E: Engine>() {
    let fixture = E::with_records();
    let store = fixture.open();
    let ids = ["portal", "backend", "none", "portal", "closed", "none", "backend"];
    let queries = ids.map(|id| Query::Client(ClientId::parse(id).unwrap()));
    let alone: Vec<Found> = queries.iter().map(|query| store.read(query)).collect();
    assert_eq!(store.read_all(&queries.each_ref()).unwrap(), alone);
    let names = |found: &Found| {
        let Records::Client(client) = &found.records else { panic!("{found:?}") };
        client.as_ref().map_or_else(|| "none".to_owned(), |client| client.id.to_string())
    };
    assert!(alone.iter().map(names).eq(ids));

    let (other, mut clients) = (fixture.open(), store.clients().unwrap());
    let writer = thread::spawn(move || {
        for enabled in (0..300).map(|round| round % 2 == 1) {
            clients.iter_mut().for_each(|client| client.enabled = enabled);
            let update = clients.iter().cloned().map(Change::UpdateClient);
            assert_eq!(commit(&other, update), Outcome::Applied);
            clients.iter_mut().for_each(|client| client.revision += 1);
        }
    });
    let enabled = |found: &Found| matches!(&found.records, Records::Client(Some(client)) if client.enabled);
    while !writer.is_finished() {
        let found = store.read_all(&queries.each_ref()).unwrap();
        assert_eq!(enabled(&found[0]), enabled(&found[1]));
    }
    writer.join().unwrap();
    // The last round enabled all three, including `closed`, which was disabled when it was read above.
    let found = store.read_all(&queries.each_ref()).unwrap();
    assert_eq!(found.iter().filter(|one| enabled(one)).count(), 5);
}

fn the_chain_holds_however_many_write_it<E: Engine>() {
    let fixture = E::with_records();
    let stores = [fixture.open(), fixture.open()];
    let used = stores.clone();
    let all = at_once(32, move |i| {
        let store = &used[usize::try_from(i).unwrap() % 2];
        // Every third commit fails after it has written an audit row.
        let last = if i % 3 == 0 { spend(999) } else { Change::Probe };
        let event = event(Kind::TicketIssued, i);
        commit(store, [Change::InsertTicket(ticket(i)), Change::Audit(event), last])
    });
    assert_eq!(outcomes(&all, Outcome::Applied), 21);
    assert_eq!(outcomes(&all, Outcome::Conflict), 11);
    let verdict = stores[0].verify_audit().unwrap();
    assert!(verdict.holds(), "{verdict:?}");
    assert_eq!(verdict.rows, 21);
    let seqs: Vec<_> = audit(&*stores[1]).into_iter().map(|row| row.seq).collect();
    assert_eq!(seqs, (1..=21).collect::<Vec<_>>());
}

#[test]
fn two_first_starts_at_once_make_one_installation() {
    for _ in 0..10 {
        let fixture = Arc::new(Fixture::empty());
        let used = Arc::clone(&fixture);
        let stores = at_once(4, move |_| used.store());
        for (i, store) in (0u64..).zip(&stores) {
            let event = event(Kind::UserAdded, i);
            assert_eq!(commit(store, [Change::Audit(event)]), Outcome::Applied);
        }
        assert!(stores.iter().all(|store| store.verify_audit().unwrap().rows == 4));
    }
}

fn what_one_store_writes_the_other_reads_next<E: Engine>() {
    let fixture = E::with_records();
    let (one, other) = (fixture.open(), fixture.open());
    for i in 0..50 {
        assert_eq!(commit(&one, [Change::InsertTicket(ticket(i))]), Outcome::Applied);
        assert_eq!(state(&other, i), Some(TicketState::Live));
        assert_eq!(commit(&other, redemption(i, i)), Outcome::Applied);
        assert_eq!(state(&one, i), Some(TicketState::Spent { at: NOW.plus(1), delivery: None }));
    }
}

#[test]
fn waiting_commits_are_written_together() {
    let fixture = Fixture::new();
    let store = fixture.store();
    let commits =
        || -> i64 { fixture.sql().query_row("SELECT commits FROM meta", [], |row| row.get(0)).unwrap() };
    // While another connection holds the lock, all commits wait behind the first.
    let other = fixture.sql();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let before = commits();
    let (used, begun) = (store.clone(), Arc::new(AtomicU64::new(0)));
    let counted = Arc::clone(&begun);
    let waiting = thread::spawn(move || {
        at_once(32, move |i| {
            counted.fetch_add(1, Ordering::SeqCst);
            commit(&used, [Change::InsertTicket(ticket(i))])
        })
    });
    while begun.load(Ordering::SeqCst) < 32 {
        thread::yield_now();
    }
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(outcomes(&waiting.join().unwrap(), Outcome::Applied), 32);
    let transactions = commits() - before;
    assert!((1..32).contains(&transactions), "{transactions} transactions for 32 commits");
}
