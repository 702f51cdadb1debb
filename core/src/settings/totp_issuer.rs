//! The name of this server in authenticators.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;

use super::Issuer;

/// The name that an authenticator shows above its codes: 1 to 64 bytes without a colon or a control character, no space at
/// either end. In a label, the colon alone separates it from the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TotpIssuer(String);

/// A text that cannot be the name in authenticators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TotpIssuerError;

impl fmt::Display for TotpIssuerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a name in authenticators has 1 to {} bytes, no colon or control character, and no space at either end",
            TotpIssuer::MAX_BYTES
        )
    }
}

impl core::error::Error for TotpIssuerError {}

impl TotpIssuer {
    /// The longest name that is set, in bytes. With the longest account, it still fits a QR code.
    pub const MAX_BYTES: usize = 64;
    /// The longest name of a host (RFC 1035 §2.3.4).
    const MAX_HOST: usize = 253;

    /// Reads a name.
    ///
    /// # Errors
    /// [`TotpIssuerError`] where it is empty, too long, or has a colon, a control character or outer spaces.
    pub fn parse(text: &str) -> Result<Self, TotpIssuerError> {
        let plain = (1..=Self::MAX_BYTES).contains(&text.len())
            && !text.chars().any(|c| c.is_control() || c == ':')
            && text.trim() == text;
        if plain { Ok(Self(text.to_owned())) } else { Err(TotpIssuerError) }
    }

    /// Returns the default for `issuer`: the name of its host, or else `Gatepass`. An address is no name that people know, and
    /// the command line does not know the address that a server listens on.
    pub fn of(issuer: &Issuer) -> Self {
        let authority = issuer.authority();
        let host = authority.split(':').next().unwrap_or_default();
        let is_name = host.len() <= Self::MAX_HOST
            && host != "localhost"
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
            && host
                .rsplit('.')
                .find(|label| !label.is_empty())
                .is_some_and(|last| last.parse::<u64>().is_err());
        Self(if is_name { host } else { "Gatepass" }.to_owned())
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_authenticators() {
        for (text, good) in [
            ("Example", true),
            ("例子 Ltd.", true),
            (&"x".repeat(64), true),
            (&"x".repeat(65), false),
            ("", false),
            (" Example", false),
            ("gate.example:8080", false),
            ("a\nb", false),
        ] {
            assert_eq!(TotpIssuer::parse(text).is_ok(), good, "{text:?}");
        }
    }

    #[test]
    fn the_default_is_the_host_where_it_has_a_name() {
        for (issuer, name) in [
            ("https://id.example.com", "id.example.com"),
            ("https://id.example.com:8443/gate", "id.example.com"),
            ("https://gate", "gate"),
            ("http://127.0.0.1:8080", "Gatepass"),
            ("http://[::1]:8080", "Gatepass"),
            ("http://0.0.0.0", "Gatepass"),
            ("http://localhost:8080", "Gatepass"),
            ("http://a%3Ab", "Gatepass"),
        ] {
            assert_eq!(TotpIssuer::of(&Issuer::parse(issuer).unwrap()).as_str(), name, "{issuer}");
        }
    }
}
