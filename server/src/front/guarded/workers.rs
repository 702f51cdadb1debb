//! The pool of threads that answer requests.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use gatepass_core::wire::language::Language;
use gatepass_core::wire::request::Request;
use mio::Waker;

use super::super::answer::Date;
use super::super::{Bounds, Service, answer};
use super::Clock;
use super::slot::{Driven, Driver, Slot, scratch};

/// A request to be answered, and the connection it came by.
pub(super) struct Job {
    pub(super) request: Request,
    pub(super) slot: Arc<Slot>,
    /// The connection's number with the watching thread.
    pub(super) number: usize,
}

/// Connections that the watching thread is to look at again.
#[derive(Debug)]
pub(super) struct Returns {
    numbers: Mutex<Vec<usize>>,
    waker: Arc<Waker>,
}

impl Returns {
    pub(super) const fn new(waker: Arc<Waker>) -> Self {
        Self { numbers: Mutex::new(Vec::new()), waker }
    }

    fn push(&self, number: usize) {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.push(number);
        if numbers.len() == 1
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "the watching thread cannot be woken");
        }
    }

    pub(super) fn take(&self) -> Vec<usize> {
        std::mem::take(&mut self.numbers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The workers and what waits for them. A connection has at most one request here, so the queue is never longer than
/// [`Bounds::connections`].
pub(super) struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    most: usize,
    stack: usize,
}

struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
    service: Arc<dyn Service>,
    returns: Arc<Returns>,
    clock: Clock,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Workers that wait for a job.
    free: usize,
    closed: bool,
}

impl Pool {
    /// Starts one worker; the others follow when there is work for them.
    pub(super) fn start(
        bounds: &Bounds,
        service: Arc<dyn Service>,
        returns: Arc<Returns>,
        clock: Clock,
    ) -> io::Result<Self> {
        let shared = Shared { queue: Mutex::default(), filled: Condvar::new(), service, returns, clock };
        let (most, stack) = (bounds.workers.max(1), bounds.worker_stack);
        let mut pool = Self { shared: Arc::new(shared), threads: Vec::new(), most, stack };
        pool.hire()?;
        Ok(pool)
    }

    fn hire(&mut self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let name = format!("worker-{}", self.threads.len());
        self.threads
            .push(thread::Builder::new().name(name).stack_size(self.stack).spawn(move || shared.work())?);
        Ok(())
    }

    /// Queues a request.
    pub(super) fn push(&mut self, job: Job) {
        let short = {
            let mut queue = self.shared.queue();
            queue.jobs.push_back(job);
            queue.jobs.len() > queue.free
        };
        self.shared.filled.notify_one();
        if short
            && self.threads.len() < self.most
            && let Err(error) = self.hire()
        {
            tracing::warn!(%error, workers = self.threads.len(), "no further worker can be started");
        }
    }

    /// Lets the workers go; waits for them where they are known to have nothing to do.
    pub(super) fn close(&mut self, wait: bool) {
        self.shared.queue().closed = true;
        self.shared.filled.notify_all();
        for thread in self.threads.drain(..).filter(|_| wait) {
            // A worker does not panic: the service's panics are caught.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.queue();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            if queue.closed {
                return None;
            }
            queue.free += 1;
            queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.free -= 1;
        }
    }

    fn work(&self) {
        let (mut date, mut scratch) = (Date::default(), scratch());
        while let Some(Job { request, slot, number }) = self.next() {
            let language = Language::of(request.header("accept-language").ok().flatten());
            let response = answer(&*self.service, request, language);
            let mut seat = slot.lock();
            let now = self.clock.now();
            seat.connection.answer(&response, date.now(), now);
            let mut driver = Driver { service: &*self.service, date: &mut date, scratch: &mut scratch, now };
            let look = match seat.drive(&mut driver) {
                Driven::Asks(request) => {
                    // Behind the requests of others, not straight on: pipelining is no privilege.
                    let job = Job { request, slot: Arc::clone(&slot), number };
                    let others = {
                        let mut queue = self.queue();
                        queue.jobs.push_back(job);
                        queue.jobs.len() > 1
                    };
                    if others {
                        self.filled.notify_one();
                    }
                    false
                }
                Driven::Parked => seat.connection.deadline().is_some_and(|deadline| deadline < seat.watched),
                Driven::Closed => true,
            };
            drop(seat);
            if look {
                self.returns.push(number);
            }
        }
    }
}
