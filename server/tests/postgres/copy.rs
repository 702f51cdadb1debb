//! A whole store is copied between the engines, and nothing is lost or valid twice.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use gatepass::store::postgres::PostgresStore;
use gatepass::store::{
    Access, Copied, CopyError, Create, Installation, Notice, Store, StoreError, StoreOptions,
    cancel_handover, check, copy,
};
use gatepass_core::records::signing_key::KeyState;
use gatepass_core::store::Store as Contract;
use gatepass_core::store::audit::Kind;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::page::{Cursor, MAX_PAGE, Page, PageQuery};
use gatepass_core::store::query::{Query, Records, SessionPageQuery};
use rusqlite::types::Value;

use crate::cluster::{Fixture as Database, server};
use crate::fixture::*;
use crate::kit;

fn copied(from: &Installation, to: &Installation) -> Result<Copied, CopyError> {
    copy(from, to, false, &mut |_, _| {})
}

/// Copies the master key, as an administrator does before a copy.
fn give_key(from: &Installation, to: &Installation) {
    std::fs::copy(from.master_key(), to.master_key()).unwrap();
}

/// Tables, and what tells a row of each from the others whatever engine has written it.
const TABLES: [(&str, &str); 18] = [
    (
        "meta",
        "generation, state_epoch, clock_mark, clock_resets, clock_jumped_at, clock_ahead_since, installation, audit_key, \
              master_key_id, master_check, identifier_rules, numbering_plan FROM meta",
    ),
    ("users", "*, NULL AS seq FROM users ORDER BY id"),
    (
        "identifiers",
        "u.id, i.kind, i.canonical FROM identifiers i JOIN users u ON u.seq = i.user ORDER BY 1, 2",
    ),
    ("deleted_users", "user_id FROM deleted_users ORDER BY 1"),
    ("clients", "*, NULL AS seq FROM clients ORDER BY id"),
    ("client_secrets", "* FROM client_secrets ORDER BY client_id, position"),
    ("tickets", "*, NULL AS seq FROM tickets ORDER BY id"),
    ("sessions", "*, NULL AS seq FROM sessions ORDER BY id"),
    (
        "refresh_tokens",
        "r.*, s.id, NULL AS session FROM refresh_tokens r JOIN sessions s ON s.seq = r.session ORDER BY digest",
    ),
    ("revoked_tokens", "* FROM revoked_tokens ORDER BY 1"),
    ("used_assertions", "* FROM used_assertions ORDER BY 1"),
    ("challenges", "*, NULL AS seq FROM challenges ORDER BY digest"),
    ("totp_devices", "*, NULL AS seq FROM totp_devices ORDER BY totp_devices.seq"),
    ("backup_codes", "* FROM backup_codes ORDER BY 1, 2"),
    ("factor_guesses", "* FROM factor_guesses ORDER BY 1"),
    ("passwords", "* FROM passwords ORDER BY 1"),
    ("habits", "* FROM habits ORDER BY 1"),
    ("keys", "*, NULL AS seq FROM keys ORDER BY keys.seq"),
];

/// The columns of a row, by their names.
type Row = BTreeMap<String, Value>;

/// Returns the rows of each table of a file: of each column that is named twice, the last one counts.
fn dump(fixture: &Fixture) -> Vec<(&'static str, Vec<Row>)> {
    let db = fixture.sql();
    let rows = |sql: &str| {
        let mut select = db.prepare(&format!("SELECT {sql}")).unwrap();
        let names: Vec<String> = select.column_names().map(str::to_owned).collect();
        let read = |row: &rusqlite::Row<'_>| {
            let mut values = Row::new();
            for (number, name) in names.iter().enumerate() {
                values.insert(name.clone(), row.get::<_, Value>(number)?);
            }
            Ok(values)
        };
        select.query_map([], read).unwrap().map(Result::unwrap).collect()
    };
    TABLES.iter().map(|(name, sql)| (*name, rows(sql))).collect()
}

/// Makes a store with rows of every kind, and returns its dump.
fn filled() -> Fixture {
    let fixture = Fixture::empty();
    let store = fixture.store();
    // The kit deletes the users of each case at its end.
    let deletes = |change: &Change| matches!(change, Change::DeleteUser(_) | Change::DeleteClient(_));
    for tried in
        kit::commits().iter().filter(|tried| tried.changes.len() < 2 || !tried.changes.iter().all(deletes))
    {
        store.commit(&tried.changes);
    }
    insert_records(&store);
    let start = [1, 2, 3].map(|number| Change::InsertTicket(ticket(number)));
    assert_eq!(commit(&store, start), Outcome::Applied);
    assert_eq!(commit(&store, redemption(1, 1)), Outcome::Applied);
    assert_eq!(commit(&store, [rotate(1, 2, 1)]), Outcome::Applied);
    // Later ones have smaller names: their order is that in which they were made.
    assert_eq!(
        commit(&store, [9, 8, 7].map(|number| Change::InsertDevice(device(number, alice())))),
        Outcome::Applied
    );
    let generation = store.keys().unwrap().generation;
    assert_eq!(commit(&store, [insert_key("b", KeyState::Published, generation)]), Outcome::Applied);
    assert_eq!(commit(&store, [insert_key("a", KeyState::Published, generation + 1)]), Outcome::Applied);
    store.close().unwrap();
    for (table, rows) in dump(&fixture) {
        assert!(!rows.is_empty(), "{table}");
    }
    fixture
}

/// Opens what was copied to a directory, as a server does.
fn serve(fixture: &Fixture) -> Store {
    fixture.serve().unwrap()
}

/// Returns the items of a page as text, and the cursor of the next one.
fn texts<T: std::fmt::Debug>(page: Page<T>) -> (Vec<String>, Option<Cursor>) {
    (page.items.iter().map(|item| format!("{item:?}")).collect(), page.next)
}

/// Returns every record of the lists, in the order of their texts.
fn lists(store: &impl Contract) -> [Vec<String>; 4] {
    let all = |query: &dyn Fn(PageQuery) -> Query| {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let records = store.read(&query(PageQuery::new(after, MAX_PAGE))).records;
            let (items, next) = if let Records::UserPage(page) = records {
                texts(page)
            } else if let Records::ClientPage(page) = records {
                texts(page)
            } else if let Records::TicketPage(page) = records {
                texts(page)
            } else if let Records::SessionPage(page) = records {
                texts(page)
            } else {
                panic!("{records:?}")
            };
            found.extend(items);
            after = next;
            if after.is_none() {
                break;
            }
        }
        found.sort();
        found
    };
    [
        all(&Query::UserPage),
        all(&Query::ClientPage),
        all(&Query::TicketPage),
        all(&|page| Query::SessionPage(SessionPageQuery { user: None, page })),
    ]
}

#[test]
fn everything_goes_to_the_other_engine_and_comes_back() {
    let (first, middle, last) = (filled(), Database::empty(), Fixture::empty());
    let store = first.store();
    let (listed, keys) = (lists(&store), store.keys().unwrap());
    store.close().unwrap();

    give_key(&first.installation(), &middle.installation());
    let there = copied(&first.installation(), &middle.installation()).unwrap();
    let before = dump(&first);
    let expected: Vec<_> = before.iter().map(|(name, rows)| (*name, rows.len())).collect();
    let told: Vec<_> =
        there.tables.iter().map(|(name, rows)| (*name, usize::try_from(*rows).unwrap())).collect();
    assert_eq!(told[..expected.len()], expected);

    let server = middle.open_there(Access::Serve).unwrap();
    assert_eq!(server.notices(), []);
    assert_eq!(lists(&server), listed);
    assert_eq!(commit(&server, [spend(1)]), Outcome::Conflict);
    drop(server);

    give_key(&middle.installation(), &last.installation());
    copied(&middle.installation(), &last.installation()).unwrap();
    assert_eq!(dump(&last), before);
    let back = serve(&last);
    assert!(matches!(back.notices(), [Notice::HandoverTaken(_)]), "{:?}", back.notices());
    assert_eq!(lists(&back), listed);
    assert_eq!(back.keys().unwrap().keys, keys.keys);
    // Spent is spent, and what was good is good.
    assert_eq!(commit(&back, redemption(1, 5)), Outcome::Conflict);
    assert_eq!(commit(&back, redemption(2, 6)), Outcome::Applied);
    assert!(back.verify_audit().unwrap().holds());
    back.close().unwrap();

    // The rows of the first chain are those of the last, link by link.
    let links = |fixture: &Fixture| -> Vec<(i64, Vec<u8>)> {
        let db = fixture.sql();
        let mut select = db.prepare("SELECT seq, mac FROM audit ORDER BY seq").unwrap();
        select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    let (first, last) = (links(&first), links(&last));
    assert!(!first.is_empty());
    assert_eq!(last[..first.len()], first);
}

fn handed_over<T: std::fmt::Debug>(opened: Result<T, StoreError>) {
    assert!(matches!(opened, Err(StoreError::HandedOver(_))), "{opened:?}");
}

#[test]
fn the_source_answers_no_more_and_a_handover_can_be_undone() {
    let (first, middle, last) = (Fixture::new(), Database::empty(), Fixture::empty());
    let server = first.serve().unwrap();
    give_key(&first.installation(), &middle.installation());
    copied(&first.installation(), &middle.installation()).unwrap();
    assert_ne!(commit(&server, [Change::InsertTicket(ticket(1))]), Outcome::Applied);
    assert_eq!(server.read(&Query::Generation).records, Records::Unreadable);
    drop(server);
    handed_over(first.serve());

    let server = middle.open_there(Access::Serve).unwrap();
    assert_eq!(commit(&server, [Change::InsertTicket(ticket(1))]), Outcome::Applied);
    let epoch = server.read(&Query::Generation).state_epoch;
    give_key(&middle.installation(), &last.installation());
    copied(&middle.installation(), &last.installation()).unwrap();
    assert_ne!(commit(&server, [Change::InsertTicket(ticket(2))]), Outcome::Applied);
    assert_eq!(server.read(&Query::Generation).records, Records::Unreadable);
    drop(server);
    handed_over(middle.open_there(Access::Serve));
    handed_over(middle.open_there(Access::Write));
    let elsewhere = Fixture::empty();
    give_key(&middle.installation(), &elsewhere.installation());
    let again = copied(&middle.installation(), &elsewhere.installation()).unwrap_err();
    assert!(matches!(again.error, StoreError::HandedOver(_)), "{again}");

    let id = cancel_handover(middle.installation().server.as_ref().unwrap(), &middle.installation()).unwrap();
    assert_eq!(id.len(), 32);
    let server = middle.open_there(Access::Serve).unwrap();
    assert_ne!(server.read(&Query::Generation).state_epoch, epoch);
    assert_eq!(commit(&server, [Change::InsertTicket(ticket(2))]), Outcome::Applied);
    assert!(matches!(
        cancel_handover(middle.installation().server.as_ref().unwrap(), &middle.installation()),
        Err(StoreError::Conflict(_))
    ));
}

#[test]
fn a_directory_that_goes_on_with_a_database_is_not_older() {
    let (first, middle) = (Fixture::new(), Database::empty());
    let there = middle.installation().server;
    let server = first.serve().unwrap();
    assert_eq!(commit(&server, [Change::InsertTicket(ticket(1))]), Outcome::Applied);
    server.close().unwrap();
    copied(&first.installation(), &first.installation().with_server(there.clone())).unwrap();
    let options = StoreOptions::default();
    let server =
        PostgresStore::open(&there.unwrap(), &first.installation(), Access::Serve, Create::No, &options);
    assert_eq!(commit(&server.unwrap(), redemption(1, 1)), Outcome::Applied);
}

#[test]
fn a_copy_of_a_store_that_goes_on_is_older_state() {
    let (first, middle, last) = (Fixture::new(), Database::empty(), Fixture::empty());
    let server = first.serve().unwrap();
    let backup = |from: &Installation, to: &Installation| copy(from, to, true, &mut |_, _| {}).unwrap();
    give_key(&first.installation(), &middle.installation());
    assert_eq!(backup(&first.installation(), &middle.installation()).handover, None);
    assert_eq!(commit(&server, [Change::InsertTicket(ticket(1))]), Outcome::Applied);
    drop(server);

    let opened = middle.open_there(Access::Serve).unwrap();
    assert!(matches!(opened.notices(), [Notice::StateRestored { .. }]), "{:?}", opened.notices());
    let epoch = opened.read(&Query::Generation).state_epoch;
    assert_ne!(epoch, 0);
    let again = middle.open_there(Access::Serve).unwrap();
    assert_eq!((again.notices(), again.read(&Query::Generation).state_epoch), (&[][..], epoch));

    give_key(&middle.installation(), &last.installation());
    backup(&middle.installation(), &last.installation());
    assert_eq!(commit(&again, [Change::InsertTicket(ticket(2))]), Outcome::Applied);
    let opened = serve(&last);
    assert!(matches!(opened.notices(), [Notice::StateRestored { .. }]), "{:?}", opened.notices());
    assert_ne!(opened.read(&Query::Generation).state_epoch, epoch);
    assert!(opened.verify_audit().unwrap().holds());
}

fn unfinished<T: std::fmt::Debug>(opened: Result<T, StoreError>) {
    assert!(matches!(opened, Err(StoreError::CopyUnfinished { .. })), "{opened:?}");
}

/// Returns what `gatepass check` finds.
fn found(installation: &Installation) -> Vec<(&'static str, String)> {
    check(installation).findings.into_iter().map(|found| (found.code, found.way_out)).collect()
}

/// `check` says so, and how to go on.
fn is_found_unfinished(installation: &Installation) {
    let way_out = "run the same `gatepass store copy` again".to_owned();
    assert_eq!(found(installation).first(), Some(&("copy-unfinished", way_out)));
}

#[test]
fn a_copy_to_a_database_that_fails_is_done_again() {
    let (from, to) = (filled(), Database::empty());
    give_key(&from.installation(), &to.installation());
    // A row that the other engine does not take.
    let damaged = "PRAGMA ignore_check_constraints = ON; UPDATE totp_devices SET digits = 7";
    from.sql().execute_batch(damaged).unwrap();
    let failed = copied(&from.installation(), &to.installation()).unwrap_err();
    assert!(matches!(failed.error, StoreError::Postgres { .. }), "{failed}");
    assert_eq!(failed.handed_over.as_deref(), from.dir().to_str());
    handed_over(from.serve());
    unfinished(to.open_there(Access::Serve));
    let options = StoreOptions::default();
    let created =
        PostgresStore::open(&server(&to.url()), &to.installation(), Access::Serve, Create::InEmpty, &options);
    unfinished(created);
    is_found_unfinished(&to.installation());
    from.sql().execute_batch("UPDATE totp_devices SET digits = 8").unwrap();
    copied(&from.installation(), &to.installation()).unwrap();
    assert_eq!(lists(&to.open_there(Access::Serve).unwrap())[0].len(), count(&from, "users"));
    assert_eq!(found(&to.installation()), []);
}

fn count(fixture: &Fixture, table: &str) -> usize {
    let sql = format!("SELECT count(*) FROM {table}");
    fixture.sql().query_row(&sql, [], |row| row.get::<_, u32>(0)).unwrap().try_into().unwrap()
}

#[test]
fn a_copy_to_a_directory_that_fails_is_done_again() {
    let (from, to) = (Database::empty(), Fixture::empty());
    let store = from.store();
    insert_records(&store);
    assert_eq!(commit(&store, [Change::InsertDevice(device(1, alice()))]), Outcome::Applied);
    drop(store);
    give_key(&from.installation(), &to.installation());
    // A row that the other engine does not take.
    from.sql("ALTER TABLE totp_devices DROP CONSTRAINT totp_devices_digits_check; UPDATE totp_devices SET digits = 7");
    let failed = copied(&from.installation(), &to.installation()).unwrap_err();
    assert!(failed.handed_over.is_some(), "{failed}");
    unfinished(to.serve());
    unfinished(to.open(&StoreOptions::default()));
    is_found_unfinished(&to.installation());
    from.sql("UPDATE totp_devices SET digits = 8");
    copied(&from.installation(), &to.installation()).unwrap();
    let opened = serve(&to);
    assert!(matches!(opened.notices(), [Notice::HandoverTaken(_)]));
    assert_eq!(lists(&opened)[0].len(), EVERYBODY);
}

#[test]
fn a_place_that_is_not_empty_is_left_as_it_is() {
    let (first, second) = (Fixture::new(), Database::empty());
    let store = second.store();
    insert_records(&store);
    give_key(&first.installation(), &Database::empty().installation());
    for (from, to) in
        [(first.installation(), second.installation()), (second.installation(), first.installation())]
    {
        let refused = copied(&from, &to).unwrap_err();
        assert!(matches!(refused.error, StoreError::NotEmpty { .. }), "{refused}");
        assert_eq!(refused.handed_over, None);
    }
    assert_eq!(commit(&first.serve().unwrap(), [Change::InsertTicket(ticket(1))]), Outcome::Applied);
    assert_eq!(commit(&store, [Change::InsertTicket(ticket(1))]), Outcome::Applied);
}

#[test]
fn the_master_key_has_to_be_there_before() {
    let (from, to) = (Fixture::new(), Database::empty());
    let refused = || {
        let refused = copied(&from.installation(), &to.installation()).unwrap_err();
        let StoreError::KeyNotCopied { key, from: file } = &refused.error else { panic!("{refused}") };
        assert_eq!((key, file), (&to.installation().master_key(), &from.installation().master_key()));
        assert_eq!(refused.handed_over, None);
    };
    refused();
    give_key(&Fixture::new().installation(), &to.installation());
    refused();
    assert!(matches!(to.open_there(Access::Serve), Err(StoreError::EmptyDatabase(_))));
    assert_eq!(commit(&from.serve().unwrap(), [Change::InsertTicket(ticket(1))]), Outcome::Applied);
}

#[test]
fn chains_of_several_processes_become_one() {
    let (from, to) = (Database::empty(), Fixture::empty());
    let processes = [from.store(), from.store()];
    insert_records(&processes[0]);
    for number in 0..6 {
        let told = event(Kind::TicketIssued, number);
        let store = &processes[usize::try_from(number % 2).unwrap()];
        assert_eq!(commit(store, [Change::Audit(told)]), Outcome::Applied);
    }
    give_key(&from.installation(), &to.installation());
    copied(&from.installation(), &to.installation()).unwrap();
    let store = serve(&to);
    assert!(store.verify_audit().unwrap().holds());
    let rows = audit(&store);
    let tickets: Vec<_> = rows[..6].iter().map(|row| row.event.ticket.clone()).collect();
    assert_eq!(tickets, (0..6).map(|number| Some(ticket(number).id)).collect::<Vec<_>>());
    let kinds: Vec<Kind> = rows[6..].iter().map(|row| row.event.kind).collect();
    assert_eq!(kinds, [Kind::StateHandedOver, Kind::AuditJoined, Kind::HandoverTaken]);
    let joined = rows[7].event.reason.as_deref();
    assert_eq!(joined, Some("rows 1-1 of slot 0, 1-3 of slot 1, 1-3 of slot 2"));
}

#[test]
fn everything_goes_from_one_database_to_another() {
    let (first, one, other, last) = (filled(), Database::empty(), Database::empty(), Fixture::empty());
    let listed = lists(&first.store());
    let before = dump(&first);
    for (from, to) in [
        (first.installation(), one.installation()),
        (one.installation(), other.installation()),
        (other.installation(), last.installation()),
    ] {
        give_key(&from, &to);
        copied(&from, &to).unwrap();
    }
    assert_eq!(dump(&last), before);
    for database in [&one, &other] {
        handed_over(database.open_there(Access::Serve));
        assert_eq!(lists(&database.open_there(Access::Read).unwrap()), listed);
    }
}

#[test]
fn a_database_with_several_chains_goes_on_in_another_one() {
    let (from, to) = (Database::empty(), Database::empty());
    let processes = [from.store(), from.store()];
    insert_records(&processes[0]);
    for number in 0..6 {
        let store = &processes[usize::try_from(number % 2).unwrap()];
        assert_eq!(commit(store, [Change::InsertTicket(ticket(number))]), Outcome::Applied);
        let told = event(Kind::TicketIssued, number);
        assert_eq!(commit(store, [Change::Audit(told)]), Outcome::Applied);
    }
    assert_eq!(commit(&processes[1], redemption(1, 1)), Outcome::Applied);
    give_key(&from.installation(), &to.installation());
    copied(&from.installation(), &to.installation()).unwrap();
    assert_ne!(commit(&processes[0], redemption(2, 2)), Outcome::Applied);

    let servers = [to.open_there(Access::Serve).unwrap(), to.open_there(Access::Serve).unwrap()];
    assert_eq!(commit(&servers[0], redemption(1, 3)), Outcome::Conflict);
    assert_eq!(commit(&servers[0], redemption(2, 4)), Outcome::Applied);
    assert_eq!(commit(&servers[1], redemption(2, 5)), Outcome::Conflict);
    assert!(servers[0].verify_audit().unwrap().holds());
    let kinds: Vec<Kind> = audit(&servers[1]).iter().map(|row| row.event.kind).collect();
    let taken = [Kind::TicketRedeemed, Kind::StateHandedOver, Kind::AuditJoined, Kind::HandoverTaken];
    assert_eq!(kinds[..6], [Kind::TicketIssued; 6]);
    assert_eq!((&kinds[6..10], &kinds[10..]), (&taken[..], &taken[..1]));
    // A backup of it is older state.
    let backup = Database::empty();
    give_key(&to.installation(), &backup.installation());
    copy(&to.installation(), &backup.installation(), true, &mut |_, _| {}).unwrap();
    let opened = backup.open_there(Access::Serve).unwrap();
    assert!(matches!(opened.notices(), [Notice::StateRestored { .. }]), "{:?}", opened.notices());
    assert_eq!(commit(&servers[1], redemption(3, 6)), Outcome::Applied);
}

#[test]
fn an_altered_chain_is_not_copied() {
    let (from, to) = (Database::empty(), Fixture::empty());
    let store = from.store();
    let told = [0, 1].map(|number| Change::Audit(event(Kind::TicketIssued, number)));
    assert_eq!(commit(&store, told), Outcome::Applied);
    drop(store);
    give_key(&from.installation(), &to.installation());
    from.sql("UPDATE audit SET subject = 'usr_bob' WHERE slot = 1 AND seq = 2");
    let refused = copied(&from.installation(), &to.installation()).unwrap_err();
    let StoreError::ChainBroken(fault) = &refused.error else { panic!("{refused}") };
    assert_eq!(fault, "slot 1: row 2 was altered");
}

fn gatepass(data: &Path, arguments: &[&str]) -> (bool, String, String) {
    let run = Command::new(env!("CARGO_BIN_EXE_gatepass"))
        .env_clear()
        .arg("--data")
        .arg(data)
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (run.status.success(), text(run.stdout), text(run.stderr))
}

#[test]
fn the_command_tells_the_rows_of_each_table() {
    let (from, to) = (Fixture::new(), Database::empty());
    let (dir, url) = (from.dir().to_str().unwrap(), to.url());
    let data = to.installation().dir;
    let (done, _, told) = gatepass(&data, &["store", "copy", "--from", dir, "--to", &url]);
    assert!(!done && told.contains("/master.key there first. Nothing was touched"), "{told}");
    give_key(&from.installation(), &to.installation());
    let (done, out, told) = gatepass(&data, &["store", "copy", "--from", dir, "--to", &url, "--json"]);
    assert!(done, "{told}");
    let out: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(out["tables"][1], serde_json::json!({"table": "users", "rows": EVERYBODY}));
    assert_eq!(out["handover"].as_str().unwrap().len(), 32);
    let (done, _, told) = gatepass(&data, &["store", "copy", "--from", dir, "--to", &url]);
    assert!(!done && told.contains("is not empty"), "{told}");
    let (done, _, told) = gatepass(&data, &["store", "copy", "--from", dir, "--to", data.to_str().unwrap()]);
    assert!(!done && told.contains("gatepass backup"), "{told}");
    let (done, out, told) = gatepass(&data, &["handover", "cancel", "--of", dir, "--json"]);
    assert!(done && out.contains("\"cancelled\":true"), "{told}");
}
