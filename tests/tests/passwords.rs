//! Sign-ins by password: nobody learns which accounts exist, guesses wait and lock, and a change wins over anything in
//! flight.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use gatepass_core::api::guess::AttemptResult;
use gatepass_core::api::reply::Reply;
use gatepass_core::api::step::{self, Step};
use gatepass_core::base::time::Time;
use gatepass_core::engine::Engine;
use gatepass_core::http::request::Request;
use gatepass_core::records::id::UserId;
use gatepass_core::records::password::PasswordHash;
use gatepass_core::settings::{Issuer, PasswordAge, Settings};
use gatepass_core::store::audit::{Kind, Refusal};
use gatepass_core::store::change::{Change, Outcome};
use gatepass_tests::api_document::drive;
use gatepass_tests::fixtures::{
    self, NOON, PAM_HASH, PAM_PASSWORD, body, impersonates, inputs, presents, refreshes, request, user_id,
};
use gatepass_tests::memory::{Memory, Tables};
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::{Value, json};

fn pam() -> UserId {
    user_id("pam")
}

fn login(identity: &str, password: &str) -> Request {
    request("/auth/login", "", &json!({"identity": identity, "password": password}))
}

fn changes(token: &str, old: &str, new: &str) -> Request {
    let body = json!({"old_password": old, "new_password": new});
    let asked = request("/auth/me/password", &format!("Bearer {token}"), &body);
    Request { method: "PUT".into(), ..asked }
}

fn at(seconds: u64) -> Time {
    NOON.plus(seconds)
}

/// Returns the steps of a flow, and its answer.
fn steps(engine: &Engine, store: &Memory, request: Request) -> (Vec<&'static str>, Reply) {
    let mut taken = vec![];
    let mut step = engine.handle(request, inputs(NOON, 1));
    loop {
        step = match step {
            Step::Read(read) => {
                taken.push("read");
                let found = store.with(|tables| tables.read(read.query()));
                read.resume(engine, found)
            }
            Step::Guess(guess) => {
                taken.push("guess");
                guess.allow(engine)
            }
            Step::HashPassword(stretch) => {
                taken.push("stretch");
                stretch.run(engine)
            }
            Step::Task(task) => task.refuse(),
            Step::Commit(commit) => {
                taken.push("commit");
                let outcome = store.with(|tables| tables.commit(commit.changes()));
                commit.settle(engine, outcome)
            }
            Step::Reply(response) => return (taken, response),
        };
    }
}

#[test]
fn the_same_work_and_the_same_answer_for_everybody() {
    let engine = fixtures::engine("http://gate.example");
    let store = Memory::new(fixtures::tables());
    let expected = steps(&engine, &store, login("pam", "wrong"));
    assert_eq!(expected.0, ["read", "guess", "stretch", "commit"]);
    store.with(|tables| {
        tables.users.get_mut(&pam()).expect("pam").email = Some("both@example.com".into());
        let alice = user_id("alice");
        tables.users.get_mut(&alice).expect("alice").email = Some("BOTH@example.com".into());
    });
    for (who, password) in [
        ("nobody", "wrong"),
        ("alice", "wrong"),
        ("gone", "wrong"),
        ("", ""),
        ("both@example.com", PAM_PASSWORD),
    ] {
        let (taken, response) = steps(&engine, &store, login(who, password));
        assert_eq!((&taken, response.body()), (&expected.0, expected.1.body()), "{who}");
        assert_eq!(response.status(), expected.1.status());
    }
    let mut locked = fixtures::tables();
    let lockout = &mut locked.passwords.get_mut(&pam()).expect("a password").lockout;
    lockout.locked_until = Some(NOON.plus(1));
    for (tables, password) in [(locked, PAM_PASSWORD), (disabled(), PAM_PASSWORD)] {
        let (taken, response) = steps(&engine, &Memory::new(tables), login("pam", password));
        assert_eq!((taken, response.body()), (expected.0.clone(), expected.1.body()));
    }
}

/// The test data, in which another program hashed pam's password.
fn of_another_program(hash: &str) -> Tables {
    let mut tables = fixtures::tables();
    let password = tables.passwords.get_mut(&pam()).expect("a password");
    password.hash = PasswordHash::import(hash).expect("a hash");
    password.lockout.wrong = 1;
    tables
}

#[test]
fn a_sign_in_replaces_the_hash_of_another_program() {
    let engine = fixtures::engine("http://gate.example");
    let bcrypt = "$2b$04$y9iwiS0A2VjZWCeJeGOmueuOhOkybeNj4JkKsj6WIH6SFTk8y6Y7.";
    for (hash, right) in [(PAM_HASH, PAM_PASSWORD), (bcrypt, "correct horse")] {
        let store = Memory::new(of_another_program(hash));
        let before = store.with(|tables| tables.passwords[&pam()].hash.clone());
        let (taken, refused) = steps(&engine, &store, login("pam", "wrong"));
        assert_eq!((taken, refused.status()), (vec!["read", "guess", "stretch", "commit"], 400));
        assert!(store.with(|tables| tables.passwords[&pam()].hash == before));
        let (taken, answer) = steps(&engine, &store, login("pam", right));
        assert_eq!((taken, answer.status()), (vec!["read", "guess", "stretch", "commit"], 200));
        let (after, user) =
            store.with(|tables| (tables.passwords[&pam()].clone(), tables.users[&pam()].clone()));
        assert!(!after.hash.is_foreign());
        assert_eq!(after.lockout.wrong, 0);
        // To the user it is the same password: no session ends.
        assert_eq!(user, fixtures::tables().users[&pam()]);
        for (seed, password, status) in [(2, "wrong", 400), (3, right, 200)] {
            assert_eq!(drive(&engine, &store, login("pam", password), inputs(NOON, seed)).status(), status);
        }
        assert!(store.with(|tables| tables.passwords[&pam()].hash == after.hash));
    }
    let mut tables = of_another_program(PAM_HASH);
    tables.users.get_mut(&pam()).expect("pam").disable();
    let store = Memory::new(tables);
    assert_eq!(steps(&engine, &store, login("pam", PAM_PASSWORD)).1.status(), 400);
    assert!(store.with(|tables| tables.passwords[&pam()].hash.is_foreign()));
}

/// The test data, in which pam is disabled.
fn disabled() -> Tables {
    let mut tables = fixtures::tables();
    tables.users.get_mut(&pam()).expect("pam").disable();
    tables
}

#[test]
fn guesses_wait_longer_and_longer_and_ten_lock() {
    let engine = fixtures::engine("http://gate.example");
    let store = Memory::new(fixtures::tables());
    let mut seed = 0;
    let mut ask = |password: &str, seconds: u64| {
        seed += 1;
        drive(&engine, &store, login("pam", password), inputs(at(seconds), seed)).status()
    };
    let wrong = || store.with(|tables| tables.passwords[&pam()].lockout.wrong);
    let mut now = 0;
    for (count, wait) in (1..).zip([0, 0, 1, 2, 4, 8, 16, 30, 30, 60]) {
        assert_eq!(ask("wrong", now), 400);
        assert_eq!(wrong(), count);
        if wait > 0 {
            // Until then the right one is refused too, and nothing is counted.
            assert_eq!((ask(PAM_PASSWORD, now + wait - 1), ask("wrong", now + wait - 1)), (400, 400));
            assert_eq!(wrong(), count);
        }
        now += wait;
    }
    let locked = |event: &&gatepass_core::store::audit::Event| event.kind == Kind::Locked;
    assert_eq!(store.with(|tables| tables.audit.iter().filter(locked).count()), 1);
    assert_eq!(ask(PAM_PASSWORD, now), 200);
    assert_eq!(wrong(), 0);
}

#[test]
fn every_outcome_has_one_answer_and_nothing_leaves_but_by_an_applied_commit() {
    use Outcome::{Applied, Conflict, NotApplied, Unknown};
    let engine = fixtures::engine("http://gate.example");
    let outcomes: [(&[Outcome], u16); 6] = [
        (&[Applied], 200),
        (&[NotApplied], 503),
        (&[Unknown], 500),
        (&[Conflict, Applied], 200),
        (&[Conflict, NotApplied], 503),
        (&[Conflict, Conflict], 400),
    ];
    for (outcomes, status) in outcomes {
        for (request, good) in [
            (login("pam", PAM_PASSWORD), true),
            (login("pam", "wrong"), false),
            (login("nobody", "wrong"), false),
        ] {
            let mut left = outcomes.iter();
            let mut step = engine.handle(request, inputs(NOON, 1));
            let store = fixtures::tables();
            let mut stretched = 0;
            let response = (0..Step::MAX).find_map(|_| {
                let taken = std::mem::replace(&mut step, engine.handle(login("", ""), inputs(NOON, 2)));
                step = match taken {
                    Step::Read(read) => {
                        let found = store.read(read.query());
                        read.resume(&engine, found)
                    }
                    Step::Guess(guess) => guess.allow(&engine),
                    Step::HashPassword(stretch) => {
                        stretched += 1;
                        stretch.run(&engine)
                    }
                    Step::Task(task) => task.refuse(),
                    Step::Commit(commit) => commit.settle(&engine, *left.next().expect("an outcome")),
                    Step::Reply(response) => return Some(response),
                };
                None
            });
            let response = response.expect("a flow ends");
            let expected = if status == 200 && !good { 400 } else { status };
            assert_eq!(response.status(), expected, "{outcomes:?}");
            let told = String::from_utf8_lossy(response.body());
            assert_eq!(told.contains("eyJ"), status == 200 && good, "{outcomes:?}");
            assert_eq!(stretched, 1, "the same hash is not computed twice");
        }
    }
}

/// Guesses since the read count against a right guess too, even if none had been wrong before.
#[test]
fn a_right_guess_among_many_at_once_is_one_of_them() {
    let engine = fixtures::engine("http://gate.example");
    let mut prepared = Memory::new(fixtures::tables());
    let token = body(&drive(&engine, &prepared, login("pam", PAM_PASSWORD), inputs(NOON, 1)));
    let token = token["access_token"].as_str().expect("a token").to_owned();
    for right in [login("pam", PAM_PASSWORD), changes(&token, PAM_PASSWORD, "correct mule")] {
        let store = Memory::new(prepared.with(|tables| tables.clone()));
        // Read and hashed before the others, committed after them.
        let Step::Read(read) = engine.handle(right, inputs(NOON, 2)) else { panic!("it reads") };
        let found = store.with(|tables| tables.read(read.query()));
        let Step::Guess(guess) = read.resume(&engine, found) else { panic!("it guesses") };
        let Step::HashPassword(stretch) = guess.allow(&engine) else { panic!("it hashes") };
        let Step::Commit(commit) = stretch.run(&engine) else { panic!("it commits") };
        for seed in 3..6 {
            assert_eq!(drive(&engine, &store, login("pam", "wrong"), inputs(NOON, seed)).status(), 400);
        }
        let outcome = store.with(|tables| tables.commit(commit.changes()));
        assert_eq!(outcome, Outcome::Conflict);
        let refused = step::finish(&engine, &store, commit.settle(&engine, outcome));
        assert_eq!(refused.status(), 400, "{}", body(&refused));
        prepared = Memory::new(prepared.with(|tables| tables.clone()));
    }
}

/// An unknown name has no conflicts. For a known one, conflicts are not shown.
#[test]
fn two_conflicts_are_answered_as_a_wrong_password() {
    let engine = fixtures::engine("http://gate.example");
    let tables = fixtures::tables();
    let unknown = drive(&engine, &Memory::new(fixtures::tables()), login("nobody", "wrong"), inputs(NOON, 1));
    for password in [PAM_PASSWORD, "wrong"] {
        let mut step = engine.handle(login("pam", password), inputs(NOON, 1));
        let response = loop {
            step = match step {
                Step::Read(read) => {
                    let found = tables.read(read.query());
                    read.resume(&engine, found)
                }
                Step::Guess(guess) => guess.allow(&engine),
                Step::HashPassword(stretch) => stretch.run(&engine),
                Step::Task(task) => task.refuse(),
                Step::Commit(commit) => commit.settle(&engine, Outcome::Conflict),
                Step::Reply(response) => break response,
            };
        };
        assert_eq!((response.status(), response.body()), (unknown.status(), unknown.body()));
        assert_eq!(response.attempt().map(|attempt| attempt.result), Some(AttemptResult::Wrong));
    }
}

#[test]
fn no_room_for_a_hash_is_503_and_changes_nothing() {
    let engine = fixtures::engine("http://gate.example");
    let tables = fixtures::tables();
    let Step::Read(read) = engine.handle(login("pam", PAM_PASSWORD), inputs(NOON, 1)) else {
        panic!("it reads first")
    };
    let found = tables.read(read.query());
    let Step::Guess(guess) = read.resume(&engine, found) else { panic!("it guesses then") };
    let Step::HashPassword(stretch) = guess.allow(&engine) else { panic!("it hashes then") };
    let Step::Reply(refused) = stretch.refuse() else { panic!("it is answered") };
    assert_eq!((refused.status(), refused.header("retry-after")), (503, Some("1")));
}

#[test]
fn a_changed_password_ends_every_session_and_those_of_whom_one_acts_as() {
    let engine = fixtures::engine("http://gate.example");
    let store = Memory::new(fixtures::tables());
    store.with(|tables| {
        let boss = user_id("boss");
        let password = tables.passwords[&pam()].clone();
        tables.passwords.insert(boss, password);
    });
    let acting = impersonates(&engine, &store);
    let ticket = fixtures::issue(&engine, &store, "boss", inputs(NOON, 10));
    let own = body(&drive(&engine, &store, presents(&ticket), inputs(NOON, 11)));
    let (acting, acting_on) = (acting["access_token"].clone(), acting["refresh_token"].clone());
    let own = own["access_token"].as_str().expect("a token");
    let userinfo = |token: &Value, seed| {
        let bearer = format!("Bearer {}", token.as_str().expect("a token"));
        let asked = Request { method: "GET".into(), ..request("/userinfo", &bearer, &Value::Null) };
        drive(&engine, &store, asked, inputs(NOON, seed)).status()
    };
    assert_eq!(userinfo(&acting, 12), 200);
    let changed = drive(&engine, &store, changes(own, PAM_PASSWORD, "correct mule"), inputs(NOON, 13));
    assert_eq!(changed.status(), 200, "{}", body(&changed));
    assert_eq!((userinfo(&acting, 14), userinfo(&json!(own), 15)), (401, 401));
    let refreshed = drive(&engine, &store, refreshes(acting_on.as_str().expect("it")), inputs(NOON, 16));
    assert_eq!(refreshed.status(), 400);
    let told = store.with(|tables| tables.audit.iter().map(|event| event.kind).collect::<Vec<_>>());
    assert!(told.contains(&Kind::PasswordChanged), "{told:?}");
}

#[test]
fn an_aged_password_is_warned_of_then_has_to_be_changed() {
    const DAY: u64 = 86_400;
    let day = |days: u32| days * 86_400;
    let mut settings = Settings::new(Issuer::parse("http://gate.example").expect("an issuer"));
    settings.password_age = Some(PasswordAge::new(day(30), day(5), day(3)));
    settings.refresh_lifetime = day(365);
    settings.session_lifetime = day(365);
    let engine = fixtures::gatepass_with(settings);
    let store = Memory::new(fixtures::tables());
    store.with(|tables| tables.users.get_mut(&pam()).expect("pam").password_changed_at = Some(NOON));
    let kept = body(&drive(&engine, &store, login("pam", PAM_PASSWORD), inputs(NOON, 1)));
    let kept = kept["refresh_token"].as_str().expect("a refresh token");
    for (days, expires_in, warning, must_change) in [
        (1, 29, Value::Null, false),
        (25, 5, json!("expiring"), false),
        (31, 0, json!("expired_grace"), false),
        (33, 0, json!("expired"), true),
    ] {
        let told = drive(&engine, &store, login("pam", PAM_PASSWORD), inputs(at(days * DAY), 1 + days));
        let told = body(&told);
        assert_eq!(told["user"].is_null(), must_change, "{days}");
        for account in [&told, &told["user"]].into_iter().filter(|account| !account.is_null()) {
            assert_eq!(account["password_expires_in"], json!(expires_in), "{days}");
            assert_eq!(account["password_warning"], warning, "{days}");
            assert_eq!(account["must_change_password"], json!(must_change), "{days}");
        }
        assert_eq!(told["refresh_token"].is_null(), must_change, "{days}");
    }
    // An earlier session goes no further either.
    let refused = drive(&engine, &store, refreshes(kept), inputs(at(33 * DAY), 100));
    assert_eq!(refused.status(), 400);
    assert_eq!(refused.refusal(), Some(Refusal::PasswordExpired));
}

/// In every interleaving each guess is counted, no replaced password opens a session, and one change wins.
#[test]
fn two_hundred_schedules_of_guesses_logins_and_changes() {
    let engine = fixtures::engine("http://gate.example");
    let prepared = Memory::new(fixtures::tables());
    let token = body(&drive(&engine, &prepared, login("pam", PAM_PASSWORD), inputs(NOON, 1)));
    let token = token["access_token"].as_str().expect("a token").to_owned();
    let prepared = prepared.with(|tables| tables.clone());
    let (mut opened, mut changed, mut counted, mut busy) = (0, 0, 0, 0);
    for schedule in 0..200u64 {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&schedule.to_le_bytes());
        let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let mut tables = prepared.clone();
        let requests = [
            login("pam", "wrong"),
            login("pam", "wrong"),
            login("pam", PAM_PASSWORD),
            login("pam", PAM_PASSWORD),
            changes(&token, PAM_PASSWORD, "correct mule"),
            changes(&token, "wrong", "correct mule"),
        ];
        let mut steps: Vec<(usize, Step)> = (0u64..)
            .zip(requests)
            .map(|(number, request)| {
                (number as usize, engine.handle(request, inputs(NOON, 10 + schedule * 10 + number)))
            })
            .collect();
        let mut is_changed = false;
        while !steps.is_empty() {
            let (who, step) = steps.swap_remove(rng.next_u32() as usize % steps.len());
            let step = match step {
                Step::Read(read) => {
                    let found = tables.read(read.query());
                    read.resume(&engine, found)
                }
                Step::Guess(guess) => guess.allow(&engine),
                Step::HashPassword(stretch) => stretch.run(&engine),
                Step::Task(task) => task.refuse(),
                Step::Commit(commit) => {
                    let outcome = tables.commit(commit.changes());
                    if outcome == Outcome::Applied {
                        let has = |is: fn(&Change) -> bool| commit.changes().iter().any(is);
                        let opens = has(|change| matches!(change, Change::InsertSession { .. }));
                        assert!(!(opens && is_changed), "schedule {schedule}: a former password signs in");
                        opened += usize::from(opens);
                        counted += usize::from(has(|change| matches!(change, Change::CountFailure { .. })));
                        let changes = has(|change| matches!(change, Change::SetPassword { .. }));
                        assert!(!(changes && is_changed), "schedule {schedule}: changed twice");
                        is_changed |= changes;
                    }
                    commit.settle(&engine, outcome)
                }
                Step::Reply(response) => {
                    assert!(!(who < 2 && response.status() == 200), "schedule {schedule}: a guess signs in");
                    busy += usize::from(response.refusal() == Some(Refusal::PasswordLocked));
                    continue;
                }
            };
            steps.push((who, step));
        }
        changed += usize::from(is_changed);
        let failures = tables.histories.get(&pam()).map_or(0, |history| history.failures.len());
        let refused = |e: &&gatepass_core::store::audit::Event| e.refusal == Some(Refusal::PasswordWrong);
        assert_eq!(failures, tables.audit.iter().filter(refused).count(), "schedule {schedule}");
    }
    println!("200 schedules: {opened} sessions, {changed} changes, {counted} guesses counted, {busy} busy");
    assert!(opened > 40 && changed > 40 && counted > 200, "{opened} {changed} {counted}");
}
