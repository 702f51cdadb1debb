//! All interleavings of a few requests and commands, on the shipped flows.
//!
//! A scenario (`SCENARIOS`) has tables, actors, a clock and promises. The first test visits every state of each. The
//! second switches off the guards of changes, one at a time, and expects a broken promise: `guards.md` lists which, and
//! after how many events.
//!
//! `GATEPASS_CHECK=large` explores more faults in one run and more actors; it takes some minutes.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

mod assertions;
mod collisions;
mod commands;
mod deliveries;
mod explorer;
mod factors;
mod families;
mod passwords;
mod roles;
mod tickets;

use std::time::Instant;

use gatepass_core::engine::Engine;
use gatepass_tests::checker::{Explored, explore};
use gatepass_tests::fixtures;
use gatepass_tests::guard::Guard;

use collisions::Collision;
use explorer::Explorer;

/// Returns true for the large check, which is too slow for every change.
fn large() -> bool {
    std::env::var("GATEPASS_CHECK").is_ok_and(|size| size == "large")
}

/// Opens a scenario with some guards switched off, and with so many faults at most in one run.
type OpenScenario = for<'a> fn(&'a Engine, &[Guard], u8) -> Explorer<'a>;

/// Every scenario: its name, and the number of faults in one run of the usual and of the large check.
const SCENARIOS: &[(&str, OpenScenario, u8, u8)] = &[
    ("tickets", tickets::explorer, 1, 2),
    ("an impersonation", tickets::impersonation, 1, 3),
    ("a wasted ticket", |g, off, _| tickets::wasted(g, off), 0, 0),
    ("older state put back", tickets::put_back, 1, 2),
    ("a keyed ticket", deliveries::ticket, 1, 2),
    ("a keyed ticket repeated", deliveries::repetitions, 1, 2),
    ("a keyed ticket's challenge", deliveries::challenge, 1, 2),
    ("a keyed answer", |g, off, faults| deliveries::answer(g, off, 0, faults), 1, 2),
    ("a keyed answer near the end", |g, off, faults| deliveries::answer(g, off, 4, faults), 0, 1),
    ("a keyed answer repeated", deliveries::answered, 1, 2),
    ("families", families::explorer, 1, 2),
    ("a long family", |g, off, _| families::long(g, off), 0, 0),
    ("ends of sessions", |g, off, _| families::ends(g, off), 0, 0),
    ("ends of all sessions", |g, off, _| families::ends_of_all(g, off), 0, 0),
    ("a challenge", |g, off, faults| factors::one_challenge(g, off, 0, faults), 0, 1),
    ("a challenge near its end", |g, off, faults| factors::one_challenge(g, off, 4, faults), 1, 2),
    ("one code, two challenges", |g, off, _| factors::one_code(g, off), 0, 0),
    ("guesses", |g, off, _| factors::guesses(g, off), 0, 0),
    ("locked factors", |g, off, _| factors::locked(g, off), 0, 0),
    ("a first device", |g, off, _| factors::first_device(g, off), 0, 0),
    ("a second device", |g, off, _| factors::second_device(g, off), 0, 0),
    ("an eighth device", |g, off, _| factors::eighth_device(g, off), 0, 0),
    ("guesses at a password", |g, off, _| passwords::guesses(g, off), 0, 0),
    ("guesses at a place", |g, off, _| passwords::guesses_at_a_place(g, off), 0, 0),
    ("a hash of another program", |g, off, _| passwords::of_another_program(g, off), 0, 0),
    ("users", |g, off, _| commands::users(g, off), 0, 0),
    ("officers", |g, off, _| commands::officers(g, off), 0, 0),
    ("roles that are taken", |g, off, _| roles::taken(g, off), 0, 0),
    ("roles that are given", |g, off, _| roles::given(g, off), 0, 0),
    ("roles of a client", |g, off, _| roles::of_a_client(g, off), 0, 0),
    ("clients", |g, off, _| commands::clients(g, off), 0, 0),
    ("keys", |g, off, _| commands::keys(g, off), 0, 0),
    ("chosen keys", |g, off, _| commands::chosen_keys(g, off), 0, 0),
    ("an assertion", assertions::explorer, 1, 2),
    ("issuing", commands::issuing, 1, 2),
    ("ends of clients", commands::ends_of_clients, 1, 2),
    ("a ticket's id drawn twice", |g, off, _| collisions::explorer(g, off, Collision::TicketId), 0, 0),
    ("a ticket drawn twice", |g, off, _| collisions::explorer(g, off, Collision::Ticket), 0, 0),
    ("a session's id drawn twice", |g, off, _| collisions::explorer(g, off, Collision::SessionId), 0, 0),
    ("a refresh token drawn twice", |g, off, _| collisions::explorer(g, off, Collision::FirstRefresh), 0, 0),
    ("a successor drawn twice", |g, off, _| collisions::explorer(g, off, Collision::Successor), 0, 0),
    ("a challenge drawn twice", |g, off, _| collisions::explorer(g, off, Collision::Challenge), 0, 0),
    ("a device's id drawn twice", |g, off, _| collisions::explorer(g, off, Collision::DeviceId), 0, 0),
    ("a backup code drawn twice", |g, off, _| collisions::explorer(g, off, Collision::BackupCode), 0, 0),
];

#[test]
fn every_promise_holds_in_every_scenario() {
    let engine = fixtures::asking();
    let mut broken = vec![];
    for (name, opens, faults, many) in SCENARIOS {
        let faults = if large() { *many } else { *faults };
        let began = Instant::now();
        let mut explorer = opens(&engine, &[], faults);
        let Explored { states, transitions, depth, broken: found } = explore(&mut explorer);
        let (seconds, statuses) = (began.elapsed().as_secs_f32(), explorer.statuses());
        println!(
            "{name}: {states} states, {transitions} transitions, {depth} deep, {seconds:.1} s, answers {statuses:?}"
        );
        let reached = [200, 500, 503].iter().all(|status| statuses.contains(status));
        assert!(
            faults == 0 || reached || found.is_some(),
            "{name} does not reach every kind of answer: {statuses:?}"
        );
        if let Some(found) = found {
            broken.push(format!("{name}: {}\n  {}", found.promise, found.events.join("\n  ")));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Guards that are needed only without another one, and a scenario in which either is enough. Ending all sessions depends
/// on the epoch of the caller, who is the user whose epoch is raised. A wrong code of a challenge is also counted for its
/// user. A password that is set ends the user's sessions.
const REDUNDANT: &[(Guard, Guard, &str)] = &[
    (Guard::RaisedEpochIsAsRead, Guard::UserIsOfEpoch, "ends of all sessions"),
    (Guard::AnsweredWrongIsAsRead, Guard::GuessesAreAsRead, "a challenge near its end"),
    (Guard::ReplacedHashIsAsRead, Guard::UserIsOfEpoch, "a hash of another program"),
];

/// The findings of [`every_guard_keeps_a_promise`].
const TABLE: &str = include_str!("guards.md");

#[test]
fn every_guard_keeps_a_promise() {
    let engine = fixtures::asking();
    let consulted = SCENARIOS.iter().map(|(name, opens, ..)| {
        let mut explorer = opens(&engine, &[], 0);
        let states = explore(&mut explorer).states;
        (states, *name, opens, explorer.consulted)
    });
    let mut consulted: Vec<_> = consulted.collect();
    consulted.sort_by_key(|(states, ..)| *states);
    let (mut rows, mut idle) = (vec![], vec![]);
    for guard in Guard::ALL {
        let found = if let Some((_, by, scenario)) = REDUNDANT.iter().find(|(backed, ..)| backed == guard) {
            let (_, opens, ..) = SCENARIOS.iter().find(|(name, ..)| name == scenario).expect("a scenario");
            let broken = |off: &[Guard]| explore(&mut opens(&engine, off, 0)).broken;
            assert!(broken(&[*guard]).is_none(), "{guard:?} keeps a promise by itself: it is not backed");
            assert!(broken(&[*by]).is_none(), "{guard:?} does not do for {by:?}");
            broken(&[*guard, *by]).map(|broken| (*scenario, format!(" (with `{by:?}` off too)"), broken))
        } else {
            let mut scenarios = consulted.iter().filter(|(.., guards)| guards.contains(guard));
            scenarios.find_map(|(_, name, opens, _)| {
                Some((*name, String::new(), explore(&mut opens(&engine, &[*guard], 0)).broken?))
            })
        };
        let Some((scenario, beside, broken)) = found else {
            idle.push(guard);
            continue;
        };
        let ((change, meaning), events) = (guard.meaning(), broken.events.len());
        rows.push(format!(
            "| {change} | `{guard:?}`: {meaning} | {events} | {scenario}{beside} | {} |",
            broken.promise
        ));
    }
    println!("{}", rows.join("\n"));
    assert!(idle.is_empty(), "no promise needs {idle:?}");
    let told: Vec<&str> = TABLE.lines().filter(|line| line.starts_with("| `")).collect();
    assert!(told == rows, "guards.md is not what was found, which is printed above");
}

/// Checks the documented changes: each with a condition has a guard, and no other has one.
#[test]
fn every_condition_has_a_guard() {
    let source = include_str!("../../../core/src/store/change.rs");
    let (_, changes) = source.split_once("pub enum Change {\n").expect("the changes");
    let (changes, _) = changes.split_once("\n}").expect("their end");
    let (mut told, mut seen) = (String::new(), 0);
    for line in changes.lines().filter_map(|line| line.strip_prefix("    ")) {
        if let Some(doc) = line.strip_prefix("/// ") {
            told.push_str(doc);
            told.push(' ');
        } else if line.starts_with(char::is_uppercase) {
            let name = line.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
            let conditional = ["Holds if ", "Holds while "].iter().any(|words| told.contains(words));
            let guarded = Guard::ALL.iter().any(|guard| guard.meaning().0.contains(&format!("`{name}`")));
            assert_eq!(conditional, guarded, "{name}: {told}");
            told.clear();
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen} changes");
}
