//! The check of the directory, the owners of the files, leftovers, and the room on the disk.

use std::io;
use std::path::Path;

use super::super::installation::{ACCEPT, DATABASE, FIRST_SECRET, Installation, LOCK, STARTING};
use super::super::reserve::RESERVE;
use super::{RESTORE, Report, name_of};
use crate::secrets::files::{self, About, FileKind, directory_of, with_suffix};
use crate::secrets::master_key::MASTER_KEY;
use crate::store::error::StoreError;

/// A log of this many bytes is reported.
const LARGE_LOG: u64 = 64 * 1024 * 1024;
/// Less room than this, in bytes, is reported.
const LEAST_ROOM: u64 = 64 * 1024 * 1024;

/// Checks the directory itself; returns false if nothing else can be checked.
pub(super) fn directory(installation: &Installation, report: &mut Report) -> bool {
    let dir = &installation.dir;
    match installation.files.about(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let (_, way_out) = name_of(&installation.nothing());
            report.error("directory-missing", installation.nothing().to_string(), way_out);
            false
        }
        Err(e) => {
            let what = format!("{} cannot be read: {e}", dir.display());
            report.error(
                "directory-unreadable",
                what,
                "run the command as the directory's owner, or as root",
            );
            false
        }
        Ok(about) if about.kind != FileKind::Directory => {
            report.store_error(&StoreError::NotADirectory(dir.clone()));
            false
        }
        Ok(about) => {
            if about.mode & 0o022 != 0 {
                let what =
                    format!("others than its owner may write in {} (mode {:04o})", dir.display(), about.mode);
                report.error("directory-writable", what, format!("run `chmod 700 {}`", dir.display()));
            }
            if let Err(e) = installation.files.names(dir) {
                let what = format!("{} cannot be read: {e}", dir.display());
                report.error(
                    "directory-unreadable",
                    what,
                    "run the command as the directory's owner, or as root",
                );
                return false;
            }
            true
        }
    }
}

/// Checks the owners and permissions of the files.
pub(super) fn permissions(installation: &Installation, report: &mut Report) {
    let files = &*installation.files;
    let Ok(dir) = files.about(&installation.dir) else { return };
    let Ok(names) = files.names(&installation.dir) else { return };
    for name in names {
        if !name.starts_with("gatepass.") && !name.starts_with(MASTER_KEY) && name != FIRST_SECRET {
            continue;
        }
        let path = installation.dir.join(&name);
        let Ok(about) = files.about(&path) else { continue };
        if about.kind != FileKind::File {
            continue;
        }
        let is_key = name.starts_with(MASTER_KEY);
        if !(is_key && about.owner.0 == 0) {
            owner(&path, &about, dir.owner, report);
        }
        let exposed = if name == "gatepass.toml" || name == LOCK { 0o022 } else { 0o077 };
        if name != MASTER_KEY {
            exposure(&path, &about, exposed, report);
        }
        if about.mode & 0o400 == 0 {
            let what = format!("{} may not be read by its owner (mode {:04o})", path.display(), about.mode);
            report.error("file-unreadable", what, format!("run `chmod 600 {}`", path.display()));
        }
    }
}

/// Checks that a file belongs to the owner of its directory.
fn owner(path: &Path, about: &About, dir: (u32, u32), report: &mut Report) {
    if about.owner.0 != dir.0 {
        let path = path.display();
        let what = format!("{path} belongs to user {}, and its directory to user {}", about.owner.0, dir.0);
        report.error("owner-differs", what, format!("run `chown {}:{} {path}`", dir.0, dir.1));
    }
}

/// Checks that nobody but its owner has one of the permissions `exposed`.
fn exposure(path: &Path, about: &About, exposed: u32, report: &mut Report) {
    if about.mode & exposed != 0 {
        let path = path.display();
        let what = format!("others than its owner may read or write {path} (mode {:04o})", about.mode);
        let mode = if about.kind == FileKind::Directory { 700 } else { 600 };
        report.warning("file-exposed", what, format!("run `chmod {mode} {path}`"));
    }
}

/// Checks the directory of archives, and the files that a server has made in it.
pub(super) fn archives(installation: &Installation, report: &mut Report) {
    let (files, dir) = (&*installation.files, installation.archives());
    let Ok(about) = files.about(&dir) else { return };
    exposure(&dir, &about, 0o022, report);
    let names = files.names(&dir).unwrap_or_default();
    let mut cut = None;
    for name in names.iter().filter(|name| name.starts_with("audit-")) {
        let path = dir.join(name);
        match files.about(&path) {
            Ok(file) if file.kind == FileKind::File => {
                owner(&path, &file, about.owner, report);
                exposure(&path, &file, 0o077, report);
                cut = cut.or(Some(path).filter(|path| path.extension().is_none_or(|end| end != "jsonl")));
            }
            Ok(_) | Err(_) => {}
        }
    }
    if let Some(path) = cut {
        report.warning(
            "archive-cut",
            format!("an archive was cut short, or is being written: {} is there", path.display()),
            "remove the file where none is being written: its rows are in the next archive",
        );
    }
}

/// Looks for interrupted operations.
pub(super) fn leftovers(installation: &Installation, report: &mut Report) {
    let there = |path: &Path| files::exists(&*installation.files, path).unwrap_or(false);
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
            "run any command that changes something, which ends a change that came to hold; a file that stays is of no use, and the next `key rotate-master` removes it",
        );
    }
    if there(&installation.dir.join(ACCEPT)) {
        report.warning(
            "handover-expected",
            "this directory accepts a handover, and none has come",
            "restore the copy that was made for it; where none will come, remove gatepass.accept",
        );
    }
    let secret = installation.first_secret();
    if there(&secret) {
        report.warning(
            "first-secret-kept",
            format!("the secret of the first client, admin, is still in {}", secret.display()),
            "put it where it is needed and remove the file, or run `gatepass client rotate-secret admin`, which does",
        );
    }
}

/// Checks that the witness would survive the database's disk.
pub(super) fn witness_place(installation: &Installation, report: &mut Report) {
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

/// Checks the room on the disk.
pub(super) fn room(installation: &Installation, report: &mut Report) {
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

/// Checks if the disk was full, and the size of the log.
pub(super) fn growth(installation: &Installation, report: &mut Report) {
    let size = |path: &Path| installation.files.about(path).map(|about| about.size).ok();
    let reserve = installation.dir.join(RESERVE);
    if size(&reserve) == Some(0) {
        report.warning(
            "disk-was-full",
            format!(
                "{} was given up: only what ends, disables, revokes or counts something is written",
                reserve.display()
            ),
            "free some space: the running server, or the next start, makes the reserve anew",
        );
    }
    let log = installation.log();
    if let Some(bytes) = size(&log).filter(|bytes| *bytes >= LARGE_LOG) {
        report.warning(
            "log-large",
            format!("{} has {} MiB", log.display(), bytes / 1024 / 1024),
            "end what holds the database open for reading; the running server, or the next start, empties the log",
        );
    }
}

/// Compares the file's size with its header (<https://sqlite.org/fileformat2.html>), if there is no log. SQLite itself
/// reads nothing of a file that is too short.
pub(super) fn size(installation: &Installation, report: &mut Report) {
    if installation.contents().map_or(true, |contents| contents.has_log()) {
        return;
    }
    let mut header = [0; 100];
    let read =
        installation.files.open(&installation.database()).and_then(|file| file.read_at(&mut header, 0));
    if read.ok() != Some(header.len()) {
        return;
    }
    let number = |at: usize| {
        let bytes = header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        u64::from(bytes.map_or(0, u32::from_be_bytes))
    };
    // The page size has two bytes, and 1 means 65536. The number of pages is valid if two counters agree.
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
