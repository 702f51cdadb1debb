//! The threads that answer requests. None of them waits for the disk: a request that waits is parked as a value, and
//! queued again when it can continue. So a few threads are enough.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use gatepass_core::http::request::Request;
use gatepass_core::http::response::Response;
use mio::Waker;

use super::super::reply::{AnswerState, Answered, Destination, Reply, Resumption};
use super::super::response::Date;
use super::super::{Caller, FrontMeasures, Handler, Limits, caught, given_up, printed};
use super::Clock;
use super::shared_connection::{Driven, Driver, SharedConnection, scratch};
use crate::threads::named;

/// The most requests that a worker takes at once; so many share the cost of a snapshot that larger shares gain little.
const MAX_SHARE: usize = 16;
/// The number of times that a worker without work yields to other threads in a rush, and checks again before it sleeps.
/// A request that arrives meanwhile wakes no thread. Measured on two processors: more than two help no further, and
/// beside other busy programs each yield may make one job wait.
const YIELDS: usize = 2;

/// A request of a connection that must be answered.
pub(in super::super) struct PendingRequest {
    shared: Arc<SharedConnection>,
    /// The connection's number in the event loop.
    number: usize,
    caller: Caller,
    state: Arc<PoolState>,
    /// True once it was handed on or answered.
    done: bool,
    /// True while it waits without a thread.
    parked: bool,
}

impl fmt::Debug for PendingRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingRequest").field("number", &self.number).finish_non_exhaustive()
    }
}

impl PendingRequest {
    /// Marks that it waits without a thread.
    pub(in super::super) fn park(mut self) -> Self {
        self.parked = true;
        self.state.measures.parked.rise();
        self
    }

    fn unpark(&mut self) {
        if std::mem::take(&mut self.parked) {
            self.state.measures.parked.fall();
        }
    }

    pub(in super::super) fn resume(mut self, work: Resumption) {
        self.unpark();
        let state = Arc::clone(&self.state);
        state.push(Job::Resume(work, self));
    }
}

impl Drop for PendingRequest {
    fn drop(&mut self) {
        self.unpark();
        self.state.measures.in_flight.fall();
        if !self.done {
            let caller = std::mem::take(&mut self.caller);
            self.state.push(Job::Abandoned(Arc::clone(&self.shared), self.number, caller));
        }
    }
}

/// A job for a worker.
enum Job {
    /// Answer a request.
    Answer(Request, PendingRequest),
    /// Continue one that has waited.
    Resume(Resumption, PendingRequest),
    /// Answer a request that was given up with an error.
    Abandoned(Arc<SharedConnection>, usize, Caller),
}

/// Connections that the event loop must check again.
#[derive(Debug)]
pub(super) struct ReadyList {
    numbers: Mutex<Vec<usize>>,
    waker: Arc<Waker>,
}

impl ReadyList {
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

/// The workers' threads.
pub(super) struct Pool {
    state: Arc<PoolState>,
    threads: Vec<JoinHandle<()>>,
}

/// The workers, and the jobs that wait for them. A connection has at most one request here, so the queue is never
/// longer than [`Limits::connections`].
struct PoolState {
    queue: Mutex<Queue>,
    not_empty: Condvar,
    handler: Arc<dyn Handler>,
    ready_list: Arc<ReadyList>,
    clock: Clock,
    /// The number of workers, to share the waiting requests.
    workers: usize,
    measures: Arc<FrontMeasures>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    idle: Idle,
    closed: bool,
}

/// Workers without work.
#[derive(Default)]
struct Idle {
    /// Workers that sleep.
    asleep: usize,
    /// Sleeping workers that have been woken and do not run yet.
    woken: usize,
    /// True while one worker yields and is about to check again. Never two, so that no more than one job waits for its
    /// turn.
    yielding: bool,
}

impl Idle {
    /// Returns the number of workers that are on their way to a job.
    fn expected(&self) -> usize {
        self.woken + usize::from(self.yielding)
    }

    /// Returns true if one more worker must be woken, and counts it as woken. Returns false if as many are coming as
    /// there are jobs, or if all that sleep have been woken.
    #[must_use]
    fn wake_one(&mut self, jobs: usize) -> bool {
        let wake_one = self.woken < self.asleep && self.expected() < jobs;
        self.woken += usize::from(wake_one);
        wake_one
    }
}

impl Pool {
    /// Starts the workers.
    pub(super) fn start(
        limits: &Limits,
        handler: Arc<dyn Handler>,
        ready_list: Arc<ReadyList>,
        clock: Clock,
        measures: Arc<FrontMeasures>,
    ) -> io::Result<Self> {
        let (queue, not_empty, workers) = (Mutex::default(), Condvar::new(), limits.workers.max(1));
        let state = Arc::new(PoolState { queue, not_empty, handler, ready_list, clock, workers, measures });
        let mut pool = Self { state, threads: Vec::new() };
        for number in 0..workers {
            let state = Arc::clone(&pool.state);
            let thread = named(format_args!("worker-{number}"));
            pool.threads.push(thread.stack_size(limits.worker_stack).spawn(move || state.work())?);
        }
        Ok(pool)
    }

    /// Queues `request`, which came by the connection in `shared`.
    pub(super) fn submit(&self, request: Request, shared: &Arc<SharedConnection>, number: usize) {
        self.state.submit(request, Arc::clone(shared), number);
    }

    /// Ends the workers; waits for them if they are known to have nothing to do.
    pub(super) fn close(&mut self, wait: bool) {
        self.state.queue().closed = true;
        self.state.not_empty.notify_all();
        for thread in self.threads.drain(..).filter(|_| wait) {
            // A worker does not panic: the service's panics are caught.
            let _ = thread.join();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close(false);
    }
}

impl PoolState {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Job) {
        let wake_one = {
            let mut queue = self.queue();
            if queue.closed {
                // No worker takes it any more. It is dropped without the lock, because dropping a request that must be
                // answered comes here again.
                drop(queue);
                return;
            }
            queue.jobs.push_back(job);
            self.measures.waiting.set(queue.jobs.len());
            let Queue { jobs, idle, .. } = &mut *queue;
            idle.wake_one(jobs.len())
        };
        if wake_one {
            self.not_empty.notify_one();
        }
    }

    fn submit(self: &Arc<Self>, request: Request, shared: Arc<SharedConnection>, number: usize) {
        let caller = Caller::of(&request);
        self.push(Job::Answer(request, self.pending(shared, number, caller)));
    }

    fn pending(
        self: &Arc<Self>,
        shared: Arc<SharedConnection>,
        number: usize,
        caller: Caller,
    ) -> PendingRequest {
        self.measures.in_flight.rise();
        PendingRequest { shared, number, caller, state: Arc::clone(self), done: false, parked: false }
    }

    /// Returns true if more requests are inside than workers, so that a worker without work may expect some soon.
    fn is_busy(&self) -> bool {
        self.measures.in_flight.get() > self.workers
    }

    /// Takes one job, or a fair share of the waiting requests. Returns false at the end.
    fn next(&self, taken: &mut Vec<Job>) -> bool {
        let mut queue = self.queue();
        let mut yields_left = YIELDS;
        loop {
            if !queue.jobs.is_empty() {
                let share = queue.jobs.len().div_ceil(self.workers).min(MAX_SHARE);
                let requests =
                    queue.jobs.iter().take(share).take_while(|job| matches!(job, Job::Answer(..))).count();
                taken.extend(queue.jobs.drain(..requests.max(1)));
                self.measures.waiting.set(queue.jobs.len());
                let Queue { jobs, idle, .. } = &*queue;
                debug_assert!(
                    idle.woken == idle.asleep || idle.expected() >= jobs.len(),
                    "nobody comes for a job"
                );
                return true;
            }
            if queue.closed {
                return false;
            }
            if yields_left > 0 && self.is_busy() && !queue.idle.yielding {
                yields_left -= 1;
                queue.idle.yielding = true;
                drop(queue);
                thread::yield_now();
                queue = self.queue();
                queue.idle.yielding = false;
                continue;
            }
            queue.idle.asleep += 1;
            queue = self.not_empty.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle.asleep -= 1;
            // A worker that wakes by itself counts as woken; then one worker too many is woken.
            queue.idle.woken = queue.idle.woken.saturating_sub(1);
            yields_left = YIELDS;
        }
    }

    fn work(self: &Arc<Self>) {
        let (mut date, mut scratch) = (Date::default(), scratch());
        let mut taken = Vec::with_capacity(MAX_SHARE);
        while self.next(&mut taken) {
            let mut requests = Vec::with_capacity(taken.len());
            let mut send = |answered: Answered| {
                if let AnswerState::Response(Destination::Guarded(pending), response) = answered.what() {
                    self.send(pending, response, &mut date, &mut scratch);
                }
            };
            for job in taken.drain(..) {
                match job {
                    Job::Answer(request, pending) => {
                        requests.push((request, Reply::by(Destination::Guarded(pending))))
                    }
                    Job::Resume(work, pending) => {
                        // If it panics, the request is dropped, and answered as given up.
                        if let Some(answered) = caught(|| work(Reply::by(Destination::Guarded(pending)))) {
                            send(answered);
                        }
                    }
                    Job::Abandoned(shared, number, caller) => {
                        let response = given_up(&*self.handler, &caller);
                        let pending = self.pending(shared, number, caller);
                        send(Reply::by(Destination::Guarded(pending)).send(response));
                    }
                }
            }
            if !requests.is_empty() {
                // The same holds for each of them.
                caught(|| Arc::clone(&self.handler).answer_all(requests, &mut send));
            }
        }
    }

    /// Writes the answer, and continues with the connection.
    fn send(
        self: &Arc<Self>,
        mut pending: PendingRequest,
        response: Response,
        date: &mut Date,
        scratch: &mut [u8],
    ) {
        pending.done = true;
        let handler = &*self.handler;
        let response = printed(handler, response, &pending.caller);
        let mut locked = pending.shared.lock();
        let now = self.clock.now();
        locked.connection.answer(&response, date.now(), now);
        let check = match locked.drive(&mut Driver { handler, date, scratch, now }) {
            // It queues behind the requests of others, so that pipelining is no privilege.
            Driven::HasRequest(request) => {
                self.submit(request, Arc::clone(&pending.shared), pending.number);
                false
            }
            Driven::Parked => locked.connection.deadline().is_some_and(|deadline| deadline < locked.check_at),
            Driven::Closed => true,
        };
        drop(locked);
        if check {
            self.ready_list.push(pending.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_called_where_there_is_more_to_do_than_workers_come_for() {
        for (jobs, asleep, woken, yielding, wake_one) in [
            (0, 3, 0, false, false),
            (1, 3, 0, false, true),
            (1, 0, 0, false, false),
            (1, 3, 0, true, false),
            (1, 3, 1, false, false),
            (2, 3, 1, false, true),
            (2, 3, 0, true, true),
            (2, 3, 1, true, false),
            (3, 3, 1, true, true),
            (9, 2, 2, true, false),
        ] {
            let mut idle = Idle { asleep, woken, yielding };
            let case = format!("{jobs} {asleep} {woken} {yielding}");
            assert_eq!(idle.wake_one(jobs), wake_one, "{case}");
            assert_eq!(idle.woken, woken + usize::from(wake_one), "{case}");
        }
    }
}
