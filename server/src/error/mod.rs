//! The errors of commands, and their exit codes.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

mod operation;

pub use operation::OperationError;

/// The exit code for a command that was refused or failed.
pub const FAILED: u8 = 1;
/// The exit code for invalid arguments or an invalid configuration.
pub const USAGE: u8 = 2;

/// The reason why a command failed. The text names the thing and the way out, in one line.
#[derive(Debug, PartialEq, Eq)]
pub enum ProgramError {
    /// The arguments or the configuration are invalid.
    Usage(String),
    /// It was refused, or it failed.
    Failed(String),
    /// The command printed its answer, and the answer is no.
    Answered,
    /// The output took nothing more; the reason.
    Unprinted(String),
    /// Nothing reads the output any more (`| head`). This is not reported.
    Closed,
}

impl ProgramError {
    /// Makes a failure with this message.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }

    /// Makes a misuse with this message.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    /// Prints the error on stderr, and returns the exit code.
    pub fn report(&self) -> ExitCode {
        let code = match self {
            Self::Usage(_) => USAGE,
            Self::Failed(_) | Self::Unprinted(_) | Self::Answered => FAILED,
            Self::Closed => 0,
        };
        if !matches!(self, Self::Answered | Self::Closed) {
            // A closed stderr cannot be reported.
            let _ = writeln!(io::stderr(), "gatepass: {self}");
        }
        ExitCode::from(code)
    }
}

impl fmt::Display for ProgramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::Failed(message) => f.write_str(message),
            Self::Unprinted(cause) => write!(f, "cannot print: {cause}"),
            Self::Answered => f.write_str("no"),
            Self::Closed => f.write_str("the output is closed"),
        }
    }
}

/// For stdout. Errors of other files name them.
impl From<io::Error> for ProgramError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::Closed
        } else {
            Self::Unprinted(error.to_string())
        }
    }
}
