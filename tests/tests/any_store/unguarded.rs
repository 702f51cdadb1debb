//! The conformance kit finds a store without any one condition or effect.

use std::sync::Arc;

use gatepass_core::store::Store;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::check::{BrokenPromise, check_store};
use gatepass_core::store::query::{Found, Query};
use gatepass_tests::guard::Guard;
use gatepass_tests::memory::Tables;

use super::tested_store::{TestedStore, some};

fn broken(store: &impl Store) -> BrokenPromise {
    match check_store(store) {
        Ok(report) => panic!("nothing was found: {report}"),
        Err(broken) => broken,
    }
}

#[test]
fn a_store_without_any_one_guard_is_found() {
    for guard in some(Guard::ALL) {
        let broken = broken(&TestedStore::new(Tables { unguarded: [*guard].into(), ..Tables::default() }));
        println!("{guard:?}: {broken}");
        assert!(guard.meaning().0.contains(&format!("`{}`", broken.subject)), "{guard:?}: {broken}");
        let why = guard.meaning().1.trim_end_matches('.');
        assert!(broken.found.contains(why), "{guard:?}: {broken}");
    }
}

/// A store that ignores one kind of change.
struct Without(&'static str, TestedStore);

fn is(change: &Change, name: &str) -> bool {
    let shown = format!("{change:?}");
    shown.split(|c: char| !c.is_alphanumeric()).next() == Some(name)
}

impl Store for Without {
    fn read(&self, query: &Query) -> Found {
        self.1.read(query)
    }

    fn commit(&self, changes: &Arc<[Change]>) -> Outcome {
        let Self(without, store) = self;
        if store.with(|tables| tables.clone().commit(changes)) == Outcome::Conflict {
            return Outcome::Conflict;
        }
        let kept: Vec<Change> = changes.iter().filter(|change| !is(change, without)).cloned().collect();
        store.commit(&kept.into())
    }
}

#[test]
fn a_store_without_the_effect_of_any_one_change_is_found() {
    // Changes that write nothing, or nothing that a query reads.
    let without_effect = ["Audit", "Probe", "DummyWrite"];
    for name in some(Change::NAMES) {
        if name.starts_with("Require") || without_effect.contains(name) {
            continue;
        }
        println!("{name}: {}", broken(&Without(name, TestedStore::new(Tables::default()))));
    }
}
