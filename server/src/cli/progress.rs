//! A bar on a terminal for work that takes a while.

use std::cmp::Ordering;
use std::io::{self, Write as _};

use rustix::termios::tcgetwinsize;

use crate::output::Output;
use crate::store::Phase;
use crate::terminal::moves_cursor;

/// The longest bar, in columns.
const LONGEST: u64 = 40;
/// The columns beside the bar, and one more: in the last one a terminal would begin another line.
const BESIDE: u64 = 20;
/// The shortest bar that shows anything.
const SHORTEST: u64 = 5;
/// Goes back to the start of the line, and removes it.
const CLEAR: &str = "\r\x1b[K";

/// A progress bar on stderr; hidden with `--json`, or if stderr is no terminal that can draw one. It is removed when this is dropped.
pub(super) struct Progress {
    is_shown: bool,
    /// The state that stands there. It is drawn again when it differs.
    drawn: Option<Done>,
}

/// The part of the work that is done.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Done {
    phase: Phase,
    percent: u64,
}

impl Done {
    fn new(phase: Phase, (done, all): (u64, u64)) -> Self {
        let percent = done.saturating_mul(100).checked_div(all).unwrap_or(100).min(100);
        Self { phase, percent }
    }

    /// Returns the line for a terminal of `columns`, or an empty one where that has no room for a bar.
    fn line(self, columns: u16) -> String {
        let length = u64::from(columns).saturating_sub(BESIDE).min(LONGEST);
        if length < SHORTEST {
            return String::new();
        }
        let name = match self.phase {
            Phase::Copying => "copying",
            Phase::Checking => "checking",
            Phase::Importing => "importing",
        };
        let head = self.percent * length / 100;
        let bar = (0..length).map(|place| match place.cmp(&head) {
            Ordering::Less => '=',
            Ordering::Equal => '>',
            Ordering::Greater => ' ',
        });
        format!("{name:10} [{}] {:>3} %", bar.collect::<String>(), self.percent)
    }
}

impl Progress {
    pub(super) fn new(out: Output) -> Self {
        Self { is_shown: moves_cursor(&io::stderr()) && !out.json, drawn: None }
    }

    pub(super) fn show(&mut self, phase: Phase, parts: (u64, u64)) {
        let done = Done::new(phase, parts);
        if self.is_shown && self.drawn != Some(done) {
            // A terminal that does not say how wide it is reports no columns.
            let columns = tcgetwinsize(io::stderr()).map_or(0, |size| size.ws_col);
            draw(&done.line(if columns == 0 { 80 } else { columns }));
            self.drawn = Some(done);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.drawn.is_some() {
            draw("");
        }
    }
}

/// Draws `line` in place of what stands there, in one write. Where that fails, the work goes on without its bar.
fn draw(line: &str) {
    let _ = io::stderr().write_all(format!("{CLEAR}{line}").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_how_much_is_done_as_far_as_there_is_room() {
        for (columns, parts, shown) in [
            (80, (0, 10), "copying    [>                                       ]   0 %"),
            (80, (5, 10), "copying    [====================>                   ]  50 %"),
            (80, (10, 10), "copying    [========================================] 100 %"),
            (80, (11, 10), "copying    [========================================] 100 %"),
            (80, (0, 0), "copying    [========================================] 100 %"),
            (30, (5, 10), "copying    [=====>    ]  50 %"),
            (25, (10, 10), "copying    [=====] 100 %"),
            (24, (5, 10), ""),
            (1, (5, 10), ""),
        ] {
            let line = Done::new(Phase::Copying, parts).line(columns);
            assert_eq!(line, shown, "{parts:?}");
            assert!(line.len() < usize::from(columns));
        }
    }
}
