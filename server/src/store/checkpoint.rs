//! Copying the write-ahead log into the file, on a thread of its own: the copy is synced twice, and nobody who waits for a
//! commit is to wait for that too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Builder;

use rusqlite::Connection;

use super::connect::{Connector, Role};

/// After so many changed rows the log is copied.
const ROWS: u64 = 2048;
/// What the thread needs, with a margin.
const STACK: usize = 256 * 1024;

/// Who copies, and what is known of it.
pub(super) struct Checkpoints {
    connector: Connector,
    /// Rows that were changed before the last copy.
    rows: u64,
    thread: Option<SyncSender<()>>,
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
        if self.nearly.swap(false, Relaxed) {
            copy(db);
        }
        let rows = db.total_changes();
        if rows.saturating_sub(self.rows) >= ROWS || rows < self.rows {
            self.rows = rows;
            // It may be at it still; then it is asked again after as many rows.
            let _ = self.thread().map(|thread| thread.try_send(()));
        }
    }

    fn thread(&mut self) -> Option<&SyncSender<()>> {
        if self.thread.is_none() {
            let (connector, nearly) = (self.connector.clone(), Arc::clone(&self.nearly));
            let (ask, asked) = sync_channel(1);
            let work = move || work(&connector, &asked, &nearly);
            match Builder::new().name("gatepass-copier".into()).stack_size(STACK).spawn(work) {
                Ok(_) => self.thread = Some(ask),
                Err(error) => {
                    tracing::warn!(%error, "no thread can be started that copies the write-ahead log")
                }
            }
        }
        self.thread.as_ref()
    }
}

/// Copies whenever it is asked, until nobody can ask any more.
fn work(connector: &Connector, asked: &Receiver<()>, nearly: &AtomicBool) {
    let mut db = None;
    while asked.recv().is_ok() {
        db = db.take().or_else(|| connector.connect(Role::Writer).ok());
        if let Some(db) = &db {
            copy(db);
            nearly.store(true, Relaxed);
        }
    }
}

/// Copies what can be copied without waiting for anybody. Where that fails nothing is lost: all of it is in the log.
fn copy(db: &Connection) {
    if let Err(error) = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
        tracing::warn!(%error, "the write-ahead log could not be copied into the database");
    }
}
