//! Commands that only read change no file.

use std::fs;

use crate::harness::{
    DATABASE, LOG, QUICK, SLOW, Snapshot, aside, below, installation, serves_well, size, text,
};
use crate::installation::TestInstallation;

/// Returns every command that reads, with its exit code without a server.
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

fn every_verb_leaves_everything(installation: &TestInstallation, token: &str) {
    let copies = aside();
    let backup = below(&copies, "backup");
    let before = Snapshot::of(installation.path());
    for init in [&[][..], &["--init"]] {
        for (verb, code) in verbs(token, text(&backup)) {
            let output = installation.run(&[init, &verb].concat());
            assert_eq!(
                output.status.code(),
                Some(code),
                "{verb:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            if verb.first() == Some(&"backup") {
                // The one thing that it leaves: its own time, for the metrics.
                fs::remove_file(installation.path().join("gatepass.backup")).unwrap();
            }
            before.holds(installation.path(), &format!("{verb:?}"));
        }
        fs::remove_file(&backup).unwrap();
    }
}

#[test]
fn a_cleanly_stopped_directory_stays_as_it_is() {
    let installation = installation();
    let server = serves_well(&installation, QUICK);
    let token = server.session().access;
    server.stop();
    every_verb_leaves_everything(&installation, &token);
}

#[test]
fn a_directory_left_by_a_kill_stays_as_it_is() {
    let installation = installation();
    let server = serves_well(&installation, SLOW);
    let token = server.session().access;
    let ticket = server.ticket();
    server.kill();
    assert!(size(&installation.path().join(LOG)).unwrap() > 0, "there is something to replay");
    every_verb_leaves_everything(&installation, &token);
    let server = serves_well(&installation, QUICK);
    assert_eq!(server.redeem(&ticket).status, 200);
}

#[test]
fn a_directory_whose_log_lost_its_index_stays_as_it_is() {
    let installation = installation();
    let server = serves_well(&installation, SLOW);
    let token = server.session().access;
    server.kill();
    // As on a restored disk: SQLite makes the index anew and removes it again.
    fs::remove_file(installation.path().join(crate::harness::INDEX)).unwrap();
    every_verb_leaves_everything(&installation, &token);
}

#[test]
fn beside_a_server_what_reads_changes_neither_the_database_nor_the_log() {
    let installation = installation();
    let server = serves_well(&installation, SLOW);
    let token = server.session().access;
    let bytes = || {
        (
            fs::read(installation.path().join(DATABASE)).unwrap(),
            fs::read(installation.path().join(LOG)).unwrap(),
        )
    };
    let before = bytes();
    let copies = aside();
    for (verb, code) in verbs(&token, text(&below(&copies, "backup"))) {
        let output = installation.run(&verb);
        let code = if verb == ["healthcheck"] { 0 } else { code };
        assert_eq!(output.status.code(), Some(code), "{verb:?}: {}", String::from_utf8_lossy(&output.stderr));
        // The health check makes the server probe whether it can write, which is the only change.
        if verb == ["healthcheck"] {
            continue;
        }
        let now = bytes();
        assert!(now.0 == before.0, "{verb:?} changed the database");
    }
    assert_eq!(server.redeem(&server.ticket()).status, 200);
}

/// Commands that must create nothing.
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
    &["client", "add", "svc"],
    &["client", "rotate-secret", "admin"],
    &["user", "set-password", "eve"],
    &["ticket", "issue", "--user", "eve"],
    &["session", "end", "--user", "eve"],
    &["key", "generate", "--alg", "EdDSA"],
    &["key", "rotate-master"],
    &["audit", "archive", "/dev/null/archive"],
    &["risk", "explain", "--user", "eve"],
    // `--init` is for commands that change something.
    &["--init", "user", "list"],
    &["--init", "audit", "verify"],
];

#[test]
fn looking_at_nothing_makes_nothing() {
    let installation = TestInstallation::new();
    for command in NOTHING {
        let (code, said) = installation.refused(command);
        assert_eq!(code, 1, "{command:?}: {said}");
        for way_out in ["gatepass serve", "--data", text(installation.path())] {
            assert!(said.contains(way_out), "{command:?}: {said}");
        }
        assert_eq!(fs::read_dir(installation.path()).unwrap().count(), 0, "{command:?} made something");
    }
    let (copies, dir) = (aside(), text(installation.path()));
    let backup = below(&copies, "backup");
    let (code, said) = installation.refused(&["backup", text(&backup)]);
    assert!(code == 1 && said.contains("gatepass serve"), "{said}");
    assert!(!backup.exists());
    let report = installation.no(&["check"]);
    assert_eq!(report["findings"][0]["code"], "database-missing", "{report}");
    assert!(report["findings"][0]["way_out"].as_str().unwrap().contains("gatepass serve"), "{report}");
    assert_eq!(fs::read_dir(dir).unwrap().count(), 0, "check made something");
}

#[test]
fn a_missing_directory_is_not_made() {
    let outer = TestInstallation::new();
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
    let foreign = |installation: &TestInstallation| {
        let db = rusqlite::Connection::open(installation.path().join(DATABASE)).unwrap();
        db.execute_batch("CREATE TABLE songs (name); INSERT INTO songs VALUES ('x')").unwrap();
    };
    let no_database = |installation: &TestInstallation| {
        fs::write(installation.path().join(DATABASE), "not a database at all".repeat(512)).unwrap()
    };
    let empty = |installation: &TestInstallation| fs::write(installation.path().join(DATABASE), "").unwrap();
    type Setup<'a> = &'a dyn Fn(&TestInstallation);
    let cases: [(&str, Setup<'_>, &str); 3] = [
        ("database-missing", &empty, "gatepass restore"),
        ("database-foreign", &foreign, "--data"),
        ("database-foreign", &no_database, "--data"),
    ];
    for (finding, make, way_out) in cases {
        let installation = TestInstallation::new();
        make(&installation);
        let before = Snapshot::of(installation.path());
        for command in NOTHING.iter().filter(|command| ***command != ["healthcheck"]) {
            let (code, said) = installation.refused(command);
            assert_eq!(code, 1, "{command:?}: {said}");
            assert!(said.contains(way_out), "{command:?}: {said}");
            before.holds(installation.path(), &format!("{command:?}"));
        }
        for command in [&["--init", "user", "add", "eve"], &["--init", "clock", "reset"][..]] {
            let (code, said) = installation.refused(command);
            assert!(code == 1 && said.contains(way_out), "{command:?}: {said}");
            before.holds(installation.path(), &format!("{command:?}"));
        }
        let said = crate::harness::refused_start(&installation, QUICK);
        assert!(said.contains(way_out), "{said}");
        before.holds(installation.path(), "serve");
        let report = installation.no(&["check"]);
        let found = report["findings"].as_array().unwrap().iter().find(|found| found["code"] == finding);
        assert!(!found.unwrap()["way_out"].as_str().unwrap().is_empty(), "{report}");
        before.holds(installation.path(), "check");
    }
}
