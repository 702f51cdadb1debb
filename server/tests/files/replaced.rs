//! Files that are unlinked, renamed or replaced under a running server: nothing is answered that nobody finds again.

use std::fs::{self, rename};
use std::path::PathBuf;

use crate::harness::{
    DATABASE, INDEX, LOG, QUICK, Running, SLOW, aside, below, no_alarm, poll, serves_well, site,
};
use crate::site::Site;

/// Does something to the files, and tells how it is undone where it can be.
type Deed = fn(&Site, &PathBuf) -> Option<fn(&Site, &PathBuf)>;

const DEEDS: &[(&str, Deed)] = &[
    ("the database is unlinked", |site, _| {
        fs::remove_file(site.path().join(DATABASE)).unwrap();
        None
    }),
    ("the log is unlinked", |site, _| {
        fs::remove_file(site.path().join(LOG)).unwrap();
        None
    }),
    ("the index is unlinked", |site, _| {
        fs::remove_file(site.path().join(INDEX)).unwrap();
        None
    }),
    ("the database is moved away", |site, aside| {
        rename(site.path().join(DATABASE), aside).unwrap();
        Some(|site, aside| rename(aside, site.path().join(DATABASE)).unwrap())
    }),
    ("the log is moved away", |site, aside| {
        rename(site.path().join(LOG), aside).unwrap();
        Some(|site, aside| rename(aside, site.path().join(LOG)).unwrap())
    }),
    ("the database is replaced by a copy", |site, aside| {
        let file = site.path().join(DATABASE);
        rename(&file, aside).unwrap();
        fs::copy(aside, &file).unwrap();
        Some(|site, aside| rename(aside, site.path().join(DATABASE)).unwrap())
    }),
    ("the log is replaced by a copy", |site, aside| {
        let file = site.path().join(LOG);
        rename(&file, aside).unwrap();
        fs::copy(aside, &file).unwrap();
        Some(|site, aside| rename(aside, site.path().join(LOG)).unwrap())
    }),
    ("the directory is renamed", |site, aside| {
        rename(site.path(), aside).unwrap();
        Some(|site, aside| rename(aside, site.path()).unwrap())
    }),
    ("the directory is replaced by a copy", |site, aside| {
        rename(site.path(), aside).unwrap();
        fs::create_dir(site.path()).unwrap();
        for entry in fs::read_dir(aside).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), site.path().join(entry.file_name())).unwrap();
        }
        Some(|site, aside| {
            fs::remove_dir_all(site.path()).unwrap();
            rename(aside, site.path()).unwrap();
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
fn what_is_taken_from_under_a_server_answers_no_more() {
    for settings in [QUICK, SLOW] {
        for (name, deed) in DEEDS {
            let site = site();
            let elsewhere = aside();
            let kept = below(&elsewhere, "kept");
            let server = serves_well(&site, settings);
            let (ticket, second, session) = (server.ticket(), server.ticket(), server.session());
            let back = deed(&site, &kept);
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
            back(&site, &kept);
            poll(&format!("it works again by itself: {name}, {}", server.log()), || {
                (server.readiness() == 200).then_some(())
            });
            let statuses: Vec<u16> = (0..3).map(|_| server.redeem(&ticket).status).collect();
            assert_eq!(statuses, [200, 400, 400], "{name}");
            assert_eq!(server.redeem(&second).status, 200, "{name}");
            assert_eq!(server.refresh(&session.refresh).status, 200, "{name}");
            server.stop();
            let server = serves_well(&site, settings);
            assert_eq!(server.redeem(&ticket).status, 400, "{name}");
            no_alarm(&server.stop());
            assert_eq!(site.json(&["check"])["ok"], true, "{name}");
        }
    }
}

#[test]
fn a_server_that_nobody_asks_notices_too() {
    for (name, deed) in DEEDS {
        let site = site();
        let elsewhere = aside();
        let kept = below(&elsewhere, "kept");
        let server = serves_well(&site, QUICK);
        let token = server.session().access;
        let back = deed(&site, &kept);
        poll(name, || tells_an_error(&server));
        assert_eq!(server.readiness(), 503, "{name}");
        // Nor is anything read from what is no more: whose token it is, for one.
        let asked = gatepass_tests::http::Ask::new("GET", "/userinfo").bearer(&token);
        assert_eq!(server.ask(&asked).status, 503, "{name}");
        if let Some(back) = back {
            back(&site, &kept);
            poll(&format!("it works again by itself: {name}, {}", server.log()), || {
                (server.readiness() == 200).then_some(())
            });
            assert_eq!(server.ask(&asked).status, 200, "{name}");
        }
    }
}

#[test]
fn a_stop_without_its_files_overwrites_nothing() {
    for (name, deed) in DEEDS {
        let site = site();
        let elsewhere = aside();
        let kept = below(&elsewhere, "kept");
        let server = serves_well(&site, SLOW);
        let ticket = server.ticket();
        let back = deed(&site, &kept);
        server.stop();
        let Some(back) = back else { continue };
        back(&site, &kept);
        let server = serves_well(&site, QUICK);
        let statuses: Vec<u16> = (0..2).map(|_| server.redeem(&ticket).status).collect();
        assert_eq!(statuses, [200, 400], "{name}");
    }
}

#[test]
fn a_command_beside_a_server_does_not_take_its_log_for_that_of_a_copy() {
    let site = site();
    let (older, elsewhere) = (aside(), aside());
    let (older, kept) = (below(&older, "older"), below(&elsewhere, "kept"));
    fs::copy(site.path().join(DATABASE), &older).unwrap();
    serves_well(&site, QUICK).stop();
    let server = serves_well(&site, SLOW);
    let (ticket, session) = (server.ticket(), server.session());
    for copy in [&kept, &older] {
        rename(site.path().join(DATABASE), &kept).unwrap();
        fs::copy(copy, site.path().join(DATABASE)).unwrap();
        let log = fs::read(site.path().join(LOG)).unwrap();
        let database = fs::read(site.path().join(DATABASE)).unwrap();
        for command in [
            &["user", "add", "eve"][..],
            &["user", "list"],
            &["audit", "verify"],
            &["ticket", "issue", "--user", "alice"],
        ] {
            let (code, said) = site.refused(command);
            assert!(code == 1 && said.contains("put it back"), "{command:?}: {said}");
        }
        let report = site.no(&["check"]);
        assert!(report["findings"].to_string().contains("database-replaced"), "{report}");
        assert!(fs::read(site.path().join(LOG)).unwrap() == log, "the log of the server");
        assert!(fs::read(site.path().join(DATABASE)).unwrap() == database, "the copy");
        rename(&kept, site.path().join(DATABASE)).unwrap();
        site.json(&["user", "list"]);
    }
    let statuses: Vec<u16> = (0..2).map(|_| server.redeem(&ticket).status).collect();
    assert_eq!(statuses, [200, 400]);
    assert_eq!(server.refresh(&session.refresh).status, 200);
    no_alarm(&server.stop());
    // Stopped, another file may take its place: nobody has the former one open.
    fs::copy(site.path().join(DATABASE), &kept).unwrap();
    rename(&kept, site.path().join(DATABASE)).unwrap();
    site.json(&["user", "add", "eve"]);
    let server = serves_well(&site, QUICK);
    site.json(&["user", "add", "eva"]);
    assert_eq!(server.redeem(&ticket).status, 400);
}
