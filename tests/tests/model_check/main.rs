//! Every way in which the steps of a few requests and commands can fall between one another, on the shipped flows.
//!
//! A world (`WORLDS`) is a stage with actors, a clock and promises. Its first test sees every state of each; its second
//! switches the guards of changes off, one at a time, and asks for a promise that breaks: `guards.md` has which, and after
//! how many events.
//!
//! `GATEPASS_CHECK=large` sees more faults in one run and more actors; it takes some minutes.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

mod collisions;
mod commands;
mod deliveries;
mod factors;
mod families;
mod passwords;
mod stage;
mod tickets;

use std::time::Instant;

use gatepass_core::engine::Engine;
use gatepass_tests::checker::{Explored, explore};
use gatepass_tests::guard::Guard;
use gatepass_tests::world;

use collisions::Drawn;
use stage::Stage;

/// Whether to look further than a build on every change can afford.
fn large() -> bool {
    std::env::var("GATEPASS_CHECK").is_ok_and(|size| size == "large")
}

/// A world with some guards switched off, and so many faults at most in one run.
type Opens = for<'a> fn(&'a Engine, &[Guard], u8) -> Stage<'a>;

/// Every world: its name, and how many faults there are in one run, and in one of the large check.
const WORLDS: &[(&str, Opens, u8, u8)] = &[
    ("tickets", tickets::stage, 1, 2),
    ("an impersonation", tickets::impersonation, 1, 3),
    ("a wasted ticket", |g, off, _| tickets::wasted(g, off), 0, 0),
    ("older state put back", tickets::put_back, 1, 2),
    ("a keyed ticket", deliveries::ticket, 1, 2),
    ("a keyed ticket repeated", deliveries::repetitions, 1, 2),
    ("a keyed ticket's challenge", deliveries::challenge, 1, 2),
    ("a keyed answer", |g, off, faults| deliveries::answer(g, off, 0, faults), 1, 2),
    ("a keyed answer near the end", |g, off, faults| deliveries::answer(g, off, 4, faults), 0, 1),
    ("a keyed answer repeated", deliveries::answered, 1, 2),
    ("families", families::stage, 1, 2),
    ("a long family", |g, off, _| families::long(g, off), 0, 0),
    ("ends of sessions", |g, off, _| families::ends(g, off), 0, 0),
    ("ends of all sessions", |g, off, _| families::ends_of_all(g, off), 0, 0),
    ("a challenge", |g, off, faults| factors::one_challenge(g, off, 0, faults), 0, 1),
    ("a challenge near its end", |g, off, faults| factors::one_challenge(g, off, 4, faults), 1, 2),
    ("one code, two challenges", |g, off, _| factors::one_code(g, off), 0, 0),
    ("guesses", |g, off, _| factors::lockout(g, off), 0, 0),
    ("locked factors", |g, off, _| factors::locked(g, off), 0, 0),
    ("a first device", |g, off, _| factors::first_device(g, off), 0, 0),
    ("a second device", |g, off, _| factors::second_device(g, off), 0, 0),
    ("an eighth device", |g, off, _| factors::eighth_device(g, off), 0, 0),
    ("guesses at a password", |g, off, _| passwords::lockout(g, off), 0, 0),
    ("users", |g, off, _| commands::users(g, off), 0, 0),
    ("clients", |g, off, _| commands::clients(g, off), 0, 0),
    ("issuing", commands::issuing, 1, 2),
    ("ends of clients", commands::ends_of_clients, 1, 2),
    ("a ticket's id drawn twice", |g, off, _| collisions::stage(g, off, Drawn::TicketId), 0, 0),
    ("a ticket drawn twice", |g, off, _| collisions::stage(g, off, Drawn::Ticket), 0, 0),
    ("a session's id drawn twice", |g, off, _| collisions::stage(g, off, Drawn::SessionId), 0, 0),
    ("a refresh token drawn twice", |g, off, _| collisions::stage(g, off, Drawn::FirstRefresh), 0, 0),
    ("a successor drawn twice", |g, off, _| collisions::stage(g, off, Drawn::Successor), 0, 0),
    ("a challenge drawn twice", |g, off, _| collisions::stage(g, off, Drawn::Challenge), 0, 0),
    ("a device's id drawn twice", |g, off, _| collisions::stage(g, off, Drawn::DeviceId), 0, 0),
    ("a backup code drawn twice", |g, off, _| collisions::stage(g, off, Drawn::BackupCode), 0, 0),
];

#[test]
fn every_promise_holds_in_every_world() {
    let engine = world::asking();
    let mut broken = vec![];
    for (name, opens, faults, many) in WORLDS {
        let faults = if large() { *many } else { *faults };
        let began = Instant::now();
        let mut stage = opens(&engine, &[], faults);
        let Explored { states, transitions, depth, broken: found } = explore(&mut stage);
        let (seconds, statuses) = (began.elapsed().as_secs_f32(), stage.statuses());
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

/// Guards that nothing needs while another stands, and a world in which either one will do: ending all sessions rests on
/// the epoch of who asks, who is the user whose epoch is raised; and whatever counts a wrong code of a challenge counts it of
/// its person.
const BACKED: &[(Guard, Guard, &str)] = &[
    (Guard::RaisedEpochIsAsRead, Guard::UserIsOfEpoch, "ends of all sessions"),
    (Guard::AnsweredWrongIsAsRead, Guard::GuessesAreAsRead, "a challenge near its end"),
];

/// What [`every_guard_keeps_a_promise`] finds.
const TABLE: &str = include_str!("guards.md");

#[test]
fn every_guard_keeps_a_promise() {
    let engine = world::asking();
    let consulted = WORLDS.iter().map(|(name, opens, ..)| {
        let mut stage = opens(&engine, &[], 0);
        let states = explore(&mut stage).states;
        (states, *name, opens, stage.consulted)
    });
    let mut consulted: Vec<_> = consulted.collect();
    consulted.sort_by_key(|(states, ..)| *states);
    let (mut rows, mut idle) = (vec![], vec![]);
    for guard in Guard::ALL {
        let found = if let Some((_, by, world)) = BACKED.iter().find(|(backed, ..)| backed == guard) {
            let (_, opens, ..) = WORLDS.iter().find(|(name, ..)| name == world).expect("a world");
            let broken = |off: &[Guard]| explore(&mut opens(&engine, off, 0)).broken;
            assert!(broken(&[*guard]).is_none(), "{guard:?} keeps a promise by itself: it is not backed");
            assert!(broken(&[*by]).is_none(), "{guard:?} does not do for {by:?}");
            broken(&[*guard, *by]).map(|broken| (*world, format!(" (with `{by:?}` off too)"), broken))
        } else {
            let mut worlds = consulted.iter().filter(|(.., guards)| guards.contains(guard));
            worlds.find_map(|(_, name, opens, _)| {
                Some((*name, String::new(), explore(&mut opens(&engine, &[*guard], 0)).broken?))
            })
        };
        let Some((world, beside, broken)) = found else {
            idle.push(guard);
            continue;
        };
        let ((change, meaning), events) = (guard.meaning(), broken.events.len());
        rows.push(format!(
            "| {change} | `{guard:?}`: {meaning} | {events} | {world}{beside} | {} |",
            broken.promise
        ));
    }
    println!("{}", rows.join("\n"));
    assert!(idle.is_empty(), "no promise needs {idle:?}");
    let told: Vec<&str> = TABLE.lines().filter(|line| line.starts_with("| `")).collect();
    assert!(told == rows, "guards.md is not what was found, which is printed above");
}

/// The changes as they are told: each that is said to hold somewhere has a guard, and no other has.
#[test]
fn every_condition_has_a_guard() {
    let source = include_str!("../../../core/src/store/change.rs");
    let (_, changes) = source.split_once("pub enum Change {\n").expect("the changes");
    let (changes, _) = changes.split_once("\n}").expect("their end");
    let (mut told, mut seen) = (String::new(), 0);
    for line in changes.lines().filter_map(|line| line.strip_prefix("    ")) {
        if let Some(doc) = line.strip_prefix("/// ") {
            told.push_str(doc);
        } else if line.starts_with(char::is_uppercase) {
            let name = line.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
            let conditional = told.to_lowercase().contains("holds wh");
            let guarded = Guard::ALL.iter().any(|guard| guard.meaning().0.contains(&format!("`{name}`")));
            assert_eq!(conditional, guarded, "{name}: {told}");
            told.clear();
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen} changes");
}
