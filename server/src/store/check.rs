//! A look over the whole file: is it sound, does every row read, does every key unseal, does the chain hold?

use rusqlite::{Connection, Row};

use super::audit::{self, AuditVerdict};
use super::error::Trouble;
use super::read::every;
use super::rows::{self, columns};
use super::{Store, StoreError};

/// The most problems that are told of one kind.
const MOST: usize = 100;

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// What is wrong, in words.
    pub problems: Vec<String>,
    /// The audit chain, where it could be read.
    pub audit: Option<AuditVerdict>,
    /// How many keys unsealed.
    pub keys: usize,
}

impl CheckReport {
    /// Whether all is well.
    pub const fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

impl Store {
    /// Checks the whole file, in one snapshot. Takes time in proportion to its size.
    ///
    /// # Errors
    /// [`StoreError`] where the file cannot even be opened; whatever else is wrong is in the report.
    pub fn check(&self) -> Result<CheckReport, StoreError> {
        let mut report = CheckReport { problems: Vec::new(), audit: None, keys: 0 };
        self.snapshot(|db| {
            let report = &mut report;
            let mut look = |what: &str, seen: Result<(), Trouble>| {
                if let Err(trouble) = seen {
                    report.problems.push(format!("{what}: {}", trouble.at(self.path())));
                }
            };
            let mut structure = Vec::new();
            look("structure", structural(db, &mut structure));
            look("users", decode(db, "users", columns!(users), |row| rows::user(row).map(drop)));
            look("clients", decode(db, "clients", columns!(clients), |row| rows::client(row).map(drop)));
            look(
                "clients",
                decode(db, "client_secrets", columns!(client_secrets), |row| rows::secret(row).map(drop)),
            );
            look("tickets", decode(db, "tickets", columns!(tickets), |row| rows::ticket(row).map(drop)));
            look("sessions", decode(db, "sessions", columns!(sessions), |row| rows::session(row).map(drop)));
            look("audit", audit::each(db, None, &mut |_| ()));
            let keys = self.keys_of(db).map(|stored| stored.keys.len());
            let verdict = self.chain().verify(db);
            match keys {
                Ok(keys) => report.keys = keys,
                Err(trouble) => report.problems.push(trouble.at(self.path()).to_string()),
            }
            match verdict {
                Ok(verdict) => {
                    if let Some(broken) = verdict.broken {
                        report.problems.push(format!("audit chain: {broken}"));
                    }
                    report.audit = Some(verdict);
                }
                Err(trouble) => {
                    report.problems.push(format!("audit chain: {}", trouble.at(self.path())));
                }
            }
            report.problems.append(&mut structure);
            Ok(())
        })?;
        Ok(report)
    }
}

/// What SQLite itself finds.
fn structural(db: &Connection, problems: &mut Vec<String>) -> Result<(), Trouble> {
    let lines: Vec<String> =
        every(db, &format!("PRAGMA integrity_check({MOST})"), [], |row| Ok(row.get(0)?))?;
    problems.extend(lines.into_iter().filter(|line| line != "ok"));
    let mut find = |sql: &str| {
        let mut select = db.prepare(&format!("{sql} LIMIT {MOST}"))?;
        let mut found = select.query([])?;
        while let Some(row) = found.next()? {
            let (table, parent): (String, String) = (row.get(0)?, row.get(1)?);
            problems.push(format!("a row of {table} names one of {parent} that is not there"));
        }
        Ok::<(), Trouble>(())
    };
    find("SELECT \"table\", parent FROM pragma_foreign_key_check")?;
    // Sessions have no key into the users.
    find(
        "SELECT 'sessions', 'users' FROM sessions WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.id = user_id)",
    )?;
    Ok(())
}

/// Reads every row of `table`, and keeps none.
fn decode(
    db: &Connection,
    table: &str,
    columns: &str,
    mut read: impl FnMut(&Row<'_>) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let mut select = db.prepare(&format!("SELECT {columns} FROM {table}"))?;
    let mut found = select.query([])?;
    while let Some(row) = found.next()? {
        read(row)?;
    }
    Ok(())
}
