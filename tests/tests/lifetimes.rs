//! The lifetimes of sessions and tokens: no token outlives its session, and an idle session ends.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a failed expectation is a failed test")]

use gatepass_core::engine::Engine;
use gatepass_core::http::request::Request;
use gatepass_core::settings::{Issuer, Settings};
use gatepass_tests::api_document::drive;
use gatepass_tests::fixtures::{
    self, NOON, gatepass_with, grants, impersonates, inputs, presents, refreshes, text,
};
use gatepass_tests::memory::Memory;
use serde_json::Value;

/// Returns the status and body of the answer to `request`, `seconds` after noon.
fn ask(engine: &Engine, store: &Memory, request: Request, seconds: u64) -> (u16, Value) {
    let answer = drive(engine, store, request, inputs(NOON.plus(seconds), 100 + seconds));
    (answer.status(), serde_json::from_slice(answer.body()).expect("JSON"))
}

#[test]
fn no_refresh_outlives_the_cap_of_an_impersonation() {
    let engine = fixtures::engine("http://gate.example");
    for request in [refreshes, grants] {
        let store = Memory::new(fixtures::tables());
        let mut token = text(&impersonates(&engine, &store), "refresh_token");
        for (seconds, left) in [(600, 1200), (1000, 800), (1799, 1)] {
            let (status, body) = ask(&engine, &store, request(&token), seconds);
            assert_eq!((status, &body["expires_in"]), (200, &left.into()), "after {seconds} s");
            token = text(&body, "refresh_token");
            store.with(|tables| {
                let end = NOON.plus(1800);
                assert!(tables.sessions.values().all(|session| session.expires_at == end));
                assert!(tables.refresh_tokens.values().all(|token| token.expires_at <= end));
            });
        }
        assert_eq!(ask(&engine, &store, request(&token), 1800).0, 400);
    }
}

#[test]
fn a_session_lasts_while_it_is_used_and_not_for_ever() {
    let issuer = Issuer::parse("http://gate.example").expect("an issuer");
    let mut settings = Settings::new(issuer);
    (settings.session_lifetime, settings.refresh_lifetime) = (5_000, 1_000);
    let engine = gatepass_with(settings);
    for (uses, last) in [
        (&[999_u64, 1_998, 2_997, 3_996, 4_995][..], (5_000, 400)),
        (&[999, 1_998], (2_997, 200)),
        (&[999, 1_998], (2_998, 400)),
        (&[], (1_000, 400)),
    ] {
        let store = Memory::new(fixtures::tables());
        let ticket = fixtures::issue(&engine, &store, "alice", inputs(NOON, 1));
        let mut token = text(&ask(&engine, &store, presents(&ticket), 0).1, "refresh_token");
        for seconds in uses {
            let (status, body) = ask(&engine, &store, refreshes(&token), *seconds);
            assert_eq!(status, 200, "after {seconds} s of {uses:?}");
            token = text(&body, "refresh_token");
        }
        assert_eq!(ask(&engine, &store, refreshes(&token), last.0).0, last.1, "{uses:?}");
    }
}
