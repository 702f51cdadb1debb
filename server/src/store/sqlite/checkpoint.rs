//! Copies the write-ahead log into the file, most of it on a thread of its own: the copy is synced twice, and commits
//! must not wait for that, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::connect::{Connector, Role};
use crate::threads::named;

/// The log is copied after this many changed rows.
const ROWS: u64 = 2048;
/// The stack that the thread needs, with a margin.
const STACK: usize = 256 * 1024;

/// The thread that copies, and its progress.
pub(super) struct Checkpoints {
    connector: Connector,
    /// The number of rows changed before the last copy.
    rows: u64,
    thread: Option<(SyncSender<()>, JoinHandle<()>)>,
    /// True if the thread has copied most of the log, and little was added since.
    nearly: Arc<AtomicBool>,
}

impl Checkpoints {
    pub(super) fn new(connector: Connector) -> Self {
        Self { connector, rows: 0, thread: None, nearly: Arc::default() }
    }

    /// Call it between two transactions of `db`.
    ///
    /// While the file is written to, the log is never copied to its very end, and only then is it used from its
    /// beginning again. So the rest is copied here, between writes.
    pub(super) fn after_commit(&mut self, db: &Connection) {
        if self.nearly.swap(false, Relaxed) && !copy(db) {
            self.nearly.store(true, Relaxed);
        }
        let rows = db.total_changes();
        if rows.saturating_sub(self.rows) >= ROWS || rows < self.rows {
            // If it is still copying, it is asked again after the next commit.
            if self.thread().is_none_or(|asks| asks.try_send(()).is_ok()) {
                self.rows = rows;
            }
        }
    }

    fn thread(&mut self) -> Option<&SyncSender<()>> {
        if self.thread.is_none() {
            let (connector, nearly) = (self.connector.clone(), Arc::clone(&self.nearly));
            // No request is queued: between two copies the rest of one is copied here, and would find the next under
            // way.
            let (ask, asked) = sync_channel(0);
            let work = move || work(&connector, &asked, &nearly);
            match named("checkpoint").stack_size(STACK).spawn(work) {
                Ok(thread) => self.thread = Some((ask, thread)),
                Err(error) => {
                    tracing::warn!(%error, "no thread can be started that copies the write-ahead log")
                }
            }
        }
        self.thread.as_ref().map(|(asks, _)| asks)
    }
}

impl Drop for Checkpoints {
    /// Waits until the thread has closed its connection: the last connection that closes removes the log.
    fn drop(&mut self) {
        if let Some((asks, thread)) = self.thread.take() {
            drop(asks);
            // A panic was reported already.
            let _ = thread.join();
        }
    }
}

/// Copies whenever it is asked, until the other end is gone.
fn work(connector: &Connector, asked: &Receiver<()>, nearly: &AtomicBool) {
    let mut db = None;
    while asked.recv().is_ok() {
        match db.take().map_or_else(|| connector.connect(Role::Occasional), Ok) {
            Ok(open) => {
                nearly.store(copy(&open), Relaxed);
                db = Some(open);
            }
            Err(error) => tracing::warn!(%error, "the write-ahead log is not copied"),
        }
    }
}

/// Copies what can be copied without waiting; returns true if it did. If it fails nothing is lost: the log has
/// everything.
fn copy(db: &Connection) -> bool {
    match db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(0)) {
        Ok(busy) => busy == 0,
        Err(error) => {
            tracing::warn!(%error, "the write-ahead log could not be copied into the database");
            false
        }
    }
}
