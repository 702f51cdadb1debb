//! `gatepass restore`: a backup in the place of the database.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;

use super::backup::{COPIED_BY, record};
use super::context::{Context, in_own_file};
use super::progress::Progress;
use crate::error::ProgramError;
use crate::output::Record;
use crate::secrets::master_key::hex;
use crate::secrets::random::random;
use crate::store::{self, StoreError};

#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The backup, or - for standard input
    #[arg(required_unless_present = "accept")]
    file: Option<PathBuf>,
    /// Replace the database that is there, and keep it beside the restored one
    #[arg(long)]
    replace: bool,
    /// Make an id with which another machine can hand its installation over to this directory, once
    #[arg(long, conflicts_with_all = ["file", "replace"])]
    accept: bool,
}

pub(super) fn run(context: &Context, Restore { file, replace, accept }: Restore) -> Result<(), ProgramError> {
    let installation = context.installation()?;
    in_own_file(&installation, COPIED_BY)?;
    let Some(file) = file.filter(|_| !accept) else {
        let id = store::accept(&installation)?;
        return Ok(context.out.one(&Record::new().with("handover", id))?);
    };
    let from_stdin = *file == *Path::new("-");
    let source = if from_stdin { take_stdin()? } else { file.clone() };
    let mut progress = Progress::new(context.out);
    let restored =
        store::restore(&installation, &source, replace, &mut |phase, done| progress.show(phase, done));
    drop(progress);
    if from_stdin {
        let _ = std::fs::remove_file(&source);
    }
    let restored = restored.map_err(failure)?;
    let notices: Vec<String> = restored.notices.iter().map(ToString::to_string).collect();
    let printed = record(&file.display().to_string(), &restored.backup)
        .with("database", installation.database().display().to_string())
        .with("replaced", restored.replaced.map(|path| path.display().to_string()))
        .with("taken", restored.taken)
        .with("notices", notices);
    context.out.one(&printed)?;
    if !restored.taken {
        let _ = io::Write::write_all(
            &mut io::stderr(),
            b"gatepass: there is no master key yet: put the one of the backup there, then run `gatepass check`\n",
        );
    }
    Ok(())
}

/// Returns the message of a restore that failed.
fn failure(error: StoreError) -> ProgramError {
    if let StoreError::FileExists(path) = &error {
        return ProgramError::failed(format!(
            "there is a database already ({}): add --replace, which keeps it beside the restored one",
            path.display()
        ));
    }
    if let StoreError::InUse(path) = &error {
        return ProgramError::failed(format!(
            "{} is in use: stop the server and every command on it first",
            path.display()
        ));
    }
    error.into()
}

/// Copies standard input to a file, because a database is not read from front to back.
fn take_stdin() -> Result<PathBuf, ProgramError> {
    let name = random::<8>()?;
    let path = std::env::temp_dir().join(format!("gatepass-restore-{}", *hex(&*name)));
    let copied = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut to| io::copy(&mut io::stdin().lock(), &mut to));
    match copied {
        Ok(_) => Ok(path),
        Err(error) => {
            let _ = std::fs::remove_file(&path);
            Err(ProgramError::failed(format!("the backup could not be read from standard input: {error}")))
        }
    }
}
