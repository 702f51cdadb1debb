//! The lines in the logs of stores about commits whose answer was lost.

use std::io::{Result, Write};
use std::sync::{Mutex, PoisonError};

use tracing::Level;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Line;

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        if text.contains("the answer to a commit was lost") {
            LINES.lock().unwrap_or_else(PoisonError::into_inner).push(text.trim_end().to_owned());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Reads the log from now on.
pub(crate) fn watch() {
    let log = tracing_subscriber::fmt().with_ansi(false).with_max_level(Level::WARN).with_writer(|| Line);
    // Another test may read it already.
    let _ = log.try_init();
}

/// Returns how many were found to be written, not to be written, and could not be found out, of those to `database`.
pub(crate) fn of(database: &str) -> [usize; 3] {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    let is_of = |line: &&String| {
        let rest = line.split_once(&format!("/{database}")).map(|(_, rest)| rest);
        rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
    };
    ["written", "not written", "unknown"].map(|found| {
        lines.iter().filter(is_of).filter(|line| line.contains(&format!("found=\"{found}\""))).count()
    })
}

/// Tells the same.
pub(crate) fn told(database: &str) -> String {
    let [written, not_written, unknown] = of(database);
    format!("lost commits: {written} found to be written, {not_written} not written, {unknown} unknown")
}
