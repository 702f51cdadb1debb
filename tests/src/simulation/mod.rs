//! A world in virtual time: two hundred clients, a network that loses, delays and doubles messages, one or two servers
//! that crash, a disk that is slow or full, and a clock that jumps. Everything follows from the seed.
//!
//! `people` begin `operations` and send requests over the `network`; a `server` takes the core's steps one at a time,
//! each of which takes time, and writes waiting commits as one group; the `administrator` runs commands, and `administration`
//! is what others ask for over HTTP. The `oracle`
//! checks every durable commit, and `answers` checks every answer at the moment it leaves.

mod administration;
mod administrator;
mod answers;
mod clock;
mod coverage;
mod faults;
mod network;
mod operations;
mod oracle;
mod people;
mod server;

use std::collections::BTreeMap;

use gatepass_core::engine::Engine;
use gatepass_core::records::factor::AskFactor;
use gatepass_core::settings::{Issuer, Settings, Unenrolled};
use gatepass_core::store::change::{Change, Outcome};

use crate::administrator::PendingOperation;
use crate::fixtures;
use crate::memory::Tables;
use crate::rng::Rng;
use administration::Author;
use answers::SentAnswers;
use clock::Wall;
pub use coverage::Coverage;
use faults::{Fault, Faults};
use network::{Answered, Call};
use oracle::{BrokenPromise, Oracle};
use people::{Authenticator, Person};
use server::{Flow, Server};

/// The time in milliseconds after which nothing new begins. Running operations go on.
const END: u64 = 32_000;

/// A future event.
enum Event {
    /// A person begins the next operation.
    Wake(usize),
    /// A service asks about a token it has seen.
    Probe,
    /// The administrator runs a command.
    Administer,
    /// Somebody notices that the portal is shut out.
    Reopen,
    /// Changes reach the store after all, whose outcome nobody knew.
    LateCommit(Author, Vec<Change>),
    /// An administrator's operation reaches the store.
    Operation(Box<dyn PendingOperation>),
    /// A request arrives at a server.
    Arrive(u64),
    /// An answer arrives at its client.
    Answer(u64, Answered),
    /// A client times out.
    GiveUp(u64, u32),
    /// A flow has its records.
    Read(u64),
    /// A flow has its password hash.
    Hashed(u64),
    /// A server's waiting commits become durable.
    Flush(usize, u64),
    /// A flow learns the outcome of its commit.
    Settle(u64, Outcome),
    /// A crashed server starts again.
    Start(usize),
    /// The servers store their time.
    Mark,
    /// A fault begins or ends.
    Fault(Fault),
}

/// The result of a seed.
pub struct Report {
    /// The cases that occurred.
    pub coverage: Coverage,
    /// The number of clients.
    pub clients: usize,
    /// The promise that was broken, if one was.
    pub broken: Option<String>,
    /// The trace, line by line, if requested.
    pub trace: Vec<String>,
}

struct World {
    rng: Rng,
    faults: Faults,
    engine: Engine,
    tables: Tables,
    oracle: Oracle,
    sent: SentAnswers,
    coverage: Coverage,
    /// Milliseconds since the beginning.
    now: u64,
    /// Future events by time and by order within the same time.
    events: BTreeMap<(u64, u64), Event>,
    /// The last number given to a call, a flow, an event or a request's inputs.
    number: u64,
    wall: Wall,
    servers: Vec<Server>,
    flows: BTreeMap<u64, Flow>,
    calls: BTreeMap<u64, Call>,
    people: Vec<Person>,
    authenticators: BTreeMap<String, Authenticator>,
    passwords: BTreeMap<String, &'static str>,
    service_token: Option<String>,
    portal_secret: String,
    /// Access tokens that were issued.
    seen: Vec<String>,
    trace: Option<Vec<String>>,
    broken: Option<BrokenPromise>,
}

/// Runs the world of `seed`.
pub fn run(seed: u64, traced: bool) -> Report {
    let mut world = World::new(seed, traced);
    world.live();
    Report {
        clients: world.people.len() + people::SERVICES,
        coverage: world.coverage,
        broken: world.broken,
        trace: world.trace.unwrap_or_default(),
    }
}

/// Adds a line to the trace, if there is one.
macro_rules! note {
    ($world:expr, $($line:tt)+) => {
        if $world.trace.is_some() {
            let (seconds, thousandths) = ($world.now / 1_000, $world.now % 1_000);
            let line = format!("{seconds:>4}.{thousandths:03}  {}", format_args!($($line)+));
            $world.trace.iter_mut().for_each(|trace| trace.push(line.clone()));
        }
    };
}
use note;

impl World {
    fn new(seed: u64, traced: bool) -> Self {
        let mut rng = Rng::new(seed);
        let faults = Faults::draw(&mut rng);
        let mut settings = Settings::new(Issuer::parse("http://gate.example").expect("an issuer"));
        settings.second_factor.unenrolled =
            rng.pick(&[Unenrolled::SignIn, Unenrolled::SignIn, Unenrolled::Enrol, Unenrolled::Refuse]);
        settings.second_factor.ask = rng.pick(&[AskFactor::Risk, AskFactor::Always]);
        settings.user_token_lifetime = rng.pick(&[20, 60, 1_800]);
        settings.session_lifetime = rng.pick(&[60, 2_592_000]);
        let tables = people::tables();
        let mut world = Self {
            engine: fixtures::gatepass_with(settings),
            oracle: Oracle::of(&tables),
            sent: SentAnswers::default(),
            coverage: Coverage::default(),
            now: 0,
            events: BTreeMap::new(),
            number: 0,
            wall: Wall::default(),
            servers: vec![],
            flows: BTreeMap::new(),
            calls: BTreeMap::new(),
            people: vec![],
            authenticators: people::authenticators(),
            passwords: people::passwords(),
            service_token: None,
            portal_secret: fixtures::PORTAL_SECRET.into(),
            seen: vec![],
            trace: traced.then(Vec::new),
            broken: None,
            tables,
            faults,
            rng,
        };
        note!(world, "seed {seed}: {:?}", world.faults);
        world.open();
        world
    }

    /// Schedules the first events.
    fn open(&mut self) {
        for _ in 0..self.faults.servers {
            self.start();
        }
        if self.servers.len() > 1 {
            self.coverage.count("worlds of two servers");
        }
        self.people = people::everybody(&mut self.rng);
        for person in 0..self.people.len() {
            self.later(0, 12_000, Event::Wake(person));
        }
        for _ in 0..people::SERVICES {
            self.later(2_000, 8_000, Event::Probe);
        }
        self.later(1_000, 6_000, Event::Administer);
        self.later(5_000, 5_000, Event::Mark);
        self.schedule_faults();
    }

    fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// Schedules `event` between `least` and `most` milliseconds from now.
    fn later(&mut self, least: u64, most: u64, event: Event) {
        let at = self.now + self.rng.between(least, most);
        let number = self.next_number();
        self.events.insert((at, number), event);
    }

    /// Records a broken promise; the first one counts.
    fn judge(&mut self, verdict: Result<(), BrokenPromise>) {
        if let Err(broken) = verdict
            && self.broken.is_none()
        {
            note!(self, "BROKEN: {broken}");
            self.broken = Some(broken);
        }
    }

    fn live(&mut self) {
        while let Some(((at, _), event)) = self.events.pop_first() {
            self.now = at;
            self.happen(event);
            if self.broken.is_some() {
                return;
            }
        }
        self.judge(self.oracle.check(&self.tables).and_then(|()| self.sent.check(&self.tables)));
    }

    fn happen(&mut self, event: Event) {
        let over = self.now > END;
        match event {
            Event::Wake(_) | Event::Probe | Event::Administer | Event::Mark | Event::Fault(_) if over => {}
            Event::Wake(person) => self.wake(person),
            Event::Probe => self.probe(),
            Event::Administer => self.administer(),
            Event::Reopen => self.reopen_portal(),
            Event::LateCommit(author, changes) => self.commit_late(&author, &changes),
            Event::Operation(pending) => self.operate(pending),
            Event::Arrive(call) => self.arrive(call),
            Event::Answer(call, answered) => self.answered(call, &answered),
            Event::GiveUp(call, attempt) => self.give_up(call, attempt),
            Event::Read(flow) => self.read(flow),
            Event::Hashed(flow) => self.hashed(flow),
            Event::Flush(server, group) => self.flush(server, group),
            Event::Settle(flow, outcome) => self.settle(flow, outcome),
            Event::Start(server) => self.restart(server),
            Event::Mark => self.mark(),
            Event::Fault(fault) => self.apply_fault(fault),
        }
    }
}
