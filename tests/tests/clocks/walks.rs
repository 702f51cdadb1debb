//! Random walks of both clocks in virtual time: the server's clock rules, and the core over the store in memory.

use std::time::Duration;

use gatepass::clock::{BELIEVED_AFTER, FAR_AHEAD, QUIET_BEFORE_SWEEPS, RELEASED, Timeline};
use gatepass_core::base::time::{Clocks, LEEWAY, Time};
use gatepass_core::engine::Engine;
use gatepass_core::records::request_inputs::RequestInputs;
use gatepass_core::settings::{Issuer, Settings};
use gatepass_tests::api_document::drive;
use gatepass_tests::fixtures::{
    self, PORTAL_SECRET, asks_for_token, gatepass_with, inputs, presents, refreshes,
};
use gatepass_tests::memory::Memory;
use gatepass_tests::suite::claims;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::Value;

/// A move of the clocks: the real time that passes, and the error of the wall clock from then on.
#[derive(Clone, Copy, Debug)]
struct Move {
    passes: u64,
    wrong: i64,
}

/// The start of the walks.
const START: u64 = RELEASED.unix() + 90 * 86_400;

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let passes = prop_oneof![0..90_u64, 500..700_u64, 1000..8000_u64];
    let hours = 3600 * 8_i64;
    let wrong = prop_oneof![
        3 => Just(0_i64),
        3 => -70..70_i64,
        2 => -hours..hours,
        1 => Just(40 * 365 * 86_400),
        1 => Just(-(START as i64)),
    ];
    let step = (passes, wrong).prop_map(|(passes, wrong)| Move { passes, wrong });
    proptest::collection::vec(step, 1..24)
}

/// A token, and the facts of its issue.
struct Issued {
    token: String,
    own: Time,
    lifetime: u64,
    /// True if it contains our own time of issue.
    told: bool,
}

impl Issued {
    /// Reads and checks the access token of an answer that was given under `clocks`.
    fn read(engine: &Engine, body: &[u8], clocks: Clocks, lifetime: u64) -> (Self, Value) {
        let body: Value = serde_json::from_slice(body).expect("JSON");
        let token = body["access_token"].as_str().expect("a token").to_owned();
        let claims = claims(&token);
        let time = |name: &str| claims[name].as_u64().expect("a time");
        let (wall, own) = (clocks.wall.unix(), clocks.now);
        assert_eq!((time("iat"), time("nbf"), time("exp")), (wall, wall, wall + lifetime), "{claims}");
        let told = claims["own_iat"].as_u64();
        assert_eq!(told, clocks.differ().then(|| own.unix()), "{claims}");
        engine.verify(&token, own).expect("it is accepted at once");
        (Self { token, own, lifetime, told: told.is_some() }, body)
    }

    /// Checks its lifetime by our own time.
    fn lifetimes(&self, engine: &Engine) {
        let good = |time: u64| engine.verify(&self.token, Time::from_unix(time)).is_ok();
        let (own, end) = (self.own.unix(), self.own.plus(self.lifetime).unix());
        // By the wall clock, which is no further off.
        let slack = if self.told { 0 } else { LEEWAY };
        assert!(good(end - 1 - slack), "it is refused too early");
        for after in [0, 1, 3600, 10 * 365 * 86_400] {
            assert!(!good(end + slack + after), "it outlives its lifetime");
        }
        for before in [0, 1, 3600, 10 * 365 * 86_400] {
            assert!(!good(own - LEEWAY - 1 - slack - before), "it is dated ahead");
        }
    }
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(17),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(256))]

    /// Own time follows no jump that does not last.
    #[test]
    fn the_mark_follows_no_jump_that_does_not_last(walk in moves()) {
        let mut line = Timeline::start(Time::from_unix(START), None, Time::from_unix(START), Duration::ZERO);
        let (mut passed, mut mark) = (0, START);
        // Since when a jump is in use, and since when none has been in use or moved the mark.
        let (mut ahead_since, mut quiet_since) = (None, None);
        for Move { passes, wrong } in walk {
            passed += passes;
            let mono = Duration::from_secs(passed);
            let wall = Time::from_unix((START + passed).saturating_add_signed(wrong));
            let status = line.observe(wall, mono);
            let steady = mark + passes;
            prop_assert!(status.now >= status.mark && status.mark.unix() >= steady, "{status:?}");
            if status.mark.unix() > steady + FAR_AHEAD {
                let lasted = ahead_since.map(|since| passed - since);
                prop_assert!(lasted >= Some(BELIEVED_AFTER.as_secs()), "{lasted:?}: {status:?}");
                quiet_since = Some(passed);
            }
            if status.ahead.is_some() {
                ahead_since = ahead_since.or(Some(passed));
                quiet_since = None;
            } else {
                ahead_since = None;
                quiet_since = quiet_since.or(Some(passed));
            }
            if let Some(sweeps) = line.sweeps_before(&status, mono) {
                prop_assert!(sweeps <= wall && sweeps <= status.mark, "{status:?}");
                prop_assert!(status.ahead.is_none());
                let disturbed = line.jumped_at().is_some();
                let quiet = quiet_since.map_or(0, |since| passed - since);
                prop_assert!(!disturbed || quiet >= QUIET_BEFORE_SWEEPS, "{quiet}: {status:?}");
            }
            mark = status.mark.unix();
        }
    }

    /// Every token of a walk is good at once and for its lifetime.
    #[test]
    fn every_token_is_good_at_once_and_for_its_lifetime(walk in moves()) {
        let settings = Settings::new(Issuer::parse("http://gate.example").expect("an issuer"));
        let (user, client) = (settings.user_token_lifetime.into(), settings.client_token_lifetime.into());
        let engine = gatepass_with(settings);
        let store = Memory::new(fixtures::tables());
        let mut line = Timeline::start(Time::from_unix(START), None, Time::from_unix(START), Duration::ZERO);
        let (mut passed, mut refresh, mut seed) = (0, None, 0);
        let mut all = Vec::new();
        for Move { passes, wrong } in walk {
            passed += passes;
            let wall = Time::from_unix((START + passed).saturating_add_signed(wrong));
            let status = line.observe(wall, Duration::from_secs(passed));
            let clocks = Clocks { now: status.now, wall: status.stamp };
            let mut at = || {
                seed += 1;
                RequestInputs { wall: clocks.wall, ..inputs(clocks.now, seed) }
            };
            let ticket = fixtures::issue(&engine, &store, "alice", at());
            let signed_in = drive(&engine, &store, presents(&ticket), at());
            prop_assert_eq!(signed_in.status(), 200);
            let (issued, body) = Issued::read(&engine, signed_in.body(), clocks, user);
            all.push(issued);
            let service = drive(&engine, &store, asks_for_token("portal", PORTAL_SECRET, "orders:read"), at());
            prop_assert_eq!(service.status(), 200);
            all.push(Issued::read(&engine, service.body(), clocks, client).0);
            // The token of an earlier step may be refused by now. What is issued for it is good.
            if let Some(token) = refresh.replace(body["refresh_token"].as_str().expect("a token").to_owned()) {
                let refreshed = drive(&engine, &store, refreshes(&token), at());
                if refreshed.status() == 200 {
                    all.push(Issued::read(&engine, refreshed.body(), clocks, user).0);
                }
            }
        }
        all.iter().for_each(|issued| issued.lifetimes(&engine));
    }
}
