//! The threads that answer requests. None of them waits for the disk: what does is parked as the value it is, and queued
//! again when it can go on. So a few are enough, and nobody waits for a worker that waits.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use gatepass_core::http::language::Language;
use gatepass_core::http::problem::Problem;
use gatepass_core::http::request::Request;
use gatepass_core::http::response::Response;
use mio::Waker;

use super::super::answer::Date;
use super::super::reply::{Answered, Now, Reply, Way, Work};
use super::super::{Bounds, Service, caught, language_of, printed, refuse};
use super::Clock;
use super::slot::{Driven, Driver, Slot, scratch};

/// The most that a worker takes at once; so many share the cost of a snapshot that little is left of it.
const TOGETHER: usize = 16;
/// In a rush, how often a worker without work gives way to other threads and looks again before it sleeps. What has come
/// meanwhile needs nobody to be woken. Measured on two processors: more than two help no further, and beside other busy
/// programs each is a turn given away, for which one job may have to wait.
const LOOKS: usize = 2;

/// The duty to answer the request that a connection has brought.
pub(in super::super) struct Guest {
    slot: Arc<Slot>,
    /// The connection's number with the watching thread.
    number: usize,
    language: Language,
    crew: Arc<Crew>,
    /// Handed on, or answered.
    done: bool,
}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guest").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Guest {
    pub(in super::super) fn go_on(self, work: Work) {
        let crew = Arc::clone(&self.crew);
        crew.push(Job::GoOn(work, self));
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.crew.inside.fetch_sub(1, Relaxed);
        if !self.done {
            self.crew.push(Job::GivenUp(Arc::clone(&self.slot), self.number, self.language));
        }
    }
}

/// What a worker can do.
enum Job {
    /// Answer a request.
    Ask(Request, Guest),
    /// Go on with one that has waited.
    GoOn(Work, Guest),
    /// Tell whoever asked that it failed.
    GivenUp(Arc<Slot>, usize, Language),
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

/// The workers' threads.
pub(super) struct Pool {
    crew: Arc<Crew>,
    threads: Vec<JoinHandle<()>>,
}

/// The workers, and what waits for them. A connection has at most one request here, so the queue is never longer than
/// [`Bounds::connections`].
struct Crew {
    queue: Mutex<Queue>,
    filled: Condvar,
    service: Arc<dyn Service>,
    returns: Arc<Returns>,
    clock: Clock,
    /// How many there are, to share what waits.
    workers: usize,
    /// Requests that are not answered yet, those that wait for the disk included.
    inside: AtomicUsize,
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
    /// They wait to be woken.
    asleep: usize,
    /// Those of them that have been woken, and do not run yet.
    called: usize,
    /// One gives way, and is about to look again; never two, so that no more than one job waits for its turn.
    looking: bool,
}

impl Idle {
    /// How many are on their way to a job.
    fn coming(&self) -> usize {
        self.called + usize::from(self.looking)
    }

    /// Whether one more worker is to be woken, which then counts as called: not where as many come as there are jobs, nor
    /// where all that sleep have been called.
    #[must_use]
    fn calls(&mut self, jobs: usize) -> bool {
        let calls = self.called < self.asleep && self.coming() < jobs;
        self.called += usize::from(calls);
        calls
    }
}

impl Pool {
    /// Starts the workers.
    pub(super) fn start(
        bounds: &Bounds,
        service: Arc<dyn Service>,
        returns: Arc<Returns>,
        clock: Clock,
    ) -> io::Result<Self> {
        let (queue, filled, workers) = (Mutex::default(), Condvar::new(), bounds.workers.max(1));
        let crew =
            Arc::new(Crew { queue, filled, service, returns, clock, workers, inside: AtomicUsize::new(0) });
        let mut pool = Self { crew, threads: Vec::new() };
        for number in 0..workers {
            let crew = Arc::clone(&pool.crew);
            let thread = thread::Builder::new().name(format!("worker-{number}"));
            pool.threads.push(thread.stack_size(bounds.worker_stack).spawn(move || crew.work())?);
        }
        Ok(pool)
    }

    /// Has `request` answered, which came by the connection in `slot`.
    pub(super) fn ask(&self, request: Request, slot: &Arc<Slot>, number: usize) {
        self.crew.ask(request, Arc::clone(slot), number);
    }

    /// Lets the workers go; waits for them where they are known to have nothing to do.
    pub(super) fn close(&mut self, wait: bool) {
        self.crew.queue().closed = true;
        self.crew.filled.notify_all();
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

impl Crew {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Job) {
        let calls = {
            let mut queue = self.queue();
            if queue.closed {
                // Nobody does it any more. It is dropped without the lock: a duty that is dropped comes here again.
                drop(queue);
                return;
            }
            queue.jobs.push_back(job);
            let Queue { jobs, idle, .. } = &mut *queue;
            idle.calls(jobs.len())
        };
        if calls {
            self.filled.notify_one();
        }
    }

    fn ask(self: &Arc<Self>, request: Request, slot: Arc<Slot>, number: usize) {
        let language = language_of(&request);
        self.push(Job::Ask(request, self.guest(slot, number, language)));
    }

    fn guest(self: &Arc<Self>, slot: Arc<Slot>, number: usize, language: Language) -> Guest {
        self.inside.fetch_add(1, Relaxed);
        Guest { slot, number, language, crew: Arc::clone(self), done: false }
    }

    /// Whether a worker without work may expect some soon: there are more requests inside than workers.
    fn is_rush(&self) -> bool {
        self.inside.load(Relaxed) > self.workers
    }

    /// Takes one job, or a share of the requests that wait; every worker is left as much. False where there will be nothing
    /// any more.
    fn next(&self, taken: &mut Vec<Job>) -> bool {
        let mut queue = self.queue();
        let mut looks = LOOKS;
        loop {
            if !queue.jobs.is_empty() {
                let share = queue.jobs.len().div_ceil(self.workers).min(TOGETHER);
                let asks =
                    queue.jobs.iter().take(share).take_while(|job| matches!(job, Job::Ask(..))).count();
                taken.extend(queue.jobs.drain(..asks.max(1)));
                let Queue { jobs, idle, .. } = &*queue;
                debug_assert!(
                    idle.called == idle.asleep || idle.coming() >= jobs.len(),
                    "nobody comes for a job"
                );
                return true;
            }
            if queue.closed {
                return false;
            }
            if looks > 0 && self.is_rush() && !queue.idle.looking {
                looks -= 1;
                queue.idle.looking = true;
                drop(queue);
                thread::yield_now();
                queue = self.queue();
                queue.idle.looking = false;
                continue;
            }
            queue.idle.asleep += 1;
            queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle.asleep -= 1;
            // Who wakes uncalled is taken for one who was; then one more than needed is called.
            queue.idle.called = queue.idle.called.saturating_sub(1);
            looks = LOOKS;
        }
    }

    fn work(self: &Arc<Self>) {
        let (mut date, mut scratch) = (Date::default(), scratch());
        let mut taken = Vec::with_capacity(TOGETHER);
        while self.next(&mut taken) {
            let mut asked = Vec::with_capacity(taken.len());
            let mut send = |answered: Answered| {
                if let Now::Response(Way::Guarded(guest), response) = answered.what() {
                    self.send(guest, response, &mut date, &mut scratch);
                }
            };
            for job in taken.drain(..) {
                match job {
                    Job::Ask(request, guest) => asked.push((request, Reply::by(Way::Guarded(guest)))),
                    Job::GoOn(work, guest) => {
                        // Where it panics, the guest is dropped, and is answered as given up.
                        if let Some(answered) = caught(|| work(Reply::by(Way::Guarded(guest)))) {
                            send(answered);
                        }
                    }
                    Job::GivenUp(slot, number, language) => {
                        let guest = self.guest(slot, number, language);
                        let response = refuse(&*self.service, Problem::Internal, language);
                        send(Reply::by(Way::Guarded(guest)).now(response));
                    }
                }
            }
            if !asked.is_empty() {
                // The same holds for each of them.
                caught(|| Arc::clone(&self.service).answer_all(asked, &mut send));
            }
        }
    }

    /// Writes the answer, and goes on with the connection.
    fn send(self: &Arc<Self>, mut guest: Guest, response: Response, date: &mut Date, scratch: &mut [u8]) {
        guest.done = true;
        let service = &*self.service;
        let response = printed(service, response, guest.language);
        let mut seat = guest.slot.lock();
        let now = self.clock.now();
        seat.connection.answer(&response, date.now(), now);
        let look = match seat.drive(&mut Driver { service, date, scratch, now }) {
            // Behind the requests of others, not straight on: pipelining is no privilege.
            Driven::Asks(request) => {
                self.ask(request, Arc::clone(&guest.slot), guest.number);
                false
            }
            Driven::Parked => seat.connection.deadline().is_some_and(|deadline| deadline < seat.watched),
            Driven::Closed => true,
        };
        drop(seat);
        if look {
            self.returns.push(guest.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_called_where_there_is_more_to_do_than_workers_come_for() {
        for (jobs, asleep, called, looking, calls) in [
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
            let mut idle = Idle { asleep, called, looking };
            let case = format!("{jobs} {asleep} {called} {looking}");
            assert_eq!(idle.calls(jobs), calls, "{case}");
            assert_eq!(idle.called, called + usize::from(calls), "{case}");
        }
    }
}
