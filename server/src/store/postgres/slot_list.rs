//! The list of the audit slots: their number, sealed, so that a whole chain cannot vanish. They are numbered from 0 without gaps.

use gatepass_core::base::secret::same_bytes;

use crate::store::audit_chain::Chain;
use crate::store::rows::{Columns, MalformedRow, Row};

pub(super) const UPDATE: &str = "UPDATE meta SET audit_slots = $1, audit_slots_seal = $2";

/// The number of slots, as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SlotList {
    pub(super) count: u64,
    pub(super) seal: [u8; 32],
}

impl SlotList {
    pub(super) fn sealed(chain: &Chain, count: u64) -> Self {
        Self { count, seal: chain.seal_of_slots(count) }
    }

    /// Reads `audit_slots` and `audit_slots_seal`.
    pub(super) fn of_row(row: &dyn Row) -> Result<Self, MalformedRow> {
        let mut c = Columns::of(row, "meta");
        Ok(Self { count: c.number("audit_slots")?, seal: c.bytes("audit_slots_seal")? })
    }

    /// Returns the number of slots, if it has its seal.
    pub(super) fn checked(&self, chain: &Chain) -> Option<u64> {
        same_bytes(&chain.seal_of_slots(self.count), &self.seal).then_some(self.count)
    }
}
