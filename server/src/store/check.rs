//! A look over a whole installation: every file, its owner and permissions, the database from its pages to its rows, the keys,
//! the audit chain, the witness. Each fault has a name and a way out, and nothing is touched.

use std::io;
use std::path::Path;

use rusqlite::{Connection, Row};

use super::audit::{self, AuditVerdict};
use super::connect::{Connector, Role};
use super::error::{StoreError, Trouble};
use super::files::{FileKind, directory_of, with_suffix};
use super::generation::{self, Generation, Standing};
use super::installation::{ACCEPT, Installation, LOCK, STARTING};
use super::read::every;
use super::rows::{self, columns};
use super::schema::{self, Version};
use super::witness::Witness;
use super::{Access, DATABASE, Store, StoreOptions, factors, keys};
use crate::master_key::MASTER_KEY;

/// The most findings of one kind.
const MOST: usize = 100;
/// Less room than this, in bytes, is told of.
const LEAST_ROOM: u64 = 64 * 1024 * 1024;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Something is broken, or will be with the next start.
    Error,
    /// It works, and could be safer.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
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
    /// How bad it is.
    pub severity: Severity,
    /// What was found, of what.
    pub what: String,
    /// What to do.
    pub way_out: String,
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The findings, in the order in which they were looked for.
    pub findings: Vec<Finding>,
    /// The audit chain, where it could be followed.
    pub audit: Option<AuditVerdict>,
    /// How many keys unsealed.
    pub keys: usize,
    /// The schema's number.
    pub schema: Option<i64>,
    /// The newest state generation.
    pub generation: Option<Generation>,
}

impl Report {
    /// Whether nothing is broken. Warnings may be there.
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
        let finding = Finding { code, severity, what: what.into(), way_out: way_out.into() };
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    fn store_error(&mut self, error: &StoreError) {
        let (code, way_out) = name_of(error);
        self.error(code, error.to_string(), way_out);
    }
}

const RESTORE: &str = "restore a backup with `gatepass restore FILE --replace`";

/// The name of an error's kind, and the way out.
const fn name_of(error: &StoreError) -> (&'static str, &'static str) {
    use super::Fault;
    match error {
        StoreError::Nothing(_) => {
            ("database-missing", "run `gatepass serve` for a new installation, or `gatepass restore FILE`")
        }
        StoreError::DatabaseMissing { .. } => {
            ("database-missing", "put the database back, or run `gatepass restore FILE`")
        }
        StoreError::NotADirectory(_) => ("directory-missing", "name the data directory with --data"),
        StoreError::Foreign(_) => ("database-foreign", "move the file away, or name another directory"),
        StoreError::Newer { .. } => ("schema-newer", "install the gatepass that wrote it, or a later one"),
        StoreError::Older { .. } => ("schema-older", "run `gatepass serve`, which brings it up to date"),
        StoreError::MasterKeyMissing { .. } => {
            ("master-key-missing", "put the key back, or name its file with master_key_file")
        }
        StoreError::MasterKeyWrong { .. } => {
            ("master-key-wrong", "put the key back that this database was made with; `master.key.old` may be it")
        }
        StoreError::MasterKeyExposed { .. } => ("master-key-exposed", "run `chmod 600` on the file"),
        StoreError::MasterKeyMalformed(_) => ("master-key-malformed", "put the right file back"),
        StoreError::Unsealable { .. } => ("sealed-altered", RESTORE),
        StoreError::Row { .. } => ("row-unreadable", RESTORE),
        StoreError::LogForeign { .. } => {
            ("log-foreign", "put back the log that belongs to the database, or move both away and restore a backup")
        }
        StoreError::Replaced(_) => {
            ("database-replaced", "put the file back that the server has open, or stop the server and start it again")
        }
        StoreError::NotWhole { .. } => ("database-damaged", RESTORE),
        StoreError::WitnessUnreadable { .. } => {
            ("witness-unreadable", "mend the witness's place or permissions; where it is lost, remove it")
        }
        StoreError::WitnessForeign(_) => ("witness-foreign", "name the right one with witness_file"),
        StoreError::HandedOver(_) => ("handed-over", "run `gatepass handover cancel` where the handover failed"),
        StoreError::Busy(_) => ("busy", "try again"),
        StoreError::Sqlite { fault, .. } => match fault {
            Fault::Corrupt => ("database-damaged", RESTORE),
            Fault::NotADatabase => ("database-foreign", "move the file away, or restore a backup"),
            Fault::Locked => ("busy", "try again, or stop the process that has it locked"),
            Fault::Full => ("room-none", "free some room on the disk"),
            Fault::ReadOnly | Fault::CannotOpen => {
                ("database-unreadable", "mend the owner and the permissions of the file and its directory")
            }
            Fault::Io | Fault::NoMemory | Fault::Other => ("disk-failed", "look at the system's log"),
        },
        _ => ("file-unreadable", "mend the owner and the permissions"),
    }
}

/// Checks an installation. Takes time in proportion to its size.
pub fn check(installation: &Installation) -> Report {
    let mut report = Report::default();
    if !directory(installation, &mut report) {
        return report;
    }
    permissions(installation, &mut report);
    leftovers(installation, &mut report);
    size(installation, &mut report);
    let had_files = super::had_files(installation);
    let opened = Store::open(installation, Access::Read, &StoreOptions { readers: 1, ..StoreOptions::default() });
    let readable = match &opened {
        Ok(_) => true,
        Err(error) => {
            report.store_error(error);
            // With what is wrong here, the file itself can still be looked at.
            matches!(
                error,
                StoreError::MasterKeyMissing { .. }
                    | StoreError::MasterKeyWrong { .. }
                    | StoreError::MasterKeyExposed { .. }
                    | StoreError::MasterKeyMalformed(_)
                    | StoreError::Older { .. }
                    | StoreError::Unsealable { .. }
                    | StoreError::Row { .. }
                    | StoreError::Sqlite { fault: super::Fault::Corrupt, .. }
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
    witness_place(installation, &mut report);
    room(installation, &mut report);
    // Whatever is left beside the database is removed; where it cannot be, it does no harm.
    let _ = match opened {
        Ok(store) => store.close(),
        Err(_) => super::leave_as_found(installation, None, had_files),
    };
    report
}

impl Store {
    /// Checks the database of an open store, in one snapshot. Takes time in proportion to its size.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read at all; whatever else is wrong is in the report.
    pub fn check(&self) -> Result<Report, StoreError> {
        let mut report = Report::default();
        self.snapshot(|db| {
            database(self.installation(), db, Some(self), &mut report);
            Ok(())
        })?;
        Ok(report)
    }
}

/// Looks at the directory itself; false where there is nothing more to look at.
fn directory(installation: &Installation, report: &mut Report) -> bool {
    let dir = &installation.dir;
    match installation.files.about(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let what = format!("there is no directory {}", dir.display());
            report.error("directory-missing", what, "name the data directory with --data");
            false
        }
        Err(e) => {
            let what = format!("{} cannot be read: {e}", dir.display());
            report.error("directory-unreadable", what, "run the command as the directory's owner, or as root");
            false
        }
        Ok(about) if about.kind != FileKind::Directory => {
            report.store_error(&StoreError::NotADirectory(dir.clone()));
            false
        }
        Ok(about) => {
            if about.mode & 0o022 != 0 {
                let what = format!("others than its owner may write in {} (mode {:04o})", dir.display(), about.mode);
                report.error("directory-writable", what, format!("run `chmod 700 {}`", dir.display()));
            }
            if let Err(e) = installation.files.names(dir) {
                let what = format!("{} cannot be read: {e}", dir.display());
                report.error("directory-unreadable", what, "run the command as the directory's owner, or as root");
                return false;
            }
            true
        }
    }
}

/// Looks at who owns the files, and who may read and write them.
fn permissions(installation: &Installation, report: &mut Report) {
    let files = &*installation.files;
    let Ok(dir) = files.about(&installation.dir) else { return };
    let Ok(names) = files.names(&installation.dir) else { return };
    for name in names {
        if !name.starts_with("gatepass.") && !name.starts_with(MASTER_KEY) {
            continue;
        }
        let path = installation.dir.join(&name);
        let Ok(about) = files.about(&path) else { continue };
        if about.kind != FileKind::File {
            continue;
        }
        let is_key = name.starts_with(MASTER_KEY);
        if about.owner.0 != dir.owner.0 && !(is_key && about.owner.0 == 0) {
            let what = format!(
                "{} belongs to user {}, and its directory to user {}",
                path.display(),
                about.owner.0,
                dir.owner.0
            );
            let way_out = format!("run `chown {}:{} {}`", dir.owner.0, dir.owner.1, path.display());
            report.error("owner-differs", what, way_out);
        }
        let exposed = if name == "gatepass.toml" || name == LOCK { 0o022 } else { 0o077 };
        if !is_key && about.mode & exposed != 0 {
            let what = format!("others than its owner may read or write {} (mode {:04o})", path.display(), about.mode);
            report.warning("file-exposed", what, format!("run `chmod 600 {}`", path.display()));
        }
        if about.mode & 0o400 == 0 {
            let what = format!("{} may not be read by its owner (mode {:04o})", path.display(), about.mode);
            report.error("file-unreadable", what, format!("run `chmod 600 {}`", path.display()));
        }
    }
}

/// Looks for what was begun and not ended.
fn leftovers(installation: &Installation, report: &mut Report) {
    let there = |path: &Path| super::files::exists(&*installation.files, path).unwrap_or(false);
    if there(&installation.dir.join(STARTING)) {
        report.error(
            "first-start-cut",
            "the first start of this installation was cut short",
            "run `gatepass serve`, which begins again",
        );
    }
    let key = with_suffix(&installation.master_key(), ".new");
    if there(&key) {
        report.warning(
            "master-key-change-cut",
            format!("a change of the master key was cut short: {} is there", key.display()),
            "run `gatepass serve` or any command that changes something, which ends it",
        );
    }
    if there(&installation.dir.join(ACCEPT)) {
        report.warning(
            "handover-expected",
            "this directory accepts a handover, and none has come",
            "restore the copy that was made for it; where none will come, remove gatepass.accept",
        );
    }
}

/// Looks into the database.
fn database(installation: &Installation, db: &Connection, store: Option<&Store>, report: &mut Report) {
    let path = installation.database();
    let version = match schema::version(db) {
        Ok(Version::Schema(number)) => number,
        Ok(Version::Empty | Version::Foreign) => return report.store_error(&StoreError::Foreign(path)),
        Err(error) => return report.store_error(&Trouble::Sql(error).at(&path)),
    };
    report.schema = Some(version);
    structure(db, &path, report);
    if version != schema::known() {
        return;
    }
    decode(db, &path, report);
    origin(installation, db, report);
    if let Some(store) = store {
        sealed(store, db, report);
        witness(installation, db, report);
    }
}

/// Compares the file's size with what its header says (<https://sqlite.org/fileformat2.html>), where there is no log. SQLite
/// itself reads nothing of a file that is too short.
fn size(installation: &Installation, report: &mut Report) {
    if installation.contents().map_or(true, |contents| contents.has_log()) {
        return;
    }
    let mut header = [0; 100];
    let read = installation.files.open(&installation.database()).and_then(|file| file.read_at(&mut header, 0));
    if read.ok() != Some(header.len()) {
        return;
    }
    let number = |at: usize| {
        let bytes = header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        u64::from(bytes.map_or(0, u32::from_be_bytes))
    };
    // The page size is in two bytes, of which 1 means 65536. The count of pages holds where two counters agree.
    let (page, pages) = (number(16) >> 16, number(28));
    let bytes = pages.saturating_mul(if page == 1 { 65536 } else { page });
    if !header.starts_with(b"SQLite format 3\0") || number(24) != number(92) {
        return;
    }
    if installation.files.about(&installation.database()).is_ok_and(|about| about.size < bytes) {
        let what = format!("{} is shorter than its {bytes} bytes", installation.database().display());
        report.error("database-short", what, RESTORE);
    }
}

/// What SQLite itself finds.
fn structure(db: &Connection, path: &Path, report: &mut Report) {
    let lines = every(db, &format!("PRAGMA integrity_check({MOST})"), [], |row| Ok(row.get::<_, String>(0)?));
    match lines {
        Ok(lines) => {
            // One finding may be told in several lines.
            for line in lines.into_iter().map(|line| super::backup::in_one_line(&line)).filter(|line| line != "ok") {
                if line.contains("index") {
                    report.error("index-damaged", line, "stop gatepass, run `sqlite3 gatepass.db REINDEX`, and check again");
                } else {
                    report.error("database-damaged", line, RESTORE);
                }
            }
        }
        Err(trouble) => report.store_error(&trouble.at(path)),
    }
    let mut find = |sql: &str| {
        let found = every(db, &format!("{sql} LIMIT {MOST}"), [], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        });
        match found {
            Ok(rows) => {
                for (table, parent) in rows {
                    let what = format!("a row of {table} names one of {parent} that is not there");
                    report.error("row-orphaned", what, RESTORE);
                }
            }
            Err(trouble) => report.store_error(&trouble.at(path)),
        }
    };
    find("SELECT \"table\", parent FROM pragma_foreign_key_check");
    // Sessions have no key into the users.
    find("SELECT 'sessions', 'users' FROM sessions WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.id = user_id)");
}

/// Reads every row of the tables that have records, and keeps none.
fn decode(db: &Connection, path: &Path, report: &mut Report) {
    let mut each = |table: &str, columns: &str, read: fn(&Row<'_>) -> Result<(), Trouble>| {
        let all = || -> Result<(), Trouble> {
            let mut select = db.prepare(&format!("SELECT {columns} FROM {table}"))?;
            let mut found = select.query([])?;
            while let Some(row) = found.next()? {
                read(row)?;
            }
            Ok(())
        };
        if let Err(trouble) = all() {
            report.store_error(&trouble.at(path));
        }
    };
    each("users", columns!(users), |row| rows::user(row).map(drop));
    each("clients", columns!(clients), |row| rows::client(row).map(drop));
    each("client_secrets", columns!(client_secrets), |row| rows::secret(row).map(drop));
    each("tickets", columns!(tickets), |row| rows::ticket(row).map(drop));
    each("sessions", columns!(sessions), |row| rows::session(row).map(drop));
    if let Err(trouble) = audit::each(db, None, &mut |_| ()) {
        report.store_error(&trouble.at(path));
    }
}

/// Looks at where the file says it came from.
fn origin(installation: &Installation, db: &Connection, report: &mut Report) {
    let marks = db.query_row("SELECT handover, copied_at FROM meta", [], |row| {
        Ok((row.get::<_, Option<String>>(0)?, row.get::<_, Option<i64>>(1)?))
    });
    match marks {
        Ok((_, Some(_))) => report.warning(
            "copy-not-taken",
            format!("{} is a copy that no server has taken into use yet", installation.database().display()),
            "run `gatepass serve`; everything issued before the copy was made is refused then",
        ),
        Ok((Some(id), None)) => report.store_error(&StoreError::HandedOver(id)),
        Ok((None, None)) => {}
        Err(error) => report.store_error(&Trouble::Sql(error).at(&installation.database())),
    }
}

/// Opens what is sealed, and follows the audit chain.
fn sealed(store: &Store, db: &Connection, report: &mut Report) {
    let path = store.path();
    match keys::keys_of(db, path, store.master_keys()) {
        Ok(stored) => {
            report.keys = stored.keys.len();
            if stored.keys.is_empty() {
                report.warning("key-none", "there is no key yet", "run `gatepass serve`, which makes one");
            } else if stored.keys.iter().all(|key| key.state != super::KeyState::Signing) {
                report.error("key-none-signs", "no key signs", "run `gatepass key rotate`");
            }
        }
        Err(trouble) => report.store_error(&trouble.at(path)),
    }
    if let Err(trouble) = factors::each_opens(db, &store.master_keys().current()) {
        report.store_error(&trouble.at(path));
    }
    match store.chain().verify(db) {
        Ok(verdict) => {
            if let Some(broken) = &verdict.broken {
                report.error("audit-chain-broken", format!("audit chain: {broken}"), RESTORE);
            }
            report.audit = Some(verdict);
        }
        Err(trouble) => report.store_error(&trouble.at(path)),
    }
}

/// Compares the files with the witness.
fn witness(installation: &Installation, db: &Connection, report: &mut Report) {
    let path = installation.database();
    let witness = match Witness::read(&*installation.files, &installation.witness()) {
        Ok(witness) => witness,
        Err(error) => return report.store_error(&error),
    };
    let id = db.query_row("SELECT installation FROM meta", [], |row| row.get::<_, [u8; 16]>(0));
    if let (Some(witness), Ok(id)) = (&witness, id)
        && witness.installation != id
    {
        return report.store_error(&StoreError::WitnessForeign(installation.witness()));
    }
    match generation::newest(db).and_then(|newest| {
        let standing = generation::compare(db, witness.as_ref(), false)?;
        Ok((newest, standing))
    }) {
        Ok((newest, standing)) => {
            report.generation = newest;
            if standing == Standing::Older {
                let since = newest.map_or_else(|| "an earlier version".into(), |newest| newest.made_at.rfc3339());
                let what = match witness {
                    Some(_) => format!("the files are of {since}, and later ones were served"),
                    None => format!("there is no witness at {}: the files of {since} may be old ones", installation.witness().display()),
                };
                report.error(
                    if witness.is_some() { "state-older" } else { "witness-missing" },
                    what,
                    "put the newest files back; else the next start refuses everything issued before",
                );
            }
        }
        Err(trouble) => report.store_error(&trouble.at(&path)),
    }
}

/// Looks whether the witness would outlive the database's disk.
fn witness_place(installation: &Installation, report: &mut Report) {
    let files = &*installation.files;
    let place = installation.witness();
    let device = |path: &Path| files.about(path).ok().map(|about| about.identity.0);
    if device(directory_of(&place)) == device(&installation.dir) {
        report.warning(
            "witness-beside-database",
            format!("the witness is on the same disk as the database ({})", place.display()),
            "name a place on another disk or share with witness_file: without it, a copy of the whole disk that is put back is not noticed",
        );
    }
}

/// Looks how much room there is.
fn room(installation: &Installation, report: &mut Report) {
    let Ok(about) = rustix::fs::statvfs(&installation.dir) else { return };
    let free = about.f_bavail.saturating_mul(about.f_frsize);
    let size = installation.files.about(&installation.dir.join(DATABASE)).map_or(0, |about| about.size);
    if free < LEAST_ROOM.max(size / 4) {
        let what = format!("only {} MiB are free in {}", free / 1024 / 1024, installation.dir.display());
        report.warning("room-low", what, "free some room, or move the data directory to a larger disk");
    }
    if about.f_files > 0 && about.f_favail == 0 {
        let what = format!("no more files can be made in {}", installation.dir.display());
        report.error("room-none", what, "remove files, or move the data directory");
    }
}
