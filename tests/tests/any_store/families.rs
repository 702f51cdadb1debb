//! In every interleaving of several holders of one refresh token, its family has one branch.

use std::collections::BTreeSet;
use std::net::IpAddr;

use gatepass_core::api::step::Step;
use gatepass_core::base::time::Time;
use gatepass_core::engine::Engine;
use gatepass_core::http::request::Request;
use gatepass_core::store::Store as _;
use gatepass_core::store::change::Outcome;
use gatepass_tests::api_document::drive;
use gatepass_tests::fixtures::{self, NOON, inputs};
use gatepass_tests::memory::Tables;
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::{Value, json};

use super::tested_store::{TestedStore, fewer};

const HOLDERS: u64 = 4;

fn post(path: &str, body: &Value) -> Request {
    Request {
        method: "POST".into(),
        target: path.into(),
        headers: vec![("content-type".into(), b"application/json".to_vec())],
        body: body.to_string().into_bytes(),
        peer: IpAddr::from([192, 0, 2, 1]),
    }
}

/// A holder, who presents a token and goes on with its successor.
struct Holder {
    step: Step,
    /// The number of successors received.
    turns: u32,
    clock: Time,
    /// The token that was presented.
    token: String,
}

#[derive(Default)]
struct Counts {
    fresh: u64,
    refused: u64,
    ended: u64,
    lost: u64,
}

#[test]
fn a_family_has_one_branch() {
    let engine = fixtures::engine("http://gate.example");
    let store = TestedStore::new(fixtures::tables());
    let ticket = fixtures::issue(&engine, &store, "alice", inputs(NOON, 1));
    let signed_in =
        drive(&engine, &store, post("/auth/ticket/signin", &json!({ "ticket": ticket })), inputs(NOON, 2));
    let body: Value = serde_json::from_slice(signed_in.body()).expect("JSON");
    let first = body["refresh_token"].as_str().expect("a refresh token").to_owned();
    let prepared = store.with(|tables| tables.clone());
    let mut counts = Counts::default();
    let schedules = fewer(2_000);
    for schedule in 0..schedules {
        run(&engine, &prepared, &first, schedule, &mut counts);
    }
    println!(
        "{schedules} schedules: {} fresh, {} refused, {} families ended, {} answers lost",
        counts.fresh, counts.refused, counts.ended, counts.lost
    );
    for times in [counts.fresh, counts.refused, counts.ended, counts.lost] {
        assert!(times > fewer(200), "the schedules do not reach it");
    }
}

fn run(engine: &Engine, prepared: &Tables, first: &str, schedule: u64, counts: &mut Counts) {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&schedule.to_le_bytes());
    let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let store = TestedStore::new(prepared.clone());
    let mut moments = 0;
    let mut present = |token: &str, clock: Time| {
        moments += 1;
        let request = post("/auth/refresh", &json!({ "refresh_token": token }));
        engine.handle(request, inputs(clock, 10 + schedule * 1_000 + moments))
    };
    let mut holders: Vec<Holder> = (0..HOLDERS)
        .map(|_| {
            let clock = NOON.plus(u64::from(rng.next_u32() % 14));
            Holder { step: present(first, clock), turns: 0, clock, token: first.to_owned() }
        })
        .collect();
    let mut successors = BTreeSet::new();
    while !holders.is_empty() {
        let index = rng.next_u32() as usize % holders.len();
        let Holder { step, turns, clock, token } = holders.swap_remove(index);
        let step = match step {
            Step::Read(read) => {
                let found = store.read(read.query());
                read.resume(engine, found)
            }
            Step::Commit(commit) => {
                let fate = rng.next_u32() % 12;
                let outcome = match fate {
                    0 => Outcome::NotApplied,
                    1 => Outcome::Unknown,
                    _ => store.commit(commit.changes()),
                };
                if fate == 2 {
                    // Applied, but the answer is lost: the holder presents the same token again.
                    counts.lost += 1;
                    present(&token, clock.plus(1))
                } else {
                    commit.settle(engine, outcome)
                }
            }
            Step::Guess(guess) => guess.allow(engine),
            Step::HashPassword(stretch) => stretch.run(engine),
            Step::Task(task) => task.refuse(),
            Step::Reply(response) => {
                if response.status() == 200 {
                    counts.fresh += 1;
                    let body: Value = serde_json::from_slice(response.body()).expect("JSON");
                    let successor = body["refresh_token"].as_str().expect("a refresh token").to_owned();
                    successors.insert((token, successor.clone()));
                    if turns < 2 {
                        let clock = clock.plus(u64::from(rng.next_u32() % 14));
                        let step = present(&successor, clock);
                        holders.push(Holder { step, turns: turns + 1, clock, token: successor });
                    }
                } else {
                    counts.refused += 1;
                }
                continue;
            }
        };
        holders.push(Holder { step, turns, clock, token });
        let unused =
            store.with(|tables| tables.refresh_tokens.values().filter(|t| t.rotation.is_none()).count());
        assert!(unused <= 1, "schedule {schedule}: {unused} branches");
    }
    let tokens: BTreeSet<&String> = successors.iter().map(|(token, _)| token).collect();
    assert_eq!(tokens.len(), successors.len(), "schedule {schedule}: one token led to two");
    let ended = store.with(|tables| tables.sessions.values().any(|session| session.ended_at.is_some()));
    counts.ended += u64::from(ended);
}
