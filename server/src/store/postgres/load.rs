//! Statements that read rows into the core's tables, one round trip for all of them.

use gatepass_core::base::secret::SecretBytes;
use gatepass_core::records::client::Client;
use gatepass_core::records::client_assertion::AssertionDigest;
use gatepass_core::records::factor::BackupDigest;
use gatepass_core::records::id::{ClientId, DeviceId, UserId};
use gatepass_core::records::identifier::NumberingPlan;
use gatepass_core::records::signing_key::StoredKey;
use gatepass_core::store::memory::Tables;
use tokio_postgres::types::ToSql;

use crate::secrets::master_key::MasterKey;
use crate::store::audit_chain::{Head, SealedHead};
use crate::store::rows::{self, Columns, MalformedRow, Row};

/// A value that is sent with a statement.
pub(super) type Parameter = Box<dyn ToSql + Sync + Send>;

/// A statement and its values.
pub(super) type Statement = (&'static str, Vec<Parameter>);

/// Reads one row.
pub(super) type Read = fn(&mut Loaded<'_>, &dyn Row) -> Result<(), MalformedRow>;

/// A statement whose rows are read into [`Loaded`].
pub(super) struct Load {
    pub(super) sql: &'static str,
    pub(super) parameters: Vec<Parameter>,
    pub(super) read: Read,
}

/// The rows that were read so far.
pub(super) struct Loaded<'m> {
    pub(super) tables: Tables,
    /// The row of the whole store, if it was read.
    pub(super) meta: Option<Meta>,
    /// The slot that the audit rows of a batch are appended to, if it was read.
    pub(super) slot: Option<Slot>,
    /// The commits that the database counts of this process, if they were read and it has a row.
    pub(super) process: Option<u64>,
    pub(super) master: &'m MasterKey,
}

/// The row of the whole store.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Meta {
    pub(super) generation: u64,
    pub(super) state_epoch: u64,
    pub(super) master_key_id: u64,
    pub(super) numbering_plan: Option<NumberingPlan>,
    pub(super) handover: Option<String>,
}

impl<'m> Loaded<'m> {
    pub(super) fn new(master: &'m MasterKey) -> Self {
        Self { tables: Tables::default(), meta: None, slot: None, process: None, master }
    }

    /// Reads the rows of each statement.
    pub(super) fn read(
        &mut self,
        reads: impl IntoIterator<Item = Read>,
        rows: &[Vec<tokio_postgres::Row>],
    ) -> Result<(), MalformedRow> {
        for (read, rows) in reads.into_iter().zip(rows) {
            rows.iter().try_for_each(|row| read(self, row))?;
        }
        Ok(())
    }
}

/// A slot of the audit table: one chain.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Slot {
    pub(super) fence: u64,
    pub(super) head: SealedHead,
}

pub(super) fn slot(loaded: &mut Loaded<'_>, row: &dyn Row) -> Result<(), MalformedRow> {
    loaded.slot = Some(slot_of(row)?);
    Ok(())
}

/// Reads the count of a process.
pub(super) fn process(loaded: &mut Loaded<'_>, row: &dyn Row) -> Result<(), MalformedRow> {
    loaded.process = Some(Columns::of(row, "processes").number("commits")?);
    Ok(())
}

/// Reads a slot.
pub(super) fn slot_of(row: &dyn Row) -> Result<Slot, MalformedRow> {
    let mut c = Columns::of(row, "audit_slots");
    let fence = c.number("fence")?;
    let head = Head { seq: c.number("seq")?, mac: c.bytes("mac")? };
    Ok(Slot { fence, head: SealedHead { head, seal: c.bytes("seal")? } })
}

/// The columns of the row of the whole store, as [`meta`] takes them.
macro_rules! meta_columns {
    () => {
        "generation, state_epoch, master_key_id, numbering_plan, handover"
    };
}
pub(super) use meta_columns;

/// Reads the row of the whole store.
pub(super) fn meta(loaded: &mut Loaded<'_>, row: &dyn Row) -> Result<(), MalformedRow> {
    let mut c = Columns::of(row, "meta");
    let meta = Meta {
        generation: c.number("generation")?,
        state_epoch: c.number("state_epoch")?,
        master_key_id: c.number("master_key_id")?,
        numbering_plan: c.maybe("numbering_plan", |text| NumberingPlan::parse(text).ok())?,
        handover: c.maybe("handover", rows::owned)?,
    };
    loaded.tables.generation = meta.generation;
    loaded.tables.state_epoch = meta.state_epoch;
    loaded.tables.numbering_plan = meta.numbering_plan.clone();
    loaded.meta = Some(meta);
    Ok(())
}

pub(super) fn user(loaded: &mut Loaded<'_>, row: &dyn Row) -> Result<(), MalformedRow> {
    let user = rows::user(&mut Columns::of(row, "users"))?;
    loaded.tables.users.insert(user.id.clone(), user);
    Ok(())
}

/// Reads a client. Its secrets follow, by [`secret`].
pub(super) fn client(loaded: &mut Loaded<'_>, row: &dyn Row) -> Result<(), MalformedRow> {
    let client = rows::client(&mut Columns::of(row, "clients"))?;
    // One that is there already has its secrets.
    loaded.tables.clients.entry(client.id.clone()).or_insert(client);
    Ok(())
}

pub(super) fn secret(loaded: &mut Loaded<'_>, row: &dyn Row) -> Result<(), MalformedRow> {
    let mut c = Columns::of(row, "client_secrets");
    let client: ClientId = c.parsed("client_id", rows::client_id)?;
    let position = c.number("position")?;
    let secret = rows::secret(&mut c)?;
    // Another statement may have read the same ones.
    let next = |client: &&mut Client| u64::try_from(client.secrets.len()) == Ok(position);
    if let Some(client) = loaded.tables.clients.get_mut(&client).filter(next) {
        client.secrets.push(secret);
    }
    Ok(())
}

pub(super) fn ticket(loaded: &mut Loaded<'_>, row: &dyn Row) -> Result<(), MalformedRow> {
    let ticket = rows::ticket(&mut Columns::of(row, "tickets"))?;
    loaded.tables.tickets.insert(ticket.digest, ticket);
    Ok(())
}

pub(super) fn session(loaded: &mut Loaded<'_>, row: &dyn Row) -> Result<(), MalformedRow> {
    let session = rows::session(&mut Columns::of(row, "sessions"))?;
    loaded.tables.sessions.insert(session.id.clone(), session);
    Ok(())
}

pub(super) fn refresh_token(loaded: &mut Loaded<'_>, row: &dyn Row) -> Result<(), MalformedRow> {
    let token = rows::refresh_token(&mut Columns::of(row, "refresh_tokens"))?;
    loaded.tables.refresh_tokens.insert(token.digest, token);
    Ok(())
}

pub(super) fn challenge(loaded: &mut Loaded<'_>, row: &dyn Row) -> Result<(), MalformedRow> {
    let challenge = rows::challenge(&mut Columns::of(row, "challenges"))?;
    loaded.tables.challenges.insert(challenge.digest, challenge);
    Ok(())
}

/// Reads a device. They come in the order in which they were added.
pub(super) fn device(loaded: &mut Loaded<'_>, row: &dyn Row) -> Result<(), MalformedRow> {
    let device = rows::device(&mut Columns::of(row, "totp_devices"), loaded.master)?;
    loaded.tables.devices.push(device);
    Ok(())
}

pub(super) fn backup_code(loaded: &mut Loaded<'_>, row: &dyn Row) -> Result<(), MalformedRow> {
    let mut c = Columns::of(row, "backup_codes");
    let user: UserId = c.parsed("user_id", rows::user_id)?;
    let digest = BackupDigest(c.bytes("digest")?);
    let device = c.parsed("device", |text| DeviceId::parse(text).ok())?;
    loaded.tables.backup_codes.insert((user, digest), device);
    Ok(())
}

pub(super) fn guesses(loaded: &mut Loaded<'_>, row: &dyn Row) -> Result<(), MalformedRow> {
    let mut c = Columns::of(row, "factor_guesses");
    let user: UserId = c.parsed("user_id", rows::user_id)?;
    loaded.tables.lockout.insert(user, c.lockout()?);
    Ok(())
}

pub(super) fn password(loaded: &mut Loaded<'_>, row: &dyn Row) -> Result<(), MalformedRow> {
    let mut c = Columns::of(row, "passwords");
    let user: UserId = c.parsed("user_id", rows::user_id)?;
    loaded.tables.passwords.insert(user, rows::password(&mut c)?);
    Ok(())
}

pub(super) fn history(loaded: &mut Loaded<'_>, row: &dyn Row) -> Result<(), MalformedRow> {
    let mut c = Columns::of(row, "habits");
    let user: UserId = c.parsed("user_id", rows::user_id)?;
    loaded.tables.histories.insert(user, rows::history(&mut c)?);
    Ok(())
}

pub(super) fn revoked(loaded: &mut Loaded<'_>, row: &dyn Row) -> Result<(), MalformedRow> {
    let token = Columns::of(row, "revoked_tokens").parsed("token_id", rows::owned)?;
    loaded.tables.revoked.insert(token);
    Ok(())
}

pub(super) fn assertion(loaded: &mut Loaded<'_>, row: &dyn Row) -> Result<(), MalformedRow> {
    let digest = AssertionDigest(Columns::of(row, "used_assertions").bytes("digest")?);
    loaded.tables.used_assertions.insert(digest);
    Ok(())
}

pub(super) fn deleted_user(loaded: &mut Loaded<'_>, row: &dyn Row) -> Result<(), MalformedRow> {
    let user: UserId = Columns::of(row, "deleted_users").parsed("user_id", rows::user_id)?;
    loaded.tables.deleted.insert(user);
    Ok(())
}

/// Reads a key without its private part. They come in the order in which they were added.
pub(super) fn key(loaded: &mut Loaded<'_>, row: &dyn Row) -> Result<(), MalformedRow> {
    let record = rows::key_record(&mut Columns::of(row, "keys"))?;
    loaded.tables.keys.push(StoredKey { record, private_jwk: SecretBytes::new(Vec::new()) });
    Ok(())
}
