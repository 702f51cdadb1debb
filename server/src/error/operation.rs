//! The messages of administration operations that failed.

use gatepass_core::admin::AdminError;

use super::ProgramError;

/// The reason why an operation failed.
#[derive(Debug)]
pub enum OperationError {
    /// The core refused it.
    Refused(AdminError),
    /// The store, the clock or the randomness failed.
    Failed(ProgramError),
}

impl OperationError {
    /// Makes a message with `words`, or the message of every operation if `words` returns none.
    pub(crate) fn into_message(
        self,
        words: impl FnOnce(&AdminError) -> Option<ProgramError>,
    ) -> ProgramError {
        match self {
            Self::Failed(failure) => failure,
            Self::Refused(error) => words(&error).unwrap_or_else(|| message(&error)),
        }
    }

    /// Makes the message of a listed refusal, and of everything else as for every operation.
    pub(crate) fn into_message_of<const N: usize>(self, words: [(AdminError, String); N]) -> ProgramError {
        self.into_message(|error| {
            let found = words.into_iter().find(|(known, _)| known == error);
            found.map(|(_, words)| ProgramError::Failed(words))
        })
    }

    /// Makes the message of a conflict with `words`, and of everything else as for every operation.
    pub(crate) fn or_conflict(self, words: impl FnOnce() -> String) -> ProgramError {
        self.into_message(|error| (*error == AdminError::Conflict).then(|| ProgramError::Failed(words())))
    }
}

impl From<ProgramError> for OperationError {
    fn from(failure: ProgramError) -> Self {
        Self::Failed(failure)
    }
}

impl From<AdminError> for ProgramError {
    fn from(error: AdminError) -> Self {
        message(&error)
    }
}

impl From<OperationError> for ProgramError {
    fn from(error: OperationError) -> Self {
        error.into_message(|_| None)
    }
}

/// The messages of errors that every operation may have.
const WORDS: &[(AdminError, &str)] = &[
    (
        AdminError::NotApplied,
        "the store cannot commit now and nothing was changed: see whether the disk is full or read-only (`gatepass check`), then try again",
    ),
    (
        AdminError::Unknown,
        "the outcome of the commit was lost: look at whether the change is there before trying again",
    ),
    (AdminError::NoMemory, "no memory to hash the password with: it takes 19 MiB"),
];

/// Returns the message that every operation has for what the core refused.
fn message(error: &AdminError) -> ProgramError {
    if let AdminError::NotFound(item) = error {
        let noun = item.noun();
        return ProgramError::failed(format!(
            "there is no {item}: `gatepass {noun} list` shows those there are"
        ));
    }
    if let AdminError::IdentifierTaken { owner, .. } = error {
        return ProgramError::failed(format!(
            "{error}: choose another, or change that user with `gatepass user set {}`",
            owner.user
        ));
    }
    if let AdminError::Ambiguous { .. } = error {
        return ProgramError::failed(format!("{error}: name the one that is meant by id"));
    }
    if matches!(error, AdminError::Invalid { .. }) {
        return ProgramError::usage(error.to_string());
    }
    let words = WORDS.iter().find(|(known, _)| known == error);
    ProgramError::Failed(words.map_or_else(|| error.to_string(), |(_, words)| (*words).to_owned()))
}
