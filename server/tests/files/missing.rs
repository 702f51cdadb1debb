//! A database that is missing or empty beside what belongs to one: nothing is made in its place.

use std::fs;

use crate::harness::{
    DATABASE, INDEX, KEY, LOG, QUICK, SLOW, Snapshot, WITNESS, all_refuse, aside, copy, no_alarm,
    no_server_as, serves_well, site, size,
};
use crate::site::Site;

/// Loses the database.
type Way = fn(&Site);

/// Ways in which a database may be gone.
const WAYS: [(&str, Way); 2] = [
    ("missing", |site| {
        let _ = fs::remove_file(site.path().join(DATABASE));
    }),
    ("empty", |site| fs::write(site.path().join(DATABASE), "").unwrap()),
];

#[test]
fn a_database_that_is_a_link_is_refused() {
    let (site, elsewhere) = (site(), aside());
    let (file, moved) = (site.path().join("gatepass.db"), elsewhere.path().join("moved.db"));
    fs::rename(&file, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &file).unwrap();
    let (code, said) = site.refused(&["user", "list"]);
    assert!(code == 1 && said.contains("symbolic link") && said.contains("--data"), "{said}");
}

#[test]
fn a_log_without_its_database_is_not_destroyed() {
    for (way, lose) in WAYS {
        for beside in [&[KEY, WITNESS][..], &[KEY], &[WITNESS], &[]] {
            let whole = site();
            let server = serves_well(&whole, SLOW);
            let session = server.session();
            server.kill();

            let site = Site::new();
            copy(whole.path(), site.path(), &[&[LOG, INDEX], beside].concat());
            lose(&site);
            let log = fs::read(site.path().join(LOG)).unwrap();
            assert!(log.len() > 32);
            all_refuse(
                &site,
                &["gatepass.db is missing or empty", "put the database back", "gatepass restore", "move"],
            );
            let before = Snapshot::of(site.path());
            for init in
                [&["--init", "user", "add", "eve"][..], &["--init", "key", "generate", "--alg", "EdDSA"]]
            {
                let (code, said) = site.refused(init);
                assert!(code == 1 && said.contains("gatepass.db-wal"), "{way}: {said}");
            }
            let said = no_server_as(&site, &["--init", "serve", "--listen", "127.0.0.1:0"], QUICK);
            assert!(said.contains("gatepass.db-wal"), "{way}: {said}");
            before.holds(site.path(), way);
            assert!(fs::read(site.path().join(LOG)).unwrap() == log, "{way}: the log is as it was");

            // One of the ways out: the database comes back, and nothing is lost.
            copy(whole.path(), site.path(), &[DATABASE, KEY, WITNESS]);
            let server = serves_well(&site, QUICK);
            assert_eq!(server.redeem(&session.ticket).status, 400);
            assert_eq!(server.refresh(&session.refresh).status, 200);
            no_alarm(&server.stop());
        }
    }
}

#[test]
fn no_database_is_made_beside_a_master_key_or_a_witness() {
    for (way, lose) in WAYS {
        for beside in [&[KEY, WITNESS][..], &[KEY], &[WITNESS]] {
            let site = site();
            for name in [KEY, WITNESS].iter().filter(|name| !beside.contains(name)) {
                fs::remove_file(site.path().join(name)).unwrap();
            }
            lose(&site);
            all_refuse(
                &site,
                &["gatepass.db is missing or empty", "put the database back", "gatepass restore", "move"],
            );
            if beside.contains(&WITNESS) {
                let before = Snapshot::of(site.path());
                let (code, said) = site.refused(&["--init", "user", "add", "eve"]);
                assert!(code == 1 && said.contains("is missing or empty"), "{way} {beside:?}: {said}");
                before.holds(site.path(), way);
            }
        }
    }
}

#[test]
fn told_so_an_installation_is_made_beside_a_master_key_of_ones_own() {
    let other = site();
    let site = Site::new();
    copy(other.path(), site.path(), &[KEY]);
    let key = fs::read(site.path().join(KEY)).unwrap();
    site.json(&["--init", "user", "add", "alice"]);
    assert_eq!(fs::read(site.path().join(KEY)).unwrap(), key, "the key that was there is the one in use");
    assert_eq!(site.json(&["user", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn the_database_is_put_back_and_serves_on() {
    let site = site();
    let server = serves_well(&site, QUICK);
    let (session, ticket) = (server.session(), server.ticket());
    server.stop();
    let kept = aside();
    copy(site.path(), kept.path(), &[DATABASE]);
    fs::remove_file(site.path().join(DATABASE)).unwrap();
    all_refuse(&site, &["master.key"]);
    copy(kept.path(), site.path(), &[DATABASE]);
    let server = serves_well(&site, QUICK);
    assert_eq!(server.redeem(&session.ticket).status, 400);
    assert_eq!(server.redeem(&ticket).status, 200);
    server.stop();
    assert_eq!(size(&site.path().join(LOG)).unwrap_or(0), 0);
}
