//! The signing keys in the file: their private parts sealed with the master key, the stage of their life as a column.

use std::path::Path;

use gatepass_core::store::audit::Event;
use rusqlite::{Connection, params};

use super::apply::one;
use super::read::{every, first};
use super::rows::{self, Columns, stamp};
use super::state::{MasterKeys, State};
use super::transaction_error::TransactionError;
use super::{Store, audit::Tail};
use crate::secrets::master_key::MasterKey;
use crate::store::backend::SigningKeys;
use crate::store::error::StoreError;
use crate::store::signing_keys::{KeyChange, KeyState, StoredKey, StoredKeys};

/// What a key is sealed for.
pub(super) fn purpose(kid: &str) -> String {
    format!("key:{kid}")
}

impl SigningKeys for Store {
    fn keys(&self) -> Result<StoredKeys, StoreError> {
        self.snapshot(|db| keys_of(db, self.path(), self.master_keys()))
    }

    fn change_keys(&self, change: KeyChange, events: &[Event]) -> Result<(), StoreError> {
        let events = events.to_vec();
        self.write(move |db, tail| {
            alter(db, tail.master(), &change)?;
            one(db, "UPDATE meta SET generation = generation + 1", [])?;
            record(db, tail, &events)
        })
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
        let kid = c.parsed("kid", rows::owned)?;
        let alg = c.parsed("alg", rows::owned)?;
        let state = c.parsed("state", KeyState::parse)?;
        let created_at = c.time("created_at")?;
        let sealed = c.blob("sealed")?;
        let purpose = purpose(&kid);
        let storage = master.open(&purpose, &sealed).ok_or_else(|| {
            TransactionError::Refused(StoreError::Unsealable { path: path.to_owned(), purpose })
        })?;
        Ok(StoredKey { kid, alg, state, created_at, storage })
    })?;
    Ok(StoredKeys { generation: state.key_generation, keys })
}

/// Adds `events` to the chain.
pub(super) fn record(db: &Connection, tail: &Tail<'_>, events: &[Event]) -> Result<(), TransactionError> {
    events.iter().try_for_each(|event| tail.append(db, event))
}

fn alter(db: &Connection, master: &MasterKey, change: &KeyChange) -> Result<(), TransactionError> {
    match change {
        KeyChange::Insert { kid, alg, storage, created_at, state } => {
            let sealed = master.seal(&purpose(kid), storage)?;
            if state_of(db, kid)?.is_some() {
                return Err(TransactionError::Refused(StoreError::KeyExists(kid.clone())));
            }
            if *state == KeyState::Signing {
                stop_signing(db)?;
            }
            one(
                db,
                "INSERT INTO keys (kid, alg, state, created_at, sealed) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![kid, alg, state.as_str(), stamp(*created_at), sealed],
            )
        }
        KeyChange::Activate { kid } => {
            present(db, kid)?;
            stop_signing(db)?;
            one(db, "UPDATE keys SET state = 'signing' WHERE kid = ?1", [kid])
        }
        KeyChange::Retire { kid } => match present(db, kid)? {
            KeyState::Signing => Err(TransactionError::Refused(StoreError::KeySigns(kid.clone()))),
            KeyState::Published | KeyState::VerifyingOnly => {
                one(db, "DELETE FROM keys WHERE kid = ?1", [kid])
            }
        },
    }
}

fn stop_signing(db: &Connection) -> Result<(), TransactionError> {
    db.execute("UPDATE keys SET state = 'verifying-only' WHERE state = 'signing'", [])?;
    Ok(())
}

fn state_of(db: &Connection, kid: &str) -> Result<Option<KeyState>, TransactionError> {
    first(db, "SELECT state FROM keys WHERE kid = ?1", [kid], |row| {
        Columns::of(row, "keys").parsed("state", KeyState::parse)
    })
}

fn present(db: &Connection, kid: &str) -> Result<KeyState, TransactionError> {
    state_of(db, kid)?.ok_or_else(|| TransactionError::Refused(StoreError::NoSuchKey(kid.to_owned())))
}
