//! Opening an installation: what must be there is there, the log belongs to its file, the schema and the master key are the
//! right ones, and the files are the newest that were served.
//!
//! All of it happens while the directory is locked, so that no two processes decide at once.

use std::io;
use std::time::Duration;

use gatepass_core::audit::{Event, Kind};
use gatepass_core::time::Time;
use rusqlite::Connection;

use super::audit::{Chain, Tail};
use super::connect::{Connector, Role};
use super::error::{Fault, StoreError, Trouble};
use super::files::{directory_of, with_suffix};
use super::generation::{self, Generation, Standing};
use super::installation::{Contents, Installation, Presence};
use super::lineage::{self, Fit};
use super::read::first;
use super::rows::{self, Columns};
use super::schema::{self, Version};
use super::state::{self, MasterKeys};
use super::witness::Witness;
use super::{StoreOptions, backup, batch, rotate};
use crate::clock::wall;
use crate::master_key::MasterKey;

/// How long a start waits for another one.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a store is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A server: brings the file up to date, and makes a new state generation.
    Serve,
    /// A command that changes something.
    Write,
    /// As [`Access::Write`], also where the state was handed over.
    WriteHandedOver,
    /// A command that leaves every file as it is.
    Read,
}

/// What a person must be told of a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The files are older than those that were served last; everything issued before is refused from now on.
    StateSuperseded {
        /// When the newest generation of these files was made; none in files of an earlier schema.
        since: Option<Time>,
    },
    /// A copy was put in place; everything issued before is refused from now on.
    StateRestored {
        /// When the copy was made.
        since: Time,
    },
    /// The state of another box was taken over, with everything issued there.
    HandoverTaken(String),
    /// The witness could not be asked; a running server has.
    WitnessNotAsked(StoreError),
}

impl std::fmt::Display for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let since = match self {
            Self::StateSuperseded { since } => {
                f.write_str("the files in the data directory are older than those that were served last")?;
                since.map_or_else(|| "an earlier version".to_owned(), Time::rfc3339)
            }
            Self::StateRestored { since } => {
                f.write_str("a backup was restored")?;
                since.rfc3339()
            }
            Self::HandoverTaken(id) => {
                return write!(f, "the installation was taken over (handover {id}); everything issued stays good");
            }
            Self::WitnessNotAsked(error) => return error.fmt(f),
        };
        write!(
            f,
            ": they are of {since}. Every ticket, session and service's token issued before is refused from now on. What \
             administrators changed since then is lost: look through users, clients and keys"
        )
    }
}

/// An installation that was opened.
pub(super) struct Opened {
    pub(super) connector: Connector,
    /// Holds the files open, so that SQLite never removes the log under another connection.
    pub(super) anchor: Connection,
    pub(super) chain: Chain,
    pub(super) keys: MasterKeys,
    pub(super) presence: Option<Presence>,
    pub(super) notices: Vec<Notice>,
}

/// Opens an installation.
pub(super) fn open(
    installation: &Installation,
    access: Access,
    options: &StoreOptions,
) -> Result<Opened, StoreError> {
    let files = &*installation.files;
    match std::fs::metadata(&installation.dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(StoreError::Nothing(installation.dir.clone())),
        Err(e) => return Err(StoreError::file(&installation.dir, "read the data directory", &e)),
        Ok(about) if !about.is_dir() => return Err(StoreError::NotADirectory(installation.dir.clone())),
        Ok(_) => {}
    }
    let _locked = installation.lock_directory(PATIENCE)?;
    let contents = installation.contents()?;
    require_database(installation, &contents)?;
    let mut presence = installation.enter(access != Access::Read)?;
    let alone = presence.as_mut().is_none_or(Presence::try_alone);
    let connector = Connector::new(installation.database(), &installation.files, options);
    let fit = if alone && contents.has_log() { fit(installation)? } else { Fit::Fits };
    if fit == Fit::Unreadable {
        require_whole(&connector)?;
    }
    match version(&connector)? {
        Version::Schema(found) if access == Access::Serve && found < schema::known() => {
            if !alone {
                return Err(StoreError::InUse(connector.path.clone()));
            }
            migrate(installation, &connector, found)?;
        }
        version => version.check(&connector.path)?,
    }
    let role = if access == Access::Read { Role::Reader } else { Role::Writer };
    let anchor = connector.connect(role)?;
    if access != Access::Read {
        connector.use_wal(&anchor)?;
    }
    let mut keys = MasterKeys::find(installation, &anchor)?;
    if access != Access::Read && rotate::finish(installation, &keys.current())? {
        keys = MasterKeys::find(installation, &anchor)?;
    }
    let master = keys.current();
    let chain = schema::chain(&anchor, &connector.path, &master)?;
    if fit == Fit::Unreadable {
        let verdict = chain.verify(&anchor).map_err(|trouble| trouble.at(&connector.path))?;
        if let Some(broken) = verdict.broken {
            let problem = format!("audit chain: {broken}");
            return Err(StoreError::NotWhole { path: connector.path, problem });
        }
    }
    connector.remember(role)?;
    let mut notices = Vec::new();
    if access != Access::Read {
        let start = Start { installation, db: &anchor, chain: &chain, master: &master, access, alone };
        start.settle(contents.starting, &mut notices)?;
        if contents.starting {
            let marker = installation.starting();
            let failed = |e: &io::Error| StoreError::file(&marker, "remove", e);
            files.remove(&marker).map_err(|e| failed(&e))?;
            files.sync_directory(&installation.dir).map_err(|e| failed(&e))?;
        }
    }
    if let Some(presence) = &mut presence {
        presence.share();
    }
    Ok(Opened { connector, anchor, chain, keys, presence, notices })
}

/// Checks that there is a database with something in it, before anything is touched.
fn require_database(installation: &Installation, contents: &Contents) -> Result<(), StoreError> {
    if contents.database.is_some_and(|size| size > 0) {
        return Ok(());
    }
    let beside = if contents.has_log() {
        installation.log()
    } else if contents.master_key && !contents.starting {
        installation.master_key()
    } else if contents.witness {
        installation.witness()
    } else if contents.database.is_some() {
        installation.database()
    } else {
        return Err(StoreError::Nothing(installation.dir.clone()));
    };
    Err(StoreError::DatabaseMissing { database: installation.database(), beside })
}

/// Compares file and log; an error where they do not belong together.
pub(super) fn fit(installation: &Installation) -> Result<Fit, StoreError> {
    let (database, log) = (installation.database(), installation.log());
    let failed = |path: &std::path::Path, e: &io::Error| StoreError::file(path, "read", e);
    let file = installation.files.open(&database).map_err(|e| failed(&database, &e))?;
    let wal = installation.files.open(&log).map_err(|e| failed(&log, &e))?;
    match lineage::compare(&*file, &*wal).map_err(|e| failed(&log, &e))? {
        Fit::Foreign => Err(StoreError::LogForeign { log, database }),
        fit => Ok(fit),
    }
}

/// Checks that file and log together are whole, without copying the one into the other.
fn require_whole(connector: &Connector) -> Result<(), StoreError> {
    let db = connector.connect(Role::Reader)?;
    let problem = db
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0))
        .map_err(|e| Trouble::Sql(e).at(&connector.path))?;
    if problem == "ok" {
        return Ok(());
    }
    Err(StoreError::NotWhole { path: connector.path.clone(), problem })
}

fn version(connector: &Connector) -> Result<Version, StoreError> {
    let db = connector.connect(Role::Reader)?;
    schema::version(&db).map_err(|e| Trouble::Sql(e).at(&connector.path))
}

/// Brings a file of schema `found` up to date, after a copy of it was made.
fn migrate(installation: &Installation, connector: &Connector, found: i64) -> Result<(), StoreError> {
    let path = &connector.path;
    let at = |e: rusqlite::Error| match Fault::of(&e) {
        Fault::Locked => StoreError::InUse(path.clone()),
        _ => Trouble::Sql(e).at(path),
    };
    let mut db = connector.connect(Role::Alone)?;
    let check: Vec<u8> = db.query_row("SELECT master_check FROM meta", [], |row| row.get(0)).map_err(at)?;
    state::find_key(installation, &check, None)?;
    let files = &*installation.files;
    let copy = free_name(installation, &format!(".schema-{found}"))?;
    tracing::info!(from = found, to = schema::known(), copy = %copy.display(), "bringing the database up to date");
    let draft = with_suffix(path, ".copy");
    let copied = backup::copy_pages(&db, &draft, files, &mut |_, _| ())?;
    copied.close().map_err(|(_, e)| at(e))?;
    files.sync(&draft).map_err(|e| StoreError::file(&draft, "sync", &e))?;
    let failed = |e: &io::Error| StoreError::file(&copy, "write", e);
    files.rename(&draft, &copy).map_err(|e| failed(&e))?;
    files.sync_directory(directory_of(&copy)).map_err(|e| failed(&e))?;
    let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(at)?;
    schema::bring_up_to_date(&tx, found).map_err(at)?;
    batch::number(&tx).map_err(at)?;
    tx.commit().map_err(at)
}

/// Returns a name beside the database that is not taken.
pub(super) fn free_name(installation: &Installation, suffix: &str) -> Result<std::path::PathBuf, StoreError> {
    let base = with_suffix(&installation.database(), suffix);
    let names = std::iter::once(base.clone()).chain((2..).map(|n| with_suffix(&base, &format!("-{n}"))));
    for name in names {
        match installation.files.about(&name) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(name),
            Err(e) => return Err(StoreError::file(&name, "look at", &e)),
            Ok(_) => {}
        }
    }
    Err(StoreError::FileExists(base))
}

/// What a file says of where it came from.
struct Origin {
    installation: [u8; 16],
    commit_id: [u8; 16],
    handover: Option<String>,
    copied_at: Option<Time>,
}

fn origin(db: &Connection) -> Result<Origin, Trouble> {
    let read = |row: &rusqlite::Row<'_>| {
        let mut c = Columns::of(row, "meta");
        Ok(Origin {
            installation: c.bytes("installation")?,
            commit_id: c.bytes("commit_id")?,
            handover: c.maybe("handover", rows::owned)?,
            copied_at: c.maybe_time("copied_at")?,
        })
    };
    let sql = "SELECT installation, commit_id, handover, copied_at FROM meta";
    first(db, sql, [], read)?.ok_or(Trouble::Row { table: "meta", column: "only row" })
}

/// What is decided at a start: are the files the newest that were served?
struct Start<'a> {
    installation: &'a Installation,
    db: &'a Connection,
    chain: &'a Chain,
    master: &'a MasterKey,
    access: Access,
    alone: bool,
}

impl Start<'_> {
    fn settle(&self, first_start: bool, notices: &mut Vec<Notice>) -> Result<(), StoreError> {
        let at = |trouble: Trouble| trouble.at(&self.installation.database());
        let origin = origin(self.db).map_err(at)?;
        let witness = match Witness::read(&*self.installation.files, &self.installation.witness()) {
            Ok(witness) => witness,
            Err(error) if self.may_go_on_without() && origin.copied_at.is_none() => {
                notices.push(Notice::WitnessNotAsked(error));
                return self.require_held(&origin);
            }
            Err(error) => return Err(error),
        };
        if let Some(copied_at) = origin.copied_at {
            return self.take_copy(&origin, copied_at, witness, notices);
        }
        self.require_held(&origin)?;
        if witness.is_some_and(|witness| witness.installation != origin.installation) {
            return Err(StoreError::WitnessForeign(self.installation.witness()));
        }
        match generation::compare(self.db, witness.as_ref(), first_start).map_err(at)? {
            Standing::Confirmed if self.access != Access::Serve => Ok(()),
            Standing::First if generation::newest(self.db).map_err(at)?.is_none() => self.begin(&origin),
            Standing::Confirmed | Standing::First => self.go_on(&origin, witness, &[], None),
            Standing::Unconfirmed => {
                let newest = generation::newest(self.db).map_err(at)?;
                if let Some(generation) = newest {
                    match write_witness(self.installation, origin.installation, generation) {
                        Err(error) if self.may_go_on_without() => notices.push(Notice::WitnessNotAsked(error)),
                        written => written?,
                    }
                }
                if self.access == Access::Serve { self.go_on(&origin, witness, &[], None) } else { Ok(()) }
            }
            Standing::Older => {
                let since = generation::newest(self.db).map_err(at)?.map(|newest| newest.made_at);
                let told = since.map_or_else(|| "an earlier version".into(), Time::rfc3339);
                let event = Event { reason: Some(format!("files of {told}")), ..self.event(Kind::StateSuperseded)? };
                self.go_on(&origin, witness, &[RAISE_EPOCH], Some(event))?;
                notices.push(Notice::StateSuperseded { since });
                Ok(())
            }
        }
    }

    /// Whether the witness need not be asked: a command beside a server, which has asked.
    fn may_go_on_without(&self) -> bool {
        !self.alone && self.access != Access::Serve
    }

    fn require_held(&self, origin: &Origin) -> Result<(), StoreError> {
        match &origin.handover {
            Some(id) if self.access != Access::WriteHandedOver => Err(StoreError::HandedOver(id.clone())),
            _ => Ok(()),
        }
    }

    /// Takes a copy into use that `backup` made: of a handover, where this directory has accepted it and has served nothing
    /// newer; of anything else with a new epoch.
    fn take_copy(
        &self,
        origin: &Origin,
        copied_at: Time,
        witness: Option<Witness>,
        notices: &mut Vec<Notice>,
    ) -> Result<(), StoreError> {
        let files = &*self.installation.files;
        let accept = self.installation.accept();
        let at = |trouble: Trouble| trouble.at(&self.installation.database());
        let newest = generation::newest(self.db).map_err(at)?.map_or(0, |newest| newest.number);
        let newer_was_served = witness
            .filter(|witness| witness.installation == origin.installation)
            .is_some_and(|witness| witness.generation.number > newest);
        let accepted = match &origin.handover {
            Some(id) if !newer_was_served => {
                let bound = super::restore::bound(id, &origin.commit_id);
                files.read(&accept, 1024).is_ok_and(|text| **text == *bound.as_bytes()).then(|| id.clone())
            }
            _ => None,
        };
        let (kind, reason, epoch, notice) = match accepted {
            Some(id) => (
                Kind::HandoverTaken,
                format!("handover {id}"),
                KEEP_EPOCH,
                Notice::HandoverTaken(id),
            ),
            None => (
                Kind::StateRestored,
                format!("copy of {}", copied_at.rfc3339()),
                RAISE_EPOCH,
                Notice::StateRestored { since: copied_at },
            ),
        };
        let event = Event { reason: Some(reason), ..self.event(kind)? };
        let clear = "UPDATE meta SET handover = NULL, copied_at = NULL";
        self.go_on(origin, witness, &[clear, epoch], Some(event))?;
        // The id was good once. From here on the file does not name it any more.
        match files.remove(&accept) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(StoreError::file(&accept, "remove", &e)),
            Ok(()) | Err(_) => {}
        }
        notices.push(notice);
        Ok(())
    }

    fn event(&self, kind: Kind) -> Result<Event, StoreError> {
        let mark = super::mark::clock_mark_of(self.db).map_err(|trouble| trouble.at(&self.installation.database()))?;
        Ok(Event::new(kind, mark.max(wall())))
    }

    /// Makes the first generation. The witness holds it first: a store with a generation and no witness is an older one.
    fn begin(&self, origin: &Origin) -> Result<(), StoreError> {
        let first = Generation::new(generation::FIRST, wall())?;
        write_witness(self.installation, origin.installation, first)?;
        let insert = |db: &Connection, _: &Tail<'_>| generation::insert(db, &first);
        batch::directly(self.db, self.chain, self.master, batch::Held::Refuse, insert)
            .map_err(|trouble| trouble.at(&self.installation.database()))
    }

    /// Makes the next generation, together with what else is to be written; then the witness holds it.
    fn go_on(
        &self,
        origin: &Origin,
        witness: Option<Witness>,
        statements: &[&str],
        event: Option<Event>,
    ) -> Result<(), StoreError> {
        let at = |trouble: Trouble| trouble.at(&self.installation.database());
        let newest = generation::newest(self.db).map_err(at)?.map_or(0, |newest| newest.number);
        let witnessed = witness.map_or(0, |witness| witness.generation.number);
        let next = Generation::new(newest.max(witnessed).saturating_add(1), wall())?;
        batch::directly(self.db, self.chain, self.master, batch::Held::Refuse, |db: &Connection, tail: &Tail<'_>| {
            for statement in statements {
                db.execute(statement, [])?;
            }
            generation::insert(db, &next)?;
            event.iter().try_for_each(|event| tail.append(db, event))
        })
        .map_err(at)?;
        write_witness(self.installation, origin.installation, next)
    }
}

/// Every epoch differs from every other by chance, whatever copies of the file have been through.
pub(super) const RAISE_EPOCH: &str =
    "UPDATE meta SET state_epoch = state_epoch + 1 + (random() & 0xffffffff)";
const KEEP_EPOCH: &str = "UPDATE meta SET state_epoch = state_epoch";

/// Writes the witness.
pub(super) fn write_witness(
    installation: &Installation,
    id: [u8; 16],
    generation: Generation,
) -> Result<(), StoreError> {
    let path = installation.witness();
    let witness = Witness { installation: id, generation };
    witness
        .write(&*installation.files, &path)
        .map_err(|e| StoreError::WitnessNotWritten { path, cause: e.to_string() })
}

/// Makes an installation where there is none: a master key, unless it lies elsewhere, and a database without people. A key in
/// the directory is taken where `beside_key` says so.
pub(super) fn create(
    installation: &Installation,
    options: &StoreOptions,
    beside_key: bool,
) -> Result<(), StoreError> {
    let files = &*installation.files;
    let dir = &installation.dir;
    super::files::make_directory(dir).map_err(|e| match e.kind() {
        io::ErrorKind::NotADirectory => StoreError::NotADirectory(dir.clone()),
        _ => StoreError::file(dir, "create the data directory", &e),
    })?;
    let _locked = installation.lock_directory(PATIENCE)?;
    let contents = installation.contents()?;
    let mut left = contents;
    left.master_key &= !(beside_key || contents.starting);
    if contents.database.is_some_and(|size| size > 0) && contents.starting {
        // Only what follows was cut short, and opening does it.
        return Ok(());
    }
    if !left.is_empty() {
        require_database(installation, &contents)?;
        // Another process was faster.
        return Ok(());
    }
    let presence = installation.enter(true)?;
    if !presence.as_ref().is_some_and(Presence::is_alone) {
        return Err(StoreError::Busy(dir.clone()));
    }
    let failed = |path: &std::path::Path, e: &io::Error| StoreError::file(path, "create", e);
    let marker = installation.starting();
    if !contents.starting {
        files.write_new(&marker, b"").map_err(|e| failed(&marker, &e))?;
        files.give_to_owner_of(dir, &marker);
        files.sync_directory(dir).map_err(|e| failed(&marker, &e))?;
    }
    let key = installation.master_key();
    let master = match MasterKey::read(files, &key) {
        Err(StoreError::MasterKeyMissing { .. }) if installation.master_key_file.is_none() => {
            MasterKey::create(files, &key)?
        }
        read => read?,
    };
    let (path, draft) = (installation.database(), with_suffix(&installation.database(), ".new"));
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let left = with_suffix(&draft, suffix);
        match files.remove(&left) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(StoreError::file(&left, "remove", &e)),
            Ok(()) | Err(_) => {}
        }
    }
    files.write_new(&draft, b"").map_err(|e| failed(&draft, &e))?;
    files.give_to_owner_of(dir, &draft);
    let at = |trouble: Trouble| trouble.at(&draft);
    {
        let connector = Connector::new(draft.clone(), &installation.files, options);
        let mut db = connector.connect(Role::Alone)?;
        connector.use_wal(&db)?;
        let tx = db.transaction().map_err(|e| at(e.into()))?;
        schema::make(&tx, &master).map_err(at)?;
        tx.commit().map_err(|e| at(e.into()))?;
        close(db).map_err(|e| at(e.into()))?;
    }
    files.sync(&draft).map_err(|e| failed(&draft, &e))?;
    files.rename(&draft, &path).map_err(|e| failed(&path, &e))?;
    files.sync_directory(dir).map_err(|e| failed(&path, &e))
}

/// Copies the whole log into the file, and closes it.
pub(super) fn close(db: Connection) -> rusqlite::Result<()> {
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    db.close().map_err(|(_, e)| e)
}
