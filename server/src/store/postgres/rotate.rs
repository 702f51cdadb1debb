//! Replaces the master key while processes run: the new key is on the disk first, then one transaction seals everything with it, then the new
//! key takes the old one's place on this machine. Every other machine needs a copy.

use std::path::Path;
use std::time::Duration;

use gatepass_core::store::audit::{Event, Kind};

use super::beside::Transaction;
use super::store::PostgresStore;
use super::text::original;
use super::trouble::Trouble;
use crate::secrets::files::{exists, with_suffix};
use crate::secrets::master_key::MasterKey;
use crate::store::error::StoreError;
use crate::store::rows::{self, Columns, NO_META};
use crate::store::sqlite::{Installation, PATIENCE, Rotated, is_beside, put_in_place};

/// The longest time that it takes. No commit goes through meanwhile.
const LONGEST: Duration = Duration::from_secs(300);
/// The time of the database, never behind the mark.
const NOW: &str = "SELECT greatest(clock_mark, extract(epoch FROM clock_timestamp())::bigint) FROM meta";
/// Rows that are sealed again in one statement.
const BATCH: i64 = 1000;

/// A table with sealed values.
struct Sealed {
    read: &'static str,
    write: &'static str,
    purpose: fn(&str) -> String,
}

const TABLES: [Sealed; 2] = [
    Sealed {
        read: "SELECT kid, sealed FROM keys WHERE kid > $1 ORDER BY kid LIMIT $2",
        write: "UPDATE keys SET sealed = new.sealed FROM (SELECT unnest($1::text[]) AS kid, unnest($2::bytea[]) AS sealed) new \
                WHERE keys.kid = new.kid",
        purpose: rows::key_purpose,
    },
    Sealed {
        read: "SELECT id, sealed FROM totp_devices WHERE id > $1 ORDER BY id LIMIT $2",
        write: "UPDATE totp_devices SET sealed = new.sealed FROM (SELECT unnest($1::text[]) AS id, unnest($2::bytea[]) AS sealed) new \
                WHERE totp_devices.id = new.id",
        purpose: rows::device_purpose,
    },
];

/// Completes a change of the master key on this machine that was cut short after its transaction.
pub(super) fn finish(installation: &Installation, key: &MasterKey) -> Result<(), StoreError> {
    if !is_beside(installation, key) {
        return Ok(());
    }
    let _locked = installation.lock_directory(PATIENCE)?;
    // Another process may have done it meanwhile.
    let draft = key.file();
    if exists(&*installation.files, draft).map_err(|error| StoreError::file(draft, "read", &error))? {
        put_in_place(installation, &*installation.files)?;
    }
    Ok(())
}

impl PostgresStore {
    pub(super) fn rotate_master(&self, to: Option<&Path>) -> Result<Rotated, StoreError> {
        let installation = self.installation();
        let files = &*installation.files;
        let _locked = installation.lock_directory(PATIENCE)?;
        let draft = match to {
            Some(path) => std::path::absolute(path).map_err(|e| StoreError::file(path, "create", &e))?,
            None => with_suffix(&installation.master_key(), ".new"),
        };
        let new = MasterKey::create(files, &draft)?;
        let sealed = self.write_meta_within(LONGEST, async |transaction| {
            let old = self.state().master.current();
            let sealed = seal_anew(transaction, (&old.key, &new), self.address()).await?;
            let rows = transaction.query(NOW, &[]).await?;
            let now = Columns::of(rows.first().ok_or(NO_META)?, "meta").time("clock_mark")?;
            transaction.append(Event::new(Kind::MasterKeyRotated, now));
            Ok(sealed)
        });
        let sealed = sealed.inspect_err(|error| {
            // Else it may hold, and a start tries both keys.
            if !matches!(error, StoreError::Unknown(_)) {
                let _ = files.remove(&draft);
            }
        })?;
        match to {
            Some(_) => Ok(Rotated { key: draft, old: installation.master_key(), sealed }),
            None => {
                let kept = put_in_place(installation, files)?;
                Ok(Rotated { key: installation.master_key(), old: kept, sealed })
            }
        }
    }
}

/// Seals everything again that is sealed with the master key. Returns how much.
async fn seal_anew(
    transaction: &Transaction<'_>,
    (old, new): (&MasterKey, &MasterKey),
    address: &str,
) -> Result<usize, Trouble> {
    let again = |purpose: &str, sealed: &[u8]| {
        let plain = old
            .open(purpose, sealed)
            .ok_or_else(|| StoreError::Unsealable { path: address.into(), purpose: purpose.into() })?;
        Ok::<Vec<u8>, Trouble>(new.seal(purpose, &plain)?)
    };
    let rows = transaction.query("SELECT audit_key FROM meta", &[]).await?;
    let audit = again("audit", rows.first().ok_or(NO_META)?.get(0))?;
    let sql = "UPDATE meta SET audit_key = $1, master_check = $2, master_key_id = master_key_id + 1";
    transaction.query(sql, &[Box::new(audit), Box::new(new.check()?)]).await?;
    let mut count = 2;
    for Sealed { read, write, purpose } in TABLES {
        let mut after = String::new();
        loop {
            let rows = transaction.query(read, &[Box::new(after), Box::new(BATCH)]).await?;
            let names: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
            let Some(last) = names.last().cloned() else { break };
            let sealed = rows.iter().zip(&names);
            let sealed = sealed.map(|(row, name)| again(&purpose(&original(name)), row.get(1)));
            let sealed = sealed.collect::<Result<Vec<_>, _>>()?;
            count += names.len();
            transaction.query(write, &[Box::new(names), Box::new(sealed)]).await?;
            after = last;
        }
    }
    Ok(count)
}
