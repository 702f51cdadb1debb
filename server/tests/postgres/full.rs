//! The disk of the database server is full.

use std::path::Path;

use gatepass::store::prelude::*;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_tests::http::TestRequest;
use gatepass_tests::server::TestInstallation;
use serde_json::json;

use crate::cluster::Fixture;
use crate::events::{commit, insert_records};
use crate::fixture::{NOW, ticket};

/// Lets new rows of a table find no room.
fn fill(fixture: &Fixture, table: &str) {
    fixture.sql(&format!(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION \
         'could not extend file \"base/1/2\": No space left on device' USING ERRCODE = '53100'; END $$; \
         CREATE TRIGGER full_disk BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION full_disk()"
    ));
}

#[test]
fn what_finds_no_room_is_not_written_and_the_rest_is() {
    let fixture = Fixture::empty();
    let (store, other) = (fixture.store(), fixture.command());
    insert_records(&store);
    assert_eq!(commit(&store, [Change::InsertTicket(ticket(1))]), Outcome::Applied);
    assert!(!store.is_disk_full());
    fill(&fixture, "tickets");
    assert_eq!(commit(&store, [Change::InsertTicket(ticket(2))]), Outcome::NotApplied);
    assert!(store.is_disk_full() && !other.is_disk_full());
    let revoke = Change::RevokeTicket { id: ticket(1).id, at: NOW };
    assert_eq!(commit(&store, [revoke]), Outcome::Applied);
    assert!(store.is_disk_full(), "what needed no room proves none");
}

#[test]
fn a_server_says_so_and_goes_on_by_itself() {
    let fixture = Fixture::empty();
    let installation =
        TestInstallation::in_database(Path::new(env!("CARGO_BIN_EXE_gatepass")), fixture.url());
    installation.populate();
    let log = std::fs::File::create(installation.path().join("log")).unwrap();
    let server = installation.serve_to(&[], log.into());
    let spent = server.target().ticket(&json!({"user_id": "alice"}));
    fill(&fixture, "sessions");
    let answer = gatepass_tests::suite::sign_in(&spent).to(server.address);
    assert_eq!((answer.status, answer.header("retry-after").is_some()), (503, true));
    let ready = TestRequest::new("GET", "/readyz").to(server.address);
    assert_eq!((ready.status, &ready.json()["warnings"]), (200, &json!(["disk-full"])));
    let log = std::fs::read_to_string(installation.path().join("log")).unwrap();
    assert!(log.contains("the disk of the server of postgres://"), "{log}");
    fixture.sql("DROP TRIGGER full_disk ON sessions");
    assert_eq!(server.target().sign_in(&spent).status, 200);
}
