//! The environment: every key has a variable, `GATEPASS_` and its name in capitals.
//!
//! An empty variable counts as absent, so that a wrapper may set all of them. One that is nearly the name of a key is
//! refused: a limit that was meant to hold would not. Others are told in the server's log, because a cluster sets some of
//! its own (`GATEPASS_SERVICE_HOST`).

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use gatepass_core::base::secret::SecretText;

use super::file::key_in;
use super::layer::{ConfigLayer, Source};
use super::nearest::nearest;
use super::{ConfigError, KEYS};

/// The beginning of every variable.
const PREFIX: &str = "GATEPASS_";
/// The variable that names the data directory.
pub const DATA: &str = "GATEPASS_DATA";
/// The variable that names the configuration file.
pub const CONFIG: &str = "GATEPASS_CONFIG";
/// The variable that holds the password of the database. A flag or a key could be read by others.
pub const STORE_PASSWORD: &str = "GATEPASS_STORE_PASSWORD";

/// Returns the environment variable of `key`.
pub fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.to_ascii_uppercase())
}

/// Returns the value of a variable, if it has one.
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

impl ConfigLayer {
    /// Reads the environment. Of `variables`, those of other programs are left alone. What is wrong goes to `errors`: a value out of range
    /// or not UTF-8, a name that is nearly that of a key.
    pub(super) fn from_env(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        errors: &mut Vec<ConfigError>,
    ) -> Self {
        let variables: BTreeMap<OsString, OsString> = variables.into_iter().collect();
        let mut layer = Self::default();
        for (name, value) in variables.iter().filter(|(_, value)| !value.is_empty()) {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
            if let Err(problem) = layer.take_variable(name, value) {
                errors.push(ConfigError::at(name, problem));
            }
        }
        layer
    }

    fn take_variable(&mut self, name: &str, value: &OsStr) -> Result<(), String> {
        if [DATA, CONFIG].contains(&name) {
            return Ok(());
        }
        if name == STORE_PASSWORD {
            let password = value.to_str().ok_or("the value is not UTF-8")?;
            self.store_password = Some(SecretText::new(password.to_owned()));
            return Ok(());
        }
        if let Some(key) = KEYS.iter().find(|key| key.variable() == name) {
            let text = value.to_str().ok_or("the value is not UTF-8")?;
            return self.set_key(key, text, Source::Environment);
        }
        match meant(name) {
            Some(meant) => Err(format!("no such variable: did you mean {meant}? Correct it, or unset it")),
            None => {
                self.unknown_variables.push(name.to_owned());
                Ok(())
            }
        }
    }
}

/// Returns the variable that a name may be meant for: one that it nearly is, or that of the key whose section and short name it has.
fn meant(name: &str) -> Option<String> {
    let rest = name.strip_prefix(PREFIX).unwrap_or(name).to_ascii_lowercase();
    let mut parts = rest.match_indices('_').map(|(at, _)| (rest.get(..at), rest.get(at + 1..)));
    if let Some(key) = parts.find_map(|(section, short)| key_in(section?, short?)) {
        return Some(key.variable());
    }
    nearest(&rest, KEYS.iter().map(|key| key.name).chain(["data", "config", "store_password"]))
        .map(variable_of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt as _;

    /// Returns the errors of these variables, and the names of those that are no key's.
    fn from_env(variables: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let mut errors = Vec::new();
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        let layer = ConfigLayer::from_env(variables, &mut errors);
        (errors.iter().map(ToString::to_string).collect(), layer.unknown_variables)
    }

    #[test]
    fn an_empty_variable_is_an_absent_one() {
        for name in ["GATEPASS_LISTEN", "GATEPASS_DATA", "GATEPASS_LISEN", "GATEPASS_"] {
            assert_eq!(from_env(&[(name, "")]), Default::default(), "{name}");
        }
    }

    #[test]
    fn a_misspelt_variable_is_refused() {
        for (name, meant) in [
            ("GATEPASS_LISEN", "GATEPASS_LISTEN"),
            ("GATEPASS_Listen", "GATEPASS_LISTEN"),
            ("GATEPASS_EXEMPT_LOOPBAK", "GATEPASS_EXEMPT_LOOPBACK"),
            ("GATEPASS_TRUSTED_PROXY", "GATEPASS_TRUSTED_PROXIES"),
            ("GATEPASS_DATE", "GATEPASS_DATA"),
            ("GATEPASS_CONFG", "GATEPASS_CONFIG"),
            ("GATEPASS_STORE_PASSWROD", "GATEPASS_STORE_PASSWORD"),
            ("GATEPASS_HTTP_LISTEN", "GATEPASS_LISTEN"),
            ("GATEPASS_LIFETIMES_USER_TOKEN", "GATEPASS_USER_TOKEN_LIFETIME"),
            ("GATEPASS_SECOND_FACTOR_ASK", "GATEPASS_SECOND_FACTOR"),
        ] {
            let problem = format!("{name}: no such variable: did you mean {meant}? Correct it, or unset it");
            assert_eq!(from_env(&[(name, "x")]), (vec![problem], vec![]));
        }
    }

    #[test]
    fn a_variable_of_something_else_is_named() {
        // Those that a cluster sets for a service of this name, and those that the tests of this tree read.
        let cluster = ["PORT", "SERVICE_HOST", "SERVICE_PORT", "PORT_8080_TCP", "PORT_8080_TCP_ADDR"];
        let tests =
            ["CHECK", "DISK", "DISK_LIST", "GROWTH", "KILLS", "ROUNDS", "SEED", "SEEDS", "STATES", "WRITE"];
        for rest in cluster.iter().chain(&tests) {
            let name = format!("{PREFIX}{rest}");
            assert_eq!(from_env(&[(&name, "1")]), (vec![], vec![name.clone()]));
        }
        let ours = [DATA, CONFIG, STORE_PASSWORD, "PATH", "GATEPASSES"].map(|name| (name, "1"));
        assert_eq!(from_env(&ours), Default::default());
    }

    #[test]
    fn everything_wrong_is_named_at_once() {
        let (errors, unknown) = from_env(&[
            ("GATEPASS_WORKERS", "many"),
            ("GATEPASS_LISEN", "x"),
            ("GATEPASS_HEADERS", "0"),
            ("GATEPASS_SERVICE_HOST", "x"),
        ]);
        assert_eq!(errors.len(), 3, "{errors:?}");
        assert_eq!(unknown, ["GATEPASS_SERVICE_HOST"]);
    }

    #[test]
    fn a_value_that_is_no_text_is_refused() {
        let value = OsString::from_vec(b"127.0.0.1:\xff".to_vec());
        let mut errors = Vec::new();
        ConfigLayer::from_env([("GATEPASS_LISTEN".into(), value)], &mut errors);
        assert_eq!(errors, [ConfigError::at("GATEPASS_LISTEN", "the value is not UTF-8")]);
    }
}
