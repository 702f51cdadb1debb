//! The audit rows: read and verified page by page, archived in a file, and only then deleted if they are old enough.

use std::path::Path;
use std::sync::Arc;

use gatepass_core::base::time::Time;
use gatepass_core::store::archive_request::ArchiveRequest;
use gatepass_core::store::audit::{Event, Kind};
use rusqlite::{Connection, params};

use super::apply::apply;
use super::audit::{columns, kept_head, kept_marks, row_fields};
use super::transaction_error::TransactionError;
use super::values::signed;
use super::walk::{self, PAGE};
use super::{Store, audit_pages, schema};
use crate::secrets::master_key::hex;
use crate::store::audit_archive::{self, ArchivedRow, Span};
use crate::store::audit_chain::{AuditVerdict, Chain, Head, Marks, SealedHead, WIDTH, broken};
use crate::store::audit_filter::{AuditFilter, AuditOrder, AuditPage, AuditSpan};
use crate::store::backend::{Archived, AuditCut, AuditTrail, OnProgress, Upkeep as _};
use crate::store::error::StoreError;
use crate::store::rows::stamp;

/// The number of rows deleted in one transaction.
const CUT: i64 = 256;

impl AuditTrail for Store {
    fn audit_span(&self, filter: &AuditFilter) -> Result<Option<AuditSpan>, StoreError> {
        self.snapshot(|db| audit_pages::span(db, filter))
    }

    fn audit_head(&self) -> Result<(u64, String), StoreError> {
        let SealedHead { head, .. } = self.snapshot(kept_head)?;
        Ok((head.seq, hex(&head.mac).to_string()))
    }

    fn audit_page(
        &self,
        filter: &AuditFilter,
        span: &AuditSpan,
        order: AuditOrder,
    ) -> Result<AuditPage, StoreError> {
        self.snapshot(|db| audit_pages::page(db, filter, span, order))
    }

    fn verify_audit(&self) -> Result<AuditVerdict, StoreError> {
        let mut walk = walk::walk(schema::known());
        loop {
            if let Some(verdict) = self.snapshot(|db| walk::verify_page(&mut walk, self.chain(), db))? {
                return Ok(verdict);
            }
        }
    }

    fn archive_audit(
        &self,
        to: Option<&Path>,
        request: &ArchiveRequest,
        progress: &mut OnProgress<'_>,
    ) -> Result<Archived, StoreError> {
        let (files, chain) = (&*self.installation().files, self.chain());
        if let Some(to) = to {
            audit_archive::require_new(files, to)?;
        }
        let (marks, span) = self.snapshot(|db| {
            let marks = marks(db, chain)?;
            let span = span(db, chain, &marks, request.before)?;
            Ok((marks, span))
        })?;
        if span.last <= span.from.seq {
            return Err(StoreError::NothingToArchive);
        }
        let own;
        let to = match to {
            Some(to) => to,
            // What is left of the disk is for changes that restrict something.
            None if self.is_disk_full() => return Err(StoreError::DiskFull),
            None => {
                let archives = self.installation().archives();
                own = audit_archive::own_file(files, &archives, (span.first(), span.last), request.event.at)?;
                &own
            }
        };
        let mut page = |at: &Head| self.snapshot(|db| page(db, chain, at, span.last));
        let archived = audit_archive::write(files, to, chain, &span, &mut page, progress)?;
        let recorded = self.record_archive(request, &marks, &archived);
        if matches!(&recorded, Err(error) if !matches!(error, StoreError::Unknown(_))) {
            // Its rows are in no archive yet: another one is going to have them.
            let _ = files.remove(&archived.path);
        }
        recorded.map(|()| archived)
    }

    fn read_archive(&self, path: &Path) -> Result<Archived, StoreError> {
        audit_archive::read(self.chain(), path)
    }

    fn cut_audit(&self, before: Time, sofar: u64, now: Time) -> Result<AuditCut, StoreError> {
        let found = self.snapshot(|db| {
            let marks = marks(db, self.chain())?;
            old_rows(db, &marks, before)
        })?;
        if found.is_none() && sofar == 0 {
            return Ok(AuditCut::default());
        }
        let chain = Arc::clone(self.chain());
        self.write_aside(move |db, tail| {
            let marks = marks(db, &chain)?;
            let mut cut = AuditCut::default();
            let mut end = marks.cut.seq;
            if let Some(last) = old_rows(db, &marks, before)? {
                cut.rows = last.seq.saturating_sub(marks.cut.seq);
                end = last.seq;
                db.prepare_cached("DELETE FROM audit WHERE seq <= ?1")?.execute([signed(last.seq)?])?;
                db.prepare_cached("UPDATE meta SET audit_cut = ?1, audit_cut_mac = ?2, audit_cut_seal = ?3")?
                    .execute(params![signed(last.seq)?, last.mac, chain.seal_of_cut(&last)])?;
                cut.more = old_rows(db, &Marks { cut: last, ..marks }, before)?.is_some();
            }
            let all = sofar.saturating_add(cut.rows);
            if !cut.more && all > 0 {
                let count = u32::try_from(all).unwrap_or(u32::MAX);
                let reason = Some(format!("archived rows up to {end}"));
                tail.append(db, &Event { count, reason, ..Event::new(Kind::AuditCut, now) })?;
            }
            Ok(cut)
        })
    }
}

impl Store {
    /// Records that the rows of `archived` are in a file, unless others were archived since `marks` were read.
    fn record_archive(
        &self,
        request: &ArchiveRequest,
        marks: &Marks,
        archived: &Archived,
    ) -> Result<(), StoreError> {
        let (former, last) = (marks.archived, archived.last);
        let seal = self.chain().seal_of_archived(last);
        let event = Event {
            count: u32::try_from(archived.rows()).unwrap_or(u32::MAX),
            reason: Some(format!("rows {} to {last}", archived.first)),
            ..request.event.clone()
        };
        let conditions = request.conditions.clone();
        self.write_restrictive(move |db, tail| {
            conditions.iter().try_for_each(|condition| apply(db, tail, condition))?;
            let done = db.execute(
                "UPDATE meta SET audit_archived = ?1, audit_archived_seal = ?2 WHERE audit_archived = ?3",
                params![signed(last)?, seal, signed(former)?],
            )?;
            if done == 1 { tail.append(db, &event) } else { Err(TransactionError::Conflict) }
        })
    }
}

/// Reads what was archived and deleted.
fn marks(db: &Connection, chain: &Chain) -> Result<Marks, TransactionError> {
    chain.require_marks(&kept_marks(db)?).map_err(TransactionError::Refused)
}

/// Returns the rows that no archive has yet, or those `before` a time.
fn span(
    db: &Connection,
    chain: &Chain,
    marks: &Marks,
    before: Option<Time>,
) -> Result<Span, TransactionError> {
    let from = if marks.archived <= marks.cut.seq {
        marks.cut.clone()
    } else {
        let mac = db
            .query_row("SELECT mac FROM audit WHERE seq = ?1", [signed(marks.archived)?], |row| row.get(0))?;
        Head { seq: marks.archived, mac }
    };
    let kept = kept_head(db)?;
    if !chain.is_sealed(&kept) {
        return Err(TransactionError::Refused(broken("the record of its last row was altered")));
    }
    let kept = kept.head.seq;
    let Some(before) = before else { return Ok(Span { from, last: kept }) };
    let sql = "SELECT min(seq) FROM audit WHERE seq > ?1 AND at >= ?2";
    let end =
        db.query_row(sql, params![signed(from.seq)?, stamp(before)], |row| row.get::<_, Option<i64>>(0))?;
    let end = end.and_then(|end| u64::try_from(end).ok());
    Ok(Span { from, last: end.map_or(kept, |end| end.saturating_sub(1)) })
}

/// Reads the rows after `at`, at most up to `last`, and verifies them.
fn page(db: &Connection, chain: &Chain, at: &Head, last: u64) -> Result<Vec<ArchivedRow>, TransactionError> {
    let columns = columns(schema::known());
    let sql = format!("SELECT {columns}, mac FROM audit WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3");
    let mut select = db.prepare_cached(&sql)?;
    let mut found = select.query(params![signed(at.seq)?, signed(last)?, PAGE])?;
    let mut rows: Vec<ArchivedRow> = Vec::new();
    while let Some(row) = found.next()? {
        let before = rows.last().map_or(at, ArchivedRow::head);
        let mac = row.get_ref(WIDTH)?.as_blob().unwrap_or_default();
        rows.push(
            ArchivedRow::after(before, chain, &row_fields(row)?, mac).map_err(TransactionError::Refused)?,
        );
    }
    Ok(rows)
}

/// Returns the last of the oldest rows that are archived and from before `before`, of as many as go at once; none if there is
/// none.
fn old_rows(db: &Connection, marks: &Marks, before: Time) -> Result<Option<Head>, TransactionError> {
    let mut select = db.prepare_cached(
        "SELECT seq, at, mac FROM audit WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3",
    )?;
    let mut found = select.query(params![signed(marks.cut.seq)?, signed(marks.archived)?, CUT])?;
    let mut last = None;
    while let Some(row) = found.next()? {
        if row.get::<_, i64>(1)? >= stamp(before) {
            break;
        }
        let seq = u64::try_from(row.get::<_, i64>(0)?)
            .map_err(|_| TransactionError::Row { table: "audit", column: "seq" })?;
        last = Some(Head { seq, mac: row.get(2)? });
    }
    Ok(last)
}
