//! Whoever follows the list of audit rows sees every row once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use gatepass::store::postgres::PostgresStore;
use gatepass::store::prelude::*;
use gatepass::store::{AuditFilter, AuditOrder};

use crate::cluster::Fixture;
use crate::events::{listed, write};
use crate::session::Session;

/// A reader that goes on behind the last row that it has seen, as `gatepass audit --follow` does.
struct Follower {
    store: PostgresStore,
    seen: u64,
    rows: Vec<u64>,
}

impl Follower {
    fn new(fixture: &Fixture) -> Self {
        Self { store: fixture.command(), seen: 0, rows: Vec::new() }
    }

    fn look(&mut self) {
        let span = self.store.audit_span(&AuditFilter::default()).unwrap();
        let newest = span.map_or(0, |span| *span.end());
        let mut rest = (newest > self.seen).then(|| self.seen + 1..=newest);
        while let Some(span) = rest {
            let page =
                self.store.audit_page(&AuditFilter::default(), &span, AuditOrder::OldestFirst).unwrap();
            self.rows.extend(page.rows.iter().map(|row| row.seq));
            rest = page.rest;
        }
        self.seen = self.seen.max(newest);
    }
}

#[test]
fn a_row_that_is_seen_after_one_with_a_larger_number_is_not_skipped() {
    let fixture = Fixture::empty();
    let (slow, fast) = (fixture.store(), fixture.store());
    // The rows of slot 1 have their numbers, and are not committed, while somebody holds lock 1.
    fixture.sql(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END'; \
         CREATE TRIGGER wait AFTER INSERT ON audit FOR EACH ROW WHEN (NEW.slot = 1) EXECUTE FUNCTION wait()",
    );
    let holder = Session::open(&fixture.url());
    holder.run("SELECT pg_advisory_lock(1)").unwrap();
    let mut follower = Follower::new(&fixture);
    thread::scope(|scope| {
        let slow = scope.spawn(|| write(&slow, 1));
        Session::open(&fixture.url()).wait_until("SELECT count(*) = 1 FROM pg_locks WHERE NOT granted");
        write(&fast, 1);
        assert_eq!(fixture.sql("SELECT number FROM audit"), "2\n", "the larger number is committed");
        follower.look();
        assert_eq!(follower.rows, [] as [u64; 0]);
        holder.run("SELECT pg_advisory_unlock(1)").unwrap();
        slow.join().unwrap();
    });
    follower.look();
    assert_eq!(follower.rows, [1, 2]);
}

#[test]
fn a_long_transaction_of_another_program_hides_no_row() {
    let fixture = Fixture::empty();
    let store = fixture.store();
    let other = Session::open(&fixture.url());
    other.run("CREATE TABLE other (n int); BEGIN; INSERT INTO other VALUES (1); SELECT pg_advisory_xact_lock_shared(5)").unwrap();
    write(&store, 2);
    let mut follower = Follower::new(&fixture);
    follower.look();
    assert_eq!(follower.rows, [1, 2]);
}

#[test]
fn a_follower_beside_many_writers_sees_every_row_once_and_in_order() {
    let fixture = Fixture::empty();
    let stores = [fixture.store(), fixture.store(), fixture.command()];
    let over = AtomicBool::new(false);
    let mut follower = Follower::new(&fixture);
    thread::scope(|scope| {
        let writers: Vec<_> =
            stores.iter().flat_map(|store| (0..2).map(|_| scope.spawn(|| write(store, 60)))).collect();
        scope.spawn(|| {
            while !over.load(Ordering::Acquire) {
                follower.look();
            }
            follower.look();
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        over.store(true, Ordering::Release);
    });
    let all: Vec<u64> = listed(&stores[0]).iter().map(|row| row.seq).collect();
    assert_eq!(all.len(), 360);
    assert_eq!(follower.rows, all);
    let verdict = stores[0].verify_audit().unwrap();
    assert_eq!((verdict.rows, verdict.broken), (360, None));
}
