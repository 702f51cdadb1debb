//! A memory of what the log has said, for what is to be said once.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

/// The most that is remembered. Nothing more is said then: what a peer sends may be the key.
const MOST: usize = 64;

/// The keys of what was said.
#[derive(Debug)]
pub(crate) struct Said<K>(Mutex<HashSet<K>>);

impl<K> Default for Said<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> Said<K> {
    /// Returns true if nothing was said about `key` so far, and something may be.
    pub(crate) fn is_new(&self, key: K) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.len() < MOST && said.insert(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_new_once_and_only_so_many_are() {
        let said = Said::default();
        assert!(said.is_new(0) && !said.is_new(0));
        assert_eq!((0..1000).filter(|key| said.is_new(*key)).count(), MOST - 1);
    }
}
