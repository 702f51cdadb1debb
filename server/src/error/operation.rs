//! The words for an operation of the core that was not done.

use gatepass_core::admin::{AdminError, Item};

use super::ProgramError;

/// The reason why an operation was not done.
#[derive(Debug)]
pub enum OperationError {
    /// The core refused it.
    Refused(AdminError),
    /// The store, the clock or the randomness failed.
    Failed(ProgramError),
}

impl OperationError {
    /// Tells it in `words`, where they have any for the refusal, and in those for every operation otherwise.
    pub(crate) fn told(self, words: impl FnOnce(&AdminError) -> Option<ProgramError>) -> ProgramError {
        match self {
            Self::Failed(failure) => failure,
            Self::Refused(error) => words(&error).unwrap_or_else(|| told(&error)),
        }
    }

    /// Tells a conflict in `words`, and everything else in those for every operation.
    pub(crate) fn or_conflict(self, words: impl FnOnce() -> String) -> ProgramError {
        self.told(|error| (*error == AdminError::Conflict).then(|| ProgramError::Failed(words())))
    }
}

impl From<ProgramError> for OperationError {
    fn from(failure: ProgramError) -> Self {
        Self::Failed(failure)
    }
}

impl From<AdminError> for ProgramError {
    fn from(error: AdminError) -> Self {
        told(&error)
    }
}

impl From<OperationError> for ProgramError {
    fn from(error: OperationError) -> Self {
        error.told(|_| None)
    }
}

/// Tells what the core refused, as every operation does.
fn told(error: &AdminError) -> ProgramError {
    match error {
        AdminError::NotFound(item) => {
            let noun = noun(item);
            ProgramError::failed(format!("there is no {item}: `gatepass {noun} list` shows those there are"))
        }
        AdminError::NotApplied => ProgramError::failed(
            "the store cannot commit now and nothing was changed: see whether the disk is full or read-only (`gatepass check`), then try again",
        ),
        AdminError::Unknown => ProgramError::failed(
            "the outcome of the commit was lost: look at whether the change is there before trying again",
        ),
        AdminError::NoMemory => ProgramError::failed("no memory to hash the password with: it takes 19 MiB"),
        AdminError::Invalid { .. } => ProgramError::usage(error.to_string()),
        other => ProgramError::failed(other.to_string()),
    }
}

/// The command that lists what `item` is one of.
const fn noun(item: &Item) -> &'static str {
    match item {
        Item::Client(_) => "client",
        Item::Key(_) => "key",
        Item::Ticket(_) => "ticket",
        Item::Session(_) => "session",
        _ => "user",
    }
}
