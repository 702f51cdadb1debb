//! A pool that hashes passwords: a fixed number at once, on its own threads with memory that is kept, and a fixed
//! number waiting. Further ones are refused.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use gatepass_core::records::password::Workspace;

use crate::http::caught;
use crate::threads::named;

/// A job and its memory; without memory if the job was refused.
type Work = Box<dyn FnOnce(Option<&mut Workspace>) + Send>;

/// The pool.
#[derive(Debug)]
pub struct PasswordHashPool {
    queue: SyncSender<Work>,
    /// True if the log has a line about a refused job, since a job last ran.
    told: Arc<AtomicBool>,
}

impl PasswordHashPool {
    /// Starts `at_once` threads, at least one, with room for `waiting` jobs that wait.
    ///
    /// # Errors
    /// If their threads cannot be started.
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

    /// Queues `work`, and does not wait for it. If too many wait already, runs it at once without memory.
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
        // A job that panics is dropped, and its request is answered with an error.
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
