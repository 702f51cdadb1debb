//! Opens the database: whether it is ours and safe to use, its schema, and the keys.

use std::sync::Arc;

use gatepass_core::records::identifier::NumberingPlan;

use super::audit_slot::AuditSlot;
use super::connection::{Connection, DatabaseError};
use super::connector::Connector;
use super::create;
use super::handover;
use super::identifiers;
use super::master_keys::MasterKeys;
use super::migrate::{self, Schema};
use super::process::{Process, Standing};
use super::rotate;
use super::state::SharedState;
use super::superseded::supersede;
use super::writer::Writer;
use crate::store::audit_chain::Chain;
use crate::store::backend::{Access, Create};
use crate::store::error::StoreError;
use crate::store::rows::{Columns, NO_META};
use crate::store::sqlite::{Installation, StoreOptions};

/// Opens the database, and returns what every task of the store needs.
pub(super) async fn open(
    connector: &Arc<Connector>,
    installation: &Installation,
    access: Access,
    create: Create,
    options: &StoreOptions,
) -> Result<Arc<SharedState>, StoreError> {
    let failed = |error: DatabaseError| connector.error(&error);
    let connection = connector.connect().await.map_err(failed)?;
    refuse_unsafe(&connection, connector).await?;
    let mut is_new = false;
    match migrate::begin(&connection).await.map_err(failed)? {
        Schema::Empty => {
            create::create(&connection, connector, installation, create).await?;
            is_new = true;
        }
        ref found @ Schema::Known { number, compatible_from } => {
            if compatible_from > migrate::known() || number < migrate::known() && access != Access::Serve {
                return Err(found.refusal(connector));
            }
            if number < migrate::known() {
                migrate::bring_up_to_date(&connection, number).await.map_err(failed)?;
            }
        }
        unfinished @ Schema::Copying(_) => return Err(unfinished.refusal(connector)),
    }
    let plan = options.numbering_plan.as_ref();
    identifiers::bring_up_to_date(&connection, connector, access, plan).await?;
    connection.run("COMMIT").await.map_err(failed)?;
    if is_new || access == Access::Serve {
        installation.end_first_start()?;
    }
    let mut state = state(&connection, connector, installation, access).await?;
    if access != Access::Read {
        rotate::finish(installation, &state.master.current().key)?;
    }
    if access != Access::Read {
        state.notices.extend(handover::take(&connection, connector, &state.chain, access).await?);
    }
    let state = Arc::new(state);
    if is_new || access == Access::Serve {
        installation.record_server()?;
    }
    if access == Access::Serve {
        let leased = AuditSlot::lease(&connection, &state.chain).await;
        state.set_slot(leased.map_err(|trouble| trouble.at(connector))?);
        let started = Process::start(&connection, installation).await;
        let (process, standing) = started.map_err(|trouble| trouble.at(connector))?;
        state.serve(process);
        if standing == Standing::Older {
            supersede(&mut Writer::new(connector, &state, Some(connection))).await?;
        }
    }
    Ok(state)
}

/// Refuses a database that loses what it has committed.
pub(super) async fn refuse_unsafe(connection: &Connection, connector: &Connector) -> Result<(), StoreError> {
    let sql = "SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('server_encoding')";
    let rows = connection.query(sql, &[]).await.map_err(|error| connector.error(&error))?;
    let setting = |column| rows.first().map_or("", |row| row.get(column));
    for (name, found, wanted) in [
        ("fsync", setting(0), "on"),
        ("full_page_writes", setting(1), "on"),
        ("server_encoding", setting(2), "UTF8"),
    ] {
        if found != wanted {
            let detail = format!("its {name} is {found}, and has to be {wanted}");
            return Err(StoreError::Postgres { address: connector.address.clone(), detail });
        }
    }
    Ok(())
}

/// Reads the keys and the plan.
pub(super) async fn state(
    connection: &Connection,
    connector: &Connector,
    installation: &Installation,
    access: Access,
) -> Result<SharedState, StoreError> {
    let sql = "SELECT master_key_id, master_check, audit_key, numbering_plan FROM meta";
    let rows = connection.query(sql, &[]).await.map_err(|error| connector.error(&error))?;
    let no_meta = || connector.malformed(NO_META);
    let row = rows.first().ok_or_else(no_meta)?;
    let mut c = Columns::of(row, "meta");
    let malformed = |row| connector.malformed(row);
    let number = c.number("master_key_id").map_err(malformed)?;
    let (check, audit_key) =
        (c.blob("master_check").map_err(malformed)?, c.blob("audit_key").map_err(malformed)?);
    let plan = c.maybe("numbering_plan", |text| NumberingPlan::parse(text).ok()).map_err(malformed)?;
    let master = MasterKeys::find(installation, number, &check)?;
    let key = master.current().key.open("audit", &audit_key).ok_or_else(|| StoreError::Unsealable {
        path: connector.address.clone().into(),
        purpose: "audit".into(),
    })?;
    let chain = Chain::new(&key).operated_by(installation.operator.clone());
    Ok(SharedState::new(master, chain, plan, access))
}
