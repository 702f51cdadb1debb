//! SQLite's view of the disks: one for each directory. In this process, every connection that is opened is on one.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use sqlite_vfs::wip::{WalIndex, WalIndexLock};
use sqlite_vfs::{DatabaseHandle, LockKind, OpenOptions, Vfs, register};

use crate::disk::Disk;

/// The directories that have a disk, by their paths.
static DISKS: Mutex<BTreeMap<String, Mounted>> = Mutex::new(BTreeMap::new());
static HANDLES: AtomicU64 = AtomicU64::new(0);
static REGISTERED: Once = Once::new();

#[derive(Clone)]
struct Mounted {
    disk: Arc<Disk>,
    shared: Arc<Mutex<Shared>>,
}

/// What the connections to one database share beside its files. A power cut takes it.
#[derive(Default)]
struct Shared {
    locks: BTreeMap<u64, LockKind>,
    index_locks: BTreeMap<(u8, u64), WalIndexLock>,
    index: BTreeMap<u32, Vec<u8>>,
}

const REGION: usize = 32768;

/// Puts `disk` in the place of the directory `dir`.
pub(crate) fn mount(dir: &Path, disk: &Arc<Disk>) {
    REGISTERED.call_once(|| register("failing", Shim, true).unwrap());
    let mounted = Mounted { disk: Arc::clone(disk), shared: Arc::default() };
    locked(&DISKS).insert(dir.to_str().unwrap().into(), mounted);
}

/// Takes it away.
pub(crate) fn unmount(dir: &Path) {
    locked(&DISKS).remove(dir.to_str().unwrap());
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn find(path: &str) -> Result<(Mounted, String), Error> {
    let (dir, name) = path.rsplit_once('/').ok_or(ErrorKind::InvalidInput)?;
    let mounted = locked(&DISKS).get(dir).cloned().ok_or(ErrorKind::NotFound)?;
    Ok((mounted, name.into()))
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

struct Shim;

impl Vfs for Shim {
    type Handle = Handle;

    fn open(&self, path: &str, _: OpenOptions) -> Result<Handle, Error> {
        let (mounted, name) = find(path)?;
        mounted.disk.create(&name);
        Ok(Handle { mounted, name, id: HANDLES.fetch_add(1, Relaxed) })
    }

    fn delete(&self, path: &str) -> Result<(), Error> {
        let (mounted, name) = find(path)?;
        mounted.disk.delete(&name);
        Ok(())
    }

    fn exists(&self, path: &str) -> Result<bool, Error> {
        let (mounted, name) = find(path)?;
        Ok(mounted.disk.exists(&name))
    }

    fn temporary_name(&self) -> String {
        unreachable!("the store keeps temporary tables in memory")
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
    name: String,
    id: u64,
}

impl Drop for Handle {
    fn drop(&mut self) {
        locked(&self.mounted.shared).locks.remove(&self.id);
    }
}

impl DatabaseHandle for Handle {
    type WalIndex = Index;

    fn size(&self) -> Result<u64, Error> {
        Ok(self.mounted.disk.size(&self.name).try_into().unwrap())
    }

    fn read_exact_at(&mut self, buffer: &mut [u8], at: u64) -> Result<(), Error> {
        let whole = self.mounted.disk.read(&self.name, size(at), buffer);
        if whole { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
    }

    fn write_all_at(&mut self, bytes: &[u8], at: u64) -> Result<(), Error> {
        self.mounted.disk.write(&self.name, size(at), bytes)
    }

    fn sync(&mut self, _: bool) -> Result<(), Error> {
        self.mounted.disk.sync(&self.name)
    }

    fn set_len(&mut self, length: u64) -> Result<(), Error> {
        self.mounted.disk.resize(&self.name, size(length))
    }

    fn lock(&mut self, lock: LockKind) -> Result<bool, Error> {
        let mut shared = locked(&self.mounted.shared);
        let others = shared.locks.iter().filter(|(id, _)| **id != self.id);
        let highest = others.map(|(_, lock)| *lock).max_by(|a, b| a.partial_cmp(b).unwrap());
        let highest = highest.unwrap_or(LockKind::None);
        let free = match lock {
            LockKind::None => true,
            LockKind::Shared => highest < LockKind::Pending,
            LockKind::Reserved | LockKind::Pending => highest < LockKind::Reserved,
            LockKind::Exclusive => highest == LockKind::None,
        };
        if free {
            shared.locks.insert(self.id, lock);
        }
        Ok(free)
    }

    fn reserved(&mut self) -> Result<bool, Error> {
        Ok(locked(&self.mounted.shared).locks.values().any(|lock| *lock >= LockKind::Reserved))
    }

    fn current_lock(&self) -> Result<LockKind, Error> {
        Ok(locked(&self.mounted.shared).locks.get(&self.id).copied().unwrap_or(LockKind::None))
    }

    fn wal_index(&self, _: bool) -> Result<Index, Error> {
        Ok(Index { shared: Arc::clone(&self.mounted.shared), id: self.id })
    }
}

/// A connection's part of the shared memory.
struct Index {
    shared: Arc<Mutex<Shared>>,
    id: u64,
}

impl Drop for Index {
    fn drop(&mut self) {
        locked(&self.shared).index_locks.retain(|(_, id), _| *id != self.id);
    }
}

impl WalIndex for Index {
    fn map(&mut self, region: u32) -> Result<[u8; REGION], Error> {
        let mut shared = locked(&self.shared);
        let bytes = shared.index.entry(region).or_insert_with(|| vec![0; REGION]);
        Ok(bytes.as_slice().try_into().unwrap())
    }

    fn lock(&mut self, slots: Range<u8>, lock: WalIndexLock) -> Result<bool, Error> {
        let mut shared = locked(&self.shared);
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
    }

    fn delete(self) -> Result<(), Error> {
        locked(&self.shared).index.clear();
        Ok(())
    }

    fn pull(&mut self, region: u32, bytes: &mut [u8; REGION]) -> Result<(), Error> {
        if let Some(there) = locked(&self.shared).index.get(&region) {
            bytes.copy_from_slice(there);
        }
        Ok(())
    }

    fn push(&mut self, region: u32, bytes: &[u8; REGION]) -> Result<(), Error> {
        locked(&self.shared).index.insert(region, bytes.to_vec());
        Ok(())
    }
}
