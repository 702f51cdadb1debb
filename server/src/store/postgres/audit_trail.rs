//! The audit rows of all slots, as one list; each slot's chain.

use std::path::Path;

use gatepass_core::base::time::Time;
use gatepass_core::store::archive_request::ArchiveRequest;

use super::audit_pages;
use super::audit_walk::{self, SlotWalk};
use super::store::PostgresStore;
use crate::secrets::master_key::hex;
use crate::store::audit_chain::{AuditVerdict, BrokenLink, Head};
use crate::store::audit_filter::{AuditFilter, AuditOrder, AuditPage, AuditSpan};
use crate::store::backend::{Archived, AuditCut, AuditTrail, OnProgress};
use crate::store::error::StoreError;
use crate::store::rows::Columns;

/// The last number that is in the list, and the ends of all chains.
const HEADS: &str =
    "SELECT coalesce((SELECT max(number) FROM audit), 0), seq, mac FROM audit_slots ORDER BY slot";

impl AuditTrail for PostgresStore {
    fn audit_span(&self, filter: &AuditFilter) -> Result<Option<AuditSpan>, StoreError> {
        self.read_with(async |connection| audit_pages::span(connection, filter).await)
    }

    fn audit_head(&self) -> Result<(u64, String), StoreError> {
        let (last, heads) = self.read_with(async |connection| {
            let (mut last, mut heads) = (0, Vec::new());
            for row in &connection.query(HEADS, &[]).await? {
                let mut c = Columns::of(row, "audit_slots");
                last = c.number("number")?;
                heads.push(Head { seq: c.number("seq")?, mac: c.bytes("mac")? });
            }
            Ok((last, heads))
        })?;
        Ok((last, hex(&self.state().chain.link_of_heads(&heads)).to_string()))
    }

    fn audit_page(
        &self,
        filter: &AuditFilter,
        span: &AuditSpan,
        order: AuditOrder,
    ) -> Result<AuditPage, StoreError> {
        self.read_with(async |connection| audit_pages::page(connection, filter, span, order).await)
    }

    fn verify_audit(&self) -> Result<AuditVerdict, StoreError> {
        let chain = &self.state().chain;
        let slots = self.read_with(async |connection| audit_walk::slots(connection, chain).await)?;
        let Some(slots) = slots else {
            return Ok(AuditVerdict { rows: 0, broken: Some(BrokenLink::Slots), slot: None });
        };
        let mut rows = 0;
        for slot in 0..slots {
            let verdict = self.verify_slot(slot)?;
            rows += verdict.rows;
            if verdict.broken.is_some() {
                return Ok(AuditVerdict { rows, slot: Some(slot), ..verdict });
            }
        }
        Ok(AuditVerdict { rows, broken: None, slot: None })
    }

    fn archive_audit(
        &self,
        to: Option<&Path>,
        request: &ArchiveRequest,
        progress: &mut OnProgress<'_>,
    ) -> Result<Archived, StoreError> {
        self.archive(to, request, progress)
    }

    fn read_archive(&self, path: &Path) -> Result<Archived, StoreError> {
        crate::store::audit_archive::read(&self.state().chain, path)
    }

    fn cut_audit(&self, before: Time, sofar: u64, now: Time) -> Result<AuditCut, StoreError> {
        self.cut(before, sofar, now)
    }
}

impl PostgresStore {
    /// Verifies the chain of one slot.
    fn verify_slot(&self, slot: u64) -> Result<AuditVerdict, StoreError> {
        let chain = self.state().chain.of_slot(slot);
        let mut walk = SlotWalk::new(slot);
        loop {
            let (next, verdict) =
                self.read_with(async |connection| walk.clone().page(connection, &chain).await)?;
            if let Some(verdict) = verdict {
                return Ok(verdict);
            }
            walk = next;
        }
    }
}
