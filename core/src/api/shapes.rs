//! The bodies of the answers, field by field as the origin documents have them. A key that does not apply is
//! absent, except in [`UserInfo`], whose seven keys are always there.

use alloc::{string::String, vec::Vec};

use serde::Serialize;
use serde_json::Value;

use crate::http::shape::answer;
use crate::jose::claims::{Actor, Audience};
use crate::policy::password::{Standing, Warning};
use crate::records::client::Client;
use crate::records::scope::Scope;
use crate::records::session::Purpose;
use crate::records::user::User;

/// The risk of a sign-in: `dto.RiskAssessmentInfo`.
#[derive(Serialize)]
pub(crate) struct RiskAssessment<'a> {
    pub(crate) level: &'static str,
    pub(crate) score: u8,
    pub(crate) require_mfa: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(crate) recommended_mfa_methods: &'a [&'static str],
}

/// The result of a sign-in that waits for a second factor: `dto.LoginResponse` without tokens and without `user`.
#[derive(Serialize)]
pub(crate) struct ChallengeResponse<'a> {
    pub(crate) requires_mfa: bool,
    pub(crate) challenge_token: &'a str,
    pub(crate) required_mfa_methods: &'a [&'static str],
    pub(crate) mfa_check_reason: &'static str,
    pub(crate) risk_level: &'static str,
    pub(crate) risk_assessment: RiskAssessment<'a>,
}

/// The result of a sign-in: `dto.LoginResponse`.
#[derive(Serialize)]
pub(crate) struct LoginResponse<'a> {
    access_token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    token_type: &'static str,
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Account<'a>>,
    user_id: &'a str,
    #[serde(flatten)]
    password: PasswordNotice,
    requires_mfa: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mfa_check_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) required_mfa_methods: Option<&'a [&'static str]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    risk_level: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    risk_assessment: Option<RiskAssessment<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    must_enrol: Option<bool>,
}

impl<'a> LoginResponse<'a> {
    /// Tokens for `user`; the access token with its life in seconds. A session that is good for one thing alone says which, and nothing of
    /// the account: it is no sign-in yet.
    pub(crate) fn new(
        (access_token, expires_in): (&'a str, u64),
        refresh_token: Option<&'a str>,
        user: &'a User,
        password: Standing,
        purpose: Purpose,
    ) -> Self {
        let whole = purpose == Purpose::Anything;
        Self {
            access_token,
            refresh_token,
            token_type: "Bearer",
            expires_in,
            user: whole.then(|| Account::new(user, password)),
            user_id: user.id.as_str(),
            password: password.into(),
            requires_mfa: false,
            mfa_check_reason: None,
            required_mfa_methods: None,
            risk_level: None,
            risk_assessment: None,
            must_enrol: (purpose == Purpose::Enrol).then_some(true),
        }
    }

    /// The same, with how the sign-in was judged.
    pub(crate) fn judged(self, risk: RiskAssessment<'a>) -> Self {
        Self { risk_level: Some(risk.level), risk_assessment: Some(risk), ..self }
    }
}

/// The age of a password, in the answer and in its `user`.
#[derive(Serialize)]
struct PasswordNotice {
    must_change_password: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    password_expires_in: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password_warning: Option<&'static str>,
}

impl From<Standing> for PasswordNotice {
    fn from(standing: Standing) -> Self {
        Self {
            must_change_password: standing.must_change,
            password_expires_in: standing.expires_in,
            password_warning: standing.warning.map(Warning::as_str),
        }
    }
}

/// The account of who signed in: `dto.UserInfo`.
#[derive(Serialize)]
struct Account<'a> {
    id: &'a str,
    username: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<&'a str>,
    status: &'static str,
    created_at: String,
    #[serde(flatten)]
    password: PasswordNotice,
}

impl<'a> Account<'a> {
    fn new(user: &'a User, password: Standing) -> Self {
        Self {
            id: user.id.as_str(),
            username: user.username.as_str(),
            email: user.email.as_deref(),
            phone: user.phone.as_deref(),
            status: user.status.as_str(),
            created_at: user.created_at.rfc3339(),
            password: password.into(),
        }
    }
}

/// The token endpoint's success (RFC 6749 §5.1).
#[derive(Serialize)]
pub(crate) struct AccessToken<'a> {
    pub(crate) access_token: &'a str,
    pub(crate) expires_in: u64,
    pub(crate) token_type: &'static str,
    pub(crate) scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refresh_token: Option<&'a str>,
}

/// The answer of introspection (RFC 7662 §2.2). An inactive token has no other member.
#[derive(Serialize, Default)]
pub(crate) struct Introspection<'a> {
    pub(crate) active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exp: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) iat: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sub: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) aud: Option<Audience<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jti: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) act: Option<Actor<'a>>,
}

answer! {
    /// A TOTP device that was just set up. It counts once a first code was verified.
    pub(crate) struct Enrolment<'a> {
        /// The device's id.
        device_id: &'a str = "dev_AAAAAAAAAAAAAAAAAAAAAA",
        /// The secret, in Base32, for typing it in.
        secret: &'a str,
        /// An image of `qr_code_url`, as a data URI.
        qr_code: &'a str,
        /// The `otpauth://` URI.
        qr_code_url: &'a str,
        /// The backup codes, with the first device alone.
        backup_codes: Option<Vec<&'a str>>,
    }
}

/// A TOTP device as its owner sees it.
#[derive(Serialize)]
pub(crate) struct DeviceEntry<'a> {
    pub(crate) device_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) device_name: Option<&'a str>,
    pub(crate) algorithm: &'static str,
    pub(crate) digits: u8,
    pub(crate) period: u64,
    pub(crate) verified: bool,
    pub(crate) created_at: String,
}

/// A session as its owner sees it.
#[derive(Serialize)]
pub(crate) struct SessionEntry<'a> {
    pub(crate) id: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) scope: &'a str,
    pub(crate) created_at: String,
    pub(crate) expires_at: String,
    pub(crate) current: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) actor: Option<&'a str>,
}

answer! {
    /// A ticket that was just issued.
    pub(crate) struct IssuedTicket<'a> {
        /// The ticket. It is shown here alone.
        ticket: &'a str = "tkt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        /// Its lifetime in seconds.
        expires_in: u32 = 120,
    }
}

/// The person or service of a token: seven keys that are always there, then the OpenID Connect names (Core §5.1) that the
/// granted scope brings.
#[derive(Serialize)]
pub(crate) struct UserInfo<'a> {
    sub: &'a str,
    #[serde(rename = "userName")]
    user_name: &'a str,
    name: Option<&'a str>,
    #[serde(rename = "phoneNumber")]
    phone_number_origin: Option<&'a str>,
    email: Option<&'a str>,
    gender: Option<&'static str>,
    address: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    preferred_username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_verified: Option<bool>,
}

impl<'a> UserInfo<'a> {
    /// For a person's token with `scope`.
    pub(crate) fn of_user(user: &'a User, scope: &Scope) -> Self {
        let profile = scope.contains("profile");
        Self {
            sub: user.id.as_str(),
            user_name: user.username.as_str(),
            name: user.name.as_deref(),
            phone_number_origin: user.phone.as_deref(),
            email: user.email.as_deref(),
            gender: user.gender.map(|g| g.as_str()),
            address: user
                .address
                .as_deref()
                .and_then(|a| serde_json::from_str(a).ok())
                .unwrap_or(Value::Null),
            preferred_username: profile.then_some(user.username.as_str()),
            updated_at: profile.then_some(user.updated_at.unix()),
            phone_number: user.phone.as_deref().filter(|_| scope.contains("phone")),
            // Nothing here ever verifies an address, and the claim must not suggest it.
            email_verified: user.email.as_ref().filter(|_| scope.contains("email")).map(|_| false),
        }
    }

    /// For a service's own token.
    pub(crate) fn of_client(client: &'a Client) -> Self {
        Self {
            sub: client.id.as_str(),
            user_name: client.id.as_str(),
            name: client.name.as_deref(),
            phone_number_origin: None,
            email: None,
            gender: None,
            address: Value::Null,
            preferred_username: None,
            updated_at: None,
            phone_number: None,
            email_verified: None,
        }
    }
}

/// Authorization server metadata (RFC 8414 §2).
#[derive(Serialize)]
pub(crate) struct Metadata<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) token_endpoint: String,
    pub(crate) userinfo_endpoint: String,
    pub(crate) jwks_uri: String,
    pub(crate) introspection_endpoint: String,
    pub(crate) revocation_endpoint: String,
    pub(crate) scopes_supported: Vec<&'a str>,
    pub(crate) response_types_supported: &'static [&'static str],
    pub(crate) grant_types_supported: &'static [&'static str],
    pub(crate) token_endpoint_auth_methods_supported: &'static [&'static str],
    pub(crate) token_endpoint_auth_signing_alg_values_supported: &'static [&'static str],
    pub(crate) introspection_endpoint_auth_methods_supported: &'static [&'static str],
    pub(crate) introspection_endpoint_auth_signing_alg_values_supported: &'static [&'static str],
    pub(crate) revocation_endpoint_auth_methods_supported: &'static [&'static str],
    pub(crate) revocation_endpoint_auth_signing_alg_values_supported: &'static [&'static str],
}

/// The same with what OpenID Connect Discovery §3 requires beside it. No ID token is issued here; the algorithms
/// are those of the published keys.
#[derive(Serialize)]
pub(crate) struct OpenIdMetadata<'a> {
    #[serde(flatten)]
    pub(crate) metadata: Metadata<'a>,
    pub(crate) subject_types_supported: &'static [&'static str],
    pub(crate) id_token_signing_alg_values_supported: Vec<&'static str>,
}
