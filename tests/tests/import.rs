//! Imports of users: what a line adds and changes, what is refused and by which line, and that the same import again changes nothing.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use gatepass_core::admin::import::{
    ImportLine, ImportOutcome, ImportReport, ImportUsers, LineError, MAX_ERRORS, MAX_LINES,
};
use gatepass_core::admin::{AdminError, Administrator, run};
use gatepass_core::records::id::UserId;
use gatepass_core::records::password::{PasswordHash, Workspace};
use gatepass_core::records::user::{Status, User};
use gatepass_core::store::audit::Kind;
use gatepass_tests::fixtures::{self, KIM_HASH, NOON, PAM_HASH, inputs, user_id};
use gatepass_tests::memory::Memory;
use serde_json::{Value, json};

const BCRYPT: &str = "$2b$04$y9iwiS0A2VjZWCeJeGOmueuOhOkybeNj4JkKsj6WIH6SFTk8y6Y7.";
const OTHER: &str = "$2a$05$a.W1.Y0bfIhYO/nWwuay.edYLE5p4rO1.AiDKjL6OYwU3tLqkQa0G";

fn parsed(lines: &[Value]) -> Result<Vec<ImportLine>, Vec<LineError>> {
    (1..).zip(lines).map(|(number, line)| ImportLine::parse(number, line.to_string().as_bytes())).collect()
}

fn imports(
    store: &Memory,
    seed: u64,
    lines: Vec<ImportLine>,
    dry_run: bool,
) -> Result<ImportReport, AdminError> {
    let settings = fixtures::engine("http://gate.example").settings().clone();
    run(ImportUsers { lines, dry_run }, Administrator::Machine, inputs(NOON, seed), &settings, store)
}

/// Imports lines, and returns what became of each.
fn imported(store: &Memory, seed: u64, lines: &[Value]) -> Vec<ImportOutcome> {
    let report = imports(store, seed, parsed(lines).expect("lines"), false);
    let report = report.unwrap_or_else(|error| panic!("{error}"));
    report.lines.into_iter().map(|line| line.outcome).collect()
}

/// Returns what is wrong with the lines, of which nothing is written.
fn refused(lines: &[Value]) -> String {
    let store = Memory::new(fixtures::tables());
    let before = store.with(|tables| tables.clone());
    let told = match parsed(lines) {
        Err(errors) => errors.iter().map(LineError::to_string).collect::<Vec<_>>().join("; "),
        Ok(lines) => match imports(&store, 7, lines, false) {
            Err(error) => error.to_string(),
            Ok(report) => panic!("{lines:?} {report:?}", lines = report.lines),
        },
    };
    assert!(store.with(|tables| *tables == before), "{told}");
    told
}

fn user(store: &Memory, id: &UserId) -> User {
    store.with(|tables| tables.users[id].clone())
}

fn hash(store: &Memory, id: &UserId) -> String {
    store.with(|tables| tables.passwords[id].hash.as_str().to_owned())
}

fn kinds(store: &Memory) -> Vec<Kind> {
    store.with(|tables| tables.audit.iter().map(|event| event.kind).collect())
}

#[test]
fn lines_add_and_change_and_the_same_again_changes_nothing() {
    use ImportOutcome::{Added, Changed, Unchanged};
    let store = Memory::new(fixtures::tables());
    let lines = [
        json!({
            "id": "usr_zoe", "username": "zoe", "email": "Zoe@example.com", "phone": "+1 555 0100", "name": "Zoe",
            "gender": "female", "address": {"city": "Berlin"}, "second_factor": "always", "status": "disabled",
            "must_change_password": true, "password_hash": BCRYPT,
            "password_changed_at": "2024-01-31T12:00:00Z", "created_at": "2020-01-31T12:00:00+01:00",
        }),
        json!({"username": "yan"}),
        json!({"username": "alice", "name": "Alice", "status": "disabled"}),
        json!({"id": "usr_pam", "password_hash": OTHER, "name": null}),
        json!({"username": "boss"}),
    ];
    assert_eq!(imported(&store, 1, &lines), [Added, Added, Changed, Unchanged, Unchanged]);
    let zoe = user(&store, &user_id("zoe"));
    assert_eq!(
        (zoe.email.as_deref(), zoe.address.as_deref()),
        (Some("Zoe@example.com"), Some(r#"{"city":"Berlin"}"#))
    );
    assert_eq!((zoe.status, zoe.must_change_password), (Status::Disabled, true));
    assert_eq!(zoe.created_at.rfc3339(), "2020-01-31T11:00:00Z");
    assert_eq!(zoe.password_changed_at.map(|at| at.rfc3339()).as_deref(), Some("2024-01-31T12:00:00Z"));
    assert_eq!(hash(&store, &zoe.id), BCRYPT);
    let alice = user(&store, &user_id("alice"));
    assert_eq!((alice.name.as_deref(), alice.status, alice.epoch), (Some("Alice"), Status::Disabled, 1));
    // The password that is theirs stays.
    assert_eq!(hash(&store, &user_id("pam")), PAM_HASH);
    let expected = [Kind::UserAdded, Kind::UserAdded, Kind::UserChanged, Kind::UserDisabled];
    assert_eq!(kinds(&store), expected);
    let before = store.with(|tables| tables.clone());
    assert_eq!(imported(&store, 2, &lines), [Unchanged; 5]);
    assert!(store.with(|tables| *tables == before));
}

#[test]
fn a_password_is_replaced_until_its_user_has_signed_in() {
    let store = Memory::new(fixtures::tables());
    let line = |hash: &str| [json!({"username": "zoe", "id": "usr_zoe", "password_hash": hash})];
    let zoe = user_id("zoe");
    assert_eq!(imported(&store, 1, &line(BCRYPT)), [ImportOutcome::Added]);
    assert_eq!(imported(&store, 2, &line(OTHER)), [ImportOutcome::Changed]);
    assert_eq!((hash(&store, &zoe), user(&store, &zoe).epoch), (OTHER.to_owned(), 1));
    store.with(|tables| {
        let password = tables.passwords.get_mut(&zoe).expect("a password");
        password.hash = PasswordHash::parse(KIM_HASH).expect("a hash");
    });
    let report = imports(&store, 3, parsed(&line(BCRYPT)).expect("a line"), false).expect("a report");
    assert_eq!((report.count(ImportOutcome::Unchanged), report.kept_passwords()), (1, 1));
    assert_eq!((hash(&store, &zoe), user(&store, &zoe).epoch), (KIM_HASH.to_owned(), 1));
}

#[test]
fn a_plain_password_is_checked_and_hashed_before() {
    let store = Memory::new(fixtures::tables());
    let lines = |password: &str| {
        parsed(&[json!({"id": "usr_zoe", "username": "zoe-the-great", "password": password})])
            .expect("a line")
    };
    for (password, told) in [
        ("short", "line 1: the password is too short (8 characters at least; long beats complicated)"),
        (
            "Zoe-the-Great",
            "line 1: the password is one of the commonest, or the account's own name: choose another",
        ),
    ] {
        let error = imports(&store, 1, lines(password), true).expect_err("refused").to_string();
        assert!(error.starts_with(told), "{error}");
    }
    let mut good = lines("correct horse");
    assert!(imports(&store, 1, good.clone(), true).is_ok());
    let error = imports(&store, 1, good.clone(), false).expect_err("it is plain");
    assert_eq!(error.to_string(), "line 1: give the password as `password_hash`");
    assert!(good[0].has_plain_password());
    good[0].hash_password([7; 16], &mut Workspace::default()).expect("memory");
    assert_eq!(imports(&store, 1, good, false).expect("a report").count(ImportOutcome::Added), 1);
    let hash = store.with(|tables| tables.passwords[&user_id("zoe")].hash.clone());
    assert!(!hash.is_foreign());
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let repeated = "line 1 is about the same user, or has the same identifier";
    for (lines, told) in [
        (vec![json!({"name": "Zoe"})], "line 1: there is no such user, and `username` is missing for a new one".into()),
        (vec![json!({"id": "usr_zoe"})], "line 1: there is no such user, and `username` is missing for a new one".into()),
        (vec![json!({"username": "a"}), json!({"username": "b", "email": "x"})], "line 2: an e-mail address has an @".into()),
        (vec![json!({"username": ""})], "line 1: a user name is 1 to 128 characters, none of them a control character, no space at either end, not beginning with usr_".into()),
        (vec![json!({"username": "zoe", "id": "zoe"})], "line 1: an id is usr_ and further characters of A-Z a-z 0-9 . _ ~ -, 64 in all".into()),
        (vec![json!({"username": "zoe", "gender": "f"})], "line 1: gender is none of female male".into()),
        (vec![json!({"username": "zoe", "status": "off"})], "line 1: status is none of active disabled".into()),
        (vec![json!({"username": "zoe", "name": 7})], "line 1: name is no text".into()),
        (vec![json!({"username": "zoe", "must_change_password": "yes"})], "line 1: must_change_password is neither true nor false".into()),
        (vec![json!({"username": "zoe", "must_change_password": true})], "line 1: the user has no password".into()),
        (vec![json!({"username": "zoe", "created_at": "yesterday"})], "line 1: created_at is no time like 2026-01-31T12:00:00Z that has been".into()),
        (vec![json!({"username": "zoe", "created_at": "9000-01-01T00:00:00Z"})], "line 1: created_at is no time like 2026-01-31T12:00:00Z that has been".into()),
        (vec![json!({"username": "zoe", "password_hash": "abc"})], "line 1: password_hash is not bcrypt, scrypt, PBKDF2 or Argon2 in a form that is known".into()),
        (vec![json!({"username": "zoe", "password_hash": BCRYPT, "password": "correct horse"})], "line 1: password and password_hash exclude each other".into()),
        (vec![json!({"username": "zoe", "roles": ["officer"]})], "line 1: roles are not imported: leave `roles` out".into()),
        (vec![json!({"username": "zoe"}), json!({"username": "yan", "email": "Z@x"}), json!({"username": "z@X"})], "line 3: line 2 is about the same user, or has the same identifier".into()),
        (vec![json!({"username": "alice"}), json!({"id": "usr_alice", "name": "A"})], format!("line 2: {repeated}")),
        (
            vec![json!({"username": "zoe", "email": "alice"}), json!({"username": "yan", "phone": "alice"})],
            "line 1: an e-mail address has an @".into(),
        ),
        (
            vec![json!({"username": "zoe", "phone": "alice"})],
            "line 1: the telephone number \"alice\" is taken: it is the user name of user \"alice\" (usr_alice)".into(),
        ),
    ] {
        assert_eq!(refused(&lines), told, "{lines:?}");
    }
    let unknown = refused(&[json!({"username": "zoe", "departement": "x"})]);
    assert!(unknown.starts_with("line 1: \"departement\" is none of id username email"), "{unknown}");
}

#[test]
fn errors_and_lines_are_bounded() {
    let store = Memory::new(fixtures::tables());
    let lines = |count: usize, phone: &str| {
        let line = |number| json!({"username": format!("zoe{number}"), "phone": phone});
        let lines: Vec<_> = (0..count).map(line).collect();
        parsed(&lines).expect("lines")
    };
    let Err(AdminError::Import(errors)) = imports(&store, 1, lines(MAX_LINES, "alice"), false) else {
        panic!("it is taken")
    };
    assert_eq!((errors.errors.len(), errors.more), (MAX_ERRORS, MAX_LINES - MAX_ERRORS));
    assert_eq!(imports(&store, 1, lines(MAX_LINES + 1, ""), false), Err(AdminError::TooManyLines));
    assert!(imports(&store, 1, lines(MAX_LINES, ""), false).is_ok());
    assert_eq!(store.with(|tables| tables.users.len()), fixtures::tables().users.len() + MAX_LINES);
}
