//! The signing keys as a store gives them out and changes them.

use gatepass_core::base::time::Time;
use zeroize::Zeroizing;

/// A stage in the life of a key. A key that was retired is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// In the key set, signing nothing yet.
    Published,
    /// The key that signs.
    Signing,
    /// Signs no more. What it signed is still good.
    VerifyingOnly,
}

impl KeyState {
    /// Returns `published`, `signing` or `verifying-only`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Signing => "signing",
            Self::VerifyingOnly => "verifying-only",
        }
    }

    /// Reads what [`KeyState::as_str`] returns.
    pub(super) fn parse(text: &str) -> Option<Self> {
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
    /// The stage of its life.
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
    /// Adds a key. If it comes as [`KeyState::Signing`], the former one verifies only.
    Insert {
        /// Its name.
        kid: String,
        /// What it signs with.
        alg: String,
        /// The private key.
        storage: Zeroizing<Vec<u8>>,
        /// When it was made.
        created_at: Time,
        /// The stage in which it begins.
        state: KeyState,
    },
    /// Lets the key sign from now on. The one that did verifies only.
    Activate {
        /// Its name.
        kid: String,
    },
    /// Deletes the key. Refused while it signs.
    Retire {
        /// Its name.
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
