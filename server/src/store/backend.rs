//! The contract between the server and the engine that keeps its records: [`Backend`].
//!
//! The core reads and commits through two verbs. A server needs more: reads and commits that do not hold a worker, the private
//! keys, pages of lists, the audit chain, the clock's mark, and upkeep. Commands and the runtime hold an `Arc<dyn Backend>`; they
//! name an engine only where they open one, and where they work on its files.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gatepass_core::base::time::Time;
use gatepass_core::records::client::Client;
use gatepass_core::records::id::ClientId;
use gatepass_core::records::identifier::NumberingPlan;
use gatepass_core::records::signing_key::StoredKey;
use gatepass_core::records::ticket::Ticket;
use gatepass_core::records::user::User;
use gatepass_core::store::Store;
use gatepass_core::store::archive_request::ArchiveRequest;
use gatepass_core::store::audit::Event;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::page::{MAX_PAGE, Page, PageQuery};
use gatepass_core::store::query::{Found, Query, Records};

use super::audit_chain::{AuditRow, AuditVerdict};
use super::audit_filter::{AuditFilter, AuditOrder, AuditPage, AuditSpan};
use super::error::StoreError;
use super::measures::StoreMeasures;
use super::notice::Notice;
use super::sqlite::Rotated;
use crate::clock::ServerClock;

/// A call with the result of a read or a commit. It may run on a thread of the engine, and must return soon.
pub type Then<T> = Box<dyn FnOnce(T) + Send>;

/// Takes the running phase, and how much of how much is done.
pub type OnProgress<'a> = dyn FnMut(Phase, (u64, u64)) + 'a;

/// The time for which an expired row is kept, in seconds. A swept ticket is answered as unknown, which is the same on the wire
/// as spent or expired; until then the audit log can name the reason.
pub const KEEP_EXPIRED: u64 = 3600;

/// The longest time of one transaction of upkeep. Sign-ins wait for it.
pub const STEP: Duration = Duration::from_millis(5);

/// An engine that keeps the records of an installation: the core's [`Store`], and everything a server needs beside it. Every
/// method may be called from any thread.
///
/// A new engine implements the five traits below, each about one subject.
pub trait Backend: Requests + SigningKeys + AuditTrail + ClockStore + Upkeep {}

impl<B: Requests + SigningKeys + AuditTrail + ClockStore + Upkeep> Backend for B {}

/// Reads and commits of requests, which do not hold a worker. The promises of [`Store`] hold: one snapshot for each read, and
/// commits that are durable and all or none.
pub trait Requests: Store + fmt::Debug + Send + Sync {
    /// Returns true if a read waits for this machine only. Then the caller reads with [`Store::read`] and
    /// [`Requests::read_all`] on its own thread; otherwise it calls [`Requests::read_then`] and frees its thread.
    fn reads_inline(&self) -> bool {
        true
    }

    /// Answers `query` as [`Store::read`] does, without waiting for the answer.
    fn read_then(&self, query: Query, then: Then<Found>) {
        then(self.read(&query));
    }

    /// Answers `query` as [`Store::read`] does, and returns the reason of a failure. A store that was opened for reading answers also
    /// if its state was handed over.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be answered.
    fn find(&self, query: &Query) -> Result<Found, StoreError>;

    /// Returns the numbering plan that canonical identifiers are made with.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    fn numbering_plan(&self) -> Result<Option<NumberingPlan>, StoreError>;

    /// Answers several queries from one snapshot, whose cost they share. Returns the answers in the order of the queries.
    ///
    /// # Errors
    /// [`StoreError`] if one of them cannot be answered.
    fn read_all(&self, queries: &[&Query]) -> Result<Vec<Found>, StoreError>;

    /// Answers several queries as [`Requests::read_all`] does, without waiting for the answer.
    fn read_all_then(&self, queries: Vec<Query>, then: Then<Result<Vec<Found>, StoreError>>) {
        then(self.read_all(&queries.iter().collect::<Vec<_>>()));
    }

    /// Commits `changes` as [`Store::commit`] does, without waiting for the outcome.
    fn commit_then(&self, changes: &Arc<[Change]>, then: Then<Outcome>);
}

/// The keys that sign tokens. An engine seals their private parts with the master key.
pub trait SigningKeys {
    /// Returns every signing key, with its private part.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read, or one was altered.
    fn keys(&self) -> Result<StoredKeys, StoreError>;

    /// Replaces the master key, and seals everything again. The new one goes to `to`, or else to the old one's place, where the old one is
    /// kept beside it.
    ///
    /// # Errors
    /// [`StoreError`] if the new key cannot be written, or something does not open with the old one. The old key holds on, except after
    /// [`StoreError::Unknown`]: then both are kept, and the next start finds out which of them holds.
    fn rotate_master_key(&self, to: Option<&Path>) -> Result<Rotated, StoreError>;
}

/// The audit rows and their chain.
pub trait AuditTrail {
    /// Returns the numbers of the rows that may be asked for; none if there is none.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    fn audit_span(&self, filter: &AuditFilter) -> Result<Option<AuditSpan>, StoreError>;

    /// Returns the number of the last row, and its link in hexadecimal digits.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    fn audit_head(&self) -> Result<(u64, String), StoreError>;

    /// Returns the next rows of `span` that are asked for, and what is left of it. A page looks at a bounded number of rows, and
    /// has a snapshot of its own.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    fn audit_page(
        &self,
        filter: &AuditFilter,
        span: &AuditSpan,
        order: AuditOrder,
    ) -> Result<AuditPage, StoreError>;

    /// Verifies the audit chain, from the first row that is kept to the last.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read. A broken chain is an answer, not an error.
    fn verify_audit(&self) -> Result<AuditVerdict, StoreError>;

    /// Writes the audit rows of `request` to the new file `to`, or without it to one in the directory of archives, reads the file
    /// back, and records that they are archived.
    ///
    /// # Errors
    /// [`StoreError`] if there is nothing to archive, the file is there already or cannot be written, the chain is broken, or a
    /// condition does not hold. No file is left then, except after [`StoreError::Unknown`].
    fn archive_audit(
        &self,
        to: Option<&Path>,
        request: &ArchiveRequest,
        progress: &mut OnProgress<'_>,
    ) -> Result<Archived, StoreError>;

    /// Verifies a file that [`AuditTrail::archive_audit`] of this installation wrote.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read, or was altered.
    fn read_archive(&self, path: &Path) -> Result<Archived, StoreError>;

    /// Deletes the oldest archived audit rows that are from before `before`, as many as one short transaction takes. The last step
    /// of a run, which has deleted `sofar` rows, writes an audit row of `now`.
    ///
    /// # Errors
    /// [`StoreError`] if the start of the chain was altered, or it cannot be written.
    fn cut_audit(&self, before: Time, sofar: u64, now: Time) -> Result<AuditCut, StoreError>;
}

/// The clock's high-water mark.
pub trait ClockStore {
    /// Returns the clock's mark: the epoch if there is none yet.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    fn clock_state(&self) -> Result<ClockMark, StoreError>;

    /// Raises the mark to `state.mark` and the last jump to `state.jumped_at`, each if it is lower, and stores since
    /// when a jump is in use, unless the mark was set since `state` was read. Returns the stored mark.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    fn raise_clock_mark(&self, state: ClockMark) -> Result<ClockMark, StoreError>;

    /// Sets the mark, forwards or back, for an administrator. Raises the generation of the keys, so that every running
    /// server takes the mark over with the next request.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    fn set_clock_mark(&self, mark: Time, event: Option<Event>) -> Result<(), StoreError>;

    /// Returns the wall clock of the database server, as it was last read with the mark. None if there is no server: then the wall clock
    /// is this machine's.
    fn server_clock(&self) -> Option<ServerClock> {
        None
    }

    /// Removes the record of a jump, once what was issued during it was checked. Returns the stored mark.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    fn forget_clock_ahead(&self) -> Result<ClockMark, StoreError>;
}

/// The work beside the requests, and the life of the store.
pub trait Upkeep {
    /// Returns the name of the engine: `sqlite`, `postgresql`.
    fn engine(&self) -> &'static str;

    /// Returns where the records are: a file, or an address without a password.
    fn place(&self) -> String;

    /// Returns true if one of the newest rows is dated ahead of `now`. The cost does not depend on the number of rows.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    fn newest_are_dated_ahead(&self, now: Time) -> Result<bool, StoreError>;

    /// Ends sessions, tickets and challenges dated more than a minute after `now`: in small transactions, so that other
    /// writes get their turn.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read or written. What was ended before stays ended; the rest can be tried again.
    fn end_dated_ahead(&self, now: Time) -> Result<EndedAhead, StoreError>;

    /// Deletes at most `batch` tickets, as many sessions, challenges, revoked tokens and used assertions that expired
    /// [`KEEP_EXPIRED`] before `now`, and as many of a deleted user's; of their refresh tokens, as many as fit about [`STEP`]. A spent
    /// ticket that could still pass for a live one by its time is never deleted.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    fn sweep(&self, now: Time, batch: usize) -> Result<Swept, StoreError>;

    /// Returns the notices about how the store was opened.
    fn notices(&self) -> &[Notice] {
        &[]
    }

    /// Returns true if the witness of the newest state can be read and written, as far as is known.
    fn witness_works(&self) -> bool {
        true
    }

    /// Returns true if the disk was full and there is no room yet: only changes that end, disable, revoke or count something are
    /// written.
    fn is_disk_full(&self) -> bool {
        false
    }

    /// Reserves room on the disk again, if it had to be given up. With it, everything is written again.
    fn make_reserve(&self) {}

    /// Returns the size of the log that has not been copied to its place yet, in bytes.
    fn log_bytes(&self) -> u64 {
        0
    }

    /// Returns the size of the database without its log, in bytes.
    fn database_bytes(&self) -> u64 {
        0
    }

    /// Returns the time of the last backup that was made here; none if there was none, or its record was lost.
    fn last_backup(&self) -> Option<Time> {
        None
    }

    /// Counts at most `most` rows of `table`, those after `after` in the order of an index. None if the engine cannot.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    fn count_rows(
        &self,
        _table: CountedTable,
        _after: Option<RowCursor>,
        _most: u32,
    ) -> Result<Option<CountedRows>, StoreError> {
        Ok(None)
    }

    /// Returns the measures of the store; none if it has none.
    fn measures(&self) -> Option<&StoreMeasures> {
        None
    }

    /// Writes the waiting jobs, and closes the store for every holder.
    ///
    /// # Errors
    /// [`StoreError`] if something is not as it should be. Nothing is lost by that.
    fn close(&self) -> Result<(), StoreError>;
}

/// Whole lists, read page by page. Nothing is being read while a callback runs.
pub trait BackendExt: Backend {
    /// Calls `each` with every audit row that is asked for, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read, or `each` fails.
    fn audit<E: From<StoreError>>(
        &self,
        filter: &AuditFilter,
        mut each: impl FnMut(AuditRow) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = self.audit_span(filter)?;
        while let Some(span) = rest {
            let page = self.audit_page(filter, &span, AuditOrder::OldestFirst)?;
            page.rows.into_iter().try_for_each(&mut each)?;
            rest = page.rest;
        }
        Ok(())
    }

    /// Returns the latest audit rows that are asked for, at most `limit`, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    fn latest_audit(&self, filter: &AuditFilter, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        let (mut found, mut rest) = (Vec::new(), self.audit_span(filter)?);
        while let Some(span) = rest.take().filter(|_| found.len() < limit) {
            let page = self.audit_page(filter, &span, AuditOrder::NewestFirst)?;
            found.extend(page.rows);
            rest = page.rest;
        }
        found.truncate(limit);
        found.reverse();
        Ok(found)
    }

    /// Returns a client.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    fn client(&self, id: &ClientId) -> Result<Option<Client>, StoreError> {
        let Records::Client(found) = self.find(&Query::Client(id.clone()))?.records else { return Ok(None) };
        Ok(found)
    }

    /// Returns every user, oldest first, as far as there is memory for them.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    fn users(&self) -> Result<Vec<User>, StoreError> {
        every_page(|query| {
            let Records::UserPage(page) = self.find(&Query::UserPage(query))?.records else {
                return Ok(Page::default());
            };
            Ok(page)
        })
    }

    /// Returns every client, oldest first, as far as there is memory for them.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    fn clients(&self) -> Result<Vec<Client>, StoreError> {
        every_page(|query| {
            let Records::ClientPage(page) = self.find(&Query::ClientPage(query))?.records else {
                return Ok(Page::default());
            };
            Ok(page)
        })
    }

    /// Returns every ticket, newest first, as far as there is memory for them.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    fn tickets(&self) -> Result<Vec<Ticket>, StoreError> {
        every_page(|query| {
            let Records::TicketPage(page) = self.find(&Query::TicketPage(query))?.records else {
                return Ok(Page::default());
            };
            Ok(page)
        })
    }
}

impl<B: Backend + ?Sized> BackendExt for B {}

fn every_page<T>(read: impl Fn(PageQuery) -> Result<Page<T>, StoreError>) -> Result<Vec<T>, StoreError> {
    let (mut all, mut query) = (Vec::new(), PageQuery::first());
    loop {
        let page = read(query)?;
        all.extend(page.items);
        match page.next {
            None => return Ok(all),
            after => query = PageQuery::new(after, MAX_PAGE),
        }
    }
}

/// A file of archived audit rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archived {
    /// The file.
    pub path: PathBuf,
    /// The first row.
    pub first: u64,
    /// The last row.
    pub last: u64,
    /// The number of rows. Where the engine has several chains, a row between the first and the last may be missing.
    pub rows: u64,
    /// The last row's link, in hexadecimal digits; of several chains, one over the last links of all.
    pub head: String,
    /// The file's size in bytes.
    pub bytes: u64,
    /// The file's SHA-256, in hexadecimal digits.
    pub sha256: String,
}

impl Archived {
    /// Returns the number of rows.
    pub const fn rows(&self) -> u64 {
        self.rows
    }
}

/// The purpose for which a store is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A server: brings the store up to date, and makes a new state generation.
    Serve,
    /// A command that changes something.
    Write,
    /// Like [`Access::Write`], also if the state was handed over.
    WriteHandedOver,
    /// A command that leaves everything as it is.
    Read,
}

/// The cases in which an installation is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Create {
    /// Never.
    No,
    /// In an empty directory.
    InEmpty,
    /// Also beside a master key.
    BesideKey,
}

/// Every key, and their generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKeys {
    /// Raised by every change to the keys.
    pub generation: u64,
    /// The keys, oldest first.
    pub keys: Vec<StoredKey>,
}

/// The running phase, for a progress bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Something is copied.
    Copying,
    /// The copy is read back, or what is to be imported is compared.
    Checking,
    /// Users are imported.
    Importing,
}

/// A table whose rows are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountedTable {
    /// Users.
    Users,
    /// Clients.
    Clients,
    /// Tickets, spent and expired ones too, until they are swept.
    Tickets,
    /// Sessions, ended ones too, until they are swept.
    Sessions,
}

impl CountedTable {
    /// Every one of them.
    pub const ALL: [Self; 4] = [Self::Users, Self::Clients, Self::Tickets, Self::Sessions];

    /// Returns its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Clients => "clients",
            Self::Tickets => "tickets",
            Self::Sessions => "sessions",
        }
    }
}

/// The last row that was counted, as the engine finds it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowCursor(pub(crate) i64, pub(crate) i64);

/// The result of one step of [`Upkeep::count_rows`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountedRows {
    /// The number of rows.
    pub rows: u32,
    /// The last one, if there may be more.
    pub rest: Option<RowCursor>,
}

/// The result of one step of [`AuditTrail::cut_audit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct AuditCut {
    /// The number of deleted rows.
    pub rows: u64,
    /// True if more rows may be deleted.
    pub more: bool,
}

/// The clock's mark, as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockMark {
    /// The latest time that was trusted.
    pub mark: Time,
    /// The number of times that it was set. A process that knows a smaller number starts again from the mark.
    pub resets: u64,
    /// The time, by own time, when a jump ended or the mark was set.
    pub jumped_at: Option<Time>,
    /// The time, by own time, since when a jump has been in use that the mark does not follow. It stays until what was
    /// issued meanwhile was checked for dates ahead.
    pub ahead_since: Option<Time>,
}

/// The numbers of records that were ended because they were dated ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct EndedAhead {
    /// Sessions.
    pub sessions: u64,
    /// Unused tickets.
    pub tickets: u64,
    /// Open challenges.
    pub challenges: u64,
}

impl EndedAhead {
    /// Returns the sum with `other`.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            sessions: self.sessions + other.sessions,
            tickets: self.tickets + other.tickets,
            challenges: self.challenges + other.challenges,
        }
    }
}

/// The result of one step of [`Upkeep::sweep`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Swept {
    /// Deleted tickets, in whatever state.
    pub tickets: usize,
    /// Deleted sessions, whose refresh tokens were gone.
    pub sessions: usize,
    /// Deleted challenges, answered or not.
    pub challenges: usize,
    /// Forgotten access tokens that had been revoked.
    pub revoked: usize,
    /// Used assertions of clients.
    pub assertions: usize,
    /// True if there is more to delete.
    pub more: bool,
    /// The time it took, apart from the wait for its turn and for the disk.
    pub took: Duration,
    /// Deleted refresh tokens of sessions that expired.
    pub refresh_tokens: usize,
}
