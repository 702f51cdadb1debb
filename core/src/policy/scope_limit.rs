//! The limits of a scope that is asked for: which part of it cannot be granted, and whose limit that is.

use alloc::string::String;
use core::fmt;

use crate::records::client::Client;
use crate::records::id::ClientId;
use crate::records::scope::Scope;

/// The longest part of a scope that is named whole, in bytes.
const TOLD: usize = 64;

/// A part of a scope that cannot be granted, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScopeLimit {
    /// It is reserved for services of this server: no person's token has it.
    Reserved {
        /// The part.
        scope: String,
    },
    /// The client may not have it itself.
    Client {
        /// The part.
        scope: String,
        /// The client.
        client: ClientId,
    },
    /// The session was not granted it, or it can no longer be granted.
    Session {
        /// The part.
        scope: String,
    },
}

impl fmt::Display for ScopeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reserved { scope } => {
                write!(f, "{scope} is reserved for clients: no ticket grants ticket:* or gatepass:*")
            }
            Self::Client { scope, client } => write!(f, "{scope} is not in the scope of the client {client}"),
            Self::Session { scope } => write!(f, "{scope} is not in the scope that the session still has"),
        }
    }
}

impl core::error::Error for ScopeLimit {}

impl ScopeLimit {
    /// Checks that no part of `scope` is reserved.
    pub(crate) fn unreserved(scope: &Scope) -> Result<(), Self> {
        match scope.tokens().find(|token| Scope::is_reserved(token)) {
            None => Ok(()),
            Some(token) => Err(Self::Reserved { scope: told(token) }),
        }
    }

    /// Checks that `client` may have all of `scope` itself.
    pub(crate) fn of_client(scope: &Scope, client: &Client) -> Result<(), Self> {
        match beyond(scope, &client.scope) {
            None => Ok(()),
            Some(scope) => Err(Self::Client { scope, client: client.id.clone() }),
        }
    }

    /// Checks that a session that still has `granted` has all of `scope`.
    pub(crate) fn of_session(scope: &Scope, granted: &Scope) -> Result<(), Self> {
        beyond(scope, granted).map_or(Ok(()), |scope| Err(Self::Session { scope }))
    }
}

/// Returns the first part of `scope` that is not in `limit`.
fn beyond(scope: &Scope, limit: &Scope) -> Option<String> {
    scope.tokens().find(|token| !limit.contains(token)).map(told)
}

fn told(token: &str) -> String {
    match token.split_at_checked(TOLD) {
        Some((begin, more)) if !more.is_empty() => alloc::format!("{begin}..."),
        Some(_) | None => token.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::client::tests::client;
    use alloc::string::ToString;

    #[test]
    fn the_part_and_the_limit_are_named() {
        let scope = |text: &str| Scope::parse(text).unwrap();
        let backend = client("backend", "a b", "s");
        let text = |checked: Result<(), ScopeLimit>| checked.err().map(|limit| limit.to_string());
        assert_eq!(text(ScopeLimit::of_client(&scope("b a"), &backend)), None);
        assert_eq!(
            text(ScopeLimit::of_client(&scope("a c d"), &backend)).as_deref(),
            Some("c is not in the scope of the client backend")
        );
        assert_eq!(
            text(ScopeLimit::unreserved(&scope("a ticket:issue"))).as_deref(),
            Some("ticket:issue is reserved for clients: no ticket grants ticket:* or gatepass:*")
        );
        assert_eq!(
            text(ScopeLimit::of_session(&scope("a b"), &scope("a"))).as_deref(),
            Some("b is not in the scope that the session still has")
        );
        let long = "x".repeat(65);
        assert_eq!(beyond(&scope(&long), &scope("")), Some("x".repeat(64) + "..."));
    }
}
