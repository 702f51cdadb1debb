//! Scope (RFC 6749 §3.3): an unordered list of tokens, kept in the order given.

use alloc::{sync::Arc, vec::Vec};
use core::fmt;

/// A set of scope tokens; may be empty. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Scope(Arc<str>);

/// Scope text that RFC 6749 §3.3 does not allow, or that is beyond [`Scope::MAX_BYTES`] or [`Scope::MAX_TOKENS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopeError;

impl fmt::Display for ScopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a scope is at most {} names of visible ASCII without \" and \\, one space between",
            Scope::MAX_TOKENS
        )
    }
}

impl core::error::Error for ScopeError {}

impl Scope {
    /// The longest scope text, in bytes.
    pub const MAX_BYTES: usize = 2048;
    /// The most tokens in one scope.
    pub const MAX_TOKENS: usize = 64;

    /// Reads tokens with one space between; the empty text is the empty scope. A token named twice counts once.
    ///
    /// # Errors
    /// [`ScopeError`] for anything else.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        if text.len() > Self::MAX_BYTES {
            return Err(ScopeError);
        }
        let allowed = |b: u8| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        let (mut tokens, mut named_twice) = (Vec::new(), false);
        for token in text.split(' ').filter(|_| !text.is_empty()) {
            if token.is_empty() || !token.bytes().all(allowed) {
                return Err(ScopeError);
            }
            if tokens.contains(&token) {
                named_twice = true;
            } else if tokens.len() == Self::MAX_TOKENS {
                return Err(ScopeError);
            } else {
                tokens.push(token);
            }
        }
        Ok(Self(if named_twice { tokens.join(" ").into() } else { text.into() }))
    }

    /// One name of our own.
    pub(crate) fn reserved(name: &'static str) -> Self {
        Self(name.into())
    }

    /// Returns its tokens with one space between.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true if `token` is in it.
    pub fn contains(&self, token: &str) -> bool {
        self.tokens().any(|t| t == token)
    }

    /// Returns true if every token of it is in `other`.
    pub fn is_within(&self, other: &Self) -> bool {
        self.tokens().all(|t| other.contains(t))
    }

    /// Returns the tokens of it that `allowed` holds for, in their order.
    pub(crate) fn filtered(&self, allowed: impl Fn(&str) -> bool) -> Self {
        if self.tokens().all(&allowed) {
            return self.clone();
        }
        let kept: Vec<&str> = self.tokens().filter(|token| allowed(token)).collect();
        Self(kept.join(" ").into())
    }

    /// The token of administration (`/admin/v1`).
    pub const ADMIN: &str = "gatepass:admin";

    /// Returns true if it has no token.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns its tokens.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ').filter(|token| !token.is_empty())
    }

    /// Returns true if it has a token that is reserved for services of this server, which never goes into a person's token.
    pub fn has_reserved(&self) -> bool {
        self.tokens().any(Self::is_reserved)
    }

    /// Returns true if `token` is such a one.
    pub(crate) fn is_reserved(token: &str) -> bool {
        token.starts_with("ticket:") || token.starts_with("gatepass:")
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};

    #[test]
    fn what_is_a_scope() {
        for (text, shown) in [
            ("", Some("")),
            ("profile", Some("profile")),
            ("a b a", Some("a b")),
            ("urn:x!#[]~", Some("urn:x!#[]~")),
            (" a", None),
            ("a ", None),
            ("a  b", None),
            ("a\tb", None),
            ("a\"b", None),
            ("a\\b", None),
            ("é", None),
            ("a\0", None),
        ] {
            assert_eq!(Scope::parse(text).ok().map(|s| s.to_string()).as_deref(), shown, "{text:?}");
        }
        assert!(Scope::parse(&"x".repeat(2049)).is_err());
        let many: Vec<String> = (0..65).map(|i| i.to_string()).collect();
        assert!(Scope::parse(&many.join(" ")).is_err());
        let most = many[..64].join(" ");
        assert!(Scope::parse(&most).is_ok() && Scope::parse(&[&most, "0"].join(" ")).is_ok());
        assert!(Scope::default().tokens().next().is_none() && !Scope::default().contains(""));
    }

    #[test]
    fn sets_compare_as_sets() {
        let (a, ab) = (Scope::parse("a").unwrap(), Scope::parse("b a").unwrap());
        assert!(a.is_within(&ab) && !ab.is_within(&a) && Scope::default().is_within(&a));
        assert!(Scope::parse("x ticket:issue").unwrap().has_reserved());
        assert!(!Scope::parse("tickets").unwrap().has_reserved());
        let abc = Scope::parse("a b c").unwrap();
        assert_eq!(abc.filtered(|token| token != "b").as_str(), "a c");
        assert_eq!((abc.filtered(|_| true), abc.filtered(|_| false)), (abc.clone(), Scope::default()));
    }
}
