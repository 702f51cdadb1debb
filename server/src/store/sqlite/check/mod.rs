//! The check of a whole installation: every file, its owner and permissions, the database from its pages to its rows,
//! the keys, the audit chain, the witness. Each fault has a name and a way out, and nothing is changed.

mod clock;
mod database;
mod place;

use super::connect::{Connector, Role};
use super::generation::Generation;
use super::installation::Installation;
use super::store::{had_files, leave_as_found};
use super::{Store, StoreOptions};
use crate::secrets::SecretsError;
use crate::store::audit_chain::AuditVerdict;
use crate::store::backend::{Access, ClockStore, Upkeep as _};
use crate::store::error::{SqliteErrorKind, StoreError};
use clock::clock;
use database::database;
use place::{archives, directory, growth, leftovers, permissions, room, size, witness_place};

/// The names of all kinds of findings; `docs/operating.md` explains them.
const CODES: &[&str] = &[
    "directory-missing",
    "directory-unreadable",
    "directory-writable",
    "owner-differs",
    "file-exposed",
    "file-unreadable",
    "archive-cut",
    "first-start-cut",
    "master-key-change-cut",
    "copy-unfinished",
    "handover-expected",
    "first-secret-kept",
    "database-missing",
    "database-foreign",
    "database-damaged",
    "database-short",
    "database-unreadable",
    "database-unreachable",
    "database-replaced",
    "index-damaged",
    "row-orphaned",
    "row-unreadable",
    "schema-older",
    "schema-newer",
    "log-foreign",
    "master-key-missing",
    "master-key-wrong",
    "master-key-exposed",
    "master-key-malformed",
    "sealed-altered",
    "identifier-ambiguous",
    "client-like-user",
    "key-none",
    "key-none-signs",
    "audit-chain-broken",
    "state-older",
    "witness-missing",
    "witness-unreadable",
    "witness-foreign",
    "witness-behind",
    "witness-beside-database",
    "copy-not-taken",
    "handed-over",
    "clock-behind",
    "clock-ahead",
    "clock-differs",
    "room-low",
    "room-none",
    "busy",
    "disk-failed",
    "disk-was-full",
    "log-large",
];

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Something is broken, or will be with the next start.
    Error,
    /// It works, and could be safer.
    Warning,
}

impl Severity {
    /// Returns `error` or `warning`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The name of its kind.
    pub code: &'static str,
    /// Its severity.
    pub severity: Severity,
    /// The fault, and the thing that has it.
    pub what: String,
    /// The way out.
    pub way_out: String,
}

/// The result of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The findings, in the order in which they were looked for.
    pub findings: Vec<Finding>,
    /// The audit chain, if it could be followed.
    pub audit: Option<AuditVerdict>,
    /// The number of keys that unsealed.
    pub keys: usize,
    /// The schema's number.
    pub schema: Option<i64>,
    /// The newest state generation.
    pub generation: Option<Generation>,
}

impl Report {
    /// Returns true if there is no error. There may be warnings.
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity != Severity::Error)
    }

    fn error(&mut self, code: &'static str, what: impl Into<String>, way_out: impl Into<String>) {
        self.push(Severity::Error, code, what, way_out);
    }

    fn warning(&mut self, code: &'static str, what: impl Into<String>, way_out: impl Into<String>) {
        self.push(Severity::Warning, code, what, way_out);
    }

    fn push(
        &mut self,
        severity: Severity,
        code: &'static str,
        what: impl Into<String>,
        way_out: impl Into<String>,
    ) {
        debug_assert!(CODES.contains(&code), "{code} is in no list");
        let finding = Finding { code, severity, what: what.into(), way_out: way_out.into() };
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// Checks the files of an installation whose records are in a database server. Returns false if nothing else can be checked.
    pub(in crate::store) fn files_beside_a_server(&mut self, installation: &Installation) -> bool {
        let is_there = directory(installation, self);
        if is_there {
            permissions(installation, self);
            archives(installation, self);
        }
        is_there
    }

    /// Takes in how many keys unsealed, and how many of them sign.
    pub(in crate::store) fn keys_found(&mut self, keys: usize, signing: usize) {
        self.keys = keys;
        if keys == 0 {
            self.warning("key-none", "there is no key yet", "run `gatepass serve`, which makes one");
        } else if signing == 0 {
            self.error("key-none-signs", "no key signs", "run `gatepass key rotate`");
        }
    }

    /// Takes in what was found where the audit chain was followed.
    pub(in crate::store) fn chain_followed(&mut self, verdict: AuditVerdict) {
        if let Some(broken) = &verdict.broken {
            self.error("audit-chain-broken", format!("audit chain: {broken}"), RESTORE);
        }
        self.audit = Some(verdict);
    }

    /// Compares the wall clock with the mark.
    pub(in crate::store) fn clock(&mut self, store: &dyn ClockStore) {
        clock(store, self);
    }

    pub(in crate::store) fn store_error(&mut self, error: &StoreError) {
        let (code, way_out) = name_of(error);
        self.error(code, error.to_string(), way_out);
    }
}

const RESTORE: &str = "restore a backup with `gatepass restore FILE --replace`";

/// Returns the name of an error's kind, and the way out.
const fn name_of(error: &StoreError) -> (&'static str, &'static str) {
    match error {
        StoreError::Nothing { .. } | StoreError::Second { .. } => (
            "database-missing",
            "name the directory with --data; or run `gatepass serve` for a new installation, or `gatepass restore FILE`",
        ),
        StoreError::DatabaseMissing { .. } => {
            ("database-missing", "put the database back, or run `gatepass restore FILE`")
        }
        StoreError::NotADirectory(_) => ("directory-missing", "name the data directory with --data"),
        StoreError::Foreign(_) => ("database-foreign", "move the file away, or name another directory"),
        StoreError::Newer { .. } => ("schema-newer", "install the gatepass that wrote it, or a later one"),
        StoreError::Older { .. } | StoreError::IdentifiersNotMade(_) => {
            ("schema-older", "run `gatepass serve`, which brings it up to date")
        }
        StoreError::MasterKeyNotCopied { .. } => (
            "master-key-missing",
            "copy the key from the data directory of another server of this database, or from where it is kept",
        ),
        StoreError::MasterKeyMissing { .. } => {
            ("master-key-missing", "put the key back, or name its file with master_key_file")
        }
        StoreError::MasterKeyOld { .. } => (
            "master-key-wrong",
            "copy the key from the data directory of a server of this database that answers",
        ),
        StoreError::MasterKeyWrong { .. } => (
            "master-key-wrong",
            "put the key back that this database was made with; `master.key.old` may be it",
        ),
        StoreError::Secrets(SecretsError::Exposed { .. }) => (
            "master-key-exposed",
            "run `chmod 600` on the file, or mount it as 0440 with a group of the server's user",
        ),
        StoreError::Secrets(SecretsError::Malformed(_)) => {
            ("master-key-malformed", "put the right file back")
        }
        StoreError::Unsealable { .. } => ("sealed-altered", RESTORE),
        StoreError::Row { .. } => ("row-unreadable", RESTORE),
        StoreError::LogForeign { .. } => (
            "log-foreign",
            "put back the log that belongs to the database, or move both away and restore a backup",
        ),
        StoreError::Replaced(_) => (
            "database-replaced",
            "put the file back that the server has open, or stop the server and start it again",
        ),
        StoreError::NotWhole { .. } => ("database-damaged", RESTORE),
        StoreError::Postgres { .. } => {
            ("database-unreachable", "see whether PostgreSQL runs, and its own log")
        }
        StoreError::EmptyDatabase(_)
        | StoreError::Elsewhere { .. }
        | StoreError::FileBesideEmptyDatabase { .. }
        | StoreError::KeyBesideEmptyDatabase { .. } => (
            "database-missing",
            "name the right database with `store`, or run `gatepass serve` for a new installation",
        ),
        StoreError::CopyUnfinished { .. } => ("copy-unfinished", "run the same `gatepass store copy` again"),
        StoreError::DiskFull => ("room-none", "free some room on the disk"),
        StoreError::ServerFull(_) => ("room-none", "free some room on the disk of the database server"),
        StoreError::ChainBroken(_) => ("audit-chain-broken", RESTORE),
        StoreError::WitnessUnreadable { .. } => {
            ("witness-unreadable", "mend the witness's place or permissions; where it is lost, remove it")
        }
        StoreError::WitnessForeign(_) => ("witness-foreign", "name the right one with witness_file"),
        StoreError::HandedOver(_) => {
            ("handed-over", "run `gatepass handover cancel` where the handover failed")
        }
        StoreError::Busy(_) => ("busy", "try again"),
        StoreError::Sqlite { fault, .. } => match fault {
            SqliteErrorKind::Corrupt => ("database-damaged", RESTORE),
            SqliteErrorKind::NotADatabase => ("database-foreign", "move the file away, or restore a backup"),
            SqliteErrorKind::Locked => ("busy", "try again, or stop the process that has it locked"),
            SqliteErrorKind::Full => ("room-none", "free some room on the disk"),
            SqliteErrorKind::ReadOnly | SqliteErrorKind::CannotOpen => {
                ("database-unreadable", "mend the owner and the permissions of the file and its directory")
            }
            SqliteErrorKind::Io | SqliteErrorKind::NoMemory | SqliteErrorKind::Other => {
                ("disk-failed", "look at the system's log")
            }
        },
        StoreError::File { .. }
        | StoreError::Conflict(_)
        | StoreError::Overloaded
        | StoreError::NotBuilt
        | StoreError::InUse(_)
        | StoreError::WitnessNotWritten { .. }
        | StoreError::OpenedForReading
        | StoreError::LogNotEmptied(_)
        | StoreError::FileExists(_)
        | StoreError::Link(_)
        | StoreError::BadBackup { .. }
        | StoreError::BadArchive { .. }
        | StoreError::NothingToArchive
        | StoreError::NotEmpty { .. }
        | StoreError::KeyNotCopied { .. }
        | StoreError::Uncopyable { .. }
        | StoreError::CopyDiffers { .. }
        | StoreError::Unknown(_)
        | StoreError::Secrets(_) => ("file-unreadable", "mend the owner and the permissions"),
    }
}

/// Checks an installation. Takes time in proportion to its size.
pub fn check(installation: &Installation) -> Report {
    let mut report = Report::default();
    if !directory(installation, &mut report) {
        return report;
    }
    permissions(installation, &mut report);
    archives(installation, &mut report);
    leftovers(installation, &mut report);
    size(installation, &mut report);
    growth(installation, &mut report);
    let had_files = had_files(installation);
    let opened =
        Store::open(installation, Access::Read, &StoreOptions { readers: 1, ..StoreOptions::default() });
    let readable = match &opened {
        Ok(_) => true,
        Err(error) => {
            report.store_error(error);
            // With these errors the file itself can still be checked.
            matches!(
                error,
                StoreError::MasterKeyMissing { .. }
                    | StoreError::MasterKeyWrong { .. }
                    | StoreError::Secrets(SecretsError::Exposed { .. })
                    | StoreError::Secrets(SecretsError::Malformed(_))
                    | StoreError::Older { .. }
                    | StoreError::IdentifiersNotMade(_)
                    | StoreError::Unsealable { .. }
                    | StoreError::Row { .. }
                    | StoreError::Sqlite { fault: SqliteErrorKind::Corrupt, .. }
            )
        }
    };
    if readable {
        let options = StoreOptions::default();
        let connector = Connector::new(installation.database(), &installation.files, &options);
        match connector.connect(Role::Reader) {
            Ok(db) => database(installation, &db, opened.as_ref().ok(), &mut report),
            Err(error) => report.store_error(&error),
        }
    }
    if let Ok(store) = &opened {
        clock(store, &mut report);
    }
    witness_place(installation, &mut report);
    room(installation, &mut report);
    // Files left beside the database are removed; if that fails, it does no harm.
    let _ = match opened {
        Ok(store) => store.close(),
        Err(_) => leave_as_found(installation, None, had_files),
    };
    report
}

impl Store {
    /// Checks the database of an open store, in one snapshot. Takes time in proportion to its size.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read at all; whatever else is wrong is in the report.
    pub fn check(&self) -> Result<Report, StoreError> {
        let mut report = Report::default();
        self.snapshot(|db| {
            database(self.installation(), db, Some(self), &mut report);
            Ok(())
        })?;
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_page_names_every_code_and_no_other() {
        let page = include_str!("../../../../../docs/operating.md");
        let (_, table) = page.split_once("| Code | Meaning |").unwrap();
        let table = table.split("\n\n").next().unwrap();
        let named: Vec<&str> =
            table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        assert_eq!(named, CODES);
    }
}
