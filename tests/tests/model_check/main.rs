//! All interleavings of a few requests and commands, on the shipped flows.
//!
//! The first test visits every state of each scenario. The second switches off the guards of changes, one at a time, and
//! expects a broken promise: `guards.md` lists which, and after how many events.
//!
//! `GATEPASS_CHECK=large` explores more faults in one run and more actors; it takes some minutes.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

mod scenarios;

use std::time::Instant;

use gatepass_core::store::change::Outcome;
use gatepass_tests::checker::{Explored, explore};
use gatepass_tests::fixtures;
use gatepass_tests::guard::Guard;

use scenarios::{Finding, REDUNDANT, SCENARIOS, TABLE, large, without};

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

#[test]
fn every_guard_keeps_a_promise() {
    let engine = fixtures::asking();
    let consulted = SCENARIOS.iter().map(|(name, opens, ..)| {
        let mut explorer = opens(&engine, &[], 0);
        let states = explore(&mut explorer).states;
        (states, *name, explorer.consulted)
    });
    let mut consulted: Vec<_> = consulted.collect();
    consulted.sort_by_key(|(states, ..)| *states);
    let (mut rows, mut idle) = (vec![], vec![]);
    for guard in Guard::ALL {
        let found = if let Some((_, by, scenario)) = REDUNDANT.iter().find(|(backed, ..)| backed == guard) {
            let broken = |off: &[Guard]| without(&engine, scenario, off);
            assert!(broken(&[*guard]).is_none(), "{guard:?} keeps a promise by itself: it is not backed");
            assert!(broken(&[*by]).is_none(), "{guard:?} does not do for {by:?}");
            broken(&[*guard, *by])
        } else {
            let mut scenarios = consulted.iter().filter(|(.., guards)| guards.contains(guard));
            scenarios.find_map(|(_, name, _)| without(&engine, name, &[*guard]))
        };
        let Some(Finding { scenario, beside, broken, applied }) = found else {
            idle.push(guard);
            continue;
        };
        assert!(applied.iter().any(|applied| applied.outcome == Outcome::Conflict), "{guard:?}");
        let ((change, meaning), events) = (guard.meaning(), broken.events.len());
        let beside = beside.map_or(String::new(), |by| format!(" (with `{by:?}` off too)"));
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
