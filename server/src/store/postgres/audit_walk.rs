//! Follows the chain of one slot, a page at a time: each page has a snapshot of its own.

use std::sync::LazyLock;

use tokio_postgres::Row;

use super::connection::Connection;
use super::load::Parameter;
use super::reader::BEGIN;
use super::slot_list::SlotList;
use super::trouble::Trouble;
use crate::store::audit_chain::{
    AuditVerdict, BrokenLink, COLUMNS, Chain, Field, Head, SealedHead, SealedMarks, WIDTH, Walk, broken,
};
use crate::store::rows::{Columns, MalformedRow, NO_META, Row as _, Value, integer};

/// The rows of one page.
pub(super) const PAGE: i64 = 500;

const SLOTS: &str =
    "SELECT audit_slots, audit_slots_seal, ARRAY(SELECT slot FROM audit_slots ORDER BY slot) FROM meta";

const KEPT: &str =
    "SELECT seq, mac, seal, archived, archived_seal, cut, cut_mac, cut_seal FROM audit_slots WHERE slot = $1";

/// Reads the columns of a row, its link, and its number in the list, of at most `$4` rows after `$2` up to `$3`.
pub(super) static ROWS: LazyLock<String> = LazyLock::new(|| {
    let columns = COLUMNS.join(", ");
    format!(
        "SELECT {columns}, mac, number FROM audit WHERE slot = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4"
    )
});

/// Returns the slots; none if the list of them was altered, or one is missing.
pub(super) async fn slots(connection: &Connection, chain: &Chain) -> Result<Option<u64>, Trouble> {
    let rows = connection.query(SLOTS, &[]).await?;
    let row = rows.first().ok_or(NO_META)?;
    let count = SlotList::of_row(row)?.checked(chain);
    let found: Vec<i64> = row.get(2);
    Ok(count.filter(|count| found.into_iter().eq(0..integer(*count))))
}

/// The record that is kept of a slot: its last row, and what was archived and deleted.
pub(super) struct Kept {
    pub(super) head: SealedHead,
    pub(super) marks: SealedMarks,
}

/// Reads the record of a slot.
pub(super) async fn kept(connection: &Connection, slot: u64) -> Result<Kept, Trouble> {
    let parameters: [Parameter; 1] = [Box::new(integer(slot))];
    let rows = connection.query(KEPT, &parameters).await?;
    let gone = MalformedRow { table: "audit_slots", column: "slot" };
    let mut c = Columns::of(rows.first().ok_or(gone)?, "audit_slots");
    let head = Head { seq: c.number("seq")?, mac: c.bytes("mac")? };
    Ok(Kept {
        head: SealedHead { head, seal: c.bytes("seal")? },
        marks: SealedMarks {
            archived: c.number("archived")?,
            archived_seal: c.maybe_bytes("archived_seal")?,
            cut: c.number("cut")?,
            cut_mac: c.maybe_bytes("cut_mac")?,
            cut_seal: c.maybe_bytes("cut_seal")?,
        },
    })
}

/// A row of [`ROWS`].
pub(super) struct ChainRow<'r> {
    pub(super) seq: i64,
    pub(super) fields: Vec<Field<'r>>,
    pub(super) mac: Vec<u8>,
    pub(super) number: i64,
}

impl<'r> ChainRow<'r> {
    pub(super) fn of(row: &'r Row) -> Result<Self, Trouble> {
        let fields = (0..WIDTH).map(|column| row.value(column).map(field));
        let fields = fields.collect::<Option<Vec<_>>>();
        let fields = fields.ok_or(MalformedRow { table: "audit", column: "one of its columns" })?;
        Ok(Self { seq: row.get(0), fields, mac: row.get(WIDTH), number: row.get(WIDTH + 1) })
    }
}

fn field(value: Value<'_>) -> Field<'_> {
    match value {
        Value::Integer(number) => Field::Integer(number),
        Value::Text(std::borrow::Cow::Borrowed(text)) => Field::text(text),
        Value::Text(std::borrow::Cow::Owned(text)) => Field::Text(text.into_bytes().into()),
        Value::Bytes(bytes) => Field::Blob(bytes),
        Value::Null | Value::Unstorable => Field::Null,
    }
}

/// A walk along the chain of one slot.
#[derive(Clone)]
pub(super) struct SlotWalk {
    slot: u64,
    walk: Walk,
    /// The number of the last row in the list.
    number: i64,
}

impl SlotWalk {
    pub(super) const fn new(slot: u64) -> Self {
        Self { slot, walk: Walk::new(true), number: 0 }
    }

    /// Verifies the next page, in one snapshot. Returns the walk after it, and the verdict after the last.
    pub(super) async fn page(
        mut self,
        connection: &Connection,
        chain: &Chain,
    ) -> Result<(Self, Option<AuditVerdict>), Trouble> {
        connection.run(BEGIN).await?;
        let kept = kept(connection, self.slot).await?;
        let from = match self.walk.begin(chain, Some(&kept.marks)) {
            Ok(from) => from,
            Err(verdict) => {
                connection.run("COMMIT").await?;
                return Ok((self, Some(verdict)));
            }
        };
        let parameters: [Parameter; 4] =
            [Box::new(integer(self.slot)), Box::new(from), Box::new(i64::MAX), Box::new(PAGE)];
        let rows = connection.query(&ROWS, &parameters).await?;
        connection.run("COMMIT").await?;
        for row in &rows {
            if let Err(verdict) = self.row(chain, &ChainRow::of(row)?) {
                return Ok((self, Some(verdict)));
            }
        }
        let is_full = i64::try_from(rows.len()).is_ok_and(|count| count == PAGE);
        let verdict = (!is_full).then(|| self.walk.end(chain, &kept.head));
        Ok((self, verdict))
    }

    fn row(&mut self, chain: &Chain, row: &ChainRow<'_>) -> Result<(), AuditVerdict> {
        let before = self.walk.clone();
        self.walk.row(chain, row.seq, &row.fields, &row.mac)?;
        // Numbers in the list are not part of the chain, but they rise along it.
        if row.number <= self.number {
            return Err(before.broken(BrokenLink::Altered(row.seq.unsigned_abs())));
        }
        self.number = row.number;
        Ok(())
    }
}

/// Returns the error for a list of slots that was altered.
pub(super) fn slots_altered() -> Trouble {
    Trouble::Store(broken(&BrokenLink::Slots.to_string()))
}
