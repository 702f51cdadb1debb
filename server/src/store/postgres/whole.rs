//! All records of a database at once, as tests that hold on any store look at them and alter them.

use gatepass_core::store::memory::Tables;

use super::commit_load::{digests, texts};
use super::commit_names::{CommitNames, Lock};
use super::connection::Connection;
use super::load::{self, Load, Loaded, Read, meta_columns};
use super::reader::BEGIN;
use super::save;
use super::store::PostgresStore;
use super::table::{self, Saves};
use super::trouble::Trouble;
use super::writer::{Prepared, Unit, Writer};
use crate::secrets::master_key::MasterKey;
use crate::store::backend::SigningKeys as _;
use crate::store::error::StoreError;
use crate::store::rows::{Value, columns, integer};

/// The statements that read every row.
const ALL: [(&str, Read); 17] = [
    (concat!("SELECT ", meta_columns!(), " FROM meta"), load::meta),
    (concat!("SELECT ", columns!(users), " FROM users"), load::user),
    ("SELECT user_id FROM deleted_users", load::deleted_user),
    (concat!("SELECT ", columns!(clients), " FROM clients"), load::client),
    (
        concat!(
            "SELECT client_id, position, ",
            columns!(client_secrets),
            " FROM client_secrets ORDER BY client_id, position"
        ),
        load::secret,
    ),
    (concat!("SELECT ", columns!(tickets), " FROM tickets"), load::ticket),
    (concat!("SELECT ", columns!(sessions), " FROM sessions"), load::session),
    (concat!("SELECT ", columns!(refresh_tokens), " FROM refresh_tokens"), load::refresh_token),
    (concat!("SELECT ", columns!(challenges), " FROM challenges"), load::challenge),
    (concat!("SELECT ", columns!(totp_devices), " FROM totp_devices ORDER BY seq"), load::device),
    ("SELECT user_id, digest, device FROM backup_codes", load::backup_code),
    (concat!("SELECT ", columns!(factor_guesses), " FROM factor_guesses"), load::guesses),
    (concat!("SELECT ", columns!(passwords), " FROM passwords"), load::password),
    (concat!("SELECT ", columns!(habits), " FROM habits"), load::history),
    ("SELECT token_id FROM revoked_tokens", load::revoked),
    ("SELECT digest FROM used_assertions", load::assertion),
    (concat!("SELECT ", columns!(keys), " FROM keys ORDER BY seq"), load::key),
];

/// Reads every row, between the statements `first` and `last`.
async fn all(
    connection: &Connection,
    master: &MasterKey,
    first: &'static str,
    last: &'static str,
) -> Result<Tables, Trouble> {
    let loads = ALL.map(|(sql, read)| Load { sql, parameters: vec![], read });
    let reads = ALL.map(|(_, read)| read);
    let statements = loads.into_iter().map(|load| (load.sql, load.parameters)).collect();
    let rows = connection.pipeline(first, statements, last).await?;
    let mut loaded = Loaded::new(master);
    loaded.read(reads, &rows)?;
    Ok(loaded.tables)
}

/// Every record, to replace those in the database.
struct Whole<'t>(&'t Tables);

impl Unit for Whole<'_> {
    type Made = ();

    fn commits(&self) -> usize {
        1
    }

    async fn prepare(&mut self, writer: &Writer, connection: &Connection) -> Result<Prepared<()>, Trouble> {
        let names = CommitNames { meta: Some(Lock::Update), ..CommitNames::default() };
        let current = writer.state.master.current();
        let master = &current.key;
        writer.begin(connection, &current, &names, false, None).await?;
        let (mut before, mut after) = (all(connection, master, "", "").await?, self.0.clone());
        // They go with their session.
        after.refresh_tokens.retain(|_, token| self.0.sessions.contains_key(&token.session_id));
        let mut saves = Saves::default();
        // Devices and keys have an order, and an update leaves some columns of the others as they are.
        for sql in [
            "DELETE FROM totp_devices",
            "DELETE FROM keys",
            "DELETE FROM refresh_tokens",
            "DELETE FROM sessions",
            "DELETE FROM tickets",
            "DELETE FROM challenges",
        ] {
            saves.run(sql, Vec::new());
        }
        before.devices.clear();
        before.keys.clear();
        before.refresh_tokens.clear();
        before.sessions.clear();
        before.tickets.clear();
        before.challenges.clear();
        save::save(&before, &after, std::iter::empty(), master, &mut saves)?;
        // The core's changes write the rest one way only.
        saves.run("UPDATE meta SET state_epoch = $1", vec![Box::new(integer(after.state_epoch))]);
        saves.run(
            "DELETE FROM deleted_users WHERE user_id <> ALL($1)",
            vec![texts(after.deleted.iter().map(|user| user.as_str()))],
        );
        saves.run(
            "DELETE FROM revoked_tokens WHERE token_id <> ALL($1)",
            vec![texts(after.revoked.iter().map(String::as_str))],
        );
        saves.run(
            "DELETE FROM used_assertions WHERE digest <> ALL($1)",
            vec![digests(after.used_assertions.iter().map(|assertion| &assertion.0))],
        );
        let never = || Value::Integer(i64::MAX);
        let revoked = after.revoked.difference(&before.revoked);
        saves.insert(&table::REVOKED_TOKENS, revoked.map(|id| vec![id.as_str().into(), never()]).collect());
        let used = after.used_assertions.difference(&before.used_assertions);
        saves.insert(&table::USED_ASSERTIONS, used.map(|used| vec![(&used.0).into(), never()]).collect());
        Ok(Prepared { made: (), saves: Some(saves) })
    }
}

impl PostgresStore {
    /// Returns every record but the audit rows.
    ///
    /// # Errors
    /// [`StoreError`] names the database.
    #[doc(hidden)]
    pub fn whole(&self) -> Result<Tables, StoreError> {
        let master = self.state().master.current();
        let mut tables =
            self.read_with(async |connection| all(connection, &master.key, BEGIN, "COMMIT").await)?;
        tables.keys = self.keys()?.keys;
        Ok(tables)
    }

    /// Replaces every record but the audit rows, whatever there was.
    ///
    /// # Errors
    /// [`StoreError`] names the database.
    #[doc(hidden)]
    pub fn replace_whole(&self, tables: &Tables) -> Result<(), StoreError> {
        self.write_alone(Whole(tables))
    }
}
