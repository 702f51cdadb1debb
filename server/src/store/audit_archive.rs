//! Files of archived audit rows, for any engine: JSON lines with the links of the chain.
//!
//! The first line says which row its rows follow, the last one where they end, under a keyed hash. Between them is one row a
//! line: its columns as they are hashed, and its link. A file of several chains has such a part for each ([`slots`]).

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use gatepass_core::base::secret::same_bytes;
use gatepass_core::base::time::Time;
use gatepass_core::crypto::Sha256;
use serde_json::{Map, Value, json};

pub(super) mod slots;

use super::audit_chain::{BEFORE_ROLES, COLUMNS, Chain, Field, Head, UNNUMBERED, WIDTH, broken};
use super::backend::{Archived, OnProgress, Phase};
use super::error::StoreError;
use crate::secrets::files::{
    Files, directory_of, exists, give_name, give_to_owner, make_directory, with_suffix,
};
use crate::secrets::master_key::{hex, unhex};
use crate::secrets::random::random;

/// The member of the first line that says the format: 1 has the columns before schema 9, 2 those before schema 10, 3 has
/// all of them, 4 those of several chains.
const FORMAT: &str = "gatepass_audit_archive";
/// The longest line that is read.
const LONGEST: u64 = 1024 * 1024;

/// The rows that are to be archived.
#[derive(Clone, Debug)]
pub(super) struct Span {
    /// The row that they follow.
    pub(super) from: Head,
    /// The last of them.
    pub(super) last: u64,
}

impl Span {
    /// Returns the first of them.
    pub(super) const fn first(&self) -> u64 {
        self.from.seq.saturating_add(1)
    }
}

/// A row that was verified, as a file has it.
pub(super) struct ArchivedRow {
    line: Value,
    head: Head,
}

impl ArchivedRow {
    /// Returns the row's number and link.
    pub(super) const fn head(&self) -> &Head {
        &self.head
    }

    /// Verifies that the row of `fields` with the link `mac` follows `before`.
    ///
    /// # Errors
    /// [`StoreError::ChainBroken`] if it does not.
    pub(super) fn after(
        before: &Head,
        chain: &Chain,
        fields: &[Field<'_>],
        mac: &[u8],
    ) -> Result<Self, StoreError> {
        let Some(head) = chain.follow(before, fields, mac) else {
            return Err(broken(&format!("row {} was altered or is missing", before.seq.saturating_add(1))));
        };
        let columns = COLUMNS.map(str::to_owned).into_iter().zip(fields.iter().map(told));
        let mac = ("mac".to_owned(), Value::from(hex(&head.mac).to_string()));
        Ok(Self { line: Value::Object(columns.chain([mac]).collect::<Map<_, _>>()), head })
    }
}

/// Writes the rows of `span` to the new file `to`: to a draft first, which is read back and then gets its name. `page` returns
/// the next rows after one, at least one and at most up to `span.last`.
///
/// # Errors
/// [`StoreError`] if the file is there already or cannot be written, or `page` fails.
pub(super) fn write(
    files: &dyn Files,
    to: &Path,
    chain: &Chain,
    span: &Span,
    page: &mut dyn FnMut(&Head) -> Result<Vec<ArchivedRow>, StoreError>,
    progress: &mut OnProgress<'_>,
) -> Result<Archived, StoreError> {
    write_checked(files, to, chain, progress, |out, progress| {
        out.line(&json!({FORMAT: 3, "first": span.first(), "before": &**hex(&span.from.mac)}))?;
        let all = span.last.saturating_sub(span.from.seq);
        let end = out.rows(chain, span, page, &mut |done| progress(Phase::Copying, (done, all)))?;
        Ok((span.first(), end.seq, hex(&end.mac).to_string()))
    })
}

/// Writes the new file `to`: a draft by `write`, which is read back and then gets its name. `write` returns the first row, the last row and
/// the head that it has to have.
fn write_checked(
    files: &dyn Files,
    to: &Path,
    chain: &Chain,
    progress: &mut OnProgress<'_>,
    write: impl FnOnce(&mut Draft<'_>, &mut OnProgress<'_>) -> Result<(u64, u64, String), StoreError>,
) -> Result<Archived, StoreError> {
    let name = random::<8>()?;
    let draft = with_suffix(to, &format!(".{}", &*hex(&*name)));
    let written = write_draft(&draft, |out| write(out, progress)).and_then(|(first, last, head)| {
        progress(Phase::Checking, (0, 1));
        let read = read(chain, &draft)?;
        progress(Phase::Checking, (1, 1));
        if (read.first, read.last, &read.head) != (first, last, &head) {
            return Err(StoreError::BadArchive { path: draft.clone(), problem: "it reads otherwise".into() });
        }
        give_name(files, &draft, to).map_err(|e| not_written(to, &e))?;
        Ok(Archived { path: to.to_owned(), ..read })
    });
    if written.is_err() {
        // The file so far is no archive.
        let _ = files.remove(&draft);
    }
    written
}

/// Checks that `to` does not exist.
///
/// # Errors
/// [`StoreError`] if something is, or that cannot be known.
pub(super) fn require_new(files: &dyn Files, to: &Path) -> Result<(), StoreError> {
    if exists(files, to).map_err(|e| not_written(to, &e))? {
        return Err(StoreError::FileExists(to.to_owned()));
    }
    Ok(())
}

/// Returns the path of a new file for the rows from `first` to `last` in the directory `dir`, which is made if it does not exist.
///
/// # Errors
/// [`StoreError`] if it cannot be made.
pub(super) fn own_file(
    files: &dyn Files,
    dir: &Path,
    (first, last): (u64, u64),
    now: Time,
) -> Result<PathBuf, StoreError> {
    let made = make_directory(dir).and_then(|()| files.sync_directory(directory_of(dir)));
    made.map_err(|e| StoreError::file(dir, "create", &e))?;
    // A file that a crash kept from being recorded has the same rows, and an earlier time.
    let time = now.rfc3339().replace(['-', ':'], "");
    Ok(dir.join(format!("audit-{first}-{last}-{time}.jsonl")))
}

fn not_written(to: &Path, error: &io::Error) -> StoreError {
    if error.kind() == io::ErrorKind::AlreadyExists {
        return StoreError::FileExists(to.to_owned());
    }
    StoreError::file(to, "write", error)
}

fn write_draft<T>(
    path: &Path,
    write: impl FnOnce(&mut Draft<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let failed = |e: io::Error| StoreError::file(path, "write", &e);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    give_to_owner(&file, directory_of(path)).map_err(failed)?;
    let mut draft = Draft { path, out: BufWriter::new(&file) };
    let written = write(&mut draft)?;
    draft.out.flush().map_err(failed)?;
    drop(draft);
    file.sync_all().map_err(failed)?;
    Ok(written)
}

/// A file that is being written.
struct Draft<'d> {
    path: &'d Path,
    out: BufWriter<&'d File>,
}

impl Draft<'_> {
    fn line(&mut self, value: &Value) -> Result<(), StoreError> {
        let written = serde_json::to_writer(&mut self.out, value).map_err(io::Error::from);
        let written = written.and_then(|()| self.out.write_all(b"\n"));
        written.map_err(|e| StoreError::file(self.path, "write", &e))
    }

    /// Writes the rows of one chain, and their end. Returns the last of them.
    fn rows(
        &mut self,
        chain: &Chain,
        Span { from, last }: &Span,
        page: &mut dyn FnMut(&Head) -> Result<Vec<ArchivedRow>, StoreError>,
        done: &mut dyn FnMut(u64),
    ) -> Result<Head, StoreError> {
        let mut at = from.clone();
        while at.seq < *last {
            let rows = page(&at)?;
            let Some(end) = rows.last() else {
                return Err(broken(&format!("row {} is missing", at.seq.saturating_add(1))));
            };
            at = end.head.clone();
            rows.iter().try_for_each(|row| self.line(&row.line))?;
            done(at.seq.saturating_sub(from.seq));
        }
        let seal = chain.seal_of_archive(from, &at);
        self.line(&json!({"last": at.seq, "head": &**hex(&at.mac), "seal": &**hex(&seal)}))?;
        Ok(at)
    }
}

/// Verifies a file that [`write()`] made with the same chain.
///
/// # Errors
/// [`StoreError`] if it cannot be read, or was altered.
pub(super) fn read(chain: &Chain, path: &Path) -> Result<Archived, StoreError> {
    let file = File::open(path).map_err(|e| StoreError::file(path, "read", &e))?;
    let bad = |problem: String| StoreError::BadArchive { path: path.to_owned(), problem };
    let mut lines = Lines { reader: BufReader::new(file), number: 0, bytes: 0, hash: Sha256::default() };
    let head = lines.next().map_err(&bad)?;
    let width = match member(&head, FORMAT).as_u64() {
        Some(1) => UNNUMBERED,
        Some(2) => BEFORE_ROLES,
        Some(3) => WIDTH,
        Some(4) => return slots::read(chain, path, &mut lines, &head).map_err(bad),
        Some(newer) => return Err(bad(format!("it is of format {newer}, which a newer gatepass wrote"))),
        None => return Err(bad("it is no archive".into())),
    };
    let (from, at) = lines.rows(chain, &head, width).map_err(&bad)?;
    lines.end().map_err(&bad)?;
    let (first, last) = (from.seq.saturating_add(1), at.seq);
    Ok(Archived {
        path: path.to_owned(),
        first,
        last,
        rows: last.saturating_sub(from.seq),
        head: hex(&at.mac).to_string(),
        bytes: lines.bytes,
        sha256: hex(&lines.hash.finish()).to_string(),
    })
}

/// Returns a column's value as a file has it.
fn told(field: &Field<'_>) -> Value {
    match field {
        Field::Integer(number) => Value::from(*number),
        Field::Text(text) => std::str::from_utf8(text).map_or(Value::Null, Value::from),
        Field::Null | Field::Real(_) | Field::Blob(_) => Value::Null,
    }
}

/// Returns the columns of a row of a file that has so many, if it has all of them and no other.
fn fields_of(row: &Value, width: usize) -> Option<Vec<Field<'_>>> {
    let row = row.as_object().filter(|row| row.len() == width + 1)?;
    COLUMNS.iter().take(width).map(|name| row.get(*name).map(field_of)).collect()
}

fn field_of(value: &Value) -> Field<'_> {
    match value {
        Value::String(text) => Field::text(text),
        Value::Number(number) => number.as_i64().map_or(Field::Null, Field::Integer),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => Field::Null,
    }
}

/// Returns a member of an object; null if it has none.
fn member<'a>(object: &'a Value, name: &str) -> &'a Value {
    object.get(name).unwrap_or(&Value::Null)
}

/// Reads a link from hexadecimal digits.
fn link(value: &Value) -> Option<[u8; 32]> {
    unhex(value.as_str()?).map(|bytes| *bytes)
}

/// Returns true if a member of `row` is this link or seal.
fn is_link(row: &Value, name: &str, bytes: &[u8; 32]) -> bool {
    link(member(row, name)).is_some_and(|given| same_bytes(&given, bytes))
}

/// The lines of a file, each of a bounded length.
struct Lines {
    reader: BufReader<File>,
    number: u64,
    /// The bytes that were read, and their hash.
    bytes: u64,
    hash: Sha256,
}

impl Lines {
    fn next(&mut self) -> Result<Value, String> {
        self.number += 1;
        let mut line = Vec::new();
        let read = self.reader.by_ref().take(LONGEST).read_until(b'\n', &mut line);
        read.map_err(|e| format!("it cannot be read: {e}"))?;
        if line.is_empty() {
            return Err("it is cut short".into());
        }
        self.bytes += u64::try_from(line.len()).unwrap_or(u64::MAX);
        self.hash.absorb(&line);
        serde_json::from_slice(&line).map_err(|_| format!("line {} is not what was written", self.number))
    }

    /// Verifies the rows of one chain, which begin where `head` says, and their end. Returns the row that they follow, and the last of them.
    fn rows(&mut self, chain: &Chain, head: &Value, width: usize) -> Result<(Head, Head), String> {
        let first = member(head, "first").as_u64().filter(|first| *first > 0);
        let whole = first.zip(link(member(head, "before")));
        let (first, before) = whole.ok_or("it is no archive")?;
        let from = Head { seq: first.saturating_sub(1), mac: before };
        let mut at = from.clone();
        loop {
            let row = self.next()?;
            if let Some(last) = member(&row, "last").as_u64() {
                let seal = chain.seal_of_archive(&from, &at);
                if last != at.seq || !is_link(&row, "head", &at.mac) || !is_link(&row, "seal", &seal) {
                    return Err("its end was altered, or it is of another installation".into());
                }
                return Ok((from, at));
            }
            let follows = || chain.follow(&at, &fields_of(&row, width)?, &link(member(&row, "mac"))?);
            let altered = || format!("row {} was altered or is missing", at.seq.saturating_add(1));
            at = follows().ok_or_else(altered)?;
        }
    }

    /// Verifies that nothing follows.
    fn end(&mut self) -> Result<(), String> {
        let rest = self.reader.fill_buf().map_err(|e| format!("it cannot be read: {e}"))?;
        if rest.is_empty() { Ok(()) } else { Err("something follows its end".into()) }
    }
}
