//! The check of the database from its pages to its rows, of what is sealed in it, of the audit chain, and of the
//! witness.

use std::path::Path;
use std::time::Duration;

use gatepass_core::records::signing_key::KeyState;
use gatepass_core::records::user::User;
use rusqlite::{Connection, Row};

use super::super::backup::in_one_line;
use super::super::generation::{self, Standing};
use super::super::identifiers::{self, Ambiguous};
use super::super::installation::Installation;
use super::super::read::every;
use super::super::schema::{self, Version};
use super::super::transaction_error::TransactionError;
use super::super::values::decoder;
use super::super::witness::Witness;
use super::super::{Store, audit_pages, factors, keys, walk};
use super::{RESTORE, Report};
use crate::store::audit_filter::{AuditFilter, AuditOrder};
use crate::store::error::StoreError;
use crate::store::rows::{self, columns};

/// The most findings of one kind.
const MOST: usize = 100;
/// The time that a check waits for a process that changes the generation.
const PATIENCE: Duration = Duration::from_secs(5);

/// Checks the database.
pub(super) fn database(
    installation: &Installation,
    db: &Connection,
    store: Option<&Store>,
    report: &mut Report,
) {
    let path = installation.database();
    let version = match schema::version(db) {
        Ok(Version::Schema(number)) => number,
        Ok(Version::Empty | Version::Foreign) => return report.store_error(&StoreError::Foreign(path)),
        Err(error) => return report.store_error(&TransactionError::Sql(error).at(&path)),
    };
    report.schema = Some(version);
    structure(db, &path, report);
    if version != schema::known() {
        return;
    }
    decode(db, &path, report);
    names(db, &path, report);
    origin(installation, db, report);
    if let Some(store) = store {
        sealed(store, db, report);
        witness(installation, db, report);
    }
}

/// Adds the findings of SQLite itself.
fn structure(db: &Connection, path: &Path, report: &mut Report) {
    let lines = every(db, &format!("PRAGMA integrity_check({MOST})"), [], |row| Ok(row.get::<_, String>(0)?));
    match lines {
        Ok(lines) => {
            // One finding may have several lines.
            for line in lines.into_iter().map(|line| in_one_line(&line)).filter(|line| line != "ok") {
                if line.contains("index") {
                    report.error(
                        "index-damaged",
                        line,
                        "stop gatepass, run `sqlite3 gatepass.db REINDEX`, and check again",
                    );
                } else {
                    report.error("database-damaged", line, RESTORE);
                }
            }
        }
        Err(trouble) => report.store_error(&trouble.at(path)),
    }
    let mut find = |sql: &str| {
        let found = every(db, &format!("{sql} LIMIT {MOST}"), [], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        });
        match found {
            Ok(rows) => {
                for (table, parent) in rows {
                    let what = format!("a row of {table} names one of {parent} that is not there");
                    report.error("row-orphaned", what, RESTORE);
                }
            }
            Err(trouble) => report.store_error(&trouble.at(path)),
        }
    };
    find("SELECT \"table\", parent FROM pragma_foreign_key_check");
    // Sessions and challenges have no key into the users, and those of a deleted user wait for the sweep.
    for table in ["sessions", "challenges"] {
        find(&format!(
            "SELECT '{table}', 'users' FROM {table} t WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.id = t.user_id) \
             AND NOT EXISTS (SELECT 1 FROM deleted_users d WHERE d.user_id = t.user_id)"
        ));
    }
}

/// Reads every row of the tables with records.
fn decode(db: &Connection, path: &Path, report: &mut Report) {
    let mut each = |table: &str, columns: &str, read: fn(&Row<'_>) -> Result<(), TransactionError>| {
        let all = || -> Result<(), TransactionError> {
            let mut select = db.prepare(&format!("SELECT {columns} FROM {table}"))?;
            let mut found = select.query([])?;
            while let Some(row) = found.next()? {
                read(row)?;
            }
            Ok(())
        };
        if let Err(trouble) = all() {
            report.store_error(&trouble.at(path));
        }
    };
    each("users", columns!(users), |row| decoder("users", rows::user)(row).map(drop));
    each("clients", columns!(clients), |row| decoder("clients", rows::client)(row).map(drop));
    each("client_secrets", columns!(client_secrets), |row| {
        decoder("client_secrets", rows::secret)(row).map(drop)
    });
    each("used_assertions", "digest", |row| Ok(row.get::<_, [u8; 32]>(0).map(drop)?));
    each("tickets", columns!(tickets), |row| decoder("tickets", rows::ticket)(row).map(drop));
    each("sessions", columns!(sessions), |row| decoder("sessions", rows::session)(row).map(drop));
    let rows = || -> Result<(), TransactionError> {
        let all = AuditFilter::default();
        let mut rest = audit_pages::span(db, &all)?;
        while let Some(span) = rest {
            rest = audit_pages::page(db, &all, &span, AuditOrder::OldestFirst)?.rest;
        }
        Ok(())
    };
    if let Err(trouble) = rows() {
        report.store_error(&trouble.at(path));
    }
}

/// Finds identifiers of several users, and clients that are called like a user's id.
fn names(db: &Connection, path: &Path, report: &mut Report) {
    match identifiers::ambiguous(db, MOST) {
        Ok(found) => {
            for Ambiguous { canonical, owners } in found {
                let owners: Vec<String> = owners
                    .iter()
                    .map(|owner| {
                        format!("the {} of {} ({:?})", owner.kind, owner.user, owner.username.as_str())
                    })
                    .collect();
                report.warning(
                    "identifier-ambiguous",
                    format!("{canonical:?} is {}: it signs nobody in", owners.join(" and ")),
                    "give all but one of them another with `gatepass user set ID`; until then each signs in by another of theirs, where they have one",
                );
            }
        }
        Err(trouble) => report.store_error(&trouble.at(path)),
    }
    let sql = format!("SELECT id FROM clients WHERE id GLOB ?1 LIMIT {MOST}");
    match every(db, &sql, [format!("{}*", User::ID_PREFIX)], |row| Ok(row.get::<_, String>(0)?)) {
        Ok(clients) => {
            for client in clients {
                report.warning(
                    "client-like-user",
                    format!("the client {client} is called like a user's id: in a token the one reads like the other"),
                    "add it under another id, and delete this one",
                );
            }
        }
        Err(trouble) => report.store_error(&trouble.at(path)),
    }
}

/// Checks the origin that the file names.
fn origin(installation: &Installation, db: &Connection, report: &mut Report) {
    let marks = db.query_row("SELECT handover, copied_at FROM meta", [], |row| {
        Ok((row.get::<_, Option<String>>(0)?, row.get::<_, Option<i64>>(1)?))
    });
    match marks {
        Ok((_, Some(_))) => report.warning(
            "copy-not-taken",
            format!("{} is a copy that no server has taken into use yet", installation.database().display()),
            "run `gatepass serve`; everything issued before the copy was made is refused then",
        ),
        Ok((Some(id), None)) => report.store_error(&StoreError::HandedOver(id)),
        Ok((None, None)) => {}
        Err(error) => report.store_error(&TransactionError::Sql(error).at(&installation.database())),
    }
}

/// Opens what is sealed, and follows the audit chain.
fn sealed(store: &Store, db: &Connection, report: &mut Report) {
    let path = store.path();
    match keys::keys_of(db, path, store.master_keys()) {
        Ok(stored) => {
            let signing = stored.keys.iter().filter(|key| key.record.state == KeyState::Signing).count();
            report.keys_found(stored.keys.len(), signing);
        }
        Err(trouble) => report.store_error(&trouble.at(path)),
    }
    if let Err(trouble) = factors::each_opens(db, &store.master_keys().current()) {
        report.store_error(&trouble.at(path));
    }
    match walk::verify(store.chain(), db, schema::known()) {
        Ok(verdict) => report.chain_followed(verdict),
        Err(trouble) => report.store_error(&trouble.at(path)),
    }
}

/// Compares the files with the witness.
fn witness(installation: &Installation, db: &Connection, report: &mut Report) {
    let path = installation.database();
    // A server that is changing the generation has written one of the two only.
    let _locked = match installation.lock_directory(PATIENCE) {
        Ok(locked) => locked,
        Err(error) => return report.store_error(&error),
    };
    let witness = match Witness::read(&*installation.files, &installation.witness()) {
        Ok(witness) => witness,
        Err(error) => return report.store_error(&error),
    };
    if let (Some(witness), Ok(id)) = (&witness, generation::installation(db))
        && witness.installation != id
    {
        return report.store_error(&StoreError::WitnessForeign(installation.witness()));
    }
    match generation::newest(db).and_then(|newest| {
        let standing = generation::compare(db, witness.as_ref(), false)?;
        Ok((newest, standing))
    }) {
        Ok((newest, standing)) => {
            report.generation = newest;
            if standing == Standing::Unconfirmed {
                report.warning(
                    "witness-behind",
                    format!("the witness {} is behind the database", installation.witness().display()),
                    "where a server was killed just now, the next start mends it; else mend the witness's place or permissions",
                );
            }
            if standing == Standing::Older {
                let since =
                    newest.map_or_else(|| "an earlier version".into(), |newest| newest.made_at.rfc3339());
                let what = match witness {
                    Some(_) => format!("the files are of {since}, and later ones were served"),
                    None => format!(
                        "there is no witness at {}: the files of {since} may be old ones",
                        installation.witness().display()
                    ),
                };
                report.error(
                    if witness.is_some() { "state-older" } else { "witness-missing" },
                    what,
                    "put the newest files back; else the next start refuses everything issued before",
                );
            }
        }
        Err(trouble) => report.store_error(&trouble.at(&path)),
    }
}
