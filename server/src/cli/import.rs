//! `gatepass user import` and `gatepass user export`: many users, as JSON lines or as a table.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use clap::Args;
use gatepass_core::admin::AdminError;
use gatepass_core::admin::import::{
    ImportErrors, ImportLine, ImportOutcome, ImportReport, ImportUsers, ImportedIdentifiers, ImportedLine,
    LineError, LineFault, MAX_LINE, MEMBERS,
};
use gatepass_core::admin::users::{ListUsers, ShowAccount};
use gatepass_core::base::time::Time;
use gatepass_core::records::factor::AskFactor;
use gatepass_core::records::id::UserRef;
use gatepass_core::records::password::Workspace;
use gatepass_core::records::user::{Gender, User};
use serde_json::Value;

use super::context::Context;
use super::progress::Progress;
use crate::error::{OperationError, ProgramError};
use crate::output::{Output, Record};
use crate::secrets::random::random;
use crate::store::{AdminSession, Phase};

/// The largest file, in bytes. It is held in memory.
const MAX_FILE: u64 = 1 << 30;
/// The most lines of a file. They are held in memory, too.
const MAX_PEOPLE: usize = 1_000_000;
/// The lines of one commit. A running server's own commits wait for it.
const COMMIT: usize = 100;

#[derive(Debug, Args)]
pub(super) struct Import {
    /// JSON lines, or a table (CSV) whose first line names the columns; - for standard input
    file: PathBuf,
    /// Check everything, and write nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub(super) struct Export {
    /// Print the hashes of passwords, too: whoever has them can guess at the passwords
    #[arg(long)]
    hashes: bool,
}

pub(super) fn import(context: &Context, Import { file, dry_run }: &Import) -> Result<(), ProgramError> {
    let mut errors = ImportErrors::default();
    let mut lines = read_lines(&read(file)?, &mut errors)?;
    let admin = context.writing()?;
    let mut identifiers = ImportedIdentifiers::new(context.numbering_plan()?);
    for line in &lines {
        if let Err(error) = identifiers.add(line) {
            errors.push(error);
        }
    }
    drop(identifiers);
    let mut users = BTreeMap::new();
    let mut progress = Progress::new(context.out);
    let all = lines.len();
    let mut reports = Vec::new();
    for (number, batch) in lines.chunks(COMMIT).enumerate() {
        progress.show(Phase::Checking, count(number * COMMIT, all));
        match admin.run(ImportUsers { lines: batch.to_vec(), dry_run: true }) {
            Ok(report) => {
                for ImportedLine { line, user, .. } in &report.lines {
                    let first = *users.entry(user.clone()).or_insert(*line);
                    if first != *line {
                        errors.push(LineError { line: *line, fault: LineFault::Repeated(first) });
                    }
                }
                reports.push(report);
            }
            Err(OperationError::Refused(AdminError::Import(refused))) => errors.append(*refused),
            Err(failed) => return Err(failed.into()),
        }
    }
    if !errors.is_empty() {
        return Err(refused(&errors, all));
    }
    if !dry_run {
        write(&admin, &mut lines, &reports, &mut progress)?;
    }
    drop(progress);
    let sum = |of: &dyn Fn(&ImportReport) -> usize| reports.iter().map(of).sum::<usize>();
    let printed = Record::new()
        .with("lines", all)
        .with("added", sum(&|report| report.count(ImportOutcome::Added)))
        .with("changed", sum(&|report| report.count(ImportOutcome::Changed)))
        .with("unchanged", sum(&|report| report.count(ImportOutcome::Unchanged)))
        .with("kept_passwords", sum(&ImportReport::kept_passwords))
        .with("dry_run", *dry_run);
    Ok(context.out.one(&printed)?)
}

fn count(done: usize, all: usize) -> (u64, u64) {
    (u64::try_from(done).unwrap_or(u64::MAX), u64::try_from(all).unwrap_or(u64::MAX))
}

/// Writes batch by batch what the check has found to be new.
fn write(
    admin: &AdminSession,
    lines: &mut [ImportLine],
    reports: &[ImportReport],
    progress: &mut Progress,
) -> Result<(), ProgramError> {
    let (all, mut written) = (lines.len(), 0);
    for (batch, report) in lines.chunks_mut(COMMIT).zip(reports) {
        progress.show(Phase::Importing, count(written, all));
        if report.count(ImportOutcome::Unchanged) < batch.len() {
            hash_passwords(batch, report)?;
            let began = Instant::now();
            admin.run(ImportUsers { lines: batch.to_vec(), dry_run: false }).map_err(|error| {
                let cause = ProgramError::from(error);
                ProgramError::failed(format!(
                    "{cause}: {written} of {all} lines were imported, and nothing of the others; run the same import again to go on"
                ))
            })?;
            // A running server gets as much time for its own commits as this one took.
            thread::sleep(began.elapsed());
        }
        written += batch.len();
    }
    Ok(())
}

/// Hashes the passwords of the lines that are new, on every processor.
fn hash_passwords(batch: &mut [ImportLine], report: &ImportReport) -> Result<(), ProgramError> {
    let to_hash = batch.iter_mut().zip(&report.lines).filter(|(line, found)| {
        line.has_plain_password() && !found.kept_password && found.outcome != ImportOutcome::Unchanged
    });
    let mut to_hash: Vec<_> = to_hash.map(|(line, _)| line).collect();
    if to_hash.is_empty() {
        return Ok(());
    }
    let threads = thread::available_parallelism().map_or(1, usize::from).min(to_hash.len());
    let share = to_hash.len().div_ceil(threads);
    let failed = Mutex::new(None);
    thread::scope(|scope| {
        for share in to_hash.chunks_mut(share) {
            let failed = &failed;
            scope.spawn(move || {
                let mut workspace = Workspace::default();
                for line in share {
                    let hashed = random::<16>().map_err(ProgramError::from).and_then(|salt| {
                        let none = || ProgramError::from(AdminError::NoMemory);
                        line.hash_password(*salt, &mut workspace).ok_or_else(none)
                    });
                    if let Err(error) = hashed {
                        *failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(error);
                        return;
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).map_or(Ok(()), Err)
}

fn refused(errors: &ImportErrors, all: usize) -> ProgramError {
    let mut message = format!("nothing of {all} lines was imported:");
    for error in &errors.errors {
        message.push_str(&format!("\n  {error}"));
    }
    if errors.more > 0 {
        message.push_str(&format!("\n  and {} further errors", errors.more));
    }
    ProgramError::Failed(message)
}

fn read(file: &Path) -> Result<Vec<u8>, ProgramError> {
    let shown = file.display();
    let cannot = |error: io::Error| ProgramError::failed(format!("cannot read {shown}: {error}"));
    let mut bytes = Vec::new();
    if *file == *Path::new("-") {
        io::stdin().lock().take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(cannot)?;
    } else {
        File::open(file).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes)).map_err(cannot)?;
    }
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE {
        return Err(ProgramError::failed(format!("{shown} is over {} MiB: split it", MAX_FILE >> 20)));
    }
    Ok(bytes)
}

/// Reads JSON lines, which begin with a brace, or else a table.
fn read_lines(bytes: &[u8], errors: &mut ImportErrors) -> Result<Vec<ImportLine>, ProgramError> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let begins = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if begins.is_none_or(|first| *first == b'{') {
        let numbered = (1..).zip(bytes.split(|byte| *byte == b'\n'));
        let lines = numbered.filter(|(_, line)| !line.trim_ascii().is_empty());
        return kept(lines.map(|(number, line)| Ok(ImportLine::parse(number, line))), errors);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count();
        ProgramError::failed(format!("line {} of the table is not UTF-8", before + 1))
    })?;
    if text.bytes().filter(|byte| *byte == b'"').count() % 2 == 1 {
        return Err(ProgramError::failed("the table has a quotation mark that no other one closes"));
    }
    let mut rows = Rows::of(text);
    let (_, header) = rows.next().transpose()?.unwrap_or_default();
    let columns: Vec<&str> = header.iter().map(|column| column.trim()).collect();
    for (at, column) in columns.iter().enumerate() {
        if !MEMBERS.contains(column) {
            let column: String = column.chars().take(64).collect();
            return Err(ProgramError::failed(format!(
                "the table has a column {column:?}, and there are only {}",
                MEMBERS.join(", ")
            )));
        }
        if columns.iter().take(at).any(|before| before == column) {
            return Err(ProgramError::failed(format!("the table has the column {column:?} twice")));
        }
    }
    let read = rows.map(|row| {
        let (line, cells) = row?;
        if cells.len() != columns.len() {
            let fault = LineFault::Cells { cells: cells.len(), columns: columns.len() };
            return Ok(Err(vec![LineError { line, fault }]));
        }
        Ok(ImportLine::of_cells(line, columns.iter().copied().zip(cells.iter().map(String::as_str))))
    });
    kept(read, errors)
}

/// Returns the lines that can be read, and adds what is wrong with the others.
fn kept(
    lines: impl Iterator<Item = Result<Result<ImportLine, Vec<LineError>>, ProgramError>>,
    errors: &mut ImportErrors,
) -> Result<Vec<ImportLine>, ProgramError> {
    let mut kept = Vec::new();
    for line in lines {
        match line? {
            Ok(_) if kept.len() == MAX_PEOPLE => {
                return Err(ProgramError::failed(format!(
                    "there are over {MAX_PEOPLE} lines: split the file"
                )));
            }
            Ok(line) => kept.push(line),
            Err(wrong) => wrong.into_iter().for_each(|error| errors.push(error)),
        }
    }
    Ok(kept)
}

/// The rows of a table (RFC 4180), each with the number of the line that it begins in.
struct Rows<'a> {
    reader: csv_core::Reader,
    rest: &'a [u8],
    line: u64,
    /// The cells of a row, one behind the other, and the end of each.
    output: Vec<u8>,
    ends: Vec<usize>,
}

impl<'a> Rows<'a> {
    fn of(text: &'a str) -> Self {
        let rest = text.as_bytes();
        // One column more than there can be: whatever has more cells than that is no row.
        let ends = vec![0; MEMBERS.len() + 1];
        Self {
            reader: csv_core::Reader::new(),
            rest,
            line: 1 + breaks(rest),
            output: vec![0; MAX_LINE],
            ends,
        }
    }
}

/// Returns the number of line breaks that `rest` begins with: what ends a line may be left over, and empty lines are no rows.
fn breaks(rest: &[u8]) -> u64 {
    let ends = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    ends.map(|byte| u64::from(*byte == b'\n')).sum()
}

impl Iterator for Rows<'_> {
    type Item = Result<(u64, Vec<String>), ProgramError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (mut written, mut cells) = (0, 0);
        loop {
            let room = self.output.get_mut(written..).unwrap_or_default();
            let room_for_ends = self.ends.get_mut(cells..).unwrap_or_default();
            let (result, read, wrote, ended) = self.reader.read_record(self.rest, room, room_for_ends);
            self.rest = self.rest.get(read..).unwrap_or_default();
            (written, cells) = (written + wrote, cells + ended);
            let told = match result {
                csv_core::ReadRecordResult::InputEmpty => continue,
                csv_core::ReadRecordResult::End => return None,
                csv_core::ReadRecordResult::Record => break,
                csv_core::ReadRecordResult::OutputFull => format!("has over {MAX_LINE} bytes"),
                csv_core::ReadRecordResult::OutputEndsFull => format!("has over {} cells", MEMBERS.len()),
            };
            return Some(Err(ProgramError::failed(format!("the row of line {} {told}", self.line))));
        }
        let (mut row, mut from) = (Vec::new(), 0);
        for to in self.ends.iter().take(cells) {
            let cell = self.output.get(from..*to).unwrap_or_default();
            row.push(String::from_utf8_lossy(cell).into_owned());
            from = *to;
        }
        let line = self.line;
        self.line = self.reader.line() + breaks(self.rest);
        Some(Ok((line, row)))
    }
}

pub(super) fn export(context: &Context, Export { hashes }: &Export) -> Result<(), ProgramError> {
    let admin = context.reading()?;
    // Whether or not `--json` is given: it is what an import reads.
    let mut lines = Output::new(true, false).stream();
    let list = |page| ListUsers { page, search: None };
    admin.pages(list, |user| {
        let record = if *hashes {
            let account = admin.run(ShowAccount { user: UserRef::from(&user.id) })?;
            let password = account.password.as_ref().map(|password| password.hash.as_str());
            exported(&account.user, password)
        } else {
            exported(&user, None)
        };
        Ok(lines.print(&record)?)
    })?;
    Ok(lines.flush()?)
}

/// Returns the members of a line from which an import makes the same user again.
fn exported(user: &User, hash: Option<&str>) -> Record {
    let address = user.address.as_deref().map(|text| serde_json::from_str(text).unwrap_or(Value::Null));
    let members = [
        ("email", user.email.clone().map(Value::from)),
        ("phone", user.phone.clone().map(Value::from)),
        ("name", user.name.clone().map(Value::from)),
        ("gender", user.gender.map(Gender::as_str).map(Value::from)),
        ("address", address),
        ("second_factor", user.second_factor.map(AskFactor::as_str).map(Value::from)),
        ("status", Some(user.status.as_str().into())),
        // Without a password, nothing is known of it.
        ("must_change_password", hash.map(|_| user.must_change_password.into())),
        ("password_hash", hash.map(Value::from)),
        ("password_changed_at", hash.and(user.password_changed_at).map(|at| Time::rfc3339(at).into())),
        ("created_at", Some(user.created_at.rfc3339().into())),
    ];
    let named = Record::new().with("id", user.id.as_str()).with("username", user.username.as_str());
    let known = members.into_iter().filter_map(|(name, value)| Some((name, value?)));
    known.fold(named, |record, (name, value)| record.with(name, value))
}
