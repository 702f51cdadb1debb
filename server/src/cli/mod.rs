//! The command line: one tree of commands, one file for each noun.
//!
//! A command opens the store beside a running server, writes its change and the row of the audit chain in one commit,
//! and prints what it did. A server reads clients, users and tickets in each snapshot and keys by their generation, so
//! nothing notifies it.
//!
//! - [`context`]: the store, the clock and the configuration, opened when a command first asks.
//! - `edit`: values that are given, left out or cleared.

mod audit;
mod backup;
mod check;
mod client;
mod clock;
mod config;
pub mod context;
mod edit;
mod factors;
mod follow;
mod handover;
mod healthcheck;
mod import;
mod key;
mod lockouts;
mod operator;
mod password;
mod progress;
mod restore;
mod risk;
pub(crate) mod session;
mod store;
mod ticket;
mod token;
mod user;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Command, CommandFactory as _, Parser, Subcommand};

use crate::config::environment::{CONFIG, DATA, variable};
use crate::config::{ConfigLayer, Source};
use crate::error::{ProgramError, USAGE};
use crate::output::Output;
use crate::terminal::shows_colours;
use context::Context;

/// The data directory, if none is named.
const DEFAULT_DATA: &str = "./gatepass-data";

/// One-time tickets that sign users in, and tokens for services
#[derive(Debug, Parser)]
#[command(name = "gatepass", version, arg_required_else_help = true, disable_help_subcommand = true)]
struct Cli {
    /// Data directory [default: ./gatepass-data] [env: GATEPASS_DATA]
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print one JSON object or array, and nothing else
    #[arg(long, global = true)]
    json: bool,
    /// Configuration file [default: gatepass.toml in the data directory, if there is one] [env: GATEPASS_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address of the PostgreSQL database with the records [default: none, SQLite in the data directory] [env: GATEPASS_STORE]
    #[arg(long, global = true, value_name = "postgres://…")]
    store: Option<String>,
    /// Create the installation if there is none
    #[arg(long, global = true)]
    init: bool,
    #[command(subcommand)]
    noun: Noun,
}

#[derive(Debug, Subcommand)]
enum Noun {
    /// Run the server
    Serve(Box<Serve>),
    /// Manage clients: services with their own credentials
    #[command(subcommand)]
    Client(client::Verb),
    /// Manage users
    #[command(subcommand)]
    User(user::Verb),
    /// Issue, list and revoke one-time tickets that sign a user in
    #[command(subcommand)]
    Ticket(ticket::Verb),
    /// List and end sessions of users
    #[command(subcommand)]
    Session(session::Verb),
    /// Manage the keys that sign tokens
    #[command(subcommand)]
    Key(key::Verb),
    /// Verify access tokens
    #[command(subcommand)]
    Token(token::Verb),
    /// Explain how risky a sign-in would be
    #[command(subcommand)]
    Risk(risk::Verb),
    /// List, verify and archive the audit log
    #[command(subcommand)]
    Audit(audit::Verb),
    /// Check every file of the installation; print what is wrong and what to do
    Check,
    /// Copy the database to one file, also while the server runs
    Backup(backup::Backup),
    /// Replace the database by a backup
    Restore(restore::Restore),
    /// Move the installation to another machine
    #[command(subcommand)]
    Handover(handover::Verb),
    /// Copy the whole store between SQLite and PostgreSQL
    #[command(subcommand)]
    Store(store::Verb),
    /// Check and show the configuration
    #[command(subcommand)]
    Config(config::Verb),
    /// Ask the server of this data directory if it is ready; exit code 1 if it is not
    Healthcheck,
    /// Show or reset the clock mark, the latest time the server has seen
    #[command(subcommand)]
    Clock(clock::Verb),
}

/// The arguments of `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Add a user and a client for a demonstration, and print a ticket and three curl commands
    #[arg(long)]
    pub demo: bool,
    /// The configuration given by flags.
    #[command(flatten)]
    pub layer: ConfigLayer,
}

/// Returns the tree of commands.
pub fn tree() -> Command {
    Cli::command()
}

/// Runs the command that the process was started with; `serve` runs the server.
pub fn main(serve: impl FnOnce(&Context, Serve) -> Result<(), ProgramError>) -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misused(&error),
    };
    let out = Output::new(cli.json, shows_colours(&io::stdout()));
    let given = |flag: Option<PathBuf>, name| flag.or_else(|| variable(name).map(PathBuf::from));
    let data = given(cli.data, DATA).unwrap_or_else(|| DEFAULT_DATA.into());
    let flags = match store_flag(cli.store.as_deref()) {
        Ok(flags) => flags,
        Err(failure) => return failure.report(),
    };
    let context = Context::new(data, given(cli.config, CONFIG), cli.init, out).with_flags(flags);
    let done = match cli.noun {
        Noun::Serve(arguments) => serve(&context, *arguments),
        Noun::Client(verb) => client::run(&context, verb),
        Noun::User(verb) => user::run(&context, verb),
        Noun::Ticket(verb) => ticket::run(&context, verb),
        Noun::Session(verb) => session::run(&context, verb),
        Noun::Key(verb) => key::run(&context, verb),
        Noun::Token(verb) => token::run(&context, verb),
        Noun::Risk(verb) => risk::run(&context, verb),
        Noun::Audit(verb) => audit::run(&context, verb),
        Noun::Check => check::run(&context),
        Noun::Backup(backup) => backup::run(&context, backup),
        Noun::Restore(restore) => restore::run(&context, restore),
        Noun::Handover(verb) => handover::run(&context, verb),
        Noun::Store(verb) => store::run(&context, verb),
        Noun::Healthcheck => healthcheck::run(&context),
        Noun::Clock(verb) => clock::run(&context, verb),
        Noun::Config(verb) => config::run(&context, verb),
    };
    let closed = context.close();
    match done {
        Ok(()) => {
            if let Err(failure) = closed {
                // The command has done what it was asked to do.
                let _ = failure.report();
            }
            ExitCode::SUCCESS
        }
        Err(failure) => context.or_carried_out(failure).report(),
    }
}

/// Returns what `--store` sets. `serve` reads it, too, among the flags of the other keys.
fn store_flag(store: Option<&str>) -> Result<ConfigLayer, ProgramError> {
    let mut flags = ConfigLayer::default();
    match store.and_then(|address| flags.set("store", address, Source::Flag)) {
        Some(Err(wrong)) => Err(ProgramError::usage(format!("--store: {wrong}"))),
        Some(Ok(())) | None => Ok(flags),
    }
}

/// Prints help and version on stdout, an invalid value as one line on stderr, and the rest as clap does.
fn misused(error: &clap::Error) -> ExitCode {
    let rendered = error.render();
    let kind = error.kind();
    if matches!(kind, ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // A closed stdout cannot be reported.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if matches!(kind, ErrorKind::ValueValidation | ErrorKind::InvalidValue) {
        let text = rendered.to_string();
        let lines: Vec<&str> = text
            .lines()
            .take_while(|line| !line.starts_with("For more") && !line.starts_with("Usage:"))
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        return ProgramError::Usage(lines.join(" ").trim_start_matches("error: ").to_owned()).report();
    }
    let _ = error.print();
    ExitCode::from(USAGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KEYS;

    #[test]
    fn the_tree_holds_together() {
        tree().debug_assert();
    }

    #[test]
    fn every_key_is_a_flag_of_serve_with_its_variable() {
        let tree = tree();
        let serve = tree.find_subcommand("serve").unwrap();
        for key in KEYS {
            let flag = serve.get_arguments().find(|arg| arg.get_id() == key.name).unwrap();
            assert_eq!(format!("--{}", flag.get_long().unwrap()), key.flag());
            assert!(flag.get_help().unwrap().to_string().contains(&key.variable()), "{key:?}");
        }
    }
}
