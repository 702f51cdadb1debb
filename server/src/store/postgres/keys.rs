//! The signing keys. Their private parts are sealed with the master key.

use std::path::Path;

use gatepass_core::base::secret::SecretBytes;
use gatepass_core::records::signing_key::StoredKey;
use tokio_postgres::Row;

use super::store::PostgresStore;
use super::trouble::Trouble;
use crate::secrets::master_key::MasterKey;
use crate::store::backend::{SigningKeys, StoredKeys};
use crate::store::error::StoreError;
use crate::store::rows::{self, Columns, NO_META, columns};
use crate::store::sqlite::Rotated;

impl SigningKeys for PostgresStore {
    fn rotate_master_key(&self, to: Option<&Path>) -> Result<Rotated, StoreError> {
        self.rotate_master(to)
    }

    fn keys(&self) -> Result<StoredKeys, StoreError> {
        self.read_with(async |connection| {
            let sql = concat!(
                "SELECT generation, master_key_id, keys.* FROM meta LEFT JOIN (SELECT ",
                columns!(keys),
                ", sealed, seq FROM keys) keys ON true ORDER BY keys.seq"
            );
            let rows = connection.query(sql, &[]).await?;
            let mut c = Columns::of(rows.first().ok_or(NO_META)?, "meta");
            let (generation, master) = (c.number("generation")?, c.number("master_key_id")?);
            let master = self.state().master.of(master, connection).await?;
            // One row without a key, if there is none.
            let has_key = |row: &&Row| row.get::<_, Option<&str>>(2).is_some();
            let key = |row| self.key(row, &master.key);
            let keys = rows.iter().filter(has_key).map(key).collect::<Result<_, Trouble>>()?;
            Ok(StoredKeys { generation, keys })
        })
    }
}

impl PostgresStore {
    fn key(&self, row: &Row, master: &MasterKey) -> Result<StoredKey, Trouble> {
        let mut c = Columns::of(row, "keys");
        c.skip(2);
        let record = rows::key_record(&mut c)?;
        let purpose = rows::key_purpose(&record.id);
        let opened = master.open(&purpose, &c.blob("sealed")?);
        let mut opened = opened
            .ok_or_else(|| StoreError::Unsealable { path: self.address().to_owned().into(), purpose })?;
        Ok(StoredKey { record, private_jwk: SecretBytes::new(std::mem::take(&mut *opened)) })
    }
}
