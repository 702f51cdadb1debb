//! The way of every request: an endpoint parses it. The parsed request says what to read, decides on what was read, and replies
//! once its changes are durable.
//!
//! A request has no control flow of its own. [`Flow`] reads again after a conflict, and turns a failed commit into a reply.

use alloc::{boxed::Box, vec, vec::Vec};
use core::convert::Infallible;

use crate::api::context::Context;
use crate::api::description::Description;
use crate::api::guess::{Guess, GuessSource, Guessed};
use crate::api::oauth::client_auth::guess_at_secret;
use crate::api::reply::Reply;
use crate::api::routes::{AwaitCommit, AwaitRecords, Routed};
use crate::api::step::{HashPassword, Step};
use crate::api::task::{Task, TaskAnswer, TaskRequest};
use crate::base::time::{Clocks, Time};
use crate::engine::Engine;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::records::client::{AuthenticatedClient, Client, ClientProof, ClientRefusal, UsedSecret};
use crate::records::client_credentials::ClientClaim;
use crate::records::password::Workspace;
use crate::settings::Settings;
use crate::store::audit::Event;
use crate::store::change::{Change, Outcome};
use crate::store::query::{Found, Query, Records};

/// An endpoint that has a row in the table of routes. Its values are the requests to it.
pub(crate) trait Endpoint: ParsedRequest {
    /// The endpoint, for the document of the API.
    const DESCRIPTION: Description;

    /// Parses a request.
    ///
    /// # Errors
    /// The reply, where nothing has to be read for it.
    fn parse(call: &Call<'_>) -> Result<Self, Reply>;
}

/// A request that has been parsed.
pub(crate) trait ParsedRequest: Sized {
    /// The work that follows a commit; [`Infallible`] if the request never commits.
    type Pending: Pending;
    /// The work that follows a hash; [`Infallible`] if the request never hashes.
    type Hash: Hashing<Self>;

    /// Returns what to read.
    fn query(&self) -> Query;

    /// Returns the credentials of the client that asks, where [`decide`](Self::decide) rests on them. It learns from
    /// [`Basis::client`] whether they are right.
    fn client<'a>(&'a self, _basis: &Basis<'_>, _records: &'a Records) -> Option<ClientClaim<'a>> {
        None
    }

    /// Returns the source of a guess at a password or a code, where [`decide`](Self::decide) would compare one. Whatever else was
    /// presented has been found good then, and so has the client.
    fn guess(&self, _basis: &Basis<'_>, _records: &Records) -> Option<GuessSource> {
        None
    }

    /// Returns what is to be done outside the core before [`decide`](Self::decide). Whatever was presented has been found good then.
    fn task(&self, _basis: &Basis<'_>, _records: &Records) -> Option<TaskRequest> {
        None
    }

    /// Takes the answer to the task.
    fn take_answer(&mut self, _answer: TaskAnswer) {}

    /// Decides on what was read. The same again after a conflict.
    ///
    /// # Errors
    /// The reply, where nothing is to be written: a refusal, most of the time.
    fn decide(&self, basis: &Basis<'_>, records: Records) -> Decided<Self::Pending, Self::Hash>;
}

/// The work that is left when a commit is over.
pub(crate) trait Pending: Sized {
    /// Makes the reply, here and nowhere earlier: the changes are durable.
    fn applied(self, ctx: &Context, engine: &Engine) -> Reply;

    /// Returns how often a request is read and decided again after a conflict.
    fn retries(&self) -> u8 {
        1
    }

    /// Makes the reply where the changes were not applied, or may not have been.
    fn failed(self, ctx: &Context, outcome: Outcome) -> Reply {
        ctx.undone(outcome)
    }
}

/// A password to be hashed, and what is to be decided then.
pub(crate) trait Hashing<R: ParsedRequest>: Sized {
    /// Returns whose password it is, where it is none to be compared.
    fn source(&self) -> Option<GuessSource> {
        None
    }

    /// Hashes, then decides about `request` on the records that were read before.
    fn run(
        self,
        request: &mut R,
        basis: &Basis<'_>,
        workspace: &mut Workspace,
    ) -> Decided<R::Pending, R::Hash>;
}

impl Pending for Infallible {
    fn applied(self, _ctx: &Context, _engine: &Engine) -> Reply {
        match self {}
    }
}

impl<R: ParsedRequest> Hashing<R> for Infallible {
    fn run(self, _: &mut R, _: &Basis<'_>, _: &mut Workspace) -> Decided<R::Pending, R::Hash> {
        match self {}
    }
}

/// A request on its way to its endpoint.
pub(crate) struct Call<'a> {
    pub(crate) ctx: Context,
    pub(crate) engine: &'a Engine,
    pub(crate) request: &'a Request,
    /// The variable segments of the path, empty where the route has fewer.
    pub(crate) segments: [&'a str; 2],
}

impl<'a> Call<'a> {
    /// Returns the first variable segment of the path.
    pub(crate) const fn id(&self) -> &'a str {
        let [first, _] = self.segments;
        first
    }
}

/// The basis of every decision, beside the records.
pub(crate) struct Basis<'a> {
    pub(crate) ctx: &'a Context,
    pub(crate) engine: &'a Engine,
    /// The state epoch of the snapshot.
    pub(crate) state_epoch: u64,
    /// The generation of the keys of the snapshot.
    pub(crate) key_generation: u64,
    /// The proof of the client that asks, or the reason why there is none, where the endpoint rests on it.
    pub(crate) proof: Option<&'a Result<ClientProof, ClientRefusal>>,
}

impl<'a> Basis<'a> {
    /// Returns the client that asks, of the record that was found for it; none where the endpoint did not say that it rests on one.
    ///
    /// # Errors
    /// The reason why it has not authenticated.
    pub(crate) fn client<'r>(
        &self,
        record: Option<&'r Client>,
    ) -> Result<Option<AuthenticatedClient<'r>>, ClientRefusal> {
        match self.proof {
            None => Ok(None),
            Some(Err(refusal)) => Err(*refusal),
            Some(Ok(proof)) => Ok(record.and_then(|record| proof.of(record))),
        }
    }

    /// Returns the same basis for a request of context `ctx`.
    pub(crate) const fn at<'b>(&self, ctx: &'b Context) -> Basis<'b>
    where
        'a: 'b,
    {
        Basis { ctx, ..*self }
    }

    pub(crate) const fn settings(&self) -> &'a Settings {
        self.engine.settings()
    }

    pub(crate) const fn now(&self) -> Time {
        self.ctx.now()
    }

    pub(crate) const fn clocks(&self) -> Clocks {
        self.ctx.clocks()
    }

    /// Refuses to go on without a key that signs for `client`: nothing is spent for a token that cannot be made.
    pub(crate) fn require_signing_key(&self, client: Option<&Client>) -> Result<(), Reply> {
        let chosen = client.and_then(|client| client.signing_algorithm);
        if self.engine.can_sign(chosen) { Ok(()) } else { Err(self.ctx.unavailable()) }
    }
}

/// The next step of an endpoint.
pub(crate) enum Next<P = Infallible, H = Infallible> {
    Reply(Reply),
    /// Records a refusal, then sends this whatever the outcome: it is refused whether or not that could be recorded.
    Record(Vec<Change>, Reply),
    Commit {
        /// The state epoch that must still hold, where the changes use or issue anything of it.
        state_epoch: Option<u64>,
        changes: Vec<Change>,
        pending: P,
    },
    Hash(H),
}

/// A decision. `Err` is a reply, too: see [`ParsedRequest::decide`].
pub(crate) type Decided<P = Infallible, H = Infallible> = Result<Next<P, H>, Reply>;

impl<P, H> Next<P, H> {
    /// Records the refusal of something that exists, then sends `reply`.
    pub(crate) fn record(event: Event, reply: Reply) -> Self {
        Self::Record(vec![Change::Audit(event)], reply)
    }

    /// Commits changes that hold in any state epoch: they end something, or count.
    pub(crate) const fn commit(changes: Vec<Change>, pending: P) -> Self {
        Self::Commit { state_epoch: None, changes, pending }
    }

    /// Commits changes that use or issue something in `state_epoch`.
    pub(crate) const fn commit_in(state_epoch: u64, changes: Vec<Change>, pending: P) -> Self {
        Self::Commit { state_epoch: Some(state_epoch), changes, pending }
    }
}

impl<P, H> From<Reply> for Next<P, H> {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

impl<P, H> From<Response> for Next<P, H> {
    fn from(response: Response) -> Self {
        Self::Reply(response.into())
    }
}

/// A request that is being answered: `state` is the parsed request, or what is awaited for it.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Flow<S> {
    pub(crate) ctx: Context,
    /// The number of times that the records were read again after a conflict.
    pub(crate) conflicts: u8,
    pub(crate) guesses: Guesses,
    /// The use of a client's secret that is to be written down.
    pub(crate) used: Option<Box<UsedSecret>>,
    pub(crate) state: S,
}

/// The guesses of a request.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(PartialEq))]
pub(crate) struct Guesses {
    /// The last kind that may be made without being asked for: it was allowed, or nothing of it is guessed.
    allowed: Option<Guessed>,
    /// The latest that was asked for.
    asked: Option<GuessSource>,
}

impl Guesses {
    const NONE: Self = Self { allowed: None, asked: None };

    /// Returns true if a guess at `guessed` has to be asked for.
    fn may_ask(self, guessed: Guessed) -> bool {
        self.allowed < Some(guessed)
    }
}

impl<S> Flow<S> {
    /// Takes the state out, so that another can take its place.
    pub(crate) fn with<T>(self, state: impl FnOnce(S) -> T) -> Flow<T> {
        let Self { ctx, conflicts, guesses, used, state: before } = self;
        Flow { ctx, conflicts, guesses, used, state: state(before) }
    }

    /// Replies.
    pub(crate) fn reply(&self, reply: Reply) -> Step {
        Step::reply(&self.ctx, reply.to(self.ctx.peer, self.guesses.asked).using(self.used.clone()))
    }
}

impl<E: Endpoint + Routed> Flow<E> {
    /// Begins to answer a call of this endpoint.
    pub(crate) fn begin(call: Call<'_>) -> Step {
        match E::parse(&call) {
            Ok(state) => Self::begin_with(call.ctx, state),
            Err(reply) => Step::reply(&call.ctx, reply),
        }
    }
}

impl<R: Routed> Flow<R> {
    /// Begins with a request that has been parsed.
    pub(crate) fn begin_with(ctx: Context, state: R) -> Step {
        Self { ctx, conflicts: 0, guesses: Guesses::NONE, used: None, state }.ask()
    }

    /// Asks for the records.
    pub(crate) fn ask(self) -> Step {
        Step::read(self.state.query(), self.with(R::await_records))
    }

    /// Decides on what was found, or asks whether a guess may be made.
    pub(crate) fn resume(self, engine: &Engine, found: Found) -> Step {
        let Found { generation: key_generation, state_epoch, .. } = found;
        let basis = Basis { ctx: &self.ctx, engine, state_epoch, key_generation, proof: None };
        let claim = self.state.client(&basis, &found.records);
        let at_secret = claim.as_ref().filter(|_| self.guesses.may_ask(Guessed::ClientSecret));
        if let Some(source) = at_secret.and_then(|claim| guess_at_secret(&self.ctx, claim)) {
            return self.ask_for(Guessed::ClientSecret, source, found);
        }
        let proof = claim.map(|claim| claim.authenticate(basis.now()));
        let basis = Basis { proof: proof.as_ref(), ..basis };
        if self.guesses.may_ask(Guessed::PasswordOrCode)
            && let Some(source) = self.state.guess(&basis, &found.records)
        {
            return self.ask_for(Guessed::PasswordOrCode, source, found);
        }
        if let Some(request) = self.state.task(&basis, &found.records) {
            return Step::Task(Task { request, found, flow: self.with(R::await_records) });
        }
        let decided = self.state.decide(&basis, found.records);
        let guesses = Guesses { allowed: Some(Guessed::PasswordOrCode), ..self.guesses };
        let proof = proof.and_then(Result::ok);
        let assertion = proof.as_ref().and_then(ClientProof::used_assertion).map(Change::UseAssertion);
        let used = proof.and_then(ClientProof::into_used_secret).map(Box::new);
        Self { guesses, used, ..self }.go_on(decided, state_epoch, assertion)
    }

    /// Asks whether a guess may be made.
    fn ask_for(self, guessed: Guessed, source: GuessSource, found: Found) -> Step {
        let guesses = Guesses { allowed: Some(guessed), asked: Some(source) };
        let flow = Self { guesses, ..self }.with(R::await_records);
        Step::Guess(Guess { source, found, flow })
    }

    /// Hashes, and decides on what was found before, in `state_epoch`.
    pub(crate) fn run(
        mut self,
        hash: R::Hash,
        state_epoch: u64,
        workspace: &mut Workspace,
        engine: &Engine,
    ) -> Step {
        let basis = Basis { ctx: &self.ctx, engine, state_epoch, key_generation: 0, proof: None };
        let decided = hash.run(&mut self.state, &basis, workspace);
        self.go_on(decided, state_epoch, None)
    }

    /// Takes the next step. The use of an assertion is committed with it, or before the reply.
    fn go_on(
        self,
        decided: Decided<R::Pending, R::Hash>,
        state_epoch: u64,
        assertion: Option<Change>,
    ) -> Step {
        let with_use = |mut changes: Vec<Change>| {
            changes.splice(..0, assertion.clone());
            changes
        };
        match decided {
            // After a 5xx the same request may be sent again.
            Err(reply) | Ok(Next::Reply(reply)) if assertion.is_some() && reply.status() < 500 => {
                let query = Box::new(self.state.query());
                let awaits = |request: R| AwaitCommit::UseAssertion(query, request.await_records(), reply);
                Step::commit(None, with_use(Vec::new()), self.with(awaits))
            }
            Err(reply) | Ok(Next::Reply(reply)) => self.reply(reply),
            Ok(Next::Record(changes, reply)) => {
                Step::commit(None, with_use(changes), self.with(|_| AwaitCommit::Record(reply)))
            }
            Ok(Next::Commit { state_epoch, changes, pending }) => {
                let awaits = |request: R| request.await_commit(pending);
                Step::commit(state_epoch, with_use(changes), self.with(awaits))
            }
            Ok(Next::Hash(hash)) => match self.guesses.asked.or_else(|| hash.source()) {
                Some(source) => {
                    let flow = self.with(|request| request.await_hash(hash));
                    Step::HashPassword(HashPassword { source, state_epoch, flow })
                }
                // A password that is hashed is one to be compared, or an administrator's.
                None => self.reply(self.ctx.internal()),
            },
        }
    }

    /// Replies, or reads once more after a conflict.
    pub(crate) fn settle(self, pending: R::Pending, engine: &Engine, outcome: Outcome) -> Step {
        match outcome {
            Outcome::Applied => self.reply(pending.applied(&self.ctx, engine)),
            Outcome::Conflict if self.conflicts < pending.retries() => {
                Self { conflicts: self.conflicts + 1, ..self }.ask()
            }
            Outcome::Conflict | Outcome::NotApplied | Outcome::Unknown => {
                self.reply(pending.failed(&self.ctx, outcome))
            }
        }
    }
}

impl Flow<AwaitRecords> {
    /// Sends `reply` now that an assertion was used for it, or reads once more where another request has used it.
    pub(crate) fn settle_assertion(self, query: Query, reply: Reply, outcome: Outcome) -> Step {
        match outcome {
            Outcome::Applied => self.reply(reply),
            Outcome::Conflict if self.conflicts == 0 => Step::read(query, Self { conflicts: 1, ..self }),
            Outcome::Conflict | Outcome::NotApplied | Outcome::Unknown => {
                self.reply(self.ctx.undone(outcome))
            }
        }
    }
}
