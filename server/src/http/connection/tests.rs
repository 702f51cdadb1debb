//! Tables of bytes and their meaning, cut into pieces in every way.
//!
//! Here is the driver that records a connection's story; the tables are in `head`, `body` and `life`.

use std::fmt::Write;

use gatepass_core::http::language::Language;

use super::*;

mod any_bytes;
mod body;
mod head;
mod life;

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const T0: Duration = Duration::from_secs(100);

fn limits() -> Limits {
    let limits = Limits::default();
    limits.hosts.set(vec!["sso.example".into(), "a".into(), "[::1]".into()]);
    limits
}

fn connection(limits: &Limits) -> Connection {
    Connection::new(Arc::new(limits.clone()), PEER, "192.0.2.9:8080".parse().unwrap(), T0)
}

/// A driver that answers everything with 200, sends every byte and records what happens.
struct Driver {
    connection: Connection,
    limits: Limits,
    log: String,
    wire: Vec<u8>,
}

impl Driver {
    fn new(limits: &Limits) -> Self {
        let limits = limits.clone();
        Self { connection: connection(&limits), limits, log: String::new(), wire: Vec::new() }
    }

    fn settle(&mut self, now: Duration) {
        for _ in 0..100_000 {
            let output = self.connection.output().to_vec();
            if !output.is_empty() {
                self.wire.extend_from_slice(&output);
                self.connection.sent(output.len(), now);
            }
            let most = 4 * (self.limits.head + CHUNK + self.limits.body);
            assert!(self.connection.held() <= most, "{} bytes held", self.connection.held());
            match self.connection.next_action(now) {
                Action::Wait if self.connection.output().is_empty() => return,
                Action::Wait => {}
                Action::Request(request) => {
                    assert!(request.body.len() <= self.limits.body);
                    assert_eq!(request.peer, PEER);
                    assert_eq!(self.connection.read_capacity(), 0, "one request in flight");
                    let body = if request.body.len() > 40 {
                        format!("{} bytes", request.body.len())
                    } else {
                        String::from_utf8_lossy(&request.body).into_owned()
                    };
                    writeln!(self.log, "{} {} {body:?}", request.method, request.target).unwrap();
                    self.connection.answer(&Response::new(200, "text/plain", b"ok".to_vec()), "D", now);
                }
                Action::Refuse(problem, _) => {
                    writeln!(self.log, "{}", problem.status()).unwrap();
                    let response = problem.response(Language::English, Default::default());
                    self.connection.answer(&response, "D", now);
                }
            }
        }
        panic!("a connection that never comes to rest");
    }

    fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.connection.read_capacity() > 0 {
            let taken = self.connection.receive(bytes);
            assert!(taken > 0);
            bytes = &bytes[taken..];
            self.settle(T0);
        }
    }

    /// Returns what happened, and the final state.
    fn story(mut self) -> String {
        self.log += match self.connection.waiting() {
            Some((Waiting::Idle | Waiting::New, _)) => "idle",
            Some((Waiting::HalfRead, _)) => "half",
            Some((Waiting::Lingering, _)) => "close",
            None if self.connection.is_closed() => "closed",
            None => "busy",
        };
        self.log.replace('\n', "; ")
    }
}

fn told(limits: &Limits, pieces: &[&[u8]]) -> String {
    let mut driver = Driver::new(limits);
    for piece in pieces {
        driver.feed(piece);
    }
    driver.story()
}

/// Returns the story of `bytes`, the same whole, byte by byte and cut in two at any point (up to a limit, if long).
fn story(limits: &Limits, bytes: &[u8]) -> String {
    let whole = told(limits, &[bytes]);
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(told(limits, &single), whole, "byte by byte: {:?}", String::from_utf8_lossy(bytes));
    let step = (bytes.len() / 600).max(1);
    for at in (1..bytes.len()).step_by(step) {
        let (a, b) = bytes.split_at(at);
        assert_eq!(told(limits, &[a, b]), whole, "cut at {at}: {:?}", String::from_utf8_lossy(bytes));
    }
    whole
}

fn check(cases: &[(&str, &str)]) {
    for (bytes, expected) in cases {
        assert_eq!(story(&limits(), bytes.as_bytes()), *expected, "{bytes:?}");
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
