//! `gatepass config`

use clap::Subcommand;
use serde_json::{Value, json};

use super::context::Context;
use crate::config::sources::Inspected;
use crate::config::{Config, ConfigLayer, Setting};
use crate::error::ProgramError;
use crate::output::Record;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Check the file and the environment, and print everything that is wrong; exit code 1 if anything is
    Check,
    /// Show every key with its value, and where that comes from
    Show,
}

pub(super) fn run(context: &Context, verb: Verb) -> Result<(), ProgramError> {
    match verb {
        Verb::Check => check(context),
        Verb::Show => {
            let config = context.config(ConfigLayer::default())?;
            let records: Vec<Record> = config.settings.iter().map(record).collect();
            Ok(context.out.list(&["key", "value", "from"], &records)?)
        }
    }
}

fn check(context: &Context) -> Result<(), ProgramError> {
    let Inspected { config, errors } = context.inspect();
    let warnings = config.as_ref().map(warnings).unwrap_or_default();
    if context.out.json {
        let wrong = errors.iter().map(|error| json!({"place": error.place, "problem": error.problem}));
        let record = Record::new()
            .with("ok", errors.is_empty())
            .with("problems", wrong.collect::<Vec<Value>>())
            .with("warnings", warnings);
        context.out.one(&record)?;
    } else {
        for error in &errors {
            context.out.say(&error.to_string())?;
        }
        for warning in &warnings {
            context.out.say(&format!("warning: {warning}"))?;
        }
        if errors.is_empty() {
            context.out.say("nothing is wrong with the configuration")?;
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(ProgramError::Answered) }
}

/// Returns what a server warns of when it starts with this configuration.
fn warnings(config: &Config) -> Vec<String> {
    let flat = config.outside_of_sections();
    let flat = flat.map(|keys| format!("keys outside of their sections, which 1.0 will refuse: {keys}"));
    let unknown = config.unknown_variables.iter();
    let unknown = unknown.map(|name| format!("the variable {name} sets nothing"));
    flat.into_iter().chain(unknown).collect()
}

fn record(setting: &Setting) -> Record {
    let setting = setting.described();
    Record::new()
        .with("key", setting.key)
        .with("value", setting.value)
        .with("source", setting.source.as_str())
        .with("line", setting.source.line())
        .with("from", setting.from)
        .with("needs_restart", setting.needs_restart)
}
