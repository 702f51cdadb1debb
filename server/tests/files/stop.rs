//! What a stop, and a quiet server, leave behind.

use crate::harness::{
    DATABASE, KEY, LOG, QUICK, SLOW, Snapshot, WITNESS, copy, no_alarm, serves_well, site, size, sql,
    wait_until_quiet,
};
use crate::site::Site;

#[test]
fn after_a_clean_stop_the_database_and_the_keys_are_the_whole_installation() {
    for settings in [QUICK, SLOW] {
        let site = site();
        let server = serves_well(&site, settings);
        let session = server.session();
        let ticket = server.ticket();
        no_alarm(&server.stop());
        assert_eq!(size(&site.path().join(LOG)).unwrap_or(0), 0);

        let elsewhere = Site::new();
        copy(site.path(), elsewhere.path(), &[DATABASE, KEY, WITNESS]);
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
    let site = site();
    let server = serves_well(&site, QUICK);
    for _ in 0..3 {
        let ticket = server.ticket();
        wait_until_quiet(&site);
        let elsewhere = Site::new();
        copy(site.path(), elsewhere.path(), &[DATABASE]);
        let tickets: i64 =
            sql(&elsewhere).query_row("SELECT count(*) FROM tickets", [], |row| row.get(0)).unwrap();
        assert_eq!(
            usize::try_from(tickets).unwrap(),
            site.json(&["ticket", "list"]).as_array().unwrap().len()
        );
        assert_eq!(server.redeem(&ticket).status, 200);
    }
    no_alarm(&server.stop());
}

#[test]
fn a_stop_and_a_start_without_a_request_between_change_nothing_that_was_served() {
    let site = site();
    let server = serves_well(&site, QUICK);
    let (session, ticket) = (server.session(), server.ticket());
    server.stop();
    for _ in 0..3 {
        no_alarm(&serves_well(&site, QUICK).stop());
    }
    let stopped = Snapshot::of(site.path());
    assert_eq!(site.json(&["check"])["ok"], true);
    stopped.holds(site.path(), "check");
    let server = serves_well(&site, QUICK);
    assert_eq!(server.redeem(&session.ticket).status, 400);
    assert_eq!(server.refresh(&session.refresh).status, 200);
    assert_eq!(server.redeem(&ticket).status, 200);
}

#[test]
fn a_server_that_nobody_asks_empties_its_log_too() {
    let site = site();
    for _ in 0..3 {
        let server = serves_well(&site, QUICK);
        wait_until_quiet(&site);
        no_alarm(&server.stop());
    }
}
