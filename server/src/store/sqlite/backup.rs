//! Copies of the whole database in one file, made while it is in use, and the proof that such a copy is whole.

use std::io;
use std::path::Path;
use std::time::Duration;

use gatepass_core::base::time::Time;
use gatepass_core::store::audit::{Event, Kind};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags, params};

use super::connect::Role;
use super::generation::{self, Generation};
use super::installation::Installation;
use super::read::first;
use super::schema::{self, Version};
use super::start::{RAISE_EPOCH, write_witness};
use super::state::find_key;
use super::transaction_error::TransactionError;
use super::{Store, batch, walk};
use crate::clock::wall;
use crate::secrets::files::{Files, exists, give_name, with_suffix};
use crate::secrets::master_key::hex;
use crate::secrets::random::random;
use crate::store::backend::{OnProgress, Phase};
use crate::store::error::{SqliteErrorKind, StoreError};
use crate::store::rows::{self, Columns};

/// Pages that are copied at once.
const PAGES: i32 = 256;
/// The pause between two attempts while the source is locked.
const PAUSE: Duration = Duration::from_millis(10);

/// The facts about a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupReport {
    /// Its size in bytes.
    pub bytes: u64,
    /// Its schema's number.
    pub schema: i64,
    /// The time when it was made; none if `backup` did not make it.
    pub made_at: Option<Time>,
    /// Its newest state generation.
    pub generation: Option<Generation>,
    /// The id of the handover that it was made for.
    pub handover: Option<String>,
    /// The number of rows in its audit chain.
    pub audit_rows: u64,
    /// The last link of the chain, in hexadecimal digits.
    pub audit_head: String,
    /// True if the chain was followed, for which the master key is needed.
    pub chain_verified: bool,
    /// The size of the source's log in bytes, after the copy.
    pub log_bytes: u64,
}

/// Removes a file, and the files that SQLite may have left beside it.
pub(super) fn remove_all(files: &dyn Files, path: &Path) -> Result<(), StoreError> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let left = with_suffix(path, suffix);
        match files.remove(&left) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::file(&left, "remove", &e));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Copies every page of `source`, as of one snapshot, to a new file without a log. Returns a connection to it.
pub(super) fn copy_pages(
    source: &Connection,
    to: &Path,
    files: &dyn Files,
    progress: &mut OnProgress<'_>,
) -> Result<Connection, StoreError> {
    let at = |e: rusqlite::Error| TransactionError::Sql(e).at(to);
    remove_all(files, to)?;
    files.write_new(to, b"").map_err(|e| StoreError::file(to, "create", &e))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut copy = Connection::open_with_flags(to, flags).map_err(at)?;
    copy.pragma_update(None, "synchronous", "FULL").map_err(at)?;
    copy.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(at)?;
    source.execute_batch("SAVEPOINT copied; SELECT count(*) FROM sqlite_schema").map_err(at)?;
    let copied = (|| {
        let backup = Backup::new(source, &mut copy)?;
        loop {
            let step = backup.step(PAGES)?;
            let (all, left) = (backup.progress().pagecount, backup.progress().remaining);
            let count = |pages: i32| u64::try_from(pages).unwrap_or(0);
            progress(Phase::Copying, (count(all.saturating_sub(left)), count(all)));
            if step == StepResult::Done {
                return Ok(());
            }
            if step != StepResult::More {
                // It is locked for the moment.
                std::thread::sleep(PAUSE);
            }
        }
    })();
    let released = source.execute_batch("RELEASE copied");
    copied.and(released).map_err(at)?;
    // The copied header says that there is a log. From here on there is none: the copy is one file.
    let mode: String = copy.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0)).map_err(at)?;
    if mode != "delete" {
        let problem = format!("it keeps a log ({mode})");
        return Err(StoreError::BadBackup { path: to.to_owned(), problem });
    }
    Ok(copy)
}

/// Opens a file that nothing writes to, and leaves it and its directory as they are.
pub(super) fn open_copy(path: &Path) -> Result<Connection, StoreError> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'~' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => {
                uri.push(char::from(*byte));
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    let db = Connection::open_with_flags(&uri, flags).map_err(|e| TransactionError::Sql(e).at(path))?;
    let set = db
        .pragma_update(None, "trusted_schema", false)
        .and_then(|()| db.pragma_update(None, "cell_size_check", true))
        .and_then(|()| db.pragma_update(None, "query_only", true));
    set.map_err(|e| TransactionError::Sql(e).at(path))?;
    Ok(db)
}

/// Returns a message of SQLite that has several lines as one line.
pub(super) fn in_one_line(said: &str) -> String {
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Proves that a file is a whole copy: its size, its structure, its references between rows, and its audit chain if
/// there is a master key.
pub(super) fn prove(
    installation: &Installation,
    path: &Path,
    progress: &mut OnProgress<'_>,
) -> Result<BackupReport, StoreError> {
    let files = &*installation.files;
    let bad = |problem: String| StoreError::BadBackup { path: path.to_owned(), problem };
    let at = |e: rusqlite::Error| {
        if matches!(SqliteErrorKind::of(&e), SqliteErrorKind::Corrupt | SqliteErrorKind::NotADatabase) {
            return bad(e.to_string());
        }
        TransactionError::Sql(e).at(path)
    };
    let bytes = files.about(path).map_err(|e| StoreError::file(path, "read", &e))?.size;
    let log = with_suffix(path, "-wal");
    if files.about(&log).is_ok_and(|about| about.size > 0) {
        return Err(bad(format!("{} lies beside it; make the backup with `gatepass backup`", log.display())));
    }
    progress(Phase::Checking, (0, 1));
    let db = open_copy(path)?;
    let schema = match schema::version(&db).map_err(at)? {
        Version::Schema(found) if found <= schema::known() => found,
        Version::Schema(found) => {
            return Err(StoreError::Newer { path: path.to_owned(), found, known: schema::known() });
        }
        Version::Empty => return Err(bad("it is empty".into())),
        Version::Foreign => return Err(StoreError::Foreign(path.to_owned())),
    };
    let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(at);
    let pages = number("PRAGMA page_count")?.saturating_mul(number("PRAGMA page_size")?);
    if u64::try_from(pages).ok() != Some(bytes) {
        return Err(bad(format!("it has {bytes} bytes and should have {pages}")));
    }
    let sound: String = db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(at)?;
    if sound != "ok" {
        return Err(bad(in_one_line(&sound)));
    }
    if db.prepare("PRAGMA foreign_key_check").and_then(|mut find| find.exists([])).map_err(at)? {
        return Err(bad("a row names another that is not there".into()));
    }
    let (audit_rows, head, check): (i64, Vec<u8>, Vec<u8>) = db
        .query_row("SELECT audit_seq, audit_mac, master_check FROM meta", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .map_err(at)?;
    let chain_verified = match find_key(installation, &check, None) {
        Ok(master) => {
            let chain = schema::chain(&db, path, &master)?;
            let verdict = walk::verify(&chain, &db, schema).map_err(|trouble| trouble.at(path))?;
            if let Some(broken) = verdict.broken {
                return Err(bad(format!("audit chain: {broken}")));
            }
            true
        }
        Err(_) => false,
    };
    let (made_at, handover, generation) = if schema < 7 {
        (None, None, None)
    } else {
        let read = |row: &rusqlite::Row<'_>| {
            let mut c = Columns::of(row, "meta");
            Ok((c.maybe_time("copied_at")?, c.maybe("handover", rows::owned)?))
        };
        let found = first(&db, "SELECT copied_at, handover FROM meta", [], read).map_err(|t| t.at(path))?;
        let (made_at, handover) = found.unwrap_or_default();
        (made_at, handover, generation::newest(&db).map_err(|trouble| trouble.at(path))?)
    };
    progress(Phase::Checking, (1, 1));
    Ok(BackupReport {
        bytes,
        schema,
        made_at,
        generation,
        handover,
        audit_rows: u64::try_from(audit_rows).unwrap_or(0),
        audit_head: hex(&head).to_string(),
        chain_verified,
        log_bytes: 0,
    })
}

impl Store {
    /// Copies the database, as it is now, to a new file, and proves that the copy is whole. With a `handover`, this
    /// installation stops answering: the copy, restored where the id was made, takes over.
    ///
    /// # Errors
    /// [`StoreError`] if the file is there already, cannot be written, or is not whole.
    pub fn backup(
        &self,
        to: &Path,
        handover: Option<&str>,
        progress: &mut OnProgress<'_>,
    ) -> Result<BackupReport, StoreError> {
        let installation = self.installation();
        let files = &*installation.files;
        let failed = |e: &io::Error| {
            if e.kind() == io::ErrorKind::AlreadyExists {
                return StoreError::FileExists(to.to_owned());
            }
            StoreError::file(to, "write", e)
        };
        if exists(files, to).map_err(|e| failed(&e))? {
            return Err(StoreError::FileExists(to.to_owned()));
        }
        let name = random::<8>()?;
        let draft = with_suffix(to, &format!(".{}", &*hex(&*name)));
        // Checks that the copy can be made there, before anything is handed over for it.
        files.write_new(&draft, b"").map_err(|e| failed(&e))?;
        if let Some(id) = handover {
            self.hand_over(id).inspect_err(|_| {
                let _ = files.remove(&draft);
            })?;
        }
        let made = self.copy_to(&draft, progress).and_then(|log_bytes| {
            let report = prove(installation, &draft, progress)?;
            give_name(files, &draft, to).map_err(|e| failed(&e))?;
            Ok(BackupReport { log_bytes, ..report })
        });
        if made.is_err() {
            // The file so far is no backup.
            let _ = remove_all(files, &draft);
        }
        made
    }

    /// Copies all pages to `draft` and marks the copy as one. Returns the size of the log at that time.
    fn copy_to(&self, draft: &Path, progress: &mut OnProgress<'_>) -> Result<u64, StoreError> {
        let files = &*self.installation().files;
        let at = |e: rusqlite::Error| TransactionError::Sql(e).at(draft);
        let source = self.files().connector.connect(Role::Reader)?;
        let copy = copy_pages(&source, draft, files, progress)?;
        let log_bytes = files.about(&self.installation().log()).map_or(0, |about| about.size);
        mark(&copy, wall()).map_err(at)?;
        copy.close().map_err(|(_, e)| at(e))?;
        files.sync(draft).map_err(|e| StoreError::file(draft, "sync", &e))?;
        Ok(log_bytes)
    }

    /// Marks this installation as handed over: from now on nothing is written.
    pub(super) fn hand_over(&self, id: &str) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.change_handover(Kind::StateHandedOver, id.clone(), move |db| {
            let sql = "UPDATE meta SET handover = ?1 WHERE handover IS NULL OR handover = ?1";
            if db.execute(sql, params![id])? == 1 {
                return Ok(());
            }
            let other = db.query_row("SELECT handover FROM meta", [], |row| row.get(0))?;
            Err(TransactionError::Refused(StoreError::HandedOver(other)))
        })
    }

    /// Undoes a handover: this installation answers again, and refuses everything issued before. Returns the handover's id.
    ///
    /// # Errors
    /// [`StoreError`] if there was no handover, or it cannot be written.
    pub fn cancel_handover(&self) -> Result<String, StoreError> {
        let id: Option<String> =
            self.snapshot(|db| Ok(db.query_row("SELECT handover FROM meta", [], |row| row.get(0))?))?;
        let id = id.ok_or_else(|| {
            StoreError::Conflict("this installation was not handed over; there is nothing to cancel".into())
        })?;
        self.change_handover(Kind::HandoverCancelled, id.clone(), |db| {
            db.execute("UPDATE meta SET handover = NULL", [])?;
            db.execute(RAISE_EPOCH, [])?;
            Ok(())
        })?;
        Ok(id)
    }

    /// Changes the mark of a handover, together with a new state generation.
    fn change_handover(
        &self,
        kind: Kind,
        id: String,
        change: impl FnOnce(&Connection) -> Result<(), TransactionError>,
    ) -> Result<(), StoreError> {
        let path = self.path();
        let installation = self.installation();
        let _locked = installation.lock_directory(Duration::from_secs(30))?;
        let db = self.files().connector.connect(Role::Writer)?;
        let at = |trouble: TransactionError| trouble.at(path);
        let newest = generation::newest(&db).map_err(at)?.map_or(0, |newest| newest.number);
        let witness = super::witness::Witness::read(&*installation.files, &installation.witness())?;
        let witnessed = witness.map_or(0, |witness| witness.generation.number);
        let next = Generation::new(newest.max(witnessed).saturating_add(1), wall())?;
        let mark = super::mark::clock_mark_of(&db).map_err(at)?;
        let event = Event { reason: Some(format!("handover {id}")), ..Event::new(kind, mark.max(wall())) };
        let master = self.master_keys().current();
        batch::directly(&db, self.chain(), &master, batch::Held::Allow, |db, tail| {
            change(db)?;
            generation::insert(db, &next)?;
            tail.append(db, &event)
        })
        .map_err(at)?;
        write_witness(installation, generation::installation(&db).map_err(at)?, next)
    }
}

/// Marks a copy as one, so that a later start knows that newer states were served.
pub(super) fn mark(copy: &Connection, made_at: Time) -> rusqlite::Result<()> {
    copy.execute(
        "UPDATE meta SET copied_at = coalesce(copied_at, ?1), witness_file = NULL, master_key_file = NULL",
        [rows::stamp(made_at)],
    )?;
    batch::number(copy).map(drop)
}
