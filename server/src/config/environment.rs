//! The environment: every key has a variable, `GATEPASS_` and its name in capitals.
//!
//! An empty variable counts as absent, so that a wrapper may set all of them. One that is nearly the name of a key is
//! refused: a limit that was meant to hold would not. Others are told in the server's log, because a cluster sets some of
//! its own (`GATEPASS_SERVICE_HOST`).

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use super::{ConfigError, ConfigLayer, nearest};

/// The beginning of every variable.
const PREFIX: &str = "GATEPASS_";
/// The variable that names the data directory.
pub const DATA: &str = "GATEPASS_DATA";
/// The variable that names the configuration file.
pub const CONFIG: &str = "GATEPASS_CONFIG";

/// Returns the environment variable of `key`.
pub fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.to_ascii_uppercase())
}

/// Returns the value of a variable, if it has one.
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

impl ConfigLayer {
    /// Reads the environment. Of `variables`, those of other programs are left alone.
    ///
    /// # Errors
    /// If a value is out of range or not UTF-8, or a name is nearly that of a key.
    pub fn from_env(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, ConfigError> {
        let variables: BTreeMap<OsString, OsString> = variables.into_iter().collect();
        let mut layer = Self::default();
        for (name, value) in variables.iter().filter(|(_, value)| !value.is_empty()) {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
            layer.take_variable(name, value)?;
        }
        Ok(layer)
    }

    fn take_variable(&mut self, name: &str, value: &OsStr) -> Result<(), ConfigError> {
        if [DATA, CONFIG].contains(&name) {
            return Ok(());
        }
        let Some(key) = Self::KEYS.iter().find(|key| variable_of(key) == name) else {
            return self.take_unknown(name);
        };
        let text = value.to_str().ok_or_else(|| ConfigError(format!("{name}: the value is not UTF-8")))?;
        match self.take_text(key, text) {
            Some(Err(problem)) => Err(ConfigError(format!("{name}: {problem}"))),
            Some(Ok(())) | None => Ok(()),
        }
    }

    /// Refuses the name of a variable that may be meant for a key, and keeps any other to be told.
    fn take_unknown(&mut self, name: &str) -> Result<(), ConfigError> {
        let rest = name.strip_prefix(PREFIX).unwrap_or(name).to_ascii_lowercase();
        if let Some(near) = nearest(&rest, Self::KEYS.iter().copied().chain(["data", "config"])) {
            let near = variable_of(near);
            return Err(ConfigError(format!(
                "the variable {name} is not one of ours: did you mean {near}? Correct it, or unset it"
            )));
        }
        self.unknown_variables.push(name.to_owned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt as _;

    fn from_env(variables: &[(&str, &str)]) -> Result<ConfigLayer, ConfigError> {
        ConfigLayer::from_env(variables.iter().map(|(name, value)| (name.into(), value.into())))
    }

    #[test]
    fn an_empty_variable_is_an_absent_one() {
        for name in ["GATEPASS_LISTEN", "GATEPASS_DATA", "GATEPASS_LISEN", "GATEPASS_"] {
            assert_eq!(from_env(&[(name, "")]), Ok(ConfigLayer::default()), "{name}");
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
        ] {
            let told = from_env(&[(name, "x")]).unwrap_err().to_string();
            assert!(told.contains(name) && told.contains(&format!("did you mean {meant}?")), "{told}");
        }
    }

    #[test]
    fn a_variable_of_something_else_is_told() {
        // Those that a cluster sets for a service of this name, and those that the tests of this tree read.
        let cluster = ["PORT", "SERVICE_HOST", "SERVICE_PORT", "PORT_8080_TCP", "PORT_8080_TCP_ADDR"];
        let tests =
            ["CHECK", "DISK", "DISK_LIST", "GROWTH", "KILLS", "ROUNDS", "SEED", "SEEDS", "STATES", "WRITE"];
        for rest in cluster.iter().chain(&tests) {
            let name = format!("{PREFIX}{rest}");
            assert_eq!(from_env(&[(&name, "1")]).unwrap().unknown_variables, [name]);
        }
        let ours =
            [("GATEPASS_DATA", "/x"), ("GATEPASS_CONFIG", "/y"), ("PATH", "/bin"), ("GATEPASSES", "1")];
        assert_eq!(from_env(&ours), Ok(ConfigLayer::default()));
    }

    #[test]
    fn a_value_that_is_no_text_is_refused() {
        let value = OsString::from_vec(b"127.0.0.1:\xff".to_vec());
        let told = ConfigLayer::from_env([("GATEPASS_LISTEN".into(), value)]).unwrap_err();
        assert_eq!(told.to_string(), "GATEPASS_LISTEN: the value is not UTF-8");
    }
}
