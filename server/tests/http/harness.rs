//! A service behind a listener, and a client.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gatepass::http::guarded::{Guarded, Stop};
use gatepass::http::{Answered, DeferredReply, Handler, Limits, Reply};
use gatepass_core::base::time::Time;
use gatepass_core::http::language::Language;
use gatepass_core::http::problem::Problem;
use gatepass_core::http::request::Request;
use gatepass_core::http::response::Response;

/// The longest wait for what must happen. No test measures by it.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// Paths with delayed answers, each with its status and body.
pub(crate) const LATER: [(&str, u16, &str); 5] = [
    ("/later/once", 200, "once"),
    ("/later/dropped", 500, ""),
    ("/later/twice", 200, "twice"),
    ("/later/panic", 500, ""),
    ("/later/once", 200, "once"),
];

/// A service that answers with the request; some paths do something else.
#[derive(Default)]
pub(crate) struct Echo {
    pub(crate) answered: AtomicUsize,
    /// The number of requests that wait at `/gate`.
    waiting: Mutex<usize>,
    open: Mutex<bool>,
    changed: Condvar,
    parked: Mutex<Vec<DeferredReply>>,
}

impl Echo {
    /// Releases all requests at `/gate`.
    pub(crate) fn open_gate(&self) {
        *self.open.lock().unwrap() = true;
        self.changed.notify_all();
    }

    /// Returns the number of parked requests.
    pub(crate) fn parked(&self) -> usize {
        self.parked.lock().unwrap().len()
    }

    /// Answers all parked requests.
    pub(crate) fn release(&self) {
        for deferred in self.parked.lock().unwrap().drain(..) {
            deferred.resume(|reply| reply.send(Response::new(200, "text/plain", b"released".to_vec())));
        }
    }

    pub(crate) fn at_gate(&self) -> usize {
        *self.waiting.lock().unwrap()
    }
}

impl Handler for Echo {
    fn answer(self: Arc<Self>, request: Request, reply: Reply) -> Answered {
        let text = |text: &str| Response::new(200, "text/plain", text.as_bytes().to_vec());
        if !request.path().starts_with("/later/") {
            return reply.send(self.respond(&request));
        }
        let (deferred, answered) = reply.defer();
        match request.path() {
            "/later/parked" => self.parked.lock().unwrap().push(deferred),
            "/later/dropped" => drop(deferred),
            "/later/panic" => deferred.resume(|_| panic!("on purpose")),
            "/later/twice" => deferred.resume(move |reply| {
                let (deferred, answered) = reply.defer();
                std::thread::spawn(move || deferred.resume(move |reply| reply.send(text("twice"))));
                answered
            }),
            _ => {
                let _ = std::thread::spawn(move || deferred.resume(move |reply| reply.send(text("once"))));
            }
        }
        answered
    }

    fn refuse(&self, problem: Problem, language: Language) -> Response {
        problem.response(language, Time::default())
    }
}

impl Echo {
    fn respond(&self, request: &Request) -> Response {
        self.answered.fetch_add(1, Ordering::SeqCst);
        match request.path() {
            "/panic" => panic!("on purpose"),
            "/unprintable" => Response::new(200, "text/plain", Vec::new()).with("X", "a\r\nY: b"),
            "/gate" => {
                *self.waiting.lock().unwrap() += 1;
                let open = self.open.lock().unwrap();
                drop(self.changed.wait_while(open, |open| !*open).unwrap());
                Response::new(200, "text/plain", b"through".to_vec())
            }
            path => match path.strip_prefix("/bytes/").and_then(|n| n.parse().ok()) {
                Some(count) => Response::new(200, "text/plain", vec![b'x'; count]),
                None => {
                    let body = String::from_utf8_lossy(&request.body).into_owned();
                    let text = format!("{} {} {body}", request.method, request.target);
                    Response::new(200, "text/plain", text.into_bytes())
                }
            },
        }
    }
}

/// A guarded server that runs until it is dropped.
pub(crate) struct Harness {
    pub(crate) address: SocketAddr,
    pub(crate) echo: Arc<Echo>,
    pub(crate) stop: Stop,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Harness {
    pub(crate) fn open(bounds: Limits) -> Self {
        let front = Guarded::bind("127.0.0.1:0".parse().unwrap(), bounds).unwrap();
        let (address, stop, echo) = (front.local_addr(), front.stopper(), Arc::new(Echo::default()));
        let service = Arc::clone(&echo);
        let thread = Some(std::thread::spawn(move || front.run(service)));
        Self { address, echo, stop, thread }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Checks that a normal client is served.
    pub(crate) fn serves(&self) {
        assert_eq!(self.connect().get_body("/honest"), "GET /honest ");
    }

    /// Waits until the server has ended by itself.
    pub(crate) fn ended(&mut self) {
        self.thread.take().unwrap().join().unwrap().unwrap();
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        self.echo.open_gate();
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(std::thread::panicking() || matches!(ended, Ok(Ok(()))), "the front ends in peace");
        }
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn closes(&self) -> bool {
        self.head.contains("\r\nConnection: close\r\n")
    }
}

/// A client's connection.
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends as much as the peer takes. Returns true if that was all.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// Returns the next answer, or `None` if the connection ends.
    pub(crate) fn receive(&mut self) -> Option<Answer> {
        self.receive_with(true)
    }

    pub(crate) fn receive_with(&mut self, with_body: bool) -> Option<Answer> {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            match self.0.read(&mut byte) {
                Ok(1) => head.extend_from_slice(&byte),
                Ok(_) => return None,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no answer: {error}"),
            }
        }
        let head = String::from_utf8(head).unwrap();
        let status: u16 = head[9..12].parse().unwrap();
        let ids = head.lines().filter_map(|line| line.strip_prefix("x-request-id: ")).count();
        assert_eq!(ids, usize::from(status >= 200), "one id: {head}");
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let length = length.map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; if with_body { length } else { 0 }];
        self.0.read_exact(&mut body).unwrap();
        Some(Answer { status, head, body })
    }

    /// Requests `path` and returns the body of the answer, which is a 200.
    pub(crate) fn get_body(&mut self, path: &str) -> String {
        self.send(get(path));
        let answer = self.receive().expect("an answer");
        assert_eq!(answer.status, 200);
        String::from_utf8(answer.body).unwrap()
    }

    /// Returns true if nothing more comes and the peer has closed.
    pub(crate) fn is_closed(&mut self) -> bool {
        let _ = self.0.shutdown(Shutdown::Write);
        match self.0.read(&mut [0]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }
}

pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

pub(crate) fn post(fields: &str, body: &str) -> String {
    format!("POST /p HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{body}")
}

/// Waits until `condition` holds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + TIMEOUT;
    while !condition() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::yield_now();
    }
}
