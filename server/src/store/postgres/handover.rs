//! What ends the life of a state, and what begins another: a handover, its end, and the first start of a backup. Each is one transaction
//! with a row of the chain that commands share.

use gatepass_core::base::time::Time;
use gatepass_core::store::audit::{Event, Kind};
use tokio_postgres::Row;

use super::audit_slot::AuditSlot;
use super::connection::{Connection, DatabaseError};
use super::connector::Connector;
use super::copy::Session;
use super::load::Parameter;
use super::store::PostgresStore;
use super::table::Saves;
use super::writer::BEGIN;
use crate::secrets::random::random;
use crate::store::audit_chain::Chain;
use crate::store::backend::Access;
use crate::store::database_server::DatabaseServer;
use crate::store::error::StoreError;
use crate::store::notice::Notice;
use crate::store::rows::{Columns, MalformedRow, NO_META, owned};
use crate::store::sqlite::Installation;

/// Waits for every transaction that reads the row, and holds up those that come. Its time is that of the database, never behind the mark.
const LOCK: &str = "SELECT handover, greatest(clock_mark, extract(epoch FROM clock_timestamp())::bigint), copied_at FROM meta \
                    FOR UPDATE";

/// The row of the whole store, locked.
struct Found {
    handover: Option<String>,
    now: Time,
    copied_at: Option<Time>,
}

async fn lock(connection: &Connection, connector: &Connector) -> Result<Found, StoreError> {
    let rows = async {
        connection.run(BEGIN).await?;
        connection.query(LOCK, &[]).await
    };
    let rows = rows.await.map_err(|error| connector.error(&error))?;
    let read = |row: &Row| {
        let mut c = Columns::of(row, "meta");
        Ok(Found {
            handover: c.maybe("handover", owned)?,
            now: c.time("clock_mark")?,
            copied_at: c.maybe_time("copied_at")?,
        })
    };
    rows.first().map_or(Err(NO_META), read).map_err(|row| connector.malformed(row))
}

async fn change(
    connection: &Connection,
    connector: &Connector,
    sql: &'static str,
    parameters: &[Parameter],
) -> Result<(), StoreError> {
    connection.query(sql, parameters).await.map(drop).map_err(|error| connector.error(&error))
}

/// Appends a row to the chain of commands.
pub(super) async fn append(
    connection: &Connection,
    connector: &Connector,
    chain: &Chain,
    event: Event,
) -> Result<(), StoreError> {
    let slot = AuditSlot::COMMANDS;
    let found = slot.read(connection).await.map_err(|trouble| trouble.at(connector))?;
    let none = MalformedRow { table: "audit_slots", column: "row of slot 0" };
    let found = found.ok_or_else(|| connector.malformed(none))?;
    let mut saves = Saves::default();
    slot.append(chain, &found.head.head, &[event], &mut saves);
    let statements = saves.into_statements().unwrap_or_default();
    let written = connection.pipeline("", statements, "").await;
    written.map(drop).map_err(|error| connector.error(&error))
}

/// Begins a handover: in the transaction that the caller commits, after which nothing is written or answered any more.
pub(super) async fn begin(
    connection: &Connection,
    connector: &Connector,
    chain: &Chain,
    id: &str,
) -> Result<(), StoreError> {
    take(connection, connector, chain, Access::WriteHandedOver).await?;
    let found = lock(connection, connector).await?;
    match found.handover {
        Some(other) if other != id => return Err(StoreError::HandedOver(other)),
        // Another attempt has done it.
        Some(_) => return Ok(()),
        None => {}
    }
    change(connection, connector, "UPDATE meta SET handover = $1", &[Box::new(id.to_owned())]).await?;
    append(connection, connector, chain, event(Kind::StateHandedOver, id, found.now)).await
}

/// Undoes a handover, in the transaction that the caller commits. What was issued before is refused. Returns the handover's id.
async fn cancel(connection: &Connection, connector: &Connector, chain: &Chain) -> Result<String, StoreError> {
    let found = lock(connection, connector).await?;
    let id = found.handover.ok_or_else(|| {
        StoreError::Conflict("this installation was not handed over; there is nothing to cancel".into())
    })?;
    let sql = "UPDATE meta SET handover = NULL, state_epoch = state_epoch + $1";
    change(connection, connector, sql, &[Box::new(raise()?)]).await?;
    append(connection, connector, chain, event(Kind::HandoverCancelled, &id, found.now)).await?;
    Ok(id)
}

/// Takes the database into use, unless it was handed over. A backup that was copied here, and not used yet, is older state: everything
/// issued before is refused.
pub(super) async fn take(
    connection: &Connection,
    connector: &Connector,
    chain: &Chain,
    access: Access,
) -> Result<Option<Notice>, StoreError> {
    let found = lock(connection, connector).await?;
    if let Some(id) = found.handover.filter(|_| access != Access::WriteHandedOver) {
        return Err(StoreError::HandedOver(id));
    }
    if let Some(since) = found.copied_at {
        let sql = "UPDATE meta SET copied_at = NULL, state_epoch = state_epoch + $1";
        change(connection, connector, sql, &[Box::new(raise()?)]).await?;
        let reason = Some(format!("copy of {}", since.rfc3339()));
        let restored = Event { reason, ..Event::new(Kind::StateRestored, found.now) };
        append(connection, connector, chain, restored).await?;
    }
    let done: Result<(), DatabaseError> = connection.run("COMMIT").await;
    done.map_err(|error| connector.error(&error))?;
    Ok(found.copied_at.map(|since| Notice::StateRestored { since }))
}

fn event(kind: Kind, id: &str, now: Time) -> Event {
    Event { reason: Some(format!("handover {id}")), ..Event::new(kind, now) }
}

/// Returns by how much the state epoch is raised: every epoch differs from every other by chance, in every copy.
fn raise() -> Result<i64, StoreError> {
    let bytes: [u8; 4] = *random::<4>()?;
    Ok(i64::from(u32::from_be_bytes(bytes)).saturating_add(1))
}

impl PostgresStore {
    /// Undoes a handover: the processes of this database answer again, and refuse everything issued before. Returns the handover's id.
    ///
    /// # Errors
    /// [`StoreError`] if there was no handover, or it cannot be written.
    pub fn cancel_handover(
        database: &DatabaseServer,
        installation: &Installation,
    ) -> Result<String, StoreError> {
        let (session, state) = Session::of_installation(database, installation)?;
        let id = session.run(cancel(&session.connection, &session.connector, &state.chain))?;
        session.commit()?;
        Ok(id)
    }
}
