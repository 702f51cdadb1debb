//! The master key is replaced on one machine: every process goes on with the new file, and none without it.

use std::fs;
use std::path::Path;

use gatepass::store::postgres::PostgresStore;
use gatepass::store::prelude::*;
use gatepass::store::{Access, Create, Installation, StoreError, StoreOptions};
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::{BearerQuery, PersonQuery, Query};
use gatepass_tests::http::TestRequest;
use gatepass_tests::server::{Running, TestInstallation};
use serde_json::json;

use crate::cluster::{Cluster, Fixture, address, server};
use crate::events::{commit, insert_records, listed};
use crate::fixture::{alice, device, portal, session};
use crate::relay::{Fault, Relay};

const NEW_KEY: &str = "master.key.new";

fn copy_key(from: &TestInstallation, file: &str, to: &TestInstallation) {
    fs::copy(from.path().join(file), to.path().join("master.key")).unwrap();
}

fn status(server: &Running, request: &TestRequest) -> u16 {
    request.to(server.address).status
}

/// Returns what a command says that has to fail.
fn refused(installation: &TestInstallation, arguments: &[&str]) -> String {
    let output = installation.run(arguments);
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_process_without_the_new_file_answers_nothing_and_goes_on_once_it_is_there() {
    let fixture = Fixture::empty();
    let [first, second] = [(); 2]
        .map(|()| TestInstallation::in_database(Path::new(env!("CARGO_BIN_EXE_gatepass")), fixture.url()));
    first.populate();
    copy_key(&first, "master.key", &second);
    let issuer = ["--issuer", "http://gate.example"];
    let one = first.serve(&issuer);
    let log = fs::File::create(second.path().join("log")).unwrap();
    let other = second.serve_to(&issuer, log.into());
    let (ready, ask) = (TestRequest::new("GET", "/readyz"), TestRequest::new("GET", "/userinfo"));
    let token = one.target().sign_in(&one.target().ticket(&json!({"user_id": "alice"}))).text("access_token");

    let rotated = first.json(&["key", "rotate-master"]);
    let path = |name: &str| json!(first.path().join(name));
    assert_eq!(
        (&rotated["master_key"], &rotated["old_master_key"]),
        (&path("master.key"), &path("master.key.old"))
    );
    assert!(!first.path().join(NEW_KEY).exists());

    // The machine where it was done goes on.
    let ticket = one.target().ticket(&json!({"user_id": "alice"}));
    assert_eq!(status(&one, &ready), 200);
    // The other one does nothing, and says what to do.
    let sign_in = gatepass_tests::suite::sign_in(&ticket);
    assert_eq!((status(&other, &sign_in), status(&other, &ready)), (503, 503));
    assert_eq!(status(&other, &ask.clone().bearer(&token)), 503);
    let told =
        |said: &str| said.contains("copy the file from the machine where `gatepass key rotate-master` ran");
    assert!(told(&fs::read_to_string(second.path().join("log")).unwrap()));
    for arguments in [&["user", "list"][..], &["user", "add", "bob"], &["serve"], &["key", "rotate-master"]] {
        assert!(told(&refused(&second, arguments)), "{arguments:?}");
    }
    let checked =
        serde_json::from_slice::<serde_json::Value>(&second.run(&["--json", "check"]).stdout).unwrap();
    assert_eq!(checked["findings"][0]["code"], "master-key-wrong", "{checked}");

    copy_key(&first, "master.key", &second);
    assert_eq!((status(&other, &sign_in), status(&one, &sign_in)), (200, 400));
    assert_eq!(status(&other, &ready), 200);
    assert_eq!(status(&other, &ask.bearer(&token)), 200);
    // Keys that are made now are sealed with the new one.
    second.json(&["key", "rotate", "--now"]);
    assert_eq!(
        status(&one, &gatepass_tests::suite::sign_in(&other.target().ticket(&json!({"user_id": "alice"})))),
        200
    );
    assert!(one.terminate() && other.terminate());
    copy_key(&first, "master.key.old", &second);
    assert!(told(&refused(&second, &["serve"])));
    assert_eq!(first.json(&["check"])["ok"], json!(true));
    let kinds = first.json(&["audit", "list"]);
    assert!(kinds.as_array().unwrap().iter().any(|row| row["kind"] == "master-key.rotated"));
}

#[test]
fn everything_that_is_sealed_opens_again() {
    let fixture = Fixture::empty();
    let (store, command) = (fixture.store(), fixture.command());
    insert_records(&store);
    let insert = |store: &PostgresStore, numbers: std::ops::Range<u64>| {
        let devices: Vec<Change> =
            numbers.map(|number| Change::InsertDevice(device(number, alice()))).collect();
        assert_eq!(commit(store, devices), Outcome::Applied);
    };
    insert(&store, 0..3);
    let before = store.find(&devices()).unwrap();
    assert!(format!("{before:?}").contains("dev_2"), "{before:?}");
    let rotated = command.rotate_master_key(None).unwrap();
    assert_eq!(rotated.sealed, 2 + 3);
    // Also for whoever had the old key in use.
    assert_eq!(store.find(&devices()).unwrap(), before);
    assert_eq!(fixture.command().find(&devices()).unwrap(), before);
    insert(&command, 3..5);
    insert(&store, 5..6);
    let elsewhere = fixture.dir().join("elsewhere");
    let rotated = command.rotate_master_key(Some(&elsewhere)).unwrap();
    assert_eq!((rotated.sealed, &rotated.key), (2 + 6, &elsewhere));
    assert!(matches!(store.keys(), Err(StoreError::MasterKeyWrong { .. })));
    assert_eq!(commit(&store, [Change::InsertDevice(device(6, alice()))]), Outcome::NotApplied);
    assert!(matches!(store.find(&devices()), Err(StoreError::MasterKeyWrong { .. })));
    fs::rename(&elsewhere, fixture.dir().join("master.key")).unwrap();
    insert(&store, 6..7);
    assert!(store.verify_audit().unwrap().broken.is_none());
    assert_eq!(listed(&store).len(), 2);
}

#[test]
fn one_that_fails_leaves_the_old_key() {
    let fixture = Fixture::empty();
    let store = fixture.store();
    insert_records(&store);
    fixture.sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$; \
         CREATE TRIGGER refuse BEFORE UPDATE OF audit_key ON meta FOR EACH ROW EXECUTE FUNCTION refuse()",
    );
    assert!(matches!(fixture.command().rotate_master_key(None), Err(StoreError::Postgres { .. })));
    assert!(!fixture.dir().join(NEW_KEY).exists());
    assert!(!fixture.dir().join("master.key.old").exists());
    insert_device(&store);
    fixture.sql("DROP TRIGGER refuse ON meta");
    // One that somebody has put there is not taken, and not removed.
    fs::copy(fixture.dir().join("master.key"), fixture.dir().join(NEW_KEY)).unwrap();
    assert!(matches!(fixture.command().rotate_master_key(None), Err(StoreError::FileExists(_))));
    assert!(fixture.dir().join(NEW_KEY).exists());
}

/// Asks for alice's devices, with their secrets.
fn devices() -> Query {
    let person = Some(PersonQuery { user: alice(), session: session(0).id, actor: None });
    Query::Factors(BearerQuery { client: portal(), token_id: "t".into(), person })
}

fn insert_device(store: &PostgresStore) {
    assert_eq!(commit(store, [Change::InsertDevice(device(1, alice()))]), Outcome::Applied);
}

#[test]
fn one_that_is_cut_after_its_transaction_is_completed_by_whoever_writes_next() {
    let fixture = Fixture::empty();
    let store = fixture.store();
    insert_records(&store);
    insert_device(&store);
    let before = store.find(&devices()).unwrap();
    fixture.command().rotate_master_key(None).unwrap();
    let file = |name: &str| fixture.dir().join(name);
    fs::rename(file("master.key"), file(NEW_KEY)).unwrap();
    fs::rename(file("master.key.old"), file("master.key")).unwrap();
    assert_eq!(store.find(&devices()).unwrap(), before);
    assert_eq!(fixture.reading().find(&devices()).unwrap(), before);
    assert!(file(NEW_KEY).exists());
    assert_eq!(fixture.command().find(&devices()).unwrap(), before);
    assert!(!file(NEW_KEY).exists() && file("master.key.old").exists());
    assert_eq!(fixture.reading().find(&devices()).unwrap(), before);
}

#[test]
fn one_whose_answer_is_lost_is_found_out() {
    let cluster = Cluster::start();
    let relay = Relay::to(cluster.path());
    for (fault, is_written) in [(Fault::CutAfter, true), (Fault::CutBefore, false)] {
        let database = cluster.database();
        let dir = tempfile::tempdir().unwrap();
        let open = |url: &str| {
            let (server, installation) = (server(url), Installation::at(dir.path()));
            PostgresStore::open(
                &server,
                &installation,
                Access::Write,
                Create::InEmpty,
                &StoreOptions::default(),
            )
            .unwrap()
        };
        let near = open(&cluster.url(&database));
        insert_records(&near);
        let far = open(&address(&[relay.path()], &database));
        relay.next_commits([fault]);
        assert_eq!(far.rotate_master_key(None).is_ok(), is_written);
        insert_device(&near);
        assert!(!dir.path().join(NEW_KEY).exists());
    }
}
