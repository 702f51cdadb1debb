//! Notices about a start.

use gatepass_core::base::time::Time;

use super::error::StoreError;

/// Notices about a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The files are older than those that were served last; everything issued before is refused from now on.
    StateSuperseded {
        /// The time when the newest generation of these files was made; none in files of an earlier schema.
        since: Option<Time>,
    },
    /// A copy was put in place; everything issued before is refused from now on.
    StateRestored {
        /// The time when the copy was made.
        since: Time,
    },
    /// The state of another machine was taken over, with everything issued there.
    HandoverTaken(String),
    /// The number of identifiers that name several users, from a time when their forms were not compared.
    AmbiguousIdentifiers(u64),
    /// The witness could not be read; a running server has read it.
    WitnessNotAsked(StoreError),
}

impl std::fmt::Display for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let since = match self {
            Self::StateSuperseded { since } => {
                f.write_str("the files in the data directory are older than those that were served last")?;
                since.map_or_else(|| "an earlier version".to_owned(), Time::rfc3339)
            }
            Self::StateRestored { since } => {
                f.write_str("a backup was restored")?;
                since.rfc3339()
            }
            Self::HandoverTaken(id) => {
                return write!(
                    f,
                    "the installation was taken over (handover {id}); everything issued stays good"
                );
            }
            Self::AmbiguousIdentifiers(count) => {
                return write!(
                    f,
                    "{count} identifiers name more than one user each, and sign nobody in until one of them gets another: \
                     `gatepass check` lists them"
                );
            }
            Self::WitnessNotAsked(error) => return error.fmt(f),
        };
        write!(
            f,
            ": they are of {since}. Every ticket, session and service's token issued before is refused from now on. What \
             administrators changed since then is lost: look through users, clients and keys"
        )
    }
}
