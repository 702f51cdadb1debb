//! What is said where a command could not do what it was asked.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

mod operation;

pub use operation::OperationError;

/// The exit code for a command that was refused or failed.
pub const FAILED: u8 = 1;
/// The exit code for arguments or a configuration that will not do.
pub const USAGE: u8 = 2;

/// Why a command was not done. The text names the thing and the way out, in one line.
#[derive(Debug, PartialEq, Eq)]
pub enum ProgramError {
    /// The arguments or the configuration will not do.
    Usage(String),
    /// It was refused, or it failed.
    Failed(String),
    /// It was answered in full, and the answer is no.
    Answered,
    /// Nobody reads what it prints (`| head`); there is nothing to complain of.
    Closed,
}

impl ProgramError {
    /// A failure in these words.
    pub fn failed(told: impl Into<String>) -> Self {
        Self::Failed(told.into())
    }

    /// A misuse in these words.
    pub fn usage(told: impl Into<String>) -> Self {
        Self::Usage(told.into())
    }

    /// Tells it on stderr, and what the process exits with.
    pub fn report(&self) -> ExitCode {
        let code = match self {
            Self::Usage(_) => USAGE,
            Self::Failed(_) | Self::Answered => FAILED,
            Self::Closed => 0,
        };
        if let Self::Usage(told) | Self::Failed(told) = self {
            // A closed stderr has nobody to tell.
            let _ = writeln!(io::stderr(), "gatepass: {told}");
        }
        ExitCode::from(code)
    }
}

impl fmt::Display for ProgramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(told) | Self::Failed(told) => f.write_str(told),
            Self::Answered => f.write_str("no"),
            Self::Closed => f.write_str("the output is closed"),
        }
    }
}

/// For what is printed; other files name themselves.
impl From<io::Error> for ProgramError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::Closed
        } else {
            Self::Failed(format!("cannot print: {error}"))
        }
    }
}
