//! The core's store in memory behind a lock, for tests that share it, look into it or alter it.

use std::sync::{Arc, Mutex, PoisonError};

use gatepass_core::store::Store;
use gatepass_core::store::change::{Change, Outcome};
pub use gatepass_core::store::memory::Tables;
use gatepass_core::store::query::{Found, Query};

/// [`Tables`] behind a lock.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<Tables>>);

impl Memory {
    /// Makes a store that holds `tables`.
    pub fn new(tables: Tables) -> Self {
        Self(Arc::new(Mutex::new(tables)))
    }

    /// Looks at, or alters, the tables.
    pub fn with<T>(&self, visit: impl FnOnce(&mut Tables) -> T) -> T {
        visit(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Store for Memory {
    fn read(&self, query: &Query) -> Found {
        self.with(|tables| tables.read(query))
    }

    fn commit(&self, changes: &Arc<[Change]>) -> Outcome {
        self.with(|tables| tables.commit(changes))
    }
}
