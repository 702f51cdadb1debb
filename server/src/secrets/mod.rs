//! The files of the data directory, the master key that seals the store, the password of a database, and the generation of signing keys.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub mod files;
pub mod key_generation;
pub mod master_key;
pub mod password;
pub mod random;

/// The reasons why the master key cannot be used, or randomness cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretsError {
    /// A file could not be read, written or made.
    File {
        /// The file.
        path: PathBuf,
        /// The operation: "create the master key", "remove", …
        doing: &'static str,
        /// The system's message.
        cause: String,
    },
    /// The file is there already.
    FileExists(PathBuf),
    /// There is no file with the master key.
    Missing(PathBuf),
    /// Others can read the file with the master key.
    Exposed {
        /// The key's file.
        key: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds something other than a master key.
    Malformed(PathBuf),
    /// Others can read the file with the password of the database.
    PasswordExposed {
        /// The file.
        file: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds no password.
    NoPassword(PathBuf),
    /// The system's random generator failed.
    NoRandomness,
    /// No key could be made: the random generator, or the backend, failed.
    NoKey,
}

impl SecretsError {
    fn file(path: &Path, doing: &'static str, cause: &io::Error) -> Self {
        Self::File { path: path.to_owned(), doing, cause: cause.to_string() }
    }
}

impl fmt::Display for SecretsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, doing, cause } => write!(f, "cannot {doing} {}: {cause}", path.display()),
            Self::FileExists(path) => {
                write!(f, "{} is there already: name another file, or move it away", path.display())
            }
            Self::Missing(key) => write!(
                f,
                "no master key at {}; put it there, or unset GATEPASS_MASTER_KEY_FILE to have one made in the data directory",
                key.display()
            ),
            Self::Exposed { key, mode } => write!(
                f,
                "others can read the master key {} (mode {mode:04o}): run `chmod 600 {}`; where it is mounted, mount it as 0440 with a group of this user",
                key.display(),
                key.display()
            ),
            Self::Malformed(key) => write!(
                f,
                "{} is not a master key (64 hexadecimal digits on a line); put the right file back",
                key.display()
            ),
            Self::PasswordExposed { file, mode } => write!(
                f,
                "others can read the password in {} (mode {mode:04o}): run `chmod 600 {}`; where it is mounted, mount it as 0440 with a group of this user",
                file.display(),
                file.display()
            ),
            Self::NoPassword(file) => {
                write!(f, "{} holds no password: write it there as one line", file.display())
            }
            Self::NoKey => f.write_str("no key could be made: the system's random generator failed"),
            Self::NoRandomness => f.write_str("the system's random generator failed"),
        }
    }
}

impl std::error::Error for SecretsError {}

impl From<SecretsError> for crate::error::ProgramError {
    fn from(error: SecretsError) -> Self {
        Self::Failed(error.to_string())
    }
}
