//! A stage for the shipped flows: the tables, a clock, and actors whose steps fall between one another in every way.
//!
//! Tables and steps are kept once each and named by number, so that a state is a few numbers, and what comes of one step
//! on one state of the tables is worked out once.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Debug;
use std::hash::{Hash, Hasher};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use gatepass_core::api::step::Step;
use gatepass_core::base::time::Time;
use gatepass_core::engine::Engine;
use gatepass_core::http::request::Request;
use gatepass_core::http::response::Response;
use gatepass_core::records::client::ClientRef;
use gatepass_core::records::id::SessionId;
use gatepass_core::records::session::RefreshDigest;
use gatepass_core::records::user::User;
use gatepass_core::store::audit::Refusal;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::Records;
use gatepass_tests::checker::{Way, World};
use gatepass_tests::guard::Guard;
use gatepass_tests::memory::Tables;
use gatepass_tests::world::inputs;
use serde_json::Value;

use crate::commands::stands;

/// The randomness of the first actor; every other has the next.
pub(crate) const FIRST_SEED: u64 = 1_000;

/// One who does something, once.
pub(crate) struct Actor {
    pub(crate) name: &'static str,
    pub(crate) part: Part,
}

/// What an actor does.
pub(crate) enum Part {
    /// Sends a request, whose randomness is `seed`, as soon as there is one to send.
    Asks { seed: u64, request: Asks },
    /// Decides on what is there, and commits it later; where the store's answer is a conflict, is told so.
    Commands(Decides),
    /// The same with nothing in between.
    CommandsAtOnce(Decides),
    /// Alters what is there behind everybody's back.
    Alters(fn(&mut Tables)),
}

/// What is sent, for all that the others were told.
pub(crate) type Asks = Box<dyn Fn(&[Told<'_>]) -> Option<Request>>;
/// What is committed, for all that is there; nothing where it no longer makes sense.
pub(crate) type Decides = Box<dyn Fn(&Tables, Time) -> Option<Vec<Change>>>;

/// How an actor's part ended, if it did.
#[derive(Clone, Copy)]
pub(crate) enum Told<'a> {
    /// Not yet.
    Nothing,
    /// It was answered.
    Answer(&'a Answer),
    /// Its command was applied, or it was not.
    Done(bool),
    /// The answer never came.
    Lost,
}

impl<'a> Told<'a> {
    /// The answer, if it is a 200.
    pub(crate) fn welcome(self) -> Option<&'a Answer> {
        match self {
            Self::Answer(answer) if answer.status == 200 => Some(answer),
            Self::Answer(_) | Self::Nothing | Self::Done(_) | Self::Lost => None,
        }
    }

    /// The reason why it was refused, if it was.
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

/// A response, taken apart.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) body: Value,
    /// The session of its access token.
    pub(crate) session: Option<SessionId>,
    /// When its access token was issued.
    pub(crate) issued_at: Option<Time>,
    text: String,
}

impl Answer {
    fn of(response: &Response) -> Self {
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

    /// Whether it hands out what opens something.
    pub(crate) fn hands_out(&self) -> bool {
        ["eyJ", "tkt_", "rft_", "chg_"].iter().any(|mark| self.text.contains(mark))
    }
}

/// What becomes of a read or a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fate {
    Done,
    NotApplied,
    /// It could not be read.
    Unreadable,
    UnknownThoughApplied,
    UnknownAndNotApplied,
    CrashBefore,
    CrashAfter,
}

impl Fate {
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

/// Where one actor is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Place {
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
    places: Vec<Place>,
}

/// One thing that happened to the tables, to one who did it, or both.
pub(crate) struct Moved<'a> {
    pub(crate) before: &'a Tables,
    pub(crate) after: &'a Tables,
    /// What was applied.
    pub(crate) applied: &'a [Change],
    /// What was answered.
    pub(crate) answer: Option<&'a Answer>,
}

/// `promise`, unless it holds.
pub(crate) fn promised(holds: bool, promise: &str) -> Held {
    if holds { Ok(()) } else { Err(promise.into()) }
}

/// A promise about all that is there and all that was told.
pub(crate) type OfStates = Box<dyn Fn(&Tables, &[Told<'_>]) -> Held>;

/// Nothing, or the promise that is broken.
pub(crate) type Held = Result<(), String>;

/// What must hold of whatever happens, and of all that was told so far.
pub(crate) struct Promises {
    pub(crate) of_moves: fn(&Moved<'_>) -> Held,
    pub(crate) of_states: OfStates,
}

/// What comes of a fate: the next step unless the process died, and the tables, and whether something was applied.
#[derive(Clone, Copy)]
struct Came {
    step: Option<usize>,
    tables: usize,
    applied: bool,
}

pub(crate) struct Stage<'a> {
    engine: &'a Engine,
    /// What the clock shows, one after the other; it may step back.
    clock: Vec<Time>,
    /// How many faults there are at most in one run.
    faults: u8,
    actors: Vec<Actor>,
    promises: Promises,
    first: usize,
    tables: Kept<Tables>,
    steps: Kept<Step>,
    decided: Kept<Vec<Change>>,
    answers: HashMap<usize, Answer>,
    known: HashMap<(usize, usize, Fate), (Came, Held)>,
    /// The guards of everything that was committed.
    pub(crate) consulted: Vec<Guard>,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(engine: &'a Engine, mut tables: Tables, clock: &[Time], promises: Promises) -> Self {
        tables.audit.clear();
        let mut kept = Kept::default();
        let first = kept.keep(tables);
        Self {
            engine,
            clock: clock.to_vec(),
            faults: 0,
            actors: vec![],
            promises,
            first,
            tables: kept,
            steps: Kept::default(),
            decided: Kept::default(),
            answers: HashMap::new(),
            known: HashMap::new(),
            consulted: vec![],
        }
    }

    pub(crate) fn with_faults(self, faults: u8) -> Self {
        Self { faults, ..self }
    }

    pub(crate) fn asks(
        mut self,
        name: &'static str,
        request: impl Fn(&[Told<'_>]) -> Option<Request> + 'static,
    ) -> Self {
        let part = Part::Asks { seed: FIRST_SEED + self.actors.len() as u64, request: Box::new(request) };
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
        self.actors.push(Actor { name, part: Part::Commands(Box::new(decides)) });
        self
    }

    pub(crate) fn commands_at_once(
        mut self,
        name: &'static str,
        decides: impl Fn(&Tables, Time) -> Option<Vec<Change>> + 'static,
    ) -> Self {
        self.actors.push(Actor { name, part: Part::CommandsAtOnce(Box::new(decides)) });
        self
    }

    pub(crate) fn alters(mut self, name: &'static str, alter: fn(&mut Tables)) -> Self {
        self.actors.push(Actor { name, part: Part::Alters(alter) });
        self
    }

    /// Every status that anybody was answered.
    pub(crate) fn statuses(&self) -> BTreeSet<u16> {
        self.answers.values().map(|answer| answer.status).collect()
    }

    /// What each actor was told so far.
    fn told(&self, state: &State) -> Vec<Told<'_>> {
        let told = |place: &Place| match place {
            Place::Waits | Place::Decided(_) => Told::Nothing,
            Place::At { step, .. } => self.answers.get(step).map_or(Told::Nothing, Told::Answer),
            Place::Commanded(applied) => Told::Done(*applied),
            Place::Lost => Told::Lost,
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
        // The audit table is written and never read; states that differ in it alone go on alike.
        next.audit.clear();
        (outcome, self.tables.keep(next))
    }

    /// What comes of `fate` for a flow at `step`, and whether the promises hold of it.
    fn advance(&mut self, step: usize, tables: usize, fate: Fate) -> (Came, Held) {
        if let Some(known) = self.known.get(&(step, tables, fate)) {
            return known.clone();
        }
        let same = |step| Came { step, tables, applied: false };
        let mut written = vec![];
        let came = match self.steps[step].clone() {
            Step::Reply(_) => same(Some(step)),
            Step::HashPassword(stretch) => {
                let next = stretch.run(self.engine);
                same(Some(self.keep_step(next)))
            }
            Step::Read(read) => {
                let mut found = self.tables[tables].read(read.query());
                if fate == Fate::Unreadable {
                    found.records = Records::Unreadable;
                }
                let next = read.resume(self.engine, found);
                same(Some(self.keep_step(next)))
            }
            Step::Commit(commit) => {
                let lands = matches!(fate, Fate::Done | Fate::UnknownThoughApplied | Fate::CrashAfter);
                let (outcome, after) =
                    if lands { self.commit(tables, commit.changes()) } else { (Outcome::NotApplied, tables) };
                let applied = outcome == Outcome::Applied;
                if applied {
                    written = commit.changes().to_vec();
                }
                let outcome = match fate {
                    Fate::UnknownThoughApplied | Fate::UnknownAndNotApplied => Outcome::Unknown,
                    Fate::Done
                    | Fate::NotApplied
                    | Fate::Unreadable
                    | Fate::CrashBefore
                    | Fate::CrashAfter => outcome,
                };
                let step = if matches!(fate, Fate::CrashBefore | Fate::CrashAfter) {
                    None
                } else {
                    let next = commit.settle(self.engine, outcome);
                    Some(self.keep_step(next))
                };
                Came { step, tables: after, applied }
            }
        };
        let answer = came.step.and_then(|step| self.answers.get(&step));
        let moved = Moved {
            before: &self.tables[tables],
            after: &self.tables[came.tables],
            applied: &written,
            answer,
        };
        let held = always(&moved).and_then(|()| (self.promises.of_moves)(&moved));
        self.known.insert((step, tables, fate), (came, held.clone()));
        (came, held)
    }

    fn state_holds(&self, state: &State) -> Held {
        for place in &state.places {
            if let Place::At { step, wrote: true } = place
                && self.answers.get(step).is_some_and(|answer| answer.status == 503)
            {
                return Err("a 503 has written nothing".into());
            }
        }
        (self.promises.of_states)(&self.tables[state.tables], &self.told(state))
    }

    /// The ways on of one actor.
    fn turns(&mut self, state: &State, actor: usize, ways: &mut Vec<Way<State>>) {
        let now = self.clock[state.tick];
        let name = self.actors[actor].name;
        let mut go = |stage: &Self, what: String, place, tables, faults, held: Held| {
            let mut next = State { tables, faults, ..state.clone() };
            next.places[actor] = place;
            let held = held.and_then(|()| stage.state_holds(&next));
            ways.push((format!("{name} {what}"), held.map(|()| next)));
        };
        match state.places[actor] {
            Place::Waits => match &self.actors[actor].part {
                Part::Asks { seed, request } => {
                    let Some(request) = request(&self.told(state)) else { return };
                    let step = self.engine.handle(request, inputs(now, *seed));
                    let step = self.keep_step(step);
                    let what = format!("asks at {now:?}");
                    go(self, what, Place::At { step, wrote: false }, state.tables, state.faults, Ok(()));
                }
                Part::Commands(decide) => {
                    let Some(changes) = decide(&self.tables[state.tables], now) else { return };
                    let what = format!("looks, and decides on {changes:?}");
                    let place = Place::Decided(self.decided.keep(changes));
                    go(self, what, place, state.tables, state.faults, Ok(()));
                }
                Part::CommandsAtOnce(decide) => {
                    let Some(changes) = decide(&self.tables[state.tables], now) else { return };
                    let (place, tables, held) = self.command(state, &changes);
                    go(self, format!("commits {changes:?}"), place, tables, state.faults, held);
                }
                Part::Alters(alter) => {
                    let mut tables = self.tables[state.tables].clone();
                    alter(&mut tables);
                    let tables = self.tables.keep(tables);
                    go(self, "does so".into(), Place::Commanded(true), tables, state.faults, Ok(()));
                }
            },
            Place::Decided(changes) => {
                let changes = self.decided[changes].clone();
                let (place, tables, held) = self.command(state, &changes);
                go(self, "commits".into(), place, tables, state.faults, held);
            }
            Place::At { step, wrote } => {
                let fates = match &self.steps[step] {
                    Step::Read(_) => Fate::OF_READS,
                    Step::Commit(_) => Fate::OF_COMMITS,
                    Step::HashPassword(_) => &[Fate::Done],
                    Step::Reply(_) => &[],
                };
                for &fate in fates {
                    let cost = u8::from(fate != Fate::Done);
                    let Some(faults) = state.faults.checked_sub(cost) else { continue };
                    let (came, held) = self.advance(step, state.tables, fate);
                    let wrote = wrote || came.applied;
                    let place = came.step.map_or(Place::Lost, |step| Place::At { step, wrote });
                    let what = match &self.steps[step] {
                        Step::Read(_) => "reads",
                        Step::HashPassword(_) => "hashes",
                        Step::Commit(_) | Step::Reply(_) => "commits",
                    };
                    let told = came.step.and_then(|step| self.answers.get(&step)).map(|a| a.status);
                    let told = told.map_or(String::new(), |status| format!(" and is answered {status}"));
                    let ends =
                        if came.applied || fate != Fate::Done || what != "commits" { "" } else { " in vain" };
                    let how = if fate == Fate::Done { String::new() } else { format!(" ({fate:?})") };
                    go(self, format!("{what}{ends}{how}{told}"), place, came.tables, faults, held);
                }
            }
            Place::Commanded(_) | Place::Lost => {}
        }
    }

    fn command(&mut self, state: &State, changes: &[Change]) -> (Place, usize, Held) {
        let (outcome, after) = self.commit(state.tables, changes);
        let applied = outcome == Outcome::Applied;
        let moved = Moved {
            before: &self.tables[state.tables],
            after: &self.tables[after],
            applied: if applied { changes } else { &[] },
            answer: None,
        };
        let held = always(&moved).and_then(|()| (self.promises.of_moves)(&moved));
        (Place::Commanded(applied), after, held)
    }
}

/// What holds of every move in every world.
fn always(moved: &Moved<'_>) -> Held {
    for (id, session) in &moved.before.sessions {
        let after = moved.after.sessions.get(id).map(|session| session.ended_at);
        let same = session.ended_at.is_none() || after.is_none_or(|after| after == session.ended_at);
        promised(same, "a session ends once")?;
    }
    promised(
        moved.after.owners().all(|user| moved.after.users.contains_key(user)),
        "nothing outlives its owner",
    )?;
    let fresh = moved.after.sessions.iter().filter(|(id, _)| !moved.before.sessions.contains_key(*id));
    let fresh = fresh.map(|(_, session)| &session.user_id);
    let asked = moved.after.challenges.iter().filter(|(id, _)| !moved.before.challenges.contains_key(*id));
    let asked = asked.map(|(_, challenge)| &challenge.sign_in.user_id);
    promised(
        fresh.chain(asked).all(|user| moved.after.users.contains_key(user)),
        "nothing is opened for somebody who is gone",
    )?;
    of_the_state_epoch(moved)?;
    let Some(answer) = moved.answer.filter(|answer| answer.hands_out()) else { return Ok(()) };
    promised(!moved.applied.is_empty(), "nothing is handed out but by a commit that was applied")?;
    let challenge = answer.body["challenge_token"].is_string();
    promised(!challenge || answer.session.is_none(), "no token comes with a challenge")?;
    if let Some(id) = &answer.session {
        let session = moved.after.sessions.get(id).ok_or("an answered session is there")?;
        let user = moved.after.users.get(&session.user_id).ok_or("an answered session is somebody's")?;
        let over = !user.is_active() || session.user_epoch != user.epoch || session.ended_at.is_some();
        promised(!over, "nothing is handed out for a session that is over")?;
        let actor = session
            .actor
            .as_ref()
            .map(|actor| moved.after.users.get(&actor.id).filter(|a| a.epoch == actor.epoch));
        let acts = actor.is_none_or(|actor| actor.is_some_and(User::is_active));
        promised(acts, "nothing is handed out to an actor who may not sign in")?;
        let client = session.client_epoch.map(|epoch| ClientRef { id: session.client_id.clone(), epoch });
        let open = client.iter().chain(&session.issuer).all(|named| stands(moved.after, named));
        promised(open, "nothing is handed out for a client that has ended")?;
    }
    if let Some(refresh) = answer.body["refresh_token"].as_str().and_then(RefreshDigest::read) {
        let fresh = moved.after.refresh_tokens.get(&refresh).is_some_and(|token| token.rotation.is_none());
        promised(fresh, "a refresh token that is handed out is there, and unused")?;
    }
    Ok(())
}

/// What is used and what is issued is of the state epoch in which that is written.
#[allow(clippy::wildcard_enum_match_arm, reason = "the other changes neither use nor issue anything")]
fn of_the_state_epoch(moved: &Moved<'_>) -> Held {
    let (before, session) = (moved.before, |id| moved.before.sessions.get(id).map(|s| s.state_epoch));
    for change in moved.applied {
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

impl World for Stage<'_> {
    type State = State;

    fn begins(&mut self) -> State {
        let places = vec![Place::Waits; self.actors.len()];
        State { tables: self.first, tick: 0, faults: self.faults, places }
    }

    fn ways_on(&mut self, state: &State) -> Vec<Way<State>> {
        let mut ways = vec![];
        if let Some(time) = self.clock.get(state.tick + 1) {
            ways.push((
                format!("the clock shows {time:?}"),
                Ok(State { tick: state.tick + 1, ..state.clone() }),
            ));
        }
        for actor in 0..self.actors.len() {
            self.turns(state, actor, &mut ways);
        }
        ways
    }
}

/// Values kept once each, by number. `Debug` leaves secrets out, so it only leads to those that may be equal.
struct Kept<T> {
    values: Vec<T>,
    places: HashMap<u64, Vec<usize>>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { values: vec![], places: HashMap::new() }
    }
}

impl<T: Debug + PartialEq> Kept<T> {
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

impl<T> std::ops::Index<usize> for Kept<T> {
    type Output = T;

    fn index(&self, at: usize) -> &T {
        &self.values[at]
    }
}
