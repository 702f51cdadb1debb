//! The files beside the database, reached through one trait, so that a test can put a failing disk below them.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// The facts about a file, without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// The device and the inode: the file itself, whatever its name.
    pub identity: (u64, u64),
    /// The size in bytes.
    pub size: u64,
    /// The permission bits.
    pub mode: u32,
    /// The user and the group that own it.
    pub owner: (u32, u32),
    /// The kind of file.
    pub kind: FileKind,
}

/// The kinds of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A socket, a device, …
    Other,
}

/// A file that is read in places.
pub trait ReadAt {
    /// Reads into `buffer` from `offset` bytes on; returns how many bytes there were.
    ///
    /// # Errors
    /// Errors of the disk.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

/// The file operations that the store needs beside SQLite's own. A write is durable when the call returns; a name is
/// durable after [`Files::sync_directory`].
pub trait Files: Debug + Send + Sync {
    /// Returns the facts about the file; [`io::ErrorKind::NotFound`] if there is none.
    ///
    /// # Errors
    /// Errors of the system.
    fn about(&self, path: &Path) -> io::Result<About>;

    /// Reads at most `limit` bytes of a file.
    ///
    /// # Errors
    /// Errors of the system; [`io::ErrorKind::FileTooLarge`] if the file is larger.
    fn read(&self, path: &Path, limit: u64) -> io::Result<Zeroizing<Vec<u8>>>;

    /// Opens a file for reading.
    ///
    /// # Errors
    /// Errors of the system.
    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadAt>>;

    /// Creates a file that only its owner can read, and syncs it. The owner is that of the directory if this process
    /// may choose. The file must not exist.
    ///
    /// # Errors
    /// Errors of the system.
    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Syncs the content of a file.
    ///
    /// # Errors
    /// Errors of the system.
    fn sync(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name. A file that has the name already is replaced.
    ///
    /// # Errors
    /// Errors of the system.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name, which must be free.
    ///
    /// # Errors
    /// Errors of the system.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a name.
    ///
    /// # Errors
    /// Errors of the system.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// Errors of the system.
    fn sync_directory(&self, dir: &Path) -> io::Result<()>;

    /// Returns the names in a directory.
    ///
    /// # Errors
    /// Errors of the system.
    fn names(&self, dir: &Path) -> io::Result<Vec<String>>;
}

/// The files of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemFiles;

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(u64::try_from(done).unwrap_or(u64::MAX));
            match FileExt::read_at(self, rest, at) {
                Ok(0) => break,
                Ok(more) => done += more,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }
}

impl Files for SystemFiles {
    fn about(&self, path: &Path) -> io::Result<About> {
        let about = fs::metadata(path)?;
        let kind = if about.is_file() {
            FileKind::File
        } else if about.is_dir() {
            FileKind::Directory
        } else {
            FileKind::Other
        };
        Ok(About {
            identity: (about.dev(), about.ino()),
            size: about.len(),
            mode: about.permissions().mode() & 0o7777,
            owner: (about.uid(), about.gid()),
            kind,
        })
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Zeroizing<Vec<u8>>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(1024));
        File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadAt>> {
        Ok(Box::new(File::open(path)?))
    }

    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        // A link with this name is not followed.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        give_to_owner(&file, directory_of(path))?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_directory(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn names(&self, dir: &Path) -> io::Result<Vec<String>> {
        let names = fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }
}

/// Gives an open file to the owner of a directory, if the superuser runs a command of the service.
pub(crate) fn give_to_owner(file: &File, dir: &Path) -> io::Result<()> {
    let (dir, about) = (fs::metadata(dir)?, file.metadata()?);
    if about.uid() == 0 && dir.uid() != 0 {
        std::os::unix::fs::fchown(file, Some(dir.uid()), Some(dir.gid()))?;
    }
    Ok(())
}

/// Creates a directory that only its owner can read, with those above it, if it does not exist. Each belongs to the owner of
/// the one above it, if this process may choose.
///
/// # Errors
/// Errors of the system; [`io::ErrorKind::NotADirectory`] if the name is another file's.
pub(crate) fn make_directory(dir: &Path) -> io::Result<()> {
    match fs::metadata(dir) {
        Ok(about) if about.is_dir() => return Ok(()),
        Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let above = directory_of(dir);
    make_directory(above)?;
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        // Another process was faster.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(e) => Err(e),
        Ok(()) => give_to_owner(&File::open(dir)?, above),
    }
}

/// Returns the directory that a path is in.
pub(crate) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Returns the path with `suffix` behind its last name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Writes a small file whole or not at all: under another name first, which is then renamed.
///
/// # Errors
/// Errors of the system.
pub(crate) fn replace(files: &dyn Files, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (dir, draft) = (directory_of(path), with_suffix(path, ".new"));
    match files.remove(&draft) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        Ok(()) | Err(_) => {}
    }
    files.write_new(&draft, bytes)?;
    files.rename(&draft, path)?;
    files.sync_directory(dir)
}

/// Gives a finished file its name, which must be free.
///
/// # Errors
/// Errors of the system.
pub(crate) fn give_name(files: &dyn Files, draft: &Path, to: &Path) -> io::Result<()> {
    match files.link(draft, to) {
        Ok(()) => files.remove(draft)?,
        // Some file systems have no links: then the name is created first, and the file renamed to it.
        Err(e) if matches!(e.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied) => {
            files.write_new(to, b"")?;
            files.rename(draft, to)?;
        }
        Err(e) => return Err(e),
    }
    files.sync_directory(directory_of(to))
}

/// Returns true if there is a file, even an empty one.
///
/// # Errors
/// If that cannot be known.
pub(crate) fn exists(files: &dyn Files, path: &Path) -> io::Result<bool> {
    match files.about(path) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}
