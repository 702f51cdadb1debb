//! The text of all metrics: what requests have counted, and what is read when somebody asks.

use std::fmt;
use std::sync::Arc;

use gatepass_core::store::query::{Query, Records};

use super::service::Service;
use crate::http::FrontMeasures;
use crate::store::{AuditFilter, StoreError};
use crate::telemetry::metrics::families::Family;
use crate::telemetry::metrics::text::{Labels, Samples};

/// A front whose measures are shown.
#[derive(Debug)]
pub(super) struct MeasuredFront {
    /// Its name: a label.
    pub(super) name: &'static str,
    pub(super) connections: usize,
    pub(super) measures: Arc<FrontMeasures>,
}

/// Returns the text of all metrics of `service`. It reads the store, so it must not run on a worker.
///
/// # Errors
/// None that is known.
pub fn text(service: &Service) -> Result<String, fmt::Error> {
    let mut samples = Samples::default();
    add_process(service, &mut samples);
    service.metrics.add_to(&mut samples);
    add_queues(service, &mut samples);
    add_clock(service, &mut samples);
    if let Err(error) = add_store(service, &mut samples) {
        tracing::warn!(%error, "some metrics could not be read");
    }
    samples.text()
}

fn add_process(service: &Service, samples: &mut Samples) {
    let version = [("version", env!("CARGO_PKG_VERSION").into()), ("cryptography", cryptography().into())];
    samples.number(Family::Build, version.into(), 1);
    samples.number(Family::Uptime, Vec::new(), service.uptime().as_secs());
    if let Some(bytes) = resident_memory() {
        samples.number(Family::ResidentMemory, Vec::new(), bytes);
    }
    if let Some(seconds) = cpu_time() {
        samples.real(Family::CpuTime, Vec::new(), seconds);
    }
}

const fn cryptography() -> &'static str {
    if cfg!(feature = "aws-lc") { "aws-lc-rs" } else { "ring" }
}

/// Returns the bytes of memory that the system says are in use.
fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    kibibytes.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// Returns the seconds of processors that the system says were used.
fn cpu_time() -> Option<f64> {
    /// The unit of the kernel's file, on every machine.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses; user and system time are fields 14 and 15.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

fn add_queues(service: &Service, samples: &mut Samples) {
    for front in service.fronts() {
        let MeasuredFront { name, connections, measures } = front;
        let front = || -> Labels { vec![("front", (*name).into())] };
        samples.size(Family::Connections, front(), measures.connections.get());
        samples.size(Family::ConnectionLimit, front(), *connections);
        samples.number(Family::ConnectionsClosed, front(), measures.closed_for_others.get());
        samples.number(Family::ConnectionsRefused, front(), measures.turned_away.get());
        samples.size(Family::InFlight, front(), measures.in_flight.get());
        samples.size(Family::RequestsWaiting, front(), measures.waiting.get());
        samples.size(Family::RequestsParked, front(), measures.parked.get());
    }
    let hashes = service.hash_counts();
    samples.size(Family::HashesWaiting, Vec::new(), hashes.waiting);
    samples.size(Family::HashesRunning, Vec::new(), hashes.running);
    samples.number(Family::Hashes, Vec::new(), hashes.begun);
    samples.number(Family::HashesRefused, Vec::new(), hashes.refused);
}

fn add_clock(service: &Service, samples: &mut Samples) {
    let clock = service.clock.status();
    samples.number(Family::ClockBehind, Vec::new(), clock.behind.unwrap_or(0));
    samples.number(Family::ClockAhead, Vec::new(), clock.ahead.unwrap_or(0));
    samples.number(Family::ClockMark, Vec::new(), clock.mark.unix());
}

fn add_store(service: &Service, samples: &mut Samples) -> Result<(), StoreError> {
    let store = &*service.store;
    let now = service.clock.now();
    samples.number(Family::LogSize, Vec::new(), store.log_bytes());
    samples.number(Family::DatabaseSize, Vec::new(), store.database_bytes());
    samples.number(Family::DiskFull, Vec::new(), store.is_disk_full().into());
    samples.number(Family::RollbackCovered, Vec::new(), store.witness_works().into());
    if let Some(measures) = store.measures() {
        samples.size(Family::CommitsWaiting, Vec::new(), measures.waiting.get());
        samples.distribution(Family::BatchSize, Vec::new(), measures.batch.read());
        samples.distribution(Family::WriteTime, Vec::new(), measures.writing.read());
        samples.distribution(Family::SyncTime, Vec::new(), measures.syncing.read());
        let lost = &measures.lost;
        for (found, count) in
            [("written", &lost.written), ("not-written", &lost.not_written), ("unknown", &lost.unknown)]
        {
            samples.number(Family::LostAnswers, vec![("found", found.into())], count.get());
        }
    }
    if let Some(made_at) = store.last_backup() {
        samples.number(Family::BackupAge, Vec::new(), made_at.until(now));
    }
    let rows = service.row_counts.read();
    for (table, count) in rows {
        samples.number(Family::Rows, vec![("table", table.as_str().into())], count);
    }
    let audit = store.audit_span(&AuditFilter::default())?;
    let audit = audit.map_or(0, |span| span.end().saturating_sub(*span.start()).saturating_add(1));
    samples.number(Family::Rows, vec![("table", "audit".into())], audit);
    let Records::Keys(keys) = store.find(&Query::Keys)?.records else { return Ok(()) };
    for key in keys.keys {
        let age = key.created_at.until(now);
        let labels = vec![
            ("kid", key.id.into()),
            ("alg", key.algorithm.as_str().into()),
            ("state", key.state.as_str().into()),
        ];
        samples.number(Family::KeyAge, labels, age);
    }
    Ok(())
}
