//! The numbered migrations, embedded, and the first rows of a new file.

use std::path::Path;

use rusqlite::{Connection, params};

use super::identifiers;
use super::transaction_error::TransactionError;
use crate::secrets::master_key::MasterKey;
use crate::secrets::random::random;
use crate::store::audit_chain::Chain;
use crate::store::error::StoreError;

/// "GATP": tells our files from those of other programs (`PRAGMA application_id`).
const APPLICATION_ID: i64 = 0x4741_5450;

/// Number n brings a file of schema n to n + 1. A released one is never edited.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
    include_str!("migrations/0006.sql"),
    include_str!("migrations/0007.sql"),
    include_str!("migrations/0008.sql"),
    include_str!("migrations/0009.sql"),
    include_str!("migrations/0010.sql"),
];

/// Returns the schema that this binary works with.
pub(super) fn known() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// The mark and the schema of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// There is no table in it.
    Empty,
    /// It is ours, of this schema.
    Schema(i64),
    /// It is the database of another program.
    Foreign,
}

impl Version {
    /// Checks that this binary works with the file as it is.
    pub(super) fn check(self, path: &Path) -> Result<(), StoreError> {
        let path = path.to_owned();
        match self {
            Self::Schema(found) if found == known() => Ok(()),
            Self::Schema(found) if found > known() => Err(StoreError::Newer { path, found, known: known() }),
            Self::Schema(found) => Err(StoreError::Older { path, found, known: known() }),
            Self::Empty | Self::Foreign => Err(StoreError::Foreign(path)),
        }
    }
}

/// Reads the mark and the schema of a file in one snapshot, because another process may be creating the tables.
pub(super) fn version(db: &Connection) -> rusqlite::Result<Version> {
    let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0));
    db.execute_batch("SAVEPOINT marks")?;
    let found: rusqlite::Result<_> = (|| {
        // The first read of the savepoint fixes the snapshot.
        let tables = number("SELECT count(*) FROM sqlite_schema")?;
        Ok((number("PRAGMA application_id")?, number("PRAGMA user_version")?, tables))
    })();
    db.execute_batch("RELEASE marks")?;
    Ok(match found? {
        (APPLICATION_ID, schema, _) if schema > 0 => Version::Schema(schema),
        (0, 0, 0) => Version::Empty,
        _ => Version::Foreign,
    })
}

/// Runs the migrations that a file of schema `found` lacks, inside the transaction of `db`.
pub(super) fn bring_up_to_date(db: &Connection, found: i64) -> rusqlite::Result<()> {
    let missing = usize::try_from(found).ok().and_then(|n| MIGRATIONS.get(n..)).unwrap_or_default();
    for sql in missing {
        db.execute_batch(sql)?;
    }
    db.pragma_update(None, "application_id", APPLICATION_ID)?;
    db.pragma_update(None, "user_version", known())
}

/// Creates the tables of a new file, and its first row: the keys of this installation, sealed. Call it inside a
/// transaction.
pub(super) fn make(db: &Connection, master: &MasterKey) -> Result<(), TransactionError> {
    bring_up_to_date(db, 0)?;
    let key = random::<32>()?;
    let chain = Chain::new(&*key);
    let head = chain.empty();
    let sealed = master.seal("audit", &*key)?;
    let check = master.check()?;
    db.execute(
        "INSERT INTO meta (id, generation, clock_mark, clock_resets, audit_seq, audit_mac, audit_seal, audit_key, \
         master_check, commits, commit_id, installation, identifier_rules) \
         VALUES (1, 1, 0, 0, ?1, ?2, ?3, ?4, ?5, 0, randomblob(16), randomblob(16), ?6)",
        params![0, head.mac, chain.seal_of(&head), sealed, check, identifiers::rules()],
    )?;
    Ok(())
}

/// Opens the audit chain's key.
pub(super) fn chain(db: &Connection, path: &Path, master: &MasterKey) -> Result<Chain, StoreError> {
    let sealed: Vec<u8> = db
        .query_row("SELECT audit_key FROM meta", [], |row| row.get(0))
        .map_err(|e| TransactionError::Sql(e).at(path))?;
    let key = master
        .open("audit", &sealed)
        .ok_or_else(|| StoreError::Unsealable { path: path.to_owned(), purpose: "audit".into() })?;
    Ok(Chain::new(&key))
}
