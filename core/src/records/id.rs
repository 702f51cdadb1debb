//! Names of things, each a type of its own. Cheap to clone.

use alloc::{borrow::ToOwned, string::String, sync::Arc};
use core::fmt;

/// A name that is not 1–64 of `A-Z a-z 0-9 . _ ~ -`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameError;

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name is 1 to 64 characters of A-Z a-z 0-9 . _ ~ -")
    }
}

impl core::error::Error for NameError {}

/// The characters that need no escaping in a URL (RFC 3986 §2.3).
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'~' | b'-')
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Reads a name of 1–64 characters of `A-Z a-z 0-9 . _ ~ -`.
            ///
            /// # Errors
            /// [`NameError`] for anything else.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                if (1..=64).contains(&text.len()) && text.bytes().all(is_unreserved) {
                    Ok(Self(text.into()))
                } else {
                    Err(NameError)
                }
            }

            /// Takes a text that is known to be a name.
            #[cfg(feature = "check")]
            pub(crate) fn known(text: String) -> Self {
                Self(text.into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                Self::from(&*name.0)
            }
        }
    )+};
}

names! {
    /// A client's identifier (RFC 6749 §2.2).
    ClientId;
    /// A user's identifier: the `sub` of a person's tokens.
    UserId;
    /// A ticket's public name, for lists and the audit table; it redeems nothing.
    TicketId;
    /// A session's name: the `sid` claim.
    SessionId;
    /// A factor's name.
    DeviceId;
    /// The public name of a client's secret; it authenticates nobody.
    SecretId;
}

impl ClientId {
    /// The client that a first start makes, and whom the command line's tickets are for: `admin`.
    pub fn admin() -> Self {
        Self("admin".into())
    }

    /// The server itself, whom sign-ins by password are for: `gatepass`. No client is registered under that name.
    pub fn own() -> Self {
        Self("gatepass".into())
    }
}

/// A person as others name them. Identifiers are compared in their canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserRef {
    /// By id, or else by user name, e-mail address or telephone number.
    Any(String),
    /// By user name alone.
    Username(String),
}

impl UserRef {
    /// The text to look up.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Any(text) | Self::Username(text) => text,
        }
    }
}

impl From<&UserId> for UserRef {
    fn from(id: &UserId) -> Self {
        Self::Any(id.as_str().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_plain() {
        let longest = "x".repeat(64);
        for good in ["a", "svc-1", "A.b_c~d-9", &longest] {
            assert!(ClientId::parse(good).is_ok(), "{good}");
        }
        let too_long = "x".repeat(65);
        for bad in ["", " ", "a b", "a/b", "a%20", "é", "a\0", "a:b", &too_long] {
            assert_eq!(ClientId::parse(bad), Err(NameError), "{bad}");
        }
    }
}
