//! The readiness loop: connections with their events and deadlines.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Registry, Token};

use super::super::connection::{Connection, Waiting};
use super::super::response::Date;
use super::super::{FrontMeasures, Handler, Limits};
use super::listener::{Accepted, Listener};
use super::shared_connection::{Driven, Driver, SharedConnection, scratch};
use super::workers::{Pool, ReadyList};
use super::{Clock, LISTENER, Stop, WAKE};

/// Connections accepted before the others get their turn.
const ACCEPTS_AT_ONCE: usize = 128;

/// The pause in accepting after an error, or when every connection is busy.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The time that a connection has for its request before it may be closed to make room for another. In a rush, this
/// prevents new connections from closing each other.
const GRACE: Duration = Duration::from_millis(250);

/// The state of the watching thread.
pub(super) struct EventLoop {
    limits: Arc<Limits>,
    listener: Listener,
    pool: Pool,
    handler: Arc<dyn Handler>,
    ready_list: Arc<ReadyList>,
    clock: Clock,
    /// Connections by number; the numbers of empty places are in `free`.
    entries: Vec<Option<Entry>>,
    free: Vec<usize>,
    /// The times to check connections; one entry each, never later than its deadline.
    timers: BTreeSet<(Duration, usize)>,
    date: Date,
    scratch: Box<[u8]>,
    /// A connection that was accepted and waits until another has had its answer.
    accepted: Option<(TcpStream, SocketAddr)>,
    /// True if a connection may be waiting to be accepted.
    may_accept: bool,
    /// No connection is accepted before this time.
    accept_after: Duration,
    /// The log gets no further line about refused connections before this time.
    warn_after: Duration,
    /// While stopping: the time at which the remaining connections are closed.
    drain: Option<Duration>,
    measures: Arc<FrontMeasures>,
}

struct Entry {
    shared: Arc<SharedConnection>,
    /// The address it counts for.
    address: Option<IpAddr>,
}

impl EventLoop {
    pub(super) fn new(
        limits: Arc<Limits>,
        listener: Listener,
        pool: Pool,
        handler: Arc<dyn Handler>,
        ready_list: Arc<ReadyList>,
        clock: Clock,
        measures: Arc<FrontMeasures>,
    ) -> Self {
        Self {
            limits,
            listener,
            pool,
            handler,
            ready_list,
            clock,
            entries: Vec::new(),
            free: Vec::new(),
            timers: BTreeSet::new(),
            date: Date::default(),
            scratch: scratch(),
            accepted: None,
            may_accept: true,
            accept_after: Duration::ZERO,
            warn_after: Duration::ZERO,
            drain: None,
            measures,
        }
    }

    /// Serves until stopped and drained.
    pub(super) fn run(&mut self, mut poll: Poll, stop: &Stop) -> io::Result<()> {
        let mut events = Events::with_capacity(256);
        loop {
            match poll.poll(&mut events, self.poll_timeout()) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.pool.close(false);
                    return Err(error);
                }
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.may_accept = true,
                    WAKE => {}
                    Token(number) => self.event(number, event),
                }
            }
            for number in self.ready_list.take() {
                self.check(number);
            }
            let now = self.clock.now();
            while let Some((_, number)) = self.timers.first().filter(|(when, _)| *when <= now).copied() {
                self.check(number);
            }
            if stop.is_asked() && self.drain.is_none() {
                self.begin_drain(now);
            }
            if let Some(end) = self.drain
                && (self.open() == 0 || end <= now)
            {
                self.pool.close(self.open() == 0);
                return Ok(());
            }
            if self.may_accept && self.accept_after <= now {
                self.accept_all(poll.registry());
            }
        }
    }

    /// Returns how long to wait for events.
    fn poll_timeout(&self) -> Option<Duration> {
        let timer = self.timers.first().map(|(when, _)| *when);
        let listener = self.may_accept.then_some(self.accept_after);
        let next = [timer, listener, self.drain].into_iter().flatten().min()?;
        Some(next.saturating_sub(self.clock.now()))
    }

    fn open(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    fn shared(&self, number: usize) -> Option<Arc<SharedConnection>> {
        Some(Arc::clone(&self.entries.get(number)?.as_ref()?.shared))
    }

    /// Handles a socket that can be read or written.
    fn event(&mut self, number: usize, event: &Event) {
        let Some(shared) = self.shared(number) else { return };
        let hung_up = event.is_read_closed() || event.is_error();
        shared.lock().ready(event.is_readable() || hung_up, hung_up);
        self.drive(number, &shared);
    }

    /// Drives a connection until it waits, ends, or has a whole request.
    fn drive(&mut self, number: usize, shared: &Arc<SharedConnection>) {
        let now = self.clock.now();
        let mut locked = shared.lock();
        let mut driver =
            Driver { handler: &*self.handler, date: &mut self.date, scratch: &mut self.scratch, now };
        match locked.drive(&mut driver) {
            Driven::HasRequest(request) => {
                drop(locked);
                self.pool.submit(request, shared, number);
            }
            Driven::Closed => {
                let check_at = locked.check_at;
                drop(locked);
                self.remove(number, check_at);
            }
            Driven::Parked => {
                if let Some(deadline) =
                    locked.connection.deadline().filter(|deadline| *deadline < locked.check_at)
                {
                    self.timers.remove(&(locked.check_at, number));
                    self.timers.insert((deadline, number));
                    locked.check_at = deadline;
                }
            }
        }
    }

    /// Checks a connection that a worker has returned, or whose timer has run out.
    fn check(&mut self, number: usize) {
        let Some(shared) = self.shared(number) else { return };
        let now = self.clock.now();
        let mut locked = shared.lock();
        locked.connection.handle_timeout(now);
        if locked.check_at <= now {
            // While the service works there is no deadline. A later deadline is never before this, or the worker says
            // so.
            let next =
                locked.connection.deadline().unwrap_or(now + self.limits.idle_time).max(now + LEAST_PAUSE);
            self.timers.remove(&(locked.check_at, number));
            self.timers.insert((next, number));
            locked.check_at = next;
        }
        drop(locked);
        self.drive(number, &shared);
    }

    /// Accepts the connections that wait.
    fn accept_all(&mut self, registry: &Registry) {
        for _ in 0..ACCEPTS_AT_ONCE {
            let (socket, peer) =
                match self.accepted.take().map_or_else(|| self.listener.accept(), Accepted::from) {
                    Accepted::Connection(socket, peer) => (socket, peer),
                    Accepted::Lost => continue,
                    Accepted::NoneWaiting => {
                        self.may_accept = false;
                        return;
                    }
                    Accepted::NoDescriptor => {
                        self.warn_not_accepted("the process has no descriptor for a new connection");
                        if self.make_room(None) {
                            continue;
                        }
                        self.accept_after = self.clock.now() + ACCEPT_PAUSE;
                        return;
                    }
                    Accepted::Failed(error) => {
                        self.warn_not_accepted(&error.to_string());
                        self.accept_after = self.clock.now() + ACCEPT_PAUSE;
                        return;
                    }
                };
            if self.open() >= self.limits.connections && !self.make_room(None) {
                self.accepted = Some((socket, peer));
                self.accept_after = self.clock.now() + ACCEPT_PAUSE;
                return;
            }
            self.insert(socket, peer, registry);
        }
    }

    /// Logs why no connection is accepted, at most once a second.
    fn warn_not_accepted(&mut self, why: &str) {
        let now = self.clock.now();
        if self.warn_after <= now {
            self.warn_after = now + Duration::from_secs(1);
            tracing::warn!(why, connections = self.open(), "a connection cannot be accepted");
        }
    }

    /// Adds a new connection, and reads its first bytes.
    fn insert(&mut self, mut socket: TcpStream, peer: SocketAddr, registry: &Registry) {
        let address = self.listener.counts_for(peer.ip());
        if let Some(address) = address
            && self.listener.is_full_for(address)
            && !self.make_room(Some(address))
        {
            self.measures.turned_away.add();
            return;
        }
        let number = self.free.last().copied().unwrap_or(self.entries.len());
        let interest = Interest::READABLE | Interest::WRITABLE;
        let (Ok(local), Ok(())) =
            (socket.local_addr(), registry.register(&mut socket, Token(number), interest))
        else {
            return;
        };
        let now = self.clock.now();
        let connection = Connection::new(Arc::clone(&self.limits), peer.ip(), local, now);
        let check_at = connection.deadline().unwrap_or(now);
        let shared = Arc::new(SharedConnection::new(socket, connection));
        shared.lock().check_at = check_at;
        self.timers.insert((check_at, number));
        self.listener.enter(address);
        let entry = Some(Entry { shared: Arc::clone(&shared), address });
        if let (Some(_), Some(empty)) = (self.free.pop(), self.entries.get_mut(number)) {
            *empty = entry;
        } else {
            self.entries.push(entry);
        }
        self.measures.connections.set(self.open());
        self.drive(number, &shared);
    }

    /// Closes the connection that has waited longest: one that is over, else an idle one, else a half-read one; only of
    /// `address`, if given. Returns false if there is none.
    fn make_room(&mut self, address: Option<IpAddr>) -> bool {
        let now = self.clock.now();
        let entries =
            self.entries.iter().enumerate().filter_map(|(number, entry)| Some((number, entry.as_ref()?)));
        let oldest = entries
            .filter(|(_, entry)| address.is_none() || entry.address == address)
            .filter_map(|(number, entry)| {
                let (why, since) = entry.shared.lock().connection.waiting()?;
                let (order, grace) = match why {
                    Waiting::Lingering => (0, Duration::ZERO),
                    Waiting::Idle => (1, Duration::ZERO),
                    Waiting::New => (1, GRACE),
                    Waiting::HalfRead => (2, GRACE),
                };
                (since + grace <= now).then_some((order, since, number))
            })
            .min();
        let Some((_, _, number)) = oldest else { return false };
        if let Some(shared) = self.shared(number) {
            let mut locked = shared.lock();
            locked.close();
            let check_at = locked.check_at;
            drop(locked);
            self.remove(number, check_at);
            self.measures.closed_for_others.add();
        }
        true
    }

    /// Removes a connection that is over.
    fn remove(&mut self, number: usize, check_at: Duration) {
        self.timers.remove(&(check_at, number));
        if let Some(entry) = self.entries.get_mut(number).and_then(Option::take) {
            self.listener.leave(entry.address);
            self.free.push(number);
            self.measures.connections.set(self.open());
        }
    }

    /// Stops accepting. Idle connections end now; those that wait for an answer get it.
    fn begin_drain(&mut self, now: Duration) {
        self.drain = Some(now + self.limits.drain_time);
        self.accepted = None;
        self.may_accept = false;
        for number in 0..self.entries.len() {
            if let Some(shared) = self.shared(number) {
                shared.lock().connection.drain();
                self.drive(number, &shared);
            }
        }
        // Last: when the socket is shut, no connection inside is kept any more.
        self.listener.shut();
    }
}

/// The shortest time between two checks of one connection.
const LEAST_PAUSE: Duration = Duration::from_millis(1);
