//! A file with ten million spent tickets, a million people and 100 000 clients, beside an empty one.

use std::time::{Duration, Instant};

use gatepass::store::DATABASE;
use gatepass_tests::http::TestRequest;
use gatepass_tests::server::TestInstallation;
use rusqlite::Connection;

use super::{CONNECTIONS, kept, load, sign_ins};
use crate::flows::{Flow, IssuedCredentials};
use crate::generator::Outcome;
use crate::measured_server::{MeasuredServer, PEOPLE, now};
use crate::meter::{Spread, resident};

const TICKETS: u64 = 10_000_000;
const USERS: usize = 1_000_000;
const CLIENTS: u64 = 100_000;

type Run<'a> = dyn Fn(&MeasuredServer) -> Outcome + 'a;

/// Arguments without and with a sweep.
const UNSWEPT: &[&str] = &["--sweep-interval", "1d"];
const SWEPT: &[&str] = &["--sweep-interval", "1s"];

/// Measures and prints.
pub(crate) fn print(runs: usize, count: usize) {
    println!(
        "{TICKETS} spent tickets, {USERS} people, {CLIENTS} clients; EdDSA, medians of {runs} runs (least–greatest)\n"
    );
    let mut empty = MeasuredServer::new(UNSWEPT, Duration::ZERO);
    let mut full = MeasuredServer::new(UNSWEPT, Duration::ZERO);
    for served in [&mut empty, &mut full] {
        served.sign_by("EdDSA");
    }
    full.people = USERS;
    full.stop_and(fill);

    println!("| | empty file | full file | full / empty |\n|---|---|---|---|");
    let flows: [(&str, &Run<'_>); 4] = [
        ("client credentials/s", &|served| {
            load(
                served,
                &IssuedCredentials::default().requests(Flow::ClientCredentials, served, 1),
                count,
                CONNECTIONS,
            )
        }),
        ("generate-ticket/s", &|served| {
            load(
                served,
                &IssuedCredentials::default().requests(Flow::GenerateTicket, served, count),
                count,
                CONNECTIONS,
            )
        }),
        ("ticket sign-in/s", &|served| load(served, &sign_ins(served, count), count, CONNECTIONS)),
        ("userinfo/s", &|served| {
            let mut credentials = IssuedCredentials::default();
            credentials.keep(Flow::SignIn, &kept(served, &sign_ins(served, 2000)));
            load(served, &credentials.requests(Flow::Userinfo, served, 2000), count, CONNECTIONS)
        }),
    ];
    for (name, flow) in flows {
        let figures: Vec<(f64, f64)> = (0..runs).map(|_| (flow(&empty).rate(), flow(&full).rate())).collect();
        let ratio = Spread::of(figures.iter().map(|(empty, full)| full / empty));
        println!(
            "| {name} | {} | {} | {:.2} ({:.2}–{:.2}) |",
            Spread::of(figures.iter().map(|(empty, _)| *empty)),
            Spread::of(figures.iter().map(|(_, full)| *full)),
            ratio.median,
            ratio.least,
            ratio.greatest
        );
    }
    let memory = [&empty, &full].map(|served| resident(served.running.id()));
    println!("| RSS MiB afterwards | {:.1} | {:.1} | {:.2} |", memory[0], memory[1], memory[1] / memory[0]);
    let starts = [&mut empty, &mut full].map(|served| {
        let times = (0..runs).map(|_| {
            let begin = Instant::now();
            served.restart();
            assert_eq!(TestRequest::new("GET", "/healthz").to(served.address()).status, 200);
            begin.elapsed().as_secs_f64() * 1000.0
        });
        Spread::of(times).median
    });
    println!("| stop, start and first answer, ms | {:.0} | {:.0} | |\n", starts[0], starts[1]);

    println!(
        "One redeemer at the full file, {count} sign-ins:\n\n| sweep | p50 ms | p99 ms | p99.9 ms | slowest ms | swept |\n|---|---|---|---|---|---|"
    );
    for (name, arguments) in [("off", UNSWEPT), ("on", SWEPT)] {
        let requests = sign_ins(&full, count);
        full.arguments = arguments;
        full.restart();
        let before = tickets(&full.installation);
        let outcome = load(&full, &requests, count, 1);
        println!(
            "| {name} | {:.2} | {:.2} | {:.2} | {:.2} | {} |",
            outcome.percentile(0.5),
            outcome.percentile(0.99),
            outcome.percentile(0.999),
            outcome.percentile(1.0),
            before - tickets(&full.installation),
        );
    }
    println!();
}

fn database(installation: &TestInstallation) -> Connection {
    Connection::open(installation.path().join(DATABASE)).expect("the database")
}

fn tickets(installation: &TestInstallation) -> i64 {
    // Rows are removed at the front and added at the end.
    let sql = "SELECT count(*) FROM tickets WHERE seq <= ?1";
    database(installation).query_row(sql, [TICKETS as i64], |row| row.get(0)).expect("a count")
}

/// Writes all records directly into the database. Half of the tickets are old enough to be swept.
fn fill(installation: &TestInstallation) {
    eprintln!("filling the file, which takes some minutes");
    let db = database(installation);
    db.execute_batch(
        "PRAGMA synchronous = OFF; PRAGMA cache_size = -4000000; PRAGMA foreign_keys = OFF; \
         PRAGMA wal_autocheckpoint = 100000; PRAGMA temp_store = MEMORY",
    )
    .expect("settings");
    let now = now().unix();
    let numbers = |from: u64, to: u64| {
        format!("WITH RECURSIVE n (n) AS (SELECT {from} UNION ALL SELECT n + 1 FROM n WHERE n < {to} - 1)")
    };
    let put = |what: &str, sql: String| {
        let begin = Instant::now();
        db.execute(&sql, []).expect(what);
        eprintln!("{what}: {} s", begin.elapsed().as_secs());
    };
    put(
        "people",
        format!(
            "{} INSERT INTO users (id, username, email, status, must_change_password, created_at, updated_at, epoch, revision) \
             SELECT 'usr_person' || n, 'person' || n, 'person' || n || '@example.com', 'active', 0, {now}, {now}, 0, 0 FROM n",
            numbers(PEOPLE as u64, USERS as u64)
        ),
    );
    put(
        "clients",
        format!(
            "{} INSERT INTO clients (id, scope, default_scope, audiences, enabled, created_at, revision) \
             SELECT 'service' || n, 'orders:read', '', '[]', 1, {now}, 0 FROM n",
            numbers(0, CLIENTS)
        ),
    );
    put(
        "their secrets",
        format!(
            "{} INSERT INTO client_secrets (client_id, position, digest, created_at) \
             SELECT 'service' || n, 0, randomblob(32), {now} FROM n",
            numbers(0, CLIENTS)
        ),
    );
    // From three hours ago until now, in the order of issue. Their ids begin with the second, as ours do with its 65
    // 536th.
    for part in 0..10 {
        let (from, to) = (part * TICKETS / 10 + 1, (part + 1) * TICKETS / 10 + 1);
        put(
            "a million tickets",
            format!(
                "{} INSERT INTO tickets (seq, id, digest, user_id, client_id, issuer, for_audience, bind, scope, issued_at, expires_at, spent_at) \
                 SELECT n, 'tic_' || printf('%08x', {now} - 10800 + n * 10800 / {TICKETS}) || lower(hex(randomblob(7))), randomblob(32), 'usr_person' || abs(random() % {USERS}), 'portal', 'backend', 1, 0, \
                 'profile', {now} - 10800 + n * 10800 / {TICKETS}, {now} - 7200 + n * 7200 / {TICKETS}, {now} - 10790 + n * 10790 / {TICKETS} FROM n",
                numbers(from, to)
            ),
        );
    }
    db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("a checkpoint");
}
