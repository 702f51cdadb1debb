//! What is done beside the requests: signals are obeyed, old rows swept, the clock's mark moved, refusals written
//! down.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use gatepass_core::audit::Event;
use gatepass_core::model::change::{Change, Outcome};
use gatepass_core::store::Store as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use super::gate::Gate;
use super::{Stopper, retention};
use crate::cli::context::Context;
use crate::cli::failure::{FAILED, Failure};
use crate::clock::ClockStatus;
use crate::config::Given;
use crate::log;
use crate::store::STEP;

/// The longest between two rounds.
const ROUND: Duration = Duration::from_secs(30);
/// Rows of each kind that are taken out in one transaction: the fewest, and the most.
const BATCH: RangeInclusive<usize> = 8..=16;

/// The thread that does the chores; it ends with [`Chores::end`].
#[derive(Debug)]
pub struct Chores {
    end: mpsc::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Chores {
    /// Does the last of them, and waits until it is done.
    pub fn end(self) {
        drop(self.end);
        // Where it panicked, that was told already.
        let _ = self.thread.join();
    }
}

/// Begins to do the chores of `gate`, with a sweep every `sweep_interval`.
///
/// # Errors
/// Where no thread can be started.
pub fn begin(gate: Arc<Gate>, sweep_interval: Duration) -> Result<Chores, Failure> {
    let (end, ended) = mpsc::channel();
    let work = move || {
        let (mut swept, mut more) = (Instant::now(), false);
        let (mut last, mut large_log, mut cut) = (None, false, 0);
        loop {
            let pause = if more { Duration::ZERO } else { ROUND.min(sweep_interval) };
            let over = ended.recv_timeout(pause) != Err(RecvTimeoutError::Timeout);
            let now = gate.clock.now();
            write_down(&gate, if over { gate.tally.rest(now) } else { gate.tally.finished(now) });
            let kept = if over { gate.clock.persist(&gate.store) } else { gate.clock.keep(&gate.store) };
            if let Err(error) = kept {
                tracing::error!(%error, "the clock's mark was not moved");
            }
            log::tell_left_out(over);
            if over {
                return;
            }
            gate.store.make_reserve();
            large_log = retention::tell_a_large_log(&gate, large_log);
            last = Some(tell_the_clock(&gate.clock.status(), last));
            if more || swept.elapsed() >= sweep_interval {
                swept = Instant::now();
                let is_over = || ended.try_recv() == Err(TryRecvError::Disconnected);
                more = sweep(&gate, is_over);
                cut = retention::cut_audit(&gate, cut, is_over);
            }
        }
    };
    let thread = thread::Builder::new().name("chores".into()).spawn(work);
    let thread = thread.map_err(|error| Failure::failed(format!("cannot start a thread: {error}")))?;
    Ok(Chores { end, thread })
}

fn write_down(gate: &Gate, events: Vec<Event>) {
    if events.is_empty() {
        return;
    }
    let changes: Arc<[Change]> = events.into_iter().map(Change::Audit).collect();
    match gate.store.commit(&changes) {
        Outcome::Applied => {}
        Outcome::Conflict | Outcome::NotApplied | Outcome::Unknown => {
            tracing::error!(rows = changes.len(), "counts of refusals were not written to the audit table");
        }
    }
}

/// Sweeps by the time that is trusted: what a jump of the wall clock makes look old would be gone for good, even
/// where the clock is set right a minute later. In steps that nobody notices, until there is no more, other chores
/// wait, or it is to stop; whether there is more.
fn sweep(gate: &Gate, is_over: impl Fn() -> bool) -> bool {
    let now = gate.clock.status().mark;
    let (mut tickets, mut sessions, mut batch) = (0, 0, *BATCH.start());
    let (end, mut more) = (Instant::now() + ROUND / 2, true);
    while more && Instant::now() < end && !is_over() {
        match gate.store.sweep(now, batch) {
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

/// Tells that the wall clock is wrong, or right again, when that changes. Gives back what was told.
fn tell_the_clock(status: &ClockStatus, last: Option<(bool, bool)>) -> (bool, bool) {
    let state = (status.behind.is_some(), status.ahead.is_some());
    if Some(state) != last {
        match (status.behind, status.ahead) {
            (Some(seconds), _) => tracing::warn!(
                seconds,
                "the wall clock is behind the mark and is not believed: set it, or run `gatepass clock reset` where the mark is wrong"
            ),
            (None, Some(seconds)) => tracing::warn!(
                seconds,
                "the wall clock jumped ahead: set it back, or run `gatepass clock reset` where it is right"
            ),
            (None, None) if last.is_some() => tracing::info!("the wall clock is right again"),
            (None, None) => {}
        }
    }
    state
}

/// Begins to obey signals: SIGTERM and SIGINT stop the front, and asked twice end the process at once; SIGHUP reads
/// the configuration again.
///
/// # Errors
/// Where signals cannot be caught, or no thread can be started.
pub(crate) fn obey_signals(
    gate: Arc<Gate>,
    stopper: Stopper,
    context: Context,
    flags: Given,
) -> Result<Handle, Failure> {
    let failed = |error: std::io::Error| Failure::failed(format!("cannot obey signals: {error}"));
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(failed)?;
    let handle = signals.handle();
    let obey = move || {
        let mut stopping = false;
        for signal in &mut signals {
            if signal == SIGHUP {
                let read = context.config(flags.clone()).and_then(|config| gate.reconfigure(&config));
                match read {
                    Ok(()) => tracing::info!("the configuration was read again"),
                    Err(failure) => tracing::error!(%failure, "the former configuration stays"),
                }
            } else if stopping {
                tracing::warn!("asked to stop twice: requests in flight are cut");
                std::process::exit(FAILED.into());
            } else {
                stopping = true;
                tracing::info!("stopping: requests in flight are finished first");
                stopper.stop();
            }
        }
    };
    thread::Builder::new().name("signals".into()).spawn(obey).map_err(failed)?;
    Ok(handle)
}
