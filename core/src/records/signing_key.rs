//! Signing keys as a store keeps them.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
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
        /// Signs: at most one of each algorithm does.
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
    /// True if it signs, or is to sign, for the clients that choose its algorithm alone. Otherwise it is the default key, or is to be:
    /// it signs for the clients that choose none, too.
    pub beside: bool,
    /// The time from which nothing that it signed is still good, if it signed before.
    pub retire_from: Option<Time>,
}

impl KeyRecord {
    /// The time in seconds that a key waits beyond the life of a copy of the key set, or of the last token that it signed: for answers
    /// on their way, and other people's clocks.
    pub const MARGIN: u64 = 60;

    /// Returns true if it signs for the clients that choose no algorithm.
    pub fn is_default(&self) -> bool {
        self.state == KeyState::Signing && !self.beside
    }

    /// Lets the key only verify, until it may be retired.
    #[cfg(feature = "memory")]
    pub(crate) const fn stop(&mut self, retire_from: Time) {
        (self.state, self.beside, self.retire_from) = (KeyState::VerifyingOnly, false, Some(retire_from));
    }

    /// Returns the time from which every copy of the key set holds the key, where a copy is kept for `key_set_lifetime` seconds: from
    /// then on it may sign.
    pub fn signs_from(&self, key_set_lifetime: u32) -> Time {
        self.created_at.plus(u64::from(key_set_lifetime).saturating_add(Self::MARGIN))
    }
}

/// Every key without its private part, and what the clients ask of them.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct KeyRecords {
    /// The keys, in the order in which they were added.
    pub keys: Vec<KeyRecord>,
    /// The algorithms that clients choose, each once, in the order of [`Algorithm::ALL`].
    pub chosen: Vec<Algorithm>,
    /// The longest lifetime of an access token that a client has of its own, in seconds.
    pub longest_lifetime: Option<u32>,
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
        let record = KeyRecord {
            id: key.key_id().to_owned(),
            algorithm: key.algorithm(),
            state,
            created_at,
            beside: false,
            retire_from: None,
        };
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
