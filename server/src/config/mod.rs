//! The configuration: one list of keys, read from flags, the environment and one TOML file.
//!
//! [`keys`] is that list, and the only place that names a key: the flag, the variable, the file's key, the help
//! text and the default come from the same line, so they cannot drift apart. [`value`] holds the types of the
//! values, [`choice`] those that are one word out of a list; a type knows its range, and its error ends with what to write
//! instead.
//!
//! - [`key`]: what is known of a key.
//! - [`layer`]: the keys that a source sets, each with its place there.
//! - `file`, [`environment`], `flags`: the three sources. Each is read to its end, however much in it is wrong.
//! - [`sources`]: all of them together.
//! - `settings`: the settings of the core.
//!
//! The file has sections, and a key has a short name in its section. A flat key, spelled as the flag is, is read with a
//! warning until 1.0.
//!
//! A flag goes before a variable, a variable before the file, the file before the default.

pub mod choice;
pub mod environment;
mod file;
mod flags;
pub mod key;
pub mod keys;
pub mod layer;
mod nearest;
mod settings;
pub mod sources;
pub mod value;

use std::fmt;

use crate::error::ProgramError;
use crate::threads::default_workers;
use choice::Front;
pub use environment::variable_of;
pub use file::FILE_NAME;
pub use keys::{Config, KEYS};
pub use layer::{ConfigLayer, Setting, Source};
pub use sources::ConfigSources;
use value::{Listen, Value};

/// An error of the configuration, in one line: where it is, which key, and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file with its line, or the variable; none for what several sources say together.
    pub place: Option<String>,
    /// The key, its fault, and the way out.
    pub problem: String,
}

impl ConfigError {
    fn at(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: Some(place.into()), problem: problem.into() }
    }

    fn new(key: &str, problem: &str) -> Self {
        Self { place: None, problem: format!("{key}: {problem}") }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.problem),
            None => f.write_str(&self.problem),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Everything that is wrong with a configuration: at least one error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    /// Writes the first one, and how many more there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut errors = self.0.iter();
        if let Some(first) = errors.next() {
            first.fmt(f)?;
        }
        match errors.len() {
            0 => Ok(()),
            more => write!(f, " (and {more} more: `gatepass config check` shows all)"),
        }
    }
}

impl std::error::Error for ConfigErrors {}

impl From<ConfigErrors> for ProgramError {
    fn from(errors: ConfigErrors) -> Self {
        Self::Usage(errors.to_string())
    }
}

/// Returns the value of a setting, if it has one.
fn value_of<T: Value>(setting: Option<&Setting>) -> Result<Option<T>, ConfigError> {
    let Some(Setting { key, value: Some(text), .. }) = setting else { return Ok(None) };
    T::from_text(text).map(Some).map_err(|problem| ConfigError::new(key.name, &problem))
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

    /// Returns what is wrong where keys that belong together contradict each other; each error names both.
    pub fn contradictions(&self) -> Vec<ConfigError> {
        let life = self.password_life.seconds();
        let listens_on_a_path = matches!(self.listen, Listen::Unix(_));
        let rules = [
            (
                self.store_password.is_some() && self.store_password_file.is_some(),
                "GATEPASS_STORE_PASSWORD and store_password_file are both set: leave one out",
            ),
            (
                self.store.is_none() && self.store_password_file.is_some(),
                "store_password_file is set, and store names no database: set store, or leave store_password_file out",
            ),
            (
                self.risk_medium.get() > self.risk_high.get(),
                "risk_medium is over risk_high: lower the one or raise the other",
            ),
            (
                life > 0 && self.password_warning.seconds() > life,
                "password_warning is longer than password_life: shorten it",
            ),
            (
                listens_on_a_path && self.front == Front::Guarded,
                "listen is a path, and the guarded front listens at an address: set front to tiny_http, or choose an \
                 address",
            ),
        ];
        let broken = rules.iter().filter(|(is_broken, _)| *is_broken);
        broken.map(|(_, problem)| ConfigError { place: None, problem: (*problem).into() }).collect()
    }

    /// Returns a line about the keys of the file that stand outside of their sections, if there are any.
    pub fn outside_of_sections(&self) -> Option<String> {
        let moved = |key: &&'static key::Key| {
            let (section, short) = key.place?;
            Some(format!("{} is {short} in [{section}]", key.name))
        };
        let moved: Vec<String> = self.outside.iter().filter_map(moved).collect();
        (!moved.is_empty()).then(|| moved.join(", "))
    }

    /// Returns the keys whose values differ in `newer`, each with the former setting and the new one.
    pub fn changes<'a>(&'a self, newer: &'a Self) -> impl Iterator<Item = (&'a Setting, &'a Setting)> {
        let pairs = self.settings.iter().zip(&newer.settings);
        pairs.filter(|(former, new)| !former.is_same(new))
    }

    /// Takes over from `former`, the configuration that is in force, the settings that only a start changes.
    pub fn keep_until_a_start(&mut self, former: &Self) {
        for (new, former) in self.settings.iter_mut().zip(&former.settings) {
            if new.key.is_read_at_start {
                new.clone_from(former);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    fn from_env(variables: &[(&str, &str)]) -> (ConfigLayer, Vec<ConfigError>) {
        let mut errors = Vec::new();
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        (ConfigLayer::from_env(variables, &mut errors), errors)
    }

    /// Returns the values as they would be shown.
    fn values(file: &str) -> Vec<Option<String>> {
        let layer = ConfigLayer::from_toml(file).unwrap();
        layer.settings().iter().map(|setting| setting.shown().map(ToOwned::to_owned)).collect()
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
        let (env, _) = from_env(&[("GATEPASS_LISTEN", "127.0.0.1:2"), ("GATEPASS_WORKERS", "4")]);
        let mut flags = ConfigLayer::default();
        assert_eq!(flags.set("listen", "127.0.0.1:3", Source::Flag), Some(Ok(())));
        let config = flags.or(env).or(file).resolve().unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:3");
        assert_eq!(config.workers.get(), 4);
        assert_eq!(config.headers.get(), 10);
        let origin = |name: &str| {
            let setting = config.settings.iter().find(|setting| setting.key.name == name).unwrap();
            (setting.shown().map(ToOwned::to_owned), setting.origin())
        };
        for (name, value, from) in [
            ("listen", Some("127.0.0.1:3"), "--listen"),
            ("workers", Some("4"), "GATEPASS_WORKERS"),
            ("headers", Some("10"), "gatepass.toml line 3"),
            ("connections", Some("1024"), "default"),
            ("issuer", None, "default"),
        ] {
            assert_eq!(origin(name), (value.map(ToOwned::to_owned), from.to_owned()), "{name}");
        }
    }

    #[test]
    fn what_changed_is_known_key_by_key() {
        let config = |file| ConfigLayer::from_toml(file).unwrap().resolve().unwrap();
        let former = config("workers = 2\n[lifetimes]\nticket = 60\nsession = \"1h\"");
        let mut newer =
            config("workers = 3\n[lifetimes]\nticket = \"1m\"\nsession = \"2h\"\n[http]\nheaders = 9");
        let changed = |newer: &Config| {
            let changes = former.changes(newer);
            let shown =
                changes.map(|(old, new)| format!("{} {:?} {:?}", new.key.path(), old.shown(), new.shown()));
            shown.collect::<Vec<_>>()
        };
        let [workers, headers, session] = [
            "http.workers Some(\"2\") Some(\"3\")",
            "http.headers Some(\"64\") Some(\"9\")",
            "lifetimes.session Some(\"1h\") Some(\"2h\")",
        ];
        assert_eq!(changed(&newer), [workers, headers, session], "a minute is sixty seconds");
        newer.keep_until_a_start(&former);
        assert_eq!(changed(&newer), [session], "what holds");
    }

    #[test]
    fn a_secret_is_never_shown() {
        static SECRET: key::Key = key::Key {
            name: "pass",
            place: None,
            meaning: "",
            shape: "TEXT",
            default: None,
            is_secret: true,
            may_hold_password: true,
            is_read_at_start: false,
            kind: &key::KindOf::<bool>::NEW,
        };
        let setting = Setting { key: &SECRET, value: Some("hunter2".into()), source: Source::Environment };
        assert_eq!(setting.shown(), Some("(hidden)"));
        assert!(!format!("{setting:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        for (file, problem) in [
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
            ("a = ", "not valid TOML: string values must be quoted, expected literal string"),
            ("level = \"info\"", "unknown key \"level\": it stands in [log]"),
            ("[htpp]\nlisten = 1", "unknown key \"htpp\": did you mean the section [http]?"),
        ] {
            let ConfigErrors(errors) = ConfigLayer::from_toml(file).unwrap_err();
            assert_eq!(errors, [ConfigError::at("gatepass.toml line 1", problem)], "{file}");
        }
        assert_eq!(
            from_env(&[("GATEPASS_ISSUER", "example.com")]).1[0].to_string(),
            "GATEPASS_ISSUER: \"example.com\" will not do: an issuer is http:// or https:// with a host, and no user, query, fragment or white space"
        );
    }

    #[test]
    fn everything_wrong_is_named_at_once_in_the_order_of_lines() {
        let file = "workers = -1\nlisen = 1\n[risk]\nhigh = 0\nmedum = 1\n[http]\nheaders = \n[http]\nbody_bytes = 1\n";
        let errors = ConfigLayer::from_toml(file).unwrap_err();
        let problems: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
        let lines: Vec<&str> = problems.iter().filter_map(|line| line.split(": ").next()).collect();
        let at = |line: u32| format!("gatepass.toml line {line}");
        assert_eq!(lines, [at(1), at(2), at(4), at(5), at(7), at(8), at(9)], "{problems:#?}");
        let first = "gatepass.toml line 1: workers: \"-1\" is not a whole number from 0 to 1024";
        assert_eq!(errors.to_string(), format!("{first} (and 6 more: `gatepass config check` shows all)"));
    }

    #[test]
    fn keys_that_contradict_each_other_are_all_named() {
        let file = "risk_medium = 90\nrisk_high = 10\npassword_life = \"1d\"\npassword_warning = \"2d\"\nlisten = \"unix:/x\"";
        let config = ConfigLayer::from_toml(file).unwrap().resolve().unwrap();
        assert_eq!(config.contradictions().len(), 3);
        assert_eq!(ConfigLayer::default().resolve().unwrap().contradictions(), []);
    }

    #[test]
    fn a_key_has_one_place() {
        let mut places = BTreeSet::new();
        let mut names = BTreeSet::new();
        for key in KEYS {
            assert!(names.insert(key.name), "{key:?}");
            assert!(places.insert(key.path()), "{}", key.path());
            if let Some((section, short)) = key.place {
                assert_eq!(file::key_in(section, short), Some(key));
            }
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
            assert!(ConfigLayer::from_toml(sections).unwrap().outside.is_empty());
            assert_eq!(values(sections), values(flat));
            assert_ne!(values(sections), values(""));
        }
    }

    #[test]
    fn flat_keys_are_named_with_their_places() {
        let outside = |file| ConfigLayer::from_toml(file).unwrap().resolve().unwrap().outside_of_sections();
        assert_eq!(
            outside("risk_high = 70\nissuer = \"https://example.org\"\nsecond_factor = \"never\""),
            Some("risk_high is high in [risk], second_factor is ask in [second_factor]".into())
        );
        assert_eq!(outside("issuer = \"https://example.org\"\n[risk]\nhigh = 70"), None);
        assert!(from_env(&[("GATEPASS_RISK_HIGH", "70")]).0.outside.is_empty());
    }

    #[test]
    fn what_is_wrong_in_a_section_is_said() {
        for (file, problem) in [
            ("[risk]\nlisten = 1", "listen is `listen` in [http]"),
            ("[risk]\nlevel = 1", "unknown key \"level\" in [risk]: it stands in [log]"),
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
            let ConfigErrors(errors) = ConfigLayer::from_toml(file).unwrap_err();
            assert_eq!(errors.iter().map(|error| &*error.problem).collect::<Vec<_>>(), [problem], "{file}");
        }
    }

    #[test]
    fn a_file_that_was_named_must_be_there() {
        let nowhere = Path::new("/nonexistent");
        for (named, wrong) in [(None, 0), (Some(nowhere.join("x.toml")), 1)] {
            let mut errors = Vec::new();
            ConfigLayer::from_file(named.as_deref(), nowhere, &mut errors);
            assert_eq!(errors.len(), wrong, "{errors:?}");
        }
    }
}
