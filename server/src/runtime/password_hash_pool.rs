//! Turns at hashing passwords: so many at once, on threads of their own in memory that is kept, so many waiting, and the
//! rest are refused.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use gatepass_core::records::password::Workspace;

use crate::http::caught;
use crate::threads::named;

/// What a turn is taken for, in memory that it may use; without, where it does not come to its turn.
type Work = Box<dyn FnOnce(Option<&mut Workspace>) + Send>;

/// The turns that there are.
#[derive(Debug)]
pub struct PasswordHashPool {
    queue: SyncSender<Work>,
    /// Whether it was told that somebody was refused, since somebody last came to their turn.
    told: Arc<AtomicBool>,
}

impl PasswordHashPool {
    /// `at_once` turns, at least one, and as many as `waiting` who wait for theirs.
    ///
    /// # Errors
    /// Where their threads cannot be started.
    pub fn start(at_once: usize, waiting: usize) -> io::Result<Self> {
        let (queue, work) = sync_channel(waiting);
        let (work, told) = (Arc::new(Mutex::new(work)), Arc::<AtomicBool>::default());
        for number in 0..at_once.max(1) {
            let (work, told) = (Arc::clone(&work), Arc::clone(&told));
            let thread = named(format_args!("password-{number}"));
            thread.spawn(move || serve(&work, &told))?;
        }
        Ok(Self { queue, told })
    }

    /// Has `work` done in its turn, and does not wait for it. Without memory, at once, where too many wait already.
    pub fn submit(&self, work: impl FnOnce(Option<&mut Workspace>) + Send + 'static) {
        if let Err(TrySendError::Full(work) | TrySendError::Disconnected(work)) =
            self.queue.try_send(Box::new(work))
        {
            if !self.told.swap(true, Relaxed) {
                tracing::warn!("too many sign-ins by password wait, the next are answered 503");
            }
            work(None);
        }
    }
}

fn serve(queue: &Mutex<Receiver<Work>>, told: &AtomicBool) {
    let mut workspace = Workspace::default();
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = next else { return };
        told.store(false, Relaxed);
        // What panicked is dropped, and answered as that.
        if caught(|| work(Some(&mut workspace))).is_none() {
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
        let hash_pool = PasswordHashPool::start(1, 1).unwrap();
        let (begun, has_begun) = channel();
        let (end, ended) = channel::<()>();
        let (told, tells) = channel();
        hash_pool.submit(move |memory| {
            begun.send(memory.is_some()).unwrap();
            ended.recv().unwrap();
        });
        assert!(has_begun.recv().unwrap());
        for who in ["waits", "refused"] {
            let told = told.clone();
            hash_pool.submit(move |memory| told.send((who, memory.is_some())).unwrap());
        }
        assert_eq!(tells.recv().unwrap(), ("refused", false), "one more than may wait");
        end.send(()).unwrap();
        assert_eq!(tells.recv().unwrap(), ("waits", true));
    }

    #[test]
    fn a_turn_ends_where_its_work_panics() {
        // Both may still wait when the second comes.
        let hash_pool = PasswordHashPool::start(1, 2).unwrap();
        hash_pool.submit(|_| panic!("work"));
        let (told, tells) = channel();
        hash_pool.submit(move |memory| told.send(memory.is_some()).unwrap());
        assert!(tells.recv().unwrap());
    }
}
