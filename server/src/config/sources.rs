//! The places that a configuration is read from.

use std::path::PathBuf;

use super::{Config, ConfigError, ConfigErrors, ConfigLayer};

/// The data directory, and the file that `--config` names.
#[derive(Clone, Debug)]
pub struct ConfigSources {
    /// The data directory.
    pub data: PathBuf,
    /// The configuration's file, if one was named.
    pub file: Option<PathBuf>,
}

/// A configuration and everything that is wrong with its sources.
#[derive(Debug)]
pub struct Inspected {
    /// The configuration that the sources make where they are good, with defaults for the rest; none if that is none either.
    pub config: Option<Config>,
    /// The fault.
    pub errors: Vec<ConfigError>,
}

impl ConfigSources {
    /// Returns the configuration: `flags` go before the environment, the environment before the file.
    ///
    /// # Errors
    /// [`ConfigErrors`] names the keys and the values that cannot be used.
    pub fn read(&self, flags: ConfigLayer) -> Result<Config, ConfigErrors> {
        match self.inspect(flags) {
            Inspected { config: Some(config), errors } if errors.is_empty() => Ok(config),
            Inspected { errors, .. } => Err(ConfigErrors(errors)),
        }
    }

    /// Reads the same sources to their end, however much in them is wrong.
    pub fn inspect(&self, flags: ConfigLayer) -> Inspected {
        let mut errors = Vec::new();
        let env = ConfigLayer::from_env(std::env::vars_os(), &mut errors);
        let file = ConfigLayer::from_file(self.file.as_deref(), &self.data, &mut errors);
        let resolved = flags.or(env).or(file).resolve();
        let config = resolved.map_err(|error| errors.push(error)).ok();
        // Where a value was left out, others may contradict the default alone.
        if errors.is_empty() {
            errors.extend(config.iter().flat_map(Config::contradictions));
        }
        Inspected { config, errors }
    }
}
