//! The stored records of an installation, whichever engine keeps them.
//!
//! They are in the data directory, or in databases of their own on the server that `TESTED_STORE` names.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::{Connection, OpenFlags};

use crate::server::TestInstallation;

/// Makes a database on the server that `TESTED_STORE` names, and returns its address. None if no server is named: the records are in the
/// directory.
pub(crate) fn database_of_its_own(options: &str) -> Option<String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let server = std::env::var("TESTED_STORE").ok()?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let database = format!("gatepass_{}_{number}", std::process::id());
    printed("psql", &server, &["-q", "-c", &format!("CREATE DATABASE {database} {options}")]);
    let (place, _) = server.rsplit_once('/').expect("an address with a database");
    Some(format!("{place}/{database}"))
}

/// Returns what a program of PostgreSQL's prints about a database.
fn printed(program: &str, database: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).arg("-d").arg(database).args(arguments).output().expect("it runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Runs statements in a database.
pub fn execute(database: &str, sql: &str) {
    printed("psql", database, &["-q", "-v", "ON_ERROR_STOP=1", "-c", sql]);
}

/// Returns a dump with the bytes that it shows as hexadecimal digits: a text is not taken for bytes of the same digits.
fn with_bytes(dump: &[u8]) -> Vec<u8> {
    let mut parts = dump.split(|byte| *byte == b'\\');
    let mut bytes = parts.next().unwrap_or_default().to_vec();
    for part in parts {
        let Some(digits) = part.strip_prefix(b"x") else {
            bytes.extend([b"\\", part].concat());
            continue;
        };
        let end = digits.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(digits.len());
        let (digits, rest) = digits.split_at(end);
        let pairs = digits.chunks_exact(2).map(|pair| std::str::from_utf8(pair).expect("two digits"));
        bytes.extend(pairs.map(|pair| u8::from_str_radix(pair, 16).expect("two digits")));
        bytes.extend_from_slice(rest);
    }
    bytes
}

/// Returns the files of a directory, without the master key, which is itself a secret.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let all = fs::read_dir(dir).expect("a directory").map(|file| file.expect("a file").path());
    let all = all.filter(|path| !path.ends_with("master.key"));
    all.map(|path| (path.display().to_string(), fs::read(path).expect("a file"))).collect()
}

impl TestInstallation {
    /// Returns the only value that a query finds among the records, as text.
    pub fn value(&self, sql: &str) -> String {
        let Some(database) = self.database() else {
            let path = self.path().join("gatepass.db");
            let database =
                Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("it opens");
            let value = database.query_row(sql, [], |row| match row.get_ref(0)?.as_i64() {
                Ok(number) => Ok(number.to_string()),
                Err(_) => row.get(0),
            });
            return value.expect("a row");
        };
        let text =
            String::from_utf8(printed("psql", database, &["-q", "-A", "-t", "-c", sql])).expect("text");
        text.trim_end().to_owned()
    }

    /// Returns everything that is stored but the master key, with the name of each place.
    pub fn stored(&self) -> Vec<(String, Vec<u8>)> {
        let dump =
            |database: &str| ("the database".to_owned(), with_bytes(&printed("pg_dump", database, &[])));
        files(self.path()).into_iter().chain(self.database().map(dump)).collect()
    }

    /// Returns a copy of this installation, which no process has open, without the files that are named.
    pub fn copied_without(&self, names: &[&str]) -> Self {
        let template = self.database().and_then(|database| database.rsplit_once('/'));
        let options = template.map_or(String::new(), |(_, name)| format!("TEMPLATE {name}"));
        let copy = Self::with_database(database_of_its_own(&options));
        for file in fs::read_dir(self.path()).expect("a directory") {
            let file = file.expect("a file");
            let is_named = names.iter().any(|name| file.file_name() == *name);
            if file.file_type().is_ok_and(|kind| kind.is_file()) && !is_named {
                fs::copy(file.path(), copy.path().join(file.file_name())).expect("it is copied");
            }
        }
        copy
    }
}
