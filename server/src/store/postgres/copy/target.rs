//! A database that a store is copied to. Everything is one transaction; what marks the copy until then is a table of its own.

use gatepass_core::store::audit::{Event, Kind};

use super::super::audit_slot::SHARED;
use super::super::handover;
use super::super::load::Parameter;
use super::super::migrate::{self, MARK, Schema};
use super::super::open;
use super::super::slot_list::{self, SlotList};
use super::super::table::{self, Saves, Table};
use super::session::{ReadOver, Session};
use crate::clock::wall;
use crate::store::audit_chain::Chain;
use crate::store::backend::Access;
use crate::store::copy::{CopiedTable, KeptChain, Page, Rows as _, TakeOver, Target};
use crate::store::database_server::DatabaseServer;
use crate::store::error::StoreError;
use crate::store::rows::{Value, integer, stamp};
use crate::store::sqlite::Installation;

/// A database that a store is copied to.
pub(in crate::store) struct PostgresTarget {
    session: Session,
    installation: Installation,
}

/// Returns the table that rows are written to.
fn table(of: CopiedTable) -> &'static Table {
    match of {
        CopiedTable::Meta => &table::META,
        CopiedTable::Users => &table::USERS,
        CopiedTable::Identifiers => &table::IDENTIFIERS,
        CopiedTable::DeletedUsers => &table::DELETED_USERS,
        CopiedTable::Clients => &table::CLIENTS,
        CopiedTable::ClientSecrets => &table::CLIENT_SECRETS,
        CopiedTable::Tickets => &table::TICKETS,
        CopiedTable::Sessions => &table::SESSIONS,
        CopiedTable::RefreshTokens => &table::REFRESH_TOKENS,
        CopiedTable::RevokedTokens => &table::REVOKED_TOKENS,
        CopiedTable::UsedAssertions => &table::USED_ASSERTIONS,
        CopiedTable::Challenges => &table::CHALLENGES,
        CopiedTable::TotpDevices => &table::SEALED_DEVICES,
        CopiedTable::BackupCodes => &table::BACKUP_CODES,
        CopiedTable::FactorGuesses => &table::FACTOR_GUESSES,
        CopiedTable::Passwords => &table::PASSWORDS,
        CopiedTable::Habits => &table::HABITS,
        CopiedTable::Keys => &table::SEALED_KEYS,
    }
}

impl PostgresTarget {
    /// Connects to `database`, whose master key will be that of `installation`.
    pub(in crate::store) fn at(
        database: &DatabaseServer,
        installation: &Installation,
    ) -> Result<Self, StoreError> {
        Ok(Self { session: Session::connect(database, installation)?, installation: installation.clone() })
    }

    fn not_empty(&self, what: &str) -> StoreError {
        StoreError::NotEmpty { place: self.place(), what: what.into() }
    }

    fn query(&self, sql: &'static str, parameters: &[Parameter]) -> Result<(), StoreError> {
        self.session.wait(self.session.connection.query(sql, parameters)).map(drop)
    }

    fn write(&self, name: &'static str, to: &'static Table, rows: Page) -> Result<(), StoreError> {
        let mut saves = Saves::default();
        saves.insert(to, rows);
        let statements = saves.into_statements().ok_or_else(|| StoreError::Uncopyable {
            table: name,
            problem: "a value has not the type of its column; run `gatepass check` on the source".into(),
        })?;
        self.session.wait(self.session.connection.pipeline("", statements, "")).map(drop)
    }
}

impl ReadOver for PostgresTarget {
    fn session(&self) -> &Session {
        &self.session
    }
}

impl Target for PostgresTarget {
    fn unfinished(&mut self) -> Result<Option<String>, StoreError> {
        let found = self.session.schema()?;
        self.session.commit()?;
        match found {
            Schema::Empty => Ok(None),
            Schema::Copying(id) => Ok(Some(id)),
            Schema::Known { .. } => Err(self.not_empty("there is an installation")),
        }
    }

    fn begin(&mut self, id: &str) -> Result<(), StoreError> {
        if let Schema::Known { .. } = self.session.schema()? {
            return Err(self.not_empty("there is an installation"));
        }
        self.session.wait(self.session.connection.run(MARK))?;
        self.query("INSERT INTO gatepass_copying (id) VALUES ($1)", &[Box::new(id.to_owned())])?;
        self.session.commit()?;
        match self.session.schema()? {
            Schema::Copying(found) if found == id => {}
            Schema::Copying(_) | Schema::Empty | Schema::Known { .. } => {
                return Err(self.not_empty("another copy has begun"));
            }
        }
        self.session.wait(migrate::bring_up_to_date(&self.session.connection, 0))?;
        // Its end is written after its rows, which name it.
        let sql = "INSERT INTO audit_slots (slot, fence, seq, mac, seal) VALUES ($1, 0, 0, $2, $2)";
        self.query(sql, &[Box::new(SHARED), Box::new([0u8; 32].to_vec())])
    }

    fn insert(&mut self, of: CopiedTable, mut rows: Page) -> Result<(), StoreError> {
        if of == CopiedTable::Meta {
            // The list of the slots, which is sealed at the end.
            rows.iter_mut().for_each(|row| row.extend([Value::Integer(1), Value::from([0; 32].to_vec())]));
        }
        self.write(of.name(), table(of), rows)
    }

    fn insert_audit(&mut self, mut rows: Page) -> Result<(), StoreError> {
        rows.iter_mut().for_each(|row| row.insert(0, Value::Integer(SHARED)));
        self.write("audit", &table::AUDIT, rows)
    }

    /// The witness in the directory that was copied holds the newest of them: a server that goes on there knows that nothing is older.
    fn insert_generations(&mut self, rows: Page) -> Result<(), StoreError> {
        let Some(directory) = rows.first().and_then(|row| row.first()).cloned() else { return Ok(()) };
        self.write("processes", &table::PROCESSES, vec![vec![directory, Value::Integer(0)]])?;
        self.write("generations", &table::GENERATIONS, rows)
    }

    fn end_chain(
        &mut self,
        chain: &Chain,
        KeptChain { head, marks, .. }: &KeptChain,
    ) -> Result<(), StoreError> {
        let digest = |digest: &Option<[u8; 32]>| digest.map(|bytes| bytes.to_vec());
        let end: [Parameter; 8] = [
            Box::new(integer(head.head.seq)),
            Box::new(head.head.mac.to_vec()),
            Box::new(head.seal.to_vec()),
            Box::new(integer(marks.archived)),
            Box::new(digest(&marks.archived_seal)),
            Box::new(integer(marks.cut)),
            Box::new(digest(&marks.cut_mac)),
            Box::new(digest(&marks.cut_seal)),
        ];
        self.query(
            "UPDATE audit_slots SET seq = $1, mac = $2, seal = $3, archived = $4, archived_seal = $5, cut = $6, cut_mac = $7, \
             cut_seal = $8",
            &end,
        )?;
        let list = SlotList::sealed(chain, 1);
        self.query(slot_list::UPDATE, &[Box::new(integer(list.count)), Box::new(list.seal.to_vec())])
    }

    fn finish(&mut self, take_over: TakeOver<'_>) -> Result<(), StoreError> {
        let Session { connection, connector, .. } = &self.session;
        match take_over {
            TakeOver::Backup(at) => {
                self.query("UPDATE meta SET copied_at = $1", &[Box::new(stamp(at))])?;
            }
            TakeOver::Handover(id) => self.session.run(async {
                let chain = open::state(connection, connector, &self.installation, Access::Read).await?.chain;
                let event = Event {
                    reason: Some(format!("handover {id}")),
                    ..Event::new(Kind::HandoverTaken, wall())
                };
                handover::append(connection, connector, &chain, event).await
            })?,
        }
        self.session.wait(connection.run("DROP TABLE gatepass_copying"))?;
        self.session.commit()
    }
}
