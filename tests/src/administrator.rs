//! An administrator whose operations wait for the store as anybody's flows do, whatever their results are.

use std::sync::Arc;

use gatepass_core::admin::{Commit, Operation, Step, begin};
use gatepass_core::records::request_inputs::RequestInputs;
use gatepass_core::settings::Settings;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::{Found, Query};

/// How the records are read.
pub type Reads<'a> = &'a dyn Fn(&Query) -> Found;

/// An operation that waits for its commit.
pub trait PendingOperation {
    /// What it is to commit.
    fn changes(&self) -> &Arc<[Change]>;

    /// Goes on. Where it has to commit once more, it has read and decided again.
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

/// Begins `operation`, reads and decides. None where there is nothing to commit.
pub fn decide<O: Operation + 'static>(
    operation: O,
    inputs: RequestInputs,
    settings: &Settings,
    read: Reads<'_>,
) -> Option<Box<dyn PendingOperation>> {
    pending(begin(operation, inputs), settings, read)
}

fn pending<O: Operation + 'static>(
    mut step: Step<O>,
    settings: &Settings,
    read: Reads<'_>,
) -> Option<Box<dyn PendingOperation>> {
    loop {
        step = match step {
            Step::Read(reads) => {
                let found = read(reads.query());
                reads.resume(settings, found)
            }
            Step::HashPassword(hash) => hash.run(settings),
            Step::Commit(commit) => return Some(Box::new(commit)),
            Step::Done(_) => return None,
        };
    }
}
