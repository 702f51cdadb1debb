//! The connections for what runs beside the requests.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::connection::Connection;

/// The most connections that run something beside the requests at once.
const MOST: usize = 4;

/// Connections that are open, and those that may be.
pub(super) struct Pool {
    turns: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

impl Default for Pool {
    fn default() -> Self {
        Self { turns: Semaphore::new(MOST), idle: Mutex::default() }
    }
}

impl Pool {
    /// Calls `work` with a connection that is idle, if there is one, and keeps what it leaves. As many run at once as are useful.
    pub(super) async fn with<T>(&self, work: impl AsyncFnOnce(&mut Option<Connection>) -> T) -> T {
        // It is never closed.
        let _turn = self.turns.acquire().await;
        let mut connection = self.idle().pop().filter(|connection| !connection.is_lost());
        let done = work(&mut connection).await;
        self.idle().extend(connection.filter(|connection| !connection.is_lost()));
        done
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops the idle connections.
    pub(super) fn clear(&self) {
        self.idle().clear();
    }
}
