//! Ticket sign-ins at the store, by 64 at once: over PostgreSQL, beside SQLite, and as a share of what a bare loop of the same statements does.
//!
//! `cargo bench -p gatepass --features postgres --bench postgres`. Both engines lie in memory (`/dev/shm`): what is measured is processor time
//! and round trips, not a disk. `GATEPASS_TICKETS=10000000` measures PostgreSQL alone, before and after that many tickets more are there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "what is not as expected cannot be measured, and the modules of the tests have more than is used here"
)]

mod bound;
#[path = "../../tests/postgres/cluster.rs"]
mod cluster;
#[path = "../../tests/store/fixture.rs"]
mod fixture;
#[path = "../../tests/postgres/records.rs"]
mod records;
#[path = "../../tests/postgres/session.rs"]
mod session;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use gatepass::store::{Access, Create, Installation, Store as SqliteStore, StoreOptions};
use gatepass_core::store::Store;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::{Query, Records};
use gatepass_tests::fixtures;

use cluster::Cluster;
use fixture::ticket;
use records::{Process, redemption};

/// The redeemers at once.
const REDEEMERS: u64 = 64;
/// The sign-ins of one run.
const SIGN_INS: u64 = 20_000;
/// The runs, each of every engine.
const RUNS: u64 = 5;

fn commit(store: &dyn Store, changes: impl IntoIterator<Item = Change>) {
    assert_eq!(store.commit(&changes.into_iter().collect()), Outcome::Applied);
}

fn insert_tickets(store: &dyn Store, from: u64) {
    for batch in (from..from + SIGN_INS).collect::<Vec<_>>().chunks(500) {
        commit(store, batch.iter().map(|number| Change::InsertTicket(ticket(*number))));
    }
}

/// Redeems the tickets from `from` on, and returns the sign-ins a second.
fn sign_ins(store: &Arc<dyn Store + Send + Sync>, from: u64) -> f64 {
    let next = Arc::new(AtomicU64::new(from));
    let began = Instant::now();
    let redeem = || {
        let (store, next) = (Arc::clone(store), Arc::clone(&next));
        thread::spawn(move || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= from + SIGN_INS {
                    return;
                }
                let found = store.read(&Query::Ticket(ticket(number).digest));
                assert!(matches!(found.records, Records::Ticket(Some(_))));
                commit(&*store, redemption(number, number));
            }
        })
    };
    let redeemers: Vec<_> = (0..REDEEMERS).map(|_| redeem()).collect();
    redeemers.into_iter().for_each(|redeemer| redeemer.join().unwrap());
    per_second(began)
}

/// Inserts `number` tickets more, which nobody redeems.
fn fill(cluster: &Cluster, database: &str, number: u64) {
    let others = cluster.sql(
        database,
        "SELECT string_agg(column_name, ', ') FROM information_schema.columns \
         WHERE table_name = 'tickets' AND column_name NOT IN ('id', 'digest')",
    );
    let insert = format!(
        "INSERT INTO tickets (id, digest, {others}) SELECT 'tkt_' || n, sha256(n::text::bytea), {others} \
         FROM (SELECT * FROM tickets WHERE spent_at IS NULL LIMIT 1) one, generate_series(1, {number}) n"
    );
    cluster.sql(database, &insert);
    cluster.sql(database, "VACUUM ANALYZE tickets");
    cluster.sql(database, "CHECKPOINT");
}

/// Measures sign-ins before and after `number` tickets more are there.
fn measure_filled(cluster: &Cluster, database: &str, store: &Arc<dyn Store + Send + Sync>, number: u64) {
    let measure = |first: u64| {
        let rates = (first..first + RUNS).map(|run| {
            insert_tickets(&**store, run * SIGN_INS);
            sign_ins(store, run * SIGN_INS)
        });
        median(rates.collect())
    };
    let before = measure(0);
    insert_tickets(&**store, 2 * RUNS * SIGN_INS);
    fill(cluster, database, number);
    let after = measure(RUNS);
    for (what, (median, least, most)) in [("without", before), ("with", after)] {
        println!("{what} {number} tickets: {median:.0} sign-ins a second ({least:.0}, {most:.0})");
    }
}

fn per_second(began: Instant) -> f64 {
    let sign_ins = u32::try_from(SIGN_INS).unwrap();
    f64::from(sign_ins) / began.elapsed().as_secs_f64()
}

fn median(mut all: Vec<f64>) -> (f64, f64, f64) {
    all.sort_by(f64::total_cmp);
    (all[all.len() / 2], all[0], all[all.len() - 1])
}

fn main() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let url = cluster.url(&database);
    let process = Process::first(&url);
    if let Ok(number) = std::env::var("GATEPASS_TICKETS") {
        let store: Arc<dyn Store + Send + Sync> = Arc::new(process.store.clone());
        return measure_filled(&cluster, &database, &store, number.parse().unwrap());
    }
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let installation = Installation::at(dir.path());
    let sqlite =
        SqliteStore::open_or_create(&installation, Access::Serve, Create::InEmpty, &StoreOptions::default())
            .unwrap();
    let tables = fixtures::tables();
    commit(&sqlite, tables.users.into_values().map(Change::InsertUser));
    commit(&sqlite, tables.clients.into_values().map(Change::InsertClient));
    let engines: [(&str, Arc<dyn Store + Send + Sync>); 2] =
        [("PostgreSQL", Arc::new(process.store.clone())), ("SQLite", Arc::new(sqlite))];
    let mut bound = bound::Bound::open(&url);
    let mut rates = [const { Vec::new() }; 4];
    for run in 0..RUNS {
        let from = run * SIGN_INS * 3;
        for ((_, store), rates) in engines.iter().zip(&mut rates) {
            insert_tickets(&**store, from);
            rates.push(sign_ins(store, from));
        }
        for (which, pipelined) in [(1, true), (2, false)] {
            let from = from + which * SIGN_INS;
            insert_tickets(&*engines[0].1, from);
            let began = Instant::now();
            bound.sign_in(from, SIGN_INS, REDEEMERS, pipelined);
            rates[engines.len() + usize::from(!pipelined)].push(per_second(began));
        }
    }
    println!("sign-ins a second by {REDEEMERS} redeemers, median of {RUNS} runs of {SIGN_INS} (least, most)");
    let names =
        engines.iter().map(|(name, _)| *name).chain(["bare loop over PostgreSQL", "the same, not pipelined"]);
    let [postgres, _, bare, _] = rates.each_ref().map(|rates| median(rates.clone()).0);
    for (name, rates) in names.zip(rates) {
        let (median, least, most) = median(rates);
        println!("{name:26} {median:8.0}  ({least:.0}, {most:.0})");
    }
    println!("PostgreSQL at {:.0} % of the bare loop", 100.0 * postgres / bare);
    println!("round trips: 1 for a read, 2 for a batch of commits");
}
