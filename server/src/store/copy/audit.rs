//! The audit rows of a copy.
//!
//! One chain stays as it is, link by link. The chains of several slots become one new chain, in the order of the list, after each of them
//! was verified; a row of its own says so.

use gatepass_core::base::time::Time;
use gatepass_core::store::audit::{Event, Kind};

use super::digest::RowDigest;
use super::side::{AuditRows, KeptChain, Page, Rows, Source, Target};
use crate::store::audit_chain::{BrokenLink, Chain, Field, Head, SealedHead, SealedMarks, Walk, broken};
use crate::store::error::StoreError;
use crate::store::rows::{Value, audit_value};

/// Counts rows that were read or written.
pub(super) type Count<'c> = dyn FnMut(u64) + 'c;

/// The audit rows of a source, verified.
pub(super) enum Chains {
    /// One chain begins where that of slot 0 does.
    One(KeptChain),
    /// Rows of these slots, and their numbers: each slot with the first and the last row.
    Several(Vec<(u64, u64, u64)>),
}

fn number(rows: &Page) -> u64 {
    u64::try_from(rows.len()).unwrap_or(u64::MAX)
}

fn field<'v>(value: &'v Value<'_>) -> Field<'v> {
    match value {
        Value::Integer(number) => Field::Integer(*number),
        Value::Text(text) => Field::text(text),
        Value::Bytes(bytes) => Field::Blob(bytes.as_ref().into()),
        Value::Null | Value::Unstorable => Field::Null,
    }
}

/// Returns the values of a row without its link, and the link.
fn parts<'v>(row: &'v [Value<'_>]) -> Result<(Vec<Field<'v>>, &'v [u8]), StoreError> {
    match row.split_last() {
        Some((Value::Bytes(mac), fields)) => Ok((fields.iter().map(field).collect(), mac)),
        _ => Err(broken("a row has no link")),
    }
}

/// Verifies a chain of `store`, and returns the number of its rows.
fn verify(store: &mut (impl Rows + ?Sized), chain: &Chain, kept: &KeptChain) -> Result<u64, StoreError> {
    let of = |fault: &dyn std::fmt::Display| broken(&format!("slot {}: {fault}", kept.slot));
    let chain = &chain.of_slot(kept.slot);
    let mut walk = Walk::new(true);
    let verdict = |walk: Option<BrokenLink>| match walk {
        Some(link) => of(&link),
        None => of(&"it does not begin where it should"),
    };
    walk.begin(chain, Some(&kept.marks)).map_err(|found| verdict(found.broken))?;
    store.audit_rows(AuditRows::OfSlot(kept.slot), &mut |page| {
        for row in &page {
            let (fields, mac) = parts(row)?;
            let Some(Field::Integer(seq)) = fields.first() else {
                return Err(of(&"a row has no number"));
            };
            walk.row(chain, *seq, &fields, mac).map_err(|found| verdict(found.broken))?;
        }
        Ok(())
    })?;
    let found = walk.end(chain, &kept.head);
    match found.broken {
        None => Ok(found.rows),
        Some(link) => Err(of(&link)),
    }
}

impl Chains {
    /// Verifies the chains of `source`.
    pub(super) fn of(source: &mut (impl Source + ?Sized), chain: &Chain) -> Result<Self, StoreError> {
        let kept = source.chains()?;
        let mut verified = Vec::new();
        for kept in &kept {
            let rows = verify(source, chain, kept)?;
            let last = kept.head.head.seq;
            if last > 0 {
                verified.push((kept.slot, last.saturating_sub(rows).saturating_add(1), last));
            }
        }
        let only_first = verified.iter().all(|(slot, _, _)| *slot == 0);
        match kept.into_iter().find(|kept| kept.slot == 0) {
            Some(first) if only_first => Ok(Self::One(first)),
            Some(_) => Ok(Self::Several(verified)),
            None => Err(broken("the chain of slot 0 is missing")),
        }
    }

    /// Copies the rows, and compares both sides. Returns the number of rows.
    pub(super) fn copy(
        &self,
        source: &mut (impl Source + ?Sized),
        target: &mut (impl Target + ?Sized),
        chain: &Chain,
        count: &mut Count<'_>,
    ) -> Result<Head, StoreError> {
        let mut head = chain.empty();
        match self {
            Self::One(kept) => {
                source.audit_rows(AuditRows::OfSlot(0), &mut |page| {
                    count(number(&page));
                    target.insert_audit(page)
                })?;
                head = kept.head.head.clone();
            }
            Self::Several(_) => source.audit_rows(AuditRows::All, &mut |mut page| {
                for row in &mut page {
                    head = linked(row, &head, chain)?;
                }
                count(number(&page));
                target.insert_audit(page)
            })?,
        }
        Ok(head)
    }

    /// Returns the digests of the rows of source and target.
    pub(super) fn digests(
        &self,
        source: &mut (impl Source + ?Sized),
        target: &mut (impl Target + ?Sized),
        count: &mut Count<'_>,
    ) -> Result<[(u64, [u8; 32]); 2], StoreError> {
        // New links and numbers are not those of the source.
        let (which, is_new) = match self {
            Self::One(_) => (AuditRows::OfSlot(0), false),
            Self::Several(_) => (AuditRows::All, true),
        };
        let mut digest = |store: &mut dyn FnMut(&mut super::side::EachPage<'_>) -> Result<(), StoreError>| {
            let mut digest = RowDigest::default();
            store(&mut |page| {
                count(number(&page));
                for row in &page {
                    digest.absorb(if is_new { without_links(row) } else { row });
                }
                Ok(())
            })?;
            Ok::<_, StoreError>(digest.finish())
        };
        Ok([
            digest(&mut |each| source.audit_rows(which, each))?,
            digest(&mut |each| target.audit_rows(AuditRows::OfSlot(0), each))?,
        ])
    }

    /// Ends the chain of the target behind `head`, and verifies it.
    pub(super) fn end(
        &self,
        target: &mut (impl Target + ?Sized),
        chain: &Chain,
        head: Head,
        at: Time,
    ) -> Result<(), StoreError> {
        let kept = match self {
            Self::One(kept) => kept.clone(),
            Self::Several(slots) => {
                let named = |(slot, first, last): &(u64, u64, u64)| format!("{first}-{last} of slot {slot}");
                let reason = format!("rows {}", slots.iter().map(named).collect::<Vec<_>>().join(", "));
                let event = Event { reason: Some(reason), ..Event::new(Kind::AuditJoined, at) };
                let (fields, head) = chain.next_row(&head, &event);
                let mut row: Vec<Value<'static>> = fields.into_iter().map(audit_value).collect();
                row.push(Value::from(head.mac.to_vec()));
                target.insert_audit(vec![row])?;
                let head = SealedHead { seal: chain.seal_of(&head), head };
                KeptChain { slot: 0, head, marks: SealedMarks::default() }
            }
        };
        target.end_chain(chain, &kept)?;
        verify(target, chain, &kept).map(drop)
    }
}

fn without_links<'r, 'v>(row: &'r [Value<'v>]) -> &'r [Value<'v>] {
    row.split_first().and_then(|(_, rest)| rest.split_last()).map_or(&[], |(_, values)| values)
}

/// Makes `row` the one that follows `before`, and returns its number and its link.
fn linked(row: &mut [Value<'static>], before: &Head, chain: &Chain) -> Result<Head, StoreError> {
    let seq = before.seq.saturating_add(1);
    if let Some(first) = row.first_mut() {
        *first = Value::from(seq);
    }
    let mac = chain.link(&before.mac, &parts(row)?.0);
    if let Some(last) = row.last_mut() {
        *last = Value::from(mac.to_vec());
    }
    Ok(Head { seq, mac })
}
