//! What a server knows of itself, of its configuration and of its audit log, for administrators. The driver tells it as the answer to a task.

use alloc::string::String;
use alloc::vec::Vec;

use crate::base::time::Time;
use crate::store::audit::Event;
use crate::store::audit_filter::AuditFilter;

/// The status of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerStatus {
    /// Its version.
    pub version: String,
    /// The seconds since its start.
    pub uptime: u64,
    /// The time that counts.
    pub now: Time,
    /// The wall clock.
    pub wall: Time,
    /// The latest time that is trusted.
    pub mark: Time,
    /// The seconds that the wall clock is behind, if it is.
    pub clock_behind: Option<u64>,
    /// The seconds that the wall clock has jumped ahead of the mark.
    pub clock_ahead: Option<u64>,
    /// The name of the engine that keeps the records.
    pub engine: String,
    /// The place of the records: a file, or the address of a database.
    pub database: String,
    /// The size of the database without its log, in bytes.
    pub database_bytes: u64,
    /// The size of the write-ahead log, in bytes.
    pub log_bytes: u64,
    /// True while the disk is full.
    pub disk_full: bool,
    /// True if older files that are put back would be noticed.
    pub rollback_covered: bool,
    /// The time of the last backup.
    pub last_backup: Option<Time>,
    /// The number of the last audit row, and its link in hexadecimal digits.
    pub chain_head: (u64, String),
}

/// A key of a server's configuration, with the value that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSetting {
    /// The key.
    pub key: String,
    /// The value as it may be shown; none where there is none.
    pub value: Option<String>,
    /// The kind of place that the value comes from.
    pub source: SettingSource,
    /// The place, for people.
    pub from: String,
    /// True if a change of it holds from the next start on.
    pub needs_restart: bool,
}

/// The kind of place that a value of the configuration comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingSource {
    /// The key's default, or nothing where it has none.
    Default,
    /// This line of the file, counted from 1.
    File(u64),
    /// The environment.
    Environment,
    /// A flag of the command.
    Flag,
}

impl SettingSource {
    /// `default`, `file`, `environment` or `flag`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File(_) => "file",
            Self::Environment => "environment",
            Self::Flag => "flag",
        }
    }

    /// Returns the line of the file.
    pub const fn line(self) -> Option<u64> {
        match self {
            Self::File(line) => Some(line),
            Self::Default | Self::Environment | Self::Flag => None,
        }
    }
}

/// The audit rows that somebody asks for, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditSearch {
    /// Those for which all that is given holds.
    pub filter: AuditFilter,
    /// After the row with this number.
    pub after: Option<u64>,
    /// The most rows.
    pub limit: usize,
}

/// Some audit rows, oldest first. There may be none although there are more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditPage {
    /// The rows with their numbers.
    pub rows: Vec<(u64, Event)>,
    /// The number of the last row that was looked at; none at the end.
    pub next: Option<u64>,
}

/// A file of archived audit rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditArchive {
    /// The name of the file.
    pub file: String,
    /// The first row.
    pub first: u64,
    /// The last row.
    pub last: u64,
    /// The number of rows.
    pub rows: u64,
    /// The link of the last row, in hexadecimal digits.
    pub head: String,
    /// The size of the file in bytes.
    pub bytes: u64,
    /// The SHA-256 of the file, in hexadecimal digits.
    pub sha256: String,
}

/// The result of verifying the audit chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainVerdict {
    /// The number of rows that hold, from the first that is kept.
    pub rows: u64,
    /// The first fault.
    pub broken: Option<String>,
}
