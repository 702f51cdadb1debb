//! The limits and deadlines of a front.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gatepass_core::http::request::MAX_BODY;

use super::own_hosts::OwnHosts;
use crate::threads::default_workers;

/// The addresses that may have any number of connections, up to [`Limits::connections`].
#[derive(Clone)]
pub struct Exempt(Arc<dyn Fn(IpAddr) -> bool + Send + Sync>);

impl Exempt {
    /// Exempts the addresses for which `is_exempt` is true: loopback and the trusted proxies.
    pub fn new(is_exempt: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_exempt))
    }

    /// Returns true if `address` is exempt.
    pub fn covers(&self, address: IpAddr) -> bool {
        (self.0)(address)
    }
}

impl Default for Exempt {
    /// Returns loopback alone.
    fn default() -> Self {
        Self::new(|address| address.is_loopback())
    }
}

impl fmt::Debug for Exempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exempt")
    }
}

/// The limits and deadlines of a front. [`Limits::default`] suits a network.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at once; beyond it the oldest idle one is closed. Lowered at start if the process may not open that
    /// many files. 1024.
    pub connections: usize,
    /// Connections at once from one IPv4 address or IPv6 /64; 0 = no such limit. 64.
    pub connections_per_address: usize,
    /// The addresses without the limit [`Self::connections_per_address`]. Loopback.
    pub exempt: Exempt,
    /// The hosts that requests may name. Any.
    pub hosts: OwnHosts,
    /// The longest request line in bytes, without its end; past it 414. 8 KiB.
    pub request_line: usize,
    /// The longest head in bytes, from the request line to the empty line; past it 431. 16 KiB.
    pub head: usize,
    /// The most header fields; past it 431. 64, which is also the most that can be set.
    pub headers: usize,
    /// The longest body in bytes, after decoding; past it 413. 64 KiB.
    pub body: usize,
    /// The time from the first byte of a request to its last; then 408. 10 s.
    pub request_time: Duration,
    /// The time without any byte of a request; then the connection is closed without an answer. Longer than the 60 s
    /// for which nginx keeps a connection, so that it is never closed just as a request is sent. 75 s.
    pub idle_time: Duration,
    /// The time for the peer to take a whole answer; then the connection is closed. 10 s.
    pub answer_time: Duration,
    /// The time for which input is read and discarded after a last answer, so that the peer sees the answer and not a
    /// reset. 2 s.
    pub linger_time: Duration,
    /// The most bytes that are discarded then. 1 MiB.
    pub linger_bytes: usize,
    /// The time for running requests to end after a stop. 10 s.
    pub drain_time: Duration,
    /// Worker threads. In the guarded front none of them waits for the disk, so about as many as there are processors
    /// are enough. In the stock front each has one connection and waits with it. One more than processors.
    pub workers: usize,
    /// The stack of a worker in bytes. 1 MiB: without optimization, a request of an administrator needs over 256 KiB.
    pub worker_stack: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            connections_per_address: 64,
            exempt: Exempt::default(),
            hosts: OwnHosts::default(),
            request_line: 8 * 1024,
            head: 16 * 1024,
            headers: 64,
            body: MAX_BODY,
            request_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(75),
            answer_time: Duration::from_secs(10),
            linger_time: Duration::from_secs(2),
            linger_bytes: 1024 * 1024,
            drain_time: Duration::from_secs(10),
            workers: default_workers(),
            worker_stack: 1024 * 1024,
        }
    }
}
