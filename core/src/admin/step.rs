//! The machine that drives every operation: read, decide, hash where there is a password, commit, result.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::admin::administrator::Administrator;
use crate::admin::error::AdminError;
use crate::base::secret::SecretText;
use crate::records::password::{PasswordHash, Workspace};
use crate::records::request_inputs::RequestInputs;
use crate::settings::Settings;
use crate::store::Store;
use crate::store::change::{Change, Outcome};
use crate::store::query::{Found, Query, Records};

/// The number of times an operation is decided, where others change its records all the time.
pub const ATTEMPTS: usize = 8;

/// One administrator's request.
///
/// An implementation is plain data and two pure functions. It never sees the outcome of its commit.
pub trait Operation: core::fmt::Debug {
    /// The result, once everything is durable.
    type Output: core::fmt::Debug;

    /// Returns what to read first.
    fn query(&self) -> Query;

    /// Decides on what was found. It is called again after a conflict, and after a password was hashed.
    ///
    /// # Errors
    /// [`AdminError`] says what stands against it. Nothing is written.
    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<Self::Output>, AdminError>;
}

impl<O: Operation + ?Sized> Operation for &O {
    type Output = O::Output;

    fn query(&self) -> Query {
        (**self).query()
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<Self::Output>, AdminError> {
        (**self).decide(inputs, records)
    }
}

/// Everything that a decision rests on beside the records.
#[derive(Clone, Copy, Debug)]
pub struct OperationInputs<'a> {
    /// The administrator who asks.
    pub administrator: &'a Administrator,
    /// The settings of the server.
    pub settings: &'a Settings,
    /// The time and the randomness of the operation, the same at each attempt.
    pub request: &'a RequestInputs,
    /// The state epoch, as of the snapshot.
    pub state_epoch: u64,
    /// The generation of the keys, as of the snapshot.
    pub key_generation: u64,
    /// The hash of the password that an earlier decision asked to hash.
    pub password_hash: Option<&'a PasswordHash>,
}

/// The next step of an operation.
#[derive(Debug)]
pub enum Decision<T> {
    /// Nothing has to be written: this is the result.
    Done(T),
    /// Hash this password, then decide again.
    HashPassword(SecretText),
    /// Commit these changes.
    Commit(Plan<T>),
}

impl<T> Decision<T> {
    /// Returns the same decision with another result.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Decision<U> {
        match self {
            Self::Done(output) => Decision::Done(make(output)),
            Self::HashPassword(password) => Decision::HashPassword(password),
            Self::Commit(plan) => Decision::Commit(plan.map(make)),
        }
    }
}

impl<T> Decision<T> {
    /// Commits the changes, if there are any, only while `required` holds, too.
    pub(super) fn require(self, required: Option<Change>) -> Self {
        match self {
            Self::Commit(mut plan) => {
                plan.changes.extend(required);
                Self::Commit(plan)
            }
            other @ (Self::Done(_) | Self::HashPassword(_)) => other,
        }
    }
}

/// Changes, and the result once they are durable.
#[derive(Debug)]
pub struct Plan<T> {
    changes: Vec<Change>,
    output: T,
    retry: Option<Query>,
}

impl<T> Plan<T> {
    /// Plans to write `changes`; `output` is the result.
    pub const fn new(changes: Vec<Change>, output: T) -> Self {
        Self { changes, output, retry: None }
    }

    /// Returns the changes, and the result once they are durable.
    pub(crate) fn into_parts(self) -> (Vec<Change>, T) {
        (self.changes, self.output)
    }

    /// Makes another result of this one.
    pub(super) fn map<U>(self, make: impl FnOnce(T) -> U) -> Plan<U> {
        Plan { changes: self.changes, output: make(self.output), retry: self.retry }
    }

    /// Asks `query` after a conflict: a record that was found by name is read by identifier from then on.
    #[must_use]
    pub fn retry_with(self, query: Query) -> Self {
        Self { retry: Some(query), ..self }
    }
}

impl<T> From<Plan<T>> for Decision<T> {
    fn from(plan: Plan<T>) -> Self {
        Self::Commit(plan)
    }
}

/// The next thing an operation waits for. A value of each kind is used up by going on, so no step is taken twice.
#[derive(Debug)]
#[must_use = "a step that is dropped leaves its operation undone"]
pub enum Step<O: Operation> {
    /// Read these records in one consistent snapshot, then `resume` with what was found.
    Read(Read<O>),
    /// Run this: a password is to be hashed, which takes some 20 ms and 19 MiB.
    HashPassword(HashPassword<O>),
    /// Apply all of these changes durably, in one transaction, or none; then `settle` with how it went.
    Commit(Commit<O>),
    /// The operation is over.
    Done(Result<O::Output, AdminError>),
}

impl<O: Operation> Step<O> {
    /// The most steps of one operation: each attempt reads and commits, one password is hashed, and the result.
    pub const MAX: usize = 2 * ATTEMPTS + 2;
}

/// An operation under way.
#[derive(Debug)]
struct Progress<O> {
    operation: O,
    administrator: Administrator,
    inputs: RequestInputs,
    attempts: usize,
    password_hash: Option<PasswordHash>,
}

/// Begins `operation` for `administrator`. The inputs must not be those of anything else: secrets are drawn from their seed.
pub fn begin<O: Operation>(operation: O, administrator: Administrator, inputs: RequestInputs) -> Step<O> {
    let query = operation.query();
    let progress = Progress { operation, administrator, inputs, attempts: 0, password_hash: None };
    Step::Read(Read { query, progress })
}

/// Drives `operation` to its result, where reading and committing may block.
///
/// # Errors
/// [`AdminError`] says why nothing was changed; after [`AdminError::Unknown`] nobody knows.
pub fn run<O: Operation>(
    operation: O,
    administrator: Administrator,
    inputs: RequestInputs,
    settings: &Settings,
    store: &impl Store,
) -> Result<O::Output, AdminError> {
    let mut step = begin(operation, administrator, inputs);
    loop {
        step = match step {
            Step::Read(read) => {
                let found = store.read(read.query());
                read.resume(settings, found)
            }
            Step::HashPassword(hash) => hash.run(settings),
            Step::Commit(commit) => {
                let outcome = store.commit(commit.changes());
                commit.settle(outcome)
            }
            Step::Done(result) => return result,
        }
    }
}

impl<O: Operation> Progress<O> {
    fn decide(self, settings: &Settings, found: Found) -> Step<O> {
        if found.records.is_unreadable() {
            return Step::Done(Err(AdminError::Unreadable));
        }
        let inputs = OperationInputs {
            administrator: &self.administrator,
            settings,
            request: &self.inputs,
            state_epoch: found.state_epoch,
            key_generation: found.generation,
            password_hash: self.password_hash.as_ref(),
        };
        match self.operation.decide(&inputs, &found.records) {
            Err(error) => Step::Done(Err(error)),
            Ok(Decision::Done(output)) => Step::Done(Ok(output)),
            // One operation has one password.
            Ok(Decision::HashPassword(_)) if self.password_hash.is_some() => {
                Step::Done(Err(AdminError::Internal))
            }
            Ok(Decision::HashPassword(password)) => {
                Step::HashPassword(HashPassword { password, found, progress: self })
            }
            Ok(Decision::Commit(Plan { changes, output, retry })) => {
                let retry = retry.unwrap_or_else(|| self.operation.query());
                Step::Commit(Commit { changes: changes.into(), output, retry, progress: self })
            }
        }
    }
}

/// An operation that waits for records.
#[derive(Debug)]
#[must_use = "resume it with what the store found"]
pub struct Read<O> {
    query: Query,
    progress: Progress<O>,
}

impl<O: Operation> Read<O> {
    /// Returns the question to the store.
    pub const fn query(&self) -> &Query {
        &self.query
    }

    /// Goes on with what was found.
    pub fn resume(self, settings: &Settings, found: Found) -> Step<O> {
        self.progress.decide(settings, found)
    }
}

/// An operation that waits for a password to be hashed.
#[derive(Debug)]
#[must_use = "run it, or refuse it"]
pub struct HashPassword<O> {
    password: SecretText,
    found: Found,
    progress: Progress<O>,
}

impl<O: Operation> HashPassword<O> {
    /// Hashes, and goes on.
    pub fn run(self, settings: &Settings) -> Step<O> {
        self.run_in(&mut Workspace::default(), settings)
    }

    /// Hashes in memory that is kept, and goes on.
    pub fn run_in(self, workspace: &mut Workspace, settings: &Settings) -> Step<O> {
        match PasswordHash::of(&self.password, self.progress.inputs.password_salt(), workspace) {
            Some(hash) => self.resume(settings, hash),
            None => Step::Done(Err(AdminError::NoMemory)),
        }
    }

    /// Returns the password to be hashed.
    #[doc(hidden)]
    pub const fn password(&self) -> &SecretText {
        &self.password
    }

    /// Goes on with a hash of the password that was made elsewhere.
    #[doc(hidden)]
    pub fn resume(self, settings: &Settings, hash: PasswordHash) -> Step<O> {
        let Self { password: _, found, mut progress } = self;
        progress.password_hash = Some(hash);
        progress.decide(settings, found)
    }

    /// Ends the operation: there is no room for the hash now, and nothing has been changed.
    pub fn refuse(self) -> Step<O> {
        Step::Done(Err(AdminError::Overloaded))
    }
}

/// An operation that waits for its changes to be durable. Its result, and every secret in it, is out of reach until
/// [`Commit::settle`], which hands it out for [`Outcome::Applied`] alone.
#[must_use = "settle it with the outcome of its commit"]
pub struct Commit<O: Operation> {
    changes: Arc<[Change]>,
    output: O::Output,
    retry: Query,
    progress: Progress<O>,
}

impl<O: Operation> core::fmt::Debug for Commit<O> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Commit").field("changes", &self.changes).finish_non_exhaustive()
    }
}

impl<O: Operation> Commit<O> {
    /// Returns what is to be applied: all of it or nothing.
    pub const fn changes(&self) -> &Arc<[Change]> {
        &self.changes
    }

    /// Goes on, now that the outcome is known.
    pub fn settle(self, outcome: Outcome) -> Step<O> {
        let Self { changes: _, output, retry, mut progress } = self;
        progress.attempts = progress.attempts.saturating_add(1);
        match outcome {
            Outcome::Applied => Step::Done(Ok(output)),
            Outcome::Conflict if progress.attempts < ATTEMPTS => Step::Read(Read { query: retry, progress }),
            Outcome::Conflict => Step::Done(Err(AdminError::Conflict)),
            Outcome::NotApplied => Step::Done(Err(AdminError::NotApplied)),
            Outcome::Unknown => Step::Done(Err(AdminError::Unknown)),
        }
    }
}
