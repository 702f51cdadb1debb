//! Files that are damaged, full, locked, foreign or missing: one clear line, and no partial change.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use gatepass::store::{
    Access, Create, DATABASE, Installation, SqliteErrorKind, Store, StoreError, StoreOptions,
};
use gatepass_core::records::id::{SecretId, UserId};
use gatepass_core::records::session::{Actor, RefreshDigest, Session};
use gatepass_core::records::sign_in_history;
use gatepass_core::store::Store as _;
use gatepass_core::store::audit::Kind;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::{Named, Query, Records, TokenQuery};

use crate::fixture::*;

fn open(fixture: &Fixture) -> Result<Store, StoreError> {
    fixture.open(&StoreOptions::default())
}

/// Returns the error, which is one line and names the file.
fn refusal(fixture: &Fixture) -> StoreError {
    let error = open(fixture).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(DATABASE) && !text.contains('\n'), "{text}");
    error
}

#[test]
fn other_files_in_the_databases_place_are_left_alone() {
    let fixture = Fixture::new();
    let path = fixture.dir().join(DATABASE);
    let text = "this is no database, whatever its name says".repeat(100);
    fs::write(&path, &text).unwrap();
    assert!(matches!(refusal(&fixture), StoreError::Sqlite { fault: SqliteErrorKind::NotADatabase, .. }));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);

    fs::remove_file(&path).unwrap();
    fixture.sql().execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)").unwrap();
    let theirs = fs::read(&path).unwrap();
    assert!(matches!(refusal(&fixture), StoreError::Foreign(_)));
    assert_eq!(fs::read(&path).unwrap(), theirs);

    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(refusal(&fixture), StoreError::File { .. }));
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let fixture = Fixture::new();
    let known: i64 = fixture.sql().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    fixture.sql().pragma_update(None, "user_version", 99).unwrap();
    let error = refusal(&fixture);
    assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
    fixture.sql().pragma_update(None, "user_version", known).unwrap();
    assert_eq!(open(&fixture).unwrap().users().unwrap().len(), EVERYBODY);
}

#[test]
fn a_file_of_the_first_schema_is_brought_up_to_date() {
    let fixture = Fixture::new();
    let boss = UserId::parse("usr_boss").unwrap();
    let acted = Session { actor: Some(Actor { id: boss, epoch: 0 }), ..session(1) };
    let before = [begin_session(acted.clone(), 1), Change::Audit(event(Kind::TicketRedeemed, 1))];
    assert_eq!(commit(&fixture.store(), before), Outcome::Applied);
    let back = "ALTER TABLE audit DROP COLUMN risk; DROP INDEX users_by_email; DROP INDEX users_by_phone; \
                ALTER TABLE users DROP COLUMN password_changed_at; ALTER TABLE users DROP COLUMN second_factor; \
                ALTER TABLE clients DROP COLUMN second_factor; ALTER TABLE sessions DROP COLUMN actor_epoch; \
                ALTER TABLE sessions DROP COLUMN purpose; \
                DROP TABLE passwords; DROP TABLE habits; \
                DROP TABLE challenges; DROP TABLE factor_guesses; DROP TABLE backup_codes; DROP TABLE totp_devices; \
                DROP TABLE revoked_tokens; ALTER TABLE sessions DROP COLUMN methods; \
                ALTER TABLE refresh_tokens DROP COLUMN used_at; ALTER TABLE refresh_tokens DROP COLUMN salt; \
                ALTER TABLE refresh_tokens DROP COLUMN successor";
    fixture.downgrade(1, back);
    let store = fixture.serve().unwrap();
    let query =
        TokenQuery { caller: None, access: None, refresh: Some(RefreshDigest(digest(1))), assertion: None };
    let Records::Token(found) = store.read(&Query::Token(query)).records else { panic!() };
    assert_eq!(found.family.unwrap().session, acted);
    assert!(store.verify_audit().unwrap().holds());
    assert_eq!(commit(&store, [rotate(1, 2, 1)]), Outcome::Applied);
}

#[test]
fn sign_in_history_of_an_earlier_schema_is_kept() {
    let fixture = Fixture::new();
    let learn = |device: u8, at| Change::RecordSignIn {
        user: UserId::parse("usr_alice").unwrap(),
        place: sign_in_history::DeviceOnNetwork {
            device: sign_in_history::DeviceMark([device; 32]),
            network: sign_in_history::Network::parse("192.0.2.0/24").unwrap(),
        },
        at: NOW.plus(at),
    };
    let alice = UserId::parse("usr_alice").unwrap();
    let fail = |at| Change::CountFailure { user: alice.clone(), at: NOW.plus(at) };
    let changes = [learn(1, 0), fail(9), learn(0xab, 5000), fail(8), learn(2, 5001)];
    assert_eq!(commit(&fixture.store(), changes), Outcome::Applied);
    let history = |store: Store| match store.find(&Query::Account((&alice).into())).unwrap().records {
        Records::Account(Named::One(account)) => account.history,
        other => panic!("{other:?}"),
    };
    let before = history(fixture.store());
    let back = "CREATE TABLE known_places (user_id TEXT, device BLOB, network TEXT, last_at INTEGER); \
                INSERT INTO known_places SELECT user_id, unhex(p.value ->> 0), p.value ->> 1, p.value ->> 2 \
                FROM habits, json_each(places) p ORDER BY p.key DESC; \
                CREATE TABLE sign_in_hours (user_id TEXT, hour INTEGER, times INTEGER); \
                INSERT INTO sign_in_hours SELECT user_id, h.key, h.value FROM habits, json_each(hours) h WHERE h.value > 0; \
                CREATE TABLE sign_in_failures (seq INTEGER PRIMARY KEY, user_id TEXT, at INTEGER); \
                INSERT INTO sign_in_failures (user_id, at) SELECT user_id, f.value \
                FROM habits, json_each(failures) f ORDER BY f.key DESC; \
                DROP TABLE habits";
    fixture.downgrade(4, back);
    assert_eq!(history(fixture.serve().unwrap()), before);
    assert_eq!((before.places.len(), before.failures.len()), (3, 2));
}

#[test]
fn sessions_and_refresh_tokens_of_an_earlier_schema_are_kept() {
    let fixture = Fixture::new();
    let acted = Session { actor: Some(Actor { id: alice(), epoch: 0 }), ended_at: Some(NOW), ..session(2) };
    let changes = [begin(1), rotate(1, 3, 1), begin_session(acted, 2)];
    assert_eq!(commit(&fixture.store(), changes), Outcome::Applied);
    let look = |store: &Store| {
        let family = |number| {
            let refresh = Some(RefreshDigest(digest(number)));
            let query = Query::Token(TokenQuery { caller: None, access: None, refresh, assertion: None });
            let Records::Token(found) = store.read(&query).records else { panic!() };
            let mut family = found.family.unwrap();
            // Fields that the earlier schema lacks.
            if let Some(client) = &mut family.client {
                client.trusted_context = false;
                client.secrets.iter_mut().for_each(|secret| secret.id = SecretId::parse("sec_1").unwrap());
            }
            for token in std::iter::once(&mut family.refresh).chain(&mut family.successor) {
                (token.number, token.refreshes, token.recorded_at) = (0, 0, None);
            }
            family
        };
        ([1, 2, 3].map(family), sessions_of(store, alice(), 1))
    };
    let before = look(&fixture.store());
    // The tables of that schema, with a foreign key to the users.
    let former = rusqlite::Connection::open_in_memory().unwrap();
    for migration in [
        include_str!("../../src/store/sqlite/migrations/0001.sql"),
        include_str!("../../src/store/sqlite/migrations/0002.sql"),
        include_str!("../../src/store/sqlite/migrations/0003.sql"),
        include_str!("../../src/store/sqlite/migrations/0004.sql"),
        include_str!("../../src/store/sqlite/migrations/0005.sql"),
    ] {
        former.execute_batch(migration).unwrap();
    }
    let text = |sql: &str, name: &str| former.query_row(sql, [name], |row| row.get::<_, String>(0)).unwrap();
    let made = |name| {
        text("SELECT group_concat(sql, ';') FROM sqlite_schema WHERE tbl_name = ?1 ORDER BY rowid", name)
    };
    let columns = |name| text("SELECT group_concat(name) FROM pragma_table_info(?1)", name);
    let (sessions, tokens) = (columns("sessions"), columns("refresh_tokens"));
    fixture.downgrade(
        5,
        &format!(
            "CREATE TEMP TABLE s AS SELECT * FROM sessions; CREATE TEMP TABLE r AS SELECT * FROM refresh_tokens; \
             DROP TABLE refresh_tokens; DROP TABLE sessions; {}; {}; \
             INSERT INTO sessions ({sessions}) SELECT {sessions} FROM s; \
             INSERT INTO refresh_tokens ({tokens}) SELECT {tokens} FROM r",
            made("sessions"),
            made("refresh_tokens")
        ),
    );
    let store = fixture.serve().unwrap();
    assert_eq!(look(&store), before);
    assert!(store.check().unwrap().is_sound());
    fixture.sql().execute("DELETE FROM sessions", []).unwrap();
    let left: i64 =
        fixture.sql().query_row("SELECT count(*) FROM refresh_tokens", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0, "a session takes its tokens along");
}

#[test]
fn a_session_without_a_user_is_reported() {
    let fixture = Fixture::new();
    assert_eq!(commit(&fixture.store(), [begin(1)]), Outcome::Applied);
    fixture.sql().execute("UPDATE sessions SET user_id = 'usr_nobody'", []).unwrap();
    let report = fixture.store().check().unwrap();
    let found = report.findings.iter().find(|finding| finding.code == "row-orphaned").unwrap();
    assert_eq!(found.what, "a row of sessions names one of users that is not there");
}

#[test]
fn a_directory_that_is_none_or_cannot_be_made() {
    let fixture = Fixture::empty();
    let file = fixture.dir().join("file");
    fs::write(&file, "").unwrap();
    let make = |dir: &Path| {
        let (installation, options) = (Installation::at(dir), StoreOptions::default());
        Store::open_or_create(&installation, Access::Serve, Create::InEmpty, &options)
    };
    assert_eq!(make(&file).unwrap_err(), StoreError::NotADirectory(file.clone()));
    for dir in [file.join("below"), "/proc/gatepass".into()] {
        let error = make(&dir).unwrap_err();
        assert!(matches!(&error, StoreError::File { .. }), "{error}");
        assert!(error.to_string().contains(dir.to_str().unwrap()), "{error}");
    }
    let deep = fixture.dir().join("a/b");
    make(&deep).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&deep).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_durable_commit_proves_for_a_while_that_the_next_can_be() {
    let fixture = Fixture::new();
    let commits =
        || fixture.sql().query_row("SELECT commits FROM meta", [], |row| row.get::<_, i64>(0)).unwrap();
    for (proof, written) in [(Duration::MAX, 1), (Duration::ZERO, 3)] {
        let store = fixture.store_with(&StoreOptions { proof, ..StoreOptions::default() });
        let before = commits();
        for _ in 0..3 {
            assert_eq!(commit(&store, [Change::Probe]), Outcome::Applied);
        }
        assert_eq!(commits() - before, written, "{proof:?}");
    }
}

#[test]
fn a_lock_held_elsewhere_is_waited_for_and_then_nothing_is_written() {
    let fixture = Fixture::new();
    let options = StoreOptions { busy_timeout: Duration::from_millis(1), ..StoreOptions::default() };
    let store = fixture.store_with(&options);
    assert_eq!(commit(&store, [Change::InsertTicket(ticket(1))]), Outcome::Applied);
    let other = fixture.sql();
    other.execute_batch("BEGIN IMMEDIATE; UPDATE meta SET commits = commits").unwrap();
    assert_eq!(commit(&store, redemption(1, 1)), Outcome::NotApplied);
    assert_eq!(commit(&store, [Change::Probe]), Outcome::NotApplied);
    // Reading and opening still work.
    assert!(state(&store, 1).is_some());
    let second = fixture.store_with(&options);
    assert_eq!(second.users().unwrap().len(), EVERYBODY);
    let error = second.sweep(NOW.plus(10_000), 1).unwrap_err();
    assert!(matches!(error, StoreError::Sqlite { fault: SqliteErrorKind::Locked, .. }));
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(commit(&store, redemption(1, 1)), Outcome::Applied);
    assert_eq!(audit(&second).len(), 1);
}

#[test]
fn a_full_disk_takes_nothing_in_halves() {
    let fixture = Fixture::new();
    let pages: u32 = fixture.sql().query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    let bounded = StoreOptions { max_pages: Some(pages + 3), ..StoreOptions::default() };
    let store = fixture.store_with(&bounded);
    let issue = |i| [Change::InsertTicket(ticket(i)), Change::Audit(event(Kind::TicketIssued, i))];
    let full = (0..).find(|i| commit(&store, issue(*i)) == Outcome::NotApplied).unwrap();
    assert!(full > 0);
    assert_eq!(state(&store, full), None);
    assert_eq!(u64::try_from(audit(&store).len()).unwrap(), full);
    assert!(store.check().unwrap().is_sound());
    // Changes that need no room still work, and the others do once there is room.
    assert_eq!(commit(&store, [spend(0)]), Outcome::Applied);
    assert_eq!(commit(&store, issue(full)), Outcome::NotApplied);
    let store = fixture.store();
    assert_eq!(commit(&store, issue(full)), Outcome::Applied);
    assert!(store.check().unwrap().is_sound());
}

fn overwrite(fixture: &Fixture, at: u64, bytes: &[u8]) {
    let mut file = fs::OpenOptions::new().write(true).open(fixture.dir().join(DATABASE)).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn damaged_pages_are_errors_and_never_a_panic() {
    let fixture = Fixture::new();
    let path = fixture.dir().join(DATABASE);
    let store = fixture.store();
    for i in 0..40 {
        assert_eq!(commit(&store, [Change::InsertTicket(ticket(i))]), Outcome::Applied);
        assert_eq!(commit(&store, redemption(i, i)), Outcome::Applied);
    }
    drop(store);
    let whole = fs::read(&path).unwrap();
    let pages = u64::try_from(whole.len()).unwrap() / 4096;
    assert!(pages > 10);
    let mut noticed = 0;
    for page in 0..pages {
        for damage in [[0xff; 512], [0; 512], [0x41; 512]] {
            fs::write(&path, &whole).unwrap();
            let start = if page == 0 { 100 } else { page * 4096 };
            overwrite(&fixture, start, &damage);
            let Ok(store) = open(&fixture) else {
                noticed += 1;
                continue;
            };
            store.read(&Query::Ticket(ticket(1).digest));
            store.read(&Query::Client(portal()));
            let _ = (store.users(), store.clients(), store.tickets(), store.keys());
            commit(&store, redemption(1, 200));
            noticed += u64::from(!store.check().is_ok_and(|report| report.is_sound()));
        }
    }
    assert!(noticed >= pages * 2, "{noticed} of {}", pages * 3);
    fs::write(&path, &whole).unwrap();
    assert!(open(&fixture).unwrap().check().unwrap().is_sound());
}

#[test]
fn a_row_that_does_not_decode_is_unreadable_and_named() {
    let fixture = Fixture::new();
    let store = fixture.store();
    assert_eq!(commit(&store, [Change::InsertTicket(ticket(1))]), Outcome::Applied);
    fixture.sql().execute("UPDATE tickets SET scope = 'a  b'", []).unwrap();
    assert_eq!(store.read(&Query::Ticket(ticket(1).digest)).records, Records::Unreadable);
    assert!(matches!(store.tickets(), Err(StoreError::Row { table: "tickets", column: "scope", .. })));
    // The others are readable as before.
    assert_eq!(store.users().unwrap().len(), EVERYBODY);
    let report = store.check().unwrap();
    assert!(report.findings.iter().any(|found| found.what.contains("tickets")), "{report:?}");
}

#[test]
fn what_sqlite_cannot_hold_is_not_applied_and_spoils_no_other() {
    let fixture = Fixture::new();
    let store = fixture.store();
    assert_eq!(
        commit(&store, [Change::RequireUserEpoch { id: alice(), epoch: u64::MAX }]),
        Outcome::NotApplied
    );
    assert_eq!(commit(&store, [Change::RequireUserEpoch { id: alice(), epoch: 0 }]), Outcome::Applied);
}

#[test]
fn the_store_outlives_its_file_being_opened_by_others_only() {
    let fixture = Fixture::new();
    let store = fixture.store();
    // Everything written is kept if the last connection closes in another order.
    let second = fixture.store();
    assert_eq!(commit(&store, [Change::InsertTicket(ticket(1))]), Outcome::Applied);
    drop(store);
    assert_eq!(commit(&second, redemption(1, 1)), Outcome::Applied);
    drop(second);
    assert!(fixture.store().check().unwrap().is_sound());
}
