//! `gatepass handover`: the installation moves to another machine.

use clap::Subcommand;

use super::context::Context;
use super::store::Named;
use crate::error::ProgramError;
use crate::output::Record;
use crate::store::{self, Access, Installation, StoreOptions, Upkeep as _};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Undo a handover that failed: this store answers again, and everything issued before is refused
    Cancel {
        /// The store that was handed over: a data directory, or postgres://USER@HOST/DATABASE. Otherwise that of --data
        #[arg(long, value_name = "WHERE")]
        of: Option<String>,
    },
}

pub(super) fn run(context: &Context, verb: Verb) -> Result<(), ProgramError> {
    let Verb::Cancel { of } = verb;
    let installation = match of {
        None => context.installation()?,
        Some(place) => Named::read("--of", &place)?.installation(context)?,
    };
    let id = match &installation.server {
        None => cancel(&installation)?,
        Some(database) => store::cancel_handover(database, &installation)?,
    };
    Ok(context.out.one(&Record::new().with("handover", id).with("cancelled", true))?)
}

fn cancel(installation: &Installation) -> Result<String, ProgramError> {
    let opened = store::Store::open(installation, Access::WriteHandedOver, &StoreOptions::default())?;
    let id = opened.cancel_handover()?;
    // The change is committed, even if the log could not be emptied.
    if let Err(error) = opened.close() {
        let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("gatepass: {error}\n").as_bytes());
    }
    Ok(id)
}
