//! `POST /oauth2/token`: client credentials (RFC 6749 §4.4); a refresh token goes on in [`refresh`].

use alloc::string::String;

use crate::api::auth::refresh;
use crate::api::context::Context;
use crate::api::oauth::client_auth::{credentials, posted_form};
use crate::api::shapes::AccessToken;
use crate::api::step::Step;
use crate::api::tokens::{ClientToken, client_claims};
use crate::base::secret::SecretText;
use crate::crypto::seed::Label;
use crate::engine::Engine;
use crate::http::oauth_error::OAuthError;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::jose::claims::TokenType;
use crate::records::client::AuthenticatedClient;
use crate::records::client_credentials::ClientCredentials;
use crate::records::scope::Scope;
use crate::store::query::{Found, Query, Records};

/// Waits for the client.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Looking {
    ctx: Context,
    credentials: ClientCredentials,
    scope: Option<String>,
}

pub(crate) fn begin(ctx: Context, request: &Request) -> Step {
    ask(ctx, request).unwrap_or_else(Step::Reply)
}

fn ask(ctx: Context, request: &Request) -> Result<Step, Response> {
    let form = posted_form(&ctx, request)?;
    let grant = form
        .get("grant_type")
        .ok_or_else(|| OAuthError::InvalidRequest("grant_type is required").response())?;
    if !["client_credentials", "refresh_token"].contains(&grant) {
        return Err(OAuthError::UnsupportedGrantType.response());
    }
    let credentials = credentials(request, &form)?;
    let scope = form.get("scope");
    if grant == "client_credentials" {
        let query = Query::Client(credentials.id.clone());
        return Ok(Step::read(query, Looking { ctx, credentials, scope: scope.map(String::from) }));
    }
    let token = form.get("refresh_token").map(|token| SecretText::new(token.into()));
    let token = token.ok_or_else(|| OAuthError::InvalidRequest("refresh_token is required").response())?;
    let scope = scope.map(Scope::parse).transpose();
    let scope = scope.map_err(|_| OAuthError::InvalidScope("scope is malformed").response())?;
    Ok(refresh::begin_grant(ctx, credentials, token, scope))
}

impl Looking {
    pub(crate) const fn context(&self) -> &Context {
        &self.ctx
    }

    pub(crate) fn resume(self, engine: &Engine, found: Found) -> Step {
        let Records::Client(client) = found.records else { return Step::Reply(self.ctx.internal()) };
        Step::Reply(match self.credentials.authenticate(client.as_ref(), self.ctx.now()) {
            Ok(client) => self.grant(engine, &client, found.state_epoch),
            Err(refusal) => OAuthError::InvalidClient.response().refused(refusal.into()),
        })
    }

    fn grant(&self, engine: &Engine, client: &AuthenticatedClient<'_>, state_epoch: u64) -> Response {
        let scope = match granted_scope(self.scope.as_deref(), client) {
            Ok(scope) => scope,
            Err(error) => return error.response(),
        };
        let client = client.client();
        let lifetime = client.token_lifetime.unwrap_or(engine.settings().client_token_lifetime).into();
        let token = ClientToken {
            issuer: &engine.settings().issuer,
            client,
            scope: &scope,
            state_epoch,
            clocks: self.ctx.clocks(),
            lifetime,
            token_id: self.ctx.inputs.seed.name(Label::TokenId, ""),
        };
        if !engine.can_sign() {
            return self.ctx.unavailable();
        }
        let Some(access_token) = engine.sign(TokenType::Access, &client_claims(&token)) else {
            return self.ctx.internal();
        };
        let body = AccessToken {
            access_token: access_token.expose(),
            expires_in: lifetime,
            token_type: "Bearer",
            scope: scope.as_str(),
            refresh_token: None,
        };
        Response::json(200, &body).uncached()
    }
}

/// What the client asked for, if it may have all of it; its default where it did not ask.
fn granted_scope(asked: Option<&str>, client: &AuthenticatedClient<'_>) -> Result<Scope, OAuthError> {
    let client = client.client();
    let Some(asked) = asked else {
        return if client.default_scope.is_empty() {
            Err(OAuthError::InvalidScope("scope is required"))
        } else {
            Ok(client.default_scope.clone())
        };
    };
    match Scope::parse(asked) {
        Err(_) => Err(OAuthError::InvalidScope("scope is malformed")),
        Ok(scope) if !scope.is_within(&client.scope) => {
            Err(OAuthError::InvalidScope("the client may not have all of this scope"))
        }
        Ok(scope) => Ok(scope),
    }
}
