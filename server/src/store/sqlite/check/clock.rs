//! The check of the wall clock against the mark, and against the database server's.

use gatepass_core::base::time::Time;

use super::Report;
use crate::clock::{ClockStatus, MOST_APART, wall};
use crate::store::{Clock, ClockStore};

/// Compares the wall clock with the mark, and with that of the database server if there is one.
pub(super) fn clock(store: &dyn ClockStore, report: &mut Report) {
    match Clock::read(store) {
        Ok(clock) => compare(clock.status(), report),
        Err(error) => report.store_error(&error),
    }
    if let Some(server) = store.server_clock() {
        apart(wall(), server.now(), report);
    }
}

fn apart(machine: Time, server: Time, report: &mut Report) {
    let seconds = machine.unix().abs_diff(server.unix());
    if seconds > MOST_APART {
        report.warning(
            "clock-differs",
            format!(
                "the clock of this machine ({machine}) is {seconds} seconds from the database's ({server}), which counts: a server \
                 here is not ready"
            ),
            "run a time service on both machines",
        );
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
