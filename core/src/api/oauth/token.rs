//! `POST /oauth2/token`: client credentials (RFC 6749 §4.4), and [`Refresh`] for a refresh token.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use core::convert::Infallible;

use crate::api::auth::refresh::{PendingRefresh, Refresh};
use crate::api::description::Description;
use crate::api::endpoint::{Basis, Call, Decided, Endpoint, ParsedRequest};
use crate::api::oauth::client_auth::{ClientForm, authenticated, claim_of_caller, credentials, posted_form};
use crate::api::reply::Reply;
use crate::api::shapes::AccessToken;
use crate::api::tokens::ClientToken;
use crate::base::secret::SecretText;
use crate::http::oauth_error::OAuthError;
use crate::http::response::Response;
use crate::http::shape::{ReadForm, form};
use crate::policy::administration::CLIENT_LIFETIME;
use crate::policy::resources::Resources;
use crate::policy::scope_limit::ScopeLimit;
use crate::records::client::AuthenticatedClient;
use crate::records::client_credentials::{ClientClaim, ClientCredentials};
use crate::records::scope::{Scope, ScopeError};
use crate::settings::Settings;
use crate::store::query::{Query, Records, TokenQuery};

/// A request for a token, by its grant type.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) enum Token {
    ClientCredentials { credentials: ClientCredentials, scope: Option<String>, resources: Resources },
    RefreshToken(Refresh),
}

form! {
    /// A request for a token.
    struct TokenForm<'a> {
        /// `client_credentials` or `refresh_token`.
        grant_type: &'a str [names(GRANTS)] = "client_credentials",
        /// The scope: names with one space between.
        scope: Option<&'a str> = "ticket:issue",
        /// The refresh token, for its grant alone.
        refresh_token: Option<&'a str>,
        /// The audiences that the token is for, among those of the client (RFC 8707). It may be repeated.
        resource: Resources,
        ..client: ClientForm<'a>,
    }
}

/// The grant types that are served.
const GRANTS: &[&str] = &["client_credentials", "refresh_token"];

impl Endpoint for Token {
    const DESCRIPTION: Description = Description::new("Issues an access token")
        .posts::<TokenForm<'_>>()
        .guesses()
        .answers::<AccessToken<'_>>(200)
        .fails(&[
            "invalid_request",
            "invalid_scope",
            "invalid_grant",
            "invalid_target",
            "unsupported_grant_type",
        ]);

    fn parse(call: &Call<'_>) -> Result<Self, Reply> {
        let form = posted_form(call.request)?;
        let form = TokenForm::of_form(&form)?;
        let TokenForm { grant_type: grant, scope, refresh_token, resource: resources, client } = form;
        if !GRANTS.contains(&grant) {
            return Err(OAuthError::UnsupportedGrantType.into());
        }
        let credentials = credentials(call, &client)?;
        if grant == "client_credentials" {
            let scope = scope.map(String::from);
            return Ok(Self::ClientCredentials { credentials, scope, resources });
        }
        let missing = OAuthError::InvalidRequest("refresh_token is required".into());
        let token = SecretText::new(refresh_token.ok_or(missing)?.into());
        let scope = scope.map(Scope::parse).transpose();
        let scope = scope.map_err(malformed)?;
        Ok(Self::RefreshToken(Refresh::grant(credentials, token, scope, resources)))
    }
}

impl ParsedRequest for Token {
    type Pending = PendingRefresh;
    type Hash = Infallible;

    fn query(&self) -> Query {
        match self {
            Self::ClientCredentials { credentials, .. } => match credentials.assertion() {
                None => Query::Client(credentials.id.clone()),
                Some(assertion) => {
                    let (caller, assertion) = (Some(credentials.id.clone()), Some(assertion.digest()));
                    Query::Token(TokenQuery { caller, access: None, refresh: None, assertion })
                }
            },
            Self::RefreshToken(refresh) => refresh.query(),
        }
    }

    fn client<'a>(&'a self, basis: &Basis<'_>, records: &'a Records) -> Option<ClientClaim<'a>> {
        match self {
            Self::RefreshToken(refresh) => refresh.client(basis, records),
            Self::ClientCredentials { credentials, .. } => {
                if let Records::Token(records) = records {
                    return Some(claim_of_caller(credentials, records));
                }
                let Records::Client(client) = records else { return None };
                Some(ClientClaim::new(credentials, client.as_ref()))
            }
        }
    }

    fn decide(&self, basis: &Basis<'_>, records: Records) -> Decided<PendingRefresh> {
        match self {
            Self::RefreshToken(refresh) => refresh.decide(basis, records),
            Self::ClientCredentials { credentials, scope, resources } => {
                let client = if let Records::Token(records) = records {
                    records.caller
                } else {
                    let Records::Client(client) = records else { return Err(basis.ctx.internal()) };
                    client
                };
                let client = authenticated(basis, credentials, client.as_ref())?;
                Ok(Reply::from(token(basis, &client, scope.as_deref(), resources)?).succeeded().into())
            }
        }
    }
}

/// Makes a token for the client itself.
fn token(
    basis: &Basis<'_>,
    client: &AuthenticatedClient<'_>,
    scope: Option<&str>,
    resources: &Resources,
) -> Result<Response, Reply> {
    let scope = granted_scope(scope, client, basis.settings())?;
    let (ctx, client) = (basis.ctx, client.client());
    let issuer = basis.settings().issuer.as_str();
    let known = |resource: &str| resource == issuer || client.audiences.iter().any(|known| known == resource);
    resources.check(known).map_err(|unknown| OAuthError::InvalidTarget(unknown.to_string().into()))?;
    let lifetime = client.token_lifetime.unwrap_or(basis.settings().client_token_lifetime);
    let longest = if scope.contains(Scope::ADMIN) { CLIENT_LIFETIME } else { u32::MAX };
    let lifetime = lifetime.min(longest).into();
    basis.require_signing_key(Some(client))?;
    let token = ClientToken { client, scope: &scope, resources, state_epoch: basis.state_epoch, lifetime };
    let access_token = token.sign(ctx, basis.engine);
    let access_token = access_token.ok_or_else(|| ctx.internal())?;
    let body = AccessToken {
        access_token: access_token.expose(),
        expires_in: lifetime,
        token_type: "Bearer",
        scope: scope.as_str(),
        refresh_token: None,
    };
    Ok(Response::json(200, &body).uncached())
}

fn malformed(_: ScopeError) -> OAuthError {
    let rule = "scope is malformed: names with one space between, without quotes and backslashes";
    OAuthError::InvalidScope(Cow::Borrowed(rule))
}

/// Returns the scope that the client asked for, if it may have all of it, or else its default scope.
fn granted_scope(
    asked: Option<&str>,
    client: &AuthenticatedClient<'_>,
    settings: &Settings,
) -> Result<Scope, OAuthError> {
    let client = client.client();
    let Some(asked) = asked else {
        return if client.default_scope.is_empty() {
            Err(OAuthError::InvalidScope("scope is required: the client has no default scope".into()))
        } else {
            Ok(client.default_scope.clone())
        };
    };
    match Scope::parse(asked) {
        Err(error) => Err(malformed(error)),
        Ok(scope) => match ScopeLimit::of_client_token(&scope, client, settings) {
            Err(limit) => Err(OAuthError::InvalidScope(limit.to_string().into())),
            Ok(()) => Ok(scope),
        },
    }
}
