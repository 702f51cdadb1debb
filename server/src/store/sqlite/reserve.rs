//! The reserve: room on the disk that is given up when the disk is full, so that changes that end, disable, revoke or
//! count something can still be written.
//!
//! It is no part of the state. An empty file is a reserve that was given up: writers obey that until a server has made
//! it again.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rustix::fs::{FallocateFlags, fallocate};

use crate::secrets::files::give_to_owner;

/// The reserve's name in the data directory.
pub const RESERVE: &str = "gatepass.reserve";
/// Its size in bytes.
pub(super) const SIZE: u64 = 4 * 1024 * 1024;

/// A symbolic link is not opened.
const NO_LINK: i32 = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();

/// The reserve beside a database.
#[derive(Clone, Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    given_up: Arc<AtomicBool>,
}

impl Reserve {
    /// Returns the reserve in `dir`.
    pub(super) fn at(dir: &Path) -> Self {
        let path = dir.join(RESERVE);
        let given_up =
            std::fs::symlink_metadata(&path).is_ok_and(|about| about.is_file() && about.len() == 0);
        Self { path, given_up: Arc::new(AtomicBool::new(given_up)) }
    }

    /// Returns true if it was given up: only what restricts something is written.
    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.load(Relaxed)
    }

    /// Makes it if it is not whole, and logs a change. One that was given up is made again once there is room for twice
    /// its size: what it gave up is room, too.
    pub(super) fn make(&self) {
        if self.is_given_up() && self.room() < 2 * SIZE {
            return;
        }
        match self.fill() {
            Ok(()) => self.lift(),
            Err(error)
                if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
            {
                // A part of it is room for others.
                let _ = self.empty();
                self.give_up();
            }
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "the reserve for a full disk could not be made");
                // There is room all the same.
                self.lift();
            }
        }
    }

    fn lift(&self) {
        if self.given_up.swap(false, Relaxed) {
            tracing::warn!(path = %self.path.display(), "there is room on the disk again: everything is written again");
        }
    }

    /// Gives it up. Returns true if that gave room.
    pub(super) fn give_up(&self) -> bool {
        let had = std::fs::symlink_metadata(&self.path).is_ok_and(|about| about.is_file() && about.len() > 0);
        let emptied = self.empty().is_ok();
        if !self.given_up.swap(true, Relaxed) {
            tracing::error!(
                path = %self.path.display(),
                "the disk is full: the reserve was given up, and until there is room again only what ends, disables, revokes or counts something is written; free some space"
            );
        }
        had && emptied
    }

    /// Returns the bytes that are free on its disk; the maximum if that is unknown.
    fn room(&self) -> u64 {
        let about = rustix::fs::statvfs(crate::secrets::files::directory_of(&self.path));
        about.map_or(u64::MAX, |about| about.f_bavail.saturating_mul(about.f_frsize))
    }

    fn fill(&self) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600).custom_flags(NO_LINK);
        let mut file = options.open(&self.path)?;
        if file.metadata()?.len() >= SIZE {
            return Ok(());
        }
        give_to_owner(&file, crate::secrets::files::directory_of(&self.path))?;
        match fallocate(&file, FallocateFlags::empty(), 0, SIZE) {
            Ok(()) => {}
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS | rustix::io::Errno::INVAL) => {
                let zeros = [0; 64 * 1024];
                for _ in 0..SIZE / 65_536 {
                    file.write_all(&zeros)?;
                }
            }
            Err(error) => return Err(error.into()),
        }
        file.sync_all()
    }

    fn empty(&self) -> io::Result<()> {
        let file = File::options().write(true).custom_flags(NO_LINK).open(&self.path)?;
        file.set_len(0)?;
        file.sync_all()
    }
}
