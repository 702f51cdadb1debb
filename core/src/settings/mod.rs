//! What an operator may set, as the core needs it.

mod risk;

use alloc::{borrow::ToOwned, format, string::String};
use core::fmt;

pub use risk::{RiskRules, Weights};

use crate::base::codes::codes;
use crate::records::factor::{AskFactor, OtpParameters};
use crate::records::scope::Scope;
use crate::records::session::Purpose;

/// The issuer's identifier: an absolute `http` or `https` URL without query and fragment (RFC 8414 §2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer(String);

/// A text that cannot be an issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadIssuer;

impl fmt::Display for BadIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "an issuer is http:// or https:// with a host, and no user, query, fragment or white space",
        )
    }
}

impl core::error::Error for BadIssuer {}

impl Issuer {
    /// Reads an issuer.
    ///
    /// # Errors
    /// [`BadIssuer`] where it is not an absolute http(s) URL with a host, or has more than a path.
    pub fn parse(text: &str) -> Result<Self, BadIssuer> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or(BadIssuer)?;
        let authority = rest.split('/').next().unwrap_or_default();
        let plain = text
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'"' | b'\\' | b'<' | b'>'));
        if authority.is_empty() || authority.starts_with(':') || authority.contains('@') || !plain {
            return Err(BadIssuer);
        }
        Ok(Self(text.to_owned()))
    }

    /// The identifier, exactly as the `iss` claim has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its `host` or `host:port`.
    pub fn authority(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default()
    }

    /// The URL of `path` below it.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.0.trim_end_matches('/'))
    }
}

/// How long passwords last. Off by default: NIST SP 800-63B §5.1.1.2 asks not to have them changed for their age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordAge {
    /// Until a password expires, in seconds.
    pub life: u32,
    /// How long before that it is said, in seconds.
    pub warning: u32,
    /// How long after that it still signs in, in seconds.
    pub grace: u32,
}

codes! {
    /// What becomes of somebody who should show a second factor and has none.
    Unenrolled {
        /// They are signed in.
        SignIn = "sign_in",
        /// They are refused.
        Refuse = "refuse",
        /// They get a token that is good for enrolling, and nothing else.
        Enrol = "enrol",
    }
}

/// When a second factor is asked for. A person's own setting goes before everything, then what holds for
/// impersonations, then the client's, then the general one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecondFactorRules {
    /// In general.
    pub ask: AskFactor,
    /// Of somebody who acts as somebody else.
    pub ask_actor: AskFactor,
    /// Of somebody who has none.
    pub unenrolled: Unenrolled,
}

codes! {
    /// What becomes of a ticket that is redeemed at another address than the one its issuer named.
    AddressMismatch {
        /// It is refused, and spent.
        Refuse = "refuse",
        /// It is a signal of risk.
        Risk = "risk",
    }
}

/// Lifetimes and defaults. Every lifetime is in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Who issues the tokens.
    pub issuer: Issuer,
    /// Access tokens of people.
    pub user_token_lifetime: u32,
    /// Access tokens of services.
    pub client_token_lifetime: u32,
    /// Tickets that do not say; at most [`MAX_LIFETIME`](crate::records::ticket::MAX_LIFETIME).
    pub ticket_lifetime: u32,
    /// Sessions, from sign-in to the end, however often they are refreshed.
    pub session_lifetime: u32,
    /// Refresh tokens that are not used.
    pub refresh_lifetime: u32,
    /// How long a used refresh token brings the same successor again, while that one is unused; 0 = not at all.
    pub refresh_grace: u32,
    /// Sessions of somebody acting as another.
    pub impersonation_lifetime: u32,
    /// The scope of tickets that do not say.
    pub user_scope: Scope,
    /// When a second factor is asked for.
    pub second_factor: SecondFactorRules,
    /// What a sign-in's risk is judged by.
    pub risk: RiskRules,
    /// What becomes of a ticket that is redeemed at another address than the one its issuer named.
    pub address_mismatch: AddressMismatch,
    /// The fewest characters of a new password.
    pub password_length: u32,
    /// How long passwords last, where they do not last for ever.
    pub password_age: Option<PasswordAge>,
    /// How new TOTP devices make their codes.
    pub totp: OtpParameters,
    /// The one tenant, where the deployment has a name for it.
    pub tenant: Option<String>,
    /// How long a request with an `Idempotency-Key` that redeemed a ticket or answered a challenge is given the same answer
    /// again; 0 = not at all.
    pub redeem_grace: u32,
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
    /// and six digits, no tenant, and 60 seconds in which an answer comes again.
    pub fn new(issuer: Issuer) -> Self {
        Self {
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
            password_length: 8,
            password_age: None,
            totp: OtpParameters::DEFAULT,
            tenant: None,
            redeem_grace: 60,
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
            assert_eq!(Issuer::parse(bad), Err(BadIssuer), "{bad}");
        }
        assert_eq!(Issuer::parse("https://[::1]:80/x").unwrap().authority(), "[::1]:80");
        assert_eq!(Issuer::parse("https://x/").unwrap().url("/userinfo"), "https://x/userinfo");
    }
}
