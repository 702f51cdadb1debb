//! The signing keys. Their private parts are sealed with the master key.

use std::path::Path;

use gatepass_core::base::secret::SecretBytes;
use gatepass_core::crypto::algorithm::Algorithm;
use gatepass_core::records::signing_key::{KeyRecord, KeyState, StoredKey};
use rusqlite::{Connection, Row, params};

use super::Store;
use super::apply::one;
use super::read::every;
use super::rows::{self, Columns, signed, stamp};
use super::state::{MasterKeys, State};
use super::transaction_error::TransactionError;
use crate::secrets::master_key::MasterKey;
use crate::store::backend::{SigningKeys, StoredKeys};
use crate::store::error::StoreError;

/// Returns the purpose that a key is sealed for.
pub(super) fn purpose(id: &str) -> String {
    format!("key:{id}")
}

impl SigningKeys for Store {
    fn keys(&self) -> Result<StoredKeys, StoreError> {
        self.snapshot(|db| keys_of(db, self.path(), self.master_keys()))
    }
}

/// Reads every key, unsealed.
pub(super) fn keys_of(
    db: &Connection,
    path: &Path,
    keys: &MasterKeys,
) -> Result<StoredKeys, TransactionError> {
    let state = State::read(db)?;
    let master = keys.of(db, &state)?;
    let keys = every(db, "SELECT kid, alg, state, created_at, sealed FROM keys ORDER BY seq", [], |row| {
        let mut c = Columns::of(row, "keys");
        let record = record(&mut c)?;
        let purpose = purpose(&record.id);
        let Some(mut opened) = master.open(&purpose, &c.blob("sealed")?) else {
            return Err(TransactionError::Refused(StoreError::Unsealable { path: path.to_owned(), purpose }));
        };
        Ok(StoredKey { record, private_jwk: SecretBytes::new(std::mem::take(&mut *opened)) })
    })?;
    Ok(StoredKeys { generation: state.key_generation, keys })
}

/// Reads every key without its private part.
pub(super) fn records_of(db: &Connection) -> Result<Vec<KeyRecord>, TransactionError> {
    let read = |row: &Row<'_>| record(&mut Columns::of(row, "keys"));
    every(db, "SELECT kid, alg, state, created_at FROM keys ORDER BY seq", [], read)
}

fn record(c: &mut Columns<'_>) -> Result<KeyRecord, TransactionError> {
    Ok(KeyRecord {
        id: c.parsed("kid", rows::owned)?,
        algorithm: c.parsed("alg", Algorithm::parse)?,
        state: c.parsed("state", KeyState::parse)?,
        created_at: c.time("created_at")?,
    })
}

/// Adds a key.
pub(super) fn insert(
    db: &Connection,
    master: &MasterKey,
    key: &StoredKey,
    generation: u64,
) -> Result<(), TransactionError> {
    raise(db, generation)?;
    let KeyRecord { id, algorithm, state, created_at } = &key.record;
    if *state == KeyState::Signing {
        stop_signing(db)?;
    }
    let sealed = master.seal(&purpose(id), key.private_jwk.expose())?;
    one(
        db,
        "INSERT INTO keys (kid, alg, state, created_at, sealed) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![id, algorithm.as_str(), state.as_str(), stamp(*created_at), sealed],
    )
}

/// Has a key sign.
pub(super) fn activate(db: &Connection, id: &str, generation: u64) -> Result<(), TransactionError> {
    raise(db, generation)?;
    stop_signing(db)?;
    one(db, "UPDATE keys SET state = 'signing' WHERE kid = ?1", [id])
}

/// Deletes a key that does not sign.
pub(super) fn retire(db: &Connection, id: &str, generation: u64) -> Result<(), TransactionError> {
    raise(db, generation)?;
    one(db, "DELETE FROM keys WHERE kid = ?1 AND state <> 'signing'", [id])
}

/// Raises the generation of the keys, so that every server loads them again.
fn raise(db: &Connection, generation: u64) -> Result<(), TransactionError> {
    one(db, "UPDATE meta SET generation = generation + 1 WHERE generation = ?1", [signed(generation)?])
}

fn stop_signing(db: &Connection) -> Result<(), TransactionError> {
    db.execute("UPDATE keys SET state = 'verifying-only' WHERE state = 'signing'", [])?;
    Ok(())
}
