//! The password of a database: from the environment, or from a file that only this process's user can read.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use gatepass_core::base::secret::SecretText;
use zeroize::Zeroizing;

use super::SecretsError;
use super::files::{FileKind, Files};
use super::master_key::is_private_to_this_process;

/// The longest password that is read, in bytes.
const LONGEST: u64 = 4096;

/// The place that a password comes from.
#[derive(Clone, Debug, Default)]
pub enum PasswordSource {
    /// None is used: the database knows the user otherwise.
    #[default]
    None,
    /// The environment.
    Given(SecretText),
    /// A file. It is read for each connection, so that a new password needs no new start.
    File(PathBuf),
}

impl PasswordSource {
    /// Returns the password, if there is one.
    ///
    /// # Errors
    /// [`SecretsError`] if its file is missing, readable by others, or holds no password.
    pub fn read(&self, files: &dyn Files) -> Result<Option<Zeroizing<String>>, SecretsError> {
        match self {
            Self::None => Ok(None),
            Self::Given(password) => Ok(Some(Zeroizing::new(password.expose().to_owned()))),
            Self::File(path) => read_file(files, path).map(Some),
        }
    }
}

/// Reads a file with a password: one line.
fn read_file(files: &dyn Files, path: &Path) -> Result<Zeroizing<String>, SecretsError> {
    let failed = |e: &std::io::Error| SecretsError::file(path, "read the password in", e);
    let malformed = || SecretsError::NoPassword(path.to_owned());
    let about = files.about(path).map_err(|e| failed(&e))?;
    if about.kind != FileKind::File {
        return Err(malformed());
    }
    if !is_private_to_this_process(&about) {
        return Err(SecretsError::PasswordExposed { file: path.to_owned(), mode: about.mode });
    }
    let bytes = files
        .read(path, LONGEST)
        .map_err(|e| if e.kind() == ErrorKind::FileTooLarge { malformed() } else { failed(&e) })?;
    let text = std::str::from_utf8(&bytes).map_err(|_| malformed())?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() || line.contains(['\n', '\r', '\0']) {
        return Err(malformed());
    }
    Ok(Zeroizing::new(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::files::SystemFiles;
    use super::*;

    /// Returns the password in a file with this content and mode, or the message.
    fn read(content: &[u8], mode: u32) -> Result<String, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let read = PasswordSource::File(path).read(&SystemFiles);
        read.map(|password| password.unwrap().to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_password_is_one_line_of_a_private_file() {
        for content in ["pass word ", "pass word \n", "pass word \r\n"] {
            assert_eq!(read(content.as_bytes(), 0o600), Ok("pass word ".into()));
        }
        assert_eq!(read(b"secret", 0o400), Ok("secret".into()));
        for (content, mode, told) in [
            (&b"secret"[..], 0o644, "run `chmod 600"),
            (b"secret", 0o666, "run `chmod 600"),
            (b"", 0o600, "one line"),
            (b"\n", 0o600, "one line"),
            (b"secret\nsecret\n", 0o600, "one line"),
            (b"secret\0", 0o600, "one line"),
            (b"secret\xff", 0o600, "one line"),
            (&[b's'; 5000], 0o600, "one line"),
        ] {
            let message = read(content, mode).unwrap_err();
            assert!(message.contains(told) && !message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn a_missing_file_is_named_and_a_password_is_not_shown() {
        let missing = PasswordSource::File("/nonexistent/password".into()).read(&SystemFiles).unwrap_err();
        assert!(missing.to_string().contains("/nonexistent/password"), "{missing}");
        let given = PasswordSource::Given(SecretText::new("hunter2".into()));
        assert_eq!(given.read(&SystemFiles).unwrap().unwrap().as_str(), "hunter2");
        assert!(!format!("{given:?}").contains("hunter2"));
        assert_eq!(PasswordSource::None.read(&SystemFiles), Ok(None));
    }
}
