//! The master key. It is the same file on every machine, and may be replaced on one of them while processes run: each transaction compares the
//! number of the key that the database was sealed with, and a process whose file is another one neither seals nor opens anything.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::connection::Connection;
use super::load::Meta;
use super::trouble::Trouble;
use crate::secrets::master_key::MasterKey;
use crate::store::error::StoreError;
use crate::store::rows::{Columns, NO_META};
use crate::store::sqlite::{Installation, find_key};

/// A master key, and how many were before it.
#[derive(Debug)]
pub(super) struct NumberedKey {
    pub(super) number: u64,
    pub(super) key: MasterKey,
}

/// The master key as it was last found.
pub(super) struct MasterKeys {
    installation: Installation,
    current: ArcSwap<NumberedKey>,
}

impl MasterKeys {
    /// Finds the key of this number, which sealed `check`.
    pub(super) fn find(installation: &Installation, number: u64, check: &[u8]) -> Result<Self, StoreError> {
        let key = find_key(installation, check, None)?;
        let current = ArcSwap::from_pointee(NumberedKey { number, key });
        Ok(Self { installation: installation.clone(), current })
    }

    /// Returns the key as it was last found.
    pub(super) fn current(&self) -> Arc<NumberedKey> {
        self.current.load_full()
    }

    /// Returns true if `used` is the key of the snapshot that has read `meta`. Otherwise the new one is found for the next attempt.
    pub(super) async fn is_of(
        &self,
        used: &NumberedKey,
        meta: Option<&Meta>,
        connection: &Connection,
    ) -> Result<bool, Trouble> {
        match meta {
            Some(meta) if meta.master_key_id != used.number => {
                self.of(meta.master_key_id, connection).await?;
                Ok(false)
            }
            Some(_) | None => Ok(true),
        }
    }

    /// Returns the key of a snapshot that has read its number.
    pub(super) async fn of(&self, number: u64, connection: &Connection) -> Result<Arc<NumberedKey>, Trouble> {
        let current = self.current();
        if current.number == number {
            return Ok(current);
        }
        let found = Arc::new(look_up(&self.installation, connection).await?);
        tracing::info!(file = %found.key.file().display(), "the master key was replaced and read again");
        self.current.store(Arc::clone(&found));
        Ok(found)
    }
}

async fn look_up(installation: &Installation, connection: &Connection) -> Result<NumberedKey, Trouble> {
    let rows = connection.query("SELECT master_key_id, master_check FROM meta", &[]).await?;
    let mut c = Columns::of(rows.first().ok_or(NO_META)?, "meta");
    let number = c.number("master_key_id")?;
    let key = find_key(installation, &c.blob("master_check")?, None)?;
    Ok(NumberedKey { number, key })
}
