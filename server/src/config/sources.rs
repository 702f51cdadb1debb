//! The places that a configuration is read from.

use std::path::PathBuf;

use super::{Config, ConfigError, ConfigLayer};

/// The data directory, and the file that `--config` names.
#[derive(Clone, Debug)]
pub struct ConfigSources {
    /// The data directory.
    pub data: PathBuf,
    /// The configuration's file, if one was named.
    pub file: Option<PathBuf>,
}

impl ConfigSources {
    /// Returns the configuration: `flags` go before the environment, the environment before the file.
    ///
    /// # Errors
    /// [`ConfigError`] names the key or the value that cannot be used.
    pub fn read(&self, flags: ConfigLayer) -> Result<Config, ConfigError> {
        let env = ConfigLayer::from_env(std::env::vars_os())?;
        let file = ConfigLayer::from_file(self.file.as_deref(), &self.data)?;
        let config = flags.or(env).or(file).resolve()?;
        config.agrees_with_itself()?;
        Ok(config)
    }
}
