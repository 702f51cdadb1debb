//! In every interleaving of several redeemers, one ticket signs in at most once.

use gatepass_core::api::step::Step;
use gatepass_core::engine::Engine;
use gatepass_core::records::ticket::TicketState;
use gatepass_core::store::Store as _;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_tests::fixtures::{self, NOON, inputs, presents, user_id};
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};

use super::tested_store::{TestedStore, fewer};

const REDEEMERS: u64 = 4;

/// Counts of the events in all schedules.
#[derive(Default)]
struct Counts {
    welcomed: u64,
    refused: u64,
    unknown: u64,
    crashed: u64,
    unavailable: u64,
}

/// Takes one step of one redeemer. The outcome of a commit may be lost, or its process may die before or after it.
fn advance(engine: &Engine, store: &TestedStore, step: Step, fate: u32, counts: &mut Counts) -> Option<Step> {
    match step {
        Step::Read(read) => {
            let found = store.read(read.query());
            Some(read.resume(engine, found))
        }
        Step::Commit(commit) => match fate % 16 {
            0 => {
                counts.crashed += 1;
                None
            }
            1 => {
                store.commit(commit.changes());
                counts.crashed += 1;
                None
            }
            2 => Some(commit.settle(engine, Outcome::Unknown)),
            3 => {
                store.commit(commit.changes());
                Some(commit.settle(engine, Outcome::Unknown))
            }
            4 => Some(commit.settle(engine, Outcome::NotApplied)),
            _ => {
                let outcome = store.commit(commit.changes());
                Some(commit.settle(engine, outcome))
            }
        },
        Step::Guess(guess) => Some(guess.allow(engine)),
        Step::HashPassword(stretch) => Some(stretch.run(engine)),
        Step::Task(task) => Some(task.refuse()),
        Step::Reply(response) => {
            match response.status() {
                200 => counts.welcomed += 1,
                400 => counts.refused += 1,
                500 => counts.unknown += 1,
                503 => counts.unavailable += 1,
                other => panic!("a sign-in was answered {other}"),
            }
            if response.status() == 200 {
                let tables = store.with(|tables| tables.clone());
                assert!(
                    tables.tickets.values().all(|t| matches!(t.state, TicketState::Spent { .. })),
                    "a token left before its ticket was spent"
                );
                assert_eq!(tables.sessions.len(), 1, "a token left before its session was there");
            }
            None
        }
    }
}

#[test]
fn a_ticket_signs_in_at_most_once_in_any_schedule_of_four_redeemers() {
    let engine = fixtures::engine("http://gate.example");
    let prepared = TestedStore::new(fixtures::tables());
    let ticket = fixtures::issue(&engine, &prepared, "alice", inputs(NOON, 1));
    let prepared = prepared.with(|tables| tables.clone());
    let alice = user_id("alice");
    let mut total = Counts::default();
    let schedules = fewer(10_000);
    for schedule in 0..schedules {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&schedule.to_le_bytes());
        let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let store = TestedStore::new(prepared.clone());
        let mut counts = Counts::default();
        let mut steps: Vec<Step> = (0..REDEEMERS)
            .map(|redeemer| {
                // Some come when the ticket has just expired.
                let now = if rng.next_u32().is_multiple_of(8) { NOON.plus(300) } else { NOON.plus(redeemer) };
                engine.handle(presents(&ticket), inputs(now, 2 + schedule * REDEEMERS + redeemer))
            })
            .collect();
        let disable = (rng.next_u32().is_multiple_of(8)).then(|| rng.next_u32() % 10);
        for turn in 0.. {
            if steps.is_empty() {
                break;
            }
            if disable == Some(turn) {
                let mut user = store.with(|tables| tables.users[&alice].clone());
                user.disable();
                assert_eq!(store.commit(&[Change::UpdateUser(user)].into()), Outcome::Applied);
            }
            let step = steps.swap_remove(rng.next_u32() as usize % steps.len());
            steps.extend(advance(&engine, &store, step, rng.next_u32(), &mut counts));
        }
        assert!(counts.welcomed <= 1, "schedule {schedule}: {} were welcomed", counts.welcomed);
        let tables = store.with(|tables| tables.clone());
        let spent = tables.tickets.values().any(|t| matches!(t.state, TicketState::Spent { .. }));
        assert!(
            tables.sessions.len() <= usize::from(spent),
            "schedule {schedule}: a session without its ticket"
        );
        total.welcomed += counts.welcomed;
        total.refused += counts.refused;
        total.unknown += counts.unknown;
        total.crashed += counts.crashed;
        total.unavailable += counts.unavailable;
    }
    println!(
        "{schedules} schedules: {} welcomed, {} refused, {} unknown, {} unavailable, {} crashed",
        total.welcomed, total.refused, total.unknown, total.unavailable, total.crashed
    );
    for (what, times) in [
        ("welcomed", total.welcomed),
        ("refused", total.refused),
        ("unknown", total.unknown),
        ("unavailable", total.unavailable),
        ("crashed", total.crashed),
    ] {
        assert!(times > fewer(500), "only {times} were {what}: the schedules do not reach it");
    }
}
