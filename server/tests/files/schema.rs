//! Databases of earlier and of later schemas.

use std::fs;

use rusqlite::Connection;

use crate::former_chain;
use crate::harness::{
    DATABASE, QUICK, Running, SLOW, Session, Snapshot, WITNESS, all_refuse, installation, no_alarm,
    refused_start, serves_well, sql,
};
use crate::installation::TestInstallation;

/// Undoes the migrations to schemas 7 to 10.
const TO_SIX: &str = include_str!("../store/to_schema_6.sql");

fn to_six(installation: &TestInstallation) {
    let db = sql(installation);
    db.execute_batch(&format!("{TO_SIX} PRAGMA user_version = 6;")).unwrap();
    former_chain::relink(installation, &db);
}

/// Returns an installation as the version before left it, and what it had issued.
fn of_schema_six() -> (TestInstallation, Session, String) {
    let installation = installation();
    let server = serves_well(&installation, QUICK);
    let (session, ticket) = (server.session(), server.ticket());
    server.stop();
    to_six(&installation);
    // A client added in the same second as its session may be another one of its name.
    sql(&installation).execute_batch("UPDATE clients SET created_at = created_at - 60").unwrap();
    for name in [WITNESS, "gatepass.lock"] {
        fs::remove_file(installation.path().join(name)).unwrap();
    }
    (installation, session, ticket)
}

#[test]
fn an_old_file_of_an_earlier_schema_is_older_state_and_no_other_installation() {
    let installation = installation();
    let server = serves_well(&installation, QUICK);
    let (session, ticket) = (server.session(), server.ticket());
    server.stop();
    to_six(&installation);
    let server = Running::start(&installation, QUICK);
    let statuses = [server.redeem(&ticket).status, server.refresh(&session.refresh).status];
    assert_eq!(statuses, [400, 400]);
    assert!(!server.session().refresh.is_empty(), "people sign in again");
    let said = server.stop();
    assert!(said.contains("older than those that were served last"), "{said}");
    no_alarm(&serves_well(&installation, QUICK).stop());
}

fn version(path: &std::path::Path) -> i64 {
    Connection::open(path).unwrap().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

fn serves_on(server: &Running, session: &Session, ticket: &str) {
    assert_eq!(server.redeem(&session.ticket).status, 400);
    assert_eq!(server.refresh(&session.refresh).status, 200);
    let statuses: Vec<u16> = (0..2).map(|_| server.redeem(ticket).status).collect();
    assert_eq!(statuses, [200, 400]);
}

#[test]
fn todays_directories_start_and_a_copy_is_kept() {
    let (installation, session, ticket) = of_schema_six();
    let before = Snapshot::of(installation.path());
    for command in [
        &["user", "list"][..],
        &["user", "add", "eve"],
        &["--init", "user", "add", "eve"],
        &["audit", "verify"],
    ] {
        let (code, said) = installation.refused(command);
        assert!(
            code == 1 && said.contains("schema 6") && said.contains("gatepass serve"),
            "{command:?}: {said}"
        );
        before.holds(installation.path(), &format!("{command:?}"));
    }
    let report = installation.no(&["check"]);
    assert_eq!(
        report["findings"].as_array().unwrap().iter().filter(|f| f["code"] == "schema-older").count(),
        1
    );
    before.holds(installation.path(), "check");

    let server = serves_well(&installation, QUICK);
    serves_on(&server, &session, &ticket);
    no_alarm(&server.stop());
    let copy = installation.path().join("gatepass.db.schema-6");
    assert_eq!((version(&copy), version(&installation.path().join(DATABASE))), (6, 10));
    let tickets: i64 = Connection::open(&copy)
        .unwrap()
        .query_row("SELECT count(*) FROM tickets", [], |row| row.get(0))
        .unwrap();
    assert_eq!(tickets, 2, "the copy is whole");
    assert_eq!(installation.json(&["check"])["ok"], true);
    // Rows of both versions are in one chain; those from before cannot be given what they did not have.
    assert_eq!(installation.json(&["audit", "verify"])["valid"], true);
    let first: i64 =
        sql(&installation).query_row("SELECT min(seq) FROM audit", [], |row| row.get(0)).unwrap();
    let late = "issuer issuer_user request sent_request operator stated_by peer by_user by_client roles";
    for column in late.split(' ') {
        let set = |value: &str| {
            let set = format!("UPDATE audit SET {column} = {value} WHERE seq = {first}");
            assert_eq!(sql(&installation).execute(&set, []).unwrap(), 1);
        };
        set("'x'");
        let broken = installation.no(&["audit", "verify"])["broken"].clone();
        assert_eq!(broken, format!("row {first} was altered"), "{column}");
        set("NULL");
    }
    assert_eq!(installation.json(&["audit", "verify"])["valid"], true);
    let kept = fs::read(&copy).unwrap();
    for _ in 0..2 {
        let server = serves_well(&installation, QUICK);
        server.session();
        no_alarm(&server.stop());
    }
    assert!(fs::read(&copy).unwrap() == kept, "the copy stays as it is");
}

#[test]
fn the_log_of_an_earlier_version_that_was_killed_is_taken_over() {
    let (installation, session, ticket) = of_schema_six();
    // A log with a commit that the file lacks: only its row shows that in this schema.
    let path = installation.path().join(DATABASE);
    let db = Connection::open(&path).unwrap();
    db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0").unwrap();
    db.execute_batch("BEGIN; UPDATE meta SET commits = commits + 1; UPDATE users SET name = 'Alice' WHERE username = 'alice'; COMMIT")
        .unwrap();
    let left = crate::harness::aside();
    crate::harness::copy(installation.path(), left.path(), &[DATABASE, "gatepass.db-wal"]);
    drop(db);
    for name in ["gatepass.db-wal", "gatepass.db-shm"] {
        let _ = fs::remove_file(installation.path().join(name));
    }
    crate::harness::copy(left.path(), installation.path(), &[DATABASE, "gatepass.db-wal"]);
    let server = serves_well(&installation, QUICK);
    serves_on(&server, &session, &ticket);
    assert_eq!(installation.json(&["user", "show", "alice"])["name"], "Alice");
    no_alarm(&server.stop());
}

#[test]
fn a_migration_that_is_killed_is_done_again() {
    let mut migrated = 0;
    for round in 0..24 {
        let (installation, session, ticket) = of_schema_six();
        let mut command =
            installation.command(&[&["--json", "serve", "--listen", "127.0.0.1:0"], QUICK].concat());
        let mut child = command.spawn().unwrap();
        crate::harness::lapse(std::time::Duration::from_millis(round * 2));
        child.kill().unwrap();
        child.wait().unwrap();
        migrated += i32::from(version(&installation.path().join(DATABASE)) == 10);
        let server = serves_well(&installation, SLOW);
        serves_on(&server, &session, &ticket);
        no_alarm(&server.stop());
        assert_eq!(version(&installation.path().join("gatepass.db.schema-6")), 6);
        assert_eq!(installation.json(&["check"])["ok"], true);
    }
    println!("24 migrations killed, {migrated} of them were done by then");
}

#[test]
fn a_file_that_somebody_else_has_open_is_not_migrated() {
    let (installation, session, ticket) = of_schema_six();
    let db = sql(&installation);
    // An earlier version reads, and holds none of the locks of this one.
    db.execute_batch("BEGIN; SELECT count(*) FROM users").unwrap();
    let said = refused_start(&installation, QUICK);
    assert!(said.contains("stop it first"), "{said}");
    db.execute_batch("COMMIT").unwrap();
    assert_eq!(db.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).unwrap(), 6);
    drop(db);
    let server = serves_well(&installation, QUICK);
    serves_on(&server, &session, &ticket);
}

#[test]
fn a_newer_schema_is_refused() {
    let installation = installation();
    sql(&installation).execute_batch("PRAGMA user_version = 11").unwrap();
    all_refuse(&installation, &["newer gatepass", "install that version"]);
    let report = installation.no(&["check"]);
    assert!(report["findings"].as_array().unwrap().iter().any(|f| f["code"] == "schema-newer"), "{report}");
}
