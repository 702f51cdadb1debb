//! The work beside the requests: signals, sweeps of old rows, the clock's mark, counts of refusals.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use gatepass_core::store::Store as _;
use gatepass_core::store::change::{Change, Outcome};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use super::service::Service;
use super::{Stopper, retention};
use crate::clock::ClockStatus;
use crate::config::{ConfigLayer, ConfigSources};
use crate::error::{FAILED, ProgramError};
use crate::store::{EndedAhead, STEP};
use crate::telemetry::log;
use crate::threads::named;

/// The longest time between two rounds.
const ROUND: Duration = Duration::from_secs(30);
/// Rows of each kind that are deleted in one transaction: the fewest, and the most.
const BATCH: RangeInclusive<usize> = 8..=16;

/// The maintenance thread; it ends with [`Maintenance::end`].
#[derive(Debug)]
pub struct Maintenance {
    end: mpsc::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Maintenance {
    /// Does the last round, and waits until it is done.
    pub fn end(self) {
        drop(self.end);
        // A panic was reported already.
        let _ = self.thread.join();
    }
}

/// Starts the maintenance of `service`, with a sweep every `sweep_interval`. `reported` is what the log says about the
/// clock already.
///
/// # Errors
/// If no thread can be started.
pub fn start(
    service: Arc<Service>,
    sweep_interval: Duration,
    reported: ReportedClock,
) -> Result<Maintenance, ProgramError> {
    let (end, ended) = mpsc::channel();
    let work = move || {
        let (mut swept, mut more) = (Instant::now(), false);
        let (mut reported, mut dated_ahead) = (reported, is_dated_ahead(&service));
        let (mut large_log, mut cut) = (false, 0);
        service.row_counts.count_on(&*service.store);
        loop {
            let pause = if more { Duration::ZERO } else { ROUND.min(sweep_interval) };
            let over = ended.recv_timeout(pause) != Err(RecvTimeoutError::Timeout);
            let now = service.clock.now();
            let counts =
                if over { service.refusal_counts.rest(now) } else { service.refusal_counts.finished(now) };
            let rows = counts.into_iter().map(Change::Audit).collect();
            write_down(&service, rows, "counts of refusals were not written to the audit table");
            write_down(&service, service.secret_uses.take(), "uses of client secrets were not written");
            let kept = if over {
                service.clock.persist(&*service.store)
            } else {
                service.clock.keep(&*service.store)
            };
            if let Err(error) = kept {
                tracing::error!(%error, "the clock's mark was not moved");
            }
            log::log_left_out(over);
            if over {
                return;
            }
            service.store.make_reserve();
            service.row_counts.count_on(&*service.store);
            large_log = retention::report_large_log(&service, large_log);
            reported = log_clock(&service.clock.status(), Some(reported));
            dated_ahead |= service.clock.take_stepped_back() || service.clock.is_past_a_jump();
            if dated_ahead {
                dated_ahead = !end_dated_ahead(&service);
            }
            if more || swept.elapsed() >= sweep_interval {
                swept = Instant::now();
                let is_over = || ended.try_recv() == Err(TryRecvError::Disconnected);
                more = sweep(&service, is_over);
                cut = retention::cut_audit(&service, cut, is_over);
            }
        }
    };
    let thread = named("maintenance").spawn(work);
    let thread = thread.map_err(|error| ProgramError::failed(format!("cannot start a thread: {error}")))?;
    Ok(Maintenance { end, thread })
}

/// Commits `changes`, or logs that this failed.
fn write_down(service: &Service, changes: Vec<Change>, failure: &str) {
    if changes.is_empty() {
        return;
    }
    let changes: Arc<[Change]> = changes.into();
    match service.store.commit(&changes) {
        Outcome::Applied => {}
        Outcome::Conflict | Outcome::NotApplied | Outcome::Unknown => {
            tracing::error!(rows = changes.len(), "{failure}");
        }
    }
}

/// Returns true if a start finds rows that are dated ahead among the newest ones. If a jump was in use the store says
/// so, and the clock knows it from there.
fn is_dated_ahead(service: &Service) -> bool {
    service.store.newest_are_dated_ahead(service.clock.now()).unwrap_or_else(|error| {
        tracing::error!(%error, "rows that are dated ahead were not looked for");
        true
    })
}

/// Ends what was issued while own time stood further; returns true if it is done.
fn end_dated_ahead(service: &Service) -> bool {
    let status = service.clock.status();
    let done = service.store.end_dated_ahead(status.now).and_then(|ended| {
        if status.ahead.is_none() {
            service.clock.forget_jump(&*service.store)?;
        }
        Ok(ended)
    });
    match done {
        Ok(ended) => {
            let EndedAhead { sessions, tickets, challenges } = ended;
            if ended != EndedAhead::default() {
                tracing::warn!(
                    sessions,
                    tickets,
                    challenges,
                    "what was issued while the wall clock was ahead was ended: it is dated ahead"
                );
            }
            true
        }
        Err(error) => {
            tracing::error!(%error, "what is dated ahead was not ended; it is refused, and tried again");
            false
        }
    }
}

/// Sweeps if the clock allows it: what a jump of the wall clock makes look old would be deleted for good, even if the
/// clock is corrected a minute later. In short steps, until there is no more, other work waits, or the thread must
/// stop; returns true if there is more.
fn sweep(service: &Service, is_over: impl Fn() -> bool) -> bool {
    let Some(now) = service.clock.sweeps_before() else { return false };
    let (mut tickets, mut sessions, mut batch) = (0, 0, *BATCH.start());
    let (end, mut more) = (Instant::now() + ROUND / 2, true);
    while more && Instant::now() < end && !is_over() {
        match service.store.sweep(now, batch) {
            Ok(swept) => {
                tickets += swept.tickets;
                sessions += swept.sessions;
                more = swept.more;
                batch = if swept.took > STEP {
                    batch / 2
                } else if swept.took < STEP / 2 {
                    batch * 2
                } else {
                    batch
                };
                batch = batch.clamp(*BATCH.start(), *BATCH.end());
                if more {
                    // Half of the time is left to requests that write.
                    thread::sleep(swept.took.min(STEP));
                }
            }
            Err(error) => {
                tracing::error!(%error, "old rows were not swept");
                more = false;
            }
        }
    }
    if tickets + sessions > 0 {
        tracing::info!(tickets, sessions, "swept old rows");
    }
    more
}

/// The last report about the wall clock in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportedClock {
    behind: bool,
    ahead: bool,
}

/// Logs that the wall clock is wrong, or right again, when that changes; `last` is none at a start. A machine may have
/// been off for a night, so a clock that is ahead at a start is no warning.
pub(crate) fn log_clock(status: &ClockStatus, last: Option<ReportedClock>) -> ReportedClock {
    let reported = ReportedClock { behind: status.behind.is_some(), ahead: status.ahead.is_some() };
    if Some(reported) == last {
        return reported;
    }
    let (wall, mark) = (status.wall, status.mark);
    match (status.behind, status.ahead) {
        (Some(seconds), _) => tracing::warn!(
            seconds,
            %wall,
            %mark,
            "the wall clock is behind and does not count: set it, or run `gatepass clock reset` where the mark is wrong"
        ),
        (None, Some(seconds)) if last.is_none() => tracing::info!(
            seconds,
            %wall,
            %mark,
            "the wall clock is ahead of the mark, as after a time without power: it is used, and the mark follows in ten \
             minutes; set the clock if it is wrong"
        ),
        (None, Some(seconds)) => tracing::warn!(
            seconds,
            %wall,
            %mark,
            "the wall clock jumped ahead: it is used, and the mark follows in ten minutes; set the clock if it is wrong"
        ),
        (None, None) if last.is_some_and(|last| last.ahead) => tracing::info!(
            %mark,
            "the mark and the wall clock agree again; nothing is swept for an hour"
        ),
        (None, None) if last.is_some() => tracing::info!("the wall clock is right again"),
        (None, None) => {}
    }
    reported
}

/// Starts to handle signals: SIGTERM and SIGINT stop the front, and a second one ends the process at once; SIGHUP reads
/// the configuration again.
///
/// # Errors
/// If signals cannot be caught, or no thread can be started.
pub(crate) fn handle_signals(
    service: Arc<Service>,
    stoppers: Vec<Stopper>,
    sources: ConfigSources,
    flags: ConfigLayer,
) -> Result<Handle, ProgramError> {
    let failed = |error: std::io::Error| ProgramError::failed(format!("cannot obey signals: {error}"));
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(failed)?;
    let handle = signals.handle();
    let obey = move || {
        let mut stopping = false;
        for signal in &mut signals {
            if signal == SIGHUP {
                let read = sources
                    .read(flags.clone())
                    .map_err(ProgramError::from)
                    .and_then(|config| service.reconfigure(config));
                if let Err(failure) = read {
                    tracing::error!(%failure, "the former configuration stays");
                }
            } else if stopping {
                tracing::warn!("asked to stop twice: requests in flight are cut");
                std::process::exit(FAILED.into());
            } else {
                stopping = true;
                tracing::info!("stopping: requests in flight are finished first");
                stoppers.iter().for_each(Stopper::stop);
            }
        }
    };
    named("signals").spawn(obey).map_err(failed)?;
    Ok(handle)
}
