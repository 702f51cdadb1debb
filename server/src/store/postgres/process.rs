//! A serving process finds out when the database has lost what it had committed: after a failover to a standby that lagged behind, or a
//! backup that was put back.
//!
//! Each data directory has a row of its own, which counts the commits of its process. A batch locks that row: where it counts fewer commits
//! than the process has seen applied, the database is older than it was. Between two lives of the process the witness knows the same: it holds
//! the newest state generation of the data directory, of which the database keeps the last ones.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gatepass_core::base::time::Time;

use super::connection::Connection;
use super::load::{self, Load, Parameter};
use super::table::Saves;
use super::trouble::Trouble;
use crate::secrets::random::random;
use crate::store::error::StoreError;
use crate::store::rows::integer;
use crate::store::sqlite::{Generation, Installation, PATIENCE, Witness};

/// Locks the row of a process, and reads its count.
const LOCK: &str = "SELECT commits FROM processes WHERE id = $1 FOR UPDATE";

/// The longest time from a commit to a new generation.
const INTERVAL: Duration = Duration::from_secs(1);

/// The generations that the database keeps of each data directory.
const KEPT: i64 = 64;

/// A serving process, as its own data directory knows it.
pub(super) struct Process {
    /// The id of the data directory.
    id: [u8; 16],
    installation: Installation,
    known: Mutex<Known>,
}

/// The state of the database as the process has seen it.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// The commits that were applied, at least.
    commits: u64,
    state_epoch: u64,
    /// When the newest generation was made, and its number.
    generation: (Instant, u64),
    /// True if commits have followed it.
    is_due: bool,
    /// False while the witness cannot be written.
    witness_works: bool,
}

/// The standing of the database at the start of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is as new as the witness, or there was no witness.
    Newest,
    /// It is older than the witness says.
    Older,
}

impl Process {
    /// Finds the row of the data directory, which is made first where there is none, and compares it with the witness.
    pub(super) async fn start(
        connection: &Connection,
        installation: &Installation,
    ) -> Result<(Self, Standing), Trouble> {
        let path = installation.witness();
        let witness = Witness::read(&*installation.files, &path)?;
        let id = match &witness {
            Some(witness) => witness.installation,
            None => *random::<16>()?,
        };
        let insert = "INSERT INTO processes (id, commits) VALUES ($1, 0) ON CONFLICT DO NOTHING";
        connection.query(insert, &[Box::new(id.to_vec())]).await?;
        let newest = "SELECT p.commits, m.state_epoch, coalesce(max(g.number), 0), coalesce(bool_or(g.id = $2), false) \
                      FROM processes p CROSS JOIN meta m LEFT JOIN generations g ON g.process = p.id WHERE p.id = $1 \
                      GROUP BY p.commits, m.state_epoch";
        let witnessed = witness.map_or([0; 16], |witness| witness.generation.id);
        let values: Vec<Parameter> = vec![Box::new(id.to_vec()), Box::new(witnessed.to_vec())];
        let rows = connection.query(newest, &values).await?;
        let row = rows.first().ok_or(Trouble::Again)?;
        let number = |column| row.get::<_, i64>(column).unsigned_abs();
        let is_there: bool = row.get(3);
        let standing = if witness.is_some() && !is_there { Standing::Older } else { Standing::Newest };
        let last = number(2).max(witness.map_or(0, |witness| witness.generation.number));
        let known = Known {
            commits: number(0),
            state_epoch: number(1),
            generation: (long_ago(), last),
            is_due: false,
            witness_works: true,
        };
        Ok((Self { id, installation: installation.clone(), known: Mutex::new(known) }, standing))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns true if the witness can be written, as far as is known.
    pub(super) fn witness_works(&self) -> bool {
        self.known().witness_works
    }

    pub(super) const fn id(&self) -> &[u8; 16] {
        &self.id
    }

    /// Returns the newest state epoch that the process has seen.
    pub(super) fn state_epoch(&self) -> u64 {
        self.known().state_epoch
    }

    /// Returns the time until the next generation is due; none if no commit has followed the newest.
    pub(super) fn due_in(&self) -> Option<Duration> {
        let known = self.known();
        known.is_due.then(|| INTERVAL.saturating_sub(known.generation.0.elapsed()))
    }

    /// Lets a generation be due now.
    pub(super) fn make_due(&self) {
        self.known().generation.0 = long_ago();
    }

    /// Lets a generation be due later: it could not be made.
    pub(super) fn postpone(&self) {
        self.known().generation.0 = Instant::now();
    }

    /// Returns the statement that locks the row of the process.
    pub(super) fn load(&self) -> Load {
        Load { sql: LOCK, parameters: vec![Box::new(self.id.to_vec())], read: load::process }
    }

    /// Returns true if the database has everything that this process has seen applied, given what a transaction has `found`: the commits
    /// of the process and the state epoch. Where another process has found the loss before, this one takes over the epoch that it raised.
    pub(super) fn holds(&self, found: Option<u64>, state_epoch: u64) -> bool {
        let mut known = self.known();
        let holds = found.is_some_and(|commits| commits >= known.commits);
        if holds || state_epoch > known.state_epoch {
            known.state_epoch = state_epoch;
            known.commits = known.commits.min(found.unwrap_or_default());
            return found.is_some();
        }
        false
    }

    /// Counts the transaction, and adds a generation where one is due. Returns what [`Process::committed`] is told.
    pub(super) fn count(
        &self,
        found: Option<u64>,
        now: Time,
        saves: &mut Saves,
    ) -> Result<Counted, StoreError> {
        let commits = found.unwrap_or_default().saturating_add(1);
        saves.run(
            "UPDATE processes SET commits = $2 WHERE id = $1",
            vec![Box::new(self.id.to_vec()), Box::new(integer(commits))],
        );
        let (at, number) = self.known().generation;
        if at.elapsed() < INTERVAL {
            return Ok(Counted { commits, generation: None });
        }
        let generation = Generation { number: number.saturating_add(1), id: *random()?, made_at: now };
        // Another server on the same data directory may have made more than are known here. It waits for the row that is locked.
        saves.run(
            "INSERT INTO generations (process, number, id, made_at) SELECT $1, greatest(coalesce(max(number), 0) + 1, $2), $3, $4 \
             FROM generations WHERE process = $1",
            vec![
                Box::new(self.id.to_vec()),
                Box::new(integer(generation.number)),
                Box::new(generation.id.to_vec()),
                Box::new(integer(now.unix())),
            ],
        );
        saves.run(
            "DELETE FROM generations WHERE process = $1 AND number <= (SELECT max(number) FROM generations WHERE process = $1) - $2",
            vec![Box::new(self.id.to_vec()), Box::new(KEPT)],
        );
        Ok(Counted { commits, generation: Some(generation) })
    }

    /// Takes over that a transaction was applied. Returns the generation that the witness is to hold, if it made one.
    pub(super) fn committed(&self, counted: Counted) -> Option<Generation> {
        let mut known = self.known();
        known.commits = known.commits.max(counted.commits);
        let Some(generation) = counted.generation else {
            known.is_due = true;
            return None;
        };
        // One whose answer was lost may be known of only after a later one.
        if generation.number <= known.generation.1 {
            return None;
        }
        known.generation = (Instant::now(), generation.number);
        known.is_due = false;
        Some(generation)
    }

    /// Writes a generation to the witness, which waits for the disk.
    pub(super) fn write_witness(&self, generation: Generation) {
        let (files, path) = (&*self.installation.files, self.installation.witness());
        let witness = Witness { installation: self.id, generation };
        // Another server on the same data directory may write it, too.
        let written = self.installation.lock_directory(PATIENCE).and_then(|_locked| {
            witness.write(files, &path).map_err(|error| StoreError::file(&path, "write", &error))
        });
        let works = std::mem::replace(&mut self.known().witness_works, written.is_ok());
        if let (true, Err(error)) = (works, written) {
            tracing::warn!(%error, "the witness cannot be written");
        }
    }

    /// Returns the state epoch that refuses everything issued before, given the one that was `found`.
    pub(super) fn next_epoch(&self, found: u64) -> Result<u64, StoreError> {
        let by_chance = u64::from(u32::from_be_bytes(*random::<4>()?));
        Ok(found.max(self.known().state_epoch).saturating_add(1).saturating_add(by_chance))
    }

    /// Takes over that everything issued before is refused, and that the database has `commits` of this process.
    pub(super) fn superseded(&self, commits: u64, state_epoch: u64) {
        let mut known = self.known();
        (known.commits, known.state_epoch) = (commits, state_epoch);
    }
}

fn long_ago() -> Instant {
    Instant::now().checked_sub(INTERVAL).unwrap_or_else(Instant::now)
}

/// A transaction that was counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    commits: u64,
    generation: Option<Generation>,
}
