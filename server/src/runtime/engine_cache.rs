//! The current engine: its settings and keys, reloaded while requests run, and the clock with them.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};
use gatepass_core::engine::Engine;
use gatepass_core::settings::Settings;

use crate::error::ProgramError;
use crate::store::Backend;
use crate::store::Clock;
use crate::store::load_engine;

/// Holds the [`Engine`] that answers, and reloads the keys when a snapshot is of a newer generation. `clock reset`
/// raises the generation, too: so every server notices it with its next read, and no read costs more.
#[derive(Debug)]
pub struct EngineCache {
    store: Arc<dyn Backend>,
    clock: Arc<Clock>,
    current: ArcSwap<Engine>,
    /// Held while loading, so that many requests that notice a new generation at once load it once.
    loading: Mutex<()>,
}

impl EngineCache {
    /// Makes a cache with these settings and the keys that `store` has now.
    ///
    /// # Errors
    /// If the keys cannot be read.
    pub fn new(store: Arc<dyn Backend>, clock: Arc<Clock>, settings: Settings) -> Result<Self, ProgramError> {
        let current = load(&*store, &clock, settings)?;
        Ok(Self { store, clock, current: ArcSwap::from_pointee(current), loading: Mutex::new(()) })
    }

    /// Changes the settings, also while requests run.
    ///
    /// # Errors
    /// If the keys cannot be read; the former settings stay.
    pub fn change(&self, settings: Settings) -> Result<(), ProgramError> {
        let _one_at_a_time = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        self.current.store(Arc::new(load(&*self.store, &self.clock, settings)?));
        Ok(())
    }

    /// Returns the current engine. No request waits for another here.
    pub fn current(&self) -> Guard<Arc<Engine>> {
        self.current.load()
    }

    /// Returns an engine whose keys are of `generation` or later, if they can be loaded.
    pub fn at_least(&self, generation: u64) -> Guard<Arc<Engine>> {
        let current = self.current();
        if current.generation() >= generation {
            return current;
        }
        let _one_at_a_time = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.current();
        if current.generation() >= generation {
            return current;
        }
        match load(&*self.store, &self.clock, current.settings().clone()) {
            Ok(renewed) => {
                tracing::info!(
                    generation = renewed.generation(),
                    "keys or the clock's mark were changed and are loaded again"
                );
                self.current.store(Arc::new(renewed));
                self.current()
            }
            Err(failure) => {
                // The request is answered 503 by the core, and the next one tries again.
                tracing::error!(%failure, "keys or the clock's mark were changed and cannot be loaded");
                current
            }
        }
    }
}

/// Loads the keys, then the clock's mark. In this order, so that no generation is served with a clock from before it.
fn load(store: &dyn Backend, clock: &Clock, settings: Settings) -> Result<Engine, ProgramError> {
    let engine = load_engine(store, settings)?;
    if clock.read_again(store)? {
        tracing::warn!(now = %clock.now(), "the clock's mark was set by `gatepass clock reset`");
    }
    Ok(engine)
}
