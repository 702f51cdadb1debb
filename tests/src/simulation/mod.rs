//! A world in virtual time: two hundred clients, a network that loses, delays and doubles, one or two servers that
//! crash, a disk that is slow or full, and a clock that jumps. Everything that happens follows from the seed.
//!
//! `people` want something (`deeds`) and send it over the `network`; a `server` takes the core's steps one at a time, each
//! costing time, and writes as one group what waits for the disk; the `office` is the administrator at the command line.
//! The `ledger` judges every commit that became durable, `answers` every answer at the moment it leaves.

mod answers;
mod chance;
mod clock;
mod deeds;
mod ledger;
mod network;
mod office;
mod people;
mod server;
mod tally;
mod weather;

use std::collections::BTreeMap;

use gatepass_core::engine::Engine;
use gatepass_core::records::factor::AskFactor;
use gatepass_core::settings::{Issuer, Settings, Unenrolled};
use gatepass_core::store::change::{Change, Outcome};

use crate::memory::Tables;
use crate::world;
use answers::Told;
use chance::Chance;
use clock::Wall;
use ledger::{Broken, Ledger};
use network::{Answered, Call};
use people::{Authenticator, Person};
use server::{Flow, Server};
pub use tally::Tally;
use weather::{Fault, Weather};

/// When everybody stops beginning anything new, in milliseconds; what is under way goes on.
const END: u64 = 32_000;

/// Something that will happen.
enum Event {
    /// Somebody does the next thing.
    Wake(usize),
    /// A service asks about a token it has seen.
    Probe,
    /// The administrator gives a command.
    Administer,
    /// The command's changes reach the store.
    Command(Vec<Change>),
    /// A request reaches a server.
    Arrive(u64),
    /// An answer reaches who asked.
    Answer(u64, Answered),
    /// Who asked has waited long enough.
    GiveUp(u64, u32),
    /// A flow has read what it asked for.
    Read(u64),
    /// A flow has hashed a password.
    Hashed(u64),
    /// What waits for the disk in a server becomes durable.
    Flush(usize, u64),
    /// A flow learns how its commit went.
    Settle(u64, Outcome),
    /// A crashed server is there again.
    Start(usize),
    /// The servers keep their time in the store.
    Mark,
    /// Something goes wrong, or right again.
    Fault(Fault),
}

/// What came of a seed.
pub struct Report {
    /// What was met.
    pub tally: Tally,
    /// How many clients there were.
    pub clients: usize,
    /// The promise that was broken, if one was.
    pub broken: Option<String>,
    /// What happened, line by line, where it was asked for.
    pub trace: Vec<String>,
}

struct World {
    chance: Chance,
    weather: Weather,
    engine: Engine,
    tables: Tables,
    ledger: Ledger,
    told: Told,
    tally: Tally,
    /// Milliseconds since the beginning.
    now: u64,
    /// What will happen: when, and in which order of two at the same time.
    events: BTreeMap<(u64, u64), Event>,
    /// The last number given to a call, a flow, an event or a moment.
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
    /// Access tokens that were handed out.
    seen: Vec<String>,
    trace: Option<Vec<String>>,
    broken: Option<Broken>,
}

/// Lives through the world of `seed`.
pub fn run(seed: u64, traced: bool) -> Report {
    let mut world = World::new(seed, traced);
    world.live();
    Report {
        clients: world.people.len() + people::SERVICES,
        tally: world.tally,
        broken: world.broken,
        trace: world.trace.unwrap_or_default(),
    }
}

/// Adds a line to the trace, where there is one.
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
        let mut chance = Chance::new(seed);
        let weather = Weather::draw(&mut chance);
        let mut settings = Settings::new(Issuer::parse("http://gate.example").expect("an issuer"));
        settings.second_factor.unenrolled =
            chance.pick(&[Unenrolled::SignIn, Unenrolled::SignIn, Unenrolled::Enrol, Unenrolled::Refuse]);
        settings.second_factor.ask = chance.pick(&[AskFactor::Risk, AskFactor::Always]);
        settings.user_token_lifetime = chance.pick(&[20, 60, 1_800]);
        settings.session_lifetime = chance.pick(&[60, 2_592_000]);
        let tables = people::tables();
        let mut world = Self {
            engine: world::gatepass_with(settings),
            ledger: Ledger::of(&tables),
            told: Told::default(),
            tally: Tally::default(),
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
            portal_secret: world::PORTAL_SECRET.into(),
            seen: vec![],
            trace: traced.then(Vec::new),
            broken: None,
            tables,
            weather,
            chance,
        };
        note!(world, "seed {seed}: {:?}", world.weather);
        world.open();
        world
    }

    /// Puts everybody in their place.
    fn open(&mut self) {
        for _ in 0..self.weather.servers {
            self.start();
        }
        if self.servers.len() > 1 {
            self.tally.met("worlds of two servers");
        }
        self.people = people::everybody(&mut self.chance);
        for person in 0..self.people.len() {
            self.later(0, 12_000, Event::Wake(person));
        }
        for _ in 0..people::SERVICES {
            self.later(2_000, 8_000, Event::Probe);
        }
        self.later(1_000, 6_000, Event::Administer);
        self.later(5_000, 5_000, Event::Mark);
        self.forecast();
    }

    fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// Has `event` happen between `least` and `most` milliseconds from now.
    fn later(&mut self, least: u64, most: u64, event: Event) {
        let at = self.now + self.chance.between(least, most);
        let number = self.next_number();
        self.events.insert((at, number), event);
    }

    /// Notes that a promise was broken; the first one counts.
    fn judge(&mut self, verdict: Result<(), Broken>) {
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
        self.judge(self.ledger.check(&self.tables).and_then(|()| self.told.check(&self.tables)));
    }

    fn happen(&mut self, event: Event) {
        let over = self.now > END;
        match event {
            Event::Wake(_) | Event::Probe | Event::Administer | Event::Mark | Event::Fault(_) if over => {}
            Event::Wake(person) => self.wake(person),
            Event::Probe => self.probe(),
            Event::Administer => self.administer(),
            Event::Command(changes) => self.command(&changes),
            Event::Arrive(call) => self.arrive(call),
            Event::Answer(call, answered) => self.answered(call, &answered),
            Event::GiveUp(call, attempt) => self.give_up(call, attempt),
            Event::Read(flow) => self.read(flow),
            Event::Hashed(flow) => self.hashed(flow),
            Event::Flush(server, group) => self.flush(server, group),
            Event::Settle(flow, outcome) => self.settle(flow, outcome),
            Event::Start(server) => self.restart(server),
            Event::Mark => self.mark(),
            Event::Fault(fault) => self.befall(fault),
        }
    }
}
