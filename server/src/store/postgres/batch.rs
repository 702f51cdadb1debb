//! A batch of commits. The core's own store in memory decides which of them hold, before anything is written.

use std::sync::Arc;

use gatepass_core::records::identifier::NumberingPlan;
use gatepass_core::store::change::{Change, Outcome};

use super::commit_load;
use super::commit_names::CommitNames;
use super::connection::Connection;
use super::guard::tell;
use super::load::{Loaded, Read};
use super::master_keys::NumberedKey;
use super::process::{Counted, Process};
use super::save;
use super::state::SharedState;
use super::table::Saves;
use super::trouble::Trouble;
use super::writer::{BEGIN, Failure, Prepared, Unit, Writer};
use crate::clock::wall;
use crate::store::backend::{Access, Then};
use crate::store::error::StoreError;
use crate::store::rows::NO_META;
use crate::store::sqlite::Generation;

/// A commit that waits for its outcome.
pub(super) struct Commit {
    changes: Arc<[Change]>,
    then: Option<Then<Outcome>>,
}

impl Commit {
    pub(super) fn new(changes: Arc<[Change]>, then: Then<Outcome>) -> Self {
        Self { changes, then: Some(then) }
    }

    /// Tells who waits the outcome.
    pub(super) fn settle(mut self, outcome: Outcome) {
        if let Some(then) = self.then.take() {
            tell(then, outcome);
        }
    }
}

impl Drop for Commit {
    /// Dropped without an outcome: the writer failed in the middle of it.
    fn drop(&mut self) {
        if let Some(then) = self.then.take() {
            tell(then, Outcome::Unknown);
        }
    }
}

/// The end of a batch that was committed, or had nothing to write.
pub(super) struct Decided {
    outcomes: Vec<Outcome>,
    counted: Option<Counted>,
}

/// Tells each of `commits` its outcome, given the end of their batch. Then the witness is written, if there is a new state generation.
pub(super) async fn settle(state: &Arc<SharedState>, commits: Vec<Commit>, end: Result<Decided, Failure>) {
    if let Some(generation) = tell_all(state, commits, end) {
        write_witness(state, generation).await;
    }
}

/// Writes the witness, which waits for a disk: never inside a transaction.
pub(super) async fn write_witness(state: &Arc<SharedState>, generation: Generation) {
    let state = Arc::clone(state);
    let written = move || state.process().into_iter().for_each(|process| process.write_witness(generation));
    let _ = tokio::task::spawn_blocking(written).await;
}

/// Tells each of `commits` its outcome, given the end of their batch. Returns the generation that the witness is to hold, if there is a new one.
pub(super) fn tell_all(
    state: &SharedState,
    commits: Vec<Commit>,
    end: Result<Decided, Failure>,
) -> Option<Generation> {
    let all = |outcome| vec![outcome; commits.len()];
    let mut generation = None;
    let outcomes = match end {
        Ok(Decided { outcomes, counted }) => {
            if let (Some(process), Some(counted)) = (state.process(), counted) {
                generation = process.committed(counted);
            }
            if outcomes.contains(&Outcome::Applied) {
                state.set_proven(true);
            }
            outcomes
        }
        Err(Failure::NotApplied(error) | Failure::Refused(error)) => {
            state.failed(&error);
            tracing::error!(%error, commits = commits.len(), "commits were not applied");
            all(Outcome::NotApplied)
        }
        Err(Failure::Unknown(error)) => {
            state.set_proven(false);
            tracing::error!(%error, commits = commits.len(), "the outcome of commits was lost");
            all(Outcome::Unknown)
        }
    };
    commits.into_iter().zip(outcomes).for_each(|(commit, outcome)| commit.settle(outcome));
    generation
}

/// Commits that are written in one transaction.
pub(super) struct Batch {
    commits: Vec<Arc<[Change]>>,
    was_tried: bool,
}

impl Batch {
    pub(super) fn of(commits: &[Commit]) -> Self {
        Self { commits: commits.iter().map(|commit| Arc::clone(&commit.changes)).collect(), was_tried: false }
    }

    pub(super) fn one(changes: Arc<[Change]>) -> Self {
        Self { commits: vec![changes], was_tried: false }
    }
}

impl Unit for Batch {
    type Made = Decided;

    fn commits(&self) -> usize {
        self.commits.len()
    }

    async fn prepare(
        &mut self,
        writer: &Writer,
        connection: &Connection,
    ) -> Result<Prepared<Self::Made>, Trouble> {
        // A row that is there already fails the first try; the next one finds out which commit it belongs to.
        let names = if std::mem::replace(&mut self.was_tried, true) {
            CommitNames::of
        } else {
            CommitNames::without_new
        };
        let commits = &self.commits;
        let all = || commits.iter().flat_map(|changes| changes.iter());
        let has_events = all().any(|change| matches!(change, Change::Audit(_)));
        let names = names(all(), writer.plan().as_ref());
        let process = writer.state.process();
        let master = writer.state.master.current();
        let loaded = writer.begin(connection, &master, &names, has_events, process).await?;
        let Loaded { tables: before, slot, process: commits_found, .. } = loaded;
        if process.is_some_and(|process| !process.holds(commits_found, before.state_epoch)) {
            return Err(Trouble::StateLost);
        }
        let mut after = before.clone();
        let outcomes: Vec<Outcome> = commits.iter().map(|changes| after.commit(changes)).collect();
        let applied = || {
            let pairs = commits.iter().zip(&outcomes);
            pairs.filter(|(_, outcome)| **outcome == Outcome::Applied).flat_map(|(changes, _)| changes.iter())
        };
        if outcomes.iter().all(|outcome| *outcome != Outcome::Applied) {
            return Ok(Prepared { made: Decided { outcomes, counted: None }, saves: None });
        }
        let events = std::mem::take(&mut after.audit);
        let mut saves = Saves::default();
        save::save(&before, &after, applied(), &master.key, &mut saves)?;
        if !events.is_empty() {
            writer.append(slot, &events, &mut saves)?;
        }
        let counted = process.map(|process| process.count(commits_found, wall(), &mut saves)).transpose()?;
        Ok(Prepared { made: Decided { outcomes, counted }, saves: Some(saves) })
    }
}

impl Writer {
    pub(super) fn plan(&self) -> Option<NumberingPlan> {
        self.state.numbering_plan()
    }

    /// Begins a transaction: locks and reads the rows of `names`, the slot of the audit table if rows are appended, and the row of the
    /// process if the transaction is counted. What is sealed is opened with `master`.
    pub(super) async fn begin<'m>(
        &self,
        connection: &Connection,
        master: &'m NumberedKey,
        names: &CommitNames,
        appends: bool,
        counted: Option<&Process>,
    ) -> Result<Loaded<'m>, Trouble> {
        let mut loads = commit_load::loads(names);
        if appends {
            // The last of the locks: its holders never wait for another.
            loads.extend(self.state.slot().loads());
        }
        loads.extend(counted.map(Process::load));
        let reads: Vec<Read> = loads.iter().map(|load| load.read).collect();
        let statements = loads.into_iter().map(|load| (load.sql, load.parameters)).collect();
        let sent = connection.send(BEGIN, statements, "").await;
        self.tell_committed();
        let rows = sent?.await?;
        let mut loaded = Loaded::new(&master.key);
        let read = loaded.read(reads, &rows);
        if !self.state.master.is_of(master, loaded.meta.as_ref(), connection).await? {
            return Err(Trouble::Again);
        }
        read?;
        let meta = loaded.meta.as_ref().ok_or(NO_META)?;
        match (&meta.handover, self.state.access) {
            (None, _) | (Some(_), Access::WriteHandedOver) => {}
            (Some(id), Access::Serve | Access::Write | Access::Read) => {
                return Err(StoreError::HandedOver(id.clone()).into());
            }
        }
        if self.state.is_plan(&meta.numbering_plan) { Ok(loaded) } else { Err(Trouble::Again) }
    }
}
