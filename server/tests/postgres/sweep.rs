//! Several processes sweep the same database.

use std::thread;

use gatepass::store::postgres::PostgresStore;
use gatepass::store::prelude::*;
use gatepass::store::{CountedTable, KEEP_EXPIRED, Swept};
use gatepass_core::store::change::{Change, Outcome};

use crate::cluster::Fixture;
use crate::events::{commit, insert_records, listed};
use crate::fixture::{NOW, alice, begin, ticket};
use crate::session::Session;

/// The time at which everything has expired long enough.
fn late() -> gatepass_core::base::time::Time {
    NOW.plus(300 + KEEP_EXPIRED + 1)
}

/// A database with so many expired tickets, whose answers were repeated twice, and as many sessions.
fn expired(count: u64) -> Fixture {
    let fixture = Fixture::empty();
    let store = fixture.store();
    insert_records(&store);
    assert_eq!(commit(&store, (0..count).map(|n| Change::InsertTicket(ticket(n)))), Outcome::Applied);
    assert_eq!(commit(&store, (0..count).map(begin)), Outcome::Applied);
    fixture.sql(
        "UPDATE tickets SET spent_at = 1, delivery_request = digest, delivery_salt = digest, delivery_session = 'ses_1', \
         delivery_refresh = digest, repeated = 3; UPDATE sessions SET expires_at = signed_in_at + 300",
    );
    fixture
}

fn sweep_all(store: &PostgresStore) -> (usize, usize) {
    let (mut tickets, mut sessions) = (0, 0);
    loop {
        let swept = store.sweep(late(), 16).unwrap();
        (tickets, sessions) = (tickets + swept.tickets, sessions + swept.sessions);
        assert!(swept.tickets <= 16 && swept.sessions <= 16, "{swept:?}");
        if !swept.more {
            return (tickets, sessions);
        }
    }
}

fn count(fixture: &Fixture, from: &str) -> u64 {
    fixture.sql(&format!("SELECT count(*) FROM {from}")).trim().parse().unwrap()
}

#[test]
fn two_processes_at_once_delete_every_row_once() {
    let fixture = expired(300);
    let stores = [fixture.store(), fixture.store()];
    let swept = thread::scope(|scope| {
        stores.each_ref().map(|store| scope.spawn(|| sweep_all(store))).map(|thread| thread.join().unwrap())
    });
    let sum = |part: fn(&(usize, usize)) -> usize| swept.iter().map(part).sum::<usize>();
    assert_eq!((sum(|swept| swept.0), sum(|swept| swept.1)), (300, 300), "{swept:?}");
    for table in ["tickets", "sessions", "refresh_tokens"] {
        assert_eq!(count(&fixture, table), 0, "{table}");
    }
    // How often each was repeated after the first time, once.
    let rows = listed(&stores[0]);
    let mut told: Vec<_> = rows.iter().map(|row| (row.event.ticket.clone(), row.event.count)).collect();
    told.sort();
    told.dedup();
    assert_eq!((rows.len(), told.len()), (300, 300));
    assert!(told.iter().all(|(_, count)| *count == 2));
    assert!(stores[0].verify_audit().unwrap().holds());
}

#[test]
fn rows_that_somebody_holds_are_left_for_later() {
    let fixture = expired(10);
    let (store, other) = (fixture.store(), Session::open(&fixture.url()));
    other.run(
        "BEGIN; SELECT 1 FROM tickets WHERE id IN ('tid_1', 'tid_2') FOR UPDATE; \
         SELECT 1 FROM sessions WHERE id = 'ses_3' FOR SHARE; SELECT 1 FROM refresh_tokens WHERE session = 'ses_4' FOR UPDATE",
    ).unwrap();
    let swept = store.sweep(late(), 100).unwrap();
    assert_eq!((swept.tickets, swept.sessions, swept.more), (8, 8, false), "{swept:?}");
    other.run("ROLLBACK").unwrap();
    let swept = store.sweep(late(), 100).unwrap();
    assert_eq!((swept.tickets, swept.sessions, swept.more), (2, 2, false), "{swept:?}");
    assert_eq!(store.sweep(late(), 100).unwrap(), Swept::default());
}

#[test]
fn nothing_is_swept_before_its_time() {
    let fixture = expired(3);
    let store = fixture.store();
    assert_eq!(store.sweep(NOW.plus(300 + KEEP_EXPIRED), 100).unwrap(), Swept::default());
    assert_eq!((count(&fixture, "tickets"), count(&fixture, "sessions")), (3, 3));
}

#[test]
fn a_session_with_many_tokens_loses_them_in_small_steps() {
    let fixture = expired(1);
    let store = fixture.store();
    fixture.sql(
        "INSERT INTO refresh_tokens (digest, session, issued_at, expires_at, number, refreshes) \
         SELECT sha256(n::text::bytea), 'ses_0', 1, 2, n, 0 FROM generate_series(1, 1300) n",
    );
    let mut tokens = Vec::new();
    loop {
        let swept = store.sweep(late(), 100).unwrap();
        tokens.push(swept.refresh_tokens);
        if !swept.more {
            break;
        }
    }
    assert_eq!(tokens, [512, 512, 277]);
    assert_eq!(count(&fixture, "sessions"), 0);
}

#[test]
fn what_a_deleted_user_leaves_is_swept_and_then_forgotten() {
    let fixture = expired(0);
    let store = fixture.store();
    assert_eq!(commit(&store, (0..5).map(begin)), Outcome::Applied);
    assert_eq!(commit(&store, [Change::DeleteUser(alice())]), Outcome::Applied);
    let other = Session::open(&fixture.url());
    other.run("BEGIN; SELECT 1 FROM sessions WHERE id = 'ses_2' FOR SHARE").unwrap();
    assert_eq!(store.sweep(NOW, 100).unwrap().sessions, 4);
    assert!(!store.sweep(NOW, 100).unwrap().more, "nobody waits for it");
    assert_eq!((count(&fixture, "sessions"), count(&fixture, "deleted_users")), (1, 1));
    other.run("ROLLBACK").unwrap();
    assert_eq!(store.sweep(NOW, 100).unwrap().sessions, 1);
    assert_eq!((count(&fixture, "sessions"), count(&fixture, "deleted_users")), (0, 0));
}

#[test]
fn ids_of_transactions_are_kept_for_a_day() {
    let fixture = Fixture::empty();
    let store = fixture.store();
    fixture.sql(
        "INSERT INTO commits SELECT substr(sha256(n::text::bytea), 1, 16), 1, extract(epoch FROM now())::bigint - n * 3600 + 1800 \
         FROM generate_series(20, 30) n",
    );
    let old = "commits WHERE at < extract(epoch FROM now())::bigint - 86400";
    assert_eq!(count(&fixture, old), 6);
    let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let wall = gatepass_core::base::time::Time::from_unix(wall + 60);
    // By our own time none of them is old.
    store.sweep(NOW, 100).unwrap();
    assert_eq!(count(&fixture, old), 6);
    while store.sweep(wall, 4).unwrap().more {}
    assert_eq!(count(&fixture, old), 0);
    assert!(count(&fixture, "commits") >= 5);
}

#[test]
fn rows_are_counted_a_few_pages_at_a_time() {
    let fixture = expired(0);
    let store = fixture.store();
    let tickets = 700;
    assert_eq!(commit(&store, (0..tickets).map(|n| Change::InsertTicket(ticket(n)))), Outcome::Applied);
    for (table, rows) in [
        (CountedTable::Users, 7),
        (CountedTable::Clients, 3),
        (CountedTable::Tickets, tickets),
        (CountedTable::Sessions, 0),
    ] {
        let (mut counted, mut after, mut steps) = (0, None, 0);
        loop {
            let part = store.count_rows(table, after, 300).unwrap().unwrap();
            assert!(part.rows <= 300);
            (counted, steps) = (counted + u64::from(part.rows), steps + 1);
            after = part.rest;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(counted, rows, "{table:?}");
        assert!(table != CountedTable::Tickets || steps > 2);
    }
    assert!(store.database_bytes() > 1_000_000);
}
