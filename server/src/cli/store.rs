//! `gatepass store`: the whole store, whatever engine keeps it.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::context::Context;
use crate::config::ConfigLayer;
use crate::config::value::Value as _;
use crate::database_address::DatabaseAddress;
use crate::error::ProgramError;
use crate::store::{DatabaseServer, Installation};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Copy everything to an empty place, compare both, and move there
    Copy(Copy),
}

#[derive(Debug, Args)]
pub(super) struct Copy {
    /// The store to copy: a data directory, or postgres://USER@HOST/DATABASE
    #[arg(long, value_name = "WHERE")]
    from: String,
    /// An empty data directory, or an empty database, which gets the copy. The master key of a database is that of --data
    #[arg(long, value_name = "WHERE")]
    to: String,
    /// Let the source go on: the copy is a backup, and when it is used, everything issued before is refused
    #[arg(long)]
    keep_serving: bool,
}

/// The place of a store, as it was named.
#[derive(Clone, Debug)]
pub(super) enum Named {
    /// A data directory.
    Directory(PathBuf),
    /// A database.
    Database(DatabaseAddress),
}

impl Named {
    /// Reads the value of a flag. A message of clap's would repeat a password in it.
    pub(super) fn read(flag: &str, place: &str) -> Result<Self, ProgramError> {
        if ["postgres://", "postgresql://"].iter().any(|scheme| place.starts_with(scheme)) {
            let address = DatabaseAddress::from_text(place);
            return address
                .map(Self::Database)
                .map_err(|wrong| ProgramError::usage(format!("{flag}: {wrong}")));
        }
        Ok(Self::Directory(place.into()))
    }

    /// Returns the files of the store, and its database if it has one.
    pub(super) fn installation(self, context: &Context) -> Result<Installation, ProgramError> {
        match self {
            Self::Directory(data) => Ok(context.at(data).installation()?.with_server(None)),
            Self::Database(address) => {
                let config = context.config(ConfigLayer::default())?;
                let (password, file) = (config.store_password.clone(), config.store_password_file.clone());
                let server = DatabaseServer::new(address, password, file);
                Ok(context.installation()?.with_server(Some(server)))
            }
        }
    }
}

pub(super) fn run(context: &Context, verb: Verb) -> Result<(), ProgramError> {
    let Verb::Copy(Copy { from, to, keep_serving }) = verb;
    let (from, to) = (Named::read("--from", &from)?, Named::read("--to", &to)?);
    if let (Named::Directory(_), Named::Directory(to)) = (&from, &to) {
        return Err(ProgramError::usage(format!(
            "both are data directories: `gatepass backup FILE` copies the one, and `gatepass restore FILE --data {}` makes the other of it",
            to.display()
        )));
    }
    copy(context, &from.installation(context)?, &to.installation(context)?, keep_serving)
}

#[cfg(not(feature = "postgres"))]
fn copy(_: &Context, _: &Installation, _: &Installation, _: bool) -> Result<(), ProgramError> {
    Err(crate::store::StoreError::NotBuilt.into())
}

#[cfg(feature = "postgres")]
fn copy(
    context: &Context,
    from: &Installation,
    to: &Installation,
    keep_serving: bool,
) -> Result<(), ProgramError> {
    use super::progress::Progress;
    use crate::output::Record;
    use crate::store::Copied;

    let mut progress = Progress::new(context.out);
    let copied = crate::store::copy(from, to, keep_serving, &mut |phase, done| progress.show(phase, done));
    drop(progress);
    let copied = copied.map_err(|error| ProgramError::failed(error.to_string()))?;
    let Copied { from, to, handover, tables } = copied;
    let row = |(table, rows)| Record::new().with("table", table).with("rows", rows);
    let rows: Vec<Record> = tables.into_iter().map(row).collect();
    if context.out.json {
        let rows: Result<Vec<_>, _> = rows.iter().map(serde_json::to_value).collect();
        let rows = rows.map_err(|error| ProgramError::failed(error.to_string()))?;
        let printed =
            Record::new().with("from", from).with("to", to).with("handover", handover).with("tables", rows);
        return Ok(context.out.one(&printed)?);
    }
    context.out.list(&["table", "rows"], &rows)?;
    Ok(context.out.say(&if handover.is_some() {
        format!("{to} has everything of {from}, which answers no more: start the server on the copy")
    } else {
        format!("{to} is a backup of {from}; when it is used, everything issued before is refused")
    })?)
}
