//! The commits by which the conformance kit tries every change, and their outcomes.

use std::collections::HashSet;
use std::mem::{Discriminant, discriminant};
use std::sync::{Arc, Mutex};

use gatepass_core::store::Store;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::check::check_store;
use gatepass_core::store::query::{Found, Query};
use gatepass_tests::memory::{Memory, Tables};

/// A commit, and the outcome that it has to have after all before it.
#[derive(Clone, Debug)]
pub(crate) struct Tried {
    pub(crate) changes: Arc<[Change]>,
    pub(crate) outcome: Outcome,
    /// True if it is the first one that applies a change of some kind.
    pub(crate) is_new: bool,
}

struct Recording {
    memory: Memory,
    tried: Mutex<Vec<Tried>>,
    kinds: Mutex<HashSet<Discriminant<Change>>>,
}

impl Store for Recording {
    fn read(&self, query: &Query) -> Found {
        self.memory.read(query)
    }

    fn commit(&self, changes: &Arc<[Change]>) -> Outcome {
        let outcome = self.memory.commit(changes);
        let mut kinds = self.kinds.lock().unwrap();
        let is_new = outcome == Outcome::Applied
            && changes.iter().filter(|c| kinds.insert(discriminant(c))).count() > 0;
        self.tried.lock().unwrap().push(Tried { changes: Arc::clone(changes), outcome, is_new });
        outcome
    }
}

/// Returns the commits of the cases that apply a change of some kind first, and of those whose keys the later ones find.
pub(crate) fn first_commits() -> Vec<Tried> {
    let begins = |tried: &Tried| {
        tried.changes.len() > 1
            && tried.changes.iter().all(|c| matches!(c, Change::InsertUser(_) | Change::InsertClient(_)))
    };
    let changes_keys = |change: &Change| {
        matches!(
            change,
            Change::InsertKey { .. }
                | Change::ActivateKey { .. }
                | Change::StopKey { .. }
                | Change::RetireKey { .. }
        )
    };
    let all = commits();
    let cases = all.chunk_by(|_, next| !begins(next));
    cases
        .filter(|case| case.iter().any(|t| t.is_new || t.changes.iter().any(changes_keys)))
        .flatten()
        .cloned()
        .collect()
}

/// Returns the commits, in their order. They begin with an empty database.
pub(crate) fn commits() -> Vec<Tried> {
    let memory = Memory::new(Tables { generation: 1, ..Tables::default() });
    let recording = Recording { memory, tried: Mutex::default(), kinds: Mutex::default() };
    check_store(&recording).unwrap_or_else(|broken| panic!("{broken}"));
    recording.tried.into_inner().unwrap()
}
