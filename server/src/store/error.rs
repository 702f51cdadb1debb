//! The errors of the data directory, in one line each that names the file and the way out.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::database_address::DatabaseAddress;
use crate::error::ProgramError;
use crate::secrets::SecretsError;

/// The reason why the store, or its master key, failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// A file or directory could not be read, written or made.
    File {
        /// The file.
        path: PathBuf,
        /// The operation: "create", "read", …
        doing: &'static str,
        /// The system's message.
        cause: String,
    },
    /// The path is not a directory.
    NotADirectory(PathBuf),
    /// SQLite failed.
    Sqlite {
        /// The database.
        path: PathBuf,
        /// The kind of failure.
        fault: SqliteErrorKind,
        /// SQLite's message.
        detail: String,
    },
    /// PostgreSQL failed, or cannot be reached.
    Postgres {
        /// Where it is, without a password.
        address: String,
        /// The failure, as people are told it.
        detail: String,
    },
    /// A copy to a place has not come to its end.
    CopyUnfinished {
        /// The place.
        place: String,
        /// The mark of the copy.
        mark: String,
    },
    /// A place that a store is to be copied to is not empty.
    NotEmpty {
        /// The place.
        place: String,
        /// The things that are there.
        what: String,
    },
    /// The master key of a store that is copied is not there for the copy.
    KeyNotCopied {
        /// The path where it should be.
        key: PathBuf,
        /// The path where it is.
        from: PathBuf,
    },
    /// A row cannot be copied as it is.
    Uncopyable {
        /// The table.
        table: &'static str,
        /// The fault, and the way out.
        problem: String,
    },
    /// Source and copy differ.
    CopyDiffers {
        /// The table.
        table: &'static str,
    },
    /// There is nothing of ours in a PostgreSQL database.
    EmptyDatabase(String),
    /// This build has no PostgreSQL.
    NotBuilt,
    /// The records of a directory are in a database that was not named.
    Elsewhere {
        /// The directory.
        dir: PathBuf,
        /// The address of the database.
        address: String,
    },
    /// An installation would begin in an empty database, beside a master key that belongs to another one.
    KeyBesideEmptyDatabase {
        /// The key's file.
        key: PathBuf,
        /// The address of the database.
        address: String,
    },
    /// An installation would begin in an empty database, beside another one in a file.
    FileBesideEmptyDatabase {
        /// The file.
        file: PathBuf,
        /// The address of the database.
        address: String,
    },
    /// There is an installation in a database server, and no master key in the data directory.
    MasterKeyNotCopied {
        /// The path where the key should be.
        key: PathBuf,
        /// The address of the database.
        address: String,
    },
    /// The file is a database of another program.
    Foreign(PathBuf),
    /// The file was written by a newer Gatepass.
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema's number.
        found: i64,
        /// The highest number this binary knows.
        known: i64,
    },
    /// A row is malformed.
    Row {
        /// The database.
        path: PathBuf,
        /// The table.
        table: &'static str,
        /// The column, or the fault.
        column: &'static str,
    },
    /// There is a database, and no master key.
    MasterKeyMissing {
        /// The path where the key should be.
        key: PathBuf,
        /// The database, if there is one.
        database: Option<PathBuf>,
    },
    /// The master key is not the one that the database was made with.
    MasterKeyWrong {
        /// The database.
        database: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The master key in the data directory is not the one that the database is sealed with now.
    MasterKeyOld {
        /// The key's file.
        key: PathBuf,
        /// The address of the database.
        address: String,
    },
    /// The master key's file cannot be used, or there is no randomness.
    Secrets(SecretsError),
    /// Something sealed with the master key does not open: it was altered.
    Unsealable {
        /// The database.
        path: PathBuf,
        /// The purpose of the seal: `key:KID`, `audit`.
        purpose: String,
    },
    /// A condition no longer holds: something is gone, taken, or was changed.
    Conflict(String),
    /// Too much work waits; nothing was written.
    Overloaded,
    /// Another process holds the directory's lock.
    Busy(PathBuf),
    /// There is no installation in this directory.
    Nothing {
        /// The directory.
        dir: PathBuf,
        /// An installation close by, which may be meant.
        near: Option<PathBuf>,
    },
    /// An installation would be created close to another one.
    Second {
        /// The directory.
        dir: PathBuf,
        /// The other installation.
        near: PathBuf,
    },
    /// There is no database, or an empty one, beside other files of an installation.
    DatabaseMissing {
        /// The database.
        database: PathBuf,
        /// The file that is beside it.
        beside: PathBuf,
    },
    /// The file is of an earlier schema, which only `serve` updates.
    Older {
        /// The database.
        path: PathBuf,
        /// Its schema's number.
        found: i64,
        /// The number that this binary needs.
        known: i64,
    },
    /// The table of identifiers has to be made, or made to the end, which `serve` does.
    IdentifiersNotMade(PathBuf),
    /// Another process has the file open and does not hold our lock: an earlier version, or another program.
    InUse(PathBuf),
    /// The log beside the file is of another file.
    LogForeign {
        /// The log.
        log: PathBuf,
        /// The database.
        database: PathBuf,
    },
    /// File and log together are not whole.
    NotWhole {
        /// The database.
        path: PathBuf,
        /// The fault that was found.
        problem: String,
    },
    /// The file under the path is not the one that is open.
    Replaced(PathBuf),
    /// The witness cannot be read.
    WitnessUnreadable {
        /// The witness.
        path: PathBuf,
        /// The cause.
        cause: String,
    },
    /// The witness cannot be written.
    WitnessNotWritten {
        /// The witness.
        path: PathBuf,
        /// The cause.
        cause: String,
    },
    /// The witness is of another installation.
    WitnessForeign(PathBuf),
    /// The state was handed over to another machine.
    HandedOver(String),
    /// The store was opened for reading.
    OpenedForReading,
    /// The log could not be copied into the file before the end.
    LogNotEmptied(PathBuf),
    /// The database is a symbolic link.
    Link(PathBuf),
    /// A file that is to be made is there already.
    FileExists(PathBuf),
    /// A file is not the backup that it should be.
    BadBackup {
        /// The file.
        path: PathBuf,
        /// The fault that was found.
        problem: String,
    },
    /// A file is not the archive that it should be.
    BadArchive {
        /// The file.
        path: PathBuf,
        /// The fault that was found.
        problem: String,
    },
    /// The disk was full, and the change would open something.
    DiskFull,
    /// The disk of the database server is full.
    ServerFull(String),
    /// There is no audit row that was not archived.
    NothingToArchive,
    /// The audit chain does not hold.
    ChainBroken(String),
    /// It may or may not have been written.
    Unknown(String),
}

/// The kinds of SQLite failure that differ in their way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqliteErrorKind {
    /// Another process held the lock for too long.
    Locked,
    /// The disk, or the file's bound, is full.
    Full,
    /// The file cannot be written.
    ReadOnly,
    /// The file is damaged.
    Corrupt,
    /// The file is no database.
    NotADatabase,
    /// The file cannot be opened.
    CannotOpen,
    /// The disk failed to read or write.
    Io,
    /// Memory ran out.
    NoMemory,
    /// Anything else.
    Other,
}

impl SqliteErrorKind {
    /// Returns what happened, and the way out.
    const fn advice(self) -> &'static str {
        match self {
            Self::Locked => "another process has kept it locked; try again, or stop that process",
            Self::Full => "the disk is full; free some space",
            Self::ReadOnly => "it cannot be written; check its owner and permissions, and the disk's",
            Self::Corrupt => "it is damaged; run `gatepass check`, and restore a backup",
            Self::NotADatabase => "it is no database; move it away, or name another directory with --data",
            Self::CannotOpen => "it cannot be opened; check its owner and permissions, and its directory's",
            Self::Io => "the disk failed; see the system's log",
            Self::NoMemory => "memory ran out",
            Self::Other => "the database refused",
        }
    }
}

impl StoreError {
    pub(crate) fn file(path: &Path, doing: &'static str, cause: &std::io::Error) -> Self {
        Self::File { path: path.to_owned(), doing, cause: cause.to_string() }
    }
}

/// Returns the path from the root on: a relative one says little to who stands in the wrong directory.
fn whole(dir: &Path) -> PathBuf {
    std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned())
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, doing, cause } => write!(f, "cannot {doing} {}: {cause}", path.display()),
            Self::NotADirectory(path) => {
                write!(f, "{} is not a directory; name another with --data", path.display())
            }
            Self::Sqlite { path, fault, detail } => {
                write!(f, "{}: {} ({detail})", path.display(), fault.advice())
            }
            Self::Postgres { address, detail } => write!(f, "{address}: {detail}"),
            Self::CopyUnfinished { place, mark } => write!(
                f,
                "a copy to {place} has not come to its end: run the same `gatepass store copy` again; to give it up, remove {mark}"
            ),
            Self::NotEmpty { place, what } => write!(
                f,
                "{place} is not empty ({what}): name an empty place to copy to. Nothing was touched"
            ),
            Self::KeyNotCopied { key, from } => write!(
                f,
                "what is sealed stays sealed, and {} is not the master key it was sealed with: copy {} there first. Nothing was touched",
                key.display(),
                from.display()
            ),
            Self::Uncopyable { table, problem } => write!(f, "a row of {table} cannot be copied: {problem}"),
            Self::CopyDiffers { table } => write!(
                f,
                "the rows of {table} in the copy differ from those that were copied: look after the disks, and copy again"
            ),
            Self::EmptyDatabase(address) => write!(
                f,
                "there is no installation in {address}: run `gatepass serve` to begin a new one, or name another database with `store`"
            ),
            Self::NotBuilt => f.write_str(DatabaseAddress::NOT_BUILT),
            Self::Elsewhere { dir, address } => write!(
                f,
                "the records of {} are in {address}: name it with `store` in gatepass.toml, or with GATEPASS_STORE; to use SQLite, name another directory with --data, or remove gatepass.store",
                whole(dir).display()
            ),
            Self::KeyBesideEmptyDatabase { key, address } => write!(
                f,
                "there is no installation in {address}, and {} is the master key of one: name its database with `store`; to begin a new one with this key, add --init. Nothing was made",
                key.display()
            ),
            Self::FileBesideEmptyDatabase { file, address } => write!(
                f,
                "there is no installation in {address}, and one in {}: leave `store` out to go on with that; to begin a new one in the database, name another directory with --data. Nothing was made",
                file.display()
            ),
            Self::MasterKeyNotCopied { key, address } => write!(
                f,
                "no master key at {}, and {address} cannot be read without the one it was made with: copy that file from the data directory of another server of this database, or name it with GATEPASS_MASTER_KEY_FILE",
                key.display()
            ),
            Self::Foreign(path) => write!(
                f,
                "{} is the database of another program; name another directory with --data",
                path.display()
            ),
            Self::Newer { path, found, known } => write!(
                f,
                "{} was written by a newer gatepass (schema {found}, this one knows {known}); install that version",
                path.display()
            ),
            Self::Row { path, table, column } => write!(
                f,
                "{}: a row of {table} has an unreadable {column}; run `gatepass check`, and restore a backup",
                path.display()
            ),
            Self::MasterKeyMissing { key, database: Some(database) } => write!(
                f,
                "no master key at {}, and {} cannot be read without the one it was made with; put it back, or name it with GATEPASS_MASTER_KEY_FILE",
                key.display(),
                database.display()
            ),
            Self::MasterKeyMissing { key, database: None } => write!(
                f,
                "no master key at {}; put it there, or unset GATEPASS_MASTER_KEY_FILE to have one made in the data directory",
                key.display()
            ),
            Self::MasterKeyWrong { database, key } => write!(
                f,
                "the master key {} is not the one {} was made with; put that one back, or name it with GATEPASS_MASTER_KEY_FILE",
                key.display(),
                database.display()
            ),
            Self::MasterKeyOld { key, address } => write!(
                f,
                "the master key {} is not the one of {address}: copy the file from the machine where `gatepass key rotate-master` ran, or from a server of this database that answers",
                key.display()
            ),
            Self::Unsealable { path, purpose } => {
                write!(f, "{}: {purpose} was altered and does not open; restore a backup", path.display())
            }
            Self::Conflict(what) => write!(f, "{what}"),
            Self::Overloaded => f.write_str("too many changes wait to be written; try again"),
            Self::Busy(dir) => write!(
                f,
                "another gatepass process is starting in {} or working on its files; try again",
                dir.display()
            ),
            Self::Nothing { dir, near: None } => write!(
                f,
                "there is no installation in {}: name its directory with --data or GATEPASS_DATA, or run `gatepass serve` to begin a new one",
                whole(dir).display()
            ),
            Self::Nothing { dir, near: Some(near) } => write!(
                f,
                "there is no installation in {}, but there is one in {}: name it with --data {}",
                whole(dir).display(),
                near.display(),
                near.display()
            ),
            Self::Second { dir, near } => write!(
                f,
                "there is no installation in {}, but there is one in {}: name it with --data {}; to begin a second one all the same, add --init. Nothing was made",
                whole(dir).display(),
                near.display(),
                near.display()
            ),
            Self::DatabaseMissing { database, beside } => write!(
                f,
                "{} is missing or empty, and {} is there: put the database back, or run `gatepass restore FILE`; to begin anew, move {} away. Nothing was touched",
                database.display(),
                beside.display(),
                beside.display()
            ),
            Self::Older { path, found, known } => write!(
                f,
                "{} is of schema {found}, this gatepass needs {known}: stop the earlier version and run `gatepass serve`, which brings it up to date",
                path.display()
            ),
            Self::IdentifiersNotMade(path) => write!(
                f,
                "the identifiers in {} are not all in the form in which this gatepass compares them: run `gatepass serve`, which brings them up to date",
                path.display()
            ),
            Self::InUse(path) => write!(
                f,
                "another program has {} open, maybe an earlier gatepass: stop it first",
                path.display()
            ),
            Self::LogForeign { log, database } => write!(
                f,
                "{} belongs to another file than {}, so it is not replayed: put the two that belong together back, or move both away and run `gatepass restore FILE`. Nothing was touched",
                log.display(),
                database.display()
            ),
            Self::NotWhole { path, problem } => write!(
                f,
                "{} and its log are not whole ({problem}): restore a backup with `gatepass restore FILE --replace`",
                path.display()
            ),
            Self::Replaced(path) => write!(
                f,
                "{} is not the file that is open any more; nothing is written: put it back, or start gatepass again",
                path.display()
            ),
            Self::WitnessUnreadable { path, cause } => write!(
                f,
                "the witness {} cannot be read ({cause}): mend its place or its permissions; or, where it is lost, remove the file: then everything issued so far is refused",
                path.display()
            ),
            Self::WitnessNotWritten { path, cause } => write!(
                f,
                "the witness {} cannot be written ({cause}): mend its place or its permissions, or name another with witness_file after moving the file there",
                path.display()
            ),
            Self::WitnessForeign(path) => write!(
                f,
                "the witness {} is of another installation: name the right one with witness_file, or move it away",
                path.display()
            ),
            Self::HandedOver(id) => write!(
                f,
                "this installation was handed over to another box (id {id}) and answers no more; where that failed, run `gatepass handover cancel`"
            ),
            Self::OpenedForReading => f.write_str("this command only reads, and tried to write"),
            Self::LogNotEmptied(log) => write!(
                f,
                "{} could not be copied into the database, because another process reads it: keep it beside the database",
                log.display()
            ),
            Self::Link(path) => write!(
                f,
                "{} is a symbolic link, and its log lies elsewhere: name the directory that the file is in with --data",
                path.display()
            ),
            Self::FileExists(path) => {
                write!(f, "{} is there already: name another file, or move it away", path.display())
            }
            Self::BadBackup { path, problem } => {
                write!(f, "{} is not a whole backup: {problem}", path.display())
            }
            Self::BadArchive { path, problem } => {
                write!(f, "{} is not a whole archive of this installation: {problem}", path.display())
            }
            Self::DiskFull => f.write_str(
                "the disk was full: until there is room for gatepass.reserve again, only what ends, disables, revokes or counts something is written; free some space",
            ),
            Self::ServerFull(address) => write!(
                f,
                "the disk of the server of {address} is full: what needs room there is not written; free some space on it"
            ),
            Self::NothingToArchive => {
                f.write_str("there is no audit row that was not archived before; nothing was written")
            }
            Self::ChainBroken(problem) => {
                write!(f, "the audit chain is broken ({problem}): see `gatepass audit verify`")
            }
            Self::Unknown(cause) => {
                write!(f, "it may or may not have been written; look before trying again ({cause})")
            }
            Self::Secrets(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<SecretsError> for StoreError {
    fn from(error: SecretsError) -> Self {
        match error {
            SecretsError::File { path, doing, cause } => Self::File { path, doing, cause },
            SecretsError::FileExists(path) => Self::FileExists(path),
            SecretsError::Missing(key) => Self::MasterKeyMissing { key, database: None },
            other @ (SecretsError::Exposed { .. }
            | SecretsError::Malformed(_)
            | SecretsError::PasswordExposed { .. }
            | SecretsError::NoPassword(_)
            | SecretsError::NoRandomness
            | SecretsError::NoKey) => Self::Secrets(other),
        }
    }
}

impl From<StoreError> for ProgramError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}
