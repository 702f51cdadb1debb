//! Replaces the master key while servers run: the new key is on the disk first, then one transaction seals everything
//! with it, then the new key takes the old one's place.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gatepass_core::store::audit::{Event, Kind};
use rusqlite::{Connection, params};

use super::apply::one;
use super::connect::Role;
use super::installation::Installation;
use super::transaction_error::TransactionError;
use super::{Store, batch, mark};
use crate::clock::wall;
use crate::secrets::files::{Files, directory_of, exists, with_suffix};
use crate::secrets::master_key::MasterKey;
use crate::store::error::StoreError;
use crate::store::rows;

/// The longest wait for other processes that work on the files.
pub(in crate::store) const PATIENCE: Duration = Duration::from_secs(30);

/// The result of a change of the master key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The path of the new key.
    pub key: PathBuf,
    /// The path of the old key, which older backups need.
    pub old: PathBuf,
    /// The number of things that were sealed again.
    pub sealed: usize,
}

impl Store {
    pub(super) fn rotate_master(&self, to: Option<&Path>) -> Result<Rotated, StoreError> {
        let installation = self.installation();
        let files = &*installation.files;
        let _locked = installation.lock_directory(PATIENCE)?;
        let db = self.files().connector.connect(Role::Writer)?;
        let mut old = super::state::MasterKeys::find(installation, &db)?.current();
        if finish(installation, &old)? {
            old = super::state::MasterKeys::find(installation, &db)?.current();
        }
        let draft = match to {
            Some(path) => std::path::absolute(path).map_err(|e| StoreError::file(path, "create", &e))?,
            None => with_suffix(&installation.master_key(), ".new"),
        };
        if to.is_none() && *old.file() != *draft {
            let failed = |e: &io::Error| StoreError::file(&draft, "remove", e);
            if exists(files, &draft).map_err(|e| failed(&e))? {
                // Left by a change whose transaction failed. Its mark may be in the log all the same, and count after a
                // power cut: another transaction takes its place there before the key is removed.
                batch::directly(&db, self.chain(), &old, batch::Held::Refuse, |_, _| Ok(()))
                    .map_err(|trouble| trouble.at(self.path()))?;
                files.remove(&draft).map_err(|e| failed(&e))?;
            }
        }
        let new = MasterKey::create(files, &draft)?;
        let at = |trouble: TransactionError| trouble.at(self.path());
        let elsewhere = to.map(|_| draft.to_string_lossy().into_owned());
        let event = Event::new(Kind::MasterKeyRotated, mark::clock_mark_of(&db).map_err(at)?.max(wall()));
        let sealed = batch::directly(&db, self.chain(), &old, batch::Held::Refuse, |db, tail| {
            let sealed = seal_anew(db, &old, &new)?;
            one(
                db,
                "UPDATE meta SET master_key_id = master_key_id + 1, master_key_file = ?1",
                params![elsewhere],
            )?;
            tail.append(db, &event)?;
            Ok(sealed)
        });
        let sealed = match sealed {
            Ok(sealed) => sealed,
            Err(trouble) => {
                // It may have been written all the same: then a start tries the new key, too.
                if !matches!(trouble, TransactionError::Sql(_)) {
                    let _ = files.remove(&draft);
                }
                return Err(at(trouble));
            }
        };
        self.files().progress.committed(true);
        match to {
            Some(_) => Ok(Rotated { key: draft, old: old.file().to_owned(), sealed }),
            None => {
                let kept = put_in_place(installation, files)?;
                Ok(Rotated { key: installation.master_key(), old: kept, sealed })
            }
        }
    }
}

/// Moves the new key to the old one's place, and keeps the old one beside it. Returns both paths.
pub(in crate::store) fn put_in_place(
    installation: &Installation,
    files: &dyn Files,
) -> Result<PathBuf, StoreError> {
    let path = installation.master_key();
    let draft = with_suffix(&path, ".new");
    MasterKey::remove_draft(files, &draft)?;
    let failed = |e: &io::Error| StoreError::file(&path, "replace the master key", e);
    let base = with_suffix(&path, ".old");
    let names = std::iter::once(base.clone()).chain((2..).map(|n| with_suffix(&base, &format!("-{n}"))));
    let mut kept = base.clone();
    for name in names {
        kept = name;
        match files.link(&path, &kept) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                // Linked by an interrupted change.
                let same = |one: &Path| files.about(one).ok().map(|about| about.identity);
                if same(&kept) == same(&path) {
                    break;
                }
            }
            // It is gone already.
            Err(e) if e.kind() == io::ErrorKind::NotFound => break,
            // Some file systems have no links.
            Err(e) if matches!(e.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied) => {
                let old = files.read(&path, 4096).map_err(|e| failed(&e))?;
                match files.write_new(&kept, &old) {
                    Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                    written => written.map_err(|e| failed(&e))?,
                }
                break;
            }
            linked => {
                linked.map_err(|e| failed(&e))?;
                break;
            }
        }
    }
    files.sync_directory(directory_of(&path)).map_err(|e| failed(&e))?;
    files.rename(&draft, &path).map_err(|e| failed(&e))?;
    files.sync_directory(directory_of(&path)).map_err(|e| failed(&e))?;
    Ok(kept)
}

/// Completes a change of the master key that was interrupted after its transaction.
pub(super) fn finish(installation: &Installation, key: &MasterKey) -> Result<bool, StoreError> {
    if !is_beside(installation, key) {
        return Ok(false);
    }
    put_in_place(installation, &*installation.files).map(|_| true)
}

/// Returns true if the key is not at its place yet, but beside it.
pub(in crate::store) fn is_beside(installation: &Installation, key: &MasterKey) -> bool {
    *key.file() == *with_suffix(&installation.master_key(), ".new")
}

/// Seals everything again that is sealed with the master key. Returns how much.
fn seal_anew(db: &Connection, old: &MasterKey, new: &MasterKey) -> Result<usize, TransactionError> {
    let again = |purpose: &str, sealed: &[u8]| {
        let plain = old.open(purpose, sealed).ok_or_else(|| {
            let path = db.path().unwrap_or_default().into();
            TransactionError::Refused(StoreError::Unsealable { path, purpose: purpose.into() })
        })?;
        new.seal(purpose, &plain).map_err(TransactionError::from)
    };
    let audit: Vec<u8> = db.query_row("SELECT audit_key FROM meta", [], |row| row.get(0))?;
    let audit = again("audit", &audit)?;
    let check = new.check()?;
    one(db, "UPDATE meta SET audit_key = ?1, master_check = ?2", params![audit, check])?;
    let mut count = 2;
    let tables = [
        (
            "SELECT seq, kid, sealed FROM keys",
            "UPDATE keys SET sealed = ?2 WHERE seq = ?1",
            rows::key_purpose as fn(&str) -> String,
        ),
        (
            "SELECT seq, id, sealed FROM totp_devices",
            "UPDATE totp_devices SET sealed = ?2 WHERE seq = ?1",
            rows::device_purpose,
        ),
    ];
    for (select, update, purpose) in tables {
        // A thousand at a time: memory stays bounded, and no row changes while it is iterated.
        let mut after = i64::MIN;
        loop {
            let sql = format!("{select} WHERE seq > ?1 ORDER BY seq LIMIT 1000");
            let mut read = db.prepare_cached(&sql)?;
            let rows: Vec<(i64, String, Vec<u8>)> = read
                .query_map([after], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect::<Result<_, _>>()?;
            let Some(last) = rows.last() else { break };
            after = last.0;
            for (seq, name, sealed) in &rows {
                one(db, update, params![seq, again(&purpose(name), sealed)?])?;
                count += 1;
            }
        }
    }
    Ok(count)
}
