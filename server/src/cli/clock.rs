//! `gatepass clock`: the clock mark.

use clap::Subcommand;
use gatepass_core::base::time::Time;
use gatepass_core::store::audit::{Event, Kind};

use crate::store::AdminSession;

use super::context::Context;
use crate::clock::{ClockStatus, QUIET_BEFORE_SWEEPS, RELEASED};
use crate::error::ProgramError;
use crate::output::Record;
use crate::store::Clock;
use crate::store::{Access, ClockMark, EndedAhead};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show the wall clock, the clock mark, and the difference
    Show,
    /// Set a wrong clock mark to the wall clock; check the wall clock first
    Reset,
}

/// Returns the clocks, and what the store keeps about them.
fn record(status: &ClockStatus, kept: &ClockMark) -> Record {
    let since = kept.ahead_since.filter(|_| status.ahead.is_some());
    let quiet_at = kept.jumped_at.map(|at| at.plus(QUIET_BEFORE_SWEEPS)).filter(|at| *at > status.mark);
    Record::new()
        .with("wall", status.wall.rfc3339())
        .with("mark", status.mark.rfc3339())
        .with("now", status.now.rfc3339())
        .with("behind", status.behind)
        .with("ahead", status.ahead)
        .with("provisional_since", since.map(Time::rfc3339))
        .with("provisional_for", since.map(|since| since.until(status.mark)))
        .with("sweeps_wait", status.ahead.is_some() || quiet_at.is_some())
        .with("sweeps_from", quiet_at.filter(|_| status.ahead.is_none()).map(Time::rfc3339))
}

/// Sets the mark to the wall clock, and ends what is dated ahead of it.
fn reset(admin: &AdminSession) -> Result<EndedAhead, ProgramError> {
    let mark = admin.clock.wall;
    if mark < RELEASED {
        return Err(ProgramError::failed(format!(
            "the wall clock shows {mark}, which is before this version was released: set the clock first, then run \
             `gatepass clock reset` again. Nothing was changed"
        )));
    }
    // Before, so that the row of the audit table has a number; a server that runs may go on issuing until it notices.
    let before = admin.store.end_dated_ahead(mark)?;
    let count = u32::try_from(before.sessions).unwrap_or(u32::MAX).max(1);
    admin.store.set_clock_mark(mark, Some(Event { count, ..Event::new(Kind::ClockReset, mark) }))?;
    Ok(before.plus(admin.store.end_dated_ahead(mark)?))
}

pub(super) fn run(context: &Context, verb: Verb) -> Result<(), ProgramError> {
    let (admin, ended) = match verb {
        Verb::Show => (context.reading()?, None),
        Verb::Reset => {
            let admin = context.open(Access::Write)?;
            let ended = reset(&admin)?;
            (admin, Some(ended))
        }
    };
    let clock = Clock::read(&*admin.store)?;
    let mut record = record(&clock.status(), &clock.kept());
    if let Some(EndedAhead { sessions, tickets, challenges }) = ended {
        record = record
            .with("sessions_ended", sessions)
            .with("tickets_revoked", tickets)
            .with("challenges_ended", challenges);
    }
    Ok(context.out.one(&record)?)
}
