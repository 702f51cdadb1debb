//! HTTP/1.1 on sockets: bytes become a [`Request`], a [`Response`] becomes bytes.
//!
//! What a request means is the core's business; here it is settled where one begins and ends, who may hold a
//! connection, and for how long.
//!
//! - [`connection`] is one connection as a sans-IO state machine, made of the head (`head`), the target's
//!   authority (`authority`), the chunked coding (`chunked`) and the printed answer (`answer`).
//! - [`guarded`] drives many of them from one readiness loop and a pool of workers. It can face a network.
//! - [`stock`] is the plain `tiny_http` server, for a box where a validating proxy stands in front.
//!
//! Both drive one [`Service`] and keep to one set of [`Bounds`].

use std::fmt;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gatepass_core::base::time::Time;
use gatepass_core::http::language::Language;
use gatepass_core::http::problem::Problem;
use gatepass_core::http::request::{MAX_BODY, Request};
use gatepass_core::http::response::Response;

mod answer;
mod authority;
mod chunked;
pub mod connection;
pub mod guarded;
mod head;
mod reply;
pub mod stock;

pub use reply::{Answered, Later, Reply};

/// What stands behind a front.
pub trait Service: Send + Sync + 'static {
    /// Answers one whole request, now or later. `request.peer` is the socket's own address; whether a proxy's word
    /// replaces it is decided here. It is called on one of a few workers, so whatever takes long is to be waited for
    /// by [`Reply::later`]. A panic in it is answered with 500.
    fn answer(self: Arc<Self>, request: Request, reply: Reply) -> Answered;

    /// Answers requests that waited together for a worker, each as [`Self::answer`] does, and tells each answer as soon as
    /// it is there. Where one panics, the others are answered all the same.
    fn answer_all(self: Arc<Self>, asked: Vec<(Request, Reply)>, answered: &mut dyn FnMut(Answered)) {
        for (request, reply) in asked {
            if let Some(one) = caught(|| Arc::clone(&self).answer(request, reply)) {
                answered(one);
            }
        }
    }

    /// The answer to something the front itself refuses: bad bytes, too long, too slow. Called on the thread
    /// that watches every connection too, so it must not block.
    fn refuse(&self, problem: Problem, language: Language) -> Response;
}

/// Which addresses may hold any number of connections, up to [`Bounds::connections`].
#[derive(Clone)]
pub struct Exempt(Arc<dyn Fn(IpAddr) -> bool + Send + Sync>);

impl Exempt {
    /// Exempts the addresses for which `is_exempt` is true: loopback and the trusted proxies.
    pub fn new(is_exempt: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_exempt))
    }

    /// Whether `address` is exempt.
    pub fn covers(&self, address: IpAddr) -> bool {
        (self.0)(address)
    }
}

impl Default for Exempt {
    /// Loopback alone.
    fn default() -> Self {
        Self::new(|address| address.is_loopback())
    }
}

impl fmt::Debug for Exempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exempt")
    }
}

/// Every limit and deadline of a front. [`Bounds::default`] is what faces a network.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Connections at once; past it the oldest idle one is closed. Lowered at start where the process may not
    /// open that many files. 1024.
    pub connections: usize,
    /// Connections at once from one IPv4 address or IPv6 /64; 0 = no such limit. 64.
    pub connections_per_address: usize,
    /// Who is free of [`Self::connections_per_address`]. Loopback.
    pub exempt: Exempt,
    /// The authorities (`host` or `host:port`) that an absolute-form target may name, beside the address the
    /// connection came in at. Empty: whatever `Host` names. Empty.
    pub authorities: Vec<String>,
    /// The longest request line in bytes, without its end; past it 414. 8 KiB.
    pub request_line: usize,
    /// The longest head in bytes, from the request line to the empty line; past it 431. 16 KiB.
    pub head: usize,
    /// The most header fields; past it 431. 64, which is also the most that can be set.
    pub headers: usize,
    /// The longest body in bytes, after decoding; past it 413. 64 KiB.
    pub body: usize,
    /// From the first byte of a request until its last; then 408. 10 s.
    pub request_time: Duration,
    /// Without any byte of a request; then the connection is closed without a word. 15 s.
    pub idle_time: Duration,
    /// For the peer to take a whole answer; then the connection is cut. 10 s.
    pub answer_time: Duration,
    /// How long input is read and thrown away after a last answer, so that the peer sees the answer and not a
    /// reset. 2 s.
    pub linger_time: Duration,
    /// How many bytes are thrown away so. 1 MiB.
    pub linger_bytes: usize,
    /// How long requests in flight may take to finish after a stop. 10 s.
    pub drain_time: Duration,
    /// Worker threads. None of them waits for the disk, so about as many as there are processors are enough; of the
    /// stock front each has one connection, and waits with it. One more than processors.
    pub workers: usize,
    /// Stack of a worker in bytes. 256 KiB.
    pub worker_stack: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 1024,
            connections_per_address: 64,
            exempt: Exempt::default(),
            authorities: Vec::new(),
            request_line: 8 * 1024,
            head: 16 * 1024,
            headers: 64,
            body: MAX_BODY,
            request_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(15),
            answer_time: Duration::from_secs(10),
            linger_time: Duration::from_secs(2),
            linger_bytes: 1024 * 1024,
            drain_time: Duration::from_secs(10),
            workers: workers(),
            worker_stack: 256 * 1024,
        }
    }
}

/// One worker more than there are processors: each takes its share of what waits, and what few take together costs less.
pub(crate) fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get) + 1
}

/// In which language whoever sent `request` is told that it failed.
fn language_of(request: &Request) -> Language {
    Language::of(request.header("accept-language").ok().flatten())
}

/// `response`, or a 500 where it cannot be printed.
fn printed(service: &dyn Service, response: Response, language: Language) -> Response {
    if answer::printable(&response) {
        return response;
    }
    tracing::error!(status = response.status(), "an answer that cannot be printed became a 500");
    refuse(service, Problem::Internal, language)
}

/// The service's wording of a refusal, or the core's where even that fails.
fn refuse(service: &dyn Service, problem: Problem, language: Language) -> Response {
    caught(|| service.refuse(problem, language)).filter(answer::printable).unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        problem.response(language, Time::from_unix(now))
    })
}

/// What `call` returns, or none where it panics. A service keeps its own invariants across a panic: locks are
/// poisoned, transactions roll back.
pub(crate) fn caught<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call))
        .inspect_err(|panic| {
            let text = panic.downcast_ref::<&str>().copied();
            let message =
                text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or_default();
            tracing::error!(panic = message, "a request panicked");
        })
        .ok()
}
