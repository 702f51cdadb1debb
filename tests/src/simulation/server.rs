//! The servers: the core's steps in flight, one group of commits at a time, and crashes.

use gatepass_core::api::step::Step;
use gatepass_core::base::time::Time;
use gatepass_core::http::request::Request;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::Records;

use super::administration::Author;
use super::clock::Clock;
use super::network::RequestKind;
use super::{Event, World, answers, note};
use crate::fixtures;

pub(super) struct Server {
    pub(super) up: bool,
    pub(super) clock: Clock,
    /// The waiting changes, and the flow of each.
    group: Vec<(Option<u64>, std::sync::Arc<[Change]>)>,
    /// The number of that group. A group that was lost in a crash is never written.
    group_number: u64,
}

/// A request in progress.
pub(super) struct Flow {
    pub(super) server: usize,
    pub(super) call: u64,
    pub(super) what: RequestKind,
    pub(super) now: Time,
    pub(super) steps: usize,
    /// The outcomes of its commits.
    pub(super) outcomes: Vec<Outcome>,
    /// True if it committed an audit row.
    pub(super) recorded: bool,
    step: Option<Step>,
}

fn letter(server: usize) -> char {
    char::from(b'A' + server as u8)
}

impl World {
    /// Adds a server.
    pub(super) fn start(&mut self) {
        let (clock, _) = Clock::start(&self.wall, self.now);
        self.servers.push(Server { up: true, clock, group: vec![], group_number: 0 });
    }

    pub(super) fn restart(&mut self, server: usize) {
        let (clock, behind) = Clock::start(&self.wall, self.now);
        self.coverage.count("starts");
        if behind {
            self.coverage.count("clocks behind at a start");
        }
        self.servers[server].clock = clock;
        self.servers[server].up = true;
        note!(self, "{} starts", letter(server));
    }

    pub(super) fn crash(&mut self, index: usize) {
        let server = &mut self.servers[index];
        if !server.up {
            return;
        }
        server.up = false;
        server.group_number += 1;
        let waiting = std::mem::take(&mut server.group).len();
        let before = self.flows.len();
        self.flows.retain(|_, flow| flow.server != index);
        let flows = before - self.flows.len();
        self.coverage.count("crashes");
        self.coverage.count_times("flows lost in a crash", flows);
        self.coverage.count_times("commits lost in a crash", waiting);
        note!(self, "{} crashes: {flows} flows are gone, {waiting} commits with them", letter(index));
        self.later(200, 5_000, Event::Start(index));
    }

    /// Stores every server's time.
    pub(super) fn mark(&mut self) {
        let (wall, now) = (&mut self.wall, self.now);
        self.servers.iter_mut().filter(|server| server.up).for_each(|s| s.clock.persist(wall, now));
        self.later(20_000, 20_000, Event::Mark);
    }

    /// Returns the time of one of the servers.
    pub(super) fn server_time(&mut self) -> Time {
        let at = self.now;
        self.servers[0].clock.now(&self.wall, at)
    }

    pub(super) fn begin(&mut self, server: usize, call: u64, what: RequestKind, request: Request) {
        let (number, at) = (self.next_number(), self.now);
        let now = self.servers[server].clock.now(&self.wall, at);
        let step = self.engine.handle(request, fixtures::inputs(now, number));
        note!(self, "#{call} reaches {} as flow {number}, whose time is {}", letter(server), now.unix());
        let flow = Flow { server, call, what, now, steps: 0, outcomes: vec![], recorded: false, step: None };
        self.flows.insert(number, flow);
        self.advance(number, step);
    }

    fn advance(&mut self, id: u64, step: Step) {
        let flow = self.flows.get_mut(&id).expect("a flow");
        flow.steps += 1;
        let (steps, server) = (flow.steps, flow.server);
        if steps > Step::MAX {
            return self.judge(Err(format!("flow {id} takes {steps} steps")));
        }
        match step {
            Step::Read(_) => {
                flow.step = Some(step);
                self.later(0, 4, Event::Read(id));
            }
            Step::Guess(guess) => self.advance(id, guess.allow(&self.engine)),
            Step::HashPassword(stretch) if self.rng.one_in(40) => {
                self.coverage.count("no room to hash");
                note!(self, "flow {id} finds no room to hash");
                self.advance(id, stretch.refuse());
            }
            Step::Task(task) => self.advance(id, task.refuse()),
            Step::HashPassword(_) => {
                flow.step = Some(step);
                self.later(15, 200, Event::Hashed(id));
            }
            Step::Commit(ref commit) => {
                flow.recorded |= commit.changes().iter().any(|c| matches!(c, Change::Audit(_)));
                let changes = commit.changes().clone();
                flow.step = Some(step);
                self.enqueue(server, Some(id), changes);
            }
            Step::Reply(response) => {
                let flow = self.flows.remove(&id).expect("a flow");
                let status = response.status();
                let body = serde_json::from_slice(response.body()).unwrap_or_default();
                note!(self, "flow {id} answers {status} after {steps} steps");
                let verdict = answers::check(self, &flow, status, &body);
                self.judge(verdict.map_err(|broken| format!("flow {id}: {broken}")));
                self.reply(flow.call, status, body);
            }
        }
    }

    fn enqueue(&mut self, server: usize, flow: Option<u64>, changes: std::sync::Arc<[Change]>) {
        let waiting = &mut self.servers[server];
        waiting.group.push((flow, changes));
        if waiting.group.len() == 1 {
            let number = waiting.group_number;
            let most = if self.faults.is_slow { 3_000 } else { 15 };
            self.later(1, most, Event::Flush(server, number));
        }
    }

    pub(super) fn read(&mut self, id: u64) {
        let Some(flow) = self.flows.get_mut(&id) else { return };
        let Some(Step::Read(read)) = flow.step.take() else { return };
        let mut found = self.tables.read(read.query());
        let unread = self.rng.one_in(self.faults.unread);
        if unread {
            self.coverage.count("reads failed");
            note!(self, "flow {id} cannot read");
            found.records = Records::Unreadable;
        }
        let mut step = read.resume(&self.engine, found);
        while let Step::Guess(guess) = step {
            step = guess.allow(&self.engine);
        }
        note!(self, "flow {id} reads, and goes on to {}", name(&step));
        if !unread {
            let verdict = answers::check_read(&self.tables, &self.flows[&id], &step);
            self.judge(verdict.map_err(|broken| format!("flow {id}: {broken}")));
        }
        self.advance(id, step);
    }

    pub(super) fn hashed(&mut self, id: u64) {
        let Some(flow) = self.flows.get_mut(&id) else { return };
        let Some(Step::HashPassword(stretch)) = flow.step.take() else { return };
        let step = stretch.run(&self.engine);
        note!(self, "flow {id} has hashed, and goes on to {}", name(&step));
        self.advance(id, step);
    }

    /// Writes the waiting group: all of it becomes durable now, or none of it.
    pub(super) fn flush(&mut self, index: usize, number: u64) {
        let server = &mut self.servers[index];
        if !server.up || server.group_number != number {
            return;
        }
        server.group_number += 1;
        let group = std::mem::take(&mut server.group);
        if group.len() > 1 {
            self.coverage.count("commits together with others");
        }
        if self.faults.is_slow {
            self.coverage.count_times("commits on a slow disk", group.len());
        }
        if self.faults.is_full {
            self.coverage.count_times("commits on a full disk", group.len());
            return self.settle_all(group.iter().map(|(flow, _)| (*flow, Outcome::NotApplied)).collect());
        }
        let dies = self.rng.one_in(self.faults.fsync_crash);
        let unknown = self.rng.one_in(self.faults.unknown);
        let fate = self.rng.below(3);
        if unknown && fate == 1 && !dies {
            self.coverage.count("outcomes unknown, applied later");
            note!(
                self,
                "{}: the outcome of {} commits is unknown, and they will be written",
                letter(index),
                group.len()
            );
            for (flow, changes) in &group {
                let author = self.author(*flow);
                self.later(10, 3_000, Event::LateCommit(author, changes.to_vec()));
            }
        } else if unknown && fate == 0 && !dies {
            self.coverage.count("outcomes unknown, not applied");
        }
        let applies = !(unknown || dies) || fate == 2;
        let outcomes: Vec<(Option<u64>, Outcome)> = group
            .iter()
            .map(|(flow, changes)| {
                let author = self.author(*flow);
                let outcome =
                    if applies { self.commit(*flow, &author, changes) } else { Outcome::NotApplied };
                (*flow, if unknown { Outcome::Unknown } else { outcome })
            })
            .collect();
        if unknown && applies && !dies {
            self.coverage.count("outcomes unknown, applied");
        }
        if dies {
            self.coverage.count("crashes at the instant of the fsync");
            if applies {
                self.coverage.count_times("commits durable, outcome lost in a crash", outcomes.len());
            }
            self.crash(index);
        } else {
            self.settle_all(outcomes);
        }
    }

    fn settle_all(&mut self, outcomes: Vec<(Option<u64>, Outcome)>) {
        for (flow, outcome) in outcomes {
            if let Some(flow) = flow {
                self.later(0, 3, Event::Settle(flow, outcome));
            }
        }
    }

    /// Applies `changes` to the durable state.
    pub(super) fn commit(&mut self, flow: Option<u64>, author: &Author, changes: &[Change]) -> Outcome {
        let before = self.rng.one_in(200).then(|| self.tables.clone());
        let outcome = self.tables.commit(changes);
        if outcome == Outcome::Applied {
            let verdict = self.oracle.applied(changes, author, &mut self.coverage);
            self.judge(verdict);
        } else {
            self.coverage.count("conflicts");
            if before.is_some_and(|before| before != self.tables) {
                self.judge(Err("a conflict left a trace in the tables".into()));
            }
        }
        match flow {
            Some(flow) => note!(self, "flow {flow}: {outcome:?}, {}", kinds(changes)),
            None => note!(self, "a command: {outcome:?}, {}", kinds(changes)),
        }
        outcome
    }

    /// Commits changes whose outcome nobody knew.
    pub(super) fn commit_late(&mut self, author: &Author, changes: &[Change]) {
        if !self.faults.is_full {
            // Older state may have been put back meanwhile.
            let author = self.as_of_now(author.clone());
            self.commit(None, &author, changes);
        }
    }

    pub(super) fn settle(&mut self, id: u64, outcome: Outcome) {
        let Some(flow) = self.flows.get_mut(&id) else {
            if outcome == Outcome::Applied {
                self.coverage.count("commits durable, outcome lost in a crash");
            }
            return;
        };
        let Some(Step::Commit(commit)) = flow.step.take() else { return };
        flow.outcomes.push(outcome);
        if outcome != Outcome::Applied {
            note!(self, "flow {id} is told {outcome:?}");
        }
        let step = commit.settle(&self.engine, outcome);
        self.advance(id, step);
    }
}

/// Returns the name of the step that a flow waits for.
fn name(step: &Step) -> &'static str {
    match step {
        Step::Read(_) => "read",
        Step::Commit(_) => "commit",
        Step::Guess(_) => "guess",
        Step::HashPassword(_) => "hash",
        Step::Task(_) => "task",
        Step::Reply(_) => "answer",
    }
}

/// Returns the names of `changes`.
fn kinds(changes: &[Change]) -> String {
    let kind = |change: &Change| {
        if let Change::Audit(event) = change {
            return format!("[{}]", event.kind.as_str());
        }
        format!("{change:?}").split([' ', '(']).next().unwrap_or_default().to_owned()
    };
    changes.iter().map(kind).collect::<Vec<_>>().join(" ")
}
