//! The value of one column.

use std::borrow::Cow;
use std::fmt;

use gatepass_core::base::time::Time;
use serde::Serialize;

/// The value of one column.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::store) enum Value<'a> {
    /// No value.
    Null,
    /// A number. A flag is 0 or 1.
    Integer(i64),
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
    /// Something that no column can hold, such as a number above 2^63 - 1. An engine must fail when it is to write this.
    Unstorable,
}

/// Returns a number that counts rows or commits as a column keeps it: none of them comes near the largest.
pub(in crate::store) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Returns a time as a column keeps it; the year 9999 fits.
pub(in crate::store) fn stamp(time: Time) -> i64 {
    integer(time.unix())
}

impl Value<'_> {
    /// Returns the same value, which borrows nothing.
    #[cfg(feature = "postgres")]
    pub(in crate::store) fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Integer(number) => Value::Integer(number),
            Self::Text(text) => Value::Text(text.into_owned().into()),
            Self::Bytes(bytes) => Value::Bytes(bytes.into_owned().into()),
            Self::Unstorable => Value::Unstorable,
        }
    }

    /// Returns a value as JSON.
    pub(super) fn json(value: &impl Serialize) -> Self {
        serde_json::to_string(value).map_or(Self::Unstorable, Self::from)
    }
}

impl fmt::Debug for Value<'_> {
    /// Writes the type alone: the value may be secret, or personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "Null",
            Self::Integer(_) => "Integer(…)",
            Self::Text(_) => "Text(…)",
            Self::Bytes(_) => "Bytes(…)",
            Self::Unstorable => "Unstorable",
        })
    }
}

impl From<bool> for Value<'_> {
    fn from(flag: bool) -> Self {
        Self::Integer(flag.into())
    }
}

impl From<u8> for Value<'_> {
    fn from(number: u8) -> Self {
        Self::Integer(number.into())
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<u64> for Value<'_> {
    fn from(number: u64) -> Self {
        i64::try_from(number).map_or(Self::Unstorable, Self::Integer)
    }
}

impl From<Time> for Value<'_> {
    fn from(time: Time) -> Self {
        Self::Integer(stamp(time))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(Cow::Borrowed(bytes))
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Value<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::Bytes(Cow::Borrowed(bytes))
    }
}

impl From<Vec<u8>> for Value<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(Cow::Owned(bytes))
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, T::into)
    }
}
