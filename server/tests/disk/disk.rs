//! A disk that loses what was not synced. After a power cut, writes may be gone in any part; of the changes of names in a
//! directory the last ones may be gone, since file systems with a journal keep their order.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::image::{Choice, Image, Inode, directory};

/// Something done to the disk. What failed is here, too, as far as it was done.
#[derive(Debug)]
pub(crate) enum Done {
    Write { inode: Inode, at: usize, bytes: Vec<u8> },
    Resize { inode: Inode, size: usize },
    Sync { inode: Inode, well: bool },
    Link { name: String, inode: Inode },
    Rename { from: String, to: String },
    Remove { name: String },
    SyncDirectory { dir: String, well: bool },
    Nothing,
}

/// What the disk answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// `ENOSPC`, and nothing was written.
    Full,
    /// `ENOSPC`, and half of it was written.
    FullHalfway,
    /// `EIO`, and nothing was done.
    Broken,
    /// `EIO`. Half of a write was written, a change of a name was done. After a sync nobody knows what was.
    BrokenHalfway,
}

pub(crate) const TROUBLES: [Trouble; 4] =
    [Trouble::Full, Trouble::FullHalfway, Trouble::Broken, Trouble::BrokenHalfway];

/// When the disk says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) trouble: Trouble,
    /// Which operation it begins with. The first is 0.
    pub(crate) from: usize,
    /// Goes on until it is mended, or befalls one alone.
    pub(crate) lasting: bool,
}

/// What a power cut leaves of that which was not synced.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Left {
    Nothing,
    Everything,
    /// Some writes, and of some of those some sectors.
    Some(u64),
}

/// A disk, and everything that was done to it.
#[derive(Debug)]
pub(crate) struct Disk(Mutex<State>);

#[derive(Debug)]
struct State {
    first: Image,
    now: Image,
    log: Vec<Done>,
    fault: Option<Fault>,
    struck: usize,
    /// How many syncs of each file failed.
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

    /// Counts what was done.
    pub(crate) fn done(&self) -> usize {
        self.state().log.len()
    }

    /// Sets what the disk answers from now on.
    pub(crate) fn set(&self, fault: Option<Fault>) {
        self.state().fault = fault;
    }

    /// Counts how often a fault struck.
    pub(crate) fn struck(&self) -> usize {
        self.state().struck
    }

    /// Returns what is on the disk, as long as it has power.
    pub(crate) fn image(&self) -> Image {
        self.state().now.clone()
    }

    /// Returns which operation from `from` on is the first write to the file that has `name` now.
    pub(crate) fn first_write(&self, from: usize, name: &str) -> Option<usize> {
        let state = self.state();
        let file = state.now.find(name)?;
        let is = |done: &Done| matches!(done, Done::Write { inode, .. } if *inode == file);
        state.log[from..].iter().position(is).map(|at| from + at)
    }

    /// Prints the operations in `range`.
    pub(crate) fn list(&self, range: std::ops::Range<usize>) -> Vec<String> {
        let short = |done: &Done| match done {
            Done::Write { inode, at, bytes } => format!("write {inode} {at} +{}", bytes.len()),
            Done::Resize { .. }
            | Done::Sync { .. }
            | Done::Link { .. }
            | Done::Rename { .. }
            | Done::Remove { .. }
            | Done::SyncDirectory { .. }
            | Done::Nothing => format!("{done:?}"),
        };
        self.state().log[range].iter().map(short).collect()
    }

    /// Returns what is on the disk after a power cut that comes when `done` operations were done.
    pub(crate) fn after_cut(&self, done: usize, left: Left) -> Image {
        let state = self.state();
        let log = &state.log[..done];
        let mut choice = Choice::new(left);
        let fates = fates(log);
        // How many of the last changes of names are lost in each directory.
        let mut unsynced = BTreeMap::<&str, u64>::new();
        for (change, is_durable) in log.iter().zip(&fates) {
            if let Some(dir) = change.directory().filter(|_| !is_durable) {
                *unsynced.entry(dir).or_default() += 1;
            }
        }
        unsynced.values_mut().for_each(|count| *count = choice.first_of(*count));
        let mut image = state.first.clone();
        for (change, is_durable) in log.iter().zip(fates) {
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
            if let Done::Write { inode, at, bytes } = change {
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
        state.rename(Done::Link { name: name.into(), inode }, |_| true)?;
        Ok(inode)
    }

    /// Gives a file a second name.
    pub(crate) fn link(&self, from: &str, to: &str) -> Result<(), Error> {
        let mut state = self.state();
        let inode = state.now.find(from).ok_or(ErrorKind::NotFound)?;
        if state.now.find(to).is_some() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        state.rename(Done::Link { name: to.into(), inode }, |_| true)
    }

    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<(), Error> {
        let mut state = self.state();
        state.now.find(from).ok_or(ErrorKind::NotFound)?;
        state.rename(Done::Rename { from: from.into(), to: to.into() }, Trouble::is_broken)
    }

    pub(crate) fn remove(&self, name: &str) -> Result<(), Error> {
        let mut state = self.state();
        state.now.find(name).ok_or(ErrorKind::NotFound)?;
        state.rename(Done::Remove { name: name.into() }, Trouble::is_broken)
    }

    pub(crate) fn write(&self, inode: Inode, at: usize, bytes: &[u8]) -> Result<(), Error> {
        let mut state = self.state();
        let trouble = state.trouble(|_| true);
        let kept = match trouble {
            None => bytes.len(),
            Some(Trouble::FullHalfway | Trouble::BrokenHalfway) => bytes.len() / 2,
            Some(Trouble::Full | Trouble::Broken) => 0,
        };
        state.apply(Done::Write { inode, at, bytes: bytes[..kept].to_vec() });
        trouble.map_or(Ok(()), |trouble| Err(trouble.error()))
    }

    pub(crate) fn resize(&self, inode: Inode, size: usize) -> Result<(), Error> {
        let mut state = self.state();
        let trouble = state.trouble(|_| true);
        state.apply(if trouble.is_none() { Done::Resize { inode, size } } else { Done::Nothing });
        trouble.map_or(Ok(()), |trouble| Err(trouble.error()))
    }

    /// Counts how many syncs of a file failed.
    pub(crate) fn failures(&self, inode: Inode) -> usize {
        self.state().failures.get(&inode).copied().unwrap_or_default()
    }

    /// Syncs a file, of which `told` failures were told to the one who asks. A failure is told to each who had the file open,
    /// as Linux does.
    pub(crate) fn sync(&self, inode: Inode, told: &mut usize) -> Result<(), Error> {
        let mut state = self.state();
        // A disk that is full was so at the write.
        let trouble = state.trouble(Trouble::is_broken);
        state.apply(Done::Sync { inode, well: trouble.is_none() });
        let failures = state.failures.entry(inode).or_default();
        *failures += usize::from(trouble.is_some());
        if std::mem::replace(told, *failures) == *failures { Ok(()) } else { Err(ErrorKind::Other.into()) }
    }

    pub(crate) fn sync_directory(&self, dir: &str) -> Result<(), Error> {
        let mut state = self.state();
        let trouble = state.trouble(Trouble::is_broken);
        state.apply(Done::SyncDirectory { dir: dir.into(), well: trouble.is_none() });
        trouble.map_or(Ok(()), |trouble| Err(trouble.error()))
    }

    /// The same, as SQLite does it: an error would not be looked at, so there is none.
    pub(crate) fn sync_directory_well(&self, dir: &str) {
        self.state().apply(Done::SyncDirectory { dir: dir.into(), well: true });
    }
}

impl State {
    fn trouble(&mut self, befalls: impl FnOnce(Trouble) -> bool) -> Option<Trouble> {
        let now = self.log.len();
        let strikes = |fault: &Fault| if fault.lasting { now >= fault.from } else { now == fault.from };
        let fault = self.fault.filter(strikes).filter(|fault| befalls(fault.trouble))?;
        self.struck += 1;
        Some(fault.trouble)
    }

    fn apply(&mut self, done: Done) {
        self.now.apply(&done);
        self.log.push(done);
    }

    /// Changes a name.
    fn rename(&mut self, done: Done, befalls: impl FnOnce(Trouble) -> bool) -> Result<(), Error> {
        let trouble = self.trouble(befalls);
        let is_done = matches!(trouble, None | Some(Trouble::BrokenHalfway));
        self.apply(if is_done { done } else { Done::Nothing });
        trouble.map_or(Ok(()), |trouble| Err(trouble.error()))
    }
}

/// Tells of each operation whether a power cut at the end leaves it for certain.
fn fates(log: &[Done]) -> Vec<bool> {
    let (mut files, mut directories) = (BTreeMap::new(), BTreeMap::new());
    let mut fates: Vec<bool> = log
        .iter()
        .rev()
        .map(|change| match change {
            // After a sync that failed, another may say that all is well and know nothing of what went before.
            Done::Sync { inode, well } => {
                files.insert(*inode, *well);
                true
            }
            Done::SyncDirectory { dir, well } => {
                *directories.entry(dir.as_str()).or_insert(false) |= well;
                true
            }
            Done::Write { inode, .. } | Done::Resize { inode, .. } => files.get(inode) == Some(&true),
            Done::Link { .. } | Done::Rename { .. } | Done::Remove { .. } | Done::Nothing => {
                change.directory().is_none_or(|dir| directories.get(dir) == Some(&true))
            }
        })
        .collect();
    fates.reverse();
    fates
}

impl Done {
    /// Returns the directory of which a name was changed.
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

impl Trouble {
    const fn is_broken(self) -> bool {
        matches!(self, Self::Broken | Self::BrokenHalfway)
    }

    fn error(self) -> Error {
        match self {
            // What the shim takes for a full disk.
            Self::Full | Self::FullHalfway => ErrorKind::WriteZero.into(),
            Self::Broken | Self::BrokenHalfway => ErrorKind::Other.into(),
        }
    }
}
