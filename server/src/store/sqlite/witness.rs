//! The witness: a small file, best kept on another disk than the database, that holds the newest state generation. Files that
//! were put back are older than it says.

use std::io;
use std::path::Path;

use gatepass_core::base::time::Time;

use super::generation::Generation;
use crate::secrets::files::{self, Files, directory_of};
use crate::secrets::master_key::hex;
use crate::store::error::StoreError;

/// The longest file that is read.
const LIMIT: u64 = 1024;

/// The content of a witness file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Its installation.
    pub installation: [u8; 16],
    /// The newest state generation.
    pub generation: Generation,
}

impl Witness {
    /// Reads the witness; none if there is no such file, in a directory that can be read.
    pub(in crate::store) fn read(files: &dyn Files, path: &Path) -> Result<Option<Self>, StoreError> {
        let bytes = match files.read(path, LIMIT) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let dir = directory_of(path);
                // An unmounted share does not prove that there never was a witness.
                return match files.names(dir) {
                    Ok(_) => Ok(None),
                    Err(e) => Err(unreadable(path, &e.to_string())),
                };
            }
            Err(e) => return Err(unreadable(path, &e.to_string())),
        };
        let text = std::str::from_utf8(&bytes).ok().and_then(Self::parse);
        text.map(Some).ok_or_else(|| unreadable(path, "it is not a witness file, or only a part of one"))
    }

    /// Writes the witness, whole or not at all.
    pub(in crate::store) fn write(&self, files: &dyn Files, path: &Path) -> io::Result<()> {
        files::replace(files, path, self.print().as_bytes())
    }

    fn print(&self) -> String {
        let Self { installation, generation: Generation { number, id, made_at } } = self;
        format!(
            "gatepass witness 1\ninstallation {}\ngeneration {number} {}\nat {}\nend\n",
            *hex(installation),
            *hex(id),
            made_at.unix()
        )
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let mut line = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        if line("gatepass")? != "witness 1" {
            return None;
        }
        let installation = line("installation")?;
        let (number, id) = line("generation")?.split_once(' ')?;
        let at = line("at")?;
        (lines.next()? == "end" && lines.next().is_none()).then_some(())?;
        let (number, at): (u64, u64) = (decimal(number)?, decimal(at)?);
        Some(Self {
            installation: bytes(installation)?,
            generation: Generation { number, id: bytes(id)?, made_at: Time::from_unix(at) },
        })
    }
}

fn decimal(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn bytes(digits: &str) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    if digits.len() != 32 || !digits.is_ascii() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        for digit in pair {
            let nibble = char::from(*digit).to_digit(16)?;
            *byte = *byte << 4 | u8::try_from(nibble).ok()?;
        }
    }
    Some(bytes)
}

fn unreadable(path: &Path, cause: &str) -> StoreError {
    StoreError::WitnessUnreadable { path: path.to_owned(), cause: cause.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_witness_reads_as_written_and_no_part_of_it_reads() {
        let generation = Generation { number: 42, id: [0xab; 16], made_at: Time::from_unix(1_800_000_000) };
        let text = Witness { installation: [7; 16], generation }.print();
        assert_eq!(Witness::parse(&text), Some(Witness { installation: [7; 16], generation }));
        for end in 0..text.len() - 1 {
            assert_eq!(Witness::parse(&text[..end]), None, "{end}");
        }
        for (from, to) in [("42", "-42"), ("42", "+42"), ("ab", "xy"), ("end", "end\nmore"), (" 1\n", " 2\n")]
        {
            assert_eq!(Witness::parse(&text.replacen(from, to, 1)), None, "{from} {to}");
        }
    }
}
