//! A missing or empty database beside files that belong to one: nothing is made in its place.

use std::fs;

use crate::harness::{
    DATABASE, INDEX, KEY, LOG, QUICK, SLOW, Snapshot, WITNESS, all_refuse, aside, copy, installation,
    no_alarm, refused_start_as, serves_well, size,
};
use crate::installation::TestInstallation;

/// Removes the database in one way.
type RemoveDatabase = fn(&TestInstallation);

/// Ways to lose a database.
const WAYS: [(&str, RemoveDatabase); 2] = [
    ("missing", |installation| {
        let _ = fs::remove_file(installation.path().join(DATABASE));
    }),
    ("empty", |installation| fs::write(installation.path().join(DATABASE), "").unwrap()),
];

#[test]
fn a_database_that_is_a_link_is_refused() {
    let (installation, elsewhere) = (installation(), aside());
    let (file, moved) = (installation.path().join("gatepass.db"), elsewhere.path().join("moved.db"));
    fs::rename(&file, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &file).unwrap();
    let (code, said) = installation.refused(&["user", "list"]);
    assert!(code == 1 && said.contains("symbolic link") && said.contains("--data"), "{said}");
}

#[test]
fn a_log_without_its_database_is_not_destroyed() {
    for (way, lose) in WAYS {
        for beside in [&[KEY, WITNESS][..], &[KEY], &[WITNESS], &[]] {
            let whole = installation();
            let server = serves_well(&whole, SLOW);
            let session = server.session();
            server.kill();

            let installation = TestInstallation::new();
            copy(whole.path(), installation.path(), &[&[LOG, INDEX], beside].concat());
            lose(&installation);
            let log = fs::read(installation.path().join(LOG)).unwrap();
            assert!(log.len() > 32);
            all_refuse(
                &installation,
                &["gatepass.db is missing or empty", "put the database back", "gatepass restore", "move"],
            );
            let before = Snapshot::of(installation.path());
            for init in
                [&["--init", "user", "add", "eve"][..], &["--init", "key", "generate", "--alg", "EdDSA"]]
            {
                let (code, said) = installation.refused(init);
                assert!(code == 1 && said.contains("gatepass.db-wal"), "{way}: {said}");
            }
            let said =
                refused_start_as(&installation, &["--init", "serve", "--listen", "127.0.0.1:0"], QUICK);
            assert!(said.contains("gatepass.db-wal"), "{way}: {said}");
            before.holds(installation.path(), way);
            assert!(fs::read(installation.path().join(LOG)).unwrap() == log, "{way}: the log is as it was");

            // One way out: the database comes back, and nothing is lost.
            copy(whole.path(), installation.path(), &[DATABASE, KEY, WITNESS]);
            let server = serves_well(&installation, QUICK);
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
            let installation = installation();
            for name in [KEY, WITNESS].iter().filter(|name| !beside.contains(name)) {
                fs::remove_file(installation.path().join(name)).unwrap();
            }
            lose(&installation);
            all_refuse(
                &installation,
                &["gatepass.db is missing or empty", "put the database back", "gatepass restore", "move"],
            );
            if beside.contains(&WITNESS) {
                let before = Snapshot::of(installation.path());
                let (code, said) = installation.refused(&["--init", "user", "add", "eve"]);
                assert!(code == 1 && said.contains("is missing or empty"), "{way} {beside:?}: {said}");
                before.holds(installation.path(), way);
            }
        }
    }
}

#[test]
fn with_init_an_installation_is_made_beside_an_own_master_key() {
    let other = installation();
    let installation = TestInstallation::new();
    copy(other.path(), installation.path(), &[KEY]);
    let key = fs::read(installation.path().join(KEY)).unwrap();
    installation.json(&["--init", "user", "add", "alice"]);
    assert_eq!(
        fs::read(installation.path().join(KEY)).unwrap(),
        key,
        "the key that was there is the one in use"
    );
    assert_eq!(installation.json(&["user", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn the_database_is_put_back_and_serves_on() {
    let installation = installation();
    let server = serves_well(&installation, QUICK);
    let (session, ticket) = (server.session(), server.ticket());
    server.stop();
    let kept = aside();
    copy(installation.path(), kept.path(), &[DATABASE]);
    fs::remove_file(installation.path().join(DATABASE)).unwrap();
    all_refuse(&installation, &["master.key"]);
    copy(kept.path(), installation.path(), &[DATABASE]);
    let server = serves_well(&installation, QUICK);
    assert_eq!(server.redeem(&session.ticket).status, 400);
    assert_eq!(server.redeem(&ticket).status, 200);
    server.stop();
    assert_eq!(size(&installation.path().join(LOG)).unwrap_or(0), 0);
}
