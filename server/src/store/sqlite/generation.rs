//! State generations: a number and 128 random bits, made after commits. The store keeps the last ones, the witness the
//! newest; the witness shows if the files are the newest ones.

use gatepass_core::base::time::Time;
use rusqlite::{Connection, params};

use super::apply::one;
use super::read::{every, first};
use super::transaction_error::TransactionError;
use super::values::{decoder, signed};
use super::witness::Witness;
use crate::secrets::random::random;
use crate::store::error::StoreError;
use crate::store::rows::{Columns, NO_META, integer, stamp};

/// The number of generations that the store keeps.
pub(super) const KEPT: u64 = 64;

/// One state generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Its number. A later one has a higher number.
    pub number: u64,
    /// Its random id.
    pub id: [u8; 16],
    /// The time when it was made, by the wall clock.
    pub made_at: Time,
}

impl Generation {
    /// Makes a generation with this number.
    pub(super) fn new(number: u64, made_at: Time) -> Result<Self, StoreError> {
        Ok(Self { number, id: *random()?, made_at })
    }
}

/// The relation of the files to the witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// There has been no generation so far.
    First,
    /// The witness holds the newest generation.
    Confirmed,
    /// The witness holds an earlier generation of these files: writing it was interrupted.
    Unconfirmed,
    /// The files are older than those that were served last.
    Older,
}

/// Returns the id of the installation, which its witness bears too.
pub(super) fn installation(db: &Connection) -> Result<[u8; 16], TransactionError> {
    first(db, "SELECT installation FROM meta", [], decoder("meta", |c| c.bytes("installation")))?
        .ok_or(NO_META.into())
}

/// Returns the newest generation.
pub(super) fn newest(db: &Connection) -> Result<Option<Generation>, TransactionError> {
    first(db, "SELECT number, id, made_at FROM generations ORDER BY number DESC LIMIT 1", [], |row| {
        let mut c = Columns::of(row, "generations");
        Ok(Generation { number: c.number("number")?, id: c.bytes("id")?, made_at: c.time("made_at")? })
    })
}

/// Adds a generation, and removes those that are too old.
pub(super) fn insert(db: &Connection, generation: &Generation) -> Result<(), TransactionError> {
    let Generation { number, id, made_at } = generation;
    let number = signed(*number)?;
    one(
        db,
        "INSERT INTO generations (number, id, made_at) VALUES (?1, ?2, ?3)",
        params![number, id, stamp(*made_at)],
    )?;
    db.prepare_cached("DELETE FROM generations WHERE number <= ?1")?
        .execute([number.saturating_sub(signed(KEPT)?)])?;
    Ok(())
}

/// Compares the files with the witness. `first_start` is true if a first start was interrupted before it wrote a
/// witness.
pub(super) fn compare(
    db: &Connection,
    witness: Option<&Witness>,
    first_start: bool,
) -> Result<Standing, TransactionError> {
    let (newest, witness) = match (newest(db)?, witness) {
        (None, None) => return Ok(Standing::First),
        (Some(_), None) if first_start => return Ok(Standing::First),
        (None, Some(_)) | (Some(_), None) => return Ok(Standing::Older),
        (Some(newest), Some(witness)) => (newest, witness.generation),
    };
    let is = |other: &Generation| (other.number, other.id) == (witness.number, witness.id);
    if is(&newest) {
        return Ok(Standing::Confirmed);
    }
    let number = integer(witness.number);
    let sql = "SELECT id FROM generations WHERE number = ?1";
    let ids = every(db, sql, [number], decoder("generations", |c| c.bytes::<16>("id")))?;
    Ok(if ids.contains(&witness.id) { Standing::Unconfirmed } else { Standing::Older })
}
