//! The front that faces a network: one thread watches every connection, a pool of workers answers.
//!
//! Idle and half-read connections hold a descriptor and less than a kilobyte, and no thread. The watching thread reads
//! what has come; a whole request goes to a worker, which asks the service and writes the answer to the socket
//! itself, in one write, and carries on with the connection. The watching thread hears of it again when there is
//! something to wait for. A request that waits for a commit holds no thread either: it is parked until then.
//!
//! - `slot`: one connection with its socket, and the loop that drives it; whoever holds its lock may.
//! - `door`: the listening socket, and who is let in.
//! - `watch`: the readiness loop with its timers.
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

use super::{Bounds, Service};

mod door;
mod slot;
mod watch;
mod workers;

pub(super) use workers::Guest;

/// The listening socket's events.
const DOOR: Token = Token(usize::MAX);
/// A worker or [`Stop`] has something to say.
const CALL: Token = Token(usize::MAX - 1);

/// A bound front that has not begun to serve; connections already queue.
#[derive(Debug)]
pub struct Guarded {
    bounds: Arc<Bounds>,
    door: door::Door,
    poll: Poll,
    stop: Stop,
    local: SocketAddr,
}

/// Ends [`Guarded::run`] from any thread: no new connections, idle ones closed, requests in flight finished within
/// [`Bounds::drain_time`].
#[derive(Clone, Debug)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    waker: Arc<Waker>,
}

impl Stop {
    /// Asks for it and returns at once. Asking again changes nothing.
    pub fn stop(&self) {
        self.asked.store(true, Ordering::Release);
        // Where the loop is gone already, there is nobody to wake.
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
    /// Those of the sockets: the address in use or not this machine's, no permission, no descriptors.
    pub fn bind(address: SocketAddr, bounds: Bounds) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), CALL)?);
        let bounds = Arc::new(Bounds { connections: door::affordable(bounds.connections), ..bounds });
        let (door, local) = door::Door::open(address, Arc::clone(&bounds), poll.registry())?;
        Ok(Self { bounds, door, poll, stop: Stop { asked: Arc::default(), waker }, local })
    }

    /// The address listened on, with its real port.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// What ends [`Self::run`].
    pub fn stopper(&self) -> Stop {
        self.stop.clone()
    }

    /// Serves until stopped.
    ///
    /// # Errors
    /// Where no worker can be started, or the readiness queue itself fails. No input leads here.
    pub fn run(self, service: Arc<dyn Service>) -> io::Result<()> {
        let returns = Arc::new(workers::Returns::new(Arc::clone(&self.stop.waker)));
        let clock = Clock(Instant::now());
        let pool = workers::Pool::start(&self.bounds, Arc::clone(&service), Arc::clone(&returns), clock)?;
        let mut watch = watch::Watch::new(self.bounds, self.door, pool, service, returns, clock);
        watch.run(self.poll, &self.stop)
    }
}

/// Time as connections know it: since the front began to serve.
#[derive(Clone, Copy, Debug)]
struct Clock(Instant);

impl Clock {
    fn now(self) -> std::time::Duration {
        self.0.elapsed()
    }
}
