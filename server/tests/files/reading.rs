//! What only reads leaves every file as it is.

use std::fs;

use crate::harness::{DATABASE, LOG, QUICK, SLOW, Snapshot, aside, below, serves_well, site, size, text};
use crate::site::Site;

/// Every command that reads, with its exit code beside no server.
fn verbs<'a>(token: &'a str, backup: &'a str) -> Vec<(Vec<&'a str>, i32)> {
    vec![
        (vec!["client", "list"], 0),
        (vec!["client", "show", "backend"], 0),
        (vec!["client", "show", "nobody"], 1),
        (vec!["user", "list"], 0),
        (vec!["user", "show", "alice"], 0),
        (vec!["user", "show", "nobody"], 1),
        (vec!["ticket", "list"], 0),
        (vec!["key", "list"], 0),
        (vec!["token", "verify", token, "--issuer", "http://gate.example"], 0),
        (vec!["token", "verify", "x"], 1),
        (vec!["risk", "explain", "--user", "alice", "--address", "203.0.113.7"], 0),
        (vec!["audit", "list"], 0),
        (vec!["audit", "verify"], 0),
        (vec!["check"], 0),
        (vec!["clock", "show"], 0),
        (vec!["healthcheck"], 1),
        (vec!["backup", backup], 0),
        (vec!["backup", "-"], 0),
    ]
}

fn every_verb_leaves_everything(site: &Site, token: &str) {
    let copies = aside();
    let backup = below(&copies, "backup");
    let before = Snapshot::of(site.path());
    for init in [&[][..], &["--init"]] {
        for (verb, code) in verbs(token, text(&backup)) {
            let output = site.run(&[init, &verb].concat());
            assert_eq!(
                output.status.code(),
                Some(code),
                "{verb:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            before.holds(site.path(), &format!("{verb:?}"));
        }
        fs::remove_file(&backup).unwrap();
    }
}

#[test]
fn a_cleanly_stopped_directory_stays_as_it_is() {
    let site = site();
    let server = serves_well(&site, QUICK);
    let token = server.session().access;
    server.stop();
    every_verb_leaves_everything(&site, &token);
}

#[test]
fn a_directory_left_by_a_kill_stays_as_it_is() {
    let site = site();
    let server = serves_well(&site, SLOW);
    let token = server.session().access;
    let ticket = server.ticket();
    server.kill();
    assert!(size(&site.path().join(LOG)).unwrap() > 0, "there is something to replay");
    every_verb_leaves_everything(&site, &token);
    let server = serves_well(&site, QUICK);
    assert_eq!(server.redeem(&ticket).status, 200);
}

#[test]
fn a_directory_whose_log_lost_its_index_stays_as_it_is() {
    let site = site();
    let server = serves_well(&site, SLOW);
    let token = server.session().access;
    server.kill();
    // As a restored disk has it: SQLite makes the index anew, and it goes again.
    fs::remove_file(site.path().join(crate::harness::INDEX)).unwrap();
    every_verb_leaves_everything(&site, &token);
}

#[test]
fn beside_a_server_what_reads_changes_neither_the_database_nor_the_log() {
    let site = site();
    let server = serves_well(&site, SLOW);
    let token = server.session().access;
    let bytes = || (fs::read(site.path().join(DATABASE)).unwrap(), fs::read(site.path().join(LOG)).unwrap());
    let before = bytes();
    let copies = aside();
    for (verb, code) in verbs(&token, text(&below(&copies, "backup"))) {
        let output = site.run(&verb);
        let code = if verb == ["healthcheck"] { 0 } else { code };
        assert_eq!(output.status.code(), Some(code), "{verb:?}: {}", String::from_utf8_lossy(&output.stderr));
        // The server's own probe of whether it can write, which a health check asks for, is the one thing in between.
        if verb == ["healthcheck"] {
            continue;
        }
        let now = bytes();
        assert!(now.0 == before.0, "{verb:?} changed the database");
    }
    assert_eq!(server.redeem(&server.ticket()).status, 200);
}

/// Commands that must make nothing.
const NOTHING: &[&[&str]] = &[
    &["client", "list"],
    &["user", "list"],
    &["ticket", "list"],
    &["key", "list"],
    &["audit", "list"],
    &["audit", "verify"],
    &["clock", "show"],
    &["healthcheck"],
    &["token", "verify", "x"],
    &["user", "add", "eve"],
    &["key", "rotate"],
    &["clock", "reset"],
    &["handover", "cancel"],
    // `--init` is for what changes something.
    &["--init", "user", "list"],
    &["--init", "audit", "verify"],
];

#[test]
fn looking_at_nothing_makes_nothing() {
    let site = Site::new();
    for command in NOTHING {
        let (code, said) = site.refused(command);
        assert_eq!(code, 1, "{command:?}: {said}");
        let way_out = if *command == ["healthcheck"] { "no server runs on" } else { "gatepass serve" };
        assert!(said.contains(way_out), "{command:?}: {said}");
        assert_eq!(fs::read_dir(site.path()).unwrap().count(), 0, "{command:?} made something");
    }
    let (copies, dir) = (aside(), text(site.path()));
    let backup = below(&copies, "backup");
    let (code, said) = site.refused(&["backup", text(&backup)]);
    assert!(code == 1 && said.contains("gatepass serve"), "{said}");
    assert!(!backup.exists());
    let report = site.no(&["check"]);
    assert_eq!(report["findings"][0]["code"], "database-missing", "{report}");
    assert!(report["findings"][0]["way_out"].as_str().unwrap().contains("gatepass serve"), "{report}");
    assert_eq!(fs::read_dir(dir).unwrap().count(), 0, "check made something");
}

#[test]
fn a_missing_directory_is_not_made() {
    let outer = Site::new();
    let missing = outer.path().join("below/data");
    for command in NOTHING {
        let (code, said) = outer.refused(&[&["--data", text(&missing)], *command].concat());
        assert_eq!(code, 1, "{command:?}: {said}");
        assert!(said.contains("data"), "{command:?}: {said}");
        assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 0, "{command:?} made something");
    }
    let report = outer.no(&["--data", text(&missing), "check"]);
    assert_eq!(report["findings"][0]["code"], "directory-missing", "{report}");
    assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 0);
}

#[test]
fn an_empty_or_foreign_database_is_left_alone() {
    let foreign = |site: &Site| {
        let db = rusqlite::Connection::open(site.path().join(DATABASE)).unwrap();
        db.execute_batch("CREATE TABLE songs (name); INSERT INTO songs VALUES ('x')").unwrap();
    };
    let no_database =
        |site: &Site| fs::write(site.path().join(DATABASE), "not a database at all".repeat(512)).unwrap();
    let empty = |site: &Site| fs::write(site.path().join(DATABASE), "").unwrap();
    type Plant<'a> = &'a dyn Fn(&Site);
    let cases: [(&str, Plant<'_>, &str); 3] = [
        ("database-missing", &empty, "gatepass restore"),
        ("database-foreign", &foreign, "--data"),
        ("database-foreign", &no_database, "--data"),
    ];
    for (finding, make, way_out) in cases {
        let site = Site::new();
        make(&site);
        let before = Snapshot::of(site.path());
        for command in NOTHING.iter().filter(|command| ***command != ["healthcheck"]) {
            let (code, said) = site.refused(command);
            assert_eq!(code, 1, "{command:?}: {said}");
            assert!(said.contains(way_out), "{command:?}: {said}");
            before.holds(site.path(), &format!("{command:?}"));
        }
        for command in [&["--init", "user", "add", "eve"], &["--init", "clock", "reset"][..]] {
            let (code, said) = site.refused(command);
            assert!(code == 1 && said.contains(way_out), "{command:?}: {said}");
            before.holds(site.path(), &format!("{command:?}"));
        }
        let said = crate::harness::no_server(&site, QUICK);
        assert!(said.contains(way_out), "{said}");
        before.holds(site.path(), "serve");
        let report = site.no(&["check"]);
        let found = report["findings"].as_array().unwrap().iter().find(|found| found["code"] == finding);
        assert!(!found.unwrap()["way_out"].as_str().unwrap().is_empty(), "{report}");
        before.holds(site.path(), "check");
    }
}
