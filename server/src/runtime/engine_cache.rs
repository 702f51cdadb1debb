//! The core at hand: its settings and keys, renewed while requests go on, and the clock with them.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};
use gatepass_core::engine::Engine;
use gatepass_core::settings::Settings;

use crate::error::ProgramError;
use crate::store::Backend;
use crate::store::Clock;
use crate::store::load_engine;

/// Holds the [`Engine`] that answers, and loads the keys again when a snapshot is of a newer generation. A person who sets
/// the clock's mark raises the generation, too: so every server notices with its next read, and no read costs more.
#[derive(Debug)]
pub struct EngineCache {
    store: Arc<dyn Backend>,
    clock: Arc<Clock>,
    current: ArcSwap<Engine>,
    /// Held while loading, so that many requests that notice at once load once.
    loading: Mutex<()>,
}

impl EngineCache {
    /// With these settings and the keys that `store` has now.
    ///
    /// # Errors
    /// Where the keys cannot be read.
    pub fn new(store: Arc<dyn Backend>, clock: Arc<Clock>, settings: Settings) -> Result<Self, ProgramError> {
        let current = load(&*store, &clock, settings)?;
        Ok(Self { store, clock, current: ArcSwap::from_pointee(current), loading: Mutex::new(()) })
    }

    /// Goes on with other settings, also where a request is under way.
    ///
    /// # Errors
    /// Where the keys cannot be read; the former settings stay.
    pub fn change(&self, settings: Settings) -> Result<(), ProgramError> {
        let _one_at_a_time = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        self.current.store(Arc::new(load(&*self.store, &self.clock, settings)?));
        Ok(())
    }

    /// The one at hand. No request waits for another here.
    pub fn current(&self) -> Guard<Arc<Engine>> {
        self.current.load()
    }

    /// One whose keys are of `generation` or later, as far as they can be had.
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

/// Loads the keys, then what a person has made of the clock. In this order, so that no generation is served with a clock from
/// before it.
fn load(store: &dyn Backend, clock: &Clock, settings: Settings) -> Result<Engine, ProgramError> {
    let engine = load_engine(store, settings)?;
    if clock.take_over(store.clock_state()?) {
        tracing::warn!(now = %clock.now(), "the clock's mark was set by `gatepass clock reset`");
    }
    Ok(engine)
}
