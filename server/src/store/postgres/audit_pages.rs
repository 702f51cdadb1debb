//! Pages of the audit rows that somebody asks for: the rows of all slots, in the order of their numbers.
//!
//! Numbers come from a sequence, and a row is seen when its transaction has committed: a smaller number may be seen after a larger one. Who
//! follows the list must not skip it. So every transaction that is about to hand out numbers announces the last one before, by a lock, and
//! the list ends where the first announcement is. The order of commits would need a lock that all processes wait for, and ids of
//! transactions would let any other program's long transaction hide the newest rows.

use std::sync::LazyLock;

use gatepass_core::store::audit::{Kind, Refusal};
use tokio_postgres::Row;

use super::audit_slot::{ANNOUNCED, HANDED_OUT};
use super::connection::Connection;
use super::load::{Parameter, Statement};
use super::trouble::Trouble;
use crate::store::audit_chain::{AuditRow, COLUMNS};
use crate::store::audit_filter::{AuditFilter, AuditOrder, AuditPage, AuditSpan, RefusalFilter};
use crate::store::rows::{self, Columns, integer, stamp};

/// The most rows that one page looks at.
const LOOKED_AT: u64 = 20_000;
/// The most rows of one page.
const PAGE: usize = 500;

/// The first number: of all rows, or of those since a time.
const FIRST: &str = "SELECT min(number) FROM audit";
const FIRST_SINCE: &str = "SELECT min(number) FROM audit WHERE at >= $1";
/// The last number up to one: of all rows, or of those before a time.
const LAST: &str = "SELECT max(number) FROM audit WHERE number <= $1";
const LAST_UNTIL: &str = "SELECT max(number) FROM audit WHERE at < $2 AND number <= $1";

fn select(direction: &str) -> String {
    let columns = COLUMNS.iter().skip(1).copied().collect::<Vec<_>>().join(", ");
    format!(
        "SELECT number, {columns} FROM audit WHERE number BETWEEN $1 AND $2 \
         AND ($3::text IS NULL OR $3 IN (subject, actor, issuer_user, by_user)) \
         AND ($4::text IS NULL OR $4 IN (client, issuer, by_client)) \
         AND ($5::text[] IS NULL OR kind = ANY($5)) \
         AND ($6::text IS NULL OR refusal = $6 OR ($6 = '' AND refusal IS NOT NULL)) \
         AND ($7::text IS NULL OR $7 IN (request, sent_request)) \
         AND ($8::bigint IS NULL OR at >= $8) AND ($9::bigint IS NULL OR at < $9) \
         ORDER BY number {direction} LIMIT {PAGE}"
    )
}

static OLDEST_FIRST: LazyLock<String> = LazyLock::new(|| select("ASC"));
static NEWEST_FIRST: LazyLock<String> = LazyLock::new(|| select("DESC"));

/// Returns the first value, if there is one.
fn number(rows: &[Vec<Row>], statement: usize) -> Option<i64> {
    rows.get(statement)?.first()?.get(0)
}

/// Returns the number up to which no row is added any more.
pub(super) async fn settled(connection: &Connection) -> Result<i64, Trouble> {
    // One after the other: what is handed out after the first was read is announced, or seen by the next snapshot.
    let rows = connection.pipeline("", vec![(HANDED_OUT, vec![]), (ANNOUNCED, vec![])], "").await?;
    let handed_out = number(&rows, 0).unwrap_or(0);
    Ok(number(&rows, 1).map_or(handed_out, |announced| announced.min(handed_out)))
}

/// Returns the numbers of the rows that may be asked for; none if there is none.
pub(super) async fn span(
    connection: &Connection,
    filter: &AuditFilter,
) -> Result<Option<AuditSpan>, Trouble> {
    let settled = settled(connection).await?;
    let first: Statement = match filter.since {
        None => (FIRST, vec![]),
        Some(since) => (FIRST_SINCE, vec![Box::new(stamp(since))]),
    };
    let last: Statement = match filter.until {
        None => (LAST, vec![Box::new(settled)]),
        Some(until) => (LAST_UNTIL, vec![Box::new(settled), Box::new(stamp(until))]),
    };
    let rows = connection.pipeline("", vec![first, last], "").await?;
    let number = |statement| number(&rows, statement).map(i64::unsigned_abs);
    Ok(number(0).zip(number(1)).map(|(first, last)| first..=last).filter(|span| !span.is_empty()))
}

/// Reads the next rows of `span` that are asked for.
pub(super) async fn page(
    connection: &Connection,
    filter: &AuditFilter,
    span: &AuditSpan,
    order: AuditOrder,
) -> Result<AuditPage, Trouble> {
    let (start, end) = (*span.start(), *span.end());
    let (from, to, sql) = match order {
        AuditOrder::OldestFirst => (start, end.min(start.saturating_add(LOOKED_AT - 1)), &OLDEST_FIRST),
        AuditOrder::NewestFirst => (start.max(end.saturating_sub(LOOKED_AT - 1)), end, &NEWEST_FIRST),
    };
    let text = |text: Option<&str>| -> Parameter { Box::new(text.map(str::to_owned)) };
    let kinds: Vec<&str> = filter.kinds.iter().map(|kind: &Kind| kind.as_str()).collect();
    let asked: [Parameter; 9] = [
        Box::new(integer(from)),
        Box::new(integer(to)),
        text(filter.user.as_ref().map(|id| id.as_str())),
        text(filter.client.as_ref().map(|id| id.as_str())),
        Box::new((!kinds.is_empty()).then_some(kinds)),
        text(filter.refusal.map(|refused| match refused {
            RefusalFilter::Any => "",
            RefusalFilter::For(reason) => Refusal::as_str(reason),
        })),
        text(filter.request.as_ref().map(|id| id.as_str())),
        Box::new(filter.since.map(stamp)),
        Box::new(filter.until.map(stamp)),
    ];
    let found = connection.query(sql, &asked).await?;
    let rows = found.iter().map(audit_row).collect::<Result<Vec<_>, Trouble>>()?;
    let last = rows.last().map(|row| row.seq).filter(|_| rows.len() == PAGE);
    let rest = match order {
        AuditOrder::OldestFirst => last.unwrap_or(to).checked_add(1).map(|next| next..=end),
        AuditOrder::NewestFirst => last.unwrap_or(from).checked_sub(1).map(|next| start..=next),
    };
    Ok(AuditPage { rows, rest: rest.filter(|rest| !rest.is_empty()) })
}

fn audit_row(row: &Row) -> Result<AuditRow, Trouble> {
    let mut c = Columns::of(row, "audit");
    Ok(AuditRow { seq: c.number("number")?, event: rows::event(&mut c)? })
}
