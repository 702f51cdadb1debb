//! The limits of a scope that is asked for: which part of it cannot be granted, and whose limit that is.

use alloc::string::String;
use core::fmt;

use crate::policy::administration::roles_that_count;
use crate::records::client::Client;
use crate::records::id::ClientId;
use crate::records::scope::Scope;
use crate::records::user::User;
use crate::settings::Settings;

/// The longest part of a scope that is named whole, in bytes.
const LONGEST: usize = 64;

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
    /// It is administration, and the client has no role.
    ClientWithoutRole {
        /// The client.
        client: ClientId,
    },
    /// It is administration, and the user has no role.
    UserWithoutRole,
    /// It is administration, and a client signs the person in.
    SignedInByClient {
        /// The client.
        client: ClientId,
    },
    /// No sign-in by password has it.
    SignIn {
        /// The part.
        scope: String,
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
            Self::ClientWithoutRole { client } => {
                write!(f, "{} needs a role, and the client {client} has none", Scope::ADMIN)
            }
            Self::UserWithoutRole => write!(f, "{} needs a role, and the user has none", Scope::ADMIN),
            Self::SignedInByClient { client } => {
                write!(
                    f,
                    "{} is for people who sign in by themselves, not by the client {client}",
                    Scope::ADMIN
                )
            }
            Self::SignIn { scope } => write!(f, "{scope} is not in the scope of people who sign in"),
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
            Some(token) => Err(Self::Reserved { scope: shortened(token) }),
        }
    }

    /// Checks that a token of `client` may have all of `scope`: what the client may have itself, and administration if it has a role.
    pub(crate) fn of_client_token(scope: &Scope, client: &Client, settings: &Settings) -> Result<(), Self> {
        if !scope.contains(Scope::ADMIN) {
            return Self::of_client(scope, client);
        }
        Self::of_client(&scope.filtered(|token| token != Scope::ADMIN), client)?;
        if roles_that_count(client.roles, settings).is_empty() {
            return Err(Self::ClientWithoutRole { client: client.id.clone() });
        }
        Ok(())
    }

    /// Checks that a person who signs in by password, for `client` if one signs them in, may ask for `scope`. Whether they have a role
    /// is told only once the password was right.
    pub(crate) fn of_sign_in(
        scope: &Scope,
        client: Option<&Client>,
        settings: &Settings,
    ) -> Result<(), Self> {
        if let Some(client) = client.filter(|_| scope.contains(Scope::ADMIN)) {
            return Err(Self::SignedInByClient { client: client.id.clone() });
        }
        let scope = scope.filtered(|token| token != Scope::ADMIN);
        beyond(&scope, &settings.user_scope).map_or(Ok(()), |scope| Err(Self::SignIn { scope }))
    }

    /// Checks that `user` has a role, if `scope` has administration.
    pub(crate) fn of_user(scope: &Scope, user: &User, settings: &Settings) -> Result<(), Self> {
        if scope.contains(Scope::ADMIN) && roles_that_count(user.roles, settings).is_empty() {
            return Err(Self::UserWithoutRole);
        }
        Ok(())
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
    scope.tokens().find(|token| !limit.contains(token)).map(shortened)
}

fn shortened(token: &str) -> String {
    match token.split_at_checked(LONGEST) {
        Some((begin, more)) if !more.is_empty() => alloc::format!("{begin}..."),
        Some(_) | None => token.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::ticket_redemption::tests::user;
    use crate::records::client::tests::client;
    use crate::records::role::{Role, Roles};
    use crate::settings::Issuer;
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
        let settings = Settings::new(Issuer::parse("http://gate.example").unwrap());
        let asks = scope("a gatepass:admin");
        let officer = Client { roles: Roles::of(&[Role::Officer]), ..backend.clone() };
        for (asked, client, limit) in [
            (&asks, &officer, None),
            (&asks, &backend, Some("gatepass:admin needs a role, and the client backend has none")),
            (&scope("c gatepass:admin"), &officer, Some("c is not in the scope of the client backend")),
            (&scope("gatepass:x"), &officer, Some("gatepass:x is not in the scope of the client backend")),
        ] {
            assert_eq!(text(ScopeLimit::of_client_token(asked, client, &settings)).as_deref(), limit);
        }
        for (asked, client, limit) in [
            ("profile gatepass:admin", None, None),
            ("", None, None),
            ("profile", Some(&backend), None),
            ("profile email", None, Some("email is not in the scope of people who sign in")),
            ("gatepass:enrol", None, Some("gatepass:enrol is not in the scope of people who sign in")),
            (
                "gatepass:admin",
                Some(&officer),
                Some("gatepass:admin is for people who sign in by themselves, not by the client backend"),
            ),
        ] {
            assert_eq!(text(ScopeLimit::of_sign_in(&scope(asked), client, &settings)).as_deref(), limit);
        }
        let alice = user("alice");
        let boss = User { roles: Roles::of(&[Role::Auditor]), ..user("boss") };
        let without = "gatepass:admin needs a role, and the user has none";
        assert_eq!(text(ScopeLimit::of_user(&asks, &alice, &settings)).as_deref(), Some(without));
        assert_eq!(text(ScopeLimit::of_user(&scope("profile"), &alice, &settings)), None);
        assert_eq!(text(ScopeLimit::of_user(&asks, &boss, &settings)), None);
        let long = "x".repeat(65);
        assert_eq!(beyond(&scope(&long), &scope("")), Some("x".repeat(64) + "..."));
    }
}
