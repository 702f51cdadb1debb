//! Challenges, codes and devices of fay, who has a verified device and a backup code.

use gatepass_core::engine::Engine;
use gatepass_core::http::request::Request;
use gatepass_core::records::factor::{Lockout, TotpDevice};
use gatepass_core::records::id::{DeviceId, UserId};
use gatepass_core::store::audit::Refusal;
use gatepass_core::store::change::Change;
use gatepass_tests::api_document::drive;
use gatepass_tests::fixtures::{self, NOON, inputs, presents, request, user_id};
use gatepass_tests::guard::Guard;
use gatepass_tests::memory::{Memory, Tables};
use gatepass_tests::totp::{self, BACKUP, SECRET};
use serde_json::{Value, json};

use super::commands::disables;
use super::explorer::{ActorResult, Explorer, Promises, Transition, Verdict, promised};

pub(crate) fn fay() -> UserId {
    user_id("fay")
}

/// The test data with fay's device and backup code, without the guards that are switched off.
pub(crate) fn enrolled(unguarded: &[Guard]) -> Memory {
    Memory::new(Tables { unguarded: unguarded.to_vec(), ..totp::enrolled() })
}

/// Presents a ticket of fay, and returns the answer.
pub(crate) fn presented(engine: &Engine, store: &Memory, seed: u64) -> Value {
    let ticket = fixtures::issue(engine, store, "fay", inputs(NOON, seed));
    let answer = drive(engine, store, presents(&ticket), inputs(NOON, seed + 1)).into_response().into_body();
    serde_json::from_slice(&answer).expect("JSON")
}

/// Returns the challenge in an answer.
pub(crate) fn challenge_in(body: &[u8]) -> String {
    let told: Value = serde_json::from_slice(body).expect("JSON");
    told["challenge_token"].as_str().expect("a challenge").to_owned()
}

pub(crate) fn challenge(engine: &Engine, store: &Memory, seed: u64) -> String {
    presented(engine, store, seed)["challenge_token"].as_str().expect("a challenge").to_owned()
}

fn answers(challenge: &str, code: &str, method: &str) -> impl Fn() -> Request + Clone + use<> {
    let body = json!({"challenge_token": challenge, "code": code, "mfa_method": method});
    move || request("/auth/mfa/verify-challenge", "", &body)
}

pub(crate) fn right(challenge: &str) -> impl Fn() -> Request + Clone + use<> {
    answers(challenge, &totp::code(SECRET, NOON.unix()), "totp")
}

fn backup(challenge: &str) -> impl Fn() -> Request + use<> {
    answers(challenge, BACKUP, "backup_code")
}

pub(crate) fn wrong(challenge: &str) -> impl Fn() -> Request + Clone + use<> {
    answers(challenge, "no code", "totp")
}

pub(crate) fn guess(challenge: &str) -> impl Fn() -> Request + Clone + use<> {
    answers(challenge, "another", "totp")
}

/// One challenge after `wrong` wrong codes. Its holders have the right code, a backup code and wrong ones.
pub(crate) fn one_challenge<'a>(
    engine: &'a Engine,
    unguarded: &[Guard],
    wrong_before: u32,
    faults: u8,
) -> Explorer<'a> {
    let store = enrolled(unguarded);
    let text = challenge(engine, &store, 1);
    for seed in 0..wrong_before {
        drive(engine, &store, wrong(&text)(), inputs(NOON, 10 + u64::from(seed)));
    }
    // Another sign-in of fay succeeded since, so that only this challenge counts.
    store.with(|tables| tables.lockout.clear());
    let check_state = |tables: &Tables, told: &[ActorResult<'_>]| {
        let welcomed = told.iter().filter(|told| told.welcome().is_some()).count();
        promised(welcomed <= 1 && tables.sessions.len() <= 1, "a challenge opens one session")
    };
    let promises = Promises { check_transition, check_state: Box::new(check_state) };
    let tables = store.with(|tables| tables.clone());
    let explorer = Explorer::new(engine, tables, &[NOON], promises)
        .with_faults(faults)
        .sends("the right code", right(&text))
        .sends("a backup code", backup(&text))
        .sends("a wrong code", wrong(&text))
        .sends("another wrong code", wrong(&text))
        .commands_at_once("the administrator", disables("fay"));
    if super::large() { explorer.sends("a third wrong code", wrong(&text)) } else { explorer }
}

/// Two challenges, answered with the same code and the same backup code, while an operator resets the factors.
pub(crate) fn one_code<'a>(engine: &'a Engine, unguarded: &[Guard]) -> Explorer<'a> {
    let store = enrolled(unguarded);
    let (one, other) = (challenge(engine, &store, 1), challenge(engine, &store, 3));
    let check_state = |_: &Tables, told: &[ActorResult<'_>]| {
        let welcomed = |of: &[ActorResult<'_>]| of.iter().filter(|told| told.welcome().is_some()).count();
        promised(welcomed(&told[..2]) <= 1, "a code is good once")?;
        promised(welcomed(&told[2..4]) <= 1, "a backup code is good once")
    };
    let promises = Promises { check_transition, check_state: Box::new(check_state) };
    Explorer::new(engine, store.with(|tables| tables.clone()), &[NOON], promises)
        .sends("a code", right(&one))
        .sends("the same code", right(&other))
        .sends("a backup code", backup(&one))
        .sends("the same backup code", backup(&other))
        .commands_at_once("a reset", |tables, _| {
            let delete = |device: &TotpDevice| Change::DeleteDevice {
                id: device.id.clone(),
                counts: device.verified_at.is_some(),
            };
            let mut changes: Vec<Change> = tables.devices.iter().map(delete).collect();
            changes.push(Change::DropBackupCodes(fay()));
            (changes.len() > 1).then_some(changes)
        })
}

/// Two challenges and only wrong codes.
pub(crate) fn guesses<'a>(engine: &'a Engine, unguarded: &[Guard]) -> Explorer<'a> {
    let store = enrolled(unguarded);
    let (one, other) = (challenge(engine, &store, 1), challenge(engine, &store, 3));
    let check_state = |tables: &Tables, told: &[ActorResult<'_>]| {
        let wrong = |told: &&ActorResult<'_>| matches!(told, ActorResult::Answer(a) if a.refusal == Some(Refusal::CodeWrong));
        let told = told.iter().filter(wrong).count();
        let counted = tables.lockout.get(&fay()).map_or(0, |lockout| lockout.wrong);
        promised(told <= counted as usize, "every guess that was told wrong is counted")
    };
    let promises = Promises { check_transition, check_state: Box::new(check_state) };
    Explorer::new(engine, store.with(|tables| tables.clone()), &[NOON], promises)
        .sends("a guess", wrong(&one))
        .sends("a guess elsewhere", wrong(&other))
        .sends("another guess", wrong(&one))
}

/// A challenge with one wrong code left, of a user whose factors are locked.
pub(crate) fn locked<'a>(engine: &'a Engine, unguarded: &[Guard]) -> Explorer<'a> {
    let store = enrolled(unguarded);
    let text = challenge(engine, &store, 1);
    for seed in 10..14 {
        drive(engine, &store, wrong(&text)(), inputs(NOON, seed));
    }
    let lock = Lockout { wrong: 10, locks: 1, locked_until: Some(NOON.plus(60)) };
    store.with(|tables| tables.lockout.insert(fay(), lock));
    let promises = Promises { check_transition, check_state: Box::new(|_, _| Ok(())) };
    Explorer::new(engine, store.with(|tables| tables.clone()), &[NOON], promises)
        .sends("a guess", wrong(&text))
        .sends("another", wrong(&text))
        .sends("the right code", right(&text))
}

fn check_transition(transition: &Transition<'_>) -> Verdict {
    for (digest, before) in &transition.before.challenges {
        let Some(after) = transition.after.challenges.get(digest) else { continue };
        promised(after.wrong <= 5, "a challenge bears five wrong codes")?;
        let answered = after.answered.is_some() && before.answered.is_none();
        promised(!answered || before.wrong < 5, "a challenge that is spent is not answered")?;
        promised(
            before.answered.is_none() || before == after,
            "a challenge that was answered stays as it was",
        )?;
    }
    for change in transition.applied {
        if let Change::UseStep { id, .. } = change {
            let counts = transition.before.devices.iter().any(|d| d.id == *id && d.verified_at.is_some());
            promised(counts, "a code is good while its device counts")?;
        }
    }
    Ok(())
}

fn my(access: &str, path: &str, body: Value) -> impl Fn() -> Request + use<> {
    let (bearer, path) = (format!("Bearer {access}"), format!("/mfa/totp/{path}"));
    move || {
        let asked = request(&path, &bearer, &body);
        if path.contains("devices/") { Request { method: "DELETE".into(), ..asked } } else { asked }
    }
}

/// Sets up a device for fay. Returns its id and its code.
fn set_up(engine: &Engine, store: &Memory, access: &str, seed: u64) -> (String, String) {
    let told = drive(engine, store, my(access, "setup", json!({}))(), inputs(NOON, seed))
        .into_response()
        .into_body();
    let told: Value = serde_json::from_slice(&told).expect("JSON");
    let text = |member: &str| told["data"][member].as_str().expect("text").to_owned();
    (text("device_id"), totp::code_of(&text("secret"), NOON.unix()))
}

/// Two devices were set up and none is verified: each is verified while a third is set up.
pub(crate) fn first_device<'a>(engine: &'a Engine, unguarded: &[Guard]) -> Explorer<'a> {
    let store = Memory::new(Tables { unguarded: unguarded.to_vec(), ..fixtures::tables() });
    let access = presented(engine, &store, 1)["access_token"].as_str().expect("a token").to_owned();
    let verify = |seed| {
        let (device, code) = set_up(engine, &store, &access, seed);
        my(&access, "verify", json!({"device_id": device, "code": code}))
    };
    let (one, other) = (verify(10), verify(11));
    let check_transition = |transition: &Transition<'_>| {
        let counted = transition.before.devices.iter().any(|device| device.verified_at.is_some());
        let same = transition.before.backup_codes == transition.after.backup_codes;
        promised(!counted || same, "the backup codes that count came with the device that did first")
    };
    let check_state = |tables: &Tables, _: &[ActorResult<'_>]| {
        let devices: Vec<&DeviceId> = tables.devices.iter().map(|device| &device.id).collect();
        let known = tables.backup_codes.values().all(|device| devices.contains(&device));
        promised(known, "a backup code came with a device that is there")
    };
    let promises = Promises { check_transition, check_state: Box::new(check_state) };
    Explorer::new(engine, store.with(|tables| tables.clone()), &[NOON], promises)
        .sends("a first code", one)
        .sends("a first code of another", other)
        .sends("a set-up", my(&access, "setup", json!({})))
        .commands_at_once("the administrator", disables("fay"))
}

/// Seven devices were set up, and two more follow.
pub(crate) fn eighth_device<'a>(engine: &'a Engine, unguarded: &[Guard]) -> Explorer<'a> {
    let store = Memory::new(Tables { unguarded: unguarded.to_vec(), ..fixtures::tables() });
    let access = presented(engine, &store, 1)["access_token"].as_str().expect("a token").to_owned();
    for seed in 10..17 {
        set_up(engine, &store, &access, seed);
    }
    let check_state = |tables: &Tables, _: &[ActorResult<'_>]| {
        promised(tables.devices.len() <= 8, "there are at most eight devices")
    };
    let promises = Promises { check_transition: |_| Ok(()), check_state: Box::new(check_state) };
    Explorer::new(engine, store.with(|tables| tables.clone()), &[NOON], promises)
        .sends("an eighth", my(&access, "setup", json!({})))
        .sends("a ninth", my(&access, "setup", json!({})))
}

/// A second device waits beside a verified one. Its code is used to verify it, and to remove it, each twice.
pub(crate) fn second_device<'a>(engine: &'a Engine, unguarded: &[Guard]) -> Explorer<'a> {
    let store = enrolled(unguarded);
    let text = challenge(engine, &store, 1);
    let signed_in = drive(engine, &store, backup(&text)(), inputs(NOON, 5)).into_response().into_body();
    let signed_in: Value = serde_json::from_slice(&signed_in).expect("JSON");
    let access = signed_in["access_token"].as_str().expect("a token").to_owned();
    let (device, code) = set_up(engine, &store, &access, 10);
    let verify = json!({"device_id": device, "code": code});
    let (path, remove) = (format!("devices/{device}"), json!({ "code": code }));
    let check_state = |_: &Tables, told: &[ActorResult<'_>]| {
        let done = |of: &[ActorResult<'_>]| of.iter().filter(|told| told.welcome().is_some()).count();
        promised(done(told) <= 1, "a code is good once")
    };
    let promises = Promises { check_transition, check_state: Box::new(check_state) };
    Explorer::new(engine, store.with(|tables| tables.clone()), &[NOON], promises)
        .sends("a first code", my(&access, "verify", verify.clone()))
        .sends("the same code", my(&access, "verify", verify))
        .sends("a removal", my(&access, &path, remove.clone()))
        .sends("another removal", my(&access, &path, remove))
}
