//! The files of one installation, and the two locks that keep processes apart.
//!
//! - `gatepass.db`, `gatepass.db-wal`, `gatepass.db-shm`: the database, and what SQLite puts beside it while it is open.
//! - `master.key`: the key that seals private keys in the database.
//! - `gatepass.witness`: the newest state generation; see [`super::witness`].
//! - `gatepass.lock`: held shared by every process that has the database open for writing, and by one alone while it starts
//!   on files that no other process has open, or replaces them.
//! - `gatepass.starting`: marks a first start that has not come to its end.
//! - `gatepass.store`: the address of the database server with the records, where they are in one.
//! - `gatepass.copying`: marks a copy of another store to here that has not come to its end.
//! - `gatepass.backup`: the time of the last backup, in seconds since 1970.
//! - `admin.secret`: the secret of the first client, where the first start had no terminal to show it on.
//! - `archives`: the directory of the archives of audit rows that an administrator asks for over HTTP.
//!
//! The directory itself is locked while a process starts, and while it changes the generation. It is never held for long.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf, absolute};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use gatepass_core::base::time::Time;

#[cfg(feature = "postgres")]
use super::start::{make_marker, remove_marker};
use crate::secrets::files::{FileKind, Files, SystemFiles, exists, give_to_owner, replace, with_suffix};
use crate::secrets::master_key::MASTER_KEY;
use crate::store::database_server::DatabaseServer;
use crate::store::error::StoreError;

/// The database's name in the data directory.
pub const DATABASE: &str = "gatepass.db";
/// The lock's name.
pub const LOCK: &str = "gatepass.lock";
/// The witness's name, if no other path is configured.
pub const WITNESS: &str = "gatepass.witness";
/// The name of the file with the first client's secret.
pub(super) const FIRST_SECRET: &str = "admin.secret";
/// The name of the mark of a first start.
pub(super) const STARTING: &str = "gatepass.starting";
/// The name of the file that holds the id of a handover that this directory accepts.
pub(super) const ACCEPT: &str = "gatepass.accept";

/// The name of the mark of a copy to here, which holds the copy's id.
const COPYING: &str = "gatepass.copying";
/// The name of the file that holds the time of the last backup.
const LAST_BACKUP: &str = "gatepass.backup";
/// The name of the directory of archives, if no other path is configured.
const ARCHIVES: &str = "archives";

/// The usual data directory of a service.
const USUAL: &str = "/var/lib/gatepass";
/// The name of a data directory that nobody named.
const DEFAULT_NAME: &str = "gatepass-data";

/// A symbolic link is not opened.
const NO_LINK: i32 = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
/// The pause between two attempts to get a lock.
const PAUSE: Duration = Duration::from_millis(5);

/// The paths of an installation.
#[derive(Clone, Debug)]
pub struct Installation {
    /// The data directory.
    pub dir: PathBuf,
    /// The master key, if it is not in the data directory.
    pub master_key_file: Option<PathBuf>,
    /// The witness, if it is not in the data directory.
    pub witness_file: Option<PathBuf>,
    /// The directory of archives, if it is not in the data directory.
    pub archive_dir: Option<PathBuf>,
    /// The database that keeps the records, if it is not in the data directory.
    pub server: Option<DatabaseServer>,
    /// The user of the operating system whose command this is, for the audit rows that it writes; none for a server.
    pub operator: Option<String>,
    /// The access to the files.
    pub files: Arc<dyn Files>,
}

/// The files that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The database and its size in bytes.
    pub database: Option<u64>,
    /// The log and its size in bytes.
    pub log: Option<u64>,
    /// The master key is in the data directory.
    pub master_key: bool,
    /// The witness exists.
    pub witness: bool,
    /// A first start was interrupted.
    pub starting: bool,
}

impl Contents {
    /// Returns true if no file of an installation exists.
    pub const fn is_empty(&self) -> bool {
        self.database.is_none() && self.log.is_none() && !self.master_key && !self.witness
    }

    /// Returns true if the log has content.
    pub const fn has_log(&self) -> bool {
        matches!(self.log, Some(size) if size > 0)
    }
}

impl Installation {
    /// Makes an installation whose files are all in `dir`.
    pub fn at(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            master_key_file: None,
            witness_file: None,
            archive_dir: None,
            server: None,
            operator: None,
            files: Arc::new(SystemFiles),
        }
    }

    /// Names the user of the operating system whose command this is.
    #[must_use]
    pub fn operated_by(self, operator: String) -> Self {
        Self { operator: Some(operator), ..self }
    }

    /// Names files outside the data directory. The witness's path becomes absolute: it is stored for commands that
    /// start elsewhere.
    #[must_use]
    pub fn with_files(self, master_key_file: Option<PathBuf>, witness_file: Option<PathBuf>) -> Self {
        let witness_file = witness_file.map(|path| absolute(&path).unwrap_or(path));
        Self { master_key_file, witness_file, ..self }
    }

    /// Names a directory of archives outside the data directory.
    #[must_use]
    pub fn with_archives(self, archive_dir: Option<PathBuf>) -> Self {
        Self { archive_dir, ..self }
    }

    /// Returns the path of the database.
    pub fn database(&self) -> PathBuf {
        self.dir.join(DATABASE)
    }

    /// Returns the path of the write-ahead log.
    pub fn log(&self) -> PathBuf {
        with_suffix(&self.database(), "-wal")
    }

    /// Returns the path of the log's index, which SQLite keeps in shared memory.
    pub fn log_index(&self) -> PathBuf {
        with_suffix(&self.database(), "-shm")
    }

    /// Returns the path of the master key.
    pub fn master_key(&self) -> PathBuf {
        self.master_key_file.clone().unwrap_or_else(|| self.dir.join(MASTER_KEY))
    }

    /// Returns the path of the witness.
    pub fn witness(&self) -> PathBuf {
        self.witness_file.clone().unwrap_or_else(|| self.dir.join(WITNESS))
    }

    /// Returns the path of the directory of archives that an administrator asks for over HTTP.
    pub fn archives(&self) -> PathBuf {
        self.archive_dir.clone().unwrap_or_else(|| self.dir.join(ARCHIVES))
    }

    /// Returns the path of the mark of a first start.
    pub(super) fn starting(&self) -> PathBuf {
        self.dir.join(STARTING)
    }

    /// Marks that a first start begins. Until it ends, the next one goes on with what there is.
    #[cfg(feature = "postgres")]
    pub(in crate::store) fn mark_first_start(&self) -> Result<(), StoreError> {
        make_marker(self)
    }

    /// Removes the mark of a first start, which has come to its end.
    #[cfg(feature = "postgres")]
    pub(in crate::store) fn end_first_start(&self) -> Result<(), StoreError> {
        remove_marker(self)
    }

    /// Returns the path of the mark of a copy to here.
    pub(super) fn copying(&self) -> PathBuf {
        self.dir.join(COPYING)
    }

    /// Returns the id of a copy to here that has not come to its end.
    pub(super) fn unfinished_copy(&self) -> Result<Option<String>, StoreError> {
        let path = self.copying();
        match self.files.read(&path, 1024) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(StoreError::file(&path, "read", &e)),
            Ok(text) => Ok(Some(String::from_utf8_lossy(&text).trim_end().to_owned())),
        }
    }

    /// Refuses the directory if a copy to here has not come to its end.
    pub(super) fn require_whole_copy(&self) -> Result<(), StoreError> {
        match self.unfinished_copy()? {
            None => Ok(()),
            Some(_) => Err(StoreError::CopyUnfinished {
                place: self.dir.display().to_string(),
                mark: self.copying().display().to_string(),
            }),
        }
    }

    /// Returns the path of the id of an accepted handover.
    pub(super) fn accept(&self) -> PathBuf {
        self.dir.join(ACCEPT)
    }

    /// Returns the path of the first client's secret.
    pub fn first_secret(&self) -> PathBuf {
        self.dir.join(FIRST_SECRET)
    }

    /// Writes down that a backup was made at `at`, for the metrics and the status of a server.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be written.
    pub fn record_backup(&self, at: Time) -> Result<(), StoreError> {
        let path = self.dir.join(LAST_BACKUP);
        let text = format!("{}\n", at.unix());
        replace(&*self.files, &path, text.as_bytes()).map_err(|e| StoreError::file(&path, "write", &e))
    }

    /// Returns the time of the last backup; none if none was written down.
    pub fn last_backup(&self) -> Option<Time> {
        let text = fs::read_to_string(self.dir.join(LAST_BACKUP)).ok()?;
        text.trim_end().parse().ok().map(Time::from_unix)
    }

    /// Makes an empty file for the first client's secret. While it is empty, nobody has been told the secret.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be written.
    pub fn await_first_secret(&self) -> Result<(), StoreError> {
        self.keep_first_secret("").map(drop)
    }

    /// Returns true if the first client was made, or was about to be, and nobody has been told its secret.
    pub fn awaits_first_secret(&self) -> bool {
        self.files.about(&self.first_secret()).is_ok_and(|about| about.size == 0)
    }

    /// Keeps a line with the first client's secret in a file that only the directory's owner can read. One of a former
    /// installation is replaced.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be written.
    pub fn keep_first_secret(&self, line: &str) -> Result<PathBuf, StoreError> {
        let path = self.first_secret();
        replace(&*self.files, &path, line.as_bytes()).map_err(|e| StoreError::file(&path, "write", &e))?;
        Ok(path)
    }

    /// Removes the first client's secret, if it was kept, and what an interrupted attempt to keep it has left.
    ///
    /// # Errors
    /// [`StoreError`] if a file cannot be removed.
    pub fn forget_first_secret(&self) -> Result<(), StoreError> {
        let path = self.first_secret();
        for path in [with_suffix(&path, ".new"), path] {
            match self.files.remove(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::file(&path, "remove", &e));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Checks which files exist.
    ///
    /// # Errors
    /// [`StoreError`] if that cannot be known, or the records are in a server that was not named.
    pub fn contents(&self) -> Result<Contents, StoreError> {
        if self.server.is_none()
            && let Some(address) = self.recorded_server()?
        {
            return Err(StoreError::Elsewhere { dir: self.dir.clone(), address });
        }
        let size = |path: PathBuf| match self.files.about(&path) {
            Ok(about) if about.kind == FileKind::Directory => {
                Err(StoreError::file(&path, "use", &io::ErrorKind::IsADirectory.into()))
            }
            Ok(about) => Ok(Some(about.size)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(StoreError::file(&path, "look at", &e)),
        };
        // SQLite keeps the log beside the file itself, and not beside a link to it.
        if fs::symlink_metadata(self.database()).is_ok_and(|about| about.is_symlink()) {
            return Err(StoreError::Link(self.database()));
        }
        let there =
            |path: PathBuf| exists(&*self.files, &path).map_err(|e| StoreError::file(&path, "look at", &e));
        Ok(Contents {
            database: size(self.database())?,
            log: size(self.log())?,
            master_key: there(self.dir.join(MASTER_KEY))?,
            // Only checks that the witness exists; the start reads it.
            witness: exists(&*self.files, &self.witness()).unwrap_or(false),
            starting: there(self.starting())?,
        })
    }

    /// Returns the error that there is no installation here. It names one close by: who runs a command in the wrong directory
    /// is told the right one.
    pub fn nothing(&self) -> StoreError {
        let near = self.around().or_else(|| Some(PathBuf::from(USUAL)).filter(|dir| is_installation(dir)));
        StoreError::Nothing { dir: self.dir.clone(), near }
    }

    /// Returns the installation around this directory, or in its `gatepass-data`: a relative path was taken from the wrong
    /// place.
    pub(super) fn around(&self) -> Option<PathBuf> {
        let dir = absolute(&self.dir).ok()?;
        let below = dir.join(DEFAULT_NAME);
        [dir.parent().map(Path::to_owned), Some(below)].into_iter().flatten().find(|dir| is_installation(dir))
    }

    /// Locks the directory, for a start or a change of the generation.
    pub(in crate::store) fn lock_directory(&self, patience: Duration) -> Result<DirectoryLock, StoreError> {
        let failed = |e: &io::Error| StoreError::file(&self.dir, "lock the directory", e);
        let dir = File::open(&self.dir).map_err(|e| failed(&e))?;
        let end = Instant::now() + patience;
        loop {
            match dir.try_lock() {
                Ok(()) => return Ok(DirectoryLock(dir)),
                Err(TryLockError::WouldBlock) if Instant::now() < end => thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => return Err(StoreError::Busy(self.dir.clone())),
                Err(TryLockError::Error(e)) => return Err(failed(&e)),
            }
        }
    }

    /// Marks that this process has the database open. `create` makes the lock file if there is none; otherwise there
    /// may be no lock to hold.
    pub(super) fn enter(&self, create: bool) -> Result<Option<Presence>, StoreError> {
        let path = self.dir.join(LOCK);
        let failed = |e: &io::Error| StoreError::file(&path, "lock", e);
        // A process that can read the file can lock it. A symbolic link is not followed.
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(NO_LINK);
        let file = match options.open(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound && create => {
                let made = options.write(true).create(true).truncate(false).mode(0o600).open(&path);
                let made = made.map_err(|e| failed(&e))?;
                give_to_owner(&made, &self.dir).map_err(|e| failed(&e))?;
                made
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(|e| failed(&e))?,
        };
        let alone = match file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => {
                file.lock_shared().map_err(|e| failed(&e))?;
                false
            }
            Err(TryLockError::Error(e)) => return Err(failed(&e)),
        };
        Ok(Some(Presence { file, alone }))
    }

    /// Writes the address at which a server of this directory answers, and the file that it has open.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be written.
    pub fn write_address(&self, address: &str) -> Result<(), StoreError> {
        if self.server.is_some() {
            drop(self.enter(true)?);
            return self.write_lock(&format!("{address}\n"));
        }
        let database = self.database();
        let about = self.files.about(&database).map_err(|e| StoreError::file(&database, "look at", &e))?;
        self.write_lock(&format!("{address}\n{}\n", about.identity.1))
    }

    /// Reads the address at which the last server of this directory answers.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub fn address(&self) -> Result<Option<String>, StoreError> {
        Ok(self.written()?.lines().next().filter(|address| !address.is_empty()).map(str::to_owned))
    }

    /// Returns true if the database is another file than the one that the last server of this directory has open.
    pub(super) fn is_replaced(&self) -> Result<bool, StoreError> {
        let written = self.written()?;
        let opened: Option<u64> = written.lines().nth(1).and_then(|inode| inode.parse().ok());
        Ok(match (opened, self.files.about(&self.database())) {
            (Some(opened), Ok(about)) => about.identity.1 != opened,
            (None, _) | (_, Err(_)) => false,
        })
    }

    /// Removes the entry of the server that answered at `address`, if no other has started since.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read or written.
    pub fn forget_address(&self, address: &str) -> Result<(), StoreError> {
        if self.address()?.as_deref() == Some(address) { self.forget_server() } else { Ok(()) }
    }

    /// Removes the entry of the last server, which has ended.
    pub(super) fn forget_server(&self) -> Result<(), StoreError> {
        self.write_lock("")
    }

    fn write_lock(&self, text: &str) -> Result<(), StoreError> {
        let path = self.dir.join(LOCK);
        let opened = OpenOptions::new().write(true).truncate(true).custom_flags(NO_LINK).open(&path);
        let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|e| StoreError::file(&path, "write", &e))
    }

    fn written(&self) -> Result<String, StoreError> {
        let path = self.dir.join(LOCK);
        match fs::read_to_string(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            read => read.map_err(|e| StoreError::file(&path, "read", &e)),
        }
    }
}

/// Returns true if a directory has a database with content.
fn is_installation(dir: &Path) -> bool {
    fs::metadata(dir.join(DATABASE)).is_ok_and(|about| about.is_file() && about.len() > 0)
}

/// The lock of the directory, until it is dropped.
#[derive(Debug)]
pub(in crate::store) struct DirectoryLock(#[expect(dead_code, reason = "closing it unlocks")] File);

/// The mark that this process has the database open, until it is dropped.
#[derive(Debug)]
pub(super) struct Presence {
    file: File,
    alone: bool,
}

impl Presence {
    /// Returns true if no other process had the database open, and none can open it.
    pub(super) const fn is_alone(&self) -> bool {
        self.alone
    }

    /// Tries again to be alone: the others may have ended. Call it while the directory is locked.
    pub(super) fn try_alone(&mut self) -> bool {
        if !self.alone {
            self.alone = self.file.try_lock().is_ok();
            if !self.alone {
                // A failed conversion may have lost the weaker lock.
                let _ = self.file.lock_shared();
            }
        }
        self.alone
    }

    /// Lets other processes in. Call it while the directory is locked.
    pub(super) fn share(&mut self) {
        // A conversion to a weaker lock does not wait.
        self.alone = self.file.lock_shared().is_err();
    }
}
