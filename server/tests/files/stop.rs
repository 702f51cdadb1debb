//! The files after a stop, and of an idle server.

use crate::harness::{
    DATABASE, KEY, LOG, QUICK, SLOW, Snapshot, WITNESS, copy, installation, no_alarm, serves_well, size, sql,
    wait_until_quiet,
};
use crate::installation::TestInstallation;

#[test]
fn after_a_clean_stop_the_database_and_the_keys_are_the_whole_installation() {
    for settings in [QUICK, SLOW] {
        let installation = installation();
        let server = serves_well(&installation, settings);
        let session = server.session();
        let ticket = server.ticket();
        no_alarm(&server.stop());
        assert_eq!(size(&installation.path().join(LOG)).unwrap_or(0), 0);

        let elsewhere = TestInstallation::new();
        copy(installation.path(), elsewhere.path(), &[DATABASE, KEY, WITNESS]);
        let server = serves_well(&elsewhere, settings);
        assert_eq!(server.redeem(&session.ticket).status, 400);
        assert_eq!(server.redeem(&ticket).status, 200);
        assert_eq!(server.refresh(&session.refresh).status, 200);
        assert_eq!(elsewhere.json(&["check"])["ok"], true);
        no_alarm(&server.stop());
    }
}

#[test]
fn a_quiet_server_has_an_empty_log_and_everything_in_the_database() {
    let installation = installation();
    let server = serves_well(&installation, QUICK);
    for _ in 0..3 {
        let ticket = server.ticket();
        wait_until_quiet(&installation);
        let elsewhere = TestInstallation::new();
        copy(installation.path(), elsewhere.path(), &[DATABASE]);
        let tickets: i64 =
            sql(&elsewhere).query_row("SELECT count(*) FROM tickets", [], |row| row.get(0)).unwrap();
        assert_eq!(
            usize::try_from(tickets).unwrap(),
            installation.json(&["ticket", "list"]).as_array().unwrap().len()
        );
        assert_eq!(server.redeem(&ticket).status, 200);
    }
    no_alarm(&server.stop());
}

#[test]
fn a_stop_and_a_start_without_a_request_between_change_nothing_that_was_served() {
    let installation = installation();
    let server = serves_well(&installation, QUICK);
    let (session, ticket) = (server.session(), server.ticket());
    server.stop();
    for _ in 0..3 {
        no_alarm(&serves_well(&installation, QUICK).stop());
    }
    let stopped = Snapshot::of(installation.path());
    assert_eq!(installation.json(&["check"])["ok"], true);
    stopped.holds(installation.path(), "check");
    let server = serves_well(&installation, QUICK);
    assert_eq!(server.redeem(&session.ticket).status, 400);
    assert_eq!(server.refresh(&session.refresh).status, 200);
    assert_eq!(server.redeem(&ticket).status, 200);
}

#[test]
fn an_idle_server_empties_its_log_too() {
    let installation = installation();
    for _ in 0..3 {
        let server = serves_well(&installation, QUICK);
        wait_until_quiet(&installation);
        no_alarm(&server.stop());
    }
}
