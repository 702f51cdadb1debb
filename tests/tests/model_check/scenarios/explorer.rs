//! Explores the shipped flows: tables, a clock, and actors whose steps interleave in every way.
//!
//! Tables and steps are stored once each and identified by number. So a state is a few numbers, and the result of one
//! step on one state of the tables is computed once.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Debug;
use std::hash::{Hash, Hasher};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use gatepass_core::api::reply::Reply;
use gatepass_core::api::step::Step;
use gatepass_core::base::time::Time;
use gatepass_core::engine::Engine;
use gatepass_core::http::request::Request;
use gatepass_core::records::client::ClientRef;
use gatepass_core::records::id::SessionId;
use gatepass_core::records::session::RefreshDigest;
use gatepass_core::records::user::User;
use gatepass_core::store::audit::Refusal;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::Records;
use gatepass_tests::checker::{Edge, StateSpace};
use gatepass_tests::fixtures::inputs;
use gatepass_tests::guard::Guard;
use gatepass_tests::memory::Tables;
use serde_json::Value;

use super::commands::stands;

/// The randomness of the first actor; every other has the next.
pub(crate) const FIRST_SEED: u64 = 1_000;

/// The most commits of each outcome that are kept.
const MOST_APPLIED: usize = 20;

/// A commit that was applied while a guard of it is off, and what becomes of it with every guard.
#[allow(dead_code, reason = "the tests of the server over PostgreSQL use the rest")]
pub(crate) struct Applied {
    pub(crate) before: Tables,
    pub(crate) changes: Vec<Change>,
    pub(crate) outcome: Outcome,
    pub(crate) after: Tables,
}

/// An actor, who does one thing once.
pub(crate) struct Actor {
    pub(crate) name: &'static str,
    pub(crate) part: Action,
}

/// The action of an actor.
pub(crate) enum Action {
    /// Sends a request with the randomness `seed`, as soon as there is one to send.
    MakeRequest { seed: u64, request: MakeRequest },
    /// Decides on the current tables, and commits later. It learns of a conflict.
    Commands(MakeChanges),
    /// The same without a delay.
    CommandsAtOnce(MakeChanges),
    /// Alters the tables directly.
    Alters(fn(&mut Tables)),
}

/// Makes a request from the results of the other actors.
pub(crate) type MakeRequest = Box<dyn Fn(&[ActorResult<'_>]) -> Option<Request>>;
/// Makes changes from the tables, or `None` if they no longer make sense.
pub(crate) type MakeChanges = Box<dyn Fn(&Tables, Time) -> Option<Vec<Change>>>;

/// The result of an actor.
#[derive(Clone, Copy)]
pub(crate) enum ActorResult<'a> {
    /// No result yet.
    Nothing,
    /// An answer.
    Answer(&'a Answer),
    /// True if its command was applied.
    Done(bool),
    /// The answer was lost.
    Lost,
}

impl<'a> ActorResult<'a> {
    /// Returns the answer, if it is a 200.
    pub(crate) fn welcome(self) -> Option<&'a Answer> {
        match self {
            Self::Answer(answer) if answer.status == 200 => Some(answer),
            Self::Answer(_) | Self::Nothing | Self::Done(_) | Self::Lost => None,
        }
    }

    /// Returns the reason of a refusal.
    pub(crate) fn refusal(self) -> Option<Refusal> {
        match self {
            Self::Answer(answer) => answer.refusal,
            Self::Nothing | Self::Done(_) | Self::Lost => None,
        }
    }

    pub(crate) fn is_done(self) -> bool {
        matches!(self, Self::Done(true))
    }
}

/// A parsed response.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) body: Value,
    /// The session of its access token.
    pub(crate) session: Option<SessionId>,
    /// The time of issue of its access token.
    pub(crate) issued_at: Option<Time>,
    text: String,
}

impl Answer {
    fn of(response: &Reply) -> Self {
        let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
        let claims = body["access_token"].as_str().and_then(|token| token.split('.').nth(1));
        let claims = claims.and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok());
        let claims: Value = claims.and_then(|c| serde_json::from_slice(&c).ok()).unwrap_or_default();
        Self {
            status: response.status(),
            refusal: response.refusal(),
            session: claims["sid"].as_str().and_then(|sid| SessionId::parse(sid).ok()),
            issued_at: claims["iat"].as_u64().map(Time::from_unix),
            text: String::from_utf8_lossy(response.body()).into_owned(),
            body,
        }
    }

    /// Returns true if it hands out a credential.
    pub(crate) fn hands_out(&self) -> bool {
        ["eyJ", "tkt_", "rft_", "chg_"].iter().any(|mark| self.text.contains(mark))
    }
}

/// The outcome of a read or a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum StepOutcome {
    Done,
    NotApplied,
    /// The records could not be read.
    Unreadable,
    UnknownThoughApplied,
    UnknownAndNotApplied,
    CrashBefore,
    CrashAfter,
}

impl StepOutcome {
    const OF_READS: &[Self] = &[Self::Done, Self::Unreadable];
    const OF_COMMITS: &[Self] = &[
        Self::Done,
        Self::NotApplied,
        Self::UnknownThoughApplied,
        Self::UnknownAndNotApplied,
        Self::CrashBefore,
        Self::CrashAfter,
    ];
}

/// The state of an actor.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ActorState {
    Waits,
    /// In a flow, or at its end.
    At {
        step: usize,
        wrote: bool,
    },
    Decided(usize),
    Commanded(bool),
    Lost,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    tables: usize,
    tick: usize,
    faults: u8,
    places: Vec<ActorState>,
}

/// A change of the tables, of an actor, or of both.
pub(crate) struct Transition<'a> {
    pub(crate) before: &'a Tables,
    pub(crate) after: &'a Tables,
    /// The applied changes.
    pub(crate) applied: &'a [Change],
    /// The answer.
    pub(crate) answer: Option<&'a Answer>,
}

/// Returns `promise` as broken, unless it holds.
pub(crate) fn promised(holds: bool, promise: &str) -> Verdict {
    if holds { Ok(()) } else { Err(promise.into()) }
}

/// A promise about the tables and all results.
pub(crate) type StatePromise = Box<dyn Fn(&Tables, &[ActorResult<'_>]) -> Verdict>;

/// Nothing, or the promise that is broken.
pub(crate) type Verdict = Result<(), String>;

/// The promises about every transition, and about all results so far.
pub(crate) struct Promises {
    pub(crate) check_transition: fn(&Transition<'_>) -> Verdict,
    pub(crate) check_state: StatePromise,
}

/// The result of a step: the next step unless the process died, the tables, and true if something was applied.
#[derive(Clone, Copy)]
struct StepResult {
    step: Option<usize>,
    tables: usize,
    applied: bool,
}

pub(crate) struct Explorer<'a> {
    engine: &'a Engine,
    /// The successive times of the clock, which may step back.
    clock: Vec<Time>,
    /// The most faults in one run.
    faults: u8,
    actors: Vec<Actor>,
    promises: Promises,
    first: usize,
    tables: Interned<Tables>,
    steps: Interned<Step>,
    decided: Interned<Vec<Change>>,
    answers: HashMap<usize, Answer>,
    known: HashMap<(usize, usize, StepOutcome), (StepResult, Verdict)>,
    /// The guards of all commits.
    pub(crate) consulted: Vec<Guard>,
    /// Commits that were applied while guards of theirs are off.
    pub(crate) applied: Vec<Applied>,
}

impl<'a> Explorer<'a> {
    pub(crate) fn new(engine: &'a Engine, mut tables: Tables, clock: &[Time], promises: Promises) -> Self {
        tables.audit.clear();
        let mut kept = Interned::default();
        let first = kept.keep(tables);
        Self {
            engine,
            clock: clock.to_vec(),
            faults: 0,
            actors: vec![],
            promises,
            first,
            tables: kept,
            steps: Interned::default(),
            decided: Interned::default(),
            answers: HashMap::new(),
            known: HashMap::new(),
            consulted: vec![],
            applied: vec![],
        }
    }

    pub(crate) fn with_faults(self, faults: u8) -> Self {
        Self { faults, ..self }
    }

    pub(crate) fn asks(
        mut self,
        name: &'static str,
        request: impl Fn(&[ActorResult<'_>]) -> Option<Request> + 'static,
    ) -> Self {
        let part =
            Action::MakeRequest { seed: FIRST_SEED + self.actors.len() as u64, request: Box::new(request) };
        self.actors.push(Actor { name, part });
        self
    }

    pub(crate) fn sends(self, name: &'static str, request: impl Fn() -> Request + 'static) -> Self {
        self.asks(name, move |_| Some(request()))
    }

    pub(crate) fn commands(
        mut self,
        name: &'static str,
        decides: impl Fn(&Tables, Time) -> Option<Vec<Change>> + 'static,
    ) -> Self {
        self.actors.push(Actor { name, part: Action::Commands(Box::new(decides)) });
        self
    }

    pub(crate) fn commands_at_once(
        mut self,
        name: &'static str,
        decides: impl Fn(&Tables, Time) -> Option<Vec<Change>> + 'static,
    ) -> Self {
        self.actors.push(Actor { name, part: Action::CommandsAtOnce(Box::new(decides)) });
        self
    }

    pub(crate) fn alters(mut self, name: &'static str, alter: fn(&mut Tables)) -> Self {
        self.actors.push(Actor { name, part: Action::Alters(alter) });
        self
    }

    /// Returns every status of an answer.
    pub(crate) fn statuses(&self) -> BTreeSet<u16> {
        self.answers.values().map(|answer| answer.status).collect()
    }

    /// Returns the result of each actor so far.
    fn told(&self, state: &State) -> Vec<ActorResult<'_>> {
        let told = |place: &ActorState| match place {
            ActorState::Waits | ActorState::Decided(_) => ActorResult::Nothing,
            ActorState::At { step, .. } => {
                self.answers.get(step).map_or(ActorResult::Nothing, ActorResult::Answer)
            }
            ActorState::Commanded(applied) => ActorResult::Done(*applied),
            ActorState::Lost => ActorResult::Lost,
        };
        state.places.iter().map(told).collect()
    }

    fn keep_step(&mut self, step: Step) -> usize {
        let answer = if let Step::Reply(response) = &step { Some(Answer::of(response)) } else { None };
        let kept = self.steps.keep(step);
        if let Some(answer) = answer {
            self.answers.entry(kept).or_insert(answer);
        }
        kept
    }

    fn commit(&mut self, tables: usize, changes: &[Change]) -> (Outcome, usize) {
        let mut next = self.tables[tables].clone();
        for change in changes {
            for (guard, _) in next.guards(change) {
                if !self.consulted.contains(&guard) {
                    let shown = format!("{change:?}");
                    let name = shown.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
                    assert!(
                        guard.meaning().0.contains(&format!("`{name}`")),
                        "{guard:?} is a guard of {name}"
                    );
                    self.consulted.push(guard);
                }
            }
        }
        let outcome = next.commit(changes);
        if outcome == Outcome::Applied && !next.unguarded.is_empty() {
            self.keep_applied(tables, changes);
        }
        // No flow reads the audit table. States that differ only there are equal.
        next.audit.clear();
        (outcome, self.tables.keep(next))
    }

    fn keep_applied(&mut self, tables: usize, changes: &[Change]) {
        if self.applied.len() == 2 * MOST_APPLIED {
            return;
        }
        let off = &self.tables[tables].unguarded;
        let before = Tables { unguarded: vec![], ..self.tables[tables].clone() };
        let guards = changes.iter().flat_map(|change| before.guards(change));
        if !guards.into_iter().any(|(guard, _)| off.contains(&guard)) {
            return;
        }
        let mut after = before.clone();
        let outcome = after.commit(changes);
        let alike = self.applied.iter().filter(|applied| applied.outcome == outcome);
        if alike.count() < MOST_APPLIED {
            self.applied.push(Applied { before, changes: changes.to_vec(), outcome, after });
        }
    }

    /// Returns the result of `outcome_of_step` for a flow at `step`, and checks the promises.
    fn advance(&mut self, step: usize, tables: usize, outcome_of_step: StepOutcome) -> (StepResult, Verdict) {
        if let Some(known) = self.known.get(&(step, tables, outcome_of_step)) {
            return known.clone();
        }
        let same = |step| StepResult { step, tables, applied: false };
        let mut written = vec![];
        let came = match self.steps[step].clone() {
            Step::Reply(_) => same(Some(step)),
            Step::Guess(guess) => {
                let next = guess.allow(self.engine);
                same(Some(self.keep_step(next)))
            }
            Step::HashPassword(stretch) => {
                let next = stretch.run(self.engine);
                same(Some(self.keep_step(next)))
            }
            Step::Task(task) => {
                let next = task.refuse();
                same(Some(self.keep_step(next)))
            }
            Step::Read(read) => {
                let mut found = self.tables[tables].read(read.query());
                if outcome_of_step == StepOutcome::Unreadable {
                    found.records = Records::Unreadable;
                }
                let next = read.resume(self.engine, found);
                same(Some(self.keep_step(next)))
            }
            Step::Commit(commit) => {
                let lands = matches!(
                    outcome_of_step,
                    StepOutcome::Done | StepOutcome::UnknownThoughApplied | StepOutcome::CrashAfter
                );
                let (outcome, after) =
                    if lands { self.commit(tables, commit.changes()) } else { (Outcome::NotApplied, tables) };
                let applied = outcome == Outcome::Applied;
                if applied {
                    written = commit.changes().to_vec();
                }
                let outcome = match outcome_of_step {
                    StepOutcome::UnknownThoughApplied | StepOutcome::UnknownAndNotApplied => Outcome::Unknown,
                    StepOutcome::Done
                    | StepOutcome::NotApplied
                    | StepOutcome::Unreadable
                    | StepOutcome::CrashBefore
                    | StepOutcome::CrashAfter => outcome,
                };
                let step = if matches!(outcome_of_step, StepOutcome::CrashBefore | StepOutcome::CrashAfter) {
                    None
                } else {
                    let next = commit.settle(self.engine, outcome);
                    Some(self.keep_step(next))
                };
                StepResult { step, tables: after, applied }
            }
        };
        let answer = came.step.and_then(|step| self.answers.get(&step));
        let transition = Transition {
            before: &self.tables[tables],
            after: &self.tables[came.tables],
            applied: &written,
            answer,
        };
        let held = always(&transition).and_then(|()| (self.promises.check_transition)(&transition));
        self.known.insert((step, tables, outcome_of_step), (came, held.clone()));
        (came, held)
    }

    fn state_holds(&self, state: &State) -> Verdict {
        for place in &state.places {
            if let ActorState::At { step, wrote: true } = place
                && self.answers.get(step).is_some_and(|answer| answer.status == 503)
            {
                return Err("a 503 has written nothing".into());
            }
        }
        (self.promises.check_state)(&self.tables[state.tables], &self.told(state))
    }

    /// Adds the transitions of one actor.
    fn edges_of_actor(&mut self, state: &State, actor: usize, ways: &mut Vec<Edge<State>>) {
        let now = self.clock[state.tick];
        let name = self.actors[actor].name;
        let mut go = |explorer: &Self, what: String, place, tables, faults, held: Verdict| {
            let mut next = State { tables, faults, ..state.clone() };
            next.places[actor] = place;
            let held = held.and_then(|()| explorer.state_holds(&next));
            ways.push((format!("{name} {what}"), held.map(|()| next)));
        };
        match state.places[actor] {
            ActorState::Waits => match &self.actors[actor].part {
                Action::MakeRequest { seed, request } => {
                    let Some(request) = request(&self.told(state)) else { return };
                    let step = self.engine.handle(request, inputs(now, *seed));
                    let step = self.keep_step(step);
                    let what = format!("asks at {now:?}");
                    go(self, what, ActorState::At { step, wrote: false }, state.tables, state.faults, Ok(()));
                }
                Action::Commands(decide) => {
                    let Some(changes) = decide(&self.tables[state.tables], now) else { return };
                    let what = format!("looks, and decides on {changes:?}");
                    let place = ActorState::Decided(self.decided.keep(changes));
                    go(self, what, place, state.tables, state.faults, Ok(()));
                }
                Action::CommandsAtOnce(decide) => {
                    let Some(changes) = decide(&self.tables[state.tables], now) else { return };
                    let (place, tables, held) = self.command(state, &changes);
                    go(self, format!("commits {changes:?}"), place, tables, state.faults, held);
                }
                Action::Alters(alter) => {
                    let mut tables = self.tables[state.tables].clone();
                    alter(&mut tables);
                    let tables = self.tables.keep(tables);
                    go(self, "does so".into(), ActorState::Commanded(true), tables, state.faults, Ok(()));
                }
            },
            ActorState::Decided(changes) => {
                let changes = self.decided[changes].clone();
                let (place, tables, held) = self.command(state, &changes);
                go(self, "commits".into(), place, tables, state.faults, held);
            }
            ActorState::At { step, wrote } => {
                let fates = match &self.steps[step] {
                    Step::Read(_) => StepOutcome::OF_READS,
                    Step::Commit(_) => StepOutcome::OF_COMMITS,
                    Step::Guess(_) | Step::HashPassword(_) | Step::Task(_) => &[StepOutcome::Done],
                    Step::Reply(_) => &[],
                };
                for &outcome_of_step in fates {
                    let cost = u8::from(outcome_of_step != StepOutcome::Done);
                    let Some(faults) = state.faults.checked_sub(cost) else { continue };
                    let (came, held) = self.advance(step, state.tables, outcome_of_step);
                    let wrote = wrote || came.applied;
                    let place = came.step.map_or(ActorState::Lost, |step| ActorState::At { step, wrote });
                    let what = match &self.steps[step] {
                        Step::Read(_) => "reads",
                        Step::Guess(_) => "guesses",
                        Step::HashPassword(_) => "hashes",
                        Step::Task(_) => "does a task",
                        Step::Commit(_) | Step::Reply(_) => "commits",
                    };
                    let told = came.step.and_then(|step| self.answers.get(&step)).map(|a| a.status);
                    let told = told.map_or(String::new(), |status| format!(" and is answered {status}"));
                    let ends = if came.applied || outcome_of_step != StepOutcome::Done || what != "commits" {
                        ""
                    } else {
                        " in vain"
                    };
                    let how = if outcome_of_step == StepOutcome::Done {
                        String::new()
                    } else {
                        format!(" ({outcome_of_step:?})")
                    };
                    go(self, format!("{what}{ends}{how}{told}"), place, came.tables, faults, held);
                }
            }
            ActorState::Commanded(_) | ActorState::Lost => {}
        }
    }

    fn command(&mut self, state: &State, changes: &[Change]) -> (ActorState, usize, Verdict) {
        let (outcome, after) = self.commit(state.tables, changes);
        let applied = outcome == Outcome::Applied;
        let transition = Transition {
            before: &self.tables[state.tables],
            after: &self.tables[after],
            applied: if applied { changes } else { &[] },
            answer: None,
        };
        let held = always(&transition).and_then(|()| (self.promises.check_transition)(&transition));
        (ActorState::Commanded(applied), after, held)
    }
}

/// Checks the promises of every scenario.
fn always(transition: &Transition<'_>) -> Verdict {
    for (id, session) in &transition.before.sessions {
        let after = transition.after.sessions.get(id).map(|session| session.ended_at);
        let same = session.ended_at.is_none() || after.is_none_or(|after| after == session.ended_at);
        promised(same, "a session ends once")?;
    }
    promised(
        transition.after.owners().all(|user| transition.after.users.contains_key(user)),
        "nothing outlives its owner",
    )?;
    let fresh =
        transition.after.sessions.iter().filter(|(id, _)| !transition.before.sessions.contains_key(*id));
    let fresh = fresh.map(|(_, session)| &session.user_id);
    let asked =
        transition.after.challenges.iter().filter(|(id, _)| !transition.before.challenges.contains_key(*id));
    let asked = asked.map(|(_, challenge)| &challenge.sign_in.user_id);
    promised(
        fresh.chain(asked).all(|user| transition.after.users.contains_key(user)),
        "nothing is opened for somebody who is gone",
    )?;
    of_the_state_epoch(transition)?;
    let Some(answer) = transition.answer.filter(|answer| answer.hands_out()) else { return Ok(()) };
    promised(!transition.applied.is_empty(), "nothing is handed out but by a commit that was applied")?;
    let challenge = answer.body["challenge_token"].is_string();
    promised(!challenge || answer.session.is_none(), "no token comes with a challenge")?;
    if let Some(id) = &answer.session {
        let session = transition.after.sessions.get(id).ok_or("an answered session is there")?;
        let user = transition.after.users.get(&session.user_id).ok_or("an answered session is somebody's")?;
        let over = !user.is_active() || session.user_epoch != user.epoch || session.ended_at.is_some();
        promised(!over, "nothing is handed out for a session that is over")?;
        let actor = session
            .actor
            .as_ref()
            .map(|actor| transition.after.users.get(&actor.id).filter(|a| a.epoch == actor.epoch));
        let acts = actor.is_none_or(|actor| actor.is_some_and(User::is_active));
        promised(acts, "nothing is handed out to an actor who may not sign in")?;
        let client = session.client_epoch.map(|epoch| ClientRef { id: session.client_id.clone(), epoch });
        let open = client.iter().chain(&session.issuer).all(|named| stands(transition.after, named));
        promised(open, "nothing is handed out for a client that has ended")?;
    }
    if let Some(refresh) = answer.body["refresh_token"].as_str().and_then(RefreshDigest::read) {
        let fresh =
            transition.after.refresh_tokens.get(&refresh).is_some_and(|token| token.rotation.is_none());
        promised(fresh, "a refresh token that is handed out is there, and unused")?;
    }
    Ok(())
}

/// Checks that everything used and issued belongs to the current state epoch.
#[allow(clippy::wildcard_enum_match_arm, reason = "the other changes neither use nor issue anything")]
fn of_the_state_epoch(transition: &Transition<'_>) -> Verdict {
    let (before, session) =
        (transition.before, |id| transition.before.sessions.get(id).map(|s| s.state_epoch));
    for change in transition.applied {
        let of = match change {
            Change::SpendTicket { digest, .. } | Change::RepeatTicket { digest, .. } => {
                before.tickets.get(digest).map(|t| t.state_epoch)
            }
            Change::AnswerChallenge { digest, .. }
            | Change::RepeatAnswer { digest, .. }
            | Change::RequireOpenChallenge(digest) => before.challenges.get(digest).map(|c| c.state_epoch),
            Change::RotateRefresh { successor, .. } => session(&successor.session_id),
            Change::RequireLiveSession(id) => session(id),
            Change::InsertTicket(ticket) => Some(ticket.state_epoch),
            Change::InsertSession { session, .. } => Some(session.state_epoch),
            Change::InsertChallenge(challenge) => Some(challenge.state_epoch),
            _ => None,
        };
        promised(
            of.is_none_or(|of| of == before.state_epoch),
            "nothing is good once older state was put back",
        )?;
    }
    Ok(())
}

impl StateSpace for Explorer<'_> {
    type State = State;

    fn initial_state(&mut self) -> State {
        let places = vec![ActorState::Waits; self.actors.len()];
        State { tables: self.first, tick: 0, faults: self.faults, places }
    }

    fn edges(&mut self, state: &State) -> Vec<Edge<State>> {
        let mut ways = vec![];
        if let Some(time) = self.clock.get(state.tick + 1) {
            ways.push((
                format!("the clock shows {time:?}"),
                Ok(State { tick: state.tick + 1, ..state.clone() }),
            ));
        }
        for actor in 0..self.actors.len() {
            self.edges_of_actor(state, actor, &mut ways);
        }
        ways
    }
}

/// Values stored once each, by number. `Debug` leaves secrets out, so that it finds only candidates for equality.
struct Interned<T> {
    values: Vec<T>,
    places: HashMap<u64, Vec<usize>>,
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self { values: vec![], places: HashMap::new() }
    }
}

impl<T: Debug + PartialEq> Interned<T> {
    fn keep(&mut self, value: T) -> usize {
        let mut hasher = DefaultHasher::new();
        format!("{value:?}").hash(&mut hasher);
        let alike = self.places.entry(hasher.finish()).or_default();
        if let Some(&at) = alike.iter().find(|&&at| self.values[at] == value) {
            return at;
        }
        alike.push(self.values.len());
        self.values.push(value);
        self.values.len() - 1
    }
}

impl<T> std::ops::Index<usize> for Interned<T> {
    type Output = T;

    fn index(&self, at: usize) -> &T {
        &self.values[at]
    }
}
