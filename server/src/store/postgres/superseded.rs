//! The answer to a database that has lost commits: everything issued before is refused.

use gatepass_core::base::time::Time;
use gatepass_core::store::audit::{Event, Kind};

use super::connection::Connection;
use super::load::Parameter;
use super::table::Saves;
use super::trouble::Trouble;
use super::writer::{BEGIN, Failure, Prepared, Unit, Writer};
use crate::store::rows::{NO_META, integer};

/// Locks the row of the whole store. Its time is that of the database, never behind the mark.
const LOCK: &str = "SELECT state_epoch, greatest(clock_mark, extract(epoch FROM clock_timestamp())::bigint) FROM meta FOR UPDATE";

/// Raises the state epoch, unless another process has done so since the loss.
struct Supersede;

/// The database as it is now.
struct Found {
    commits: u64,
    state_epoch: u64,
    raised: bool,
}

impl Unit for Supersede {
    type Made = Found;

    fn commits(&self) -> usize {
        1
    }

    async fn prepare(
        &mut self,
        writer: &Writer,
        connection: &Connection,
    ) -> Result<Prepared<Found>, Trouble> {
        let process = writer.state.process().ok_or(Trouble::Again)?;
        let id = || -> Parameter { Box::new(process.id().to_vec()) };
        connection.run(BEGIN).await?;
        let rows = connection.query(LOCK, &[]).await?;
        let row = rows.first().ok_or(NO_META)?;
        let (found, now) = (row.get::<_, i64>(0).unsigned_abs(), row.get::<_, i64>(1).unsigned_abs());
        let rows =
            connection.query("SELECT commits FROM processes WHERE id = $1 FOR UPDATE", &[id()]).await?;
        let commits = rows.first().map_or(0, |row| row.get::<_, i64>(0).unsigned_abs());
        let mut saves = Saves::default();
        saves.run("INSERT INTO processes (id, commits) VALUES ($1, 0) ON CONFLICT DO NOTHING", vec![id()]);
        if found > process.state_epoch() {
            return Ok(Prepared {
                made: Found { commits, state_epoch: found, raised: false },
                saves: Some(saves),
            });
        }
        let state_epoch = process.next_epoch(found)?;
        saves.run("UPDATE meta SET state_epoch = $1", vec![Box::new(integer(state_epoch))]);
        let reason = Some(format!("the database has {commits} commits of this process, and has had more"));
        let event = Event { reason, ..Event::new(Kind::StateSuperseded, Time::from_unix(now)) };
        let slot = writer.state.slot().read(connection).await?;
        writer.append(slot, &[event], &mut saves)?;
        Ok(Prepared { made: Found { commits, state_epoch, raised: true }, saves: Some(saves) })
    }
}

/// Refuses everything issued before: the database has lost commits that this process has seen applied.
pub(super) async fn supersede(writer: &mut Writer) -> Result<(), Failure> {
    let Found { commits, state_epoch, raised } = writer.write(&mut Supersede).await?;
    if let Some(process) = writer.state.process() {
        process.superseded(commits, state_epoch);
    }
    tracing::error!(
        database = %writer.connector.address, commits, raised,
        "the database has lost commits that this process has seen applied, as after a failover to a standby that lagged behind: every \
         ticket, session and service's token issued before is refused from now on. What administrators changed since then may be lost: \
         look through users, clients and keys"
    );
    Ok(())
}
