//! Files with the rows of several chains: the rows of each slot follow a line that says which slot it is, and the last line says what is in
//! the whole file, under a keyed hash.

use std::path::Path;

use serde_json::Value;
#[cfg(feature = "postgres")]
use serde_json::json;

#[cfg(feature = "postgres")]
use super::{ArchivedRow, FORMAT, Files, OnProgress, Phase, Span, StoreError, write_checked};
use super::{Lines, is_link, member};
use crate::secrets::master_key::hex;
use crate::store::audit_chain::{Chain, Head, WIDTH};
use crate::store::backend::Archived;

/// The rows of several chains that are to be archived.
#[cfg(feature = "postgres")]
#[derive(Clone, Debug)]
pub(in crate::store) struct SlotSpans {
    /// The rows of each slot that has some.
    pub(in crate::store) spans: Vec<(u64, Span)>,
    /// The least and the greatest of their numbers in the list.
    pub(in crate::store) numbers: (u64, u64),
}

/// Returns the next rows of a slot, whose chain is given, after one.
#[cfg(feature = "postgres")]
pub(in crate::store) type SlotPage<'p> =
    dyn FnMut(u64, &Chain, &Head) -> Result<Vec<ArchivedRow>, StoreError> + 'p;

#[cfg(feature = "postgres")]
impl SlotSpans {
    /// Returns how many rows there are.
    pub(in crate::store) fn rows(&self) -> u64 {
        self.spans.iter().map(|(_, span)| span.last.saturating_sub(span.from.seq)).sum()
    }
}

/// Writes the rows of `spans` to the new file `to`, as [`write`](super::write()) does. `page` returns the next rows of a slot.
///
/// # Errors
/// [`StoreError`] if the file is there already or cannot be written, or `page` fails.
#[cfg(feature = "postgres")]
pub(in crate::store) fn write(
    files: &dyn Files,
    to: &Path,
    chain: &Chain,
    spans: &SlotSpans,
    page: &mut SlotPage<'_>,
    progress: &mut OnProgress<'_>,
) -> Result<Archived, StoreError> {
    let ((first, last), all) = (spans.numbers, spans.rows());
    write_checked(files, to, chain, progress, |out, progress| {
        out.line(&json!({FORMAT: 4, "first": first, "last": last}))?;
        let (mut before, mut ends) = (0, Vec::new());
        for (slot, span) in &spans.spans {
            let own = chain.of_slot(*slot);
            out.line(&json!({"slot": slot, "first": span.first(), "before": &**hex(&span.from.mac)}))?;
            let mut page = |at: &Head| page(*slot, &own, at);
            let mut done = |rows| progress(Phase::Copying, (before + rows, all));
            let end = out.rows(&own, span, &mut page, &mut done)?;
            before += end.seq.saturating_sub(span.from.seq);
            ends.push((*slot, end));
        }
        let seal = chain.seal_of_slots_archive([first, last, all], &ends);
        let head = head_of(chain, &ends);
        out.line(&json!({"rows": all, "head": &head, "seal": &**hex(&seal)}))?;
        Ok((first, last, head))
    })
}

fn head_of(chain: &Chain, ends: &[(u64, Head)]) -> String {
    hex(&chain.link_of_heads(&ends.iter().map(|(_, head)| head.clone()).collect::<Vec<_>>())).to_string()
}

/// Verifies a file whose first line is `head`. Returns what is wrong with it otherwise.
pub(super) fn read(chain: &Chain, path: &Path, lines: &mut Lines, head: &Value) -> Result<Archived, String> {
    let numbers = member(head, "first").as_u64().zip(member(head, "last").as_u64());
    let (first, last) = numbers.ok_or("it is no archive")?;
    let (mut rows, mut ends) = (0_u64, Vec::new());
    loop {
        let next = lines.next()?;
        let Some(slot) = member(&next, "slot").as_u64() else {
            let seal = chain.seal_of_slots_archive([first, last, rows], &ends);
            if member(&next, "rows").as_u64() != Some(rows) || !is_link(&next, "seal", &seal) {
                return Err("its end was altered, or it is of another installation".into());
            }
            break;
        };
        let (from, end) = lines.rows(&chain.of_slot(slot), &next, WIDTH)?;
        rows = rows.saturating_add(end.seq.saturating_sub(from.seq));
        ends.push((slot, end));
    }
    lines.end()?;
    Ok(Archived {
        path: path.to_owned(),
        first,
        last,
        rows,
        head: head_of(chain, &ends),
        bytes: lines.bytes,
        sha256: hex(&std::mem::take(&mut lines.hash).finish()).to_string(),
    })
}
