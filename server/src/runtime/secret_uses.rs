//! The uses of client secrets that wait to be written: they are collected in memory and written together, so that no request waits
//! for one.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use gatepass_core::base::time::Time;
use gatepass_core::records::client::{SecretDigest, UsedSecret};
use gatepass_core::records::id::ClientId;
use gatepass_core::store::change::Change;

/// The most secrets whose uses wait. A further one waits for its next use: the core tells of it until it was written.
const SECRETS: usize = 1024;

/// The uses that wait, the latest of each secret.
#[derive(Debug, Default)]
pub struct SecretUses(Mutex<BTreeMap<(ClientId, SecretDigest), Time>>);

impl SecretUses {
    /// Remembers a use.
    pub fn record(&self, used: &UsedSecret) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let secret = (used.client.clone(), used.digest.clone());
        if waiting.len() < SECRETS || waiting.contains_key(&secret) {
            let at = waiting.entry(secret).or_insert(used.at);
            *at = used.at.max(*at);
        }
    }

    /// Returns what writes the uses that wait, each once.
    pub fn take(&self) -> Vec<Change> {
        let waiting = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let change = |((client, digest), at)| Change::RecordSecretUse(UsedSecret { client, digest, at });
        waiting.into_iter().map(change).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(n: usize, at: u64) -> UsedSecret {
        let client = ClientId::parse(&format!("svc-{n}")).unwrap();
        UsedSecret { client, digest: SecretDigest::of("secret"), at: Time::from_unix(at) }
    }

    #[test]
    fn the_latest_use_of_each_secret_is_handed_out_once() {
        let uses = SecretUses::default();
        for use_ in [used(1, 5), used(2, 6), used(1, 7), used(1, 6)] {
            uses.record(&use_);
        }
        assert_eq!(uses.take(), [used(1, 7), used(2, 6)].map(Change::RecordSecretUse));
        assert!(uses.take().is_empty());
    }

    #[test]
    fn a_flood_of_clients_waits_in_bounded_memory() {
        let uses = SecretUses::default();
        (0..10 * SECRETS).for_each(|n| uses.record(&used(n, 1)));
        uses.record(&used(0, 2));
        let taken = uses.take();
        assert_eq!(taken.len(), SECRETS);
        assert!(taken.contains(&Change::RecordSecretUse(used(0, 2))));
    }
}
