//! The database's clock is the wall clock of every process: one whose own clock is wrong judges by it, and moves the mark for nobody.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use gatepass::store::prelude::*;
use gatepass::store::{Clock, Swept};
use gatepass_core::base::time::Time;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_tests::http::TestRequest;
use gatepass_tests::preloaded_clock::PreloadedClock;
use gatepass_tests::server::{Running, TestInstallation};
use serde_json::{Value, json};

use crate::cluster::Fixture;
use crate::events::{commit, insert_records};
use crate::fixture::ticket;

const HOUR: i64 = 3600;
const YEAR: i64 = 365 * 24 * HOUR;

fn machine() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

fn installation(fixture: &Fixture) -> TestInstallation {
    TestInstallation::in_database(Path::new(env!("CARGO_BIN_EXE_gatepass")), fixture.url())
}

/// Lets the clock that new connections to the database see be `ahead` seconds ahead.
fn shift(fixture: &Fixture, ahead: i64) {
    let database = fixture.database();
    fixture.sql(&format!(
        "CREATE SCHEMA IF NOT EXISTS shifted; CREATE OR REPLACE FUNCTION shifted.clock_timestamp() RETURNS timestamptz VOLATILE \
         LANGUAGE sql AS 'SELECT pg_catalog.clock_timestamp() + {ahead} * interval ''1 second'''; \
         ALTER DATABASE {database} SET search_path = shifted, pg_catalog, public"
    ));
    fixture.cluster().terminate_backends(database);
}

fn readiness(server: &Running) -> u16 {
    TestRequest::new("GET", "/readyz").to(server.address).status
}

#[test]
fn a_process_with_a_wrong_clock_judges_by_the_database_and_moves_the_mark_for_nobody() {
    let fixture = Fixture::empty();
    let right = installation(&fixture);
    right.populate();
    let issuer = ["--issuer", "http://gate.example"];
    let server = right.serve(&issuer);
    let number = |sql: &str| fixture.sql(sql).trim().parse::<i64>().unwrap();
    for off in [40 * YEAR, 50 * 60, -50 * 60, -10 * YEAR, 60 - machine()] {
        let wrong = installation(&fixture);
        fs::copy(right.path().join("master.key"), wrong.path().join("master.key")).unwrap();
        let clock = PreloadedClock::new(off, 0);
        let command = |arguments: &[&str]| {
            let mut command = wrong.command(arguments);
            clock.attach(&mut command);
            command
        };
        let mut serve = command(&["--json", "serve", "--listen", "127.0.0.1:0"]);
        serve.args(issuer);
        let log = fs::File::create(wrong.path().join("log")).unwrap();
        let other = Running::start(serve, log.into());
        assert_eq!((readiness(&other), readiness(&server)), (503, 200), "{off}");
        let log = fs::read_to_string(wrong.path().join("log")).unwrap();
        assert!(log.contains("more than 30 s from the database's"), "{log}");

        // What one issues, the other takes, and so do strangers, who judge by the right time.
        for (from, to) in [(&server, &other), (&other, &server)] {
            let ticket = from.target().ticket(&json!({"user_id": "alice"}));
            let answer = to.target().sign_in(&ticket);
            assert_eq!(answer.status, 200, "{off}");
            let token = answer.text("access_token");
            for server in [&server, &other] {
                assert_eq!(
                    TestRequest::new("GET", "/userinfo").bearer(&token).to(server.address).status,
                    200
                );
            }
            let verified = right.json_with(&["token", "verify", "-"], &token);
            assert!(machine().abs_diff(verified["iat"].as_i64().unwrap()) < 30, "{off}: {verified}");
        }
        // So do commands.
        let output = command(&["--json", "ticket", "issue", "--user", "alice"]).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{off}: {output:?}");
        let issued: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(server.target().sign_in(issued["ticket"].as_str().unwrap()).status, 200, "{off}");
        let checked = command(&["--json", "check"]).output().unwrap();
        let checked: Value = serde_json::from_slice(&checked.stdout).unwrap();
        let codes: Vec<&str> = checked["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|found| found["code"].as_str().unwrap())
            .collect();
        assert_eq!((&checked["ok"], codes), (&json!(true), vec!["clock-differs"]), "{off}: {checked}");
        let output = command(&["--json", "clock", "reset"]).output().unwrap();
        let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&shown["sessions_ended"], &shown["behind"]), (&json!(0), &Value::Null), "{off}");
        assert!(other.terminate());
        let mark = number("SELECT clock_mark FROM meta");
        assert!(machine().abs_diff(mark) < 90, "{off}: {mark}");
    }
    assert!(server.terminate());
    let (first, last) = (number("SELECT min(at) FROM audit"), number("SELECT max(at) FROM audit"));
    assert!(machine() - first < HOUR && last <= machine(), "{first} {last}");
}

#[test]
fn the_mark_follows_the_database() {
    let fixture = Fixture::empty();
    let store = fixture.store();
    Clock::start(&store).unwrap();
    shift(&fixture, 50 * 60);
    let clock = Clock::start(&store).unwrap();
    let expected = u64::try_from(machine() + 50 * 60).unwrap();
    assert!(expected.abs_diff(clock.now().unix()) < 30);
    assert!(expected.abs_diff(store.clock_state().unwrap().mark.unix()) < 30);
    // It is set back: what has expired stays expired.
    shift(&fixture, 0);
    clock.keep(&store).unwrap();
    assert!(clock.now().unix() >= expected);
    assert!(clock.status().behind.is_some());
}

#[test]
fn nothing_is_deleted_while_two_clocks_differ() {
    let fixture = Fixture::empty();
    let store = fixture.store();
    insert_records(&store);
    assert_eq!(commit(&store, [Change::InsertTicket(ticket(1))]), Outcome::Applied);
    let far = Time::from_unix(u64::try_from(machine()).unwrap()).plus(1_000_000_000);
    shift(&fixture, 40 * YEAR);
    store.clock_state().unwrap();
    assert_eq!(store.sweep(far, 100).unwrap(), Swept::default());
    shift(&fixture, 0);
    store.clock_state().unwrap();
    assert_eq!(store.sweep(far, 100).unwrap().tickets, 1);
}
