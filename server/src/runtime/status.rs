//! What administrators ask about the server and its audit log.

use gatepass_core::api::server_status::{AuditArchive, AuditPage, AuditSearch, ChainVerdict, ServerStatus};
use gatepass_core::store::archive_request::ArchiveRequest;

use super::service::Service;
use crate::store::{Archived, AuditOrder, StoreError};

/// The most pages of the store that are looked through for one page of an answer: so many rows take a second.
const PAGES: usize = 20;

/// Returns the status of the server.
///
/// # Errors
/// [`StoreError`] if the store cannot be read.
pub(super) fn status(service: &Service) -> Result<ServerStatus, StoreError> {
    let (store, clock) = (&*service.store, service.clock.status());
    Ok(ServerStatus {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime: service.uptime().as_secs(),
        now: clock.now,
        wall: clock.wall,
        mark: clock.mark,
        clock_behind: clock.behind,
        clock_ahead: clock.ahead,
        engine: store.engine().to_owned(),
        database: store.place(),
        database_bytes: store.database_bytes(),
        log_bytes: store.log_bytes(),
        disk_full: store.is_disk_full(),
        rollback_covered: store.witness_works(),
        last_backup: store.last_backup(),
        chain_head: store.audit_head()?,
    })
}

/// Returns a page of the audit rows that are asked for, oldest first. It looks at a bounded number of rows.
///
/// # Errors
/// [`StoreError`] if the store cannot be read.
pub(super) fn audit_page(service: &Service, search: &AuditSearch) -> Result<AuditPage, StoreError> {
    let span = service.store.audit_span(&search.filter)?;
    let first = search.after.map_or(0, |after| after.saturating_add(1));
    let mut rest = span.map(|span| first.max(*span.start())..=*span.end()).filter(|span| !span.is_empty());
    let mut found = AuditPage::default();
    for _ in 0..PAGES {
        let Some(span) = rest.take() else { break };
        let page = service.store.audit_page(&search.filter, &span, AuditOrder::OldestFirst)?;
        rest = page.rest;
        let mut rows = page.rows.into_iter();
        let room = search.limit.saturating_sub(found.rows.len());
        found.rows.extend(rows.by_ref().take(room).map(|row| (row.seq, row.event)));
        if rows.next().is_some() {
            found.next = found.rows.last().map(|(seq, _)| *seq);
            return Ok(found);
        }
        if found.rows.len() >= search.limit {
            break;
        }
    }
    found.next = rest.map(|span| span.start().saturating_sub(1));
    Ok(found)
}

/// Verifies the audit chain.
///
/// # Errors
/// [`StoreError`] if the store cannot be read.
pub(super) fn verify_audit(service: &Service) -> Result<ChainVerdict, StoreError> {
    let verdict = service.store.verify_audit()?;
    Ok(ChainVerdict { rows: verdict.rows, broken: verdict.fault() })
}

/// Writes audit rows to a new file in the directory of archives.
///
/// # Errors
/// [`StoreError`] if there are none, or they cannot be archived.
pub(super) fn archive_audit(service: &Service, request: &ArchiveRequest) -> Result<AuditArchive, StoreError> {
    let Archived { path, first, last, rows, head, bytes, sha256 } =
        service.store.archive_audit(None, request, &mut |_, _| ())?;
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(AuditArchive { file, first, last, rows, head, bytes, sha256 })
}
