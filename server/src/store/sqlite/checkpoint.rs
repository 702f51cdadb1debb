//! Copying the write-ahead log into the file, most of it on a thread of its own: the copy is synced twice, and whoever waits
//! for a commit is not to wait for that too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::connect::{Connector, Role};
use crate::threads::named;

/// After so many changed rows the log is copied.
const ROWS: u64 = 2048;
/// The stack that the thread needs, with a margin.
const STACK: usize = 256 * 1024;

/// Who copies, and what is known of it.
pub(super) struct Checkpoints {
    connector: Connector,
    /// Rows that were changed before the last copy.
    rows: u64,
    thread: Option<(SyncSender<()>, JoinHandle<()>)>,
    /// The thread has copied most, and what has come meanwhile is little.
    nearly: Arc<AtomicBool>,
}

impl Checkpoints {
    pub(super) fn new(connector: Connector) -> Self {
        Self { connector, rows: 0, thread: None, nearly: Arc::default() }
    }

    /// To be called between two transactions of `db`.
    ///
    /// While it is written to, the log is never copied to its very end, and only then is it used from its beginning
    /// again. So the last little is copied here, when nobody writes.
    pub(super) fn after_commit(&mut self, db: &Connection) {
        if self.nearly.swap(false, Relaxed) && !copy(db) {
            self.nearly.store(true, Relaxed);
        }
        let rows = db.total_changes();
        if rows.saturating_sub(self.rows) >= ROWS || rows < self.rows {
            // Where it is at it still, it is asked again after the next commit.
            if self.thread().is_none_or(|asks| asks.try_send(()).is_ok()) {
                self.rows = rows;
            }
        }
    }

    fn thread(&mut self) -> Option<&SyncSender<()>> {
        if self.thread.is_none() {
            let (connector, nearly) = (self.connector.clone(), Arc::clone(&self.nearly));
            // Nobody asks ahead: between two copies the last of one is copied here, and would find the next under way.
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
    /// Waits until the thread has closed its connection: who closes the file last removes the log.
    fn drop(&mut self) {
        if let Some((asks, thread)) = self.thread.take() {
            drop(asks);
            // Where it panicked, that was told already.
            let _ = thread.join();
        }
    }
}

/// Copies whenever it is asked, until nobody can ask any more.
fn work(connector: &Connector, asked: &Receiver<()>, nearly: &AtomicBool) {
    let mut db = None;
    while asked.recv().is_ok() {
        match db.take().map_or_else(|| connector.connect(Role::Writer), Ok) {
            Ok(open) => {
                nearly.store(copy(&open), Relaxed);
                db = Some(open);
            }
            Err(error) => tracing::warn!(%error, "the write-ahead log is not copied"),
        }
    }
}

/// Copies what can be copied without waiting for anybody; whether it came to that. Where it fails nothing is lost: all of
/// it is in the log.
fn copy(db: &Connection) -> bool {
    match db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(0)) {
        Ok(busy) => busy == 0,
        Err(error) => {
            tracing::warn!(%error, "the write-ahead log could not be copied into the database");
            false
        }
    }
}
