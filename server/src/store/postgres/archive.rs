//! The audit rows of all slots: archived in a file, and only then deleted if they are old enough.

use std::path::Path;

use gatepass_core::base::time::Time;
use gatepass_core::store::archive_request::ArchiveRequest;
use gatepass_core::store::audit::{Event, Kind};
use gatepass_core::store::change::Change;

use super::audit_walk::{self, ChainRow, Kept, PAGE, ROWS, kept, slots_altered};
use super::beside::Transaction;
use super::connection::Connection;
use super::load::Parameter;
use super::reader;
use super::store::PostgresStore;
use super::trouble::Trouble;
use crate::store::audit_archive::slots::{self, SlotSpans};
use crate::store::audit_archive::{self, ArchivedRow, Span};
use crate::store::audit_chain::{Chain, Head, Marks, broken};
use crate::store::backend::{Archived, AuditCut, OnProgress, Upkeep as _};
use crate::store::error::StoreError;
use crate::store::rows::{integer, stamp};

/// The number of rows deleted in one transaction.
const CUT: i64 = 256;

const MAC: &str = "SELECT mac FROM audit WHERE slot = $1 AND seq = $2";
const FIRST_SINCE: &str = "SELECT min(seq) FROM audit WHERE slot = $1 AND seq > $2 AND at >= $3";
const NUMBERS: &str = "SELECT number FROM audit WHERE slot = $1 AND seq IN ($2, $3) ORDER BY seq";
const RECORD: &str =
    "UPDATE audit_slots SET archived = $2, archived_seal = $3 WHERE slot = $1 AND archived = $4 RETURNING 1";

/// The rows that are archived, and the marks of each slot before that.
struct Found {
    spans: SlotSpans,
    archived: Vec<(u64, u64)>,
}

impl PostgresStore {
    pub(super) fn archive(
        &self,
        to: Option<&Path>,
        request: &ArchiveRequest,
        progress: &mut OnProgress<'_>,
    ) -> Result<Archived, StoreError> {
        let (files, chain) = (&*self.installation().files, &self.state().chain);
        if let Some(to) = to {
            audit_archive::require_new(files, to)?;
        }
        let found = self.read_with(async |connection| {
            connection.run(reader::BEGIN).await?;
            let found = find(connection, chain, request.before).await?;
            connection.run("COMMIT").await?;
            Ok(found)
        })?;
        if found.spans.spans.is_empty() {
            return Err(StoreError::NothingToArchive);
        }
        let own;
        let to = match to {
            Some(to) => to,
            None if self.is_disk_full() => return Err(StoreError::ServerFull(self.address().to_owned())),
            None => {
                let archives = self.installation().archives();
                own = audit_archive::own_file(files, &archives, found.spans.numbers, request.event.at)?;
                &own
            }
        };
        let last =
            |slot| found.spans.spans.iter().find(|(of, _)| *of == slot).map_or(0, |(_, span)| span.last);
        let mut page = |slot: u64, own: &Chain, at: &Head| {
            self.read_with(async |connection| page(connection, own, slot, at, last(slot)).await)
        };
        let archived = slots::write(files, to, chain, &found.spans, &mut page, progress)?;
        let recorded = self.record_archive(request, &found, &archived);
        if matches!(&recorded, Err(error) if !matches!(error, StoreError::Unknown(_))) {
            // Its rows are in no archive yet: another one is going to have them.
            let _ = files.remove(&archived.path);
        }
        recorded.map(|()| archived)
    }

    /// Records that the rows of `archived` are in a file, unless others were archived since they were found.
    fn record_archive(
        &self,
        request: &ArchiveRequest,
        found: &Found,
        archived: &Archived,
    ) -> Result<(), StoreError> {
        let chain = &self.state().chain;
        let event = Event {
            count: u32::try_from(archived.rows()).unwrap_or(u32::MAX),
            reason: Some(format!("rows {} to {}", archived.first, archived.last)),
            ..request.event.clone()
        };
        let changes: Vec<Change> = request.conditions.iter().cloned().chain([Change::Audit(event)]).collect();
        self.write_with(&changes, async |transaction| {
            for ((slot, span), (_, former)) in found.spans.spans.iter().zip(&found.archived) {
                let seal = chain.of_slot(*slot).seal_of_archived(span.last);
                let parameters: [Parameter; 4] = [
                    Box::new(integer(*slot)),
                    Box::new(integer(span.last)),
                    Box::new(seal.to_vec()),
                    Box::new(integer(*former)),
                ];
                if transaction.query(RECORD, &parameters).await?.is_empty() {
                    return Err(Trouble::conflict());
                }
            }
            Ok(())
        })
    }
}

/// Finds the rows that no archive has yet, or those `before` a time.
async fn find(connection: &Connection, chain: &Chain, before: Option<Time>) -> Result<Found, Trouble> {
    let count = audit_walk::slots(connection, chain).await?.ok_or_else(slots_altered)?;
    let mut found = Found { spans: SlotSpans { spans: vec![], numbers: (u64::MAX, 0) }, archived: vec![] };
    for slot in 0..count {
        let own = chain.of_slot(slot);
        let Kept { head, marks } = kept(connection, slot).await?;
        let marks = own.require_marks(&marks)?;
        if !own.is_sealed(&head) {
            return Err(broken("the record of its last row was altered").into());
        }
        let from = archived_head(connection, slot, &marks).await?;
        let last = match before {
            None => head.head.seq,
            Some(before) => {
                let parameters: [Parameter; 3] =
                    [Box::new(integer(slot)), Box::new(integer(from.seq)), Box::new(stamp(before))];
                let rows = connection.query(FIRST_SINCE, &parameters).await?;
                let end = rows.first().and_then(|row| row.get::<_, Option<i64>>(0));
                end.map_or(head.head.seq, |end| end.unsigned_abs().saturating_sub(1))
            }
        };
        if last <= from.seq {
            continue;
        }
        let span = Span { from, last };
        let parameters: [Parameter; 3] =
            [Box::new(integer(slot)), Box::new(integer(span.first())), Box::new(integer(last))];
        let (least, greatest) = &mut found.spans.numbers;
        for row in connection.query(NUMBERS, &parameters).await? {
            let number = row.get::<_, i64>(0).unsigned_abs();
            (*least, *greatest) = ((*least).min(number), (*greatest).max(number));
        }
        found.archived.push((slot, marks.archived));
        found.spans.spans.push((slot, span));
    }
    Ok(found)
}

/// Returns the last row of a slot that was archived, or deleted.
async fn archived_head(connection: &Connection, slot: u64, marks: &Marks) -> Result<Head, Trouble> {
    if marks.archived <= marks.cut.seq {
        return Ok(marks.cut.clone());
    }
    let parameters: [Parameter; 2] = [Box::new(integer(slot)), Box::new(integer(marks.archived))];
    let rows = connection.query(MAC, &parameters).await?;
    let missing = || broken(&format!("row {} is missing", marks.archived));
    let mac = rows.first().and_then(|row| row.get::<_, Vec<u8>>(0).try_into().ok()).ok_or_else(missing)?;
    Ok(Head { seq: marks.archived, mac })
}

/// Reads the rows of a slot after `at`, at most up to `last`, and verifies them.
async fn page(
    connection: &Connection,
    chain: &Chain,
    slot: u64,
    at: &Head,
    last: u64,
) -> Result<Vec<ArchivedRow>, Trouble> {
    let parameters: [Parameter; 4] =
        [Box::new(integer(slot)), Box::new(integer(at.seq)), Box::new(integer(last)), Box::new(PAGE)];
    let mut rows: Vec<ArchivedRow> = Vec::new();
    for row in &connection.query(&ROWS, &parameters).await? {
        let row = ChainRow::of(row)?;
        let before = rows.last().map_or(at, ArchivedRow::head);
        rows.push(ArchivedRow::after(before, chain, &row.fields, &row.mac)?);
    }
    Ok(rows)
}

const SLOTS: &str = "SELECT slot FROM audit_slots WHERE archived > cut ORDER BY slot";
const LOCK: &str = "SELECT slot FROM audit_slots WHERE slot = $1 FOR UPDATE";
const OLDEST: &str =
    "SELECT seq, at, mac, number FROM audit WHERE slot = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4";
const DELETE: &str = "DELETE FROM audit WHERE slot = $1 AND seq <= $2";
const RECORD_CUT: &str = "UPDATE audit_slots SET cut = $2, cut_mac = $3, cut_seal = $4 WHERE slot = $1";

/// The oldest rows of a slot that may be deleted.
struct Old {
    slot: u64,
    /// The last row that was deleted before.
    cut: u64,
    /// The last of them, and its number in the list.
    last: Head,
    number: u64,
}

impl PostgresStore {
    pub(super) fn cut(&self, before: Time, sofar: u64, now: Time) -> Result<AuditCut, StoreError> {
        let chain = &self.state().chain;
        let found = self.read_with(async |connection| old_rows(connection, chain, before, None).await)?;
        if found.is_none() && sofar == 0 {
            return Ok(AuditCut::default());
        }
        self.write_with(&[], async |transaction| {
            cut_step(transaction, chain, found.as_ref().map(|old| old.slot), (before, sofar, now)).await
        })
    }
}

/// Deletes the oldest rows of `slot` that may go. The last step writes an audit row.
async fn cut_step(
    transaction: &mut Transaction<'_>,
    chain: &Chain,
    slot: Option<u64>,
    (before, sofar, now): (Time, u64, Time),
) -> Result<AuditCut, Trouble> {
    let (mut cut, mut end) = (AuditCut::default(), None);
    if let Some(slot) = slot {
        // Nobody else deletes rows of it meanwhile.
        transaction.query(LOCK, &[Box::new(integer(slot))]).await?;
        if let Some(old) = old_rows(transaction.connection(), chain, before, Some(slot)).await? {
            cut.rows = old.last.seq.saturating_sub(old.cut);
            end = Some(old.number);
            let until: [Parameter; 2] = [Box::new(integer(slot)), Box::new(integer(old.last.seq))];
            transaction.query(DELETE, &until).await?;
            let parameters: [Parameter; 4] = [
                Box::new(integer(slot)),
                Box::new(integer(old.last.seq)),
                Box::new(old.last.mac.to_vec()),
                Box::new(chain.of_slot(slot).seal_of_cut(&old.last).to_vec()),
            ];
            transaction.query(RECORD_CUT, &parameters).await?;
        }
        cut.more = old_rows(transaction.connection(), chain, before, None).await?.is_some();
    }
    let all = sofar.saturating_add(cut.rows);
    if !cut.more && all > 0 {
        let reason =
            end.map_or_else(|| "archived rows".to_owned(), |end| format!("archived rows up to {end}"));
        let count = u32::try_from(all).unwrap_or(u32::MAX);
        transaction.append(Event { count, reason: Some(reason), ..Event::new(Kind::AuditCut, now) });
    }
    Ok(cut)
}

/// Returns the oldest rows of a slot, or of any, that are archived and from before `before`, as many as go at once; none if there are none.
async fn old_rows(
    connection: &Connection,
    chain: &Chain,
    before: Time,
    slot: Option<u64>,
) -> Result<Option<Old>, Trouble> {
    let slots: Vec<u64> = match slot {
        Some(slot) => vec![slot],
        None => connection
            .query(SLOTS, &[])
            .await?
            .iter()
            .map(|row| row.get::<_, i64>(0).unsigned_abs())
            .collect(),
    };
    for slot in slots {
        let marks = chain.of_slot(slot).require_marks(&kept(connection, slot).await?.marks)?;
        let parameters: [Parameter; 4] = [
            Box::new(integer(slot)),
            Box::new(integer(marks.cut.seq)),
            Box::new(integer(marks.archived)),
            Box::new(CUT),
        ];
        let mut found = None;
        for row in connection.query(OLDEST, &parameters).await? {
            if row.get::<_, i64>(1) >= stamp(before) {
                break;
            }
            let mac = row.get::<_, Vec<u8>>(2).try_into().map_err(|_| broken("a link was altered"))?;
            let last = Head { seq: row.get::<_, i64>(0).unsigned_abs(), mac };
            let number = row.get::<_, i64>(3).unsigned_abs();
            found = Some(Old { slot, cut: marks.cut.seq, last, number });
        }
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}
