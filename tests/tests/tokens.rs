//! The lifetimes of tokens, and the events that end them early.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use gatepass_core::base::time::Time;
use gatepass_core::engine::Engine;
use gatepass_core::http::request::Request;
use gatepass_core::settings::{Issuer, Settings};
use gatepass_tests::api_document::drive;
use gatepass_tests::fixtures::{
    self, BACKEND_SECRET, NOON, asks_for_token, client_id, inputs, presents, request, user_id,
};
use gatepass_tests::memory::{Memory, Tables};
use serde_json::{Value, json};

fn ask(engine: &Engine, store: &Memory, request: Request, now: Time, seed: u64) -> (u16, Value) {
    let answer = drive(engine, store, request, inputs(now, seed));
    (answer.status(), serde_json::from_slice(answer.body()).expect("JSON"))
}

/// Returns the tokens of `backend` and of boss acting as alice, with their lifetimes in seconds.
fn tokens(engine: &Engine, store: &Memory) -> [(String, u64); 2] {
    let scope = "ticket:issue ticket:impersonate";
    let of_client = ask(engine, store, asks_for_token("backend", BACKEND_SECRET, scope), NOON, 1).1;
    let token = |body: &Value| {
        let text = body["access_token"].as_str().expect("a token").to_owned();
        (text, body["expires_in"].as_u64().expect("a life"))
    };
    let bearer = format!("Bearer {}", token(&of_client).0);
    let asked = json!({"user_id": "alice", "actor": "boss", "reason": "a call"});
    let issued = ask(engine, store, request("/auth/generate-ticket", &bearer, &asked), NOON, 2).1;
    let presented = presents(issued["ticket"].as_str().expect("a ticket"));
    [token(&of_client), token(&ask(engine, store, presented, NOON, 3).1)]
}

fn is_good(engine: &Engine, store: &Memory, token: &str, now: Time) -> bool {
    let seen = request("/userinfo", &format!("Bearer {token}"), &Value::Null);
    match ask(engine, store, seen, now, 4).0 {
        200 => true,
        401 => false,
        other => panic!("userinfo was answered {other}"),
    }
}

fn alice(tables: &mut Tables) -> &mut gatepass_core::records::user::User {
    tables.users.get_mut(&user_id("alice")).expect("alice")
}

fn boss(tables: &mut Tables) -> &mut gatepass_core::records::user::User {
    tables.users.get_mut(&user_id("boss")).expect("boss")
}

fn backend(tables: &mut Tables) -> &mut gatepass_core::records::client::Client {
    tables.clients.get_mut(&client_id("backend")).expect("backend")
}

#[test]
fn what_is_ended_or_disabled_ends_its_tokens() {
    let engine = fixtures::engine("http://gate.example");
    /// An alteration, and true for the service's token and the user's if they are good afterwards.
    type Case = (&'static str, fn(&mut Tables), [bool; 2]);
    let cases: &[Case] = &[
        ("nothing", |_| {}, [true, true]),
        ("the user is disabled", |t| alice(t).disable(), [true, false]),
        ("the user is disabled and enabled", |t| (alice(t).disable(), alice(t).enable()).1, [true, false]),
        ("the user's sessions are ended", |t| alice(t).end_sessions(), [true, false]),
        ("the user is gone", |t| t.users.retain(|id, _| id.as_str() != "usr_alice"), [true, false]),
        ("the actor is disabled", |t| boss(t).disable(), [true, false]),
        ("the actor is gone", |t| t.users.retain(|id, _| id.as_str() != "usr_boss"), [true, false]),
        (
            "the session is ended",
            |t| t.sessions.values_mut().for_each(|session| session.ended_at = Some(NOON)),
            [true, false],
        ),
        ("the session is gone", |t| t.sessions.clear(), [true, false]),
        ("the client is disabled", |t| backend(t).disable(), [false, false]),
        (
            "the client is disabled and enabled",
            |t| (backend(t).disable(), backend(t).enable()).1,
            [false, false],
        ),
        ("the client is gone", |t| t.clients.clear(), [false, false]),
        ("the client is a namesake", |t| backend(t).epoch = 7, [false, false]),
    ];
    for (what, alter, good) in cases {
        let store = Memory::new(fixtures::tables());
        let tokens = tokens(&engine, &store);
        store.with(alter);
        for ((token, _), good) in tokens.iter().zip(good) {
            assert_eq!(is_good(&engine, &store, token, NOON), *good, "{what}");
        }
    }
}

#[test]
fn a_scope_taken_from_a_client_is_taken_from_its_tokens() {
    let engine = fixtures::engine("http://gate.example");
    let store = Memory::new(fixtures::tables());
    let [(token, _), _] = tokens(&engine, &store);
    store.with(|tables| backend(tables).scope = Default::default());
    let asks = request("/auth/generate-ticket", &format!("Bearer {token}"), &json!({"user_id": "alice"}));
    assert_eq!(ask(&engine, &store, asks, NOON, 5).0, 403);
}

#[test]
fn lifetimes_are_the_clients_own_or_the_configured_and_an_impersonation_is_capped() {
    let settings = Settings::new(Issuer::parse("http://gate.example").expect("an issuer"));
    let mut capped = settings.clone();
    capped.impersonation_lifetime = 600;
    let mut shorter = capped.clone();
    (shorter.user_token_lifetime, shorter.client_token_lifetime) = (500, 400);
    let own: fn(&mut Tables) = |tables| {
        (backend(tables).token_lifetime, backend(tables).user_token_lifetime) = (Some(77), Some(88));
    };
    let none: fn(&mut Tables) = |_| {};
    for (settings, alter, lives) in [
        (settings, none, [3600, 1800]),
        (capped.clone(), none, [3600, 600]),
        (shorter, none, [400, 500]),
        (capped, own, [77, 88]),
    ] {
        let cap = settings.impersonation_lifetime;
        let engine = fixtures::gatepass_with(settings);
        let store = Memory::new(fixtures::tables());
        store.with(alter);
        for ((token, life), expected) in tokens(&engine, &store).iter().zip(lives) {
            assert_eq!(*life, expected);
            assert!(is_good(&engine, &store, token, NOON.plus(life - 1)));
            assert!(!is_good(&engine, &store, token, NOON.plus(*life)));
        }
        store.with(|tables| {
            let ends: Vec<Time> = tables.sessions.values().map(|session| session.expires_at).collect();
            assert_eq!(ends, [NOON.plus(cap.into())]);
            assert!(
                tables.refresh_tokens.values().all(|refresh| refresh.expires_at <= NOON.plus(cap.into()))
            );
        });
    }
}
