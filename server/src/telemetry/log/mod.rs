//! Log lines on stderr: text on a terminal, one JSON object a line otherwise.
//!
//! Lines contain names, numbers and reasons, never a request's headers, query or body; the types that hold secrets
//! show nothing in `Debug`.

mod limit;

use std::io::{self, IsTerminal};
use std::sync::LazyLock;
use std::time::Instant;

pub use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;

use crate::terminal::shows_colours;
use limit::Limit;

/// The limit on the lines of this process.
static LIMIT: LazyLock<Limit> = LazyLock::new(Limit::default);

/// Begins to log: in JSON, in text, or in text on a terminal alone if `json` is none. Called again, it changes nothing.
pub fn start(json: Option<bool>, level: LevelFilter) {
    let json = json.unwrap_or_else(|| !io::stderr().is_terminal());
    // Errors of a closed stderr are not reported on it.
    let lines = fmt::layer().with_writer(io::stderr).with_target(false).log_internal_errors(false);
    let limited = tracing_subscriber::registry().with(level).with(&*LIMIT);
    let started = if json {
        let lines = lines.json().flatten_event(true).with_current_span(false).with_span_list(false);
        is_first(limited.with(lines))
    } else {
        is_first(limited.with(lines.with_ansi(shows_colours(&io::stderr()))))
    };
    if !started {
        tracing::debug!("logging was started before");
    }
}

/// Logs how many lines were left out in the minutes that are over, or in all of them.
pub fn log_left_out(all: bool) {
    LIMIT.left_out(Instant::now(), all).into_iter().for_each(limit::LeftOut::log);
}

/// Installs `lines` for every line from now on; returns false if others are installed already.
fn is_first(lines: impl Into<tracing::Dispatch>) -> bool {
    tracing::dispatcher::set_global_default(lines.into()).is_ok()
}
