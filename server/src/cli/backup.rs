//! `gatepass backup`: one file that holds everything but the master key.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use gatepass_core::base::time::Time;

use super::context::Context;
use super::progress::Progress;
use crate::error::ProgramError;
use crate::output::Record;
use crate::secrets::master_key::hex;
use crate::secrets::random::random;
use crate::store::{Access, BackupReport, Store, StoreError};

/// How a database server is copied.
pub(super) const COPIED_BY: &str = "copy them with pg_dump and put them back with pg_restore, or use the server's own means, and keep a copy of master.key";

#[derive(Debug, Args)]
pub(super) struct Backup {
    /// The file to create, which must not exist, or - for standard output
    file: PathBuf,
    /// Move the installation: this one stops answering, and the copy continues with everything issued once it is
    /// restored in the directory where `gatepass restore --accept` made this id
    #[arg(long, value_name = "ID")]
    handover: Option<String>,
}

/// Returns the facts about a copy.
pub(super) fn record(file: &str, report: &BackupReport) -> Record {
    Record::new()
        .with("file", file)
        .with("bytes", report.bytes)
        .with("made_at", report.made_at.map(Time::rfc3339))
        .with("schema", report.schema)
        .with("generation", report.generation.map(|generation| generation.number))
        .with("handover", report.handover.clone())
        .with("audit_rows", report.audit_rows)
        .with("audit_head", report.audit_head.clone())
        .with("audit_verified", report.chain_verified)
}

pub(super) fn run(context: &Context, Backup { file, handover }: Backup) -> Result<(), ProgramError> {
    if let Some(id) = &handover
        && (id.len() != 32 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        return Err(ProgramError::usage(format!(
            "--handover {id:?} is not an id that `gatepass restore --accept` has made: 32 hexadecimal digits"
        )));
    }
    let access = if handover.is_some() { Access::WriteHandedOver } else { Access::Read };
    let (_, store) = context.open_sqlite(access, COPIED_BY)?;
    let to_stdout = *file == *Path::new("-");
    let target = if to_stdout {
        let name = random::<8>()?;
        std::env::temp_dir().join(format!("gatepass-backup-{}", *hex(&*name)))
    } else {
        file.clone()
    };
    let mut progress = Progress::new(context.out);
    let made = store.backup(&target, handover.as_deref(), &mut |phase, done| progress.show(phase, done));
    drop(progress);
    let report = made.map_err(|error| after_handover(handover.as_deref(), error))?;
    record_backup(&store, &report);
    let printed = record(&file.display().to_string(), &report).with("log_bytes", report.log_bytes);
    if !to_stdout {
        return Ok(context.out.one(&printed)?);
    }
    let copied = File::open(&target).and_then(|mut from| io::copy(&mut from, &mut io::stdout().lock()));
    let _ = std::fs::remove_file(&target);
    let copied = copied.and_then(|_| io::Write::flush(&mut io::stdout()));
    copied.map_err(|error| {
        ProgramError::failed(format!("the backup could not be written to standard output: {error}"))
    })?;
    // The output is the copy itself.
    eprint_line(&printed);
    Ok(())
}

/// Prints a record as one line on stderr.
fn eprint_line(record: &Record) {
    // A closed stderr cannot be reported.
    let _ = io::Write::write_all(&mut io::stderr(), format!("gatepass: {}\n", record.line()).as_bytes());
}

/// Writes down when the last backup was made. Whoever may read the directory alone can make one all the same.
fn record_backup(store: &Store, report: &BackupReport) {
    let Some(made_at) = report.made_at else { return };
    if let Err(error) = store.installation().record_backup(made_at) {
        // A closed stderr cannot be reported.
        let _ = io::Write::write_all(
            &mut io::stderr(),
            format!("gatepass: the backup is whole; the server does not learn of it: {error}\n").as_bytes(),
        );
    }
}

/// Adds both ways on to `error` if the installation may be handed over already.
fn after_handover(handover: Option<&str>, error: StoreError) -> ProgramError {
    match (handover, &error) {
        (Some(id), other) if !matches!(other, StoreError::FileExists(_) | StoreError::HandedOver(_)) => {
            ProgramError::failed(format!(
                "{error}. This installation may be handed over already: run the command again with --handover {id}, or `gatepass handover cancel`"
            ))
        }
        _ => error.into(),
    }
}
