//! The administrator's operations as flows that wait for the store, whatever their results are.

use std::sync::Arc;

use gatepass_core::admin::{AdminError, Administrator, Commit, Operation, Step, begin};
use gatepass_core::records::request_inputs::RequestInputs;
use gatepass_core::settings::Settings;
use gatepass_core::store::Store;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::{Found, Query};

use crate::fixtures;

/// A read of the records.
pub type Reads<'a> = &'a dyn Fn(&Query) -> Found;

/// An operation that waits for its commit.
pub trait PendingOperation {
    /// The changes to commit.
    fn changes(&self) -> &Arc<[Change]>;

    /// Continues after a commit. Before another commit it reads and decides again.
    fn settle(
        self: Box<Self>,
        outcome: Outcome,
        settings: &Settings,
        read: Reads<'_>,
    ) -> Option<Box<dyn PendingOperation>>;
}

impl<O: Operation + 'static> PendingOperation for Commit<O> {
    fn changes(&self) -> &Arc<[Change]> {
        Self::changes(self)
    }

    fn settle(
        self: Box<Self>,
        outcome: Outcome,
        settings: &Settings,
        read: Reads<'_>,
    ) -> Option<Box<dyn PendingOperation>> {
        pending(Self::settle(*self, outcome), settings, read)
    }
}

/// Begins `operation`, reads and decides. Returns `None` if there is nothing to commit.
pub fn decide<O: Operation + 'static>(
    operation: O,
    inputs: RequestInputs,
    settings: &Settings,
    read: Reads<'_>,
) -> Option<Box<dyn PendingOperation>> {
    decide_as(operation, Administrator::Machine, inputs, settings, read)
}

/// Does the same for `administrator`.
pub fn decide_as<O: Operation + 'static>(
    operation: O,
    administrator: Administrator,
    inputs: RequestInputs,
    settings: &Settings,
    read: Reads<'_>,
) -> Option<Box<dyn PendingOperation>> {
    pending(begin(operation, administrator, inputs), settings, read)
}

/// Does `operation`, whoever else is at work.
///
/// # Errors
/// Those of the operation.
pub fn run<O: Operation>(
    operation: O,
    inputs: RequestInputs,
    settings: &Settings,
    store: &impl Store,
) -> Result<O::Output, AdminError> {
    run_with(operation, inputs, settings, store, || {})
}

/// Does the same, and calls `before_commit` before each commit.
///
/// # Errors
/// Those of the operation.
pub fn run_with<O: Operation>(
    operation: O,
    inputs: RequestInputs,
    settings: &Settings,
    store: &impl Store,
    mut before_commit: impl FnMut(),
) -> Result<O::Output, AdminError> {
    let mut step = begin(operation, Administrator::Machine, inputs);
    loop {
        match advance(step, settings, &|query| store.read(query)) {
            Ok(commit) => {
                before_commit();
                let outcome = store.commit(commit.changes());
                step = commit.settle(outcome);
            }
            Err(result) => return result,
        }
    }
}

fn pending<O: Operation + 'static>(
    step: Step<O>,
    settings: &Settings,
    read: Reads<'_>,
) -> Option<Box<dyn PendingOperation>> {
    advance(step, settings, read).ok().map(|commit| -> Box<dyn PendingOperation> { Box::new(commit) })
}

/// Goes on to a commit, or to the end.
fn advance<O: Operation>(
    mut step: Step<O>,
    settings: &Settings,
    read: Reads<'_>,
) -> Result<Commit<O>, Result<O::Output, AdminError>> {
    loop {
        step = match step {
            Step::Read(reads) => {
                let found = read(reads.query());
                reads.resume(settings, found)
            }
            Step::HashPassword(step) => match fixtures::known_hash(step.password()) {
                Some(hash) => step.resume(settings, hash),
                None => step.run(settings),
            },
            Step::Commit(commit) => return Ok(commit),
            Step::Done(result) => return Err(result),
        };
    }
}
