//! The core at hand: its settings and keys, renewed while requests go on.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};
use gatepass_core::gatepass::Gatepass;
use gatepass_core::settings::Settings;

use crate::cli::context;
use crate::cli::failure::Failure;
use crate::store::Store;

/// Holds the [`Gatepass`] that answers, and loads the keys again when a snapshot is of a newer generation.
#[derive(Debug)]
pub struct Keeper {
    store: Store,
    current: ArcSwap<Gatepass>,
    /// Held while loading, so that many requests that notice at once load once.
    loading: Mutex<()>,
}

impl Keeper {
    /// With these settings and the keys that `store` has now.
    ///
    /// # Errors
    /// Where the keys cannot be read.
    pub fn new(store: Store, settings: Settings) -> Result<Self, Failure> {
        let current = context::gatepass(&store, settings)?;
        Ok(Self { store, current: ArcSwap::from_pointee(current), loading: Mutex::new(()) })
    }

    /// Goes on with other settings, also where a request is under way.
    ///
    /// # Errors
    /// Where the keys cannot be read; the former settings stay.
    pub fn change(&self, settings: Settings) -> Result<(), Failure> {
        let _one_at_a_time = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        self.current.store(Arc::new(context::gatepass(&self.store, settings)?));
        Ok(())
    }

    /// The one at hand. No request waits for another here.
    pub fn current(&self) -> Guard<Arc<Gatepass>> {
        self.current.load()
    }

    /// One whose keys are of `generation` or later, as far as they can be had.
    pub fn at_least(&self, generation: u64) -> Guard<Arc<Gatepass>> {
        let current = self.current();
        if current.generation() >= generation {
            return current;
        }
        let _one_at_a_time = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.current();
        if current.generation() >= generation {
            return current;
        }
        match context::gatepass(&self.store, current.settings().clone()) {
            Ok(renewed) => {
                tracing::info!(generation = renewed.generation(), "the keys changed and were loaded again");
                self.current.store(Arc::new(renewed));
                self.current()
            }
            Err(failure) => {
                // The request is answered 503 by the core, and the next one tries again.
                tracing::error!(%failure, "the keys changed and cannot be loaded");
                current
            }
        }
    }
}
