//! The numbered migrations, embedded, and what a new file holds from the start.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior, params};

use super::audit::Chain;
use super::connect::Connector;
use super::error::{StoreError, Trouble};
use crate::master_key::{MasterKey, random};

/// "GATP": tells our files from those of other programs (`PRAGMA application_id`).
const APPLICATION_ID: i64 = 0x4741_5450;

/// Number n brings a file of schema n to n + 1. What was released is never edited.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
    include_str!("migrations/0006.sql"),
    include_str!("migrations/0007.sql"),
];

/// What is sealed to tell a wrong master key from a right one.
const MASTER_CHECK: &str = "gatepass master key";

/// Checks that the file is ours, brings it up to date, and answers with its audit chain's key. A file that is
/// another program's, newer than this binary, or of another master key is left as it is.
pub(super) fn open(
    db: &mut Connection,
    connector: &Connector,
    master: &MasterKey,
) -> Result<Chain, StoreError> {
    let path = &connector.path;
    if version(db, path)? > 0 {
        unlock(db, path, master)?;
    }
    connector.use_wal(db)?;
    migrate(db, path, master)?;
    unlock(db, path, master)
}

/// Runs the migrations that are missing, in one transaction.
fn migrate(db: &mut Connection, path: &Path, master: &MasterKey) -> Result<(), StoreError> {
    let at = |e: rusqlite::Error| Trouble::Sql(e).at(path);
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    // Looked at without a lock first: the usual start writes nothing.
    if version(db, path)? < known {
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(at)?;
        // Another process may have been here first.
        let found = version(&tx, path)?;
        let missing = usize::try_from(found).ok().and_then(|n| MIGRATIONS.get(n..)).unwrap_or_default();
        for sql in missing {
            tx.execute_batch(sql).map_err(at)?;
        }
        if found == 0 {
            found_file(&tx, path, master)?;
        }
        tx.pragma_update(None, "application_id", APPLICATION_ID).map_err(at)?;
        tx.pragma_update(None, "user_version", known).map_err(at)?;
        tx.commit().map_err(at)?;
    }
    Ok(())
}

/// The number of the file's schema; 0 where it is empty. Asked in one snapshot: somebody else's first start may end
/// between two questions, and the answers together would be those of no file of ours.
fn version(db: &Connection, path: &Path) -> Result<i64, StoreError> {
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let (application, found, tables) = marks(db).map_err(|e| Trouble::Sql(e).at(path))?;
    match application {
        APPLICATION_ID if found > known => Err(StoreError::Newer { path: path.to_owned(), found, known }),
        APPLICATION_ID if found > 0 => Ok(found),
        0 if found == 0 && tables == 0 => Ok(0),
        _ => Err(StoreError::Foreign(path.to_owned())),
    }
}

/// What tells whose file it is: application, schema, number of tables. All of one snapshot, since another process may
/// be making them just now.
fn marks(db: &Connection) -> rusqlite::Result<(i64, i64, i64)> {
    let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0));
    db.execute_batch("SAVEPOINT marks")?;
    let found = (|| {
        // The first read of the savepoint fixes the snapshot.
        let tables = number("SELECT count(*) FROM sqlite_schema")?;
        Ok((number("PRAGMA application_id")?, number("PRAGMA user_version")?, tables))
    })();
    db.execute_batch("RELEASE marks")?;
    found
}

/// The one row that a new file has: the keys of this installation, sealed.
fn found_file(db: &Connection, path: &Path, master: &MasterKey) -> Result<(), StoreError> {
    let key = random::<32>().ok_or(StoreError::NoRandomness)?;
    let chain = Chain::new(&*key);
    let head = chain.empty();
    let sealed = master.seal("audit", &*key)?;
    let check = master.seal("check", MASTER_CHECK.as_bytes())?;
    db.execute(
        "INSERT INTO meta (id, generation, clock_mark, clock_resets, audit_seq, audit_mac, audit_seal, audit_key, \
         master_check, commits) VALUES (1, 1, 0, 0, ?1, ?2, ?3, ?4, ?5, 0)",
        params![0, head.mac, chain.seal_of(&head), sealed, check],
    )
    .map_err(|e| Trouble::Sql(e).at(path))?;
    Ok(())
}

/// Checks the master key, and opens what it sealed.
fn unlock(db: &Connection, path: &Path, master: &MasterKey) -> Result<Chain, StoreError> {
    let (check, sealed): (Vec<u8>, Vec<u8>) = db
        .query_row("SELECT master_check, audit_key FROM meta", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(|e| Trouble::Sql(e).at(path))?;
    match master.open("check", &check) {
        Some(text) if *text == MASTER_CHECK.as_bytes() => {}
        _ => {
            return Err(StoreError::MasterKeyWrong {
                database: path.to_owned(),
                key: master.file().to_owned(),
            });
        }
    }
    let key = master
        .open("audit", &sealed)
        .ok_or_else(|| StoreError::Unsealable { path: path.to_owned(), purpose: "audit".into() })?;
    Ok(Chain::new(&key))
}
