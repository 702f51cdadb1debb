//! Limits on growth: archived audit rows that are old are deleted, and a large log is reported.

use std::time::{Duration, Instant};

use gatepass_core::base::time::Time;

use super::service::Service;

/// The longest time that rows are deleted in one round.
const LONGEST: Duration = Duration::from_secs(15);
/// A log of this many bytes is reported.
pub(super) const LARGE_LOG: u64 = 64 * 1024 * 1024;

/// Deletes archived audit rows that are older than the configuration keeps them, until there is none, the round is
/// over, or the thread must stop. Takes and returns the number of deleted rows without an audit row yet.
pub(super) fn cut_audit(service: &Service, unreported: u64, is_over: impl Fn() -> bool) -> u64 {
    let keep = service.audit_retention().as_secs();
    if keep == 0 && unreported == 0 {
        return 0;
    }
    // By the trusted time, as old rows are swept.
    let now = service.clock.status().mark;
    let before = Time::from_unix(if keep == 0 { 0 } else { now.unix().saturating_sub(keep) });
    let (end, mut rows) = (Instant::now() + LONGEST, unreported);
    loop {
        match service.store.cut_audit(before, rows, now) {
            Ok(cut) => {
                rows = rows.saturating_add(cut.rows);
                if !cut.more {
                    break;
                }
                if is_over() || Instant::now() >= end {
                    return rows;
                }
            }
            Err(error) => {
                tracing::error!(%error, "archived audit rows were not deleted");
                return rows;
            }
        }
    }
    if rows > 0 {
        tracing::info!(rows, "deleted archived audit rows");
    }
    0
}

/// Logs that the write-ahead log is large, once until it is small again. Returns true if it is large.
pub(super) fn report_large_log(service: &Service, was_large: bool) -> bool {
    let bytes = service.store.log_bytes();
    let is_large = bytes >= LARGE_LOG;
    if is_large && !was_large {
        tracing::warn!(
            bytes,
            "the write-ahead log has grown large: another program holds the database open for reading, or the disk is too slow; end what reads gatepass.db"
        );
    } else if was_large && !is_large {
        tracing::info!(bytes, "the write-ahead log is small again");
    }
    is_large
}
