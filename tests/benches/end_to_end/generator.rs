//! Clients with keep-alive connections, all driven by one thread: each sends a request as soon as it has its answer.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

/// With this many connections or more, the generator polls for answers at intervals, so that its own cost is the same for
/// fast and for slow answers. The interval adds to their latencies.
const MANY: usize = 32;
const PACE: Duration = Duration::from_micros(250);

/// Requests as bytes, and how to send them.
pub(crate) struct Load<'a> {
    pub(crate) address: SocketAddr,
    /// Each is sent once, or all of them repeatedly.
    pub(crate) requests: &'a [Vec<u8>],
    /// The number of requests to send.
    pub(crate) count: usize,
    pub(crate) connections: usize,
    /// True to keep the answers' bodies.
    pub(crate) keep: bool,
}

/// The result of a load.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) wall: Duration,
    /// The latency of every request in microseconds, sorted.
    pub(crate) latencies: Vec<u32>,
    pub(crate) bodies: Vec<Vec<u8>>,
    /// The size of the last answer's body in bytes.
    pub(crate) body_bytes: usize,
}

impl Outcome {
    /// Returns the requests per second.
    pub(crate) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.wall.as_secs_f64()
    }

    /// Returns the latency in milliseconds that `share` of the requests stayed within.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let at = ((self.latencies.len() as f64 * share) as usize).min(self.latencies.len() - 1);
        f64::from(self.latencies[at]) / 1000.0
    }
}

struct Client {
    stream: TcpStream,
    input: Vec<u8>,
    since: Instant,
    busy: bool,
}

impl Load<'_> {
    /// Sends everything and waits for every answer, each of which must be a 200.
    pub(crate) fn run(&self) -> Outcome {
        let mut poll = Poll::new().expect("a poll");
        let mut clients: Vec<Client> = (0..self.connections)
            .map(|number| {
                let stream = std::net::TcpStream::connect(self.address).expect("the server accepts");
                stream.set_nodelay(true).expect("a socket option");
                stream.set_nonblocking(true).expect("a socket option");
                let mut stream = TcpStream::from_std(stream);
                poll.registry()
                    .register(&mut stream, Token(number), Interest::READABLE)
                    .expect("a place in the poll");
                Client { stream, input: Vec::new(), since: Instant::now(), busy: false }
            })
            .collect();
        let mut outcome = Outcome { latencies: Vec::with_capacity(self.count), ..Outcome::default() };
        let mut to_send = self.requests.iter().cycle().take(self.count);
        let begin = Instant::now();
        for client in &mut clients {
            client.send(to_send.next());
        }
        let mut events = Events::with_capacity(1024);
        while outcome.latencies.len() < self.count {
            if self.connections >= MANY {
                std::thread::sleep(PACE);
            }
            poll.poll(&mut events, Some(Duration::from_secs(30))).expect("readiness");
            assert!(!events.is_empty(), "no answer for half a minute");
            for event in &events {
                let client = &mut clients[event.token().0];
                client.read();
                if let Some((head, length)) = client.answer() {
                    outcome.latencies.push(client.since.elapsed().as_micros().try_into().unwrap_or(u32::MAX));
                    outcome.body_bytes = length;
                    if self.keep {
                        outcome.bodies.push(client.input[head..head + length].to_vec());
                    }
                    client.input.clear();
                    client.send(to_send.next());
                }
            }
        }
        outcome.wall = begin.elapsed();
        outcome.latencies.sort_unstable();
        outcome
    }
}

impl Client {
    /// Sends a request; a small one always fits.
    fn send(&mut self, request: Option<&Vec<u8>>) {
        self.busy = request.is_some();
        if let Some(request) = request {
            self.since = Instant::now();
            let sent = self.stream.write(request).expect("the server reads");
            assert_eq!(sent, request.len(), "a request fits into an empty socket");
        }
    }

    fn read(&mut self) {
        let mut chunk = [0; 8192];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) if self.busy => panic!("the server hung up: {}", String::from_utf8_lossy(&self.input)),
                Ok(0) => return,
                Ok(count) => {
                    self.input.extend_from_slice(&chunk[..count]);
                    // Data after a short read is another event.
                    if count < chunk.len() {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Returns the start and the length of the body of a whole answer.
    fn answer(&self) -> Option<(usize, usize)> {
        const LENGTH: &[u8] = b"Content-Length: ";
        let head = find(&self.input, b"\r\n\r\n")? + 4;
        assert!(
            self.input.starts_with(b"HTTP/1.1 200 "),
            "not welcome: {}",
            String::from_utf8_lossy(&self.input)
        );
        let digits = &self.input[find(&self.input[..head], LENGTH).expect("a length") + LENGTH.len()..head];
        let length =
            digits.iter().take_while(|b| b.is_ascii_digit()).fold(0, |n, b| n * 10 + usize::from(b - b'0'));
        (self.input.len() >= head + length).then_some((head, length))
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
