//! A service to stand behind a front, and a client to knock.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gatepass::front::guarded::{Guarded, Stop};
use gatepass::front::{Answered, Bounds, Later, Reply, Service};
use gatepass_core::base::time::Time;
use gatepass_core::http::language::Language;
use gatepass_core::http::problem::Problem;
use gatepass_core::http::request::Request;
use gatepass_core::http::response::Response;

/// A bound on how long a test waits for what must happen; nothing is measured by it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Paths that are answered later, each with its status and body.
pub(crate) const LATER: [(&str, u16, &str); 5] = [
    ("/later/once", 200, "once"),
    ("/later/dropped", 500, ""),
    ("/later/twice", 200, "twice"),
    ("/later/panic", 500, ""),
    ("/later/once", 200, "once"),
];

/// Answers with what it was asked; some paths do something else.
#[derive(Default)]
pub(crate) struct Echo {
    pub(crate) answered: AtomicUsize,
    /// How many are waiting at `/gate`.
    waiting: Mutex<usize>,
    open: Mutex<bool>,
    changed: Condvar,
    parked: Mutex<Vec<Later>>,
}

impl Echo {
    /// Lets everybody at `/gate` go on.
    pub(crate) fn open_gate(&self) {
        *self.open.lock().unwrap() = true;
        self.changed.notify_all();
    }

    /// How many are parked.
    pub(crate) fn parked(&self) -> usize {
        self.parked.lock().unwrap().len()
    }

    /// Answers whoever is parked.
    pub(crate) fn release(&self) {
        for later in self.parked.lock().unwrap().drain(..) {
            later.go_on(|reply| reply.now(Response::new(200, "text/plain", b"released".to_vec())));
        }
    }

    pub(crate) fn at_gate(&self) -> usize {
        *self.waiting.lock().unwrap()
    }
}

impl Service for Echo {
    fn answer(self: Arc<Self>, request: Request, reply: Reply) -> Answered {
        let text = |text: &str| Response::new(200, "text/plain", text.as_bytes().to_vec());
        if !request.path().starts_with("/later/") {
            return reply.now(self.respond(&request));
        }
        let (later, answered) = reply.later();
        match request.path() {
            "/later/parked" => self.parked.lock().unwrap().push(later),
            "/later/dropped" => drop(later),
            "/later/panic" => later.go_on(|_| panic!("on purpose")),
            "/later/twice" => later.go_on(move |reply| {
                let (later, answered) = reply.later();
                std::thread::spawn(move || later.go_on(move |reply| reply.now(text("twice"))));
                answered
            }),
            _ => {
                let _ = std::thread::spawn(move || later.go_on(move |reply| reply.now(text("once"))));
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

/// A guarded front that serves until it is dropped.
pub(crate) struct House {
    pub(crate) address: SocketAddr,
    pub(crate) echo: Arc<Echo>,
    pub(crate) stop: Stop,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl House {
    pub(crate) fn open(bounds: Bounds) -> Self {
        let front = Guarded::bind("127.0.0.1:0".parse().unwrap(), bounds).unwrap();
        let (address, stop, echo) = (front.local_addr(), front.stopper(), Arc::new(Echo::default()));
        let service = Arc::clone(&echo);
        let thread = Some(std::thread::spawn(move || front.run(service)));
        Self { address, echo, stop, thread }
    }

    pub(crate) fn knock(&self) -> Client {
        Client::connect(self.address)
    }

    /// An honest client is served.
    pub(crate) fn serves(&self) {
        assert_eq!(self.knock().asks("/honest"), "GET /honest ");
    }

    /// Waits until the front has ended by itself.
    pub(crate) fn ended(&mut self) {
        self.thread.take().unwrap().join().unwrap().unwrap();
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.echo.open_gate();
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(std::thread::panicking() || matches!(ended, Ok(Ok(()))), "the front ends in peace");
        }
    }
}

/// One answer.
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

/// A connection on the other side.
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends as much as is taken; whether it was all.
    pub(crate) fn pour(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// The next answer, or none where the connection ends.
    pub(crate) fn hear(&mut self) -> Option<Answer> {
        self.hear_to(true)
    }

    pub(crate) fn hear_to(&mut self, with_body: bool) -> Option<Answer> {
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
        let status = head[9..12].parse().unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let length = length.map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; if with_body { length } else { 0 }];
        self.0.read_exact(&mut body).unwrap();
        Some(Answer { status, head, body })
    }

    /// Asks for `path` and gives the body of the answer, which is a 200.
    pub(crate) fn asks(&mut self, path: &str) -> String {
        self.send(get(path));
        let answer = self.hear().expect("an answer");
        assert_eq!(answer.status, 200);
        String::from_utf8(answer.body).unwrap()
    }

    /// Nothing more comes, and the other side is closed.
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
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::yield_now();
    }
}
