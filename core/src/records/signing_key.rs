//! Signing keys as a store keeps them.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;

use crate::base::codes::codes;
use crate::base::secret::SecretBytes;
use crate::base::time::Time;
use crate::crypto::algorithm::Algorithm;
use crate::jose::jwk::JwkError;
use crate::jose::key::SigningKey;

codes! {
    /// The state of a key. A key that is retired is not kept.
    KeyState {
        /// In the key set, and signs nothing yet.
        Published = "published",
        /// The one that signs.
        Signing = "signing",
        /// Signs no more. What it signed is still good.
        VerifyingOnly = "verifying-only",
    }
}

/// A key without its private part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its `kid`.
    pub id: String,
    /// The algorithm it is bound to.
    pub algorithm: Algorithm,
    /// Its state.
    pub state: KeyState,
    /// The time when it was added.
    pub created_at: Time,
}

/// A key with its private part. A store seals that part, or keeps it where nobody else reads it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// The key without its private part.
    pub record: KeyRecord,
    /// The private JWK, as [`SigningKey::to_private_jwk`] writes it.
    pub private_jwk: SecretBytes,
}

impl fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredKey").field("record", &self.record).finish_non_exhaustive()
    }
}

impl StoredKey {
    /// Returns `key` as a store keeps it from `created_at` on.
    pub fn new(key: &SigningKey, state: KeyState, created_at: Time) -> Self {
        let record = KeyRecord { id: key.key_id().to_owned(), algorithm: key.algorithm(), state, created_at };
        Self { record, private_jwk: SecretBytes::new(key.to_private_jwk().to_vec()) }
    }

    /// Reads the private part.
    ///
    /// # Errors
    /// [`JwkError`] where it is not what [`StoredKey::new`] made.
    pub fn signing_key(&self) -> Result<SigningKey, JwkError> {
        SigningKey::from_jwk(self.private_jwk.expose(), None)
    }
}
