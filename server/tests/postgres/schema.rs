//! Databases of other schemas: a newer one that this version may use, one that it may not, and an older one.

use std::fs;
use std::thread;

use gatepass::store::postgres::PostgresStore;
use gatepass::store::prelude::*;
use gatepass::store::{Access, Create, DatabaseServer, Installation, StoreError, StoreOptions};
use gatepass_core::store::change::{Change, Outcome};

use crate::cluster::{Fixture, server};
use crate::events::{commit, insert_records};
use crate::fixture::ticket;
use crate::session::Session;

/// The advisory lock under which a schema is looked at.
const LOCK: u64 = 1_195_463_760;

/// Returns everything in the database, and the tables themselves.
fn dump(fixture: &Fixture) -> String {
    let tables = fixture.sql(
        "SELECT query_to_xml(format('SELECT * FROM %I', relname), true, false, '') FROM pg_class WHERE relkind = 'r' AND \
         relnamespace = 'public'::regnamespace ORDER BY relname",
    );
    let columns = "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2";
    tables + &fixture.sql(columns)
}

/// Returns the names of the files in the data directory.
fn files(fixture: &Fixture) -> Vec<String> {
    let names = fs::read_dir(fixture.dir()).unwrap();
    let mut names: Vec<String> = names.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn open(fixture: &Fixture, access: Access) -> Result<PostgresStore, StoreError> {
    fixture.open_there(access)
}

#[test]
fn this_version_serves_beside_a_newer_one_that_says_so() {
    let fixture = Fixture::empty();
    insert_records(&fixture.store());
    fixture.sql(
        "UPDATE gatepass_schema SET number = 2, compatible_from = 1; ALTER TABLE tickets ADD COLUMN added bigint NOT NULL DEFAULT 7; \
         ALTER TABLE meta ADD COLUMN added bigint; CREATE TABLE added (id bigint)",
    );
    let (store, command) = (open(&fixture, Access::Serve).unwrap(), open(&fixture, Access::Write).unwrap());
    assert_eq!(commit(&store, [Change::InsertTicket(ticket(1))]), Outcome::Applied);
    let revoke = Change::RevokeTicket { id: ticket(1).id, at: ticket(1).issued_at };
    assert_eq!(commit(&command, [revoke]), Outcome::Applied);
    assert_eq!(fixture.sql("SELECT added FROM tickets WHERE revoked_at IS NOT NULL"), "7\n");
    assert!(open(&fixture, Access::Read).unwrap().verify_audit().unwrap().broken.is_none());
    assert_eq!(fixture.sql("SELECT number, compatible_from FROM gatepass_schema"), "2|1\n");
    // What it does not know, it cannot copy.
    let cancelled = PostgresStore::cancel_handover(&server(&fixture.url()), &fixture.installation());
    assert!(matches!(cancelled, Err(StoreError::Newer { found: 2, known: 1, .. })), "{cancelled:?}");
}

#[test]
fn a_newer_one_that_does_not_say_so_is_left_alone() {
    let fixture = Fixture::empty();
    insert_records(&fixture.store());
    fixture.sql("UPDATE gatepass_schema SET number = 3, compatible_from = 2");
    let before = (dump(&fixture), files(&fixture));
    for access in [Access::Serve, Access::Write, Access::WriteHandedOver, Access::Read] {
        let refused = open(&fixture, access);
        assert!(matches!(refused, Err(StoreError::Newer { found: 3, known: 1, .. })), "{refused:?}");
    }
    let report = gatepass::store::check(&fixture.installation());
    assert_eq!(report.findings.iter().map(|found| found.code).collect::<Vec<_>>(), ["schema-newer"]);
    assert_eq!((dump(&fixture), files(&fixture)), before);
}

/// Makes the database one of schema 0 whose only migration makes the tables. The row of the whole store and the slots are those that it had.
fn make_old(fixture: &Fixture) {
    fixture.sql(
        "CREATE SCHEMA kept; CREATE TABLE kept.meta AS TABLE meta; CREATE TABLE kept.audit_slots AS TABLE audit_slots; \
         DO $$ DECLARE name text; BEGIN FOR name IN SELECT relname FROM pg_class WHERE relkind = 'r' AND \
         relnamespace = 'public'::regnamespace AND relname <> 'gatepass_schema' LOOP \
         EXECUTE format('DROP TABLE %I CASCADE', name); END LOOP; END $$; \
         UPDATE gatepass_schema SET number = 0, compatible_from = 0; \
         CREATE FUNCTION put_back() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF to_regclass('public.audit_slots') IS NOT NULL AND NOT EXISTS (SELECT FROM public.meta) THEN \
         INSERT INTO public.meta SELECT * FROM kept.meta; INSERT INTO public.audit_slots SELECT * FROM kept.audit_slots; \
         END IF; END $$; \
         CREATE EVENT TRIGGER put_back ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION put_back()",
    );
}

/// Opens a store on as many threads as there are installations, all of which wait for the schema until every one does.
fn open_at_once(
    fixture: &Fixture,
    installations: [Installation; 2],
    create: Create,
) -> Vec<Result<PostgresStore, StoreError>> {
    let session = Session::open(&fixture.url());
    session.run(&format!("SELECT pg_advisory_lock({LOCK})")).unwrap();
    let opening = installations.map(|installation| {
        let database: DatabaseServer = server(&fixture.url());
        thread::spawn(move || {
            PostgresStore::open(&database, &installation, Access::Serve, create, &StoreOptions::default())
        })
    });
    session.wait_until(
        "SELECT count(*) = 2 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND \
         database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    );
    session.run(&format!("SELECT pg_advisory_unlock({LOCK})")).unwrap();
    opening.into_iter().map(|opening| opening.join().unwrap()).collect()
}

#[test]
fn an_older_one_is_migrated_by_a_server_alone_and_once() {
    let fixture = Fixture::empty();
    drop(fixture.store());
    make_old(&fixture);
    let before = dump(&fixture);
    for access in [Access::Write, Access::Read] {
        let refused = open(&fixture, access);
        assert!(matches!(refused, Err(StoreError::Older { found: 0, known: 1, .. })), "{refused:?}");
    }
    assert_eq!(dump(&fixture), before);
    // The second one would make the tables once more.
    let opened = open_at_once(&fixture, [(); 2].map(|()| fixture.installation()), Create::No);
    for store in opened {
        assert_eq!(commit(&store.unwrap(), [Change::Probe]), Outcome::Applied);
    }
    assert_eq!(fixture.sql("SELECT number, compatible_from FROM gatepass_schema"), "1|1\n");
}

#[test]
fn of_two_first_starts_one_makes_the_installation() {
    let fixture = Fixture::empty();
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Installation::at(elsewhere.path()).with_server(Some(server(&fixture.url())));
    let opened = open_at_once(&fixture, [fixture.installation(), other], Create::InEmpty);
    let made = opened.iter().filter(|opened| opened.is_ok()).count();
    let refused = opened.iter().find_map(|opened| opened.as_ref().err());
    assert!(made == 1 && matches!(refused, Some(StoreError::MasterKeyNotCopied { .. })), "{opened:?}");
    // In one directory both have the key.
    let fixture = Fixture::empty();
    let opened = open_at_once(&fixture, [(); 2].map(|()| fixture.installation()), Create::InEmpty);
    assert!(opened.iter().all(Result::is_ok), "{opened:?}");
}

#[test]
fn who_waits_too_long_for_the_schema_says_so() {
    let fixture = Fixture::empty();
    insert_records(&fixture.store());
    let session = Session::open(&fixture.url());
    session.run(&format!("SELECT pg_advisory_lock({LOCK})")).unwrap();
    let Err(StoreError::Postgres { detail, .. }) = open(&fixture, Access::Serve) else { panic!() };
    assert!(detail.contains("lock timeout (55P03): something else holds it; try again"), "{detail}");
    session.run(&format!("SELECT pg_advisory_unlock({LOCK})")).unwrap();
    open(&fixture, Access::Serve).unwrap();
}
