//! The table of guards against the database: what would break a promise without a guard is refused, and nothing else is.

use std::sync::Arc;

use gatepass_core::engine::Engine;
use gatepass_core::store::Store as _;
use gatepass_core::store::change::Outcome;
use gatepass_tests::fixtures;
use gatepass_tests::guard::Guard;

use crate::scale;
use crate::scenarios::{Finding, REDUNDANT, TABLE, without};
use crate::tested_store::TestedStore;

/// Returns what breaks without `guard` in the scenario that the table names.
fn in_table(engine: &Engine, guard: Guard) -> Option<Finding> {
    let row = TABLE.lines().find(|row| row.contains(&format!("| `{guard:?}`: ")))?;
    let (scenario, _) = row.split(" | ").nth(3).map(|cell| cell.split_once(" (").unwrap_or((cell, "")))?;
    let beside = REDUNDANT.iter().find(|(backed, ..)| *backed == guard).map(|(_, by, _)| *by);
    without(engine, scenario, &[guard].into_iter().chain(beside).collect::<Vec<_>>())
}

#[test]
fn the_database_keeps_every_guard() {
    let engine = fixtures::asking();
    let most = usize::try_from(scale(1, 20)).unwrap();
    let mut counts = [0, 0];
    for guard in Guard::ALL {
        let found = in_table(&engine, *guard).unwrap_or_else(|| panic!("no promise needs {guard:?}"));
        for (count, outcome) in counts.iter_mut().zip([Outcome::Applied, Outcome::Conflict]) {
            for tried in found.applied.iter().filter(|tried| tried.outcome == outcome).take(most) {
                let store = TestedStore::new(tried.before.clone());
                assert!(store.with(|tables| *tables == tried.before), "{guard:?}");
                let changes: Arc<[_]> = tried.changes.clone().into();
                assert_eq!(store.commit(&changes), outcome, "{guard:?}: {changes:?}");
                assert!(store.with(|tables| *tables == tried.after), "{guard:?}: {changes:?}");
                *count += 1;
            }
        }
    }
    println!("{} guards: {} commits applied, {} refused", Guard::ALL.len(), counts[0], counts[1]);
    assert!(counts[1] >= Guard::ALL.len(), "{counts:?}");
}
