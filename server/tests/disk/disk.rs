//! A disk that loses what was not synced. A power loss may take any part of the writes. Of the name changes in a
//! directory it takes the last ones, since file systems with a journal keep their order.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::image::{Choice, Image, Inode, directory};

/// An operation on the disk. A failed one is recorded as far as it was done.
#[derive(Debug)]
pub(crate) enum DiskOperation {
    Write { inode: Inode, at: usize, bytes: Vec<u8> },
    Resize { inode: Inode, size: usize },
    Sync { inode: Inode, well: bool },
    Link { name: String, inode: Inode },
    Rename { from: String, to: String },
    Remove { name: String },
    SyncDirectory { dir: String, well: bool },
    Nothing,
}

/// An error that the disk returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiskError {
    /// `ENOSPC`, and nothing was written.
    Full,
    /// `ENOSPC`, and half of it was written.
    FullHalfway,
    /// `EIO`, and nothing was done.
    Broken,
    /// `EIO`. Half of a write was written, or a name was changed. After a failed sync the result is unknown.
    BrokenHalfway,
}

pub(crate) const DISK_ERRORS: [DiskError; 4] =
    [DiskError::Full, DiskError::FullHalfway, DiskError::Broken, DiskError::BrokenHalfway];

/// An error, and the operations that meet it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) trouble: DiskError,
    /// The first operation that fails, counted from 0.
    pub(crate) from: usize,
    /// True if the error stays until it is repaired; false if it hits one operation.
    pub(crate) lasting: bool,
}

/// The part of the unsynced data that survives a power loss.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Remaining {
    Nothing,
    Everything,
    /// Some writes, and some sectors of some of those.
    Some(u64),
}

/// A disk, and every operation on it.
#[derive(Debug)]
pub(crate) struct Disk(Mutex<State>);

#[derive(Debug)]
struct State {
    first: Image,
    now: Image,
    log: Vec<DiskOperation>,
    fault: Option<Fault>,
    struck: usize,
    /// Counts of failed syncs by file.
    failures: BTreeMap<Inode, usize>,
}

impl Disk {
    pub(crate) fn new(image: Image) -> Self {
        let now = image.clone();
        let (log, failures) = (Vec::new(), BTreeMap::new());
        Self(Mutex::new(State { first: image, now, log, fault: None, struck: 0, failures }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of operations so far.
    pub(crate) fn done(&self) -> usize {
        self.state().log.len()
    }

    /// Sets the error that the disk returns from now on.
    pub(crate) fn set(&self, fault: Option<Fault>) {
        self.state().fault = fault;
    }

    /// Returns how often a fault occurred.
    pub(crate) fn struck(&self) -> usize {
        self.state().struck
    }

    /// Returns the content of the disk while it has power.
    pub(crate) fn image(&self) -> Image {
        self.state().now.clone()
    }

    /// Returns the index of the first write, from `from` on, to the file that has `name` now.
    pub(crate) fn first_write(&self, from: usize, name: &str) -> Option<usize> {
        let state = self.state();
        let file = state.now.find(name)?;
        let is = |done: &DiskOperation| matches!(done, DiskOperation::Write { inode, .. } if *inode == file);
        state.log[from..].iter().position(is).map(|at| from + at)
    }

    /// Prints the operations in `range`.
    pub(crate) fn list(&self, range: std::ops::Range<usize>) -> Vec<String> {
        let short = |done: &DiskOperation| match done {
            DiskOperation::Write { inode, at, bytes } => format!("write {inode} {at} +{}", bytes.len()),
            DiskOperation::Resize { .. }
            | DiskOperation::Sync { .. }
            | DiskOperation::Link { .. }
            | DiskOperation::Rename { .. }
            | DiskOperation::Remove { .. }
            | DiskOperation::SyncDirectory { .. }
            | DiskOperation::Nothing => format!("{done:?}"),
        };
        self.state().log[range].iter().map(short).collect()
    }

    /// Returns the content of the disk after a power loss that follows `done` operations.
    pub(crate) fn after_power_loss(&self, done: usize, left: Remaining) -> Image {
        let state = self.state();
        let log = &state.log[..done];
        let mut choice = Choice::new(left);
        let surviving = surviving(log);
        // The number of lost name changes in each directory.
        let mut unsynced = BTreeMap::<&str, u64>::new();
        for (change, is_durable) in log.iter().zip(&surviving) {
            if let Some(dir) = change.directory().filter(|_| !is_durable) {
                *unsynced.entry(dir).or_default() += 1;
            }
        }
        unsynced.values_mut().for_each(|count| *count = choice.first_of(*count));
        let mut image = state.first.clone();
        for (change, is_durable) in log.iter().zip(surviving) {
            if is_durable {
                image.apply(change);
                continue;
            }
            if let Some(dir) = change.directory() {
                let kept = unsynced.entry(dir).or_default();
                if *kept > 0 {
                    *kept -= 1;
                    image.apply(change);
                }
                continue;
            }
            if !choice.keeps() {
                continue;
            }
            if let DiskOperation::Write { inode, at, bytes } = change {
                for (at, part) in choice.sectors(*at, bytes) {
                    image.write(*inode, at, part);
                }
            } else {
                image.apply(change);
            }
        }
        image.forget_unnamed();
        image
    }

    pub(crate) fn find(&self, name: &str) -> Option<Inode> {
        self.state().now.find(name)
    }

    pub(crate) fn names(&self, dir: &str) -> Vec<String> {
        self.state().now.names(dir)
    }

    pub(crate) fn size(&self, inode: Inode) -> usize {
        self.state().now.content(inode).len()
    }

    /// Returns the content of a file.
    pub(crate) fn content(&self, inode: Inode) -> Arc<Vec<u8>> {
        self.state().now.content(inode)
    }

    /// Makes an empty file.
    pub(crate) fn create(&self, name: &str) -> Result<Inode, Error> {
        let mut state = self.state();
        let inode = state.now.new_inode();
        state.rename(DiskOperation::Link { name: name.into(), inode }, |_| true)?;
        Ok(inode)
    }

    /// Gives a file a second name.
    pub(crate) fn link(&self, from: &str, to: &str) -> Result<(), Error> {
        let mut state = self.state();
        let inode = state.now.find(from).ok_or(ErrorKind::NotFound)?;
        if state.now.find(to).is_some() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        state.rename(DiskOperation::Link { name: to.into(), inode }, |_| true)
    }

    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<(), Error> {
        let mut state = self.state();
        state.now.find(from).ok_or(ErrorKind::NotFound)?;
        state.rename(DiskOperation::Rename { from: from.into(), to: to.into() }, DiskError::is_broken)
    }

    pub(crate) fn remove(&self, name: &str) -> Result<(), Error> {
        let mut state = self.state();
        state.now.find(name).ok_or(ErrorKind::NotFound)?;
        state.rename(DiskOperation::Remove { name: name.into() }, DiskError::is_broken)
    }

    pub(crate) fn write(&self, inode: Inode, at: usize, bytes: &[u8]) -> Result<(), Error> {
        let mut state = self.state();
        let trouble = state.trouble(|_| true);
        let kept = match trouble {
            None => bytes.len(),
            Some(DiskError::FullHalfway | DiskError::BrokenHalfway) => bytes.len() / 2,
            Some(DiskError::Full | DiskError::Broken) => 0,
        };
        state.apply(DiskOperation::Write { inode, at, bytes: bytes[..kept].to_vec() });
        trouble.map_or(Ok(()), |trouble| Err(trouble.error()))
    }

    pub(crate) fn resize(&self, inode: Inode, size: usize) -> Result<(), Error> {
        let mut state = self.state();
        let trouble = state.trouble(|_| true);
        state.apply(if trouble.is_none() {
            DiskOperation::Resize { inode, size }
        } else {
            DiskOperation::Nothing
        });
        trouble.map_or(Ok(()), |trouble| Err(trouble.error()))
    }

    /// Returns the number of failed syncs of a file.
    pub(crate) fn failures(&self, inode: Inode) -> usize {
        self.state().failures.get(&inode).copied().unwrap_or_default()
    }

    /// Syncs a file. `told` counts the failures that the caller already knows. Everyone who has the file open gets each
    /// failure, as on Linux.
    pub(crate) fn sync(&self, inode: Inode, told: &mut usize) -> Result<(), Error> {
        let mut state = self.state();
        // A full disk reports that at the write.
        let trouble = state.trouble(DiskError::is_broken);
        state.apply(DiskOperation::Sync { inode, well: trouble.is_none() });
        let failures = state.failures.entry(inode).or_default();
        *failures += usize::from(trouble.is_some());
        if std::mem::replace(told, *failures) == *failures { Ok(()) } else { Err(ErrorKind::Other.into()) }
    }

    pub(crate) fn sync_directory(&self, dir: &str) -> Result<(), Error> {
        let mut state = self.state();
        let trouble = state.trouble(DiskError::is_broken);
        state.apply(DiskOperation::SyncDirectory { dir: dir.into(), well: trouble.is_none() });
        trouble.map_or(Ok(()), |trouble| Err(trouble.error()))
    }

    /// Syncs a directory without an error, since SQLite ignores one.
    pub(crate) fn sync_directory_well(&self, dir: &str) {
        self.state().apply(DiskOperation::SyncDirectory { dir: dir.into(), well: true });
    }
}

impl State {
    fn trouble(&mut self, applies: impl FnOnce(DiskError) -> bool) -> Option<DiskError> {
        let now = self.log.len();
        let strikes = |fault: &Fault| if fault.lasting { now >= fault.from } else { now == fault.from };
        let fault = self.fault.filter(strikes).filter(|fault| applies(fault.trouble))?;
        self.struck += 1;
        Some(fault.trouble)
    }

    fn apply(&mut self, done: DiskOperation) {
        self.now.apply(&done);
        self.log.push(done);
    }

    /// Changes a name.
    fn rename(&mut self, done: DiskOperation, applies: impl FnOnce(DiskError) -> bool) -> Result<(), Error> {
        let trouble = self.trouble(applies);
        let is_done = matches!(trouble, None | Some(DiskError::BrokenHalfway));
        self.apply(if is_done { done } else { DiskOperation::Nothing });
        trouble.map_or(Ok(()), |trouble| Err(trouble.error()))
    }
}

/// Returns, for each operation, true if it certainly survives a power loss at the end.
fn surviving(log: &[DiskOperation]) -> Vec<bool> {
    let (mut files, mut directories) = (BTreeMap::new(), BTreeMap::new());
    let mut surviving: Vec<bool> = log
        .iter()
        .rev()
        .map(|change| match change {
            // After a failed sync, the next sync may succeed although earlier writes are lost.
            DiskOperation::Sync { inode, well } => {
                files.insert(*inode, *well);
                true
            }
            DiskOperation::SyncDirectory { dir, well } => {
                *directories.entry(dir.as_str()).or_insert(false) |= well;
                true
            }
            DiskOperation::Write { inode, .. } | DiskOperation::Resize { inode, .. } => {
                files.get(inode) == Some(&true)
            }
            DiskOperation::Link { .. }
            | DiskOperation::Rename { .. }
            | DiskOperation::Remove { .. }
            | DiskOperation::Nothing => {
                change.directory().is_none_or(|dir| directories.get(dir) == Some(&true))
            }
        })
        .collect();
    surviving.reverse();
    surviving
}

impl DiskOperation {
    /// Returns the directory in which a name changed.
    fn directory(&self) -> Option<&str> {
        match self {
            Self::Link { name, .. } | Self::Remove { name } | Self::Rename { to: name, .. } => {
                Some(directory(name))
            }
            Self::Write { .. }
            | Self::Resize { .. }
            | Self::Sync { .. }
            | Self::SyncDirectory { .. }
            | Self::Nothing => None,
        }
    }
}

impl DiskError {
    const fn is_broken(self) -> bool {
        matches!(self, Self::Broken | Self::BrokenHalfway)
    }

    fn error(self) -> Error {
        match self {
            // The shim reports this as a full disk.
            Self::Full | Self::FullHalfway => ErrorKind::WriteZero.into(),
            Self::Broken | Self::BrokenHalfway => ErrorKind::Other.into(),
        }
    }
}
