//! Turns at hashing passwords: so many at once, on threads of their own in memory that is kept, so many waiting, and the
//! rest are refused.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use gatepass_core::model::password::Workspace;

/// What a turn is taken for, in memory that it may use. Dropped where it does not come to its turn.
pub type Work = Box<dyn FnOnce(Option<&mut Workspace>) + Send>;

/// The turns that there are. Their threads begin with the first.
#[derive(Debug)]
pub struct Turns {
    at_once: usize,
    waiting: usize,
    queue: OnceLock<SyncSender<Work>>,
}

impl Turns {
    /// `at_once` turns, at least one, and as many as `waiting` who wait for theirs.
    pub const fn new(at_once: usize, waiting: usize) -> Self {
        Self { at_once, waiting, queue: OnceLock::new() }
    }

    /// Has `work` done in its turn, and does not wait for it. Without memory, at once, where too many wait already.
    pub fn take(&self, work: impl FnOnce(Option<&mut Workspace>) + Send + 'static) {
        match self.queue.get_or_init(|| begin(self.at_once.max(1), self.waiting)).try_send(Box::new(work)) {
            Ok(()) => {}
            Err(TrySendError::Full(work) | TrySendError::Disconnected(work)) => {
                tracing::warn!("too many sign-ins by password wait: one is answered 503");
                work(None);
            }
        }
    }
}

/// Starts the threads. Where none can be, nobody gets a turn.
fn begin(at_once: usize, waiting: usize) -> SyncSender<Work> {
    let (queue, work) = sync_channel(waiting);
    let work = Arc::new(Mutex::new(work));
    for _ in 0..at_once {
        let work = Arc::clone(&work);
        let started: io::Result<_> =
            thread::Builder::new().name("passwords".into()).spawn(move || serve(&work));
        if let Err(error) = started {
            tracing::error!(%error, "a thread that hashes passwords cannot be started");
        }
    }
    queue
}

fn serve(queue: &Mutex<Receiver<Work>>) {
    let mut workspace = Workspace::default();
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = next else { return };
        // What panicked is dropped, and answered as that.
        if catch_unwind(AssertUnwindSafe(|| work(Some(&mut workspace)))).is_err() {
            workspace = Workspace::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn so_many_at_once_so_many_waiting_and_no_more() {
        let turns = Turns::new(1, 1);
        let (begun, has_begun) = channel();
        let (end, ended) = channel::<()>();
        let (told, tells) = channel();
        turns.take(move |memory| {
            begun.send(memory.is_some()).unwrap();
            ended.recv().unwrap();
        });
        assert!(has_begun.recv().unwrap());
        for who in ["waits", "refused"] {
            let told = told.clone();
            turns.take(move |memory| told.send((who, memory.is_some())).unwrap());
        }
        assert_eq!(tells.recv().unwrap(), ("refused", false), "one more than may wait");
        end.send(()).unwrap();
        assert_eq!(tells.recv().unwrap(), ("waits", true));
    }

    #[test]
    fn a_turn_ends_where_its_work_panics() {
        // Both may still wait when the second comes.
        let turns = Turns::new(1, 2);
        turns.take(|_| panic!("work"));
        let (told, tells) = channel();
        turns.take(move |memory| told.send(memory.is_some()).unwrap());
        assert!(tells.recv().unwrap());
    }
}
