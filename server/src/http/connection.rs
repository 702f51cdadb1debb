//! One connection as a state machine without I/O.
//!
//! ```text
//!            ┌────────────── answer sent, kept alive ─────────────┐
//!            ▼                                                    │
//!   idle → head → body → whole request → [service] → answer → sending → lingering → closed
//!              └──┬──┘                                  ▲
//!                 └───────────── refusal ───────────────┘
//! ```
//!
//! Time is a [`Duration`] since any fixed moment, read by the driver and never running backwards.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use gatepass_core::http::problem::Problem;
use gatepass_core::http::request::Request;
use gatepass_core::http::response::Response;

use super::Limits;
use super::caller::Caller;
use super::chunked::Chunked;
use super::head::{self, Framing, Head, Scan};
use super::response::{CONTINUE, print};

#[cfg(test)]
mod tests;

/// The most bytes that are read at once.
pub const CHUNK: usize = 16 * 1024;

/// One HTTP/1.1 connection, from its first byte to its last.
///
/// A driver calls, in a loop:
///
/// 1. [`next_action`](Self::next_action), and does it;
/// 2. [`output`](Self::output), writes what it can, reports it with [`sent`](Self::sent), and starts again;
/// 3. [`is_shut`](Self::is_shut): the writing side of the socket must be shut down;
///    [`is_closed`](Self::is_closed): the socket must be closed;
/// 4. reads at most [`read_capacity`](Self::read_capacity) bytes into [`receive`](Self::receive), or calls
///    [`end`](Self::end) at the end of input. A capacity of 0 means not to read: a request is being answered.
///
/// When [`deadline`](Self::deadline) has come, it calls [`handle_timeout`](Self::handle_timeout) and goes through the loop again.
#[derive(Debug)]
pub struct Connection {
    limits: Arc<Limits>,
    peer: IpAddr,
    local: SocketAddr,
    phase: Phase,
    /// Received and not yet understood.
    input: Vec<u8>,
    output: Vec<u8>,
    /// The number of bytes of `output` that were sent.
    sent: usize,
    deadline: Option<Duration>,
    /// True while the request clock runs.
    begun: bool,
    /// True after the first answer.
    served: bool,
    /// True if no request follows this one.
    last: bool,
    /// The peer sends nothing more.
    ended: bool,
    /// The answer is sent without its body.
    head_only: bool,
}

#[derive(Debug)]
enum Phase {
    Head(Scan),
    Body(Box<Head>, Body),
    /// Refused; the driver does not know yet.
    Refused(Problem, Caller),
    /// The driver owes an answer.
    Asked,
    Sending,
    /// Everything is sent; this many more bytes are read and discarded.
    Lingering(usize),
    Closed,
}

#[derive(Debug)]
enum Body {
    Sized(usize, Vec<u8>),
    Chunked(Chunked),
}

impl Body {
    const fn held(&self) -> usize {
        match self {
            Self::Sized(_, bytes) => bytes.capacity(),
            Self::Chunked(chunked) => chunked.held(),
        }
    }
}

/// The next action of the driver.
#[derive(Debug)]
pub enum Action {
    /// Nothing, until more bytes come, more can be written, or the deadline passes.
    Wait,
    /// Get the answer to this request, then call [`Connection::answer`].
    Request(Request),
    /// Get the answer to this refusal, then call [`Connection::answer`]. The connection ends with it.
    Refuse(Problem, Caller),
}

/// The thing that a connection waits for, while no request of it is being answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Waiting {
    /// For the peer to close; everything is sent.
    Lingering,
    /// For the first byte of a further request.
    Idle,
    /// For the first byte of all.
    New,
    /// For the rest of one.
    HalfRead,
}

impl Connection {
    /// Makes a connection from `peer`, accepted at `local` at the time `now`.
    pub fn new(limits: Arc<Limits>, peer: IpAddr, local: SocketAddr, now: Duration) -> Self {
        let deadline = Some(now + limits.idle_time);
        Self {
            limits,
            peer: peer.to_canonical(),
            local,
            phase: Phase::Head(Scan::default()),
            input: Vec::new(),
            output: Vec::new(),
            sent: 0,
            deadline,
            begun: false,
            served: false,
            last: false,
            ended: false,
            head_only: false,
        }
    }

    /// Returns the number of bytes that the driver may read now; 0 means that it must not read.
    pub fn read_capacity(&self) -> usize {
        match self.phase {
            Phase::Head(_) | Phase::Body(..) if !self.ended => {
                let room = (self.limits.head + CHUNK).saturating_sub(self.input.len());
                room.min(CHUNK)
            }
            Phase::Lingering(left) if !self.ended => left.min(CHUNK),
            Phase::Head(_) | Phase::Body(..) | Phase::Lingering(_) => 0,
            Phase::Refused(..) | Phase::Asked | Phase::Sending | Phase::Closed => 0,
        }
    }

    /// Takes bytes from the peer, at most [`read_capacity`](Self::read_capacity), and returns how many.
    pub fn receive(&mut self, bytes: &[u8]) -> usize {
        let taken = self.read_capacity().min(bytes.len());
        if let Phase::Lingering(left) = &mut self.phase {
            *left -= taken;
            if *left == 0 {
                self.close();
            }
        } else {
            self.input.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        }
        taken
    }

    /// The peer sends nothing more.
    pub fn end(&mut self) {
        self.ended = true;
        if matches!(self.phase, Phase::Lingering(_)) {
            self.close();
        }
    }

    /// Continues as far as the received bytes allow.
    pub fn next_action(&mut self, now: Duration) -> Action {
        if let Phase::Head(scan) = &mut self.phase {
            match scan.scan(&self.input, &self.limits) {
                Err(problem) => {
                    self.head_only = scan.is_head_only();
                    self.refuse(problem, Caller::default());
                }
                Ok(None) => {
                    let begun = scan.has_begun();
                    if self.ended && !begun {
                        self.close();
                    } else if self.ended {
                        self.refuse(Problem::BadHttp, Caller::default());
                    } else if begun {
                        self.begin(now);
                    }
                }
                Ok(Some((from, to))) => {
                    self.head_only = scan.is_head_only();
                    self.begin(now);
                    self.head(from, to);
                }
            }
        }
        if matches!(self.phase, Phase::Body(..))
            && let Some(request) = self.body()
        {
            return Action::Request(request);
        }
        if let Phase::Refused(problem, caller) = &mut self.phase {
            let (problem, caller) = (*problem, std::mem::take(caller));
            self.phase = Phase::Asked;
            self.last = true;
            self.deadline = None;
            self.input = Vec::new();
            return Action::Refuse(problem, caller);
        }
        Action::Wait
    }

    /// Starts the request clock, once.
    fn begin(&mut self, now: Duration) {
        if !self.begun {
            self.begun = true;
            self.deadline = Some(now + self.limits.request_time);
        }
    }

    fn refuse(&mut self, problem: Problem, caller: Caller) {
        self.phase = Phase::Refused(problem, caller);
    }

    /// Reads the head that ends at `to`, and makes room for its body.
    fn head(&mut self, from: usize, to: usize) {
        let bytes = self.input.get(from..to).unwrap_or_default();
        match head::parse(bytes, &self.limits, self.local) {
            Err(refusal) => self.refuse(refusal.problem, refusal.caller),
            Ok(head) => {
                self.input.drain(..to);
                self.last |= head.close;
                let body = match head.framing {
                    Framing::Sized(length) => Body::Sized(length, Vec::new()),
                    Framing::Chunked => Body::Chunked(Chunked::new()),
                };
                self.phase = Phase::Body(Box::new(head), body);
            }
        }
    }

    /// Decodes the received part of the body; returns the request when it is whole.
    fn body(&mut self) -> Option<Request> {
        let Phase::Body(head, body) = &mut self.phase else { return None };
        let (used, whole) = match body {
            Body::Sized(length, bytes) => {
                let used = self.input.len().min(*length - bytes.len());
                bytes.extend_from_slice(self.input.get(..used).unwrap_or_default());
                (used, bytes.len() == *length)
            }
            Body::Chunked(chunked) => match chunked.decode(&self.input, &self.limits) {
                Ok(used) => (used, chunked.is_whole()),
                Err(problem) => {
                    let caller = head.caller.clone();
                    self.refuse(problem, caller);
                    return None;
                }
            },
        };
        if used == self.input.len() {
            self.input = Vec::new();
        } else {
            self.input.drain(..used);
        }
        if !whole {
            if self.ended {
                let caller = head.caller.clone();
                self.refuse(Problem::BadHttp, caller);
            } else if std::mem::take(&mut head.expects_continue) {
                self.output.extend_from_slice(CONTINUE);
            }
            return None;
        }
        self.deadline = None;
        let Phase::Body(head, body) = std::mem::replace(&mut self.phase, Phase::Asked) else { return None };
        let Head { method, target, headers, .. } = *head;
        let body = match body {
            Body::Sized(_, bytes) => bytes,
            Body::Chunked(chunked) => chunked.into_body(),
        };
        Some(Request { method, target, headers, body, peer: self.peer })
    }

    /// Takes the answer to the last [`Action`]. `date` is an IMF-fixdate. Ignored if nothing was asked, or if the
    /// connection has ended since.
    pub fn answer(&mut self, response: &Response, date: &str, now: Duration) {
        if matches!(self.phase, Phase::Asked) {
            print(&mut self.output, response, date, self.last, !self.head_only);
            self.phase = Phase::Sending;
            self.deadline = Some(now + self.limits.answer_time);
        }
    }

    /// Returns the bytes for the peer. A whole answer is one piece.
    pub fn output(&self) -> &[u8] {
        self.output.get(self.sent..).unwrap_or_default()
    }

    /// Records that the first `count` bytes of the output were sent.
    pub fn sent(&mut self, count: usize, now: Duration) {
        self.sent += count;
        if self.sent < self.output.len() {
            return;
        }
        self.output = Vec::new();
        self.sent = 0;
        if !matches!(self.phase, Phase::Sending) {
            return;
        }
        if self.last && self.ended {
            self.close();
        } else if self.last {
            self.input = Vec::new();
            self.phase = Phase::Lingering(self.limits.linger_bytes);
            self.deadline = Some(now + self.limits.linger_time);
        } else {
            self.phase = Phase::Head(Scan::default());
            self.deadline = Some(now + self.limits.idle_time);
            self.begun = false;
            self.served = true;
            self.head_only = false;
        }
    }

    /// Returns when to call [`Self::handle_timeout`]; none while the service works.
    pub const fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Ends what has timed out at `now`: half a request is refused, anything else is closed.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.deadline.is_none_or(|deadline| deadline > now) {
            return;
        }
        match &self.phase {
            Phase::Head(scan) if self.begun => {
                self.head_only = scan.is_head_only();
                self.refuse(Problem::RequestTimeout, Caller::default());
            }
            Phase::Body(head, _) => {
                let caller = head.caller.clone();
                self.refuse(Problem::RequestTimeout, caller);
            }
            Phase::Refused(..) | Phase::Asked => {}
            Phase::Head(_) | Phase::Sending | Phase::Lingering(_) | Phase::Closed => self.close(),
        }
    }

    /// Begins to stop: an idle connection ends now, any other with its answer.
    pub fn drain(&mut self) {
        self.last = true;
        if matches!(self.phase, Phase::Head(_)) && !self.begun {
            self.close();
        }
    }

    /// Returns what the connection waits for, and since when; none while the service works.
    pub fn waiting(&self) -> Option<(Waiting, Duration)> {
        let deadline = self.deadline?;
        let (why, time) = match self.phase {
            Phase::Head(_) if !self.begun && self.served => (Waiting::Idle, self.limits.idle_time),
            Phase::Head(_) if !self.begun => (Waiting::New, self.limits.idle_time),
            Phase::Head(_) | Phase::Body(..) => (Waiting::HalfRead, self.limits.request_time),
            Phase::Lingering(_) => (Waiting::Lingering, self.limits.linger_time),
            Phase::Refused(..) | Phase::Asked | Phase::Sending | Phase::Closed => return None,
        };
        Some((why, deadline.saturating_sub(time)))
    }

    /// Closes the connection now, and frees its memory.
    pub fn close(&mut self) {
        self.phase = Phase::Closed;
        self.deadline = None;
        self.input = Vec::new();
        self.output = Vec::new();
        self.sent = 0;
    }

    /// Returns true if everything is sent, so that the writing side must be shut down.
    pub const fn is_shut(&self) -> bool {
        matches!(self.phase, Phase::Lingering(_))
    }

    /// Returns true if the socket must be closed.
    pub const fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// Returns the bytes of memory held for this connection, besides the value itself and a parsed head.
    pub const fn held(&self) -> usize {
        let body = if let Phase::Body(_, body) = &self.phase { body.held() } else { 0 };
        self.input.capacity() + self.output.capacity() + body
    }
}
