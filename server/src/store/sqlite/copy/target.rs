//! A new file that a store is copied to. It gets its name when it is whole.
//!
//! The mark of the copy is a file of its own, made first and removed last: while it is there, the directory is not opened.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gatepass_core::base::time::Time;
use rusqlite::{Connection, OpenFlags, params, params_from_iter};

use crate::clock::wall;
use crate::secrets::files::{exists, make_directory, replace, with_suffix};
use crate::store::audit_chain::Chain;
use crate::store::copy::{
    AuditRows, CopiedTable, EachPage, KeptChain, Order, Page, Rows, TakeOver, Target, audit_columns,
};
use crate::store::error::StoreError;
use crate::store::rows::{Value, integer, stamp};

use super::super::backup::{prove, remove_all};
use super::super::installation::{DirectoryLock, Installation};
use super::super::restore::bound;
use super::super::start::remove_if_there;
use super::super::transaction_error::TransactionError;
use super::super::{batch, identifiers, schema};
use super::rows::FileRows;

/// The time to wait for another process that starts in the directory.
const PATIENCE: Duration = Duration::from_secs(30);

/// A data directory that a store is copied to. It is locked meanwhile.
pub(in crate::store) struct SqliteTarget {
    installation: Installation,
    draft: PathBuf,
    db: Option<Connection>,
    _locked: DirectoryLock,
}

impl SqliteTarget {
    /// Makes the directory, if there is none.
    pub(in crate::store) fn at(installation: &Installation) -> Result<Self, StoreError> {
        let dir = &installation.dir;
        make_directory(dir).map_err(|e| StoreError::file(dir, "create the data directory", &e))?;
        let locked = installation.lock_directory(PATIENCE)?;
        let draft = with_suffix(&installation.database(), ".copying");
        Ok(Self { installation: installation.clone(), draft, db: None, _locked: locked })
    }

    fn db(&self) -> Result<&Connection, StoreError> {
        self.db.as_ref().ok_or_else(|| StoreError::CopyUnfinished {
            place: self.place(),
            mark: self.installation.copying().display().to_string(),
        })
    }

    fn file(&self) -> Result<FileRows<'_>, StoreError> {
        Ok(FileRows { db: self.db()?, path: &self.draft })
    }

    fn at_draft(&self, error: rusqlite::Error) -> StoreError {
        TransactionError::Sql(error).at(&self.draft)
    }

    fn run<'v>(
        &self,
        sql: &str,
        rows: impl Iterator<Item = &'v Vec<Value<'static>>>,
    ) -> Result<(), StoreError> {
        let mut insert = self.db()?.prepare_cached(sql).map_err(|e| self.at_draft(e))?;
        for row in rows {
            if insert.execute(params_from_iter(row)).map_err(|e| self.at_draft(e))? != 1 {
                return Err(TransactionError::Conflict.at(&self.draft));
            }
        }
        Ok(())
    }
}

/// Returns the statement that inserts a row of a table.
fn insert(table: CopiedTable) -> String {
    let places: Vec<String> = (1..).zip(table.names()).map(|(number, _)| format!("?{number}")).collect();
    let (columns, places) = (table.columns(), places.join(", "));
    if table == CopiedTable::Identifiers {
        return "INSERT INTO identifiers (user, kind, canonical) SELECT seq, ?2, ?3 FROM users WHERE id = ?1"
            .into();
    }
    if table == CopiedTable::RefreshTokens {
        let values = places.replacen("?2", "seq", 1);
        return format!("INSERT INTO refresh_tokens ({columns}) SELECT {values} FROM sessions WHERE id = ?2");
    }
    if table == CopiedTable::Meta {
        return format!(
            "INSERT INTO meta (id, audit_seq, audit_mac, audit_seal, commits, commit_id, {columns}) \
             VALUES (1, 0, zeroblob(32), zeroblob(32), 0, randomblob(16), {places})"
        );
    }
    format!("INSERT INTO {} ({columns}) VALUES ({places})", table.name())
}

impl Rows for SqliteTarget {
    fn place(&self) -> String {
        self.installation.dir.display().to_string()
    }

    fn rows(&mut self, table: CopiedTable, order: Order, each: &mut EachPage<'_>) -> Result<(), StoreError> {
        self.file()?.rows(table, order, each)
    }

    fn audit_rows(&mut self, which: AuditRows, each: &mut EachPage<'_>) -> Result<(), StoreError> {
        self.file()?.audit_rows(which, each)
    }
}

impl Target for SqliteTarget {
    fn unfinished(&mut self) -> Result<Option<String>, StoreError> {
        let installation = &self.installation;
        if let Some(id) = installation.unfinished_copy()? {
            return Ok(Some(id));
        }
        let contents = installation.contents()?;
        let there = [
            (contents.database.is_some(), installation.database()),
            (contents.log.is_some(), installation.log()),
            (contents.witness, installation.witness()),
            (contents.starting, installation.starting()),
        ];
        match there.into_iter().find(|(is_there, _)| *is_there) {
            Some((_, file)) => Err(StoreError::NotEmpty {
                place: installation.dir.display().to_string(),
                what: file.display().to_string(),
            }),
            None => Ok(None),
        }
    }

    fn begin(&mut self, id: &str) -> Result<(), StoreError> {
        let files = &*self.installation.files;
        let mark = self.installation.copying();
        // What another attempt has left is nobody's: the directory was not opened since.
        let is_again = exists(files, &mark).map_err(|e| StoreError::file(&mark, "look at", &e))?;
        replace(files, &mark, format!("{id}\n").as_bytes())
            .map_err(|e| StoreError::file(&mark, "write", &e))?;
        if is_again {
            remove_all(files, &self.installation.database())?;
            remove_if_there(files, &self.installation.accept())?;
        }
        remove_all(files, &self.draft)?;
        files.write_new(&self.draft, b"").map_err(|e| StoreError::file(&self.draft, "create", &e))?;
        let opened = (|| {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let db = Connection::open_with_flags(&self.draft, flags)?;
            // A copy that was interrupted is begun anew. It is synced at its end.
            db.pragma_update(None, "journal_mode", "OFF")?;
            db.pragma_update(None, "synchronous", "OFF")?;
            db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
            db.pragma_update(None, "foreign_keys", true)?;
            db.pragma_update(None, "trusted_schema", false)?;
            db.execute_batch("BEGIN")?;
            schema::bring_up_to_date(&db, 0)?;
            Ok(db)
        })();
        self.db = Some(opened.map_err(|e| self.at_draft(e))?);
        Ok(())
    }

    fn insert(&mut self, table: CopiedTable, rows: Page) -> Result<(), StoreError> {
        self.run(&insert(table), rows.iter())
    }

    fn insert_audit(&mut self, rows: Page) -> Result<(), StoreError> {
        let columns = audit_columns();
        let places = vec!["?"; columns.len()].join(", ");
        self.run(&format!("INSERT INTO audit ({}) VALUES ({places})", columns.join(", ")), rows.iter())
    }

    fn end_chain(&mut self, _: &Chain, KeptChain { head, marks, .. }: &KeptChain) -> Result<(), StoreError> {
        let written = self.db()?.execute(
            "UPDATE meta SET audit_seq = ?1, audit_mac = ?2, audit_seal = ?3, audit_archived = ?4, \
             audit_archived_seal = ?5, audit_cut = ?6, audit_cut_mac = ?7, audit_cut_seal = ?8",
            params![
                integer(head.head.seq),
                head.head.mac,
                head.seal,
                integer(marks.archived),
                marks.archived_seal,
                integer(marks.cut),
                marks.cut_mac,
                marks.cut_seal
            ],
        );
        written.map(drop).map_err(|e| self.at_draft(e))
    }

    fn finish(&mut self, take_over: TakeOver<'_>) -> Result<(), StoreError> {
        let (installation, draft) = (&self.installation, self.draft.as_path());
        let files = &*installation.files;
        let at = |e: rusqlite::Error| TransactionError::Sql(e).at(draft);
        let (handover, copied_at) = match take_over {
            TakeOver::Handover(id) => (Some(id), wall()),
            TakeOver::Backup(at) => (None, at),
        };
        let commit_id = {
            let db = self.db()?;
            identifiers::find_ambiguous(db).map_err(|trouble| trouble.at(draft))?;
            mark(db, handover, copied_at).map_err(at)?;
            let commit_id = db.query_row("SELECT commit_id FROM meta", [], |row| row.get(0)).map_err(at)?;
            db.execute_batch("COMMIT").map_err(at)?;
            commit_id
        };
        self.db.take().map_or(Ok(()), Connection::close).map_err(|(_, e)| at(e))?;
        files.sync(draft).map_err(|e| StoreError::file(draft, "sync", &e))?;
        prove(installation, draft, &mut |_, _| {})?;
        let failed = |path: &Path, e: &io::Error| StoreError::file(path, "write", e);
        if let Some(id) = handover {
            // The copy takes over once, here, with everything that was issued.
            let accept = installation.accept();
            replace(files, &accept, bound(id, &commit_id).as_bytes()).map_err(|e| failed(&accept, &e))?;
        }
        let path = installation.database();
        files.rename(draft, &path).map_err(|e| failed(&path, &e))?;
        files.sync_directory(&installation.dir).map_err(|e| failed(&path, &e))?;
        remove_if_there(files, &installation.copying())
    }
}

/// Marks the file as a copy, so that its first start takes it over.
fn mark(db: &Connection, handover: Option<&str>, copied_at: Time) -> rusqlite::Result<()> {
    db.execute("UPDATE meta SET handover = ?1, copied_at = ?2", params![handover, stamp(copied_at)])?;
    batch::number(db).map(drop)
}
