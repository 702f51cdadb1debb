//! Pages of the audit rows that somebody asks for. Each page looks at a bounded number of rows in a snapshot of its own, so that
//! neither the log nor a sign-in waits for a long search.

use rusqlite::{Connection, params};

use gatepass_core::store::audit::{Kind, Refusal};

use super::audit::{audit_row, columns};
use super::read::every;
use super::schema;
use super::transaction_error::TransactionError;
use super::values::signed;
use super::walk::PAGE;
use crate::store::audit_filter::{AuditFilter, AuditOrder, AuditPage, AuditSpan, RefusalFilter};
use crate::store::rows::stamp;

/// The most rows that one page looks at.
const LOOKED_AT: u64 = 20_000;

/// Returns the numbers of the rows that may be asked for; none if there is none. Where times are asked for, the index over times
/// says the first and the last row. Those between are in the order of writing, in which the clock may have been set back.
pub(super) fn span(db: &Connection, filter: &AuditFilter) -> Result<Option<AuditSpan>, TransactionError> {
    let number = |sql: &str, time: Option<i64>| -> Result<Option<u64>, TransactionError> {
        let found: Option<i64> = match time {
            Some(time) => db.prepare_cached(sql)?.query_row([time], |row| row.get(0))?,
            None => db.prepare_cached(sql)?.query_row([], |row| row.get(0))?,
        };
        // A row with a number below 1 is damage, which the verification of the chain names.
        Ok(found.map(|seq| u64::try_from(seq).unwrap_or(0)))
    };
    let first = match filter.since {
        None => number("SELECT min(seq) FROM audit", None)?,
        Some(since) => number("SELECT min(seq) FROM audit WHERE at >= ?1", Some(stamp(since)))?,
    };
    let last = match filter.until {
        None => number("SELECT max(seq) FROM audit", None)?,
        Some(until) => number("SELECT max(seq) FROM audit WHERE at < ?1", Some(stamp(until)))?,
    };
    Ok(first.zip(last).map(|(first, last)| first..=last).filter(|span| !span.is_empty()))
}

/// Reads the next rows of `span` that are asked for.
pub(super) fn page(
    db: &Connection,
    filter: &AuditFilter,
    span: &AuditSpan,
    order: AuditOrder,
) -> Result<AuditPage, TransactionError> {
    let (start, end) = (*span.start(), *span.end());
    let (from, to, direction) = match order {
        AuditOrder::OldestFirst => (start, end.min(start.saturating_add(LOOKED_AT - 1)), "ASC"),
        AuditOrder::NewestFirst => (start.max(end.saturating_sub(LOOKED_AT - 1)), end, "DESC"),
    };
    let columns = columns(schema::known());
    let sql = format!(
        "SELECT {columns} FROM audit WHERE seq BETWEEN ?1 AND ?2 \
         AND (?3 IS NULL OR ?3 IN (subject, actor, issuer_user, by_user)) \
         AND (?4 IS NULL OR ?4 IN (client, issuer, by_client)) \
         AND (?5 IS NULL OR instr(?5, ' ' || kind || ' ') > 0) \
         AND (?6 IS NULL OR refusal = ?6 OR (?6 = '' AND refusal IS NOT NULL)) \
         AND (?7 IS NULL OR ?7 IN (request, sent_request)) \
         AND (?8 IS NULL OR +at >= ?8) AND (?9 IS NULL OR +at < ?9) \
         ORDER BY seq {direction} LIMIT ?10"
    );
    let kinds = || filter.kinds.iter().map(|kind: &Kind| kind.as_str()).collect::<Vec<_>>().join(" ");
    let asked = params![
        signed(from)?,
        signed(to)?,
        filter.user.as_ref().map(|id| id.as_str()),
        filter.client.as_ref().map(|id| id.as_str()),
        (!filter.kinds.is_empty()).then(|| format!(" {} ", kinds())),
        filter.refusal.map(|refused| match refused {
            RefusalFilter::Any => "",
            RefusalFilter::For(reason) => Refusal::as_str(reason),
        }),
        filter.request.as_ref().map(|id| id.as_str()),
        filter.since.map(stamp),
        filter.until.map(stamp),
        PAGE,
    ];
    let rows = every(db, &sql, asked, audit_row)?;
    let is_full = i64::try_from(rows.len()).is_ok_and(|count| count == PAGE);
    let last = rows.last().map(|row| row.seq).filter(|_| is_full);
    let rest = match order {
        AuditOrder::OldestFirst => last.unwrap_or(to).checked_add(1).map(|next| next..=end),
        AuditOrder::NewestFirst => last.unwrap_or(from).checked_sub(1).map(|next| start..=next),
    };
    Ok(AuditPage { rows, rest: rest.filter(|rest| !rest.is_empty()) })
}
