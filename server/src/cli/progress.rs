//! A bar on a terminal for work that takes a while.

use std::io;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Output;
use crate::store::Phase;
use crate::terminal::moves_cursor;

/// A progress bar on stderr; hidden with `--json`, or if stderr is no terminal that can draw one.
pub(super) struct Progress {
    bar: ProgressBar,
    phase: Option<Phase>,
}

impl Progress {
    pub(super) fn new(out: Output) -> Self {
        let bar = if moves_cursor(&io::stderr()) && !out.json {
            ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr())
        } else {
            ProgressBar::hidden()
        };
        let style = ProgressStyle::with_template("{msg:10} [{bar:40}] {percent:>3} %");
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar, phase: None }
    }

    pub(super) fn show(&mut self, phase: Phase, (done, all): (u64, u64)) {
        if self.phase != Some(phase) {
            self.phase = Some(phase);
            self.bar.set_message(match phase {
                Phase::Copying => "copying",
                Phase::Checking => "checking",
            });
        }
        self.bar.set_length(all);
        self.bar.set_position(done);
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
