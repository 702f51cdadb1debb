//! Audit rows that leave the database: written to a file of JSON lines with their links, read back, and only then, where
//! they are old enough, deleted.
//!
//! The first line of a file says where its rows follow on, the last one where they end, under a keyed hash; between them is one
//! row a line, its columns as the link has them.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use gatepass_core::base::secret::same_bytes;
use gatepass_core::base::time::Time;
use gatepass_core::store::audit::{Event, Kind};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};
use serde_json::{Map, Value, json};

use super::audit::{COLUMNS, Chain, Head, WIDTH, kept_head};
use super::backup::{Phase, place};
use super::error::{StoreError, TransactionError};
use super::rows::{signed, stamp};
use super::walk::{Marks, PAGE};
use super::{Store, hex};
use crate::secrets::files::exists;
use crate::secrets::files::with_suffix;
use crate::secrets::random::random;

/// The longest line that is read.
const LONGEST: u64 = 1024 * 1024;
/// Rows that are deleted in one transaction.
const CUT: i64 = 256;

/// The rows that a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archived {
    /// The first row.
    pub first: u64,
    /// The last row.
    pub last: u64,
    /// The last row's link, in hexadecimal digits.
    pub head: String,
}

impl Archived {
    /// The number of rows.
    pub const fn rows(&self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }
}

/// What one step of a cut did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct AuditCut {
    /// Rows that were deleted.
    pub rows: u64,
    /// Returns true if more of them may go.
    pub more: bool,
}

impl Store {
    /// Writes the audit rows that no archive has yet, or those `before` a time, to a new file, reads the file back, and records
    /// that they are archived, with an audit row of `now`.
    ///
    /// # Errors
    /// [`StoreError`] where there is nothing to archive, the file is there already or cannot be written, or the chain is broken.
    pub fn archive_audit(
        &self,
        to: &Path,
        before: Option<Time>,
        now: Time,
        progress: &mut dyn FnMut(Phase, (u64, u64)),
    ) -> Result<Archived, StoreError> {
        let installation = self.installation();
        let failed = |e: &io::Error| {
            if e.kind() == io::ErrorKind::AlreadyExists {
                return StoreError::FileExists(to.to_owned());
            }
            StoreError::file(to, "write", e)
        };
        if exists(&*installation.files, to).map_err(|e| failed(&e))? {
            return Err(StoreError::FileExists(to.to_owned()));
        }
        let (marks, from, last) = self.snapshot(|db| {
            let marks = self.chain().marks(db)?.ok_or_else(|| broken("its start was altered"))?;
            let (from, last) = range(db, self.chain(), &marks, before)?;
            Ok((marks, from, last))
        })?;
        if last <= from.seq {
            return Err(StoreError::NothingToArchive);
        }
        let name = random::<8>()?;
        let draft = with_suffix(to, &format!(".{}", &*hex(&*name)));
        let written = self.write_archive(&draft, &from, last, progress).and_then(|archived| {
            progress(Phase::Checking, (0, 1));
            let read = self.read_archive(&draft)?;
            progress(Phase::Checking, (1, 1));
            if read != archived {
                return Err(StoreError::BadArchive {
                    path: draft.clone(),
                    problem: "it reads otherwise".into(),
                });
            }
            place(&*installation.files, &draft, to).map_err(|e| failed(&e))?;
            Ok(archived)
        });
        let archived = match written {
            Ok(archived) => archived,
            Err(error) => {
                // What was written so far is no archive.
                let _ = installation.files.remove(&draft);
                return Err(error);
            }
        };
        let count = u32::try_from(archived.rows()).unwrap_or(u32::MAX);
        let reason = Some(format!("rows {} to {}", archived.first, archived.last));
        let event = Event { count, reason, ..Event::new(Kind::AuditArchived, now) };
        let seal = self.chain().seal_of_archived(last);
        self.write_restrictive(move |db, tail| {
            let done = db.execute(
                "UPDATE meta SET audit_archived = ?1, audit_archived_seal = ?2 WHERE audit_archived = ?3",
                params![signed(last)?, seal, signed(marks.archived)?],
            )?;
            if done == 1 { tail.append(db, &event) } else { Err(TransactionError::Conflict) }
        })?;
        Ok(archived)
    }

    /// Writes rows after `from` up to `last` to a new file, page by page, and syncs it.
    fn write_archive(
        &self,
        path: &Path,
        from: &Head,
        last: u64,
        progress: &mut dyn FnMut(Phase, (u64, u64)),
    ) -> Result<Archived, StoreError> {
        let failed = |e: io::Error| StoreError::file(path, "write", &e);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
        let mut out = BufWriter::new(&file);
        let line = |out: &mut BufWriter<&File>, value: &Value| {
            serde_json::to_writer(&mut *out, value)
                .map_err(io::Error::from)
                .and_then(|()| out.write_all(b"\n"))
        };
        let first = from.seq.saturating_add(1);
        let head = json!({"gatepass_audit_archive": 1, "first": first, "before": &**hex(&from.mac)});
        line(&mut out, &head).map_err(failed)?;
        let mut at = from.clone();
        while at.seq < last {
            let page = self.snapshot(|db| page(db, self.chain(), &at, last))?;
            let Some((_, end)) = page.last() else {
                return Err(broken(&format!("row {} is missing", at.seq.saturating_add(1))).at(self.path()));
            };
            at = end.clone();
            page.iter().try_for_each(|(row, _)| line(&mut out, row)).map_err(failed)?;
            progress(Phase::Copying, (at.seq.saturating_sub(from.seq), last.saturating_sub(from.seq)));
        }
        let seal = self.chain().seal_of_archive(from, &at);
        let end = json!({"last": at.seq, "head": &**hex(&at.mac), "seal": &**hex(&seal)});
        line(&mut out, &end).map_err(failed)?;
        out.flush().map_err(failed)?;
        drop(out);
        file.sync_all().map_err(failed)?;
        Ok(Archived { first, last: at.seq, head: hex(&at.mac).to_string() })
    }

    /// Verifies a file that [`Store::archive_audit`] of this installation wrote.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read, or was altered.
    pub fn read_archive(&self, path: &Path) -> Result<Archived, StoreError> {
        let file = File::open(path).map_err(|e| StoreError::file(path, "read", &e))?;
        let bad = |problem: String| StoreError::BadArchive { path: path.to_owned(), problem };
        let mut lines = Lines { reader: BufReader::new(file), number: 0 };
        let mut next = || lines.next().map_err(&bad);
        let head = next()?;
        let first = member(&head, "first")
            .as_u64()
            .filter(|first| *first > 0 && *member(&head, "gatepass_audit_archive") == 1);
        let (first, before) =
            first.zip(link(member(&head, "before"))).ok_or_else(|| bad("it is no archive".into()))?;
        let from = Head { seq: first.saturating_sub(1), mac: before };
        let mut at = from.clone();
        loop {
            let row = next()?;
            if let Some(last) = member(&row, "last").as_u64() {
                let seal = self.chain().seal_of_archive(&from, &at);
                let same = last == at.seq
                    && link(member(&row, "head")).is_some_and(|head| same_bytes(&head, &at.mac));
                if !same || !link(member(&row, "seal")).is_some_and(|given| same_bytes(&given, &seal)) {
                    return Err(bad("its end was altered, or it is of another installation".into()));
                }
                if lines.has_more().map_err(bad)? {
                    return Err(StoreError::BadArchive {
                        path: path.to_owned(),
                        problem: "something follows its end".into(),
                    });
                }
                return Ok(Archived { first, last, head: hex(&at.mac).to_string() });
            }
            let seq = at.seq.saturating_add(1);
            let fields = fields_of(&row).filter(|_| member(&row, "seq").as_u64() == Some(seq));
            let mac = fields.map(|fields| self.chain().link(&at.mac, fields.iter().map(value_of)));
            let mac =
                mac.filter(|mac| link(member(&row, "mac")).is_some_and(|given| same_bytes(mac, &given)));
            at = Head { seq, mac: mac.ok_or_else(|| bad(format!("row {seq} was altered or is missing")))? };
        }
    }

    /// Deletes the oldest archived rows that are from before `before`, as many as one short transaction takes, and moves the start
    /// of the chain behind them. The last step of a run, which has deleted `sofar` rows, writes an audit row of `now`.
    ///
    /// # Errors
    /// [`StoreError`] where the start of the chain was altered, or it cannot be written.
    pub fn cut_audit(&self, before: Time, sofar: u64, now: Time) -> Result<AuditCut, StoreError> {
        let found = self.snapshot(|db| {
            let marks = self.chain().marks(db)?.ok_or_else(|| broken("its start was altered"))?;
            old_rows(db, &marks, before)
        })?;
        if found.is_none() && sofar == 0 {
            return Ok(AuditCut::default());
        }
        let chain = std::sync::Arc::clone(&self.0.files.chain);
        self.write_aside(move |db, tail| {
            let marks = chain.marks(db)?.ok_or_else(|| broken("its start was altered"))?;
            let mut cut = AuditCut::default();
            let mut end = marks.cut.seq;
            if let Some(last) = old_rows(db, &marks, before)? {
                cut.rows = last.seq.saturating_sub(marks.cut.seq);
                end = last.seq;
                db.prepare_cached("DELETE FROM audit WHERE seq <= ?1")?.execute([signed(last.seq)?])?;
                db.prepare_cached("UPDATE meta SET audit_cut = ?1, audit_cut_mac = ?2, audit_cut_seal = ?3")?
                    .execute(params![signed(last.seq)?, last.mac, chain.seal_of_cut(&last)])?;
                cut.more = old_rows(db, &Marks { cut: last, ..marks }, before)?.is_some();
            }
            let all = sofar.saturating_add(cut.rows);
            if !cut.more && all > 0 {
                let count = u32::try_from(all).unwrap_or(u32::MAX);
                let reason = Some(format!("archived rows up to {end}"));
                tail.append(db, &Event { count, reason, ..Event::new(Kind::AuditCut, now) })?;
            }
            Ok(cut)
        })
    }
}

fn broken(what: &str) -> TransactionError {
    TransactionError::Refused(StoreError::ChainBroken(what.into()))
}

/// Returns the row after which there is nothing archived yet, and the last row to archive.
fn range(
    db: &Connection,
    chain: &Chain,
    marks: &Marks,
    before: Option<Time>,
) -> Result<(Head, u64), TransactionError> {
    let from = if marks.archived <= marks.cut.seq {
        marks.cut.clone()
    } else {
        let mac = db
            .query_row("SELECT mac FROM audit WHERE seq = ?1", [signed(marks.archived)?], |row| row.get(0))?;
        Head { seq: marks.archived, mac }
    };
    let (kept, seal) = kept_head(db)?;
    if !same_bytes(&chain.seal_of(&kept), &seal) {
        return Err(broken("the record of its last row was altered"));
    }
    let Some(before) = before else { return Ok((from, kept.seq)) };
    let sql = "SELECT min(seq) FROM audit WHERE seq > ?1 AND at >= ?2";
    let end =
        db.query_row(sql, params![signed(from.seq)?, stamp(before)], |row| row.get::<_, Option<i64>>(0))?;
    let end = end.and_then(|end| u64::try_from(end).ok());
    Ok((from, end.map_or(kept.seq, |end| end.saturating_sub(1))))
}

/// Reads the rows after `at`, at most up to `last`, and follows their links.
fn page(
    db: &Connection,
    chain: &Chain,
    at: &Head,
    last: u64,
) -> Result<Vec<(Value, Head)>, TransactionError> {
    let sql = format!("SELECT {COLUMNS}, mac FROM audit WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3");
    let mut select = db.prepare_cached(&sql)?;
    let mut found = select.query(params![signed(at.seq)?, signed(last)?, PAGE])?;
    let mut rows: Vec<(Value, Head)> = Vec::new();
    while let Some(row) = found.next()? {
        let before = rows.last().map_or(at, |(_, head)| head);
        let seq = before.seq.saturating_add(1);
        let mut fields = [ValueRef::Null; WIDTH];
        let mut told = Map::new();
        for ((i, field), name) in fields.iter_mut().enumerate().zip(COLUMNS.split(", ")) {
            *field = row.get_ref(i)?;
            told.insert(name.into(), told_of(*field));
        }
        let mac = chain.link(&before.mac, fields.into_iter());
        if fields.first() != Some(&ValueRef::Integer(signed(seq)?))
            || !same_bytes(&mac, row.get_ref(WIDTH)?.as_blob().unwrap_or_default())
        {
            return Err(broken(&format!("row {seq} was altered or is missing")));
        }
        told.insert("mac".into(), Value::from(hex(&mac).to_string()));
        rows.push((Value::Object(told), Head { seq, mac }));
    }
    Ok(rows)
}

/// Returns the last of the oldest rows that are archived and from before `before`, of as many as go at once; none where there is
/// none.
fn old_rows(db: &Connection, marks: &Marks, before: Time) -> Result<Option<Head>, TransactionError> {
    let mut select = db.prepare_cached(
        "SELECT seq, at, mac FROM audit WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3",
    )?;
    let mut found = select.query(params![signed(marks.cut.seq)?, signed(marks.archived)?, CUT])?;
    let mut last = None;
    while let Some(row) = found.next()? {
        if row.get::<_, i64>(1)? >= stamp(before) {
            break;
        }
        let seq = u64::try_from(row.get::<_, i64>(0)?)
            .map_err(|_| TransactionError::Row { table: "audit", column: "seq" })?;
        last = Some(Head { seq, mac: row.get(2)? });
    }
    Ok(last)
}

/// A column's value as a file has it.
fn told_of(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Integer(number) => Value::from(number),
        ValueRef::Text(text) => String::from_utf8(text.to_vec()).map_or(Value::Null, Value::from),
        ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => Value::Null,
    }
}

/// The columns of a row of a file, where it has all and no other.
fn fields_of(row: &Value) -> Option<Vec<&Value>> {
    let row = row.as_object().filter(|row| row.len() == WIDTH + 1)?;
    COLUMNS.split(", ").map(|name| row.get(name)).collect()
}

fn value_of<'a>(value: &&'a Value) -> ValueRef<'a> {
    match value {
        Value::String(text) => ValueRef::Text(text.as_bytes()),
        Value::Number(number) => number.as_i64().map_or(ValueRef::Null, ValueRef::Integer),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => ValueRef::Null,
    }
}

/// A member of an object; null where it has none.
fn member<'a>(object: &'a Value, name: &str) -> &'a Value {
    object.get(name).unwrap_or(&Value::Null)
}

/// Reads 32 bytes from hexadecimal digits.
fn link(value: &Value) -> Option<[u8; 32]> {
    let text = value.as_str().filter(|text| text.len() == 64 && text.is_ascii())?;
    let mut bytes = [0; 32];
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// The lines of a file, each of a bounded length.
struct Lines {
    reader: BufReader<File>,
    number: u64,
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
        serde_json::from_slice(&line).map_err(|_| format!("line {} is not what was written", self.number))
    }

    fn has_more(&mut self) -> Result<bool, String> {
        self.reader.fill_buf().map(|rest| !rest.is_empty()).map_err(|e| format!("it cannot be read: {e}"))
    }
}
