//! Files that are unlinked, renamed or replaced under a running server: nothing is answered that nobody finds again.

use std::fs::{self, rename};
use std::path::PathBuf;

use crate::harness::{
    DATABASE, INDEX, LOG, QUICK, Running, SLOW, below, aside, no_alarm, poll, serves_well, site,
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
    server.log().lines().any(|line| line.contains("\"level\":\"ERROR\"") && line.contains("not the file")).then_some(())
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
            poll(&format!("it works again by itself: {name}, {}", server.log()), || (server.readiness() == 200).then_some(()));
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
            poll(&format!("it works again by itself: {name}, {}", server.log()), || (server.readiness() == 200).then_some(()));
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
