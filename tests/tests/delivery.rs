//! Repeated answers, by the real binary on its file: after a `kill -9` too, and only with the key.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use std::fs::{self, File};
use std::process::Stdio;

use gatepass_tests::fixtures::{PORTAL_SECRET, text};
use gatepass_tests::http::{Answer, TestRequest};
use gatepass_tests::server::{Running, TestInstallation};
use gatepass_tests::suite::{Target, claims, refresh, sign_in};
use gatepass_tests::totp::code_ahead;
use serde_json::{Value, json};

const KEY: &str = "hY3v2mQ8rT5wX1zA4cE7gJ";
const OTHER: &str = "another-key-of-somebody";
/// Arguments with the longest grace; the peer is whatever the test says.
const SERVE: &[&str] = &[
    "--issuer",
    "http://gate.example",
    "--redeem-grace",
    "600s",
    "--second-factor",
    "always",
    "--trusted-proxies",
    "127.0.0.1",
    "--log-level",
    "debug",
];

fn installation() -> TestInstallation {
    let installation = TestInstallation::below(env!("CARGO_TARGET_TMPDIR"));
    installation.json(&["--init", "key", "generate", "--alg", "EdDSA", "--activate"]);
    installation.populate();
    installation
}

fn keyed(ask: TestRequest, key: &str) -> TestRequest {
    ask.header("Idempotency-Key", key)
}

fn redeem(ticket: &str) -> TestRequest {
    sign_in(ticket)
}

#[track_caller]
fn again(first: &Answer, second: &Answer) {
    assert_eq!(second.status, 200, "{second:?}");
    assert_eq!(second.text("refresh_token"), first.text("refresh_token"));
    let (before, after) = (claims(&first.text("access_token")), claims(&second.text("access_token")));
    for same in ["sid", "sub", "aud", "scope", "auth_time", "client_id"] {
        assert_eq!(before[same], after[same], "{same}");
    }
    assert_ne!(before["jti"], after["jti"], "the access token is a fresh one");
}

#[track_caller]
fn refused(answer: &Answer, code: u64) {
    assert_eq!((answer.status, &answer.json()["code"]), (400, &json!(code)), "{answer:?}");
}

fn rows(installation: &TestInstallation, kind: &str) -> Vec<Value> {
    let rows = installation.json(&["audit", "list"]);
    rows.as_array().expect("an array").iter().filter(|row| row["kind"] == kind).cloned().collect()
}

#[test]
fn a_redemption_is_delivered_once_whatever_becomes_of_the_process() {
    let installation = installation();
    let log = installation.path().join("log");
    let mut server = installation.serve_to(SERVE, Stdio::from(File::create(&log).expect("a file")));
    let ticket = server.target().ticket(&json!({"user_id": "alice"}));
    let bad = [
        "short".into(),
        "a".repeat(129),
        format!("\"{KEY}"),
        format!("{KEY}\""),
        format!("\"{}\"", &KEY[1..]),
        format!("{KEY} {KEY}"),
        String::new(),
    ];
    for key in &bad {
        refused(&server.target().ask(&keyed(redeem(&ticket), key)), 40003);
    }
    refused(&server.target().ask(&keyed(keyed(redeem(&ticket), KEY), KEY)), 40003);
    // None of these redeems it.
    let first = server.target().ask(&keyed(redeem(&ticket), KEY));
    assert_eq!(first.status, 200, "{first:?}");
    again(&first, &server.target().ask(&keyed(redeem(&ticket), KEY)));

    server.kill();
    server = installation.serve(SERVE);
    let target = server.target();
    again(&first, &target.ask(&keyed(redeem(&ticket), KEY)));
    again(&first, &target.ask(&keyed(redeem(&ticket), &format!("\"{KEY}\""))));
    refused(&target.ask(&keyed(redeem(&ticket), OTHER)), 40010);
    refused(&target.ask(&redeem(&ticket)), 40010);
    assert_eq!(
        rows(&installation, "ticket.repeated").len(),
        1,
        "the first repetition is a row, and no other"
    );
    assert_eq!(rows(&installation, "ticket.repeated")[0]["address"], "127.0.0.1");

    // After a refresh no answer is repeated, and the session goes on.
    let second = target.ask(&refresh(&first.text("refresh_token")));
    assert_eq!(second.status, 200, "{second:?}");
    refused(&target.ask(&keyed(redeem(&ticket), KEY)), 40010);
    assert_eq!(target.ask(&refresh(&second.text("refresh_token"))).status, 200);

    assert!(server.terminate());
    let logged = fs::read_to_string(&log).expect("the log");
    assert!(!logged.contains(KEY) && !logged.is_empty(), "no key is logged");
    for (place, kept) in installation.stored() {
        assert!(!kept.windows(KEY.len()).any(|bytes| bytes == KEY.as_bytes()), "{place} keeps a key");
    }
    assert_eq!(installation.json(&["audit", "verify"])["valid"], json!(true));
}

/// Events that end, or do not end, the repetition of an answer. Each ticket has a key of its own.
#[test]
fn an_answer_is_repeated_for_the_same_key_alone() {
    let installation = installation();
    let mut server = installation.serve(SERVE);
    let from = |ask: TestRequest, address: &str| ask.header("X-Forwarded-For", address);
    let target = server.target();
    let given =
        |ticket: &str, ask: &dyn Fn(TestRequest) -> TestRequest| target.ask(&ask(keyed(redeem(ticket), KEY)));

    let ticket = target.ticket(&json!({"user_id": "alice", "client_ip": "203.0.113.9"}));
    let first = given(&ticket, &|ask| from(ask, "203.0.113.9"));
    refused(&given(&ticket, &|ask| from(ask, "203.0.113.8")), 40010);
    again(&first, &given(&ticket, &|ask| from(ask, "203.0.113.9")));

    let ticket = target.ticket(&json!({"user_id": "alice", "audience": "portal", "bind": true}));
    let first = given(&ticket, &|ask| ask.basic("portal", PORTAL_SECRET));
    refused(&given(&ticket, &|ask| ask), 40010);
    refused(&given(&ticket, &|ask| ask.basic("portal", "gps_not-theirs")), 40010);
    again(&first, &given(&ticket, &|ask| ask.basic("portal", PORTAL_SECRET)));
    installation.json(&["client", "disable", "portal"]);
    refused(&given(&ticket, &|ask| ask.basic("portal", PORTAL_SECRET)), 40010);
    // What was ended stays ended.
    installation.json(&["client", "enable", "portal"]);
    refused(&given(&ticket, &|ask| ask.basic("portal", PORTAL_SECRET)), 40010);

    let ticket = target.ticket(&json!({"user_id": "boss"}));
    let first = given(&ticket, &|ask| ask);
    again(&first, &given(&ticket, &|ask| ask));
    installation.json(&["user", "disable", "boss"]);
    refused(&given(&ticket, &|ask| ask), 40010);

    let ended = target.ticket(&json!({"user_id": "alice"}));
    let first = given(&ended, &|ask| ask);
    let bearer = first.text("access_token");
    let sid = claims(&bearer)["sid"].as_str().expect("a session").to_owned();
    let end = TestRequest::new("DELETE", &format!("/auth/me/sessions/{sid}")).bearer(&bearer);
    assert_eq!(target.ask(&end).status, 200);
    refused(&given(&ended, &|ask| ask), 40010);

    let kept = target.ticket(&json!({"user_id": "alice"}));
    let first = given(&kept, &|ask| ask);
    let unkeyed = target.ticket(&json!({"user_id": "alice"}));
    assert_eq!(target.ask(&redeem(&unkeyed)).status, 200);
    refused(&given(&unkeyed, &|ask| ask), 40010);

    // Without a grace no answer is repeated.
    server.kill();
    let none: Vec<&str> = SERVE.iter().map(|word| if *word == "600s" { "0s" } else { *word }).collect();
    let strict = installation.serve(&none);
    refused(&strict.target().ask(&keyed(redeem(&kept), KEY)), 40010);
    strict.kill();
    server = installation.serve(SERVE);
    again(&first, &server.target().ask(&keyed(redeem(&kept), KEY)));
}

/// Answers fay's challenge with a backup code.
fn answer(challenge: &str, code: &str) -> TestRequest {
    let body = json!({"challenge_token": challenge, "code": code, "mfa_method": "backup_code"});
    TestRequest::json("/auth/mfa/verify-challenge", &body)
}

/// Enrols fay, and returns the backup codes.
fn enrol(target: Target) -> Vec<String> {
    let token = target.sign_in(&target.ticket(&json!({"user_id": "fay"}))).text("access_token");
    let set_up = target.ask(&TestRequest::json("/mfa/totp/setup", &json!({})).bearer(&token)).json();
    let code = code_ahead(&text(&set_up["data"], "secret"), 0);
    let verified = target.ask(&TestRequest::json("/mfa/totp/verify", &json!({"code": code})).bearer(&token));
    assert_eq!(verified.status, 200, "{verified:?}");
    let codes = set_up["data"]["backup_codes"].as_array().expect("codes");
    codes.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[test]
fn a_challenge_and_its_answer_are_delivered_once() {
    let installation = installation();
    let start = || -> Running { installation.serve(SERVE) };
    let mut server = start();
    let codes = enrol(server.target());
    let challenged = |target: Target| {
        let ticket = target.ticket(&json!({"user_id": "fay"}));
        let told = target.ask(&keyed(redeem(&ticket), KEY));
        assert_eq!(told.json()["requires_mfa"], json!(true), "{told:?}");
        (ticket, told)
    };
    let (ticket, told) = challenged(server.target());
    let challenge = told.text("challenge_token");
    server.kill();
    server = start();
    let target = server.target();
    let same = target.ask(&keyed(redeem(&ticket), KEY));
    for member in ["challenge_token", "mfa_check_reason", "risk_level"] {
        assert_eq!(same.text(member), told.text(member), "{member}");
    }
    let first = target.ask(&keyed(answer(&challenge, &codes[0]), OTHER));
    assert_eq!(first.status, 200, "{first:?}");
    // The challenge is answered: it is not handed out any more.
    refused(&target.ask(&keyed(redeem(&ticket), KEY)), 40010);
    server.kill();
    server = start();
    let target = server.target();
    again(&first, &target.ask(&keyed(answer(&challenge, &codes[0]), OTHER)));
    refused(&target.ask(&answer(&challenge, &codes[0])), 40030);
    // Key and challenge without the code: five guesses are allowed.
    for guess in &codes[1..5] {
        refused(&target.ask(&keyed(answer(&challenge, guess), OTHER)), 40030);
        again(&first, &target.ask(&keyed(answer(&challenge, &codes[0]), OTHER)));
    }
    refused(&target.ask(&keyed(answer(&challenge, &codes[5]), OTHER)), 40030);
    refused(&target.ask(&keyed(answer(&challenge, &codes[0]), OTHER)), 40030);
    // The holder's session is unaffected, and no guess used up a code.
    assert_eq!(target.ask(&refresh(&first.text("refresh_token"))).status, 200);
    assert_eq!(rows(&installation, "challenge.repeated").len(), 1);
    let (_, told) = challenged(target);
    let next = target.ask(&answer(&told.text("challenge_token"), &codes[1]));
    assert_eq!(next.status, 200, "{next:?}");
}
