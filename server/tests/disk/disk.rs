//! A disk that forgets: what was written and not synced may be gone after a power cut, in any part.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use gatepass_tests::dice::Dice;

/// What one sector holds. A write may survive in some of its sectors.
const SECTOR: usize = 512;

/// Files by their names.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// Something done to a file.
#[derive(Debug)]
enum Done {
    Write { at: usize, bytes: Vec<u8> },
    Resize(usize),
    Sync { well: bool },
    Delete,
}

/// What the disk says to a write.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Trouble {
    /// `ENOSPC`, and nothing was written.
    Full,
    /// `ENOSPC`, and half of it was written.
    FullHalfway,
    /// `EIO` at a write, a change of size or a sync.
    Broken,
    /// `EIO`, and half of it was written. At a sync, nobody knows what was.
    BrokenHalfway,
}

/// When the disk says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) trouble: Trouble,
    /// Which write, change of size or sync it begins with; the first is 0.
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

/// A disk, and everything that was ever done to it.
#[derive(Debug)]
pub(crate) struct Disk(Mutex<State>);

#[derive(Debug)]
struct State {
    first: Files,
    now: Files,
    log: Vec<(String, Done)>,
    fault: Option<Fault>,
    struck: usize,
}

impl Disk {
    pub(crate) fn new(files: Files) -> Self {
        let now = files.clone();
        Self(Mutex::new(State { first: files, now, log: Vec::new(), fault: None, struck: 0 }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much was done.
    pub(crate) fn done(&self) -> usize {
        self.state().log.len()
    }

    /// From now on there is, or is no, trouble.
    pub(crate) fn set(&self, fault: Option<Fault>) {
        self.state().fault = fault;
    }

    /// How often the fault struck.
    pub(crate) fn struck(&self) -> usize {
        self.state().struck
    }

    pub(crate) fn files(&self) -> Files {
        self.state().now.clone()
    }

    /// What is on the disk after a power cut that comes when `done` things were done.
    pub(crate) fn after_cut(&self, done: usize, left: Left) -> Files {
        let state = self.state();
        let mut dice = match left {
            Left::Some(seed) => Dice::new(seed),
            Left::Nothing | Left::Everything => Dice::new(0),
        };
        let mut files = state.first.clone();
        for (i, (name, change)) in state.log[..done].iter().enumerate() {
            let later = state.log[i..done].iter().filter(|(other, _)| other == name);
            // After a sync that failed, another may say that all is well and know nothing of what went before.
            let synced = later.map(|(_, change)| change).find_map(|change| match change {
                Done::Sync { well } => Some(*well),
                Done::Delete => Some(true),
                Done::Write { .. } | Done::Resize(_) => None,
            });
            let fate = if synced == Some(true) { Left::Everything } else { left };
            let kept = match fate {
                Left::Nothing => false,
                Left::Everything => true,
                Left::Some(_) => dice.once_in(2),
            };
            let torn = kept && matches!(fate, Left::Some(_)) && dice.once_in(2);
            match change {
                Done::Delete => drop(files.remove(name)),
                Done::Write { at, bytes } if torn => {
                    for (j, sector) in bytes.chunks(SECTOR).enumerate().filter(|_| dice.once_in(2)) {
                        write(files.entry(name.clone()).or_default(), at + j * SECTOR, sector);
                    }
                }
                Done::Write { at, bytes } if kept => {
                    write(files.entry(name.clone()).or_default(), *at, bytes)
                }
                Done::Resize(size) if kept => files.entry(name.clone()).or_default().resize(*size, 0),
                Done::Write { .. } | Done::Resize(_) | Done::Sync { .. } => {}
            }
        }
        files
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.state().now.contains_key(name)
    }

    pub(crate) fn create(&self, name: &str) {
        self.state().now.entry(name.into()).or_default();
    }

    pub(crate) fn size(&self, name: &str) -> usize {
        self.state().now.get(name).map_or(0, Vec::len)
    }

    /// Reads as much of `buffer` as there is, and fills up with zeros; whether there was enough.
    pub(crate) fn read(&self, name: &str, at: usize, buffer: &mut [u8]) -> bool {
        buffer.fill(0);
        let state = self.state();
        let there = state.now.get(name).and_then(|bytes| bytes.get(at..)).unwrap_or_default();
        let count = there.len().min(buffer.len());
        buffer[..count].copy_from_slice(&there[..count]);
        count == buffer.len()
    }

    pub(crate) fn write(&self, name: &str, at: usize, bytes: &[u8]) -> Result<(), Error> {
        let mut state = self.state();
        let trouble = state.trouble(|_| true);
        let kept = match trouble {
            None => bytes.len(),
            Some(Trouble::FullHalfway | Trouble::BrokenHalfway) => bytes.len() / 2,
            Some(Trouble::Full | Trouble::Broken) => 0,
        };
        write(state.now.entry(name.into()).or_default(), at, &bytes[..kept]);
        state.log.push((name.into(), Done::Write { at, bytes: bytes[..kept].to_vec() }));
        trouble.map_or(Ok(()), |trouble| Err(trouble.error()))
    }

    pub(crate) fn resize(&self, name: &str, size: usize) -> Result<(), Error> {
        let mut state = self.state();
        if let Some(trouble) = state.trouble(|_| true) {
            let as_before = state.now.get(name).map_or(0, Vec::len);
            state.log.push((name.into(), Done::Resize(as_before)));
            return Err(trouble.error());
        }
        state.now.entry(name.into()).or_default().resize(size, 0);
        state.log.push((name.into(), Done::Resize(size)));
        Ok(())
    }

    pub(crate) fn sync(&self, name: &str) -> Result<(), Error> {
        let mut state = self.state();
        // A disk that is full was so at the write.
        let trouble = state.trouble(|trouble| matches!(trouble, Trouble::Broken | Trouble::BrokenHalfway));
        state.log.push((name.into(), Done::Sync { well: trouble.is_none() }));
        trouble.map_or(Ok(()), |trouble| Err(trouble.error()))
    }

    pub(crate) fn delete(&self, name: &str) {
        let mut state = self.state();
        state.now.remove(name);
        state.log.push((name.into(), Done::Delete));
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
}

impl Trouble {
    fn error(self) -> Error {
        match self {
            // What the shim takes for a full disk.
            Self::Full | Self::FullHalfway => ErrorKind::WriteZero.into(),
            Self::Broken | Self::BrokenHalfway => ErrorKind::Other.into(),
        }
    }
}

fn write(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if file.len() < at + bytes.len() {
        file.resize(at + bytes.len(), 0);
    }
    file[at..at + bytes.len()].copy_from_slice(bytes);
}
