//! A key of the configuration: its names, its place in the file, and what may stand there.

use std::marker::PhantomData;

use super::environment::variable_of;
use super::value::{TomlValue, Value};

/// A key of the configuration.
pub struct Key {
    /// Its name, as flags and variables have it.
    pub name: &'static str,
    /// Its section of the file and its name there; none for a key that stands outside of sections.
    pub place: Option<(&'static str, &'static str)>,
    /// Its help text, as it stands in the source.
    pub(super) meaning: &'static str,
    /// The placeholder of its value.
    pub(super) shape: &'static str,
    /// Its default, as it would be written; none for a key that may be left out.
    pub default: Option<&'static str>,
    /// True if its value is shown to nobody.
    pub is_secret: bool,
    /// True if a bad value of it may hold a password.
    pub(super) may_hold_password: bool,
    /// True if it is read when the server starts, and SIGHUP does not change it.
    pub is_read_at_start: bool,
    pub(super) kind: &'static dyn Kind,
}

/// The type of a key's values.
pub(super) trait Kind: Sync {
    /// Checks that `text` is a value; the error says what to write instead.
    fn check(&self, text: &str) -> Result<(), String>;

    /// Returns the text of a value of the file.
    fn text_of(&self, value: &TomlValue<'_>) -> Result<String, String>;

    /// Returns true if two texts are the same value.
    fn is_same(&self, one: &str, other: &str) -> bool;
}

/// The values of the type `T`.
pub(super) struct KindOf<T>(PhantomData<fn() -> T>);

impl<T> KindOf<T> {
    pub(super) const NEW: Self = Self(PhantomData);
}

impl<T: Value> Kind for KindOf<T> {
    fn check(&self, text: &str) -> Result<(), String> {
        T::from_text(text).map(drop)
    }

    fn text_of(&self, value: &TomlValue<'_>) -> Result<String, String> {
        T::text_of(value)
    }

    fn is_same(&self, one: &str, other: &str) -> bool {
        one == other || T::from_text(one).is_ok_and(|value| T::from_text(other) == Ok(value))
    }
}

impl Key {
    /// Returns the key's help text.
    pub fn meaning(&self) -> &'static str {
        self.meaning.trim()
    }

    /// Returns the key as the file has it: `name`, or `section.name`.
    pub fn path(&self) -> String {
        match self.place {
            Some((section, short)) => format!("{section}.{short}"),
            None => self.name.to_owned(),
        }
    }

    /// Returns the key's variable.
    pub fn variable(&self) -> String {
        variable_of(self.name)
    }

    /// Returns the key's flag.
    pub fn flag(&self) -> String {
        format!("--{}", self.long())
    }

    /// Returns the key's flag without the dashes.
    pub(super) fn long(&self) -> String {
        self.name.replace('_', "-")
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Key {}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}
