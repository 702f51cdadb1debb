//! The signing keys. Their private parts are sealed with the master key.

use std::path::Path;

use gatepass_core::base::secret::SecretBytes;
use gatepass_core::base::time::Time;
use gatepass_core::crypto::algorithm::Algorithm;
use gatepass_core::records::signing_key::{KeyRecord, KeyRecords, KeyState, StoredKey};
use rusqlite::{Connection, params, params_from_iter};

use super::Store;
use super::apply::one;
use super::read::every;
use super::rotate::Rotated;
use super::state::{MasterKeys, State};
use super::transaction_error::TransactionError;
use super::values::{decoder, signed};
use crate::secrets::master_key::MasterKey;
use crate::store::backend::{SigningKeys, StoredKeys};
use crate::store::error::StoreError;
use crate::store::rows::{self, Columns, Value, columns, stamp};

impl SigningKeys for Store {
    fn rotate_master_key(&self, to: Option<&Path>) -> Result<Rotated, StoreError> {
        self.rotate_master(to)
    }

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
    let sql = concat!("SELECT ", columns!(keys), ", sealed FROM keys ORDER BY seq");
    let keys = every(db, sql, [], |row| {
        let mut c = Columns::of(row, "keys");
        let record = rows::key_record(&mut c)?;
        let purpose = rows::key_purpose(&record.id);
        let Some(mut opened) = master.open(&purpose, &c.blob("sealed")?) else {
            return Err(TransactionError::Refused(StoreError::Unsealable { path: path.to_owned(), purpose }));
        };
        Ok(StoredKey { record, private_jwk: SecretBytes::new(std::mem::take(&mut *opened)) })
    })?;
    Ok(StoredKeys { generation: state.key_generation, keys })
}

/// Reads every key without its private part, and what the clients ask of them.
pub(super) fn records_of(db: &Connection) -> Result<KeyRecords, TransactionError> {
    let sql = concat!("SELECT ", columns!(keys), " FROM keys ORDER BY seq");
    let keys = every(db, sql, [], decoder("keys", rows::key_record))?;
    let read = decoder("clients", |c| c.parsed("signing_algorithm", Algorithm::parse));
    let sql = "SELECT DISTINCT signing_algorithm FROM clients WHERE signing_algorithm IS NOT NULL";
    let mut chosen = every(db, sql, [], read)?;
    chosen.sort_unstable();
    let longest_lifetime = db.query_row(
        "SELECT max(max(ifnull(token_lifetime, user_token_lifetime), ifnull(user_token_lifetime, token_lifetime))) FROM clients",
        [],
        |row| row.get(0),
    )?;
    Ok(KeyRecords { keys, chosen, longest_lifetime })
}

/// Adds a key.
pub(super) fn insert(
    db: &Connection,
    master: &MasterKey,
    key: &StoredKey,
    generation: u64,
    retire_from: Time,
) -> Result<(), TransactionError> {
    raise(db, generation)?;
    let KeyRecord { id, state, beside, .. } = &key.record;
    let signs = *state == KeyState::Signing;
    let inserted = if signs { KeyState::Published } else { *state };
    let record = KeyRecord { state: inserted, ..key.record.clone() };
    let sealed = master.seal(&rows::key_purpose(id), key.private_jwk.expose())?;
    one(
        db,
        concat!("INSERT INTO keys (", columns!(keys), ", sealed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"),
        params_from_iter(rows::key_record_values(&record).into_iter().chain([Value::from(sealed)])),
    )?;
    if signs { sign(db, id, *beside, retire_from) } else { Ok(()) }
}

/// Has a key sign.
pub(super) fn activate(
    db: &Connection,
    id: &str,
    generation: u64,
    beside: bool,
    retire_from: Time,
) -> Result<(), TransactionError> {
    raise(db, generation)?;
    sign(db, id, beside, retire_from)
}

/// Has a key sign that is there, and makes room for it.
fn sign(db: &Connection, id: &str, beside: bool, retire_from: Time) -> Result<(), TransactionError> {
    // Another of its algorithm stops, and the former default key where no client chooses its algorithm.
    db.execute(
        "UPDATE keys SET state = 'verifying-only', beside = 0, retire_from = ?3 WHERE state = 'signing' AND kid <> ?1 AND \
         (alg = (SELECT alg FROM keys WHERE kid = ?1) OR (NOT ?2 AND NOT beside AND \
         NOT EXISTS (SELECT 1 FROM clients WHERE signing_algorithm = keys.alg)))",
        params![id, beside, stamp(retire_from)],
    )?;
    db.execute(
        "UPDATE keys SET beside = 1 WHERE state = 'signing' AND kid <> ?1 AND NOT ?2",
        params![id, beside],
    )?;
    one(
        db,
        "UPDATE keys SET state = 'signing', retire_from = NULL, beside = ?2 AND \
         EXISTS (SELECT 1 FROM keys WHERE state = 'signing' AND NOT beside AND kid <> ?1) WHERE kid = ?1",
        params![id, beside],
    )
}

/// Has a key only verify that signs beside the default key and for no client.
pub(super) fn stop(
    db: &Connection,
    id: &str,
    generation: u64,
    retire_from: Time,
) -> Result<(), TransactionError> {
    raise(db, generation)?;
    one(
        db,
        "UPDATE keys SET state = 'verifying-only', beside = 0, retire_from = ?2 WHERE kid = ?1 AND state = 'signing' \
         AND beside AND NOT EXISTS (SELECT 1 FROM clients WHERE signing_algorithm = keys.alg)",
        params![id, stamp(retire_from)],
    )
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
