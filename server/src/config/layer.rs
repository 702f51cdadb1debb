//! The keys that one source sets, or several sources together.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use gatepass_core::api::server_status::{ServerSetting, SettingSource};
use gatepass_core::base::secret::SecretText;

use super::key::Key;
use super::keys::KEYS;

/// The keys of one source: the flags, the environment or the file; and of several, where the nearer one wins.
#[derive(Clone, Debug, Default)]
pub struct ConfigLayer {
    set: BTreeMap<&'static str, (String, Source)>,
    /// The keys of the file that stand outside of their sections.
    pub outside: Vec<&'static Key>,
    /// The variables that begin like ours and are no key's.
    pub unknown_variables: Vec<String>,
    /// The password of the database, which has a variable alone.
    pub store_password: Option<SecretText>,
}

/// The place that a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The key's default, or nothing where it has none.
    Default,
    /// A line of the file, counted from 1.
    File(Arc<Path>, usize),
    /// The key's variable.
    Environment,
    /// The key's flag.
    Flag,
}

/// One key with its value, and where that comes from.
#[derive(Clone)]
pub struct Setting {
    /// The key.
    pub key: &'static Key,
    /// The value as it was written; none for a key without a default that nobody set.
    pub(super) value: Option<Cow<'static, str>>,
    /// The place that it comes from.
    pub source: Source,
}

/// The text that is shown in place of a secret.
const HIDDEN: &str = "(hidden)";

impl Setting {
    /// Returns the value as it may be shown; none for a key that has none.
    pub fn shown(&self) -> Option<&str> {
        self.value.as_deref().map(|value| if self.key.is_secret { HIDDEN } else { value })
    }

    /// Returns the place that the value comes from, for people.
    pub fn origin(&self) -> String {
        match &self.source {
            Source::Default => "default".into(),
            Source::File(path, line) => format!("{} line {line}", path.display()),
            Source::Environment => self.key.variable(),
            Source::Flag => self.key.flag(),
        }
    }

    /// Returns the setting as people see it.
    pub fn described(&self) -> ServerSetting {
        let source = match &self.source {
            Source::Default => SettingSource::Default,
            Source::File(_, line) => SettingSource::File(u64::try_from(*line).unwrap_or(u64::MAX)),
            Source::Environment => SettingSource::Environment,
            Source::Flag => SettingSource::Flag,
        };
        ServerSetting {
            key: self.key.path(),
            value: self.shown().map(ToOwned::to_owned),
            source,
            from: self.origin(),
            needs_restart: self.key.is_read_at_start,
        }
    }

    /// Returns true if both are the same value of the same key, however it is written.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self.value.as_deref(), other.value.as_deref()) {
            (None, None) => true,
            (Some(one), Some(other)) => self.key.kind.is_same(one, other),
            (None, Some(_)) | (Some(_), None) => false,
        }
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} = {:?} ({})", self.key, self.shown(), self.origin())
    }
}

/// Returns the key with this name.
pub fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

impl ConfigLayer {
    /// Sets the key `name` to `text`; none if there is no such key.
    pub fn set(&mut self, name: &str, text: &str, source: Source) -> Option<Result<(), String>> {
        Some(self.set_key(key(name)?, text, source))
    }

    pub(super) fn set_key(&mut self, key: &'static Key, text: &str, source: Source) -> Result<(), String> {
        key.kind.check(text)?;
        self.set.insert(key.name, (text.to_owned(), source));
        Ok(())
    }

    /// Returns the keys of `self`, and those of `lower` for the rest.
    #[must_use]
    pub fn or(mut self, lower: Self) -> Self {
        for (key, set) in lower.set {
            self.set.entry(key).or_insert(set);
        }
        self.outside.extend(lower.outside);
        self.unknown_variables.extend(lower.unknown_variables);
        self.store_password = self.store_password.or(lower.store_password);
        self
    }

    /// Returns every key in the order of [`KEYS`]: as it is set, or with its default.
    pub(super) fn settings(&self) -> Vec<Setting> {
        let setting = |key: &'static Key| match self.set.get(key.name) {
            Some((text, source)) => Setting { key, value: Some(text.clone().into()), source: source.clone() },
            None => Setting { key, value: key.default.map(Cow::Borrowed), source: Source::Default },
        };
        KEYS.iter().map(setting).collect()
    }
}
