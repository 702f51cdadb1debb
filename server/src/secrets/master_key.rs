//! The master key: 32 bytes that seal the private keys and the audit key in the database.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use gatepass_core::base::secret::Secret;
use gatepass_core::crypto;
use zeroize::Zeroizing;

use super::SecretsError;
use super::files::{About, FileKind, Files, SystemFiles, directory_of, with_suffix};
use super::random::random;

/// The key's file in the data directory.
pub const MASTER_KEY: &str = "master.key";

/// The longest file that is read.
const MAX_FILE: u64 = 4096;

/// A text that is sealed to tell a wrong master key from a right one.
const MASTER_CHECK: &str = "gatepass master key";

/// The key that seals what a stolen database file must not reveal.
#[derive(Clone, Debug)]
pub struct MasterKey {
    bytes: Secret<32>,
    file: PathBuf,
}

impl MasterKey {
    /// Creates a key in a new file.
    ///
    /// # Errors
    /// [`SecretsError`] if the file is there already, or cannot be written.
    pub fn create(files: &dyn Files, path: &Path) -> Result<Self, SecretsError> {
        let failed = |e: &io::Error| {
            if e.kind() == ErrorKind::AlreadyExists {
                return SecretsError::FileExists(path.to_owned());
            }
            SecretsError::file(path, "create the master key", e)
        };
        let bytes = random()?;
        // Under another name first: no process ever reads half a key.
        let draft = draft_of(path);
        Self::remove_draft(files, path)?;
        let dir = directory_of(path);
        let made = files.write_new(&draft, print(&bytes).as_bytes()).and_then(|()| files.link(&draft, path));
        // If the link was made, the draft is a second name; otherwise it is useless.
        let _ = files.remove(&draft);
        match made {
            // Some file systems have no links.
            Err(e) if matches!(e.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) => {
                files.write_new(path, print(&bytes).as_bytes()).map_err(|e| failed(&e))?;
            }
            made => made.map_err(|e| failed(&e))?,
        }
        files.sync_directory(dir).map_err(|e| failed(&e))?;
        Self::read(files, path)
    }

    /// Removes what an interrupted [`MasterKey::create`] left.
    ///
    /// # Errors
    /// [`SecretsError`] if it cannot be removed.
    pub(crate) fn remove_draft(files: &dyn Files, path: &Path) -> Result<(), SecretsError> {
        let draft = draft_of(path);
        match files.remove(&draft) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(SecretsError::file(&draft, "remove", &e)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Reads the key in a file of this machine.
    ///
    /// # Errors
    /// [`SecretsError`] if it is missing, readable by others, or no key.
    pub fn from_file(path: &Path) -> Result<Self, SecretsError> {
        Self::read(&SystemFiles, path)
    }

    /// Reads the key in a file.
    ///
    /// # Errors
    /// [`SecretsError`] if it is missing, readable by others, or no key.
    pub fn read(files: &dyn Files, path: &Path) -> Result<Self, SecretsError> {
        let failed = |e: &io::Error| {
            if e.kind() == ErrorKind::NotFound {
                SecretsError::Missing(path.to_owned())
            } else if e.kind() == ErrorKind::FileTooLarge {
                SecretsError::Malformed(path.to_owned())
            } else {
                SecretsError::file(path, "read the master key", e)
            }
        };
        let about = files.about(path).map_err(|e| failed(&e))?;
        if about.kind != FileKind::File {
            return Err(SecretsError::Malformed(path.to_owned()));
        }
        if !is_private_to_this_process(&about) {
            return Err(SecretsError::Exposed { key: path.to_owned(), mode: about.mode });
        }
        let bytes = files.read(path, MAX_FILE).map_err(|e| failed(&e))?;
        let text = std::str::from_utf8(&bytes).ok().and_then(parse);
        let bytes = text.ok_or_else(|| SecretsError::Malformed(path.to_owned()))?;
        Ok(Self { bytes, file: path.to_owned() })
    }

    /// Returns true if this is the key that sealed `check`.
    pub(crate) fn is_of(&self, check: &[u8]) -> bool {
        self.open("check", check).is_some_and(|text| *text == MASTER_CHECK.as_bytes())
    }

    /// Seals a known text, which tells a wrong key from the right one.
    pub(crate) fn check(&self) -> Result<Vec<u8>, SecretsError> {
        self.seal("check", MASTER_CHECK.as_bytes())
    }

    /// Returns the file it was read from.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Seals `plain` for `purpose`: what was sealed for one row does not open in the place of another. Its nonce is
    /// random, which suffices for 2^32 of them (NIST SP 800-38D §8.3).
    pub(crate) fn seal(&self, purpose: &str, plain: &[u8]) -> Result<Vec<u8>, SecretsError> {
        let nonce = random()?;
        crypto::seal(&self.bytes, *nonce, purpose.as_bytes(), plain).ok_or(SecretsError::NoRandomness)
    }

    /// Opens what was sealed for `purpose`; none if it was not, or if another key sealed it.
    pub(crate) fn open(&self, purpose: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        crypto::open(&self.bytes, purpose.as_bytes(), sealed)
    }
}

/// Returns the path where a new key is written first. The directory is locked meanwhile, so one name is enough.
fn draft_of(path: &Path) -> PathBuf {
    with_suffix(path, ".draft")
}

/// The user of this process, and its groups.
struct Caller {
    user: u32,
    groups: Vec<u32>,
}

impl Caller {
    fn of_this_process() -> Self {
        let others = rustix::process::getgroups().unwrap_or_default();
        let groups = [rustix::process::getegid()].into_iter().chain(others);
        Self {
            user: rustix::process::geteuid().as_raw(),
            groups: groups.map(|group| group.as_raw()).collect(),
        }
    }
}

/// Returns true if a file is private to this process's user, as a secret has to be.
pub(super) fn is_private_to_this_process(about: &About) -> bool {
    is_private(about, &Caller::of_this_process())
}

/// Returns true if only the owner may read a file; or its group, too, if the file belongs to the superuser or to this
/// process's user, or the group is one of this process's: service managers and clusters mount secrets so, and nobody can
/// change the mode of what they mount. Only the owner may write it.
fn is_private(about: &About, caller: &Caller) -> bool {
    let group_reads = about.mode & 0o040 != 0;
    let (owner, group) = about.owner;
    let is_ours = [0, caller.user].contains(&owner) || caller.groups.contains(&group) || caller.user == 0;
    about.mode & 0o027 == 0 && (!group_reads || is_ours)
}

/// Returns the text of a key's file.
fn print(bytes: &[u8; 32]) -> Zeroizing<String> {
    let digits = hex(bytes);
    let mut text = Zeroizing::new(String::with_capacity(256));
    text.push_str(
        "# Gatepass master key. The database beside it cannot be read without it: keep a copy elsewhere.\n",
    );
    text.push_str(&digits);
    text.push('\n');
    text
}

/// Returns `bytes` in lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> Zeroizing<String> {
    let mut digits = Zeroizing::new(String::with_capacity(bytes.len() * 2));
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            digits.extend(char::from_digit(u32::from(nibble), 16));
        }
    }
    digits
}

/// Reads one line of 64 hexadecimal digits; lines that are empty or begin with `#` are skipped.
fn parse(text: &str) -> Option<Secret<32>> {
    let mut lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    let line = lines.next()?;
    if lines.next().is_some() {
        return None;
    }
    unhex(line).map(|bytes| Secret::new(*bytes))
}

/// Returns the 32 bytes that these 64 hexadecimal digits are.
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
    fn a_key_is_private_where_no_stranger_reads_or_writes_it() {
        const US: u32 = 1000;
        const OTHERS: u32 = 5;
        const OURS: u32 = 6;
        for (mode, owner, private) in [
            (0o600, (US, OTHERS), true),
            (0o400, (US, OTHERS), true),
            (0o640, (US, OTHERS), true),
            (0o440, (0, OTHERS), true),
            (0o440, (0, OURS), true),
            (0o440, (2000, OTHERS), false),
            // As a mount in a container without a root of its own: its owner is nobody.
            (0o440, (65_534, OURS), true),
            (0o460, (65_534, OURS), false),
            (0o444, (65_534, OURS), false),
            (0o600, (2000, OTHERS), true),
            (0o660, (0, OTHERS), false),
            (0o644, (0, OURS), false),
            (0o604, (US, OURS), false),
            (0o620, (US, OURS), false),
            (0o602, (US, OURS), false),
        ] {
            let about = About { identity: (0, 0), size: 0, mode, owner, kind: FileKind::File };
            let caller = Caller { user: US, groups: vec![OURS] };
            assert_eq!(is_private(&about, &caller), private, "{mode:o} {owner:?}");
        }
    }

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
