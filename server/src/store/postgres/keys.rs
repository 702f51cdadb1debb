//! The signing keys. Their private parts are sealed with the master key.

use gatepass_core::base::secret::SecretBytes;
use gatepass_core::records::signing_key::StoredKey;
use tokio_postgres::Row;

use super::store::PostgresStore;
use super::trouble::Trouble;
use crate::store::backend::{SigningKeys, StoredKeys};
use crate::store::error::StoreError;
use crate::store::rows::{self, Columns, NO_META, columns};

impl SigningKeys for PostgresStore {
    fn keys(&self) -> Result<StoredKeys, StoreError> {
        self.read_with(async |connection| {
            let sql = concat!(
                "SELECT generation, keys.* FROM meta LEFT JOIN (SELECT ",
                columns!(keys),
                ", sealed, seq FROM keys) keys ON true ORDER BY keys.seq"
            );
            let rows = connection.query(sql, &[]).await?;
            let generation = Columns::of(rows.first().ok_or(NO_META)?, "meta").number("generation")?;
            // One row without a key, if there is none.
            let has_key = |row: &&Row| row.get::<_, Option<&str>>(1).is_some();
            let keys =
                rows.iter().filter(has_key).map(|row| self.key(row)).collect::<Result<_, Trouble>>()?;
            Ok(StoredKeys { generation, keys })
        })
    }
}

impl PostgresStore {
    fn key(&self, row: &Row) -> Result<StoredKey, Trouble> {
        let mut c = Columns::of(row, "keys");
        c.skip(1);
        let record = rows::key_record(&mut c)?;
        let purpose = rows::key_purpose(&record.id);
        let opened = self.state().master.open(&purpose, &c.blob("sealed")?);
        let mut opened = opened
            .ok_or_else(|| StoreError::Unsealable { path: self.address().to_owned().into(), purpose })?;
        Ok(StoredKey { record, private_jwk: SecretBytes::new(std::mem::take(&mut *opened)) })
    }
}
