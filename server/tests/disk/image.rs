//! What lies on a disk: names, and the files that they name. And what a power cut chooses to keep.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gatepass_tests::dice::Dice;

use crate::disk::{Done, Left};

/// What one sector holds. A write may survive in some of its sectors.
const SECTOR: usize = 512;

/// The number of a file.
pub(crate) type Inode = u64;

/// Files by their numbers, and the numbers by their names. A name is `directory/file`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Image {
    names: BTreeMap<String, Inode>,
    contents: BTreeMap<Inode, Arc<Vec<u8>>>,
    last: Inode,
}

impl Image {
    pub(crate) fn find(&self, name: &str) -> Option<Inode> {
        self.names.get(name).copied()
    }

    /// Returns the content of a file, by its name.
    pub(crate) fn file(&self, name: &str) -> Option<Arc<Vec<u8>>> {
        self.find(name).map(|inode| self.content(inode))
    }

    pub(crate) fn content(&self, inode: Inode) -> Arc<Vec<u8>> {
        self.contents.get(&inode).cloned().unwrap_or_default()
    }

    /// Returns the names in a directory, without the directory's.
    pub(crate) fn names(&self, dir: &str) -> Vec<String> {
        let in_it = |name: &String| name.strip_prefix(dir)?.strip_prefix('/').map(str::to_owned);
        self.names.keys().filter_map(in_it).collect()
    }

    /// Puts a file there.
    pub(crate) fn put(&mut self, name: &str, bytes: Arc<Vec<u8>>) {
        let inode = self.new_inode();
        self.names.insert(name.into(), inode);
        self.contents.insert(inode, bytes);
    }

    /// Takes a file away.
    pub(crate) fn take(&mut self, name: &str) {
        self.names.remove(name);
        self.forget_unnamed();
    }

    /// Returns a number that no file has had.
    pub(crate) fn new_inode(&mut self) -> Inode {
        self.last += 1;
        self.last
    }

    pub(crate) fn write(&mut self, inode: Inode, at: usize, bytes: &[u8]) {
        write(Arc::make_mut(self.contents.entry(inode).or_default()), at, bytes);
    }

    pub(crate) fn apply(&mut self, done: &Done) {
        match done {
            Done::Write { inode, at, bytes } => self.write(*inode, *at, bytes),
            Done::Resize { inode, size } => {
                let file = Arc::make_mut(self.contents.entry(*inode).or_default());
                let more = size.saturating_sub(file.len());
                file.truncate(*size);
                file.extend_from_slice(&vec![0; more]);
            }
            Done::Link { name, inode } => {
                self.last = self.last.max(*inode);
                self.names.insert(name.clone(), *inode);
            }
            Done::Rename { from, to } => {
                if let Some(inode) = self.names.remove(from) {
                    self.names.insert(to.clone(), inode);
                }
            }
            Done::Remove { name } => drop(self.names.remove(name)),
            Done::Sync { .. } | Done::SyncDirectory { .. } | Done::Nothing => {}
        }
    }

    /// Forgets the files that have no name.
    pub(crate) fn forget_unnamed(&mut self) {
        let named: BTreeSet<Inode> = self.names.values().copied().collect();
        self.contents.retain(|inode, _| named.contains(inode));
    }
}

/// Returns the directory of a name.
pub(crate) fn directory(name: &str) -> &str {
    name.split_once('/').map_or("", |(dir, _)| dir)
}

fn write(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if file.len() < at {
        file.resize(at, 0);
    }
    let over = bytes.len().min(file.len() - at);
    file[at..at + over].copy_from_slice(&bytes[..over]);
    file.extend_from_slice(&bytes[over..]);
}

/// What a power cut keeps of that which was not synced.
pub(crate) struct Choice {
    left: Left,
    dice: Dice,
}

impl Choice {
    pub(crate) fn new(left: Left) -> Self {
        let seed = if let Left::Some(seed) = left { seed } else { 0 };
        Self { left, dice: Dice::new(seed) }
    }

    /// Chooses how many of `count` changes are kept, of which the last are lost.
    pub(crate) fn first_of(&mut self, count: u64) -> u64 {
        match self.left {
            Left::Nothing => 0,
            Left::Everything => count,
            Left::Some(_) => self.dice.below(count + 1),
        }
    }

    /// Chooses whether one write is kept.
    pub(crate) fn keeps(&mut self) -> bool {
        match self.left {
            Left::Nothing => false,
            Left::Everything => true,
            Left::Some(_) => self.dice.once_in(2),
        }
    }

    /// Chooses the parts of a write that are kept.
    pub(crate) fn sectors<'a>(&mut self, at: usize, bytes: &'a [u8]) -> Vec<(usize, &'a [u8])> {
        let is_torn = matches!(self.left, Left::Some(_)) && self.dice.once_in(2);
        if !is_torn {
            return vec![(at, bytes)];
        }
        let sectors = bytes.chunks(SECTOR).enumerate().map(|(i, sector)| (at + i * SECTOR, sector));
        sectors.filter(|_| self.dice.once_in(2)).collect()
    }
}
