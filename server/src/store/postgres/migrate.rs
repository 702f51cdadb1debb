//! The numbered migrations, embedded, and the first rows of a new database.

use std::sync::Arc;

use super::audit_slot::SHARED;
use super::connection::{Connection, DatabaseError};
use super::connector::Connector;
use super::identifiers;
use super::load::Parameter;
use crate::secrets::master_key::MasterKey;
use crate::secrets::random::random;
use crate::store::audit_chain::Chain;
use crate::store::error::StoreError;

/// Number n brings a database of schema n to n + 1. A released one is never edited.
const MIGRATIONS: &[&str] = &[include_str!("migrations/0001.sql")];

/// The oldest schema whose binaries go on beside a database of this one.
const COMPATIBLE_FROM: i64 = 1;

/// One process at a time looks at the schema and changes it. The number is "GATP".
const LOCK: &str = "SELECT pg_advisory_xact_lock(1195463760)";

/// The schema that a database was found with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Schema {
    /// There is nothing of ours.
    Empty,
    /// It is ours: its number, and the oldest one whose binaries may use it.
    Known { number: i64, compatible_from: i64 },
    /// A copy to here, of this id, has not come to its end.
    Copying(String),
}

impl Schema {
    /// Returns the reason why this binary does not use the database, or why it does not copy it.
    pub(super) fn refusal(&self, connector: &Connector) -> StoreError {
        let path = || connector.address.clone().into();
        match self {
            Self::Empty => StoreError::EmptyDatabase(connector.address.clone()),
            Self::Copying(_) => StoreError::CopyUnfinished {
                place: connector.address.clone(),
                mark: "the table gatepass_copying".into(),
            },
            Self::Known { number, .. } if *number > known() => {
                StoreError::Newer { path: path(), found: *number, known: known() }
            }
            Self::Known { number, .. } => StoreError::Older { path: path(), found: *number, known: known() },
        }
    }
}

/// Makes the table that marks a copy to here, empty.
pub(super) const MARK: &str =
    "DROP TABLE IF EXISTS gatepass_copying; CREATE TABLE gatepass_copying (id text COLLATE \"C\" NOT NULL)";

/// Returns the schema that this binary works with.
pub(super) fn known() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// Begins the transaction in which the schema is looked at and changed: no other process does so until it ends.
pub(super) async fn begin(connection: &Connection) -> Result<Schema, DatabaseError> {
    connection.run("BEGIN; SET LOCAL synchronous_commit = on").await?;
    connection.run(LOCK).await?;
    let there = async |sql| {
        let found = connection.query(sql, &[]).await?;
        Ok::<bool, DatabaseError>(found.first().is_some_and(|row| row.get(0)))
    };
    if there("SELECT to_regclass('gatepass_copying') IS NOT NULL").await? {
        let rows = connection.query("SELECT max(id) FROM gatepass_copying", &[]).await?;
        let id: Option<String> = rows.first().and_then(|row| row.get(0));
        return Ok(Schema::Copying(id.unwrap_or_default()));
    }
    if !there("SELECT to_regclass('gatepass_schema') IS NOT NULL").await? {
        return Ok(Schema::Empty);
    }
    let rows = connection.query("SELECT number, compatible_from FROM gatepass_schema", &[]).await?;
    Ok(rows
        .first()
        .map_or(Schema::Empty, |row| Schema::Known { number: row.get(0), compatible_from: row.get(1) }))
}

/// Runs the migrations that a database of schema `found` lacks.
pub(super) async fn bring_up_to_date(connection: &Connection, found: i64) -> Result<(), DatabaseError> {
    let missing = usize::try_from(found).ok().and_then(|n| MIGRATIONS.get(n..)).unwrap_or_default();
    for sql in missing {
        connection.run(sql).await?;
    }
    let sql = "CREATE TABLE IF NOT EXISTS gatepass_schema (id bigint NOT NULL PRIMARY KEY CHECK (id = 1), \
               number bigint NOT NULL, compatible_from bigint NOT NULL)";
    connection.run(sql).await?;
    let values: Vec<Parameter> = vec![Box::new(known()), Box::new(COMPATIBLE_FROM)];
    let sql = "INSERT INTO gatepass_schema (id, number, compatible_from) VALUES (1, $1, $2) \
               ON CONFLICT (id) DO UPDATE SET number = $1, compatible_from = $2";
    connection.query(sql, &values).await.map(drop)
}

/// Writes the first rows: the keys of this installation, sealed.
pub(super) async fn make(
    connection: &Connection,
    connector: &Arc<Connector>,
    master: &MasterKey,
) -> Result<(), StoreError> {
    let failed = |error: DatabaseError| connector.error(&error);
    bring_up_to_date(connection, 0).await.map_err(failed)?;
    let key = random::<32>()?;
    let chain = Chain::new(&*key);
    let head = chain.empty();
    let values: Vec<Parameter> = vec![
        Box::new(random::<16>()?.to_vec()),
        Box::new(master.seal("audit", &*key)?),
        Box::new(master.check()?),
        Box::new(identifiers::rules()),
        Box::new(chain.seal_of_slots(1).to_vec()),
    ];
    let sql = "INSERT INTO meta (id, generation, state_epoch, clock_mark, clock_resets, installation, audit_key, \
               master_key_id, master_check, identifier_rules, audit_slots, audit_slots_seal) \
               VALUES (1, 1, 0, 0, 0, $1, $2, 1, $3, $4, 1, $5)";
    connection.query(sql, &values).await.map_err(failed)?;
    let values: Vec<Parameter> =
        vec![Box::new(SHARED), Box::new(head.mac.to_vec()), Box::new(chain.seal_of(&head).to_vec())];
    let sql = "INSERT INTO audit_slots (slot, fence, seq, mac, seal) VALUES ($1, 0, 0, $2, $3)";
    connection.query(sql, &values).await.map(drop).map_err(failed)
}
