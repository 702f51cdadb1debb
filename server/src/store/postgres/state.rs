//! The state that everything in the store shares: the master key, the key of the audit chain, the own slot of the audit table, and the numbering plan.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use gatepass_core::records::identifier::NumberingPlan;

use super::audit_slot::AuditSlot;
use super::database_clock::DatabaseClock;
use super::master_keys::MasterKeys;
use super::process::Process;
use crate::store::audit_chain::Chain;
use crate::store::backend::Access;
use crate::store::error::StoreError;
use crate::store::measures::StoreMeasures;
use crate::store::notice::Notice;

/// The time for which a durable commit proves that the store can commit. Anybody may ask, and without this each request would write.
const PROOF: Duration = Duration::from_secs(1);

/// The time for which the server's disk counts as full after a change was refused for it.
const FULL: Duration = Duration::from_secs(60);

pub(super) struct SharedState {
    pub(super) master: MasterKeys,
    /// The chain of slot 0, from which those of the others come.
    pub(super) chain: Chain,
    /// The notices about how the store was opened.
    pub(super) notices: Vec<Notice>,
    pub(super) access: Access,
    pub(super) measures: StoreMeasures,
    /// The time when a commit was last seen to be durable, if none has failed since.
    proven: ArcSwap<Option<Instant>>,
    /// The time when a change was last refused because the server's disk was full.
    full: ArcSwap<Option<Instant>>,
    slot: ArcSwap<AuditSlot>,
    pub(super) clock: DatabaseClock,
    /// The serving process; none for a command.
    process: OnceLock<Process>,
    /// The plan by which canonical identifiers are made, as it was last read. Each snapshot reads it again.
    plan: ArcSwap<Option<NumberingPlan>>,
}

impl SharedState {
    pub(super) fn new(master: MasterKeys, chain: Chain, plan: Option<NumberingPlan>, access: Access) -> Self {
        Self {
            master,
            chain,
            notices: Vec::new(),
            access,
            measures: StoreMeasures::default(),
            proven: ArcSwap::default(),
            full: ArcSwap::default(),
            slot: ArcSwap::from_pointee(AuditSlot::COMMANDS),
            clock: DatabaseClock::default(),
            process: OnceLock::new(),
            plan: ArcSwap::from_pointee(plan),
        }
    }

    pub(super) fn process(&self) -> Option<&Process> {
        self.process.get()
    }

    pub(super) fn serve(&self, process: Process) {
        let _ = self.process.set(process);
    }

    /// Returns true if a commit was durable a moment ago, which proves that the next one can be, too.
    pub(super) fn is_proven(&self) -> bool {
        self.proven.load().is_some_and(|at| at.elapsed() < PROOF)
    }

    /// Takes whether the last commit was durable.
    pub(super) fn set_proven(&self, is_durable: bool) {
        self.proven.store(Arc::new(is_durable.then(Instant::now)));
    }

    /// Takes that something was not written.
    pub(super) fn failed(&self, error: &StoreError) {
        self.set_proven(false);
        if matches!(error, StoreError::ServerFull(_)) {
            self.full.store(Arc::new(Some(Instant::now())));
        }
    }

    /// Returns true if the server's disk was full a short time ago. What needs no room may have been written since.
    pub(super) fn is_disk_full(&self) -> bool {
        self.full.load().is_some_and(|at| at.elapsed() < FULL)
    }

    /// Returns the slot that this process appends to.
    pub(super) fn slot(&self) -> AuditSlot {
        **self.slot.load()
    }

    pub(super) fn set_slot(&self, slot: AuditSlot) {
        self.slot.store(Arc::new(slot));
    }

    pub(super) fn numbering_plan(&self) -> Option<NumberingPlan> {
        (**self.plan.load()).clone()
    }

    /// Returns true if `read` is the plan that is known; takes it over otherwise.
    pub(super) fn is_plan(&self, read: &Option<NumberingPlan>) -> bool {
        let same = **self.plan.load() == *read;
        if !same {
            self.plan.store(Arc::new(read.clone()));
        }
        same
    }
}
