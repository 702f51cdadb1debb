//! The readiness loop: who may speak, and until when.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Registry, Token};

use super::super::answer::Date;
use super::super::connection::{Connection, Waiting};
use super::super::{Bounds, Service};
use super::door::{Door, Knock};
use super::slot::{Driven, Driver, Slot, scratch};
use super::workers::{Pool, Returns};
use super::{CALL, Clock, DOOR, Stop};

/// Connections let in before the others are looked after again.
const GUESTS_AT_ONCE: usize = 128;

/// How long nobody is let in after that failed, or when everybody inside is busy.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a connection may take to bring its request before it has to make room for another. In a rush, this is
/// what keeps newcomers from throwing each other out.
const GRACE: Duration = Duration::from_millis(250);

/// Everything the watching thread knows.
pub(super) struct Watch {
    bounds: Arc<Bounds>,
    door: Door,
    pool: Pool,
    service: Arc<dyn Service>,
    returns: Arc<Returns>,
    clock: Clock,
    /// Connections by number; the numbers of empty places are in `free`.
    places: Vec<Option<Place>>,
    free: Vec<usize>,
    /// When to look at which connection; one entry each, never later than its deadline.
    timers: BTreeSet<(Duration, usize)>,
    date: Date,
    scratch: Box<[u8]>,
    /// Accepted, and waiting until one of the others has had its answer.
    guest: Option<(TcpStream, SocketAddr)>,
    /// Somebody may be at the door.
    knocked: bool,
    /// Nobody is let in before.
    pause: Duration,
    /// The log is not told before that nobody can be let in.
    complain_at: Duration,
    /// When stopping: the end of patience.
    drain: Option<Duration>,
}

struct Place {
    slot: Arc<Slot>,
    /// Whom it counts for.
    address: Option<IpAddr>,
}

impl Watch {
    pub(super) fn new(
        bounds: Arc<Bounds>,
        door: Door,
        pool: Pool,
        service: Arc<dyn Service>,
        returns: Arc<Returns>,
        clock: Clock,
    ) -> Self {
        Self {
            bounds,
            door,
            pool,
            service,
            returns,
            clock,
            places: Vec::new(),
            free: Vec::new(),
            timers: BTreeSet::new(),
            date: Date::default(),
            scratch: scratch(),
            guest: None,
            knocked: true,
            pause: Duration::ZERO,
            complain_at: Duration::ZERO,
            drain: None,
        }
    }

    /// Serves until stopped and drained.
    pub(super) fn run(&mut self, mut poll: Poll, stop: &Stop) -> io::Result<()> {
        let mut events = Events::with_capacity(256);
        loop {
            match poll.poll(&mut events, self.patience()) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.pool.close(false);
                    return Err(error);
                }
            }
            for event in &events {
                match event.token() {
                    DOOR => self.knocked = true,
                    CALL => {}
                    Token(number) => self.event(number, event),
                }
            }
            for number in self.returns.take() {
                self.look(number);
            }
            let now = self.clock.now();
            while let Some((_, number)) = self.timers.first().filter(|(when, _)| *when <= now).copied() {
                self.look(number);
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
            if self.knocked && self.pause <= now {
                self.admit(poll.registry());
            }
        }
    }

    /// How long to wait for events.
    fn patience(&self) -> Option<Duration> {
        let timer = self.timers.first().map(|(when, _)| *when);
        let door = self.knocked.then_some(self.pause);
        let next = [timer, door, self.drain].into_iter().flatten().min()?;
        Some(next.saturating_sub(self.clock.now()))
    }

    fn open(&self) -> usize {
        self.places.len() - self.free.len()
    }

    fn slot(&self, number: usize) -> Option<Arc<Slot>> {
        Some(Arc::clone(&self.places.get(number)?.as_ref()?.slot))
    }

    /// A socket can be read or written.
    fn event(&mut self, number: usize, event: &Event) {
        let Some(slot) = self.slot(number) else { return };
        let hung_up = event.is_read_closed() || event.is_error();
        slot.lock().ready(event.is_readable() || hung_up, hung_up);
        self.drive(number, &slot);
    }

    /// Drives a connection until it waits, ends, or has a whole request.
    fn drive(&mut self, number: usize, slot: &Arc<Slot>) {
        let now = self.clock.now();
        let mut seat = slot.lock();
        let mut driver =
            Driver { service: &*self.service, date: &mut self.date, scratch: &mut self.scratch, now };
        match seat.drive(&mut driver) {
            Driven::Asks(request) => {
                drop(seat);
                self.pool.ask(request, slot, number);
            }
            Driven::Closed => {
                let watched = seat.watched;
                drop(seat);
                self.forget(number, watched);
            }
            Driven::Parked => {
                if let Some(deadline) = seat.connection.deadline().filter(|deadline| *deadline < seat.watched)
                {
                    self.timers.remove(&(seat.watched, number));
                    self.timers.insert((deadline, number));
                    seat.watched = deadline;
                }
            }
        }
    }

    /// Looks after a connection that a worker has given back or whose timer has run out.
    fn look(&mut self, number: usize) {
        let Some(slot) = self.slot(number) else { return };
        let now = self.clock.now();
        let mut seat = slot.lock();
        seat.connection.expire(now);
        if seat.watched <= now {
            // While the service is at work there is no deadline. A later one is never before this, or the worker says
            // so.
            let next = seat.connection.deadline().unwrap_or(now + self.bounds.idle_time).max(now + TICK);
            self.timers.remove(&(seat.watched, number));
            self.timers.insert((next, number));
            seat.watched = next;
        }
        drop(seat);
        self.drive(number, &slot);
    }

    /// Lets in whoever is at the door.
    fn admit(&mut self, registry: &Registry) {
        for _ in 0..GUESTS_AT_ONCE {
            let (socket, peer) = match self.guest.take().map_or_else(|| self.door.knock(), Knock::from) {
                Knock::Guest(socket, peer) => (socket, peer),
                Knock::Lost => continue,
                Knock::Quiet => {
                    self.knocked = false;
                    return;
                }
                Knock::Full => {
                    self.complain("the process has no descriptor for a new connection");
                    if self.make_room(None) {
                        continue;
                    }
                    self.pause = self.clock.now() + PAUSE;
                    return;
                }
                Knock::Failed(error) => {
                    self.complain(&error.to_string());
                    self.pause = self.clock.now() + PAUSE;
                    return;
                }
            };
            if self.open() >= self.bounds.connections && !self.make_room(None) {
                self.guest = Some((socket, peer));
                self.pause = self.clock.now() + PAUSE;
                return;
            }
            self.seat(socket, peer, registry);
        }
    }

    /// Logs why nobody can be let in, at most once a second.
    fn complain(&mut self, why: &str) {
        let now = self.clock.now();
        if self.complain_at <= now {
            self.complain_at = now + Duration::from_secs(1);
            tracing::warn!(why, connections = self.open(), "a connection cannot be accepted");
        }
    }

    /// Gives a new connection its place, and reads what it has brought.
    fn seat(&mut self, mut socket: TcpStream, peer: SocketAddr, registry: &Registry) {
        let address = self.door.counts_for(peer.ip());
        if let Some(address) = address
            && self.door.is_full_for(address)
            && !self.make_room(Some(address))
        {
            return;
        }
        let number = self.free.last().copied().unwrap_or(self.places.len());
        let interest = Interest::READABLE | Interest::WRITABLE;
        let (Ok(local), Ok(())) =
            (socket.local_addr(), registry.register(&mut socket, Token(number), interest))
        else {
            return;
        };
        let now = self.clock.now();
        let connection = Connection::new(Arc::clone(&self.bounds), peer.ip(), local, now);
        let watched = connection.deadline().unwrap_or(now);
        let slot = Arc::new(Slot::new(socket, connection));
        slot.lock().watched = watched;
        self.timers.insert((watched, number));
        self.door.enter(address);
        let place = Some(Place { slot: Arc::clone(&slot), address });
        if let (Some(_), Some(empty)) = (self.free.pop(), self.places.get_mut(number)) {
            *empty = place;
        } else {
            self.places.push(place);
        }
        self.drive(number, &slot);
    }

    /// Closes the connection that has waited longest: one that is over, else an idle one, else one that is half
    /// read; of `address` only, where given. False where there is none.
    fn make_room(&mut self, address: Option<IpAddr>) -> bool {
        let now = self.clock.now();
        let places =
            self.places.iter().enumerate().filter_map(|(number, place)| Some((number, place.as_ref()?)));
        let oldest = places
            .filter(|(_, place)| address.is_none() || place.address == address)
            .filter_map(|(number, place)| {
                let (why, since) = place.slot.lock().connection.waiting()?;
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
        if let Some(slot) = self.slot(number) {
            let mut seat = slot.lock();
            seat.close();
            let watched = seat.watched;
            drop(seat);
            self.forget(number, watched);
        }
        true
    }

    /// Clears the place of a connection that is over.
    fn forget(&mut self, number: usize, watched: Duration) {
        self.timers.remove(&(watched, number));
        if let Some(place) = self.places.get_mut(number).and_then(Option::take) {
            self.door.leave(place.address);
            self.free.push(number);
        }
    }

    /// Nobody is let in any more; whoever is idle goes, whoever waits for an answer gets it.
    fn begin_drain(&mut self, now: Duration) {
        self.drain = Some(now + self.bounds.drain_time);
        self.guest = None;
        self.knocked = false;
        for number in 0..self.places.len() {
            if let Some(slot) = self.slot(number) {
                slot.lock().connection.drain();
                self.drive(number, &slot);
            }
        }
        // Last, so that whoever finds it shut knows that nobody inside is kept any more.
        self.door.shut();
    }
}

/// The least time between two looks at one connection.
const TICK: Duration = Duration::from_millis(1);
