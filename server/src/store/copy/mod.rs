//! Copies a whole store to another one: between the engines, or as a backup that every engine can read.
//!
//! The rows are copied as they are, what is sealed stays sealed, and the master key is the same file on both sides. The source is handed
//! over first, and read in one snapshot; the target refuses to be opened until both sides were compared.

mod audit;
mod digest;
mod side;
mod table;

use std::fmt;

use gatepass_core::base::time::Time;

use super::audit_chain::Chain;
use super::backend::{OnProgress, Phase};
use super::error::StoreError;
use super::postgres::{PostgresSource, PostgresTarget};
use super::rows::{Columns, MalformedRow, NO_META};
use super::sqlite::{Installation, SqliteSource, SqliteTarget, find_key};
use crate::clock::wall;
use crate::secrets::master_key::{MasterKey, hex};
use crate::secrets::random::random;
use audit::Chains;
use digest::RowDigest;

pub(super) use side::{
    AuditRows, EachPage, KeptChain, Order, PAGE, Page, Rows, Source, TakeOver, Target, audit_columns,
    copied_values,
};
pub(super) use table::CopiedTable;

/// The name of the audit rows' table.
const AUDIT: &str = "audit";

/// The result of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The source, as people are told it.
    pub from: String,
    /// The target.
    pub to: String,
    /// The id under which the source was handed over; none for a backup.
    pub handover: Option<String>,
    /// The tables and their rows.
    pub tables: Vec<(&'static str, u64)>,
}

/// The reason why there is no copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyError {
    /// The reason.
    pub error: StoreError,
    /// The source, if it was handed over before that.
    pub handed_over: Option<String>,
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.handed_over {
            None => self.error.fmt(f),
            Some(source) => write!(
                f,
                "{}. {source} is handed over already and answers no more: run the same command again, or undo that by `gatepass handover cancel --of WHERE`",
                self.error
            ),
        }
    }
}

impl std::error::Error for CopyError {}

fn source(installation: &Installation, keep_serving: bool) -> Result<Box<dyn Source>, StoreError> {
    Ok(match &installation.server {
        None => Box::new(SqliteSource::open(installation, keep_serving)?),
        Some(server) => Box::new(PostgresSource::open(server, installation)?),
    })
}

fn target(installation: &Installation) -> Result<Box<dyn Target>, StoreError> {
    Ok(match &installation.server {
        None => Box::new(SqliteTarget::at(installation)?),
        Some(server) => Box::new(PostgresTarget::at(server, installation)?),
    })
}

/// Copies the store of `from` to that of `to`, which is empty. The source is handed over, and answers no more, unless it is to `keep_serving`: then
/// the copy is a backup, and everything issued before is refused when it is opened.
///
/// # Errors
/// [`CopyError`] tells whether the source was handed over. The target refuses to be opened, or is empty.
pub fn copy(
    from: &Installation,
    to: &Installation,
    keep_serving: bool,
    progress: &mut OnProgress<'_>,
) -> Result<Copied, CopyError> {
    let early = |error| CopyError { error, handed_over: None };
    let mut source = source(from, keep_serving).map_err(early)?;
    let mut target = target(to).map_err(early)?;
    let mut is_handed_over = false;
    let mut run = Run { source: &mut *source, target: &mut *target, to, progress };
    let copied = run.copy(keep_serving, &mut is_handed_over);
    copied.map_err(|error| CopyError { error, handed_over: is_handed_over.then(|| source.place()) })
}

/// The values in the row of the whole store that a copy needs.
struct Whole {
    clock_mark: Time,
    audit_key: Vec<u8>,
    master_check: Vec<u8>,
}

impl Whole {
    fn read(source: &mut dyn Source) -> Result<Self, StoreError> {
        let mut found = None;
        source.rows(CopiedTable::Meta, Order::Key, &mut |page| {
            found = page.into_iter().next();
            Ok(())
        })?;
        let place = source.place();
        let malformed =
            |MalformedRow { table, column }| StoreError::Row { path: place.clone().into(), table, column };
        let row = found.ok_or_else(|| malformed(NO_META))?;
        let mut c = Columns::of(&row, "meta");
        c.skip(2);
        let clock_mark = c.time("clock_mark").map_err(malformed)?;
        c.skip(4);
        let audit_key = c.blob("audit_key").map_err(malformed)?.into_owned();
        c.skip(1);
        let master_check = c.blob("master_check").map_err(malformed)?.into_owned();
        Ok(Self { clock_mark, audit_key, master_check })
    }
}

/// A copy under way.
struct Run<'r, 'p> {
    source: &'r mut dyn Source,
    target: &'r mut dyn Target,
    to: &'r Installation,
    progress: &'r mut OnProgress<'p>,
}

impl Run<'_, '_> {
    fn copy(&mut self, keep_serving: bool, is_handed_over: &mut bool) -> Result<Copied, StoreError> {
        let unfinished = self.target.unfinished()?;
        let whole = Whole::read(self.source)?;
        self.key(&whole)?;
        let id = match self.source.handover()? {
            Some(id) if !keep_serving && unfinished.as_ref() != Some(&id) => {
                return Err(StoreError::HandedOver(id));
            }
            Some(id) if !keep_serving => id,
            Some(_) | None => hex(&*random::<16>()?).to_string(),
        };
        let made_at = wall();
        self.target.begin(&id)?;
        if !keep_serving {
            *is_handed_over = true;
            self.source.hand_over(&id)?;
        }
        self.source.begin()?;
        // As of the snapshot.
        let whole = Whole::read(self.source)?;
        let chain = self.chain(&whole)?;
        let tables = self.rows(&chain, whole.clock_mark.max(made_at))?;
        self.target.finish(if keep_serving { TakeOver::Backup(made_at) } else { TakeOver::Handover(&id) })?;
        Ok(Copied {
            from: self.source.place(),
            to: self.target.place(),
            handover: (!keep_serving).then_some(id),
            tables,
        })
    }

    /// Returns the master key of the target, which has to be that of the source.
    fn key(&self, whole: &Whole) -> Result<MasterKey, StoreError> {
        find_key(self.to, &whole.master_check, None).map_err(|error| {
            let is_another = matches!(
                error,
                StoreError::MasterKeyMissing { .. }
                    | StoreError::MasterKeyNotCopied { .. }
                    | StoreError::MasterKeyWrong { .. }
                    | StoreError::MasterKeyOld { .. }
            );
            let (key, from) = (self.to.master_key(), self.source.master_key());
            if is_another { StoreError::KeyNotCopied { key, from } } else { error }
        })
    }

    fn chain(&self, whole: &Whole) -> Result<Chain, StoreError> {
        let key = self.key(whole)?.open("audit", &whole.audit_key).ok_or_else(|| StoreError::Unsealable {
            path: self.source.place().into(),
            purpose: "audit".into(),
        })?;
        Ok(Chain::new(&key).operated_by(self.to.operator.clone()))
    }

    /// Copies and compares all rows. Returns the number of each table's.
    fn rows(&mut self, chain: &Chain, at: Time) -> Result<Vec<(&'static str, u64)>, StoreError> {
        let Self { source, target, progress, .. } = self;
        let mut all = source.count(AUDIT)?;
        for table in CopiedTable::ALL {
            all = all.saturating_add(source.count(table.name())?);
        }
        let chains = Chains::of(*source, chain)?;
        let mut done = 0u64;
        let mut count = |rows: u64| {
            done = done.saturating_add(rows);
            progress(Phase::Copying, (done, all));
        };
        for table in CopiedTable::ALL {
            source.rows(*table, Order::Age, &mut |page| {
                count(u64::try_from(page.len()).unwrap_or(u64::MAX));
                target.insert(*table, page)
            })?;
        }
        let generations = source.generations()?;
        target.insert_generations(generations)?;
        let head = chains.copy(*source, *target, chain, &mut count)?;
        let mut compared = 0u64;
        let mut count = |rows: u64| {
            compared = compared.saturating_add(rows);
            progress(Phase::Checking, (compared, all.saturating_mul(2)));
        };
        let mut tables = Vec::new();
        let mut same = |name, [found, copied]: [(u64, [u8; 32]); 2]| {
            tables.push((name, found.0));
            if found == copied { Ok(()) } else { Err(StoreError::CopyDiffers { table: name }) }
        };
        for table in CopiedTable::ALL {
            let mut digest = RowDigest::default();
            let mut other = RowDigest::default();
            source.rows(*table, Order::Key, &mut |page| absorb(&mut digest, &page, &mut count))?;
            target.rows(*table, Order::Key, &mut |page| absorb(&mut other, &page, &mut count))?;
            same(table.name(), [digest.finish(), other.finish()])?;
        }
        same(AUDIT, chains.digests(*source, *target, &mut count)?)?;
        chains.end(*target, chain, head, at)?;
        Ok(tables)
    }
}

fn absorb(digest: &mut RowDigest, page: &Page, count: &mut audit::Count<'_>) -> Result<(), StoreError> {
    page.iter().for_each(|row| digest.absorb(row));
    count(u64::try_from(page.len()).unwrap_or(u64::MAX));
    Ok(())
}
