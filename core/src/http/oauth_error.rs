//! Errors as OAuth has them: RFC 6749 §5.2 at `/oauth2`, RFC 6750 §3 at `/userinfo`.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};

use serde::Serialize;

use crate::base::form::FormError;
use crate::http::language::Language;
use crate::http::problem::{Problem, RETRY_AFTER};
use crate::http::request::HeaderError;
use crate::http::response::Response;

/// The realm of every challenge.
const REALM: &str = "gatepass";

const TOO_MANY: &str = "too many failed attempts from this address, try again later";

#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    error_description: &'a str,
}

/// The challenge to a client that has to authenticate.
pub(crate) fn basic_challenge() -> String {
    alloc::format!("Basic realm=\"{REALM}\", charset=\"UTF-8\"")
}

/// An error of the token endpoint (RFC 6749 §5.2). The text is the `error_description`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OAuthError {
    /// 400 `invalid_request`
    InvalidRequest(Cow<'static, str>),
    /// 401 `invalid_client`: one answer for an unknown client, a disabled one and a wrong secret.
    InvalidClient,
    /// 401 `invalid_client`: no credentials that could be compared with any client's. The text is the `error_description`.
    NoCredentials(Cow<'static, str>),
    /// 400 `invalid_scope`
    InvalidScope(Cow<'static, str>),
    /// 400 `invalid_target` (RFC 8707 §2)
    InvalidTarget(Cow<'static, str>),
    /// 400 `invalid_grant`: one answer for an unknown refresh token, an expired one, a used one and another client's.
    InvalidGrant,
    /// 400 `unsupported_grant_type`
    UnsupportedGrantType,
    /// 405 `invalid_request`
    MethodNotAllowed,
    /// 415 `invalid_request`: the body is no form.
    UnsupportedMediaType,
    /// 415 `invalid_request`: the body has a content coding.
    UnsupportedContentCoding,
    /// 500 `server_error`
    ServerError,
    /// 503 `temporarily_unavailable`
    TemporarilyUnavailable,
    /// 429 `temporarily_unavailable`: too many wrong secrets from this address.
    TooManyRequests,
}

impl From<HeaderError> for OAuthError {
    fn from(error: HeaderError) -> Self {
        Self::InvalidRequest(error.to_string().into())
    }
}

impl From<FormError> for OAuthError {
    fn from(error: FormError) -> Self {
        Self::InvalidRequest(error.to_string().into())
    }
}

impl OAuthError {
    /// The answer.
    pub fn response(self) -> Response {
        let coded = self == Self::UnsupportedContentCoding;
        let (status, error, error_description): (_, _, Cow<'static, str>) = match self {
            Self::InvalidRequest(why) => (400, "invalid_request", why),
            Self::InvalidClient => (401, "invalid_client", "client authentication failed".into()),
            Self::NoCredentials(why) => (401, "invalid_client", why),
            Self::InvalidScope(why) => (400, "invalid_scope", why),
            Self::InvalidTarget(why) => (400, "invalid_target", why),
            Self::InvalidGrant => {
                (400, "invalid_grant", "the refresh token is invalid, expired or already used".into())
            }
            Self::UnsupportedGrantType => (
                400,
                "unsupported_grant_type",
                "the grant types served here are client_credentials and refresh_token".into(),
            ),
            Self::MethodNotAllowed => {
                (405, "invalid_request", Problem::MethodNotAllowed.message(Language::English).into())
            }
            Self::UnsupportedMediaType => (
                415,
                "invalid_request",
                "the body must be application/x-www-form-urlencoded, and the Content-Type header must say so"
                    .into(),
            ),
            Self::UnsupportedContentCoding => {
                (415, "invalid_request", Problem::UnsupportedContentCoding.message(Language::English).into())
            }
            Self::ServerError => (500, "server_error", "internal error".into()),
            Self::TemporarilyUnavailable => (503, "temporarily_unavailable", "try again".into()),
            Self::TooManyRequests => (429, "temporarily_unavailable", TOO_MANY.into()),
        };
        let response =
            Response::json(status, &Body { error: Some(error), error_description: &error_description })
                .uncached();
        match status {
            415 if coded => response.with("accept-encoding", "identity"),
            // RFC 9110 §15.5.2 wants a challenge with every 401, whichever way the client tried.
            401 => response.with("www-authenticate", basic_challenge()),
            503 => response.with("retry-after", RETRY_AFTER),
            _ => response,
        }
    }
}

/// An error of a bearer endpoint (RFC 6750 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BearerError {
    /// 401 without an error code: no token was sent (RFC 6750 §3.1).
    Missing,
    /// 400 `invalid_request`: two tokens, or a malformed header or form. The text is the `error_description`.
    InvalidRequest(Cow<'static, str>),
    /// 401 `invalid_token`
    InvalidToken,
    /// 403 `insufficient_scope`
    InsufficientScope,
    /// 500
    ServerError,
    /// 503
    TemporarilyUnavailable,
    /// 429: too many wrong passwords, codes or secrets from this address.
    TooManyRequests,
}

impl From<HeaderError> for BearerError {
    fn from(error: HeaderError) -> Self {
        Self::InvalidRequest(error.to_string().into())
    }
}

impl From<FormError> for BearerError {
    fn from(error: FormError) -> Self {
        Self::InvalidRequest(error.to_string().into())
    }
}

impl BearerError {
    /// The answer.
    pub fn response(self) -> Response {
        let (status, error, error_description): (_, _, Cow<'static, str>) = match self {
            Self::Missing => (401, None, "a bearer token is required".into()),
            Self::InvalidRequest(why) => (400, Some("invalid_request"), why),
            Self::InvalidToken => {
                (401, Some("invalid_token"), "the token is invalid, expired or revoked".into())
            }
            Self::InsufficientScope => {
                (403, Some("insufficient_scope"), "the token is not good for this".into())
            }
            Self::ServerError => (500, Some("server_error"), "internal error".into()),
            Self::TemporarilyUnavailable => (503, Some("temporarily_unavailable"), "try again".into()),
            Self::TooManyRequests => (429, Some("temporarily_unavailable"), TOO_MANY.into()),
        };
        let response =
            Response::json(status, &Body { error, error_description: &error_description }).uncached();
        match (status, error) {
            (503, _) => response.with("retry-after", RETRY_AFTER),
            (400 | 401 | 403, Some(error)) => response.with(
                "www-authenticate",
                alloc::format!(
                    "Bearer realm=\"{REALM}\", error=\"{error}\", error_description=\"{error_description}\""
                ),
            ),
            (400 | 401 | 403, None) => {
                response.with("www-authenticate", alloc::format!("Bearer realm=\"{REALM}\""))
            }
            _ => response,
        }
    }
}
