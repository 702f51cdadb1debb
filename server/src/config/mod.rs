//! The configuration: one list of keys, read from flags, the environment and one TOML file.
//!
//! [`keys`] is that list, and the only place that names a key: the flag, the variable, the file's key, the help
//! text and the default come from the same line, so they cannot drift apart. [`value`] holds the types of the
//! values, [`choice`] those that are one word of a few; a type knows its range and says what is wrong with a text in
//! words that end in what to write instead.
//!
//! A flag goes before a variable, a variable before the file, the file before the default.

pub mod choice;
pub mod keys;
mod settings;
mod sources;
pub mod value;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::ProgramError;
use crate::threads::default_workers;
use choice::Front;
pub use keys::{Config, ConfigLayer};
pub use sources::ConfigSources;

/// The file read from the data directory where `--config` names no other.
pub const FILE_NAME: &str = "gatepass.toml";

/// What is wrong with the configuration: where, which key, and the way out, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl From<ConfigError> for ProgramError {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl ConfigLayer {
    /// What the file says: `named`, or else `gatepass.toml` in `data`, which need not be there.
    ///
    /// # Errors
    /// Where the file cannot be read, is not TOML, has an unknown key or a value out of range.
    pub fn from_file(named: Option<&Path>, data: &Path) -> Result<Self, ConfigError> {
        let path = named.map_or_else(|| data.join(FILE_NAME), PathBuf::from);
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                Self::from_toml(&text).map_err(|bad| ConfigError(format!("{}: {bad}", path.display())))
            }
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                Ok(Self::default())
            }
            Err(error) => {
                Err(ConfigError(format!("cannot read the configuration {}: {error}", path.display())))
            }
        }
    }

    /// What the TOML text of a file says.
    ///
    /// # Errors
    /// Where it is not TOML, has an unknown key or a value out of range.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let line =
                error.span().and_then(|at| text.get(..at.start)).map(|before| before.lines().count().max(1));
            let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
            ConfigError(format!("{line}not valid TOML: {}", error.message().replace('\n', ", ")))
        })?;
        let mut layer = Self::default();
        for (key, value) in &table {
            match layer.take_toml(key, value) {
                None => return Err(unknown(key)),
                Some(Err(problem)) => return Err(ConfigError(format!("{key}: {problem}"))),
                Some(Ok(())) => {}
            }
        }
        Ok(layer)
    }

    /// What the environment says; `variable` looks one up. An empty variable counts as absent.
    ///
    /// # Errors
    /// Where a value is out of range.
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut layer = Self::default();
        for key in Self::KEYS {
            let name = variable_of(key);
            if let Some(text) = variable(&name).filter(|text| !text.is_empty())
                && let Some(Err(problem)) = layer.take_text(key, &text)
            {
                return Err(ConfigError(format!("{name}: {problem}")));
            }
        }
        Ok(layer)
    }
}

impl Config {
    /// How many threads answer requests.
    pub fn threads(&self) -> usize {
        match (self.workers.size(), self.front) {
            (0, Front::Guarded) => default_workers(),
            // Its workers wait for the disk.
            (0, Front::TinyHttp) => 64,
            (layer, _) => layer,
        }
    }

    /// Whether the keys that belong together go together.
    ///
    /// # Errors
    /// Where two contradict each other, naming both.
    pub fn agrees_with_itself(&self) -> Result<(), ConfigError> {
        if self.risk_medium.get() > self.risk_high.get() {
            return Err(ConfigError(
                "risk_medium is over risk_high: lower the one or raise the other".into(),
            ));
        }
        if self.password_life.seconds() > 0 && self.password_warning.seconds() > self.password_life.seconds()
        {
            return Err(ConfigError("password_warning is longer than password_life: shorten it".into()));
        }
        Ok(())
    }
}

/// The environment variable of `key`.
pub fn variable_of(key: &str) -> String {
    format!("GATEPASS_{}", key.to_ascii_uppercase())
}

fn unknown(key: &str) -> ConfigError {
    let near = ConfigLayer::KEYS
        .iter()
        .map(|known| (distance(key, known), known))
        .min()
        .filter(|(distance, known)| *distance <= known.len() / 3);
    ConfigError(match near {
        Some((_, known)) => format!("unknown key {key:?}: did you mean `{known}`?"),
        None => format!("unknown key {key:?}: `gatepass serve --help` lists them all, with _ for -"),
    })
}

/// How many characters must be changed, added or taken away to get from `a` to `b` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut left = i + 1;
        let mut next = vec![left];
        for (to, above) in b.iter().zip(row.windows(2)) {
            let (diagonal, up) = match above {
                [diagonal, up] => (*diagonal, *up),
                _ => break,
            };
            left = (diagonal + usize::from(*to != from)).min(up + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn from_env(vars: &[(&str, &str)]) -> Result<ConfigLayer, ConfigError> {
        let vars: BTreeMap<_, _> = vars.iter().copied().collect();
        ConfigLayer::from_env(|name| vars.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn every_default_is_a_value_of_its_key() {
        let config = ConfigLayer::default().resolve().unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.issuer, None);
        assert_eq!(config.ticket_lifetime.seconds(), 300);
        assert_eq!(config.session_lifetime.seconds(), 30 * 86_400);
        assert_eq!(config.failures_per_minute.get(), 30);
        assert!(config.trusted_proxies.is_empty());
    }

    #[test]
    fn the_nearer_source_wins() {
        let file = ConfigLayer::from_toml("listen = \"127.0.0.1:1\"\nworkers = 3\nheaders = 10").unwrap();
        let env = from_env(&[("GATEPASS_LISTEN", "127.0.0.1:2"), ("GATEPASS_WORKERS", "4")]).unwrap();
        let mut flags = ConfigLayer::default();
        assert_eq!(flags.take_text("listen", "127.0.0.1:3"), Some(Ok(())));
        let config = flags.or(env).or(file).resolve().unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:3");
        assert_eq!(config.workers.get(), 4);
        assert_eq!(config.headers.get(), 10);
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        for (file, told) in [
            ("lisen = 1", "unknown key \"lisen\": did you mean `listen`?"),
            ("trusted_proxy = []", "unknown key \"trusted_proxy\": did you mean `trusted_proxies`?"),
            ("colour = 1", "unknown key \"colour\": `gatepass serve --help` lists them all, with _ for -"),
            ("[listen]", "listen: a table cannot be a value here"),
            (
                "listen = 8080",
                "listen: \"8080\" is not an address with a port: write for example 127.0.0.1:8080",
            ),
            ("workers = -1", "workers: \"-1\" is not a whole number from 0 to 1024"),
            ("workers = \"many\"", "workers: \"many\" is not a whole number from 0 to 1024"),
            ("exempt_loopback = 1", "exempt_loopback: \"1\" is neither true nor false"),
            (
                "trusted_proxies = [\"10.0.0.0/33\"]",
                "trusted_proxies: \"10.0.0.0/33\" is not an address or network: write for example 10.0.0.1 or 10.0.0.0/8",
            ),
            ("front = \"nginx\"", "front: \"nginx\" is not one of guarded, tiny_http"),
            (
                "user_scope = \"ticket:issue\"",
                "user_scope: ticket:… and gatepass:… are for services and never go into a person's token",
            ),
            ("ticket_lifetime = 7200", "ticket_lifetime: \"7200\" is out of range: from 1s to 1h"),
            ("a = ", "line 1: not valid TOML: string values must be quoted, expected literal string"),
        ] {
            assert_eq!(ConfigLayer::from_toml(file).unwrap_err().to_string(), told, "{file}");
        }
        assert_eq!(
            from_env(&[("GATEPASS_ISSUER", "example.com")]).unwrap_err().to_string(),
            "GATEPASS_ISSUER: \"example.com\" will not do: an issuer is http:// or https:// with a host, and no user, query, fragment or white space"
        );
    }

    #[test]
    fn an_empty_variable_is_an_absent_one() {
        assert_eq!(from_env(&[("GATEPASS_LISTEN", "")]), Ok(ConfigLayer::default()));
    }

    #[test]
    fn a_file_that_was_named_must_be_there() {
        let nowhere = Path::new("/nonexistent");
        assert_eq!(ConfigLayer::from_file(None, nowhere), Ok(ConfigLayer::default()));
        assert!(ConfigLayer::from_file(Some(&nowhere.join("x.toml")), nowhere).is_err());
    }

    #[test]
    fn distances() {
        for (a, b, steps) in
            [("", "", 0), ("a", "", 1), ("", "ab", 2), ("lisen", "listen", 1), ("abc", "axc", 1)]
        {
            assert_eq!(distance(a, b), steps, "{a} {b}");
        }
    }
}
