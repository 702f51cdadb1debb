//! The context of a command: the data directory, the configuration, the store, the clock.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use gatepass_core::records::identifier::NumberingPlan;
use gatepass_core::settings::Issuer;

use super::operator;
use crate::config::sources::Inspected;
use crate::config::{Config, ConfigLayer, ConfigSources};
use crate::error::ProgramError;
use crate::output::{Output, Record};
use crate::store::{
    self, Access, AdminSession, Backend, Clock, Create, DatabaseServer, Installation, StoreOptions, sqlite,
};

/// The installation that a command works on, and its output.
#[derive(Clone, Debug)]
pub struct Context {
    /// The places that the configuration is read from.
    pub sources: ConfigSources,
    /// The keys that flags of every command set.
    flags: ConfigLayer,
    /// Makes an installation if there is none.
    pub init: bool,
    /// The store that the command has opened, to be closed at its end.
    opened: Arc<Mutex<Option<Arc<dyn Backend>>>>,
    /// Set once the store was opened for a change.
    changes: Arc<AtomicBool>,
    /// The output.
    pub out: Output,
}

impl Context {
    /// Makes a context for the data directory `data` and the configuration file `config`. `init` lets a command create
    /// an installation if there is none.
    pub fn new(data: PathBuf, config: Option<PathBuf>, init: bool, out: Output) -> Self {
        Self {
            sources: ConfigSources { data, file: config },
            flags: ConfigLayer::default(),
            init,
            opened: Arc::default(),
            changes: Arc::default(),
            out,
        }
    }

    /// Takes the keys that flags of every command set.
    #[must_use]
    pub fn with_flags(self, flags: ConfigLayer) -> Self {
        Self { flags, ..self }
    }

    /// Returns the files of the installation.
    ///
    /// # Errors
    /// If the configuration cannot be read.
    pub fn installation(&self) -> Result<Installation, ProgramError> {
        Ok(self.installation_of(&self.config(ConfigLayer::default())?))
    }

    /// Returns the context of a command on another data directory, with the same configuration file if one was named.
    #[must_use]
    pub fn at(&self, data: PathBuf) -> Self {
        Self::new(data, self.sources.file.clone(), false, self.out)
    }

    fn installation_of(&self, config: &Config) -> Installation {
        Installation::at(&self.sources.data)
            .with_files(config.master_key_file.clone(), config.witness_file.clone())
            .with_archives(config.archive_dir.clone())
            .with_server(config.store.clone().map(|address| {
                DatabaseServer::new(
                    address,
                    config.store_password.clone(),
                    config.store_password_file.clone(),
                )
            }))
            .operated_by(operator::current())
    }

    /// Returns the data directory.
    pub fn data(&self) -> &Path {
        &self.sources.data
    }

    /// Returns the configuration, with `flags` before the environment and the file.
    ///
    /// # Errors
    /// If a key or a value is invalid.
    pub fn config(&self, flags: ConfigLayer) -> Result<Config, ProgramError> {
        Ok(self.sources.read(flags.or(self.flags.clone()))?)
    }

    /// Reads the same configuration to its end, however much in it is wrong.
    pub fn inspect(&self) -> Inspected {
        self.sources.inspect(self.flags.clone())
    }

    /// Opens the store for a command that changes something. `--init` creates it if there is none.
    ///
    /// # Errors
    /// If it is not there, or cannot be opened.
    pub fn writing(&self) -> Result<AdminSession, ProgramError> {
        let admin = self.open(Access::Write)?;
        admin.warn_of_clock();
        Ok(admin)
    }

    /// Opens the store for a command that changes no file.
    ///
    /// # Errors
    /// If it is not there, or cannot be opened.
    pub fn reading(&self) -> Result<AdminSession, ProgramError> {
        self.open(Access::Read)
    }

    /// Opens the store for `access`.
    ///
    /// # Errors
    /// If it is not there, or cannot be opened.
    pub fn open(&self, access: Access) -> Result<AdminSession, ProgramError> {
        let (config, options) = (self.config(ConfigLayer::default())?, StoreOptions::default());
        let store = store::open(&self.installation_of(&config), access, self.create(access), &options)?;
        self.changes.store(access != Access::Read, Relaxed);
        self.session(&config, store)
    }

    /// Opens the store as [`open`](Self::open) does, and returns the engine, too, for a command that works on its
    /// files. No other command names an engine. With a database server, `instead` says what does the same.
    ///
    /// # Errors
    /// If it is not there, or cannot be opened, or the records are in a server.
    pub fn open_sqlite(
        &self,
        access: Access,
        instead: &str,
    ) -> Result<(AdminSession, sqlite::Store), ProgramError> {
        let (config, options) = (self.config(ConfigLayer::default())?, StoreOptions::default());
        let installation = self.installation_of(&config);
        in_own_file(&installation, instead)?;
        let opened = sqlite::Store::open_or_create(&installation, access, self.create(access), &options)?;
        self.changes.store(access != Access::Read, Relaxed);
        Ok((self.session(&config, Arc::new(opened.clone()))?, opened))
    }

    /// Prints a record with a secret, which is shown this once. If that fails, the error says by `done` what the command
    /// has done, and how to go on.
    ///
    /// # Errors
    /// If the secret was not printed. A closed output is no exception here.
    pub fn print_once(&self, record: &Record, done: impl FnOnce() -> String) -> Result<(), ProgramError> {
        let printed = self.out.once(record);
        printed.map_err(|why| ProgramError::failed(format!("{} (not printed: {why})", done())))
    }

    /// Returns the cases in which a command creates an installation.
    fn create(&self, access: Access) -> Create {
        if self.init && access == Access::Write { Create::BesideKey } else { Create::No }
    }

    /// Prints the notices of a store that was opened, and keeps it to be closed.
    fn session(&self, config: &Config, store: Arc<dyn Backend>) -> Result<AdminSession, ProgramError> {
        for notice in store.notices() {
            // A closed stderr cannot be reported.
            let _ = writeln!(io::stderr(), "gatepass: {notice}");
        }
        let clock = Clock::read(&*store)?.status();
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&store));
        // A command makes no token, so a placeholder does if no issuer is configured.
        let issuer = config.issuer.clone().map_or_else(|| Issuer::parse("http://localhost"), Ok);
        let issuer = issuer.map_err(|bad| ProgramError::failed(bad.to_string()))?;
        Ok(AdminSession::new(store, clock, config.core_settings(issuer)))
    }

    /// Returns the numbering plan of the store that the command has opened.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn numbering_plan(&self) -> Result<Option<NumberingPlan>, ProgramError> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(opened.as_ref().map(|store| store.numbering_plan()).transpose()?.flatten())
    }

    /// Returns a failure that says that a change was made, if all that failed was to print its result.
    pub fn or_carried_out(&self, failure: ProgramError) -> ProgramError {
        if let ProgramError::Unprinted(cause) = &failure
            && self.changes.load(Relaxed)
        {
            return ProgramError::failed(format!(
                "the command was carried out, and its result could not be printed: {cause}"
            ));
        }
        failure
    }

    /// Closes what the command has opened. Its changes are committed, even if this fails.
    ///
    /// # Errors
    /// If the files could not be left as they should be.
    pub fn close(&self) -> Result<(), ProgramError> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner).take();
        opened.map_or(Ok(()), |store| Ok(store.close()?))
    }
}

/// Refuses a command that works on SQLite's files if a server holds the records. `instead` says what does the same there.
///
/// # Errors
/// If a server holds them.
pub(super) fn in_own_file(installation: &Installation, instead: &str) -> Result<(), ProgramError> {
    match &installation.server {
        None => Ok(()),
        Some(server) => Err(ProgramError::usage(format!(
            "this command works on the file of SQLite, and the records are in {}: {instead}",
            server.address
        ))),
    }
}
