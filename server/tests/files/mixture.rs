//! A file and a log that do not belong together are never made one.

use std::fs;

use tempfile::TempDir;

use crate::harness::{
    DATABASE, LOG, QUICK, SLOW, Session, Snapshot, all_refuse, aside, below, copy, no_alarm, overwrite,
    serves_well, site, size, text, wait_until_quiet,
};
use crate::site::Site;

const WORDS: &[&str] =
    &["gatepass.db-wal belongs to another file", "gatepass restore", "Nothing was touched"];

/// Puts `from` over a file as `cp` does.
fn put(from: &std::path::Path, site: &Site, name: &str) {
    let to = site.path().join(name);
    let bytes = fs::read(from).unwrap();
    if to.exists() { overwrite(&to, &bytes) } else { fs::write(to, bytes).unwrap() }
}

/// A server that was killed with a full log, on what the earlier ones left.
fn killed(site: &Site) -> (Session, String) {
    let server = serves_well(site, SLOW);
    let (session, ticket) = (server.session(), server.ticket());
    server.kill();
    assert!(size(&site.path().join(LOG)).unwrap() > 0, "there is something to replay");
    (session, ticket)
}

/// Serves a while and stops.
fn served(site: &Site) -> (Session, String) {
    let server = serves_well(site, QUICK);
    let given = (server.session(), server.ticket());
    no_alarm(&server.stop());
    given
}

fn refused(site: &Site) {
    let log = fs::read(site.path().join(LOG)).unwrap();
    let before = Snapshot::of(site.path());
    all_refuse(site, WORDS);
    let report = site.no(&["check"]);
    let codes: Vec<&str> =
        report["findings"].as_array().unwrap().iter().map(|f| f["code"].as_str().unwrap()).collect();
    assert!(codes.contains(&"log-foreign"), "{report}");
    before.holds(site.path(), "all of it");
    assert!(fs::read(site.path().join(LOG)).unwrap() == log);
}

#[test]
fn an_older_copy_over_the_file_of_a_killed_server_is_refused() {
    let site = site();
    let copies = aside();
    // Copies of every age, each cleanly stopped; and a backup of each.
    let mut older = Vec::new();
    for age in 0..3 {
        let copy = below(&copies, &format!("copy-{age}"));
        fs::copy(site.path().join(DATABASE), &copy).unwrap();
        let backup = below(&copies, &format!("backup-{age}"));
        site.json(&["backup", text(&backup)]);
        older.extend([copy, backup]);
        served(&site);
    }
    let (session, ticket) = killed(&site);
    let newest = below(&copies, "newest");
    fs::copy(site.path().join(DATABASE), &newest).unwrap();
    for copy in older {
        put(&copy, &site, DATABASE);
        refused(&site);
        // Nor with the index of another machine.
        let _ = fs::remove_file(site.path().join(crate::harness::INDEX));
        refused(&site);
    }
    put(&newest, &site, DATABASE);
    let server = serves_well(&site, QUICK);
    assert_eq!(server.redeem(&session.ticket).status, 400);
    assert_eq!(server.refresh(&session.refresh).status, 200);
    assert_eq!(server.redeem(&ticket).status, 200);
    no_alarm(&server.stop());
    assert_eq!(site.json(&["check"])["ok"], true);
}

#[test]
fn a_copy_that_the_log_goes_on_from_is_replayed_and_complete() {
    let site = site();
    let server = serves_well(&site, QUICK);
    let ticket = server.ticket();
    wait_until_quiet(&site);
    server.stop();
    // The start of the next server makes the first commit of the log.
    let copies = aside();
    let base = below(&copies, "base");
    fs::copy(site.path().join(DATABASE), &base).unwrap();
    let (session, second) = killed(&site);
    put(&base, &site, DATABASE);
    let server = serves_well(&site, QUICK);
    assert_eq!(server.redeem(&session.ticket).status, 400);
    assert_eq!(server.refresh(&session.refresh).status, 200);
    for ticket in [ticket, second] {
        assert_eq!(server.redeem(&ticket).status, 200);
        assert_eq!(server.redeem(&ticket).status, 400);
    }
    no_alarm(&server.stop());
    assert_eq!(site.json(&["check"])["ok"], true);
}

#[test]
fn an_older_log_beside_a_newer_file_is_refused() {
    let site = site();
    let copies: TempDir = aside();
    let mut logs = Vec::new();
    for age in 0..2 {
        killed(&site);
        let log = below(&copies, &format!("log-{age}"));
        fs::copy(site.path().join(LOG), &log).unwrap();
        logs.push(log);
        // What the log held is in the file now, and more.
        let (_, ticket) = served(&site);
        let server = serves_well(&site, QUICK);
        assert_eq!(server.redeem(&ticket).status, 200);
        server.stop();
    }
    let newest = below(&copies, "newest");
    fs::copy(site.path().join(DATABASE), &newest).unwrap();
    for log in &logs {
        put(log, &site, LOG);
        refused(&site);
    }
    // The way out: the log goes.
    fs::remove_file(site.path().join(LOG)).unwrap();
    assert_eq!(fs::read(site.path().join(DATABASE)).unwrap(), fs::read(&newest).unwrap());
    no_alarm(&serves_well(&site, QUICK).stop());
}

#[test]
fn a_log_of_another_installation_is_refused() {
    let (site, other) = (site(), site());
    killed(&site);
    killed(&other);
    put(&other.path().join(LOG), &site, LOG);
    refused(&site);
}

#[test]
fn what_was_set_aside_comes_back_whole() {
    let site = site();
    let (_, ticket) = served(&site);
    let copies = aside();
    copy(site.path(), copies.path(), &[DATABASE]);
    let (session, second) = killed(&site);
    let pair = aside();
    copy(site.path(), pair.path(), &[DATABASE, LOG]);
    served_refuses_then(&site, &copies, &pair);
    let server = serves_well(&site, QUICK);
    assert_eq!(server.redeem(&session.ticket).status, 400);
    for ticket in [ticket, second] {
        assert_eq!(server.redeem(&ticket).status, 200);
    }
}

/// Puts one that is older over the file, which is refused where it is not the log's base, and the pair back.
fn served_refuses_then(site: &Site, older: &TempDir, pair: &TempDir) {
    put(&pair.path().join(LOG), site, LOG);
    let garbled: Vec<u8> = fs::read(older.path().join(DATABASE)).unwrap();
    // A file whose second page is gone: not told apart by the row, so by the whole.
    let mut bytes = garbled;
    bytes[4096..8192].fill(0);
    overwrite(&site.path().join(DATABASE), &bytes);
    let before = Snapshot::of(site.path());
    let mended = crate::harness::Running::try_start(site, QUICK);
    if let Err(refused) = &mended {
        assert!(refused.said.contains("gatepass restore"), "{refused:?}");
        before.holds(site.path(), "a start that is refused");
    }
    if let Ok(server) = mended {
        // The log had the page, so the two together were whole.
        no_alarm(&server.stop());
        assert_eq!(site.json(&["check"])["ok"], true);
        return;
    }
    for name in [DATABASE, LOG] {
        put(&pair.path().join(name), site, name);
    }
}
