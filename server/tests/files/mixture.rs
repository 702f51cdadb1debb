//! A file and a log that do not belong together are never combined.

use std::fs;

use tempfile::TempDir;

use crate::harness::{
    DATABASE, LOG, QUICK, SLOW, Session, Snapshot, all_refuse, aside, below, copy, installation, no_alarm,
    overwrite, serves_well, size, text, wait_until_quiet,
};
use crate::installation::TestInstallation;

const WORDS: &[&str] =
    &["gatepass.db-wal belongs to another file", "gatepass restore", "Nothing was touched"];

/// Copies `from` over a file as `cp` does.
fn put(from: &std::path::Path, installation: &TestInstallation, name: &str) {
    let to = installation.path().join(name);
    let bytes = fs::read(from).unwrap();
    if to.exists() { overwrite(&to, &bytes) } else { fs::write(to, bytes).unwrap() }
}

/// Starts a server on what the earlier ones left, and kills it with a full log.
fn killed(installation: &TestInstallation) -> (Session, String) {
    let server = serves_well(installation, SLOW);
    let (session, ticket) = (server.session(), server.ticket());
    server.kill();
    assert!(size(&installation.path().join(LOG)).unwrap() > 0, "there is something to replay");
    (session, ticket)
}

/// Serves for a while and stops.
fn served(installation: &TestInstallation) -> (Session, String) {
    let server = serves_well(installation, QUICK);
    let given = (server.session(), server.ticket());
    no_alarm(&server.stop());
    given
}

fn refused(installation: &TestInstallation) {
    let log = fs::read(installation.path().join(LOG)).unwrap();
    let before = Snapshot::of(installation.path());
    all_refuse(installation, WORDS);
    let report = installation.no(&["check"]);
    let codes: Vec<&str> =
        report["findings"].as_array().unwrap().iter().map(|f| f["code"].as_str().unwrap()).collect();
    assert!(codes.contains(&"log-foreign"), "{report}");
    before.holds(installation.path(), "all of it");
    assert!(fs::read(installation.path().join(LOG)).unwrap() == log);
}

#[test]
fn an_older_copy_over_the_file_of_a_killed_server_is_refused() {
    let installation = installation();
    let copies = aside();
    // Copies of every age, each cleanly stopped, and a backup of each.
    let mut older = Vec::new();
    for age in 0..3 {
        let copy = below(&copies, &format!("copy-{age}"));
        fs::copy(installation.path().join(DATABASE), &copy).unwrap();
        let backup = below(&copies, &format!("backup-{age}"));
        installation.json(&["backup", text(&backup)]);
        older.extend([copy, backup]);
        served(&installation);
    }
    let (session, ticket) = killed(&installation);
    let newest = below(&copies, "newest");
    fs::copy(installation.path().join(DATABASE), &newest).unwrap();
    for copy in older {
        put(&copy, &installation, DATABASE);
        refused(&installation);
        // Also not with the index of another machine.
        let _ = fs::remove_file(installation.path().join(crate::harness::INDEX));
        refused(&installation);
    }
    put(&newest, &installation, DATABASE);
    let server = serves_well(&installation, QUICK);
    assert_eq!(server.redeem(&session.ticket).status, 400);
    assert_eq!(server.refresh(&session.refresh).status, 200);
    assert_eq!(server.redeem(&ticket).status, 200);
    no_alarm(&server.stop());
    assert_eq!(installation.json(&["check"])["ok"], true);
}

#[test]
fn a_copy_that_the_log_goes_on_from_is_replayed_and_complete() {
    let installation = installation();
    let server = serves_well(&installation, QUICK);
    let ticket = server.ticket();
    wait_until_quiet(&installation);
    server.stop();
    // The start of the next server makes the first commit of the log.
    let copies = aside();
    let base = below(&copies, "base");
    fs::copy(installation.path().join(DATABASE), &base).unwrap();
    let (session, second) = killed(&installation);
    put(&base, &installation, DATABASE);
    let server = serves_well(&installation, QUICK);
    assert_eq!(server.redeem(&session.ticket).status, 400);
    assert_eq!(server.refresh(&session.refresh).status, 200);
    for ticket in [ticket, second] {
        assert_eq!(server.redeem(&ticket).status, 200);
        assert_eq!(server.redeem(&ticket).status, 400);
    }
    no_alarm(&server.stop());
    assert_eq!(installation.json(&["check"])["ok"], true);
}

#[test]
fn an_older_log_beside_a_newer_file_is_refused() {
    let installation = installation();
    let copies: TempDir = aside();
    let mut logs = Vec::new();
    for age in 0..2 {
        killed(&installation);
        let log = below(&copies, &format!("log-{age}"));
        fs::copy(installation.path().join(LOG), &log).unwrap();
        logs.push(log);
        // The file now has what the log held, and more.
        let (_, ticket) = served(&installation);
        let server = serves_well(&installation, QUICK);
        assert_eq!(server.redeem(&ticket).status, 200);
        server.stop();
    }
    let newest = below(&copies, "newest");
    fs::copy(installation.path().join(DATABASE), &newest).unwrap();
    for log in &logs {
        put(log, &installation, LOG);
        refused(&installation);
    }
    // The way out: remove the log.
    fs::remove_file(installation.path().join(LOG)).unwrap();
    assert_eq!(fs::read(installation.path().join(DATABASE)).unwrap(), fs::read(&newest).unwrap());
    no_alarm(&serves_well(&installation, QUICK).stop());
}

#[test]
fn a_log_of_another_installation_is_refused() {
    let (installation, other) = (installation(), installation());
    killed(&installation);
    killed(&other);
    put(&other.path().join(LOG), &installation, LOG);
    refused(&installation);
}

#[test]
fn what_was_set_aside_comes_back_whole() {
    let installation = installation();
    let (_, ticket) = served(&installation);
    let copies = aside();
    copy(installation.path(), copies.path(), &[DATABASE]);
    let (session, second) = killed(&installation);
    let pair = aside();
    copy(installation.path(), pair.path(), &[DATABASE, LOG]);
    served_refuses_then(&installation, &copies, &pair);
    let server = serves_well(&installation, QUICK);
    assert_eq!(server.redeem(&session.ticket).status, 400);
    for ticket in [ticket, second] {
        assert_eq!(server.redeem(&ticket).status, 200);
    }
}

/// Copies an older file over the database, which is refused if it is not the log's base, and puts the pair back.
fn served_refuses_then(installation: &TestInstallation, older: &TempDir, pair: &TempDir) {
    put(&pair.path().join(LOG), installation, LOG);
    let garbled: Vec<u8> = fs::read(older.path().join(DATABASE)).unwrap();
    // A file whose second page is gone: the row does not show it, the whole does.
    let mut bytes = garbled;
    bytes[4096..8192].fill(0);
    overwrite(&installation.path().join(DATABASE), &bytes);
    let before = Snapshot::of(installation.path());
    let mended = crate::harness::Running::try_start(installation, QUICK);
    if let Err(refused) = &mended {
        assert!(refused.said.contains("gatepass restore"), "{refused:?}");
        before.holds(installation.path(), "a start that is refused");
    }
    if let Ok(server) = mended {
        // The log had the page, so that the two together were whole.
        no_alarm(&server.stop());
        assert_eq!(installation.json(&["check"])["ok"], true);
        return;
    }
    for name in [DATABASE, LOG] {
        put(&pair.path().join(name), installation, name);
    }
}
