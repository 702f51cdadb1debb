//! The signing keys: their private parts sealed with the master key, their life as a column.

use std::path::Path;

use gatepass_core::base::time::Time;
use gatepass_core::store::audit::Event;
use rusqlite::{Connection, params};
use zeroize::Zeroizing;

use super::apply::one;
use super::error::{StoreError, TransactionError};
use super::read::{every, first};
use super::rows::{self, Columns, stamp};
use super::state::{MasterKeys, State};
use super::{Store, audit::Tail};
use crate::secrets::master_key::MasterKey;

/// Where a key is in its life; one that is gone is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// In the key set, signing nothing yet.
    Published,
    /// The one that signs.
    Signing,
    /// Signs no more; what it signed is still good.
    VerifyingOnly,
}

impl KeyState {
    /// `published`, `signing` or `verifying-only`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Signing => "signing",
            Self::VerifyingOnly => "verifying-only",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Published, Self::Signing, Self::VerifyingOnly].into_iter().find(|s| s.as_str() == text)
    }
}

/// A key as the store gives it out. `Debug` shows no private byte.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// Its name in headers and in the key set.
    pub kid: String,
    /// What it signs with, as in RFC 7518 §3.1.
    pub alg: String,
    /// Where it is in its life.
    pub state: KeyState,
    /// When it was made.
    pub created_at: Time,
    /// The private key, unsealed.
    pub storage: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredKey")
            .field("kid", &self.kid)
            .field("alg", &self.alg)
            .field("state", &self.state)
            .field("created_at", &self.created_at)
            .finish_non_exhaustive()
    }
}

/// Every key, and the generation they are of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKeys {
    /// Raised by every change to the keys.
    pub generation: u64,
    /// The keys, oldest first.
    pub keys: Vec<StoredKey>,
}

/// A change to the keys.
#[derive(Clone)]
pub enum KeyChange {
    /// A new key. One that comes as [`KeyState::Signing`] makes the former one verify only.
    Insert {
        /// Its name.
        kid: String,
        /// What it signs with.
        alg: String,
        /// The private key.
        storage: Zeroizing<Vec<u8>>,
        /// When it was made.
        created_at: Time,
        /// Where its life begins.
        state: KeyState,
    },
    /// The key signs from now on; the one that did verifies only.
    Activate {
        /// Which.
        kid: String,
    },
    /// The key is gone. Refused while it signs.
    Retire {
        /// Which.
        kid: String,
    },
}

impl std::fmt::Debug for KeyChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Insert { kid, alg, created_at, state, storage: _ } => f
                .debug_struct("Insert")
                .field("kid", kid)
                .field("alg", alg)
                .field("created_at", created_at)
                .field("state", state)
                .finish_non_exhaustive(),
            Self::Activate { kid } => f.debug_struct("Activate").field("kid", kid).finish(),
            Self::Retire { kid } => f.debug_struct("Retire").field("kid", kid).finish(),
        }
    }
}

/// What a key is sealed for.
pub(super) fn purpose(kid: &str) -> String {
    format!("key:{kid}")
}

impl Store {
    /// Every key, unsealed.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read, or one was altered.
    pub fn keys(&self) -> Result<StoredKeys, StoreError> {
        self.snapshot(|db| keys_of(db, self.path(), self.master_keys()))
    }

    /// Changes the keys, raises their generation and writes `events`, in one transaction.
    ///
    /// # Errors
    /// [`StoreError`] where the key is not there, is there already, or signs; and where it cannot be written.
    pub fn change_keys(&self, change: KeyChange, events: &[Event]) -> Result<(), StoreError> {
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
