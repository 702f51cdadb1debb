//! The settings of the core.

mod risk;
mod totp_issuer;

use alloc::{borrow::ToOwned, format, string::String};
use core::fmt;

pub use risk::{RiskRules, Weights};
pub use totp_issuer::{TotpIssuer, TotpIssuerError};

use crate::base::codes::codes;
use crate::records::factor::{AskFactor, OtpParameters};
use crate::records::scope::Scope;
use crate::records::session::Purpose;

/// The issuer's identifier: an absolute `http` or `https` URL without query and fragment (RFC 8414 §2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer(String);

/// A text that cannot be an issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IssuerError;

impl fmt::Display for IssuerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "an issuer is http:// or https:// with a host, and no user, query, fragment or white space",
        )
    }
}

impl core::error::Error for IssuerError {}

impl Issuer {
    /// Reads an issuer.
    ///
    /// # Errors
    /// [`IssuerError`] where it is not an absolute http(s) URL with a host, or has more than a path.
    pub fn parse(text: &str) -> Result<Self, IssuerError> {
        let rest =
            text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or(IssuerError)?;
        let authority = rest.split('/').next().unwrap_or_default();
        let plain = text
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'"' | b'\\' | b'<' | b'>'));
        if authority.is_empty() || authority.starts_with(':') || authority.contains('@') || !plain {
            return Err(IssuerError);
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns the identifier, exactly as the `iss` claim has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns its `host` or `host:port`.
    pub fn authority(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default()
    }

    /// Returns its path without the slashes around it; empty where it has none.
    pub(crate) fn path(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        rest.split_once('/').map_or("", |(_, path)| path.trim_end_matches('/'))
    }

    /// Returns the URL of `path` below it.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.0.trim_end_matches('/'))
    }
}

/// The life of passwords. Off by default: NIST SP 800-63B §5.1.1.2 advises against changes by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PasswordAge {
    /// The life of a password, in seconds.
    pub life: u32,
    /// The time before the end in which sign-ins are warned, in seconds.
    pub warning: u32,
    /// The time after the end in which the password still signs in, in seconds.
    pub grace: u32,
}

impl PasswordAge {
    /// Passwords expire after `life` seconds. That is said `warning` seconds before, and they sign in for `grace` seconds after.
    pub const fn new(life: u32, warning: u32, grace: u32) -> Self {
        Self { life, warning, grace }
    }
}

codes! {
    /// The treatment of users who should show a second factor and have none.
    Unenrolled {
        /// The user is signed in.
        SignIn = "sign_in",
        /// The user is refused.
        Refuse = "refuse",
        /// The user gets a token that is good for enrolling alone.
        Enrol = "enrol",
    }
}

/// The rules about second factors. The user's own rule comes first, then the rule for
/// impersonations, then the client's, then the general one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecondFactorRules {
    /// The general rule.
    pub ask: AskFactor,
    /// The rule for actors.
    pub ask_actor: AskFactor,
    /// The treatment of users who have none.
    pub unenrolled: Unenrolled,
}

codes! {
    /// The treatment of a ticket that is redeemed at another address than its issuer named.
    AddressMismatch {
        /// The ticket is refused, and spent.
        Refuse = "refuse",
        /// The other address is a signal of risk.
        Risk = "risk",
    }
}

codes! {
    /// Those who may read the metrics without a token.
    MetricsReaders {
        /// Programs on the same machine, unless a proxy has forwarded the request.
        Loopback = "loopback",
        /// Nobody.
        Off = "off",
        /// Everybody.
        Everyone = "everyone",
    }
}

/// Lifetimes and defaults. Every lifetime is in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// The issuer of the tokens.
    pub issuer: Issuer,
    /// The life of people's access tokens.
    pub user_token_lifetime: u32,
    /// The life of services' access tokens.
    pub client_token_lifetime: u32,
    /// The life of a ticket whose request does not name one; at most [`MAX_LIFETIME`](crate::records::ticket::MAX_LIFETIME).
    pub ticket_lifetime: u32,
    /// The life of a session, however often it is refreshed.
    pub session_lifetime: u32,
    /// The life of an unused refresh token.
    pub refresh_lifetime: u32,
    /// The time in which a used refresh token returns the same successor again, while that one is unused; 0 switches it off.
    pub refresh_grace: u32,
    /// The life of a session of somebody who acts as another.
    pub impersonation_lifetime: u32,
    /// The scope of a ticket whose request does not name one.
    pub user_scope: Scope,
    /// The rules about second factors.
    pub second_factor: SecondFactorRules,
    /// The rules about risk.
    pub risk: RiskRules,
    /// The treatment of a ticket that is redeemed at another address than its issuer named.
    pub address_mismatch: AddressMismatch,
    /// Those who may read the metrics without a token; whoever has a role may always read them.
    pub metrics: MetricsReaders,
    /// The fewest characters of a new password.
    pub password_length: u32,
    /// The life of passwords; none is for ever.
    pub password_age: Option<PasswordAge>,
    /// The parameters of new TOTP devices.
    pub totp: OtpParameters,
    /// The name of this server in authenticators.
    pub totp_issuer: TotpIssuer,
    /// The time in seconds for which others may keep a copy of the key set. A key signs once it has been in the set for that and a
    /// minute more.
    pub key_set_lifetime: u32,
    /// The name of the one tenant, if it has one.
    pub tenant: Option<String>,
    /// The time in which a request with an `Idempotency-Key` that redeemed a ticket or answered a challenge gets the same answer
    /// again; 0 switches it off.
    pub redeem_grace: u32,
    /// True if nobody may have two roles of administration.
    pub separate_roles: bool,
}

impl Settings {
    /// Returns how long a session of `purpose` lasts, in seconds.
    pub(crate) const fn lifetime_of_session(&self, purpose: Purpose, impersonated: bool) -> u32 {
        match (purpose, impersonated) {
            (Purpose::Enrol | Purpose::ChangePassword, _) => self.user_token_lifetime,
            (Purpose::Anything, false) => self.session_lifetime,
            (Purpose::Anything, true) => self.impersonation_lifetime,
        }
    }

    /// The defaults: people 30 minutes, services an hour, tickets 5 minutes, sessions 30 days, refresh tokens 14 days
    /// with 10 seconds of grace, impersonation 30 minutes, scope `profile`, a second factor where the risk calls for one
    /// and always of an actor, whoever has none being signed in, passwords of eight characters that last, TOTP with SHA-1
    /// and six digits under the name of the issuer's host, no tenant, 60 seconds in which an answer comes again, and separate roles.
    ///
    /// Every setting is a public member, to be changed afterwards:
    ///
    /// ```
    /// use gatepass_core::{Issuer, Settings};
    ///
    /// let mut settings = Settings::new(Issuer::parse("https://gate.example")?);
    /// settings.ticket_lifetime = 60;
    /// settings.risk.weights.new_device = 0;
    /// # Ok::<(), gatepass_core::settings::IssuerError>(())
    /// ```
    pub fn new(issuer: Issuer) -> Self {
        Self {
            totp_issuer: TotpIssuer::of(&issuer),
            issuer,
            user_token_lifetime: 1800,
            client_token_lifetime: 3600,
            ticket_lifetime: 300,
            session_lifetime: 30 * 86_400,
            refresh_lifetime: 14 * 86_400,
            refresh_grace: 10,
            impersonation_lifetime: 1800,
            user_scope: Scope::parse("profile").unwrap_or_default(),
            second_factor: SecondFactorRules {
                ask: AskFactor::Risk,
                ask_actor: AskFactor::Always,
                unenrolled: Unenrolled::SignIn,
            },
            risk: RiskRules::DEFAULT,
            address_mismatch: AddressMismatch::Refuse,
            metrics: MetricsReaders::Loopback,
            password_length: 8,
            password_age: None,
            totp: OtpParameters::DEFAULT,
            key_set_lifetime: 300,
            tenant: None,
            redeem_grace: 60,
            separate_roles: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_an_issuer() {
        for good in
            ["http://127.0.0.1:8080", "https://id.example", "https://id.example/gate", "http://[::1]:80/"]
        {
            assert!(Issuer::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "id.example",
            "ftp://x",
            "http://",
            "http:///x",
            "https://x?y",
            "https://x#y",
            "https://a@b",
            "http://x y",
            "http://:80",
        ] {
            assert_eq!(Issuer::parse(bad), Err(IssuerError), "{bad}");
        }
        assert_eq!(Issuer::parse("https://[::1]:80/x").unwrap().authority(), "[::1]:80");
        assert_eq!(Issuer::parse("https://x/").unwrap().url("/userinfo"), "https://x/userinfo");
        for (issuer, path) in [
            ("https://x", ""),
            ("https://x/", ""),
            ("https://x/gate", "gate"),
            ("https://x:80/gate/", "gate"),
            ("https://x/a/b", "a/b"),
        ] {
            assert_eq!(Issuer::parse(issuer).unwrap().path(), path, "{issuer}");
        }
    }
}
