//! The check that a write-ahead log belongs to its file. After an unclean stop SQLite copies the log beside the file
//! into it; if one of the two was put back, the result would be a mixture of both.
//!
//! Every transaction rewrites the row of `meta`, which counts them and gives each an id and the id of its parent. So
//! the row in the file alone must be the parent of the log's first transaction, or one of the log's own: a checkpoint
//! copies pages while the log continues. Both are read from the bytes here (<https://sqlite.org/fileformat2.html>),
//! because SQLite would replay the log first.

use std::io;

use crate::secrets::files::ReadAt;

/// The page of `meta`: the first table that was created.
const META_PAGE: u32 = 2;
/// Columns of `meta`, counted from 0.
const COMMITS: usize = 9;
const COMMIT_ID: usize = 11;
const PARENT_ID: usize = 12;

const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// The transaction that wrote the row of `meta`. The ids are none before schema 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lineage {
    commits: u64,
    id: Option<[u8; 16]>,
    parent: Option<[u8; 16]>,
}

/// The relation of a log to its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// The log has nothing to replay.
    NothingToReplay,
    /// The log continues the file.
    Fits,
    /// The file's own row cannot be read, as after a power failure during a checkpoint. Only the two together show if
    /// they are whole.
    Unreadable,
    /// The log is of another file.
    Foreign,
}

/// Compares a database, without its log, and a log.
///
/// # Errors
/// If one of them cannot be read.
pub(super) fn compare(database: &dyn ReadAt, log: &dyn ReadAt) -> io::Result<Fit> {
    let Some(mut log) = Log::begin(log)? else { return Ok(Fit::NothingToReplay) };
    let Some(first) = log.next_commit()? else { return Ok(Fit::NothingToReplay) };
    let file = match file_row(database, log.page_size)? {
        FileRow::Empty if first.makes_the_file => return Ok(Fit::Fits),
        FileRow::Empty => return Ok(Fit::Foreign),
        FileRow::Unreadable => return Ok(Fit::Unreadable),
        FileRow::Row(row) => row,
    };
    let (mut next, mut is_first) = (Some(first), true);
    while let Some(commit) = next {
        // Every transaction writes the row, except the migrations of earlier versions.
        if let Some(row) = commit.row {
            if row.is_same(&file) || is_first && file.is_parent_of(&row) {
                return Ok(Fit::Fits);
            }
            is_first = false;
        }
        next = log.next_commit()?;
    }
    Ok(Fit::Foreign)
}

impl Lineage {
    fn is_parent_of(&self, child: &Self) -> bool {
        self.commits.checked_add(1) == Some(child.commits)
            && (self.id.is_none() || child.id.is_none() || child.parent == self.id)
    }

    fn is_same(&self, other: &Self) -> bool {
        (self.commits, self.id) == (other.commits, other.id)
    }

    /// Reads the only row of the page of `meta`; none if the page is something else.
    fn parse(page: &[u8]) -> Option<Self> {
        let number = |at: usize| {
            let bytes = page.get(at..at.checked_add(2)?)?;
            Some(usize::from(u16::from_be_bytes(bytes.try_into().ok()?)))
        };
        // A leaf of a table, with one cell.
        if *page.first()? != 13 || number(3)? != 1 {
            return None;
        }
        let mut cell = Bytes(page.get(number(8)?..)?);
        let length = usize::try_from(cell.varint()?).ok()?;
        cell.varint()?;
        let record = cell.0.get(..length)?;
        let mut header = Bytes(record);
        let header_length = usize::try_from(header.varint()?).ok()?;
        let mut types = Bytes(record.get(record.len() - header.0.len()..header_length)?);
        let mut values = Bytes(record.get(header_length..)?);
        let mut lineage = Self { commits: 0, id: None, parent: None };
        let mut column = 0;
        while let Some(kind) = types.varint() {
            let value = values.take(width(kind)?)?;
            match column {
                COMMITS => lineage.commits = unsigned(kind, value)?,
                COMMIT_ID => lineage.id = value.try_into().ok(),
                PARENT_ID => lineage.parent = value.try_into().ok(),
                _ => {}
            }
            column += 1;
        }
        (column > COMMITS).then_some(lineage)
    }
}

/// Returns the number of bytes of a value in a record (serial types, fileformat2 §2.1).
fn width(kind: u64) -> Option<usize> {
    match kind {
        0 | 8 | 9 => Some(0),
        1..=4 => usize::try_from(kind).ok(),
        5 => Some(6),
        6 | 7 => Some(8),
        10 | 11 => None,
        longer => usize::try_from((longer - 12) / 2).ok(),
    }
}

/// Reads a whole number that is not negative.
fn unsigned(kind: u64, value: &[u8]) -> Option<u64> {
    match kind {
        8 => return Some(0),
        9 => return Some(1),
        1..=6 if value.first()? & 0x80 == 0 => {}
        _ => return None,
    }
    Some(value.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// Reads one to nine bytes, seven bits in each but the ninth, which has eight (fileformat2 §1.6).
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for _ in 0..8 {
            let byte = *self.take(1)?.first()?;
            number = number << 7 | u64::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        Some(number << 8 | u64::from(*self.take(1)?.first()?))
    }
}

/// The row in the file without its log.
enum FileRow {
    /// It has no table yet: everything is in the log.
    Empty,
    /// The page is not whole.
    Unreadable,
    Row(Lineage),
}

fn file_row(database: &dyn ReadAt, page_size: usize) -> io::Result<FileRow> {
    let mut page = vec![0; page_size];
    let start = u64::try_from(page_size).unwrap_or(u64::MAX);
    let there = database.read_at(&mut page, start)?;
    Ok(match (there, Lineage::parse(&page)) {
        (0, _) => FileRow::Empty,
        (_, Some(row)) if there == page_size => FileRow::Row(row),
        _ => FileRow::Unreadable,
    })
}

/// One transaction of a log.
#[derive(Clone, Copy)]
struct Commit {
    row: Option<Lineage>,
    /// It has page 1 and the page of `meta`: the file was empty before it.
    makes_the_file: bool,
}

/// A log, read transaction by transaction, as far as its checksums hold (fileformat2 §4).
struct Log<'a> {
    bytes: &'a dyn ReadAt,
    page_size: usize,
    salts: [u8; 8],
    big_endian: bool,
    sums: (u32, u32),
    at: u64,
    frame: Vec<u8>,
}

impl<'a> Log<'a> {
    /// Reads the header; none if SQLite would treat the log as empty.
    fn begin(bytes: &'a dyn ReadAt) -> io::Result<Option<Self>> {
        let mut header = [0; LOG_HEADER];
        if bytes.read_at(&mut header, 0)? < LOG_HEADER {
            return Ok(None);
        }
        let word = |at: usize| word(&header, at);
        let big_endian = match word(0) {
            0x377f_0682 => false,
            0x377f_0683 => true,
            _ => return Ok(None),
        };
        let sums = checksum((0, 0), header.get(..24).unwrap_or_default(), big_endian);
        let page_size = usize::try_from(word(8)).unwrap_or(0);
        if word(4) != 3_007_000
            || sums != (word(24), word(28))
            || !page_size.is_power_of_two()
            || !(512..=65536).contains(&page_size)
        {
            return Ok(None);
        }
        let mut salts = [0; 8];
        salts.copy_from_slice(header.get(16..24).unwrap_or(&[0; 8]));
        let frame = vec![0; FRAME_HEADER + page_size];
        Ok(Some(Self { bytes, page_size, salts, big_endian, sums, at: 32, frame }))
    }

    /// Reads to the end of the next transaction; none if no whole one follows.
    fn next_commit(&mut self) -> io::Result<Option<Commit>> {
        let mut commit = Commit { row: None, makes_the_file: false };
        let (mut has_first, mut has_meta) = (false, false);
        loop {
            if self.bytes.read_at(&mut self.frame, self.at)? < self.frame.len() {
                return Ok(None);
            }
            let (header, page) = self.frame.split_at(FRAME_HEADER);
            let sums = checksum(self.sums, header.get(..8).unwrap_or_default(), self.big_endian);
            let sums = checksum(sums, page, self.big_endian);
            let number = word(header, 0);
            if header.get(8..16) != Some(&self.salts)
                || sums != (word(header, 16), word(header, 20))
                || number == 0
            {
                return Ok(None);
            }
            self.sums = sums;
            self.at += u64::try_from(self.frame.len()).unwrap_or(u64::MAX);
            has_first |= number == 1;
            if number == META_PAGE {
                has_meta = true;
                commit.row = Lineage::parse(page);
            }
            if word(header, 4) != 0 {
                commit.makes_the_file = has_first && has_meta;
                return Ok(Some(commit));
            }
        }
    }
}

/// Reads any bytes as a page, and as the two files.
pub(super) fn read_any(page: &[u8], log: &[u8]) {
    let _ = (Lineage::parse(page), compare(&page, &log), compare(&log, &page));
}

impl ReadAt for &[u8] {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let mut count = 0;
        for (to, from) in buffer.iter_mut().zip(rest.iter()) {
            *to = *from;
            count += 1;
        }
        Ok(count)
    }
}

/// Returns the four bytes from `at` on, the most significant first.
fn word(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
    word.map_or(0, u32::from_be_bytes)
}

fn checksum(sums: (u32, u32), bytes: &[u8], big_endian: bool) -> (u32, u32) {
    let word = |bytes: &[u8]| {
        let bytes = bytes.try_into().unwrap_or([0; 4]);
        if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    };
    bytes.chunks_exact(8).fold(sums, |(one, other), pair| {
        let (left, right) = pair.split_at(4);
        let one = one.wrapping_add(word(left)).wrapping_add(other);
        (one, other.wrapping_add(word(right)).wrapping_add(one))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rusqlite::Connection;
    use rusqlite::config::DbConfig;

    /// A database like ours, and copies of its two files.
    struct World {
        dir: tempfile::TempDir,
        db: Connection,
    }

    type Pair = (Vec<u8>, Vec<u8>);

    impl World {
        fn new() -> Self {
            Self::on(tempfile::tempdir().unwrap())
        }

        fn on(dir: tempfile::TempDir) -> Self {
            let db = Connection::open(dir.path().join("a.db")).unwrap();
            db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
            db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0").unwrap();
            Self { dir, db }
        }

        /// The tables, made in one transaction.
        fn founded() -> Self {
            let world = Self::new();
            world
                .db
                .execute_batch(
                    "BEGIN; CREATE TABLE meta (id INTEGER PRIMARY KEY, b, c, d, e, f, g, h, i, commits INTEGER, epoch, \
                     commit_id BLOB, parent_id BLOB, installation); CREATE TABLE other (x); \
                     INSERT INTO meta VALUES (1, 1, 0, 0, 5, randomblob(32), randomblob(32), randomblob(60), \
                     randomblob(47), 0, 0, randomblob(16), NULL, randomblob(16)); COMMIT",
                )
                .unwrap();
            world
        }

        fn commit(&self, times: usize) {
            for _ in 0..times {
                self.db
                    .execute_batch(
                        "BEGIN; INSERT INTO other VALUES (randomblob(3000)); UPDATE meta SET commits = commits + 1, \
                         parent_id = commit_id, commit_id = randomblob(16); COMMIT",
                    )
                    .unwrap();
            }
        }

        fn checkpoint(&self, mode: &str) {
            self.db.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(())).unwrap();
        }

        fn pair(&self) -> Pair {
            let read = |name: &str| std::fs::read(self.dir.path().join(name)).unwrap();
            (read("a.db"), read("a.db-wal"))
        }

        /// Another life of the same files.
        fn branch((file, log): &Pair) -> Self {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("a.db"), file).unwrap();
            std::fs::write(dir.path().join("a.db-wal"), log).unwrap();
            Self::on(dir)
        }
    }

    fn fit(file: &[u8], log: &[u8]) -> Fit {
        compare(&file, &log).unwrap()
    }

    #[test]
    fn a_log_fits_the_file_it_goes_on_from_and_no_other() {
        let world = World::founded();
        let made = world.pair();
        assert_eq!(fit(&made.0, &made.1), Fit::Fits, "everything is in the log");
        world.checkpoint("TRUNCATE");
        let base = world.pair();
        assert_eq!(fit(&base.0, &base.1), Fit::NothingToReplay);
        world.commit(3);
        let early = world.pair();
        assert_eq!(fit(&early.0, &early.1), Fit::Fits);
        // Copied, and the log begins anew with the next transaction.
        world.checkpoint("RESTART");
        world.commit(1);
        let (file, log) = world.pair();
        assert_eq!(fit(&file, &log), Fit::Fits);
        world.commit(4);
        let late = world.pair();
        assert_eq!(fit(&late.0, &late.1), Fit::Fits);
        for (name, file, log) in [
            ("a copy older than the log", &base.0, &late.1),
            ("the same, never checkpointed", &early.0, &late.1),
            ("a log older than the file", &late.0, &base.1),
        ] {
            let found = fit(file, log);
            assert!(matches!(found, Fit::Foreign | Fit::NothingToReplay), "{name}: {found:?}");
        }
        assert_eq!(fit(&early.0, &late.1), Fit::Foreign);
        // What the file was when the log began, however often it was copied into since.
        world.checkpoint("PASSIVE");
        let (copied, log) = world.pair();
        assert_eq!(fit(&copied, &log), Fit::Fits);
        assert_eq!(fit(&file, &log), Fit::Fits);
    }

    #[test]
    fn two_lives_of_one_file_differ_by_more_than_their_numbers() {
        let world = World::founded();
        world.checkpoint("TRUNCATE");
        let other = World::branch(&world.pair());
        world.commit(3);
        other.commit(3);
        other.checkpoint("PASSIVE");
        let (mine, theirs) = (world.pair(), other.pair());
        assert_eq!(fit(&theirs.0, &theirs.1), Fit::Fits);
        assert_eq!(fit(&theirs.0, &mine.1), Fit::Foreign);
        // Neighbours by number alone.
        world.checkpoint("RESTART");
        world.commit(1);
        assert_eq!(fit(&theirs.0, &world.pair().1), Fit::Foreign);
        assert_eq!(fit(&world.pair().0, &world.pair().1), Fit::Fits);
    }

    #[test]
    fn what_is_torn_is_no_foreigner() {
        let world = World::founded();
        world.checkpoint("TRUNCATE");
        world.commit(2);
        let (mut file, log) = world.pair();
        for end in [0, 20, 100, 4000] {
            assert_eq!(fit(&file, &log[..end]), Fit::NothingToReplay, "{end}");
        }
        file[4096..4096 + 512].fill(0);
        assert_eq!(fit(&file, &log), Fit::Unreadable);
        assert_eq!(fit(&file[..5000], &log), Fit::Unreadable);
        assert_eq!(fit(&file[..4096], &log), Fit::Foreign, "the log does not make the file");
        assert_eq!(fit(&[], &log), Fit::Foreign);
    }

    proptest! {
        #[test]
        fn any_page_and_any_log_end(page in prop::collection::vec(any::<u8>(), 0..600), flips in prop::collection::vec((any::<u16>(), any::<u8>()), 0..8)) {
            Lineage::parse(&page);
            let mut like = vec![13, 0, 0, 0, 1, 0, 0, 0, 0, 20];
            like.resize(20, 0);
            like.extend(&page);
            Lineage::parse(&like);
            static PAIR: std::sync::LazyLock<Pair> = std::sync::LazyLock::new(|| World::founded().pair());
            let (file, mut log) = PAIR.clone();
            for (at, byte) in flips {
                let at = usize::from(at) % log.len();
                log[at] = byte;
            }
            fit(&file, &log);
            fit(&log, &file);
        }
    }
}
