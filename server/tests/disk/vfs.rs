//! SQLite's view of the simulated disks. Every connection of this process is on one.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use sqlite_vfs::wip::{WalIndex, WalIndexLock};
use sqlite_vfs::{DatabaseHandle, LockKind, OpenAccess, OpenKind, OpenOptions, Vfs, register};

use crate::disk::Disk;
use crate::image::{Image, Inode, directory};

/// The directories on simulated disks, by path.
static DIRECTORIES: Mutex<BTreeMap<String, (Mounted, &'static str)>> = Mutex::new(BTreeMap::new());
static HANDLES: AtomicU64 = AtomicU64::new(0);
static REGISTERED: Once = Once::new();
/// The directory of SQLite's temporary files. Each has a disk of its own.
const TEMPORARY: &str = "/temporary";

/// A disk in the place of a directory.
#[derive(Clone)]
pub(crate) struct Mounted {
    pub(crate) disk: Arc<Disk>,
    shared: Arc<Mutex<BTreeMap<Inode, Shared>>>,
}

/// State that the connections to one database share beside its files. A power loss takes it.
#[derive(Default)]
struct Shared {
    locks: BTreeMap<u64, LockKind>,
    index_locks: BTreeMap<(u8, u64), WalIndexLock>,
    index: BTreeMap<u32, Vec<u8>>,
    /// The number of connections that have the index.
    indexes: usize,
}

const REGION: usize = 32768;
/// Lock slots of the index, and the positions that they guard in its first region (walformat, section 2).
const WRITE: u8 = 0;
const CHECKPOINT: u8 = 1;
const RECOVER: u8 = 2;
const READ: u8 = 3;
const BACKFILLED: usize = 96;
const MARKS: usize = 100;
const ATTEMPTED: usize = 128;
const HASHES: usize = 136;

/// Puts directories of `disk` in the place of those at the paths.
pub(crate) fn mount(disk: &Arc<Disk>, directories: &[(&Path, &'static str)]) {
    REGISTERED.call_once(|| register("failing", Shim, true).unwrap());
    let mounted = Mounted { disk: Arc::clone(disk), shared: Arc::default() };
    for (path, dir) in directories {
        locked(&DIRECTORIES).insert(path.to_str().unwrap().into(), (mounted.clone(), dir));
    }
}

/// Removes a directory.
pub(crate) fn unmount(path: &Path) {
    locked(&DIRECTORIES).remove(path.to_str().unwrap());
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the disk of a path, and the file's name there.
pub(crate) fn find(path: &str) -> Result<(Mounted, String), Error> {
    let (dir, file) = path.rsplit_once('/').ok_or(ErrorKind::InvalidInput)?;
    if dir == TEMPORARY {
        let disk = Arc::new(Disk::new(Image::default()));
        return Ok((Mounted { disk, shared: Arc::default() }, path.into()));
    }
    let (mounted, dir) = find_directory(dir).ok_or(ErrorKind::NotFound)?;
    Ok((mounted, format!("{dir}/{file}")))
}

/// Returns the disk of a directory, and the directory's name there.
pub(crate) fn find_directory(path: &str) -> Option<(Mounted, String)> {
    let (mounted, dir) = locked(&DIRECTORIES).get(path).cloned()?;
    Some((mounted, dir.into()))
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

struct Shim;

impl Vfs for Shim {
    type Handle = Handle;

    fn open(&self, path: &str, options: OpenOptions) -> Result<Handle, Error> {
        let (mounted, name) = find(path)?;
        let creates = matches!(options.access, OpenAccess::Create | OpenAccess::CreateNew);
        let inode = match mounted.disk.find(&name) {
            Some(inode) => inode,
            None if creates => mounted.disk.create(&name)?,
            None => return Err(ErrorKind::NotFound.into()),
        };
        let is_log = matches!(options.kind, OpenKind::Wal | OpenKind::MainJournal | OpenKind::SuperJournal);
        let syncs = (creates && is_log).then(|| directory(&name).to_owned());
        let failures = mounted.disk.failures(inode);
        Ok(Handle { mounted, inode, syncs, failures, id: HANDLES.fetch_add(1, Relaxed) })
    }

    fn delete(&self, path: &str) -> Result<(), Error> {
        let (mounted, name) = find(path)?;
        mounted.disk.remove(&name)
    }

    fn exists(&self, path: &str) -> Result<bool, Error> {
        let (mounted, name) = find(path)?;
        Ok(mounted.disk.find(&name).is_some())
    }

    fn temporary_name(&self) -> String {
        format!("{TEMPORARY}/{}", HANDLES.fetch_add(1, Relaxed))
    }

    fn random(&self, buffer: &mut [i8]) {
        let mut bytes = vec![0; buffer.len()];
        getrandom::fill(&mut bytes).unwrap();
        buffer.iter_mut().zip(bytes).for_each(|(to, from)| *to = from.cast_signed());
    }

    fn sleep(&self, duration: Duration) -> Duration {
        duration
    }
}

/// An open file.
struct Handle {
    mounted: Mounted,
    inode: Inode,
    /// The directory that SQLite syncs with the first sync of a log or journal that it may have made.
    syncs: Option<String>,
    /// The number of failed syncs that it knows of, or that came before it was opened.
    failures: usize,
    id: u64,
}

impl Handle {
    fn shared<T>(&self, work: impl FnOnce(&mut Shared) -> T) -> T {
        work(locked(&self.mounted.shared).entry(self.inode).or_default())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared(|shared| shared.locks.remove(&self.id));
    }
}

impl DatabaseHandle for Handle {
    type WalIndex = Index;

    fn size(&self) -> Result<u64, Error> {
        Ok(self.mounted.disk.size(self.inode).try_into().unwrap())
    }

    fn read_exact_at(&mut self, buffer: &mut [u8], at: u64) -> Result<(), Error> {
        buffer.fill(0);
        let content = self.mounted.disk.content(self.inode);
        let there = content.get(size(at)..).unwrap_or_default();
        let count = there.len().min(buffer.len());
        buffer[..count].copy_from_slice(&there[..count]);
        if count == buffer.len() { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
    }

    fn write_all_at(&mut self, bytes: &[u8], at: u64) -> Result<(), Error> {
        self.mounted.disk.write(self.inode, size(at), bytes)
    }

    fn sync(&mut self, _: bool) -> Result<(), Error> {
        self.mounted.disk.sync(self.inode, &mut self.failures)?;
        if let Some(dir) = self.syncs.take() {
            self.mounted.disk.sync_directory_well(&dir);
        }
        Ok(())
    }

    fn set_len(&mut self, length: u64) -> Result<(), Error> {
        self.mounted.disk.resize(self.inode, size(length))
    }

    fn lock(&mut self, lock: LockKind) -> Result<bool, Error> {
        self.shared(|shared| {
            let others = shared.locks.iter().filter(|(id, _)| **id != self.id);
            let highest = others.map(|(_, lock)| *lock).max_by(|a, b| a.partial_cmp(b).unwrap());
            let highest = highest.unwrap_or(LockKind::None);
            let is_free = match lock {
                LockKind::None => true,
                LockKind::Shared => highest < LockKind::Pending,
                LockKind::Reserved | LockKind::Pending => highest < LockKind::Reserved,
                LockKind::Exclusive => highest == LockKind::None,
            };
            if is_free {
                shared.locks.insert(self.id, lock);
            }
            Ok(is_free)
        })
    }

    fn reserved(&mut self) -> Result<bool, Error> {
        Ok(self.shared(|shared| shared.locks.values().any(|lock| *lock >= LockKind::Reserved)))
    }

    fn current_lock(&self) -> Result<LockKind, Error> {
        Ok(self.shared(|shared| shared.locks.get(&self.id).copied().unwrap_or(LockKind::None)))
    }

    fn wal_index(&self, _: bool) -> Result<Index, Error> {
        self.shared(|shared| shared.indexes += 1);
        Ok(Index { shared: Arc::clone(&self.mounted.shared), inode: self.inode, id: self.id })
    }
}

/// A connection's part of the shared memory.
struct Index {
    shared: Arc<Mutex<BTreeMap<Inode, Shared>>>,
    inode: Inode,
    id: u64,
}

impl Index {
    fn shared<T>(&self, work: impl FnOnce(&mut Shared) -> T) -> T {
        work(locked(&self.shared).entry(self.inode).or_default())
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.shared(|shared| {
            shared.index_locks.retain(|(_, id), _| *id != self.id);
            shared.indexes -= 1;
            // The next one to open the index recovers it from the log.
            if shared.indexes == 0 {
                shared.index.clear();
            }
        });
    }
}

impl WalIndex for Index {
    fn map(&mut self, region: u32) -> Result<[u8; REGION], Error> {
        self.shared(|shared| {
            let bytes = shared.index.entry(region).or_insert_with(|| vec![0; REGION]);
            Ok(bytes.as_slice().try_into().unwrap())
        })
    }

    fn lock(&mut self, slots: Range<u8>, lock: WalIndexLock) -> Result<bool, Error> {
        self.shared(|shared| {
            let hinders = |(&(slot, id), held): (&(u8, u64), &WalIndexLock)| {
                slots.contains(&slot)
                    && id != self.id
                    && (lock == WalIndexLock::Exclusive || *held == WalIndexLock::Exclusive)
            };
            if lock != WalIndexLock::None && shared.index_locks.iter().any(hinders) {
                return Ok(false);
            }
            for slot in slots {
                shared.index_locks.remove(&(slot, self.id));
                if lock != WalIndexLock::None {
                    shared.index_locks.insert((slot, self.id), lock);
                }
            }
            Ok(true)
        })
    }

    fn delete(self) -> Result<(), Error> {
        self.shared(|shared| shared.index.clear());
        Ok(())
    }

    fn pull(&mut self, region: u32, bytes: &mut [u8; REGION]) -> Result<(), Error> {
        self.shared(|shared| {
            if let Some(there) = shared.index.get(&region) {
                bytes.copy_from_slice(there);
            }
        });
        Ok(())
    }

    fn push(&mut self, region: u32, bytes: &[u8; REGION]) -> Result<(), Error> {
        self.shared(|shared| {
            let holds = |slot| shared.index_locks.get(&(slot, self.id)) == Some(&WalIndexLock::Exclusive);
            let is_alone = shared.locks.get(&self.id) == Some(&LockKind::Exclusive);
            // Each lock covers a part of the index. As in real shared memory, the rest stays as others have it.
            let mine = |at: usize| match at {
                _ if region > 0 => holds(WRITE),
                BACKFILLED | ATTEMPTED => {
                    holds(CHECKPOINT) || holds(RECOVER) || holds(WRITE) && holds(READ + 1)
                }
                MARKS..ATTEMPTED => {
                    let mark = u8::try_from((at - MARKS) / 4).unwrap();
                    holds(RECOVER) || mark < 5 && holds(READ + mark)
                }
                _ => holds(WRITE) || holds(RECOVER),
            };
            let there = shared.index.entry(region).or_insert_with(|| vec![0; REGION]);
            for at in (0..HASHES).step_by(4) {
                if is_alone || mine(at) {
                    there[at..at + 4].copy_from_slice(&bytes[at..at + 4]);
                }
            }
            if is_alone || mine(HASHES) {
                there[HASHES..].copy_from_slice(&bytes[HASHES..]);
            }
        });
        Ok(())
    }
}
