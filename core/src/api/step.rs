//! A flow is a value: what it waits for next, and how it goes on.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::api::context::Context;
use crate::api::endpoint::Flow;
use crate::api::guess::{Guess, GuessSource};
use crate::api::reply::Reply;
use crate::api::routes::{AwaitCommit, AwaitHash, AwaitRecords};
use crate::api::task::Task;
use crate::engine::Engine;
use crate::http::request::Request;
use crate::records::password::Workspace;
use crate::records::request_inputs::RequestInputs;
use crate::store::Store;
use crate::store::change::{Change, Outcome};
use crate::store::query::{Found, Query};

/// The next thing that a flow waits for. A flow ends after at most [`Step::MAX`] steps, whatever the store answers.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
#[must_use = "a step that is dropped leaves its request unanswered"]
pub enum Step {
    /// Read these records in one consistent snapshot, then `resume` with what was found.
    Read(Read),
    /// Apply all of these changes durably, in one transaction, or none; then `settle` with how it went.
    Commit(Commit),
    /// Answer this: a password, a code, or a secret that can be guessed is about to be compared. Limit an address that has guessed
    /// wrong too often lately, and allow the others.
    Guess(Guess),
    /// Run this: a password is to be hashed, which takes some 20 ms and 19 MiB. Bound how many go on at once, and refuse
    /// what cannot wait, so that guessing costs the guesser and not the box.
    HashPassword(HashPassword),
    /// Do this for an administrator, or refuse it: only the driver can do it, or knows.
    Task(Task),
    /// Send this.
    Reply(Reply),
}

impl Step {
    /// The most steps one request takes: read, two guesses, hash, commit, once more all but the guesses after a conflict, and the
    /// reply. Or two guesses beside three times read and commit, where an answer is given again.
    pub const MAX: usize = 9;

    /// Replies with the id of the request.
    pub(crate) fn reply(ctx: &Context, reply: Reply) -> Self {
        Self::Reply(reply.of_request(&ctx.ids))
    }

    pub(crate) const fn read(query: Query, flow: Flow<AwaitRecords>) -> Self {
        Self::Read(Read { query, flow })
    }

    pub(crate) fn commit(state_epoch: Option<u64>, changes: Vec<Change>, flow: Flow<AwaitCommit>) -> Self {
        let changes = state_epoch.map(Change::RequireStateEpoch).into_iter().chain(changes).collect();
        Self::Commit(Commit { changes, flow })
    }
}

/// A flow that waits for records.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
#[must_use = "resume it with what the store found"]
pub struct Read {
    query: Query,
    flow: Flow<AwaitRecords>,
}

impl Read {
    /// Returns the query.
    pub const fn query(&self) -> &Query {
        &self.query
    }

    /// Goes on with what was found. `engine` must hold the keys of `found.generation` or later; where it does
    /// not, the answer is 503 and nothing has been changed.
    pub fn resume(self, engine: &Engine, found: Found) -> Step {
        if found.records.is_unreadable() {
            return Step::reply(&self.flow.ctx, self.flow.ctx.unavailable());
        }
        self.flow.resume_any(engine, found)
    }
}

/// A flow that waits for its changes to be durable. What it will answer is out of reach: [`Commit::settle`] alone hands it out, for
/// [`Outcome::Applied`] alone. Tickets and the tokens of people do not even exist before.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
#[must_use = "settle it with the outcome of its commit"]
pub struct Commit {
    changes: Arc<[Change]>,
    flow: Flow<AwaitCommit>,
}

impl Commit {
    /// Returns the changes to apply, all or none. Cheap to clone, so that a writer elsewhere can hold it.
    pub const fn changes(&self) -> &Arc<[Change]> {
        &self.changes
    }

    /// Goes on, now that the outcome is known.
    pub fn settle(self, engine: &Engine, outcome: Outcome) -> Step {
        self.flow.settle_any(engine, outcome)
    }
}

/// A flow that waits for a password to be hashed.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
#[must_use = "run it, or refuse it"]
pub struct HashPassword {
    pub(crate) source: GuessSource,
    /// The state epoch of the snapshot that was read before.
    pub(crate) state_epoch: u64,
    pub(crate) flow: Flow<AwaitHash>,
}

impl HashPassword {
    /// Returns where the password comes from and whose it may be, so that each of them gets a fair share of the room.
    pub const fn source(&self) -> GuessSource {
        self.source
    }

    /// Hashes, and goes on: some 20 ms for each hash, in 19 MiB that are given back. A changed password is another hash, and so is
    /// one that was sent in another form than Unicode's normalization form C.
    pub fn run(self, engine: &Engine) -> Step {
        self.run_in(&mut Workspace::default(), engine)
    }

    /// Does the same in memory that is kept.
    pub fn run_in(self, workspace: &mut Workspace, engine: &Engine) -> Step {
        self.flow.run_any(self.state_epoch, workspace, engine)
    }

    /// Answers 503: there is no room for it now, and nothing has been changed.
    pub fn refuse(self) -> Step {
        Step::reply(&self.flow.ctx, self.flow.ctx.unavailable())
    }
}

/// Drives one request to its answer: the whole embedding, where reading and committing may block, guesses are limited before it,
/// and keys do not change: once they have, the answer is 503.
pub fn drive(engine: &Engine, store: &impl Store, request: Request, inputs: RequestInputs) -> Reply {
    finish(engine, store, engine.handle(request, inputs))
}

/// Drives a flow that has begun to its answer.
pub fn finish(engine: &Engine, store: &impl Store, mut step: Step) -> Reply {
    loop {
        step = match step {
            Step::Read(read) => {
                let found = store.read(read.query());
                read.resume(engine, found)
            }
            Step::Commit(commit) => {
                let outcome = store.commit(commit.changes());
                commit.settle(engine, outcome)
            }
            // Nothing is limited here: that takes a memory of addresses.
            Step::Guess(guess) => guess.allow(engine),
            Step::HashPassword(hash) => hash.run(engine),
            Step::Task(task) => task.refuse(),
            Step::Reply(reply) => return reply,
        }
    }
}
