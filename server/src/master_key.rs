//! The master key: 32 bytes that seal the private keys and the audit key in the database.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use gatepass_core::crypto;
use gatepass_core::secret::Secret;
use zeroize::Zeroizing;

use crate::store::{DATABASE, StoreError};

/// The key's file in the data directory.
pub const MASTER_KEY: &str = "master.key";

/// The longest file that is read.
const MAX_FILE: u64 = 4096;

/// The key that seals what must not be read from a stolen database file.
#[derive(Clone, Debug)]
pub struct MasterKey {
    bytes: Secret<32>,
    file: PathBuf,
}

impl MasterKey {
    /// The key in `dir/master.key`, which is made, with its directory, where neither it nor a database is there yet.
    ///
    /// # Errors
    /// [`StoreError`] where it is missing beside a database, readable by others, or no key.
    pub fn open_or_create(dir: &Path) -> Result<Self, StoreError> {
        make_directory(dir)?;
        let key = dir.join(MASTER_KEY);
        // The database is looked for first: whoever makes one has made the key before.
        let database = dir.join(DATABASE);
        let has_database = fs::metadata(&database).is_ok_and(|m| m.len() > 0);
        match Self::from_file(&key) {
            Err(StoreError::MasterKeyMissing { .. }) if has_database => {
                Err(StoreError::MasterKeyMissing { key, database: Some(database) })
            }
            Err(StoreError::MasterKeyMissing { .. }) => {
                create(dir, &key)?;
                Self::from_file(&key)
            }
            read => read,
        }
    }

    /// The key in the file at `path`, which must be there.
    ///
    /// # Errors
    /// [`StoreError`] where it is missing, readable by others, or no key.
    pub fn from_file(path: &Path) -> Result<Self, StoreError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => {
                return Err(StoreError::MasterKeyMissing { key: path.to_owned(), database: None });
            }
            Err(e) => return Err(StoreError::file(path, "read the master key", &e)),
        };
        let about = file.metadata().map_err(|e| StoreError::file(path, "read the master key", &e))?;
        if !about.is_file() {
            return Err(StoreError::MasterKeyMalformed(path.to_owned()));
        }
        let mode = about.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(StoreError::MasterKeyExposed { key: path.to_owned(), mode });
        }
        let mut text = Zeroizing::new(String::with_capacity(256));
        file.take(MAX_FILE).read_to_string(&mut text).map_err(|e| {
            if e.kind() == ErrorKind::InvalidData {
                StoreError::MasterKeyMalformed(path.to_owned())
            } else {
                StoreError::file(path, "read the master key", &e)
            }
        })?;
        let bytes = parse(&text).ok_or_else(|| StoreError::MasterKeyMalformed(path.to_owned()))?;
        Ok(Self { bytes, file: path.to_owned() })
    }

    /// The file it was read from.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// `plain`, sealed for `purpose`: what was sealed for one row does not open in the place of another. Its nonce is
    /// random, which suffices for 2^32 of them (NIST SP 800-38D §8.3).
    pub(crate) fn seal(&self, purpose: &str, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let nonce = random().ok_or(StoreError::NoRandomness)?;
        crypto::seal(&self.bytes, *nonce, purpose.as_bytes(), plain).ok_or(StoreError::NoRandomness)
    }

    /// What was sealed for `purpose`; none where it was not, or with another key.
    pub(crate) fn open(&self, purpose: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        crypto::open(&self.bytes, purpose.as_bytes(), sealed)
    }
}

/// Bytes from the system's generator.
pub(crate) fn random<const N: usize>() -> Option<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut *bytes).ok()?;
    Some(bytes)
}

/// Makes the data directory, for its owner alone, where it is not there.
pub(crate) fn make_directory(dir: &Path) -> Result<(), StoreError> {
    match fs::metadata(dir) {
        Ok(about) if about.is_dir() => Ok(()),
        Ok(_) => Err(StoreError::NotADirectory(dir.to_owned())),
        Err(e) if e.kind() == ErrorKind::NotFound => fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|e| StoreError::file(dir, "create the data directory", &e)),
        Err(e) => Err(StoreError::file(dir, "read the data directory", &e)),
    }
}

/// Makes what was done in `dir` durable.
pub(crate) fn sync_directory(dir: &Path) -> Result<(), StoreError> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(|e| StoreError::file(dir, "sync", &e))
}

/// Makes a new key at `path`, whole or not at all; one that is there already stays.
fn create(dir: &Path, path: &Path) -> Result<(), StoreError> {
    let bytes = random().ok_or(StoreError::NoRandomness)?;
    let name = random::<8>().ok_or(StoreError::NoRandomness)?;
    let draft = dir.join(format!("{MASTER_KEY}.{}", &*hex(&*name)));
    let written = write_new(&draft, &bytes);
    // The name comes with the whole content: nobody ever reads half a key.
    let linked = written.and_then(|()| match fs::hard_link(&draft, path) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(e) if e.kind() == ErrorKind::Unsupported || e.kind() == ErrorKind::PermissionDenied => {
            write_new(path, &bytes)
        }
        done => done,
    });
    let _ = fs::remove_file(&draft);
    linked.map_err(|e| StoreError::file(path, "create the master key", &e))?;
    sync_directory(dir)
}

fn write_new(path: &Path, bytes: &[u8; 32]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let digits = hex(bytes);
    let mut text = Zeroizing::new(String::with_capacity(256));
    text.push_str(
        "# Gatepass master key. The database beside it cannot be read without it: keep a copy elsewhere.\n",
    );
    text.push_str(&digits);
    text.push('\n');
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// `bytes` in lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> Zeroizing<String> {
    let mut digits = Zeroizing::new(String::with_capacity(bytes.len() * 2));
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            digits.extend(char::from_digit(u32::from(nibble), 16));
        }
    }
    digits
}

/// One line of 64 hexadecimal digits; lines that are empty or begin with `#` say nothing.
fn parse(text: &str) -> Option<Secret<32>> {
    let mut lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    let line = lines.next()?;
    if lines.next().is_some() {
        return None;
    }
    unhex(line).map(|bytes| Secret::new(*bytes))
}

/// The 32 bytes that these 64 hexadecimal digits are.
pub(crate) fn unhex(digits: &str) -> Option<Zeroizing<[u8; 32]>> {
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = Zeroizing::new([0u8; 32]);
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        for digit in pair {
            let nibble = char::from(*digit).to_digit(16)?;
            *byte = *byte << 4 | u8::try_from(nibble).ok()?;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_key() {
        let digits = "0123456789abcdefABCDEF000000000000000000000000000000000000000000";
        for good in [digits.to_owned(), format!("# why\n\n {digits} \r\n")] {
            let key = parse(&good).unwrap();
            assert_eq!(key.expose()[..4], [0x01, 0x23, 0x45, 0x67]);
        }
        let odd = digits.replace('1', "g");
        for bad in ["", "#\n", &digits[1..], &odd, &format!("{digits}\n{digits}"), &"é".repeat(32)] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }
}
