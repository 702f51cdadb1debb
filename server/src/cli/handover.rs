//! `gatepass handover`: the installation moves to another machine.

use clap::Subcommand;

use super::context::Context;
use crate::error::ProgramError;
use crate::output::Record;
use crate::store::Access;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Undo a handover that failed: this server answers again, and everything issued before is refused
    Cancel,
}

pub(super) fn run(context: &Context, verb: Verb) -> Result<(), ProgramError> {
    let Verb::Cancel = verb;
    let id = context.open_sqlite(Access::WriteHandedOver)?.1.cancel_handover()?;
    Ok(context.out.one(&Record::new().with("handover", id).with("cancelled", true))?)
}
