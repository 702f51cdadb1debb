//! The front that faces a network: one thread watches every connection, a pool of workers answers.
//!
//! Idle and half-read connections hold a descriptor and less than a kilobyte, and no thread. The watching thread reads
//! the bytes; a whole request goes to a worker, which asks the service, writes the answer to the socket in one write,
//! and continues with the connection. The watching thread gets the connection back when it must wait. A request that waits for a commit holds no thread either: it is parked until then.
//!
//! - `shared_connection`: one connection with its socket, and the loop that drives it, under its lock.
//! - `listener`: the listening socket, and the limit of connections per address.
//! - `event_loop`: the readiness loop with its timers.
//! - `workers`: the pool.
//!
//! Readiness comes from `mio` rather than `polling`: registering a socket with `polling` is `unsafe`, which this
//! workspace forbids, and `mio`'s edges need no re-arming, so that a keep-alive request costs one wake-up, one
//! read and one write.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use mio::{Poll, Token, Waker};

use super::{FrontMeasures, Handler, Limits};

mod event_loop;
mod listener;
mod shared_connection;
mod workers;

pub(super) use workers::PendingRequest;

/// The listening socket's events.
const LISTENER: Token = Token(usize::MAX);
/// A worker or [`Stop`] wakes the loop.
const WAKE: Token = Token(usize::MAX - 1);

/// A bound front that has not begun to serve; connections already queue.
#[derive(Debug)]
pub struct Guarded {
    limits: Arc<Limits>,
    listener: listener::Listener,
    poll: Poll,
    stop: Stop,
    local: SocketAddr,
    measures: Arc<FrontMeasures>,
}

/// Ends [`Guarded::run`] from any thread: no new connections, idle ones closed, requests in flight finished within
/// [`Limits::drain_time`].
#[derive(Clone, Debug)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    waker: Arc<Waker>,
}

impl Stop {
    /// Asks the front to stop, and returns at once. Asking again changes nothing.
    pub fn stop(&self) {
        self.asked.store(true, Ordering::Release);
        // If the loop has ended, nothing needs to be woken.
        let _ = self.waker.wake();
    }

    fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }
}

impl Guarded {
    /// Listens on `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// Errors of the sockets: the address in use or not this machine's, no permission, no descriptors.
    pub fn bind(address: SocketAddr, limits: Limits) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let limits = Arc::new(Limits { connections: listener::affordable(limits.connections), ..limits });
        let (listener, local) = listener::Listener::open(address, Arc::clone(&limits), poll.registry())?;
        let stop = Stop { asked: Arc::default(), waker };
        Ok(Self { limits, listener, poll, stop, local, measures: Arc::default() })
    }

    /// Returns the address listened on, with its real port.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Returns a handle that ends [`Self::run`].
    pub fn stopper(&self) -> Stop {
        self.stop.clone()
    }

    /// Returns its measures.
    pub fn measures(&self) -> Arc<FrontMeasures> {
        Arc::clone(&self.measures)
    }

    /// Serves until stopped.
    ///
    /// # Errors
    /// If no worker can be started, or the readiness queue itself fails. No input leads here.
    pub fn run(self, handler: Arc<dyn Handler>) -> io::Result<()> {
        let ready_list = Arc::new(workers::ReadyList::new(Arc::clone(&self.stop.waker)));
        let clock = Clock(Instant::now());
        let measures = self.measures;
        let pool = workers::Pool::start(
            &self.limits,
            Arc::clone(&handler),
            Arc::clone(&ready_list),
            clock,
            Arc::clone(&measures),
        )?;
        let mut event_loop = event_loop::EventLoop::new(
            self.limits,
            self.listener,
            pool,
            handler,
            ready_list,
            clock,
            measures,
        );
        event_loop.run(self.poll, &self.stop)
    }
}

/// The time of connections: since the front began to serve.
#[derive(Clone, Copy, Debug)]
struct Clock(Instant);

impl Clock {
    fn now(self) -> std::time::Duration {
        self.0.elapsed()
    }
}
