//! A pool that hashes passwords: a fixed number at once, on its own threads with memory that is kept, and a bounded
//! number waiting, in turns that are fair (`fair_queue`).

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use gatepass_core::records::password::Workspace;

use super::fair_queue::{FairQueue, Source};
use crate::http::caught;
use crate::net::client_address::network;
use crate::threads::named;

/// The width of the IPv6 networks that have their turns.
const WIDTH: u8 = 48;

/// A job and its memory; without memory if the job has no place.
type Work = Box<dyn FnOnce(Option<&mut Workspace>) + Send>;

/// The pool, with jobs for accounts `A`.
#[derive(Debug)]
pub struct PasswordHashPool<A>(Arc<Shared<A>>);

struct Shared<A> {
    state: Mutex<State<A>>,
    changed: Condvar,
}

/// The jobs of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HashCounts {
    /// Those that wait.
    pub waiting: usize,
    /// Those that run.
    pub running: usize,
    /// Those that were begun, since the start.
    pub begun: u64,
    /// Those that had no place, since the start.
    pub refused: u64,
}

struct State<A> {
    queue: FairQueue<A, Work>,
    ended: bool,
    counts: HashCounts,
    /// True if the log has a line about a refused job, since nobody waited.
    is_logged: bool,
}

/// The origin of a password.
#[derive(Clone, Copy, Debug)]
pub struct HashSource<A> {
    /// The address that it counts for.
    pub address: IpAddr,
    /// The account that it is for.
    pub account: A,
    /// True if the address succeeded lately.
    pub known: bool,
}

impl<A: Copy + PartialEq + Send + 'static> PasswordHashPool<A> {
    /// Starts `at_once` threads, at least one, with `places` for jobs that wait.
    ///
    /// # Errors
    /// If their threads cannot be started.
    pub fn start(at_once: usize, places: usize) -> io::Result<Self> {
        let state = State {
            queue: FairQueue::new(places),
            ended: false,
            counts: HashCounts::default(),
            is_logged: false,
        };
        let pool = Self(Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() }));
        for number in 0..at_once.max(1) {
            let shared = Arc::clone(&pool.0);
            named(format_args!("password-{number}")).spawn(move || shared.serve())?;
        }
        Ok(pool)
    }

    /// Queues `work`, and does not wait for it. If there is no place, the job that has none, another's or this one, runs
    /// at once without memory.
    pub fn submit(&self, source: HashSource<A>, work: impl FnOnce(Option<&mut Workspace>) + Send + 'static) {
        let network = network(source.address, WIDTH);
        let source = Source { network, account: source.account, known: source.known };
        let mut state = self.0.lock();
        let out = state.queue.push(source, Box::new(work));
        let is_first = out.is_some() && !state.is_logged;
        state.is_logged |= is_first;
        match out {
            Some(_) => state.counts.refused += 1,
            None => state.counts.waiting += 1,
        }
        drop(state);
        self.0.changed.notify_one();
        if is_first {
            tracing::warn!(
                "too many sign-ins by password wait: those of whoever has most waiting are answered 503"
            );
        }
        if let Some(out) = out {
            out(None);
        }
    }
}

impl<A> PasswordHashPool<A> {
    /// Returns the numbers of its jobs.
    pub fn counts(&self) -> HashCounts {
        self.0.lock().counts
    }
}

impl<A> Drop for PasswordHashPool<A> {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.changed.notify_all();
    }
}

impl<A> Shared<A> {
    fn lock(&self) -> MutexGuard<'_, State<A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: Copy + PartialEq> Shared<A> {
    /// Runs jobs, until the pool is gone and nobody waits.
    fn serve(&self) {
        let mut workspace = Workspace::default();
        while let Some(work) = self.next() {
            // A job that panics is dropped, and its request is answered with an error.
            if caught(|| work(Some(&mut workspace))).is_none() {
                workspace = Workspace::default();
            }
            self.lock().counts.running -= 1;
        }
    }

    /// Returns the next job, and waits for it.
    fn next(&self) -> Option<Work> {
        let mut state = self.lock();
        loop {
            if let Some(work) = state.queue.pop() {
                state.counts.waiting -= 1;
                state.counts.running += 1;
                state.counts.begun += 1;
                return Some(work);
            }
            state.is_logged = false;
            if state.ended {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<A> fmt::Debug for Shared<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    /// The longest wait for what must happen. No test measures by it.
    const TIMEOUT: Duration = Duration::from_secs(30);

    /// A pool with one thread, which is busy until `end` is used.
    fn busy(places: usize) -> (PasswordHashPool<u8>, Sender<()>) {
        let pool = PasswordHashPool::start(1, places).unwrap();
        let (begun, has_begun) = channel();
        let (end, ended) = channel::<()>();
        pool.submit(source("192.0.2.200", 0, false), move |memory| {
            begun.send(memory.is_some()).unwrap();
            ended.recv().unwrap();
        });
        assert!(has_begun.recv().unwrap());
        (pool, end)
    }

    fn source(address: &str, account: u8, known: bool) -> HashSource<u8> {
        HashSource { address: address.parse().unwrap(), account, known }
    }

    /// Submits a job that tells its name, and if it ran.
    fn submit(
        pool: &PasswordHashPool<u8>,
        sender: &Sender<(&'static str, bool)>,
        name: &'static str,
        source: HashSource<u8>,
    ) {
        let sender = sender.clone();
        pool.submit(source, move |memory| sender.send((name, memory.is_some())).unwrap());
    }

    /// Returns what the next jobs tell.
    fn results(receiver: &Receiver<(&'static str, bool)>, count: usize) -> Vec<(&'static str, bool)> {
        (0..count).map(|_| receiver.recv_timeout(TIMEOUT).expect("a job that ran")).collect()
    }

    #[test]
    fn so_many_at_once_so_many_waiting_and_no_more() {
        let (pool, end) = busy(1);
        let (sender, receiver) = channel();
        for name in ["waits", "refused"] {
            submit(&pool, &sender, name, source("192.0.2.1", 0, false));
        }
        assert_eq!(results(&receiver, 1), [("refused", false)], "one more than may wait");
        assert_eq!(pool.counts(), HashCounts { waiting: 1, running: 1, begun: 1, refused: 1 });
        end.send(()).unwrap();
        assert_eq!(results(&receiver, 1), [("waits", true)]);
    }

    #[test]
    fn who_is_put_out_is_answered_at_once() {
        let (pool, end) = busy(3);
        let (sender, receiver) = channel();
        for name in ["first", "second", "third"] {
            submit(&pool, &sender, name, source("192.0.2.1", 0, false));
        }
        submit(&pool, &sender, "another", source("192.0.2.2", 0, false));
        submit(&pool, &sender, "known", source("192.0.2.3", 0, true));
        assert_eq!(results(&receiver, 2), [("third", false), ("second", false)]);
        end.send(()).unwrap();
        assert_eq!(results(&receiver, 3), [("known", true), ("first", true), ("another", true)]);
    }

    /// The addresses of one IPv6 network have one turn together.
    #[test]
    fn a_network_of_ipv6_has_the_turns_of_one() {
        let (pool, end) = busy(8);
        let (sender, receiver) = channel();
        for address in ["2001:db8:1:1::1", "2001:db8:1:2::1", "2001:db8:1:3::1"] {
            submit(&pool, &sender, "network", source(address, 0, false));
        }
        submit(&pool, &sender, "another", source("2001:db8:2::1", 0, false));
        end.send(()).unwrap();
        let order: Vec<_> = results(&receiver, 4).into_iter().map(|(name, _)| name).collect();
        assert_eq!(order, ["network", "another", "network", "network"]);
    }

    #[test]
    fn a_turn_ends_where_its_work_panics() {
        // Both may still wait when the second comes.
        let pool = PasswordHashPool::start(1, 2).unwrap();
        pool.submit(source("192.0.2.1", 0, false), |_| panic!("work"));
        let (sender, receiver) = channel();
        submit(&pool, &sender, "next", source("192.0.2.1", 0, false));
        assert_eq!(results(&receiver, 1), [("next", true)]);
    }

    #[test]
    fn what_waits_is_done_before_the_pool_ends() {
        let (pool, end) = busy(2);
        let (sender, receiver) = channel();
        submit(&pool, &sender, "waits", source("192.0.2.1", 0, false));
        drop(pool);
        end.send(()).unwrap();
        drop(sender);
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [("waits", true)]);
    }
}
