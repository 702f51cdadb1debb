//! The content of a disk: names, and the files that they name. And the choice of what a power loss keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gatepass_tests::rng::Rng;

use crate::disk::{DiskOperation, Remaining};

/// The size of a sector. A write may survive in some of its sectors.
const SECTOR: usize = 512;

/// The number of a file.
pub(crate) type Inode = u64;

/// Files by number, and numbers by name. A name is `directory/file`.
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

    /// Returns the content of the file `name`.
    pub(crate) fn file(&self, name: &str) -> Option<Arc<Vec<u8>>> {
        self.find(name).map(|inode| self.content(inode))
    }

    pub(crate) fn content(&self, inode: Inode) -> Arc<Vec<u8>> {
        self.contents.get(&inode).cloned().unwrap_or_default()
    }

    /// Returns the names in a directory, without the directory's own name.
    pub(crate) fn names(&self, dir: &str) -> Vec<String> {
        let in_it = |name: &String| name.strip_prefix(dir)?.strip_prefix('/').map(str::to_owned);
        self.names.keys().filter_map(in_it).collect()
    }

    /// Puts a file under `name`.
    pub(crate) fn put(&mut self, name: &str, bytes: Arc<Vec<u8>>) {
        let inode = self.new_inode();
        self.names.insert(name.into(), inode);
        self.contents.insert(inode, bytes);
    }

    /// Removes a name.
    pub(crate) fn take(&mut self, name: &str) {
        self.names.remove(name);
        self.forget_unnamed();
    }

    /// Returns a number that no file had before.
    pub(crate) fn new_inode(&mut self) -> Inode {
        self.last += 1;
        self.last
    }

    pub(crate) fn write(&mut self, inode: Inode, at: usize, bytes: &[u8]) {
        write(Arc::make_mut(self.contents.entry(inode).or_default()), at, bytes);
    }

    pub(crate) fn apply(&mut self, done: &DiskOperation) {
        match done {
            DiskOperation::Write { inode, at, bytes } => self.write(*inode, *at, bytes),
            DiskOperation::Resize { inode, size } => {
                let file = Arc::make_mut(self.contents.entry(*inode).or_default());
                let more = size.saturating_sub(file.len());
                file.truncate(*size);
                file.extend_from_slice(&vec![0; more]);
            }
            DiskOperation::Link { name, inode } => {
                self.last = self.last.max(*inode);
                self.names.insert(name.clone(), *inode);
            }
            DiskOperation::Rename { from, to } => {
                if let Some(inode) = self.names.remove(from) {
                    self.names.insert(to.clone(), inode);
                }
            }
            DiskOperation::Remove { name } => drop(self.names.remove(name)),
            DiskOperation::Sync { .. } | DiskOperation::SyncDirectory { .. } | DiskOperation::Nothing => {}
        }
    }

    /// Forgets files that have no name.
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

/// The choice of what a power loss keeps of the unsynced data.
pub(crate) struct Choice {
    left: Remaining,
    rng: Rng,
}

impl Choice {
    pub(crate) fn new(left: Remaining) -> Self {
        let seed = if let Remaining::Some(seed) = left { seed } else { 0 };
        Self { left, rng: Rng::new(seed) }
    }

    /// Returns how many of `count` changes are kept. The last ones are lost.
    pub(crate) fn first_of(&mut self, count: u64) -> u64 {
        match self.left {
            Remaining::Nothing => 0,
            Remaining::Everything => count,
            Remaining::Some(_) => self.rng.below(count + 1),
        }
    }

    /// Returns true if a write is kept.
    pub(crate) fn keeps(&mut self) -> bool {
        match self.left {
            Remaining::Nothing => false,
            Remaining::Everything => true,
            Remaining::Some(_) => self.rng.one_in(2),
        }
    }

    /// Returns the parts of a write that are kept.
    pub(crate) fn sectors<'a>(&mut self, at: usize, bytes: &'a [u8]) -> Vec<(usize, &'a [u8])> {
        let is_torn = matches!(self.left, Remaining::Some(_)) && self.rng.one_in(2);
        if !is_torn {
            return vec![(at, bytes)];
        }
        let sectors = bytes.chunks(SECTOR).enumerate().map(|(i, sector)| (at + i * SECTOR, sector));
        sectors.filter(|_| self.rng.one_in(2)).collect()
    }
}
