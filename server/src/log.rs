//! Log lines on stderr: text for people on a terminal, one JSON object a line for everything else.
//!
//! What is logged are names, numbers and reasons, never a request's headers, query or body; the types that hold
//! secrets show nothing in `Debug`.

use std::io::{self, IsTerminal};

use tracing_subscriber::filter::LevelFilter;

use crate::config::choice::{LogFormat, LogLevel};

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Off => Self::OFF,
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

/// Begins to log. Called again, it changes nothing.
pub fn start(format: LogFormat, level: LogLevel) {
    let terminal = io::stderr().is_terminal();
    let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_max_level(LevelFilter::from(level))
        .with_target(false)
        // A closed stderr is no reason to complain on it.
        .log_internal_errors(false);
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let started = if json {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init_quietly()
    } else {
        lines.with_ansi(colours).try_init_quietly()
    };
    if !started {
        tracing::debug!("logging was started before");
    }
}

/// `try_init` without the reason, of which there is but one: it was done before.
trait Quietly {
    fn try_init_quietly(self) -> bool;
}

impl<N, E, F, W> Quietly for tracing_subscriber::fmt::SubscriberBuilder<N, E, F, W>
where
    tracing_subscriber::fmt::SubscriberBuilder<N, E, F, W>: Into<tracing::Dispatch>,
{
    fn try_init_quietly(self) -> bool {
        tracing::dispatcher::set_global_default(self.into()).is_ok()
    }
}
