//! The chain of audit rows that a process appends to.
//!
//! A serving process leases a slot of its own, and each batch locks it: one whose fencing number was raised meanwhile writes nothing.
//! Commands share slot 0, one after the other.

use gatepass_core::store::audit::Event;

use super::connection::Connection;
use super::load::{self, Load, Parameter, Slot};
use super::slot_list::{self, SlotList};
use super::table::{self, Saves};
use super::trouble::Trouble;
use super::writer::{BEGIN, Writer};
use crate::store::audit_chain::{Chain, Head, broken};
use crate::store::rows::{NO_META, Value, audit_value, integer};

/// Locks a slot and reads the end of its chain.
const LOCK: &str = "SELECT fence, seq, mac, seal FROM audit_slots WHERE slot = $1 FOR UPDATE";

/// Announces that this transaction is about to hand out numbers of audit rows above the last one: it holds an advisory lock, for which nobody
/// waits, on that last one until it has ended. The upper 16 bits of the lock's key are "AU".
const ANNOUNCE: &str = "SELECT count(pg_advisory_xact_lock_shared((16725::bigint << 48) + CASE WHEN is_called THEN last_value ELSE 0 END)) \
                        FROM audit_number_seq";

/// Reads the least number that is announced.
pub(super) const ANNOUNCED: &str = "SELECT min((classid::bigint << 32) + objid::bigint - (16725::bigint << 48)) FROM pg_locks \
     WHERE locktype = 'advisory' AND mode = 'ShareLock' AND objsubid = 1 AND classid::bigint >> 16 = 16725 \
     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

/// Reads the last number that was handed out.
pub(super) const HANDED_OUT: &str =
    "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM audit_number_seq";

/// The slot that commands share.
pub(super) const SHARED: i64 = 0;

/// Takes a slot whose lease has ended.
const TAKE_OVER: &str = "UPDATE audit_slots SET fence = fence + 1, leased_until = now() + interval '60 seconds' WHERE slot = \
                         (SELECT slot FROM audit_slots WHERE slot > 0 AND leased_until < now() ORDER BY slot LIMIT 1 FOR UPDATE SKIP LOCKED) \
                         RETURNING slot, fence";

/// Reads how many slots there are. Nobody else adds one meanwhile.
const COUNT: &str = "SELECT audit_slots, audit_slots_seal FROM meta FOR UPDATE";

const ADD: &str = "INSERT INTO audit_slots (slot, fence, leased_until, seq, mac, seal) \
                   VALUES ($1, 1, now() + interval '60 seconds', 0, $2, $3) RETURNING slot, fence";

/// A slot, as its holder knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AuditSlot {
    pub(super) slot: i64,
    pub(super) fence: u64,
}

impl AuditSlot {
    /// The slot of commands.
    pub(super) const COMMANDS: Self = Self { slot: SHARED, fence: 0 };

    /// Takes a slot whose lease has ended, or a new one, which gets into the sealed list.
    pub(super) async fn lease(connection: &Connection, chain: &Chain) -> Result<Self, Trouble> {
        connection.run(BEGIN).await?;
        let mut rows = connection.query(TAKE_OVER, &[]).await?;
        if rows.is_empty() {
            let found = connection.query(COUNT, &[]).await?;
            let list = SlotList::of_row(found.first().ok_or(NO_META)?)?;
            let slot = list.checked(chain).ok_or_else(|| broken("the list of its chains was altered"))?;
            let (own, head) = (chain.of_slot(slot), chain.of_slot(slot).empty());
            let parameters: Vec<Parameter> = vec![
                Box::new(integer(slot)),
                Box::new(head.mac.to_vec()),
                Box::new(own.seal_of(&head).to_vec()),
            ];
            rows = connection.query(ADD, &parameters).await?;
            let list = SlotList::sealed(chain, slot.saturating_add(1));
            let parameters: Vec<Parameter> =
                vec![Box::new(integer(list.count)), Box::new(list.seal.to_vec())];
            connection.query(slot_list::UPDATE, &parameters).await?;
        }
        connection.run("COMMIT").await?;
        let slot =
            rows.first().map(|row| Self { slot: row.get(0), fence: row.get::<_, i64>(1).unsigned_abs() });
        slot.ok_or(Trouble::Again)
    }

    /// Gives the slot back, so that the next process takes it.
    pub(super) async fn give_back(self, connection: &Connection) {
        let sql = "UPDATE audit_slots SET leased_until = now() WHERE slot = $1 AND fence = $2 AND slot > 0";
        let parameters: Vec<Parameter> = vec![Box::new(self.slot), Box::new(integer(self.fence))];
        let _ = connection.query(sql, &parameters).await;
    }

    /// Returns the statements that lock the slot and read the end of its chain, and then announce that numbers follow.
    pub(super) fn loads(self) -> [Load; 2] {
        [
            Load { sql: LOCK, parameters: vec![Box::new(self.slot)], read: load::slot },
            Load { sql: ANNOUNCE, parameters: vec![], read: |_, _| Ok(()) },
        ]
    }

    /// Locks the slot and reads the end of its chain, as [`AuditSlot::loads`] does, in a transaction under way.
    pub(super) async fn read(self, connection: &Connection) -> Result<Option<Slot>, Trouble> {
        let parameters: Vec<Parameter> = vec![Box::new(self.slot)];
        let statements = vec![(LOCK, parameters), (ANNOUNCE, vec![])];
        let rows = connection.pipeline("", statements, "").await?;
        Ok(rows.first().and_then(|rows| rows.first()).map(|row| load::slot_of(row)).transpose()?)
    }

    /// Returns true if nobody has taken the slot over.
    pub(super) const fn is_held(self, found: &Slot) -> bool {
        self.fence == found.fence
    }

    /// Appends a row for each of `events` after `head`, and keeps the new end.
    pub(super) fn append(self, chain: &Chain, head: &Head, events: &[Event], saves: &mut Saves) {
        let (mut rows, mut head) = (Vec::new(), head.clone());
        for event in events {
            let (fields, next) = chain.next_row(&head, event);
            let mut row = vec![Value::Integer(self.slot)];
            row.extend(fields.into_iter().map(audit_value));
            row.push(Value::from(next.mac.to_vec()));
            rows.push(row);
            head = next;
        }
        saves.insert(&table::AUDIT, rows);
        saves.run(
            "UPDATE audit_slots SET seq = $2, mac = $3, seal = $4, \
             leased_until = CASE WHEN slot > 0 THEN now() + interval '60 seconds' END WHERE slot = $1",
            vec![
                Box::new(self.slot),
                Box::new(integer(head.seq)),
                Box::new(head.mac.to_vec()),
                Box::new(chain.seal_of(&head).to_vec()),
            ],
        );
    }
}

impl Writer {
    /// Appends a row for each of `events` to the chain of `slot`, which the transaction has locked.
    pub(super) fn append(
        &self,
        slot: Option<Slot>,
        events: &[Event],
        saves: &mut Saves,
    ) -> Result<(), Trouble> {
        let own = self.state.slot();
        let slot = slot.filter(|slot| own.is_held(slot)).ok_or(Trouble::SlotLost)?;
        let chain = self.state.chain.of_slot(own.slot.unsigned_abs());
        own.append(&chain, &slot.head.head, events, saves);
        Ok(())
    }
}
