//! The store's view of the simulated disk: the files beside the database.

use std::io::{Error, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use gatepass::secrets::files::{About, FileKind, Files, ReadAt};
use zeroize::Zeroizing;

use crate::disk::Disk;
use crate::image::{Inode, directory};
use crate::vfs::{find, find_directory};

/// The files of the directories on simulated disks.
#[derive(Debug)]
pub(crate) struct SimulatedFiles;

struct Open {
    disk: Arc<Disk>,
    inode: Inode,
}

impl ReadAt for Open {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Error> {
        let content = self.disk.content(self.inode);
        let there = usize::try_from(offset).ok().and_then(|at| content.get(at..)).unwrap_or_default();
        let count = there.len().min(buffer.len());
        buffer[..count].copy_from_slice(&there[..count]);
        Ok(count)
    }
}

/// Returns a file that exists.
fn existing(path: &Path) -> Result<Open, Error> {
    let (mounted, name) = find(path.to_str().unwrap())?;
    let inode = mounted.disk.find(&name).ok_or(ErrorKind::NotFound)?;
    Ok(Open { disk: mounted.disk, inode })
}

impl Files for SimulatedFiles {
    fn about(&self, path: &Path) -> Result<About, Error> {
        let (identity, size, kind) = if find_directory(path.to_str().unwrap()).is_some() {
            ((1, 0), 0, FileKind::Directory)
        } else {
            let Open { disk, inode } = existing(path)?;
            ((1, inode), u64::try_from(disk.size(inode)).unwrap(), FileKind::File)
        };
        let this_process = std::fs::metadata("/proc/self")?;
        let owner = (this_process.uid(), this_process.gid());
        Ok(About { identity, size, mode: 0o600, owner, kind })
    }

    fn read(&self, path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, Error> {
        let Open { disk, inode } = existing(path)?;
        let bytes = disk.content(inode).to_vec();
        if u64::try_from(bytes.len()).unwrap() > limit {
            return Err(ErrorKind::FileTooLarge.into());
        }
        Ok(Zeroizing::new(bytes))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn ReadAt>, Error> {
        existing(path).map(|open| Box::new(open) as Box<dyn ReadAt>)
    }

    fn write_new(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let (mounted, name) = find(path.to_str().unwrap())?;
        if mounted.disk.find(&name).is_some() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let inode = mounted.disk.create(&name)?;
        if !bytes.is_empty() {
            mounted.disk.write(inode, 0, bytes)?;
        }
        mounted.disk.sync(inode, &mut 0)
    }

    fn sync(&self, path: &Path) -> Result<(), Error> {
        let Open { disk, inode } = existing(path)?;
        disk.sync(inode, &mut disk.failures(inode))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), Error> {
        let (mounted, from) = find(from.to_str().unwrap())?;
        let (_, to) = find(to.to_str().unwrap())?;
        assert_eq!(directory(&from), directory(&to), "the order of two directories is not known");
        mounted.disk.rename(&from, &to)
    }

    fn link(&self, from: &Path, to: &Path) -> Result<(), Error> {
        let (mounted, from) = find(from.to_str().unwrap())?;
        mounted.disk.link(&from, &find(to.to_str().unwrap())?.1)
    }

    fn remove(&self, path: &Path) -> Result<(), Error> {
        let (mounted, name) = find(path.to_str().unwrap())?;
        mounted.disk.remove(&name)
    }

    fn sync_directory(&self, dir: &Path) -> Result<(), Error> {
        let (mounted, name) = find_directory(dir.to_str().unwrap()).ok_or(ErrorKind::NotFound)?;
        mounted.disk.sync_directory(&name)
    }

    fn names(&self, dir: &Path) -> Result<Vec<String>, Error> {
        let (mounted, name) = find_directory(dir.to_str().unwrap()).ok_or(ErrorKind::NotFound)?;
        Ok(mounted.disk.names(&name))
    }
}
