//! The audit chain, for any engine. Each row has a link: a keyed hash over the link before it and the row itself.
//! The last link is kept apart from the rows, under another keyed hash. So an edited row, a deleted one, two that were swapped
//! and a cut tail are found.
//!
//! An engine stores the values of [`fields`] in the order of [`COLUMNS`], and feeds them to a [`Walk`] to have them verified.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use gatepass_core::base::secret::same_bytes;
use gatepass_core::crypto::MacKey;
use gatepass_core::store::audit::{Event, Refusal};

use super::error::StoreError;
use super::rows::integer;

/// The columns of a row apart from its link, in the order in which they are hashed.
pub(super) const COLUMNS: [&str; WIDTH] = [
    "seq",
    "at",
    "kind",
    "subject",
    "actor",
    "client",
    "ticket",
    "session",
    "key",
    "address",
    "refusal",
    "reason",
    "count",
    "risk",
    "issuer",
    "issuer_user",
    "request",
    "sent_request",
    "operator",
    "stated_by",
    "peer",
    "by_user",
    "by_client",
    "roles",
];
/// The number of [`COLUMNS`].
pub(super) const WIDTH: usize = 24;
/// The number of columns that every row has had since the first schema. Later ones are hashed only if they have a value.
const FIRST: usize = 13;
/// The number of columns before schema 9. Each column since then is hashed with its number.
pub(super) const UNNUMBERED: usize = 14;
/// The number of columns before schema 10.
pub(super) const BEFORE_ROLES: usize = 21;

/// One row of the audit table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Its number in the list. The first row has number 1. There are no gaps, unless the engine has several chains.
    pub seq: u64,
    /// The event.
    pub event: Event,
}

/// The result of verifying the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditVerdict {
    /// The number of rows that hold, from the first that is kept.
    pub rows: u64,
    /// The first fault.
    pub broken: Option<BrokenLink>,
    /// The slot of the chain that has it, if the engine has several.
    pub slot: Option<u64>,
}

impl AuditVerdict {
    /// Returns the first fault in words.
    pub fn fault(&self) -> Option<String> {
        let broken = self.broken?;
        Some(match self.slot {
            None => broken.to_string(),
            Some(slot) => format!("{broken}, in the chain of slot {slot}"),
        })
    }

    /// Returns true if the whole chain holds.
    pub const fn holds(&self) -> bool {
        self.broken.is_none()
    }
}

/// The place where a chain breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokenLink {
    /// This row is missing, and later ones are there.
    Missing(u64),
    /// This row, or the one before it, was altered.
    Altered(u64),
    /// The rows from this one on were cut off.
    Cut(u64),
    /// This row was added by another program.
    Added(u64),
    /// The record of the chain's end was altered.
    Head,
    /// The record of the chain's beginning, or of what was archived, was altered.
    Start,
    /// The list of the chains was altered, or one of them is missing. Only an engine with several has one.
    Slots,
}

impl fmt::Display for BrokenLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(seq) => write!(f, "row {seq} is missing"),
            Self::Altered(seq) => write!(f, "row {seq} was altered"),
            Self::Cut(seq) => write!(f, "the rows from {seq} on were cut off"),
            Self::Added(seq) => write!(f, "row {seq} was not written by gatepass"),
            Self::Head => f.write_str("the record of the last row was altered"),
            Self::Start => f.write_str("the record of the first row that is kept was altered"),
            Self::Slots => f.write_str("the list of its chains was altered, or a whole chain is missing"),
        }
    }
}

/// The value of one column, of any type that an engine may return, because the row may have been altered.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Field<'a> {
    /// No value.
    Null,
    /// A number.
    Integer(i64),
    /// A number with a fraction.
    Real(f64),
    /// Text, which may not be UTF-8.
    Text(Cow<'a, [u8]>),
    /// Bytes.
    Blob(Cow<'a, [u8]>),
}

impl<'a> Field<'a> {
    /// Returns text as a field.
    pub(super) const fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text.as_bytes()))
    }

    fn maybe(text: Option<&'a str>) -> Self {
        text.map_or(Self::Null, Self::text)
    }

    fn owned(text: Option<String>) -> Self {
        text.map_or(Self::Null, |text| Self::Text(Cow::Owned(text.into_bytes())))
    }
}

/// Returns the values of the row `seq`, in the order of [`COLUMNS`]. The `operator` is that of the event, if it has one.
pub(super) fn fields<'e>(seq: u64, event: &'e Event, operator: Option<&'e str>) -> [Field<'e>; WIDTH] {
    [
        Field::Integer(integer(seq)),
        Field::Integer(integer(event.at.unix())),
        Field::text(event.kind.as_str()),
        Field::maybe(event.subject.as_ref().map(|id| id.as_str())),
        Field::maybe(event.actor.as_ref().map(|id| id.as_str())),
        Field::maybe(event.client.as_ref().map(|id| id.as_str())),
        Field::maybe(event.ticket.as_ref().map(|id| id.as_str())),
        Field::maybe(event.session.as_ref().map(|id| id.as_str())),
        Field::maybe(event.key.as_deref()),
        Field::owned(event.address.map(|address| address.to_string())),
        Field::maybe(event.refusal.map(Refusal::as_str)),
        Field::maybe(event.reason.as_deref()),
        Field::Integer(i64::from(event.count)),
        Field::owned(event.risk.as_ref().map(ToString::to_string)),
        Field::maybe(event.issuer.as_ref().map(|id| id.as_str())),
        Field::maybe(event.issuer_user.as_ref().map(|id| id.as_str())),
        Field::maybe(event.request.as_ref().map(|id| id.as_str())),
        Field::maybe(event.sent_request.as_ref().map(|id| id.as_str())),
        Field::maybe(event.operator.as_deref().or(operator)),
        Field::maybe(event.stated_by.as_ref().map(|id| id.as_str())),
        Field::owned(event.peer.map(|peer| peer.to_string())),
        Field::maybe(event.by_user.as_ref().map(|id| id.as_str())),
        Field::maybe(event.by_client.as_ref().map(|id| id.as_str())),
        Field::owned(event.roles.map(|roles| roles.to_string())),
    ]
}

/// A row and its link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The row's number.
    pub(super) seq: u64,
    /// The row's link.
    pub(super) mac: [u8; 32],
}

/// The record of the last row, as an engine keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SealedHead {
    /// The last row.
    pub(super) head: Head,
    /// The seal of the record.
    pub(super) seal: [u8; 32],
}

/// The record of what was archived and deleted, as an engine keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SealedMarks {
    /// The last archived row; 0 if there is none.
    pub(super) archived: u64,
    /// The seal of that number.
    pub(super) archived_seal: Option<[u8; 32]>,
    /// The last deleted row; 0 if there is none.
    pub(super) cut: u64,
    /// The link of that row.
    pub(super) cut_mac: Option<[u8; 32]>,
    /// The seal of both.
    pub(super) cut_seal: Option<[u8; 32]>,
}

/// The record of what was archived and deleted, verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marks {
    /// The last archived row.
    pub(super) archived: u64,
    /// The last deleted row.
    pub(super) cut: Head,
}

/// The key of a chain, and who appends to it.
pub(super) struct Chain {
    key: MacKey,
    /// The user of the operating system whose command appends rows.
    operator: Option<String>,
}

impl Chain {
    /// Makes a chain with this key.
    pub(super) fn new(key: &[u8]) -> Self {
        Self { key: MacKey::new(key), operator: None }
    }

    /// Returns the same chain for a command of `operator`: every row that is appended names them.
    pub(super) fn operated_by(self, operator: Option<String>) -> Self {
        Self { operator, ..self }
    }

    /// Returns the chain of a slot, for an engine that keeps several chains. Each has a key of its own, so that no row and no seal of one
    /// passes for that of another. Slot 0 has the chain of an engine that keeps one.
    pub(super) fn of_slot(&self, slot: u64) -> Self {
        let mut mac = self.key.begin();
        mac.absorb(b"gatepass audit 1 slot");
        mac.absorb(&slot.to_be_bytes());
        let key = if slot == 0 { self.key.clone() } else { MacKey::new(&mac.finish()) };
        Self { key, operator: self.operator.clone() }
    }

    /// Returns a link over the ends of several chains.
    pub(super) fn link_of_heads(&self, heads: &[Head]) -> [u8; 32] {
        self.seal(b"gatepass audit 1 heads", &heads.iter().collect::<Vec<_>>())
    }

    /// Returns the seal of the number of slots.
    #[cfg(feature = "postgres")]
    pub(super) fn seal_of_slots(&self, count: u64) -> [u8; 32] {
        let mut mac = self.key.begin();
        mac.absorb(b"gatepass audit 1 slots");
        mac.absorb(&count.to_be_bytes());
        mac.finish()
    }

    /// Returns the head of a chain without rows.
    pub(super) fn empty(&self) -> Head {
        let mut mac = self.key.begin();
        mac.absorb(b"gatepass audit 1 start");
        Head { seq: 0, mac: mac.finish() }
    }

    /// Returns the link of a row of `fields` that follows the link `before`. Each field is hashed with its type and its length,
    /// so that no two rows hash alike. Fields that came with a later schema are hashed only if they have a value, so that older
    /// rows hash as they did. There may be several of those without a value, so each but the first is hashed with its number, which
    /// is no type: no value can be moved from one to another.
    pub(super) fn link(&self, before: &[u8; 32], fields: &[Field<'_>]) -> [u8; 32] {
        let mut mac = self.key.begin();
        mac.absorb(b"gatepass audit 1 row");
        mac.absorb(before);
        for (column, field) in fields.iter().enumerate() {
            if column >= FIRST && *field == Field::Null {
                continue;
            }
            if column >= UNNUMBERED {
                mac.absorb(&[u8::try_from(column).unwrap_or(u8::MAX)]);
            }
            let number;
            let (kind, bytes): (u8, &[u8]) = match field {
                Field::Null => (0, &[]),
                Field::Integer(n) => {
                    number = n.to_be_bytes();
                    (1, &number)
                }
                Field::Real(n) => {
                    number = n.to_be_bytes();
                    (2, &number)
                }
                Field::Text(text) => (3, text),
                Field::Blob(blob) => (4, blob),
            };
            mac.absorb(&[kind]);
            mac.absorb(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.absorb(bytes);
        }
        mac.finish()
    }

    /// Returns the seal of the record of the last row. Without the key no earlier row can be made the last.
    pub(super) fn seal_of(&self, head: &Head) -> [u8; 32] {
        self.seal(b"gatepass audit 1 head", &[head])
    }

    /// Returns the seal of the number of the last archived row.
    pub(super) fn seal_of_archived(&self, seq: u64) -> [u8; 32] {
        let mut mac = self.key.begin();
        mac.absorb(b"gatepass audit 1 archived");
        mac.absorb(&seq.to_be_bytes());
        mac.finish()
    }

    /// Returns the seal of the record of the last deleted row.
    pub(super) fn seal_of_cut(&self, cut: &Head) -> [u8; 32] {
        self.seal(b"gatepass audit 1 cut", &[cut])
    }

    /// Returns the seal of a file that holds so many rows of several chains, which have the numbers from `first` to `last` in the list, and
    /// of each slot those that end at a row.
    pub(super) fn seal_of_slots_archive(
        &self,
        [first, last, rows]: [u64; 3],
        ends: &[(u64, Head)],
    ) -> [u8; 32] {
        let mut mac = self.key.begin();
        mac.absorb(b"gatepass audit 1 archive of slots");
        for number in [first, last, rows] {
            mac.absorb(&number.to_be_bytes());
        }
        for (slot, head) in ends {
            mac.absorb(&slot.to_be_bytes());
            mac.absorb(&head.seq.to_be_bytes());
            mac.absorb(&head.mac);
        }
        mac.finish()
    }

    /// Returns the seal of a file that holds the rows after `from` up to `to`.
    pub(super) fn seal_of_archive(&self, from: &Head, to: &Head) -> [u8; 32] {
        self.seal(b"gatepass audit 1 archive", &[from, to])
    }

    fn seal(&self, purpose: &[u8], heads: &[&Head]) -> [u8; 32] {
        let mut mac = self.key.begin();
        mac.absorb(purpose);
        for head in heads {
            mac.absorb(&head.seq.to_be_bytes());
            mac.absorb(&head.mac);
        }
        mac.finish()
    }

    /// Returns true if the record of the last row has its seal.
    pub(super) fn is_sealed(&self, kept: &SealedHead) -> bool {
        same_bytes(&self.seal_of(&kept.head), &kept.seal)
    }

    /// Verifies the record of what was archived and deleted. Returns none if it was altered.
    pub(super) fn marks(&self, kept: &SealedMarks) -> Option<Marks> {
        let is_archived = match &kept.archived_seal {
            None => kept.archived == 0,
            Some(seal) => same_bytes(&self.seal_of_archived(kept.archived), seal),
        };
        let cut = match (kept.cut, kept.cut_mac, &kept.cut_seal) {
            (0, None, None) => self.empty(),
            (seq, Some(mac), Some(seal)) => {
                let cut = Head { seq, mac };
                (seq <= kept.archived && same_bytes(&self.seal_of_cut(&cut), seal)).then_some(cut)?
            }
            (_, _, _) => return None,
        };
        is_archived.then_some(Marks { archived: kept.archived, cut })
    }

    /// Verifies as [`Chain::marks`] does; an altered record is an error.
    pub(super) fn require_marks(&self, kept: &SealedMarks) -> Result<Marks, StoreError> {
        self.marks(kept).ok_or_else(|| broken("its start was altered"))
    }

    /// Returns the values of the row for `event` that follows `before`, and the row's number and link.
    pub(super) fn next_row<'e>(&'e self, before: &Head, event: &'e Event) -> ([Field<'e>; WIDTH], Head) {
        let seq = before.seq.saturating_add(1);
        let fields = fields(seq, event, self.operator.as_deref());
        let mac = self.link(&before.mac, &fields);
        (fields, Head { seq, mac })
    }

    /// Returns the number and the link of the row that follows `before`, if it is the one with these values and this link.
    pub(super) fn follow(&self, before: &Head, fields: &[Field<'_>], mac: &[u8]) -> Option<Head> {
        let seq = before.seq.saturating_add(1);
        let link = self.link(&before.mac, fields);
        let is_next = fields.first() == Some(&Field::Integer(integer(seq))) && same_bytes(&link, mac);
        is_next.then_some(Head { seq, mac: link })
    }
}

/// Returns the error for a chain with this fault.
pub(super) fn broken(fault: &str) -> StoreError {
    StoreError::ChainBroken(fault.into())
}

/// A chain that is being verified, page by page. Rows may be added, and archived ones deleted, between two pages.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    has_cuts: bool,
    /// The last row that holds; none before the first page.
    at: Option<Head>,
    rows: u64,
}

impl Walk {
    /// Begins where the chain begins. `has_cuts` is true if its oldest rows may have been deleted.
    pub(super) const fn new(has_cuts: bool) -> Self {
        Self { has_cuts, at: None, rows: 0 }
    }

    /// Returns true if the record of what was deleted is needed.
    pub(super) const fn has_cuts(&self) -> bool {
        self.has_cuts
    }

    /// Begins a page. Returns the number after which its rows are read; `i64::MIN` for the first page, so that a row with a
    /// number below 1 is found.
    ///
    /// # Errors
    /// The verdict, if the record of what was deleted was altered.
    pub(super) fn begin(&mut self, chain: &Chain, kept: Option<&SealedMarks>) -> Result<i64, AuditVerdict> {
        let cut = match kept.map(|kept| chain.marks(kept)) {
            None => chain.empty(),
            Some(Some(marks)) => marks.cut,
            Some(None) => return Err(self.broken(BrokenLink::Start)),
        };
        // The next rows may have been deleted since: it continues behind them.
        let (head, from) = match self.at.take() {
            Some(at) if at.seq >= cut.seq => {
                let from = integer(at.seq);
                (at, from)
            }
            Some(_) | None => (cut, i64::MIN),
        };
        self.at = Some(head);
        Ok(from)
    }

    /// Verifies the next row.
    ///
    /// # Errors
    /// The verdict, if it is not the row that follows.
    pub(super) fn row(
        &mut self,
        chain: &Chain,
        seq: i64,
        fields: &[Field<'_>],
        mac: &[u8],
    ) -> Result<(), AuditVerdict> {
        let head = self.at.get_or_insert_with(|| chain.empty());
        let next = head.seq.saturating_add(1);
        match seq.cmp(&integer(next)) {
            // A row before the first one was moved there.
            Ordering::Less => return Err(self.broken(BrokenLink::Altered(next))),
            Ordering::Greater => return Err(self.broken(BrokenLink::Missing(next))),
            Ordering::Equal => {}
        }
        let link = chain.link(&head.mac, fields);
        if !same_bytes(&link, mac) {
            return Err(self.broken(BrokenLink::Altered(next)));
        }
        *head = Head { seq: next, mac: link };
        self.rows = self.rows.saturating_add(1);
        Ok(())
    }

    /// Ends the walk after the last row, which `kept` is the record of. Returns the verdict.
    pub(super) fn end(&self, chain: &Chain, kept: &SealedHead) -> AuditVerdict {
        let head = self.at.clone().unwrap_or_else(|| chain.empty());
        if head != kept.head {
            return self.broken(match head.seq.cmp(&kept.head.seq) {
                Ordering::Less => BrokenLink::Cut(head.seq.saturating_add(1)),
                Ordering::Equal => BrokenLink::Head,
                Ordering::Greater => BrokenLink::Added(kept.head.seq.saturating_add(1)),
            });
        }
        if !chain.is_sealed(kept) {
            return self.broken(BrokenLink::Head);
        }
        AuditVerdict { rows: self.rows, broken: None, slot: None }
    }

    pub(super) const fn broken(&self, link: BrokenLink) -> AuditVerdict {
        AuditVerdict { rows: self.rows, broken: Some(link), slot: None }
    }
}

#[cfg(test)]
mod tests {
    use gatepass_core::base::time::Time;
    use gatepass_core::records::id::{ClientId, UserId};
    use gatepass_core::records::request_id::RequestId;
    use gatepass_core::records::risk::Assessment;
    use gatepass_core::store::audit::Kind;

    use super::*;

    fn event(at: u64) -> Event {
        Event::new(Kind::TicketIssued, Time::from_unix(at))
    }

    /// Computed by another program: rows of the first schema hash as they did, and a risk is part of the link.
    #[test]
    fn the_link_of_a_row() {
        let chain = Chain::new(b"key");
        let plain = Event {
            subject: UserId::parse("usr_alice").ok(),
            client: ClientId::parse("portal").ok(),
            address: "192.0.2.1".parse().ok(),
            ..event(1_750_000_000)
        };
        let judged = Event { risk: Assessment::parse("40 medium new_device=40"), ..plain.clone() };
        let issued = Event {
            issuer: ClientId::parse("office").ok(),
            request: RequestId::parse("req_1").ok(),
            ..plain.clone()
        };
        for (event, link) in [
            (issued, "d840f52cb1a3ea043cd9f2473db272bb3cb167f39f0a286dbce2b66ee206e26c"),
            (plain, "859f144b3bc25ed16d40dad5fb7d4914fc3998bc7f4bd171a751eb5af6bd06ba"),
            (judged, "834794f3f3f6d06a6eca313b81f6bb7ab4e7b8513cbb12e1a1c434d7afb7afd4"),
        ] {
            let (_, head) = chain.next_row(&chain.empty(), &event);
            let made: String = head.mac.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(made, link);
        }
    }

    /// Returns the verdict on `rows`, of which each has a number, values and a link.
    fn verdict(chain: &Chain, rows: &[(i64, Vec<Field<'_>>, [u8; 32])], kept: &SealedHead) -> AuditVerdict {
        let mut walk = Walk::new(false);
        walk.begin(chain, None).unwrap();
        for (seq, fields, mac) in rows {
            if let Err(verdict) = walk.row(chain, *seq, fields, mac) {
                return verdict;
            }
        }
        walk.end(chain, kept)
    }

    #[test]
    fn a_walk_finds_every_fault_without_an_engine() {
        let chain = Chain::new(b"key");
        let events = [event(1), event(2), event(3)];
        let (mut rows, mut head) = (Vec::new(), chain.empty());
        for event in &events {
            let (fields, next) = chain.next_row(&head, event);
            assert_eq!(chain.follow(&head, &fields, &next.mac).as_ref(), Some(&next));
            rows.push((i64::try_from(next.seq).unwrap(), fields.to_vec(), next.mac));
            head = next;
        }
        let kept = SealedHead { seal: chain.seal_of(&head), head };
        assert_eq!(verdict(&chain, &rows, &kept), AuditVerdict { rows: 3, broken: None, slot: None });

        let broken = |rows: &[_], kept: &SealedHead| verdict(&chain, rows, kept).broken.unwrap();
        let mut altered = rows.clone();
        altered[1].1[11] = Field::text("x");
        assert_eq!(broken(&altered, &kept), BrokenLink::Altered(2));
        assert_eq!(broken(&[rows[0].clone(), rows[2].clone()], &kept), BrokenLink::Missing(2));
        assert_eq!(broken(&rows[..2], &kept), BrokenLink::Cut(3));
        let mut moved = rows.clone();
        moved[0].0 = -1;
        assert_eq!(broken(&moved, &kept), BrokenLink::Altered(1));
        let earlier = Head { seq: 2, mac: rows[1].2 };
        let forged = SealedHead { head: earlier.clone(), seal: kept.seal };
        assert_eq!(broken(&rows[..2], &forged), BrokenLink::Head);
        let honest = SealedHead { seal: chain.seal_of(&earlier), head: earlier };
        assert_eq!(broken(&rows, &honest), BrokenLink::Added(3));
    }

    #[test]
    fn marks_are_good_only_with_their_seals() {
        let chain = Chain::new(b"key");
        let cut = Head { seq: 2, mac: [7; 32] };
        let good = SealedMarks {
            archived: 5,
            archived_seal: Some(chain.seal_of_archived(5)),
            cut: 2,
            cut_mac: Some(cut.mac),
            cut_seal: Some(chain.seal_of_cut(&cut)),
        };
        assert_eq!(chain.marks(&good), Some(Marks { archived: 5, cut }));
        let none = Marks { archived: 0, cut: chain.empty() };
        assert_eq!(chain.marks(&SealedMarks::default()), Some(none));
        for altered in [
            SealedMarks { archived: 4, ..good.clone() },
            SealedMarks { cut: 3, ..good.clone() },
            SealedMarks { cut_seal: None, ..good.clone() },
            SealedMarks { archived: 0, archived_seal: None, ..good },
        ] {
            assert_eq!(chain.marks(&altered), None, "{altered:?}");
        }
    }
}
