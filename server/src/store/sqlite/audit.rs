//! The audit chain: every row's link is a keyed hash over the link before it and the row itself, and the last
//! link is kept, keyed once more, apart from the rows. An edit, a deletion, a swap or a cut tail shows.

use std::cell::RefCell;

use gatepass_core::crypto::MacKey;
use gatepass_core::records::risk::Assessment;
use gatepass_core::store::audit::{Event, Kind, Refusal};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params, params_from_iter};

use super::error::TransactionError;
use super::read::first;
use super::rows::{self, Columns, signed, stamp};
use super::state::State;
use crate::secrets::master_key::MasterKey;

/// What a row holds beside its link, in the order in which it is hashed.
pub(super) const COLUMNS: &str =
    "seq, at, kind, subject, actor, client, ticket, session, key, address, refusal, reason, count, risk";
/// How many those are.
pub(super) const WIDTH: usize = 14;

/// One row of the audit table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Its number; the first is 1, and there are no gaps.
    pub seq: u64,
    /// What happened.
    pub event: Event,
}

/// What a check of the chain found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditVerdict {
    /// How many rows hold, from the first that is kept on.
    pub rows: u64,
    /// The first thing that does not.
    pub broken: Option<BrokenLink>,
}

impl AuditVerdict {
    /// Whether the whole chain holds.
    pub const fn holds(&self) -> bool {
        self.broken.is_none()
    }
}

/// Where a chain breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokenLink {
    /// This row is missing, and later ones are there.
    Missing(u64),
    /// This row, or the one before it, was altered.
    Altered(u64),
    /// The rows from this one on were cut off.
    Cut(u64),
    /// This row was added by somebody else.
    Added(u64),
    /// The record of where the chain ends was altered.
    Head,
    /// The record of where the chain begins, or of what was archived, was altered.
    Start,
}

impl std::fmt::Display for BrokenLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing(seq) => write!(f, "row {seq} is missing"),
            Self::Altered(seq) => write!(f, "row {seq} was altered"),
            Self::Cut(seq) => write!(f, "the rows from {seq} on were cut off"),
            Self::Added(seq) => write!(f, "row {seq} was not written by gatepass"),
            Self::Head => f.write_str("the record of the last row was altered"),
            Self::Start => f.write_str("the record of the first row that is kept was altered"),
        }
    }
}

/// The end of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The last row.
    pub(super) seq: u64,
    /// Its link.
    pub(super) mac: [u8; 32],
}

/// The chain's key.
pub(super) struct Chain(MacKey);

impl Chain {
    pub(super) fn new(key: &[u8]) -> Self {
        Self(MacKey::new(key))
    }

    /// The head of a chain without rows.
    pub(super) fn empty(&self) -> Head {
        let mut mac = self.0.begin();
        mac.absorb(b"gatepass audit 1 start");
        Head { seq: 0, mac: mac.finish() }
    }

    /// What is kept beside the head, so that nobody without the key makes an earlier row the last.
    pub(super) fn seal_of(&self, head: &Head) -> [u8; 32] {
        let mut mac = self.0.begin();
        mac.absorb(b"gatepass audit 1 head");
        mac.absorb(&head.seq.to_be_bytes());
        mac.absorb(&head.mac);
        mac.finish()
    }

    /// The link of a row of `fields`, after the link `before`. Each field goes in with its type and its length, so
    /// that no two rows hash alike. The last one, which the first schema did not have, goes in where it is there.
    pub(super) fn link<'a>(&self, before: &[u8; 32], fields: impl Iterator<Item = ValueRef<'a>>) -> [u8; 32] {
        let mut mac = self.0.begin();
        mac.absorb(b"gatepass audit 1 row");
        mac.absorb(before);
        let late = WIDTH - 1;
        for (_, field) in fields.enumerate().filter(|(i, field)| *i != late || *field != ValueRef::Null) {
            let number;
            let (kind, bytes): (u8, &[u8]) = match field {
                ValueRef::Null => (0, &[]),
                ValueRef::Integer(n) => {
                    number = n.to_be_bytes();
                    (1, &number)
                }
                ValueRef::Real(n) => {
                    number = n.to_be_bytes();
                    (2, &number)
                }
                ValueRef::Text(text) => (3, text),
                ValueRef::Blob(blob) => (4, blob),
            };
            mac.absorb(&[kind]);
            mac.absorb(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.absorb(bytes);
        }
        mac.finish()
    }

    /// What is kept beside the number of the last archived row.
    pub(super) fn seal_of_archived(&self, seq: u64) -> [u8; 32] {
        let mut mac = self.0.begin();
        mac.absorb(b"gatepass audit 1 archived");
        mac.absorb(&seq.to_be_bytes());
        mac.finish()
    }

    /// What is kept beside the last row that was deleted.
    pub(super) fn seal_of_cut(&self, cut: &Head) -> [u8; 32] {
        let mut mac = self.0.begin();
        mac.absorb(b"gatepass audit 1 cut");
        mac.absorb(&cut.seq.to_be_bytes());
        mac.absorb(&cut.mac);
        mac.finish()
    }

    /// What a file of rows after `from` up to `to` ends with.
    pub(super) fn seal_of_archive(&self, from: &Head, to: &Head) -> [u8; 32] {
        let mut mac = self.0.begin();
        mac.absorb(b"gatepass audit 1 archive");
        for end in [from, to] {
            mac.absorb(&end.seq.to_be_bytes());
            mac.absorb(&end.mac);
        }
        mac.finish()
    }
}

/// The chain while one transaction, which holds the write lock, adds to it: its end is read once, and written once.
pub(super) struct Tail<'a> {
    chain: &'a Chain,
    master: &'a MasterKey,
    state: State,
    /// None until something is added.
    end: RefCell<Option<Head>>,
}

impl<'a> Tail<'a> {
    /// The end of `chain` as the transaction finds it.
    pub(super) const fn of(chain: &'a Chain, master: &'a MasterKey, state: State) -> Self {
        Self { chain, master, state, end: RefCell::new(None) }
    }

    /// The master key, which seals what the transaction writes.
    pub(super) const fn master(&self) -> &MasterKey {
        self.master
    }

    /// Returns the state of the whole file, as the transaction found it.
    pub(super) const fn state(&self) -> &State {
        &self.state
    }

    /// Where it ends now.
    pub(super) fn end(&self) -> Option<Head> {
        self.end.borrow().clone()
    }

    /// Lets it end where it did: what was added since was rolled back.
    pub(super) fn back_to(&self, end: Option<Head>) {
        *self.end.borrow_mut() = end;
    }

    /// Adds a row for `event`.
    pub(super) fn append(&self, db: &Connection, event: &Event) -> Result<(), TransactionError> {
        let before = self.end().map_or_else(|| kept_head(db).map(|(head, _)| head), Ok)?;
        let seq = before.seq.saturating_add(1);
        let fields = fields(seq, event)?;
        let mac = self.chain.link(&before.mac, fields.iter().map(ValueRef::from));
        db.prepare_cached(
            "INSERT INTO audit (seq, at, kind, subject, actor, client, ticket, session, key, address, refusal, reason, \
             count, risk, mac) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?
        .execute(params_from_iter(fields.into_iter().chain([rusqlite::types::Value::Blob(mac.to_vec())])))
        // A row where the next one belongs is damage, not a race.
        .map_err(TransactionError::Sql)?;
        self.back_to(Some(Head { seq, mac }));
        Ok(())
    }

    /// Writes down where it ends, where that is not where it did.
    pub(super) fn keep(&self, db: &Connection) -> rusqlite::Result<()> {
        let Some(end) = self.end() else { return Ok(()) };
        let seq = i64::try_from(end.seq).unwrap_or(i64::MAX);
        db.prepare_cached("UPDATE meta SET audit_seq = ?1, audit_mac = ?2, audit_seal = ?3")?
            .execute(params![seq, end.mac, self.chain.seal_of(&end)])
            .map(drop)
    }
}

/// The head as kept, and its seal.
pub(super) fn kept_head(db: &Connection) -> Result<(Head, [u8; 32]), TransactionError> {
    let read = |row: &rusqlite::Row<'_>| {
        let mut c = Columns::of(row, "meta");
        Ok((Head { seq: c.number("audit_seq")?, mac: c.bytes("audit_mac")? }, c.bytes("audit_seal")?))
    };
    first(db, "SELECT audit_seq, audit_mac, audit_seal FROM meta", [], read)?
        .ok_or(TransactionError::Row { table: "meta", column: "only row" })
}

/// The values of a row, in the order of [`COLUMNS`].
fn fields(seq: u64, event: &Event) -> Result<[rusqlite::types::Value; WIDTH], TransactionError> {
    use rusqlite::types::Value;
    let text = |text: Option<&str>| text.map_or(Value::Null, |t| Value::Text(t.to_owned()));
    let address = event.address.map(|a| a.to_string());
    let risk = event.risk.as_ref().map(ToString::to_string);
    Ok([
        Value::Integer(signed(seq)?),
        Value::Integer(stamp(event.at)),
        text(Some(event.kind.as_str())),
        text(event.subject.as_ref().map(|id| id.as_str())),
        text(event.actor.as_ref().map(|id| id.as_str())),
        text(event.client.as_ref().map(|id| id.as_str())),
        text(event.ticket.as_ref().map(|id| id.as_str())),
        text(event.session.as_ref().map(|id| id.as_str())),
        text(event.key.as_deref()),
        text(address.as_deref()),
        text(event.refusal.map(Refusal::as_str)),
        text(event.reason.as_deref()),
        Value::Integer(i64::from(event.count)),
        text(risk.as_deref()),
    ])
}

/// Reads a row of [`COLUMNS`].
pub(super) fn audit_row(row: &rusqlite::Row<'_>) -> Result<AuditRow, TransactionError> {
    let mut c = Columns::of(row, "audit");
    Ok(AuditRow {
        seq: c.number("seq")?,
        event: Event {
            at: c.time("at")?,
            kind: c.parsed("kind", Kind::parse)?,
            subject: c.maybe("subject", rows::user_id)?,
            actor: c.maybe("actor", rows::user_id)?,
            client: c.maybe("client", rows::client_id)?,
            ticket: c.maybe("ticket", rows::ticket_id)?,
            session: c.maybe("session", rows::session_id)?,
            key: c.maybe("key", rows::owned)?,
            address: c.maybe("address", rows::address)?,
            refusal: c.maybe("refusal", Refusal::parse)?,
            reason: c.maybe("reason", rows::owned)?,
            count: c.small("count")?,
            risk: c.maybe("risk", Assessment::parse)?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatepass_core::base::time::Time;

    /// Computed by another program: rows of the first schema hash as they did, and a risk is part of the link.
    #[test]
    fn the_link_of_a_row() {
        let chain = Chain::new(b"key");
        let plain = Event {
            subject: rows::user_id("usr_alice"),
            client: rows::client_id("portal"),
            address: rows::address("192.0.2.1"),
            ..Event::new(Kind::TicketIssued, Time::from_unix(1_750_000_000))
        };
        let judged = Event { risk: Assessment::parse("40 medium new_device=40"), ..plain.clone() };
        for (event, link) in [
            (plain, "859f144b3bc25ed16d40dad5fb7d4914fc3998bc7f4bd171a751eb5af6bd06ba"),
            (judged, "834794f3f3f6d06a6eca313b81f6bb7ab4e7b8513cbb12e1a1c434d7afb7afd4"),
        ] {
            let made = chain.link(&chain.empty().mac, fields(1, &event).unwrap().iter().map(ValueRef::from));
            let made: String = made.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(made, link);
        }
    }
}
