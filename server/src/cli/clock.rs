//! `gatepass clock`: the mark behind which time never goes.

use clap::Subcommand;
use gatepass_core::audit::{Event, Kind};
use gatepass_core::time::Time;

use super::context::Context;
use super::failure::Failure;
use super::output::Record;
use crate::clock::{Clock, ClockStatus};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show the wall clock, the mark, and how far they are apart
    Show,
    /// Set the mark to the wall clock, where it is wrong; check the wall clock first
    Reset,
}

fn record(status: &ClockStatus) -> Record {
    Record::new()
        .with("wall", status.wall.rfc3339())
        .with("mark", status.mark.rfc3339())
        .with("now", status.now.rfc3339())
        .with("behind", status.behind)
        .with("ahead", status.ahead)
}

pub(super) fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    let site = match verb {
        Verb::Show => context.reading()?,
        Verb::Reset => context.site()?,
    };
    let mut status = Clock::read(&site.store)?.status();
    if let Verb::Reset = verb {
        let mark: Time = status.wall;
        site.store.set_clock_mark(mark, Some(Event::new(Kind::ClockReset, mark)))?;
        status = Clock::read(&site.store)?.status();
    }
    Ok(context.out.one(&record(&status))?)
}
