//! Files that are unlinked, renamed or replaced under a running server: no answer may rest on data that is lost later.

use std::fs::{self, rename};
use std::path::PathBuf;

use crate::harness::{
    DATABASE, INDEX, LOG, QUICK, Running, SLOW, aside, below, installation, no_alarm, poll, serves_well,
};
use crate::installation::TestInstallation;

/// Changes the files, and returns how to undo it if possible.
type Operation = fn(&TestInstallation, &PathBuf) -> Option<fn(&TestInstallation, &PathBuf)>;

const OPERATIONS: &[(&str, Operation)] = &[
    ("the database is unlinked", |installation, _| {
        fs::remove_file(installation.path().join(DATABASE)).unwrap();
        None
    }),
    ("the log is unlinked", |installation, _| {
        fs::remove_file(installation.path().join(LOG)).unwrap();
        None
    }),
    ("the index is unlinked", |installation, _| {
        fs::remove_file(installation.path().join(INDEX)).unwrap();
        None
    }),
    ("the database is moved away", |installation, aside| {
        rename(installation.path().join(DATABASE), aside).unwrap();
        Some(|installation, aside| rename(aside, installation.path().join(DATABASE)).unwrap())
    }),
    ("the log is moved away", |installation, aside| {
        rename(installation.path().join(LOG), aside).unwrap();
        Some(|installation, aside| rename(aside, installation.path().join(LOG)).unwrap())
    }),
    ("the database is replaced by a copy", |installation, aside| {
        let file = installation.path().join(DATABASE);
        rename(&file, aside).unwrap();
        fs::copy(aside, &file).unwrap();
        Some(|installation, aside| rename(aside, installation.path().join(DATABASE)).unwrap())
    }),
    ("the log is replaced by a copy", |installation, aside| {
        let file = installation.path().join(LOG);
        rename(&file, aside).unwrap();
        fs::copy(aside, &file).unwrap();
        Some(|installation, aside| rename(aside, installation.path().join(LOG)).unwrap())
    }),
    ("the directory is renamed", |installation, aside| {
        rename(installation.path(), aside).unwrap();
        Some(|installation, aside| rename(aside, installation.path()).unwrap())
    }),
    ("the directory is replaced by a copy", |installation, aside| {
        rename(installation.path(), aside).unwrap();
        fs::create_dir(installation.path()).unwrap();
        for entry in fs::read_dir(aside).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), installation.path().join(entry.file_name())).unwrap();
        }
        Some(|installation, aside| {
            fs::remove_dir_all(installation.path()).unwrap();
            rename(aside, installation.path()).unwrap();
        })
    }),
];

fn tells_an_error(server: &Running) -> Option<()> {
    server
        .log()
        .lines()
        .any(|line| line.contains("\"level\":\"ERROR\"") && line.contains("not the file"))
        .then_some(())
}

#[test]
fn a_server_without_its_files_answers_nothing() {
    for settings in [QUICK, SLOW] {
        for (name, operation) in OPERATIONS {
            let installation = installation();
            let elsewhere = aside();
            let kept = below(&elsewhere, "kept");
            let server = serves_well(&installation, settings);
            let (ticket, second, session) = (server.ticket(), server.ticket(), server.session());
            let back = operation(&installation, &kept);
            let statuses = [
                server.redeem(&ticket).status,
                server.readiness(),
                server.redeem(&ticket).status,
                server.refresh(&session.refresh).status,
                server.readiness(),
            ];
            assert!(statuses.iter().all(|status| [500, 503].contains(status)), "{name}: {statuses:?}");
            tells_an_error(&server).unwrap_or_else(|| panic!("{name}: {}", server.log()));

            let Some(back) = back else { continue };
            back(&installation, &kept);
            poll(&format!("it works again by itself: {name}, {}", server.log()), || {
                (server.readiness() == 200).then_some(())
            });
            let statuses: Vec<u16> = (0..3).map(|_| server.redeem(&ticket).status).collect();
            assert_eq!(statuses, [200, 400, 400], "{name}");
            assert_eq!(server.redeem(&second).status, 200, "{name}");
            assert_eq!(server.refresh(&session.refresh).status, 200, "{name}");
            server.stop();
            let server = serves_well(&installation, settings);
            assert_eq!(server.redeem(&ticket).status, 400, "{name}");
            no_alarm(&server.stop());
            assert_eq!(installation.json(&["check"])["ok"], true, "{name}");
        }
    }
}

#[test]
fn an_idle_server_notices_too() {
    for (name, operation) in OPERATIONS {
        let installation = installation();
        let elsewhere = aside();
        let kept = below(&elsewhere, "kept");
        let server = serves_well(&installation, QUICK);
        let token = server.session().access;
        let back = operation(&installation, &kept);
        poll(name, || tells_an_error(&server));
        assert_eq!(server.readiness(), 503, "{name}");
        // Nor does the server answer reads, such as whose token it is.
        let asked = gatepass_tests::http::TestRequest::new("GET", "/userinfo").bearer(&token);
        assert_eq!(server.ask(&asked).status, 503, "{name}");
        if let Some(back) = back {
            back(&installation, &kept);
            poll(&format!("it works again by itself: {name}, {}", server.log()), || {
                (server.readiness() == 200).then_some(())
            });
            assert_eq!(server.ask(&asked).status, 200, "{name}");
        }
    }
}

#[test]
fn a_stop_without_its_files_overwrites_nothing() {
    for (name, operation) in OPERATIONS {
        let installation = installation();
        let elsewhere = aside();
        let kept = below(&elsewhere, "kept");
        let server = serves_well(&installation, SLOW);
        let ticket = server.ticket();
        let back = operation(&installation, &kept);
        server.stop();
        let Some(back) = back else { continue };
        back(&installation, &kept);
        let server = serves_well(&installation, QUICK);
        let statuses: Vec<u16> = (0..2).map(|_| server.redeem(&ticket).status).collect();
        assert_eq!(statuses, [200, 400], "{name}");
    }
}

#[test]
fn a_command_beside_a_server_does_not_take_its_log_for_that_of_a_copy() {
    let installation = installation();
    let (older, elsewhere) = (aside(), aside());
    let (older, kept) = (below(&older, "older"), below(&elsewhere, "kept"));
    fs::copy(installation.path().join(DATABASE), &older).unwrap();
    serves_well(&installation, QUICK).stop();
    let server = serves_well(&installation, SLOW);
    let (ticket, session) = (server.ticket(), server.session());
    for copy in [&kept, &older] {
        rename(installation.path().join(DATABASE), &kept).unwrap();
        fs::copy(copy, installation.path().join(DATABASE)).unwrap();
        let log = fs::read(installation.path().join(LOG)).unwrap();
        let database = fs::read(installation.path().join(DATABASE)).unwrap();
        for command in [
            &["user", "add", "eve"][..],
            &["user", "list"],
            &["audit", "verify"],
            &["ticket", "issue", "--user", "alice"],
        ] {
            let (code, said) = installation.refused(command);
            assert!(code == 1 && said.contains("put it back"), "{command:?}: {said}");
        }
        let report = installation.no(&["check"]);
        assert!(report["findings"].to_string().contains("database-replaced"), "{report}");
        assert!(fs::read(installation.path().join(LOG)).unwrap() == log, "the log of the server");
        assert!(fs::read(installation.path().join(DATABASE)).unwrap() == database, "the copy");
        rename(&kept, installation.path().join(DATABASE)).unwrap();
        installation.json(&["user", "list"]);
    }
    let statuses: Vec<u16> = (0..2).map(|_| server.redeem(&ticket).status).collect();
    assert_eq!(statuses, [200, 400]);
    assert_eq!(server.refresh(&session.refresh).status, 200);
    no_alarm(&server.stop());
    // After a stop another file may take its place, since no process has the former one open.
    fs::copy(installation.path().join(DATABASE), &kept).unwrap();
    rename(&kept, installation.path().join(DATABASE)).unwrap();
    installation.json(&["user", "add", "eve"]);
    let server = serves_well(&installation, QUICK);
    installation.json(&["user", "add", "eva"]);
    assert_eq!(server.redeem(&ticket).status, 400);
}
