//! Second factors between the snapshot and the commit: every outcome has one answer, a code opens one session, and five
//! wrong codes end a challenge, in every interleaving of its holders.

use gatepass_core::api::reply::Reply;
use gatepass_core::api::step::Step;
use gatepass_core::base::time::Time;
use gatepass_core::engine::Engine;
use gatepass_core::http::request::Request;
use gatepass_core::records::challenge::Answered;
use gatepass_core::records::factor::Lockout;
use gatepass_core::store::Store as _;
use gatepass_core::store::audit::Kind;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_tests::api_document::drive;
use gatepass_tests::fixtures::{self, NOON, body, inputs, presents, request, text, user_id};
use gatepass_tests::memory::Tables;
use gatepass_tests::totp::{self, BACKUP, SECRET, enrolled};
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::{Value, json};

use super::tested_store::{TestedStore, fewer};

/// Returns the code of the device at noon, by an independent implementation.
fn code() -> String {
    totp::code(SECRET, NOON.unix())
}

fn answers(challenge: &str, code: &str, method: &str) -> Request {
    let body = json!({"challenge_token": challenge, "code": code, "mfa_method": method});
    request("/auth/mfa/verify-challenge", "", &body)
}

/// Returns a challenge for fay.
fn challenge(engine: &Engine, store: &TestedStore) -> String {
    let ticket = fixtures::issue(engine, store, "fay", inputs(NOON, 1));
    let asked = drive(engine, store, presents(&ticket), inputs(NOON, 2));
    body(&asked)["challenge_token"].as_str().expect("a challenge").to_owned()
}

/// Drives `step`. Its commits end as `outcomes` say, and are applied after those.
fn finish(engine: &Engine, store: &TestedStore, mut step: Step, outcomes: &[Outcome]) -> Reply {
    let mut outcomes = outcomes.iter();
    for _ in 0..=Step::MAX {
        step = match step {
            Step::Read(read) => {
                let found = store.read(read.query());
                read.resume(engine, found)
            }
            Step::Commit(commit) => match outcomes.next() {
                None | Some(Outcome::Applied) => {
                    let outcome = store.commit(commit.changes());
                    commit.settle(engine, outcome)
                }
                Some(&outcome) => commit.settle(engine, outcome),
            },
            Step::Guess(guess) => guess.allow(engine),
            Step::HashPassword(stretch) => stretch.run(engine),
            Step::Task(task) => task.refuse(),
            Step::Reply(response) => return response,
        };
    }
    panic!("a flow ends")
}

#[test]
fn every_outcome_has_one_answer_and_nothing_leaves_but_by_an_applied_commit() {
    use Outcome::{Applied, Conflict, NotApplied, Unknown};
    let engine = fixtures::asking();
    let outcomes: [(&[Outcome], u16); 6] = [
        (&[Applied], 200),
        (&[NotApplied], 503),
        (&[Unknown], 500),
        (&[Conflict, Applied], 200),
        (&[Conflict, NotApplied], 503),
        (&[Conflict, Conflict], 503),
    ];
    for (outcomes, status) in outcomes {
        // A ticket becomes a challenge, and a code a session.
        let store = TestedStore::new(enrolled());
        let ticket = fixtures::issue(&engine, &store, "fay", inputs(NOON, 1));
        let asked = finish(&engine, &store, engine.handle(presents(&ticket), inputs(NOON, 2)), outcomes);
        let told = String::from_utf8_lossy(asked.body()).into_owned();
        assert_eq!((asked.status(), told.contains("chg_")), (status, status == 200), "{outcomes:?}");
        assert!(!told.contains("eyJ") && !told.contains("rft_"), "{told}");

        let store = TestedStore::new(enrolled());
        let challenge = challenge(&engine, &store);
        let before = store.with(|tables| tables.clone());
        let step = engine.handle(answers(&challenge, &code(), "totp"), inputs(NOON, 3));
        let welcomed = finish(&engine, &store, step, outcomes);
        let told = String::from_utf8_lossy(welcomed.body()).into_owned();
        assert_eq!((welcomed.status(), told.contains("eyJ")), (status, status == 200), "{outcomes:?}");
        assert_eq!(store.with(|tables| *tables == before), status != 200, "{outcomes:?}");

        // A wrong code is answered once it is counted.
        let store = TestedStore::new(enrolled());
        let challenge = self::challenge(&engine, &store);
        let step = engine.handle(answers(&challenge, "wrong", "totp"), inputs(NOON, 3));
        let refused = finish(&engine, &store, step, outcomes);
        assert_eq!(refused.status(), if status == 200 { 400 } else { status }, "{outcomes:?}");
        let counted = store.with(|tables| tables.lockout.get(&user_id("fay")).map(|lockout| lockout.wrong));
        assert_eq!(counted, (status == 200).then_some(1), "{outcomes:?}");
    }
}

#[test]
fn an_answer_rests_on_everything_it_read() {
    let engine = fixtures::asking();
    type Alter = fn(&mut Tables);
    let table: &[(&str, Alter, u16)] = &[
        ("nothing", |_| {}, 200),
        ("the user is disabled", |t| t.users.get_mut(&user_id("fay")).expect("fay").disable(), 400),
        ("every session is ended", |t| t.users.get_mut(&user_id("fay")).expect("fay").end_sessions(), 400),
        ("the device is gone", |t| t.devices.clear(), 400),
        ("the step was used", |t| t.devices[0].last_step = NOON.unix() / 30, 400),
        (
            "the challenge was answered",
            |t| {
                t.challenges
                    .values_mut()
                    .for_each(|c| c.answered = Some(Answered { at: NOON, delivery: None }))
            },
            400,
        ),
        ("the challenge is spent", |t| t.challenges.values_mut().for_each(|c| c.wrong = 5), 400),
        ("one more wrong code was counted", |t| t.challenges.values_mut().for_each(|c| c.wrong = 1), 200),
    ];
    for (what, alter, status) in table {
        let store = TestedStore::new(enrolled());
        let challenge = challenge(&engine, &store);
        let Step::Read(read) = engine.handle(answers(&challenge, &code(), "totp"), inputs(NOON, 3)) else {
            panic!("it reads first")
        };
        let found = store.read(read.query());
        let step = read.resume(&engine, found);
        store.with(alter);
        assert_eq!(finish(&engine, &store, step, &[]).status(), *status, "{what}");
        let sessions = store.with(|tables| tables.sessions.len());
        assert_eq!(sessions, usize::from(*status == 200), "{what}");
    }
}

/// Guesses since the read count against a right code too, even if none had been wrong before.
#[test]
fn a_right_code_among_many_at_once_is_one_of_them() {
    let engine = fixtures::asking();
    let store = TestedStore::new(enrolled());
    let (first, other) = (challenge(&engine, &store), {
        let ticket = fixtures::issue(&engine, &store, "fay", inputs(NOON, 20));
        let asked = drive(&engine, &store, presents(&ticket), inputs(NOON, 21));
        body(&asked)["challenge_token"].as_str().expect("a challenge").to_owned()
    });
    let Step::Read(read) = engine.handle(answers(&first, &code(), "totp"), inputs(NOON, 30)) else {
        panic!("it reads first")
    };
    let found = store.read(read.query());
    let Step::Guess(guess) = read.resume(&engine, found) else { panic!("it guesses") };
    let Step::Commit(commit) = guess.allow(&engine) else { panic!("it commits") };
    assert_eq!(drive(&engine, &store, answers(&other, "wrong", "totp"), inputs(NOON, 31)).status(), 400);
    assert_eq!(store.commit(commit.changes()), Outcome::Conflict);
}

#[test]
fn a_challenge_and_its_answers_are_recorded() {
    let engine = fixtures::asking();
    let store = TestedStore::new(enrolled());
    let challenge = challenge(&engine, &store);
    for (code, method) in [("wrong", "totp"), (BACKUP, "backup_code"), (BACKUP, "backup_code")] {
        drive(&engine, &store, answers(&challenge, code, method), inputs(NOON, 3));
    }
    let kinds: Vec<Kind> = store.with(|tables| tables.audit.iter().map(|event| event.kind).collect());
    assert_eq!(
        kinds,
        [
            Kind::TicketIssued,
            Kind::ChallengeIssued,
            Kind::ChallengeRefused,
            Kind::ChallengeAnswered,
            Kind::ChallengeRefused
        ]
    );
    let session = store.with(|tables| tables.audit[3].session.clone());
    assert!(session.is_some() && session == store.with(|tables| tables.sessions.keys().next().cloned()));
}

/// Opens a session of fay, and returns its access token.
fn signed_in(engine: &Engine, store: &TestedStore) -> String {
    let ticket = fixtures::issue(engine, store, "fay", inputs(NOON, 1_000));
    let welcomed = drive(engine, store, presents(&ticket), inputs(NOON, 1_001));
    body(&welcomed)["access_token"].as_str().expect("a token").to_owned()
}

/// Returns the answer to `body` at `/mfa/totp/{path}`.
fn my(engine: &Engine, store: &TestedStore, token: &str, path: &str, body: &Value, seed: u64) -> Reply {
    let mut asked = request(&format!("/mfa/totp/{path}"), &format!("Bearer {token}"), body);
    if path.starts_with("devices/") {
        asked.method = "DELETE".into();
    }
    drive(engine, store, asked, inputs(NOON, seed))
}

/// Returns the id of a device that was set up, a code of it, and one of its backup codes.
fn told(set_up: &Reply) -> (String, String, String) {
    let data = &body(set_up)["data"];
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let code = totp::code_of(&text(&data["secret"]), NOON.unix());
    (text(&data["device_id"]), code, text(&data["backup_codes"][0]))
}

#[test]
fn the_backup_codes_that_count_came_with_the_device_that_did_first() {
    let engine = fixtures::asking();
    // Which of two devices is verified, and whether the other one is removed before.
    for (first, removed) in [(0, false), (1, false), (0, true), (1, true)] {
        let store = TestedStore::new(fixtures::tables());
        let token = signed_in(&engine, &store);
        let set_ups = [10, 11].map(|seed| told(&my(&engine, &store, &token, "setup", &json!({}), seed)));
        let ((device, code, kept), (other, other_code, gone)) = (&set_ups[first], &set_ups[1 - first]);
        if removed {
            let path = format!("devices/{other}");
            let removal = my(&engine, &store, &token, &path, &json!({ "code": other_code }), 12);
            assert_eq!(removal.status(), 200);
            assert_eq!(store.with(|tables| tables.backup_codes.len()), 10);
        }
        let verify = json!({"device_id": device, "code": code});
        assert_eq!(my(&engine, &store, &token, "verify", &verify, 13).status(), 200);
        if !removed {
            let second = json!({"device_id": other, "code": other_code});
            assert_eq!(my(&engine, &store, &token, "verify", &second, 14).status(), 200);
        }
        let challenge = challenge(&engine, &store);
        let answer = |code: &str| {
            drive(&engine, &store, answers(&challenge, code, "backup_code"), inputs(NOON, 15)).status()
        };
        assert_eq!((answer(gone), answer(kept)), (400, 200), "the {first}th of two, {removed}");
    }
}

#[test]
fn a_set_up_that_is_overtaken_by_a_first_device_brings_no_codes() {
    let engine = fixtures::asking();
    let store = TestedStore::new(fixtures::tables());
    let token = signed_in(&engine, &store);
    let (device, code, _) = told(&my(&engine, &store, &token, "setup", &json!({}), 10));
    let late = request("/mfa/totp/setup", &format!("Bearer {token}"), &json!({}));
    let Step::Read(read) = engine.handle(late, inputs(NOON, 11)) else { panic!("it reads first") };
    let found = store.read(read.query());
    let step = read.resume(&engine, found);
    let verify = json!({"device_id": device, "code": code});
    assert_eq!(my(&engine, &store, &token, "verify", &verify, 12).status(), 200);
    let set_up = finish(&engine, &store, step, &[]);
    assert_eq!((set_up.status(), &body(&set_up)["data"]["backup_codes"]), (200, &Value::Null));
    assert_eq!(store.with(|tables| tables.backup_codes.len()), 10);
}

#[test]
fn a_session_that_never_showed_a_second_factor_adds_none() {
    let engine = fixtures::asking();
    let store = TestedStore::new(fixtures::tables());
    let old = signed_in(&engine, &store);
    let (waiting, waiting_code, _) = told(&my(&engine, &store, &old, "setup", &json!({}), 10));
    let ticket = fixtures::issue(&engine, &store, "fay", inputs(NOON, 11));
    let enrolling = body(&drive(&engine, &store, presents(&ticket), inputs(NOON, 12)));
    let enrolling = enrolling["access_token"].as_str().expect("a token");
    let (device, code, backup) = told(&my(&engine, &store, enrolling, "setup", &json!({}), 13));
    let verify = json!({"device_id": device, "code": code});
    assert_eq!(my(&engine, &store, enrolling, "verify", &verify, 14).status(), 200);

    let before = store.with(|tables| tables.clone());
    let late = json!({"device_id": waiting, "code": waiting_code});
    for (path, asked) in [("setup", json!({})), ("verify", late)] {
        let refused = my(&engine, &store, &old, path, &asked, 15);
        assert_eq!((refused.status(), &body(&refused)["code"]), (403, &json!(40302)), "{path}");
    }
    assert!(store.with(|tables| *tables == before));
    // The session that verified the first device may add another, and so may one that answered a challenge.
    assert_eq!(my(&engine, &store, enrolling, "setup", &json!({}), 16).status(), 200);
    let challenge = challenge(&engine, &store);
    let challenged =
        body(&drive(&engine, &store, answers(&challenge, &backup, "backup_code"), inputs(NOON, 17)));
    let challenged = challenged["access_token"].as_str().expect("a token");
    assert_eq!(my(&engine, &store, challenged, "setup", &json!({}), 18).status(), 200);
}

/// Otherwise a session without a factor could show one by the first code of a device that waits beside it.
#[test]
fn a_first_code_is_guessed_at_like_any_other_once_a_device_counts() {
    let engine = fixtures::asking();
    let store = TestedStore::new(fixtures::tables());
    let old = signed_in(&engine, &store);
    let ticket = fixtures::issue(&engine, &store, "fay", inputs(NOON, 11));
    let own = body(&drive(&engine, &store, presents(&ticket), inputs(NOON, 12)));
    let own = own["access_token"].as_str().expect("a token");
    let wrong = json!({"code": "wrong"});
    // She signed in from here.
    let counted = || store.with(|tables| tables.histories[&user_id("fay")].places[0].factors);
    let (device, first, _) = told(&my(&engine, &store, own, "setup", &json!({}), 13));
    my(&engine, &store, own, "verify", &wrong, 14);
    assert_eq!(counted().wrong, 0, "nothing is there to be guessed at");
    let verify = json!({ "code": first });
    assert_eq!(my(&engine, &store, own, "verify", &verify, 15).status(), 200);

    let second = my(&engine, &store, own, "setup", &json!({}), 16);
    let code = json!({ "code": totp::code_of(&text(&body(&second)["data"], "secret"), NOON.unix()) });
    for guess in 1..=10 {
        assert_eq!(my(&engine, &store, &old, "verify", &wrong, 20 + u64::from(guess)).status(), 400);
        assert_eq!(counted().wrong, guess);
    }
    assert!(counted().is_locked(Lockout::LONGEST_LOCK, NOON));
    // Whatever is refused then writes a row and nothing else: rows that say the same are counted, and fill no disk.
    for (path, method) in [("verify", "POST"), ("setup", "POST"), (&*format!("devices/{device}"), "DELETE")] {
        let asked = request(&format!("/mfa/totp/{path}"), &format!("Bearer {old}"), &wrong);
        let step = engine.handle(Request { method: method.into(), ..asked }, inputs(NOON, 39));
        let Step::Read(read) = step else { panic!("it reads first") };
        let found = store.read(read.query());
        let Step::Guess(guess) = read.resume(&engine, found) else { panic!("it guesses") };
        let Step::Commit(commit) = guess.allow(&engine) else { panic!("it commits") };
        assert!(matches!(commit.changes()[..], [Change::Audit(_)]), "{path}: {:?}", commit.changes());
    }
    for (session, seed) in [(old.as_str(), 40), (own, 41)] {
        assert_eq!(body(&my(&engine, &store, session, "verify", &code, seed))["code"], json!(40031));
    }
    store.with(|tables| {
        let history = tables.histories.get_mut(&user_id("fay")).expect("a sign-in");
        history.places[0].factors.locked_until = None;
    });
    // Guesses while a right code is in flight count against that too.
    let asked = request("/mfa/totp/verify", &format!("Bearer {own}"), &code);
    let Step::Read(read) = engine.handle(asked, inputs(NOON, 42)) else { panic!("it reads first") };
    let found = store.read(read.query());
    let Step::Guess(guess) = read.resume(&engine, found) else { panic!("it guesses") };
    let Step::Commit(commit) = guess.allow(&engine) else { panic!("it commits") };
    my(&engine, &store, &old, "verify", &wrong, 43);
    assert_eq!(store.commit(commit.changes()), Outcome::Conflict);
    assert_eq!(my(&engine, &store, own, "verify", &code, 44).status(), 200);
    assert_eq!(counted().wrong, 0);
}

#[test]
fn the_longest_name_of_an_account_still_fits_the_qr_code() {
    let engine = fixtures::asking();
    let store = TestedStore::new(fixtures::tables());
    let token = signed_in(&engine, &store);
    for (account, status) in
        [("x".repeat(128), 200), ("𠮷".repeat(128), 200), ("x".repeat(129), 400), ("𠮷".repeat(129), 400)]
    {
        let before = store.with(|tables| tables.devices.len());
        let set_up = my(&engine, &store, &token, "setup", &json!({ "account": account }), 10 + before as u64);
        assert_eq!(set_up.status(), status, "{} bytes", account.len());
        let made = store.with(|tables| tables.devices.len()) - before;
        assert_eq!(made, usize::from(status == 200), "nothing is left of what was not told");
    }
}

#[test]
fn abandoned_set_ups_make_room() {
    let engine = fixtures::asking();
    let store = TestedStore::new(fixtures::tables());
    let token = signed_in(&engine, &store);
    let set_up = |seed| my(&engine, &store, &token, "setup", &json!({}), seed);
    let (_, code, _) = told(&set_up(10));
    for seed in 11..18 {
        assert_eq!(set_up(seed).status(), 200);
    }
    assert_eq!(body(&set_up(18))["code"], json!(40032));
    let device = store.with(|tables| {
        let oldest = tables.devices.first_mut().expect("a device");
        oldest.created_at = Time::from_unix(NOON.unix() - 3_600);
        oldest.id.as_str().to_owned()
    });
    let verify = json!({"device_id": device, "code": code});
    assert_eq!(my(&engine, &store, &token, "verify", &verify, 19).status(), 400);
    assert_eq!(set_up(20).status(), 200);
    let left = store.with(|tables| (tables.devices.len(), tables.backup_codes.len()));
    assert_eq!(left, (8, 80));
}

/// The codes that several holders of one challenge try.
const TRIES: &[&str] =
    &["wrong", "wrong", "wrong", "wrong", "wrong", "wrong", "right", "right", "backup", "backup"];

#[test]
fn a_challenge_opens_one_session_and_allows_five_wrong_codes() {
    let engine = fixtures::asking();
    let prepared = TestedStore::new(enrolled());
    let challenge = challenge(&engine, &prepared);
    let prepared = prepared.with(|tables| tables.clone());
    let (mut opened, mut closed) = (0u64, 0u64);
    let schedules = fewer(3_000);
    for schedule in 0..schedules {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&schedule.to_le_bytes());
        let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let store = TestedStore::new(prepared.clone());
        let mut steps: Vec<Step> = Vec::new();
        for (number, what) in (0u64..).zip(TRIES) {
            let request = match *what {
                "right" => answers(&challenge, &code(), "totp"),
                "backup" => answers(&challenge, BACKUP, "backup_code"),
                wrong => answers(&challenge, wrong, "totp"),
            };
            steps.push(engine.handle(request, inputs(NOON, 10 + schedule * 100 + number)));
        }
        let mut welcomed = 0;
        while !steps.is_empty() {
            let index = rng.next_u32() as usize % steps.len();
            let step = match steps.swap_remove(index) {
                Step::Read(read) => {
                    let found = store.read(read.query());
                    read.resume(&engine, found)
                }
                Step::Commit(commit) => {
                    let outcome = store.commit(commit.changes());
                    let opens = |change: &Change| matches!(change, Change::InsertSession { .. });
                    if outcome == Outcome::Applied && commit.changes().iter().any(opens) {
                        let wrong =
                            store.with(|t| t.challenges.values().next().expect("the challenge").wrong);
                        assert!(wrong < 5, "schedule {schedule}: a spent challenge was answered");
                    }
                    commit.settle(&engine, outcome)
                }
                Step::Guess(guess) => guess.allow(&engine),
                Step::HashPassword(stretch) => stretch.run(&engine),
                Step::Task(task) => task.refuse(),
                Step::Reply(response) => {
                    welcomed += usize::from(response.status() == 200);
                    continue;
                }
            };
            steps.push(step);
        }
        let tables = store.with(|tables| tables.clone());
        assert!(
            welcomed <= 1 && tables.sessions.len() == welcomed,
            "schedule {schedule}: {welcomed} sessions"
        );
        let challenge = tables.challenges.values().next().expect("the challenge");
        assert!(
            challenge.wrong <= 5 && challenge.answered.is_some() == (welcomed == 1),
            "schedule {schedule}"
        );
        opened += u64::from(welcomed == 1);
        closed += u64::from(challenge.wrong == 5);
    }
    println!("{schedules} schedules: {opened} sessions, {closed} challenges spent");
    assert!(opened > fewer(500) && closed >= fewer(20), "the schedules do not reach it: {opened}, {closed}");
}
