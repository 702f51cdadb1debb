//! A bar on a terminal for work that takes a while.

use std::cmp::Ordering;
use std::fmt;
use std::io::{self, Write as _};

use crate::output::Output;
use crate::store::Phase;
use crate::terminal::moves_cursor;

/// The width of the bar.
const WIDTH: u64 = 40;

/// A progress bar on stderr; hidden with `--json`, or if stderr is no terminal that can draw one.
pub(super) struct Progress {
    is_shown: bool,
    /// The line that stands there. It is drawn again when it differs.
    drawn: Option<Line>,
}

/// The content of one line.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Line {
    phase: Phase,
    /// The part that is done, in per cent.
    percent: u64,
}

impl Line {
    fn new(phase: Phase, (done, all): (u64, u64)) -> Self {
        let percent = done.saturating_mul(100).checked_div(all).unwrap_or(100).min(100);
        Self { phase, percent }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.phase {
            Phase::Copying => "copying",
            Phase::Checking => "checking",
            Phase::Importing => "importing",
        };
        write!(f, "{name:10} [")?;
        let at = self.percent * WIDTH / 100;
        for place in 0..WIDTH {
            f.write_str(match place.cmp(&at) {
                Ordering::Less => "=",
                Ordering::Equal => ">",
                Ordering::Greater => " ",
            })?;
        }
        write!(f, "] {:>3} %", self.percent)
    }
}

impl Progress {
    pub(super) fn new(out: Output) -> Self {
        Self { is_shown: moves_cursor(&io::stderr()) && !out.json, drawn: None }
    }

    pub(super) fn show(&mut self, phase: Phase, parts: (u64, u64)) {
        let line = Line::new(phase, parts);
        if self.is_shown && self.drawn != Some(line) {
            // Work goes on without its bar.
            let _ = write!(io::stderr(), "\r{line}");
            self.drawn = Some(line);
        }
    }

    /// Removes the bar.
    pub(super) fn end(&mut self) {
        if self.drawn.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_much_is_done() {
        for (parts, shown) in [
            ((0, 10), "copying    [>                                       ]   0 %"),
            ((5, 10), "copying    [====================>                   ]  50 %"),
            ((10, 10), "copying    [========================================] 100 %"),
            ((11, 10), "copying    [========================================] 100 %"),
            ((0, 0), "copying    [========================================] 100 %"),
        ] {
            assert_eq!(Line::new(Phase::Copying, parts).to_string(), shown, "{parts:?}");
        }
    }
}
