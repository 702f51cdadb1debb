//! The stock `tiny_http` server with a pool of workers, for a machine where a validating proxy stands in front.
//!
//! It cannot face a network: it has no deadlines, it can be made to run out of threads and memory, and several inputs
//! make it read a body as the next request. So it only listens on loopback or a Unix socket, and
//! the proxy must check requests and limit bodies.

use std::io::{self, Cursor, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Instant;

use gatepass_core::http::problem::Problem;
use gatepass_core::http::request::{REQUEST_ID, Request};
use gatepass_core::http::response::Response;
use tiny_http::{HTTPVersion, Header, Server, StatusCode};

use super::reply::{AnswerState, Answered, Destination, Reply};
use super::{Caller, Handler, Limits, caught, given_up, printed, refuse};
use crate::authority::Authority;

/// `tiny_http` reads the rest of a refused body into one allocation; past this length the request is abandoned with
/// its connection instead.
const MAX_DISCARD: usize = 1024 * 1024;

/// The address of the stock front.
#[derive(Clone, Debug)]
pub enum ListenAddress {
    /// A loopback address; port 0 takes a free port.
    Tcp(SocketAddr),
    /// A Unix socket with these permissions. A socket that a dead server left at the path is removed.
    #[cfg(unix)]
    Unix(PathBuf, u32),
}

/// A bound stock front.
pub struct Stock {
    server: Arc<Server>,
    limits: Limits,
    stop: Stop,
    address: ListenAddress,
}

/// Ends [`Stock::run`] from any thread: requests in hand are finished within [`Limits::drain_time`].
#[derive(Clone)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    server: Arc<Server>,
}

impl Stop {
    /// Asks the front to stop, and returns at once.
    pub fn stop(&self) {
        self.asked.store(true, Ordering::Release);
        self.server.unblock();
    }
}

impl Stock {
    /// Listens at `address`. Of the limits, the hosts, the body, the workers with their stack and the drain time count here.
    ///
    /// # Errors
    /// An address that is not loopback; those of the socket.
    pub fn bind(address: ListenAddress, limits: Limits) -> io::Result<Self> {
        let server = match &address {
            ListenAddress::Tcp(address) if address.ip().to_canonical().is_loopback() => {
                Server::from_listener(TcpListener::bind(address)?, None)
            }
            ListenAddress::Tcp(address) => {
                let why = format!(
                    "the tiny_http front listens on loopback or a Unix socket only, not {address}: use `--front guarded`"
                );
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
            #[cfg(unix)]
            ListenAddress::Unix(path, mode) => {
                use std::os::unix::{
                    fs::{FileTypeExt, PermissionsExt},
                    net::{UnixListener, UnixStream},
                };
                let is_socket = path.symlink_metadata().is_ok_and(|found| found.file_type().is_socket());
                if is_socket && UnixStream::connect(path).is_err() {
                    std::fs::remove_file(path)?;
                }
                let listener = UnixListener::bind(path)?;
                // Its own would depend on the process's umask.
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(*mode))?;
                Server::from_listener(listener, None)
            }
        };
        let server = Arc::new(server.map_err(io::Error::other)?);
        let stop = Stop { asked: Arc::default(), server: Arc::clone(&server) };
        Ok(Self { server, limits, stop, address })
    }

    /// Returns the address listened on, with its real port; none for a Unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.server.server_addr().to_ip()
    }

    /// Returns a handle that ends [`Self::run`].
    pub fn stopper(&self) -> Stop {
        self.stop.clone()
    }

    /// Serves until stopped.
    ///
    /// # Errors
    /// If no worker can be started, or `tiny_http` has stopped accepting, which the first failed `accept` does:
    /// the process then serves nothing, and should be restarted.
    pub fn run(self, handler: Arc<dyn Handler>) -> io::Result<()> {
        let (gone, going) = mpsc::channel();
        for _ in 0..self.limits.workers.max(1) {
            let (stop, handler, gone) = (self.stop.clone(), Arc::clone(&handler), gone.clone());
            let limits = self.limits.clone();
            // A worker that is not waited for ends with the process.
            thread::Builder::new().stack_size(self.limits.worker_stack).spawn(move || {
                let _ = gone.send(work(&stop, &handler, &limits));
            })?;
        }
        let mut outcome = going.recv().unwrap_or(Ok(()));
        let end = Instant::now() + self.limits.drain_time;
        for _ in 1..self.limits.workers.max(1) {
            match going.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(other) => outcome = outcome.and(other),
                Err(_) => break,
            }
        }
        #[cfg(unix)]
        if let ListenAddress::Unix(path, _) = &self.address {
            let _ = std::fs::remove_file(path);
        }
        outcome
    }
}

/// Runs one worker, until it is stopped or nothing is accepted any more.
fn work(stop: &Stop, handler: &Arc<dyn Handler>, limits: &Limits) -> io::Result<()> {
    let outcome = loop {
        match stop.server.recv() {
            // `tiny_http` panics on some `TE` headers while it answers.
            Ok(request) => drop(caught(|| serve(request, &stop.server, handler, limits))),
            Err(_) if stop.asked.load(Ordering::Acquire) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    // Each worker wakes the next.
    stop.stop();
    outcome
}

fn serve(mut incoming: tiny_http::Request, server: &Server, handler: &Arc<dyn Handler>, limits: &Limits) {
    let declared = incoming.body_length();
    let headers = headers(&incoming);
    let caller = caller(&headers);
    let (response, discard) = match read(&mut incoming, headers, server.server_addr().to_ip(), limits) {
        Ok(request) => (answer(handler, request, &caller), true),
        Err(problem) => {
            (refuse(&**handler, problem, &caller), declared.is_none_or(|length| length <= MAX_DISCARD))
        }
    };
    let outgoing = print(response);
    if discard {
        // The peer may be gone; then nothing can be answered.
        let _ = incoming.respond(outgoing);
    } else {
        // Dropping the request, or the result of `upgrade`, would read the whole body into memory.
        std::mem::forget(incoming.upgrade("close", outgoing));
    }
}

/// Returns the service's answer, and waits for it: a worker of this front has one request from beginning to end.
fn answer(handler: &Arc<dyn Handler>, request: Request, caller: &Caller) -> Response {
    let (worker, mut goes_on) = mpsc::channel();
    let mut answered = caught(|| Arc::clone(handler).answer(request, Reply::by(Destination::Stock(worker))));
    loop {
        match answered.map(Answered::what) {
            Some(AnswerState::Response(_, response)) => return printed(&**handler, response, caller),
            Some(AnswerState::Deferred) => {
                let (worker, next) = mpsc::channel();
                let work = std::mem::replace(&mut goes_on, next).recv();
                answered = work.ok().and_then(|work| caught(|| work(Reply::by(Destination::Stock(worker)))));
            }
            None => return given_up(&**handler, caller),
        }
    }
}

/// Returns the headers in the core's form.
fn headers(incoming: &tiny_http::Request) -> Vec<(String, Vec<u8>)> {
    let header =
        |h: &Header| (h.field.as_str().as_str().to_ascii_lowercase(), h.value.as_str().as_bytes().to_vec());
    incoming.headers().iter().map(header).collect()
}

/// Returns who sent `headers`.
fn caller(headers: &[(String, Vec<u8>)]) -> Caller {
    let one = |wanted: &str| {
        let mut values = headers.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value);
        let value = values.next().filter(|_| values.next().is_none());
        value.and_then(|value| std::str::from_utf8(value).ok())
    };
    Caller::of_headers(one("accept-language"), one(REQUEST_ID))
}

/// Returns the request in the core's form. `local` is the address listened on; none for a Unix socket.
fn read(
    incoming: &mut tiny_http::Request,
    headers: Vec<(String, Vec<u8>)>,
    local: Option<SocketAddr>,
    limits: &Limits,
) -> Result<Request, Problem> {
    let max_body = limits.body;
    let count = |name| headers.iter().filter(|(n, _)| n == name).count();
    let (lengths, codings) = (count("content-length"), count("transfer-encoding"));
    let declared = incoming.body_length();
    if lengths + codings > 1 || (lengths == 1 && declared.is_none()) || !is_served(incoming) {
        return Err(Problem::BadHttp);
    }
    let mut hosts = headers.iter().filter(|(name, _)| name == "host").map(|(_, value)| value.as_slice());
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => {
            let host = Authority::parse(host).ok_or(Problem::BadHttp)?;
            if !limits.hosts.serve_host(&host, local) {
                return Err(Problem::MisdirectedRequest);
            }
        }
        (None, _) if *incoming.http_version() <= HTTPVersion(1, 0) => {}
        (None, _) | (Some(_), Some(_)) => return Err(Problem::BadHttp),
    }
    if declared.is_some_and(|length| length > max_body) {
        return Err(Problem::ContentTooLarge);
    }
    let mut body = Vec::new();
    if lengths + codings > 0 {
        let most = declared.unwrap_or(max_body + 1) as u64;
        incoming.as_reader().take(most).read_to_end(&mut body).map_err(|_| Problem::BadHttp)?;
        if body.len() > max_body {
            return Err(Problem::ContentTooLarge);
        }
        if declared.is_some_and(|length| length != body.len()) {
            return Err(Problem::BadHttp);
        }
    }
    let peer =
        incoming.remote_addr().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.ip().to_canonical());
    Ok(Request { method: incoming.method().to_string(), target: incoming.url().into(), headers, body, peer })
}

/// Returns true if the target has a form that is served here: origin form, or `*` with `OPTIONS`.
fn is_served(incoming: &tiny_http::Request) -> bool {
    let (method, target) = (incoming.method(), incoming.url());
    target.starts_with('/') || (*method == tiny_http::Method::Options && target == "*")
}

fn print(response: Response) -> tiny_http::Response<Cursor<Vec<u8>>> {
    let headers = response
        .headers()
        .filter_map(|(name, value)| Header::from_bytes(name.as_bytes(), value.as_bytes()).ok())
        .collect();
    let status = StatusCode(response.status());
    let body = response.into_body();
    let length = body.len();
    // Never chunked: the length of an answer is known.
    tiny_http::Response::new(status, headers, Cursor::new(body), Some(length), None)
        .with_chunked_threshold(usize::MAX)
}
