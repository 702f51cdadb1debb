//! The check of the wall clock against the mark.

use gatepass_core::base::time::Time;

use super::Report;
use crate::clock::ClockStatus;
use crate::store::{Clock, ClockStore};

/// Compares the wall clock with the mark.
pub(super) fn clock(store: &dyn ClockStore, report: &mut Report) {
    match Clock::read(store) {
        Ok(clock) => compare(clock.status(), report),
        Err(error) => report.store_error(&error),
    }
}

fn compare(status: ClockStatus, report: &mut Report) {
    let (wall, mark) = (Time::rfc3339(status.wall), Time::rfc3339(status.mark));
    if let Some(seconds) = status.behind {
        report.warning(
            "clock-behind",
            format!(
                "the wall clock ({wall}) is {seconds} seconds behind the mark ({mark}) and does not count"
            ),
            "set the clock, or run `gatepass clock reset` where the mark is wrong",
        );
    }
    if let Some(seconds) = status.ahead {
        report.warning(
            "clock-ahead",
            format!(
                "the wall clock ({wall}) is {seconds} seconds ahead of the mark ({mark}), as after a time without a server"
            ),
            "set the clock where it is wrong; else start the server, whose mark follows in ten minutes",
        );
    }
}
