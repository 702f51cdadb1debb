//! The configuration: one list of keys, read from flags, the environment and one TOML file.
//!
//! [`keys`] is that list, and the only place that names a key: the flag, the variable, the file's key, the help
//! text and the default come from the same line, so they cannot drift apart. [`value`] holds the types of the
//! values, [`choice`] those that are one word out of a list; a type knows its range, and its error ends with what to write
//! instead.
//!
//! The file has sections, and a key has a short name in its section. A flat key, spelled as the flag is, is read with a
//! warning until 1.0.
//!
//! A flag goes before a variable, a variable before the file, the file before the default.

pub mod choice;
pub mod environment;
pub mod keys;
mod settings;
mod sources;
pub mod value;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::ProgramError;
use crate::threads::default_workers;
use choice::Front;
pub use environment::variable_of;
pub use keys::{Config, ConfigLayer};
pub use sources::ConfigSources;

/// The name of the file in the data directory that is read without `--config`.
pub const FILE_NAME: &str = "gatepass.toml";

/// An error of the configuration: where it is, which key, and the way out, in one line.
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
    /// Reads the file `named`, or else `gatepass.toml` in `data`, which need not exist.
    ///
    /// # Errors
    /// If the file cannot be read, is not TOML, has an unknown key or a value out of range.
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

    /// Reads the TOML text of a file.
    ///
    /// # Errors
    /// If it is not TOML, has an unknown key or a value out of range.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let line =
                error.span().and_then(|at| text.get(..at.start)).map(|before| before.lines().count().max(1));
            let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
            ConfigError(format!("{line}not valid TOML: {}", error.message().replace('\n', ", ")))
        })?;
        let mut layer = Self::default();
        let mut seen = BTreeSet::new();
        for (name, value) in &table {
            if is_section(name)
                && let Some(section) = value.as_table()
            {
                for (short, value) in section {
                    let key = key_in(name, short).ok_or_else(|| unknown_in(name, short))?;
                    layer.take_once(&mut seen, key, &format!("{name}.{short}"), value)?;
                }
                continue;
            }
            let key = Self::KEYS.iter().find(|key| *key == name).ok_or_else(|| unknown(name))?;
            layer.take_once(&mut seen, key, name, value)?;
            if place_of(key).is_some() {
                layer.outside.push(key);
            }
        }
        Ok(layer)
    }

    /// Takes `value` for `key`, which the file spells `spelled`.
    fn take_once<'a>(
        &mut self,
        seen: &mut BTreeSet<&'a str>,
        key: &'a str,
        spelled: &str,
        value: &toml::Value,
    ) -> Result<(), ConfigError> {
        if !seen.insert(key) {
            let (section, short) = place_of(key).unwrap_or_default();
            return Err(ConfigError(format!(
                "{key} is there twice: keep `{short}` in [{section}], and take `{key}` out"
            )));
        }
        match self.take_toml(key, value) {
            None => Err(unknown(spelled)),
            Some(Err(problem)) => Err(ConfigError(format!("{spelled}: {problem}"))),
            Some(Ok(())) => Ok(()),
        }
    }
}

impl Config {
    /// Returns the number of threads that answer requests.
    pub fn threads(&self) -> usize {
        match (self.workers.size(), self.front) {
            (0, Front::Guarded) => default_workers(),
            // Its workers wait for the disk.
            (0, Front::TinyHttp) => 64,
            (layer, _) => layer,
        }
    }

    /// Returns the number of passwords that may wait to be hashed. A worker of the `tiny_http` front waits with each, and
    /// half of them go on answering everything else.
    pub fn password_places(&self) -> usize {
        match self.front {
            Front::Guarded => self.password_queue.size(),
            Front::TinyHttp => self.password_queue.size().min((self.threads() / 2).max(1)),
        }
    }

    /// Checks that keys that belong together agree.
    ///
    /// # Errors
    /// If two contradict each other, naming both.
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

impl Config {
    /// Returns a line about the keys of the file that stand outside of their sections, if there are any.
    pub fn outside_of_sections(&self) -> Option<String> {
        let moved = |key: &&'static str| {
            let (section, short) = place_of(key)?;
            Some(format!("{key} is {short} in [{section}]"))
        };
        let moved: Vec<String> = self.outside.iter().filter_map(moved).collect();
        (!moved.is_empty()).then(|| moved.join(", "))
    }
}

/// Returns the section of `key` and its name there; none for a key that stands outside of sections.
pub fn place_of(key: &str) -> Option<(&'static str, &'static str)> {
    ConfigLayer::PLACES.iter().find(|(known, ..)| *known == key).map(|(_, section, short)| (*section, *short))
}

fn is_section(name: &str) -> bool {
    ConfigLayer::PLACES.iter().any(|(_, section, _)| *section == name)
}

fn key_in(section: &str, short: &str) -> Option<&'static str> {
    let mut places = ConfigLayer::PLACES.iter();
    places.find(|(_, known, name)| *known == section && *name == short).map(|(key, ..)| *key)
}

fn unknown_in(section: &str, short: &str) -> ConfigError {
    // A key of another section, or of none, by the name that flags have.
    if let Some(key) = ConfigLayer::KEYS.iter().find(|key| **key == short) {
        return ConfigError(match place_of(key) {
            Some((section, short)) => format!("{key} is `{short}` in [{section}]"),
            None => format!("{key} stands outside of sections, at the top of the file"),
        });
    }
    let names = ConfigLayer::PLACES.iter().filter(|(_, known, _)| *known == section).map(|(.., name)| *name);
    ConfigError(match nearest(short, names) {
        Some(known) => format!("unknown key {short:?} in [{section}]: did you mean `{known}`?"),
        None => format!("unknown key {short:?} in [{section}]: docs/configuration.md lists them all"),
    })
}

fn unknown(key: &str) -> ConfigError {
    ConfigError(match nearest(key, ConfigLayer::KEYS.iter().copied()) {
        Some(known) => format!("unknown key {key:?}: did you mean `{known}`?"),
        None => format!("unknown key {key:?}: `gatepass serve --help` lists them all, with _ for -"),
    })
}

/// Returns the name that `text` may be meant for.
fn nearest<'a>(text: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = names.map(|known| (distance(text, known), known)).min()?;
    Some(near).filter(|(distance, known)| *distance <= known.len() / 3).map(|(_, known)| known)
}

/// Returns the number of characters to change, add or remove to get from `a` to `b` (Levenshtein).
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

    fn from_env(vars: &[(&str, &str)]) -> Result<ConfigLayer, ConfigError> {
        ConfigLayer::from_env(vars.iter().map(|(name, value)| (name.into(), value.into())))
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

    /// On two cores it was one, so that two connections shut everybody out.
    #[test]
    fn the_front_decides_how_many_passwords_may_wait() {
        for (file, places) in [
            ("", 32),
            ("[http]\nworkers = 1", 32),
            ("[passwords]\nqueue = 100", 100),
            ("[http]\nfront = \"tiny_http\"", 32),
            ("[http]\nfront = \"tiny_http\"\nworkers = 8", 4),
            ("[http]\nfront = \"tiny_http\"\nworkers = 1", 1),
        ] {
            let config = ConfigLayer::from_toml(file).unwrap().resolve().unwrap();
            assert_eq!(config.password_places(), places, "{file}");
        }
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
    fn a_key_has_one_place() {
        let mut places = BTreeSet::new();
        for (key, section, short) in ConfigLayer::PLACES {
            assert!(ConfigLayer::KEYS.contains(key), "{key}");
            assert!(places.insert((section, short)), "[{section}] {short} is one key");
            assert_eq!(key_in(section, short), Some(*key));
        }
    }

    #[test]
    fn a_section_says_what_flat_keys_say() {
        for (sections, flat) in [
            ("[http]\nlisten = \"127.0.0.1:1\"", "listen = \"127.0.0.1:1\""),
            ("[risk]\nnew_device = 7\n[log]\nlevel = \"warn\"", "risk_new_device = 7\nlog_level = \"warn\""),
            (
                "[second_factor]\nask = \"always\"\ntotp_digits = 8",
                "second_factor = \"always\"\ntotp_digits = 8",
            ),
            (
                "[lifetimes]\nticket = \"1m\"\n[passwords]\nlength = 9",
                "ticket_lifetime = \"1m\"\npassword_length = 9",
            ),
            ("tenant = \"a\"\n[http]", "tenant = \"a\""),
        ] {
            let (sections, flat) =
                (ConfigLayer::from_toml(sections).unwrap(), ConfigLayer::from_toml(flat).unwrap());
            assert_eq!(sections.outside, [""; 0]);
            assert_eq!(sections, ConfigLayer { outside: Vec::new(), ..flat });
        }
    }

    #[test]
    fn flat_keys_are_named_with_their_places() {
        let told = |file| ConfigLayer::from_toml(file).unwrap().resolve().unwrap().outside_of_sections();
        assert_eq!(
            told("risk_high = 70\nissuer = \"https://example.org\"\nsecond_factor = \"never\""),
            Some("risk_high is high in [risk], second_factor is ask in [second_factor]".into())
        );
        assert_eq!(told("issuer = \"https://example.org\"\n[risk]\nhigh = 70"), None);
        assert_eq!(from_env(&[("GATEPASS_RISK_HIGH", "70")]).unwrap().outside, [""; 0]);
    }

    #[test]
    fn what_is_wrong_in_a_section_is_said() {
        for (file, told) in [
            ("[risk]\nmedum = 1", "unknown key \"medum\" in [risk]: did you mean `medium`?"),
            ("[risk]\ncolour = 1", "unknown key \"colour\" in [risk]: docs/configuration.md lists them all"),
            ("[risk]\nrisk_high = 1", "risk_high is `high` in [risk]"),
            ("[http]\nissuer = \"x\"", "issuer stands outside of sections, at the top of the file"),
            ("[risk]\nhigh = 0", "risk.high: \"0\" is not a whole number from 1 to 100"),
            (
                "risk_high = 70\n[risk]\nhigh = 70",
                "risk_high is there twice: keep `high` in [risk], and take `risk_high` out",
            ),
            (
                "[colours]\nred = 1",
                "unknown key \"colours\": `gatepass serve --help` lists them all, with _ for -",
            ),
        ] {
            assert_eq!(ConfigLayer::from_toml(file).unwrap_err().to_string(), told, "{file}");
        }
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
