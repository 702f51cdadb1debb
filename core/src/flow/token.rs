//! `POST /oauth2/token`: client credentials (RFC 6749 §4.4).

use alloc::{string::String, vec, vec::Vec};

use super::context::Context;
use super::tokens::client_claims;
use crate::audit::Refusal;
use crate::gatepass::Gatepass;
use crate::model::client::{AuthenticatedClient, Client};
use crate::model::id::ClientId;
use crate::model::query::{Query, Records};
use crate::model::scope::Scope;
use crate::moment::Label;
use crate::secret::SecretText;
use crate::step::Step;
use crate::wire::credentials::Authorization;
use crate::wire::form::Form;
use crate::wire::media::is_media_type;
use crate::wire::oauth::OAuthError;
use crate::wire::problem::Problem;
use crate::wire::request::Request;
use crate::wire::response::Response;
use crate::wire::shapes::AccessToken;

/// Waits for the client.
#[derive(Debug)]
#[cfg_attr(feature = "checker", derive(Clone, PartialEq))]
pub(crate) struct Looking {
    ctx: Context,
    id: ClientId,
    readings: Vec<SecretText>,
    scope: Option<String>,
}

const BAD_FORM: OAuthError = OAuthError::InvalidRequest("the body is not a form with every parameter once");
const TWO_METHODS: OAuthError = OAuthError::InvalidRequest("use one client authentication method");

pub(crate) fn begin(ctx: Context, request: &Request) -> Step {
    match ask(ctx, request) {
        Ok(looking) => Step::read(Query::Client(looking.id.clone()), looking),
        Err(response) => Step::Reply(response),
    }
}

fn ask(ctx: Context, request: &Request) -> Result<Looking, Response> {
    match request.header("content-type") {
        Ok(Some(t)) if is_media_type(t, "application/x-www-form-urlencoded") => {}
        Ok(_) => return Err(ctx.problem(Problem::UnsupportedMediaType)),
        Err(_) => return Err(BAD_FORM.response()),
    }
    let form = Form::parse(&request.body).map_err(|_| BAD_FORM.response())?;
    match form.get("grant_type") {
        Some("client_credentials") => {}
        Some(_) => return Err(OAuthError::UnsupportedGrantType.response()),
        None => return Err(OAuthError::InvalidRequest("grant_type is required").response()),
    }
    let (id, readings) = credentials(request, &form)?;
    Ok(Looking { ctx, id, readings, scope: form.get("scope").map(String::from) })
}

/// The one way in which the client authenticates (RFC 6749 §2.3).
fn credentials(request: &Request, form: &Form) -> Result<(ClientId, Vec<SecretText>), Response> {
    let refused = || OAuthError::InvalidClient.response().refused(Refusal::Malformed);
    let named = form.get("client_id");
    let asserted = ["client_assertion", "client_assertion_type"].iter().any(|name| form.get(name).is_some());
    let authorization = Authorization::of(request).map_err(|_| {
        OAuthError::InvalidRequest("the Authorization header is repeated or malformed").response()
    })?;
    match (authorization, form.get("client_secret")) {
        (Authorization::Absent, None) if asserted => Err(refused()),
        _ if asserted => Err(TWO_METHODS.response()),
        (Authorization::Absent, Some(secret)) => {
            let id = named.and_then(|id| ClientId::parse(id).ok()).ok_or_else(refused)?;
            Ok((id, vec![SecretText::new(secret.into())]))
        }
        (Authorization::Absent, None) => Err(refused()),
        (_, Some(_)) => Err(TWO_METHODS.response()),
        (Authorization::Basic(basic), None) => match named {
            Some(id) if id != basic.id.as_str() => {
                Err(OAuthError::InvalidRequest("client_id differs from the Authorization header's")
                    .response())
            }
            Some(_) | None => Ok((basic.id, basic.readings)),
        },
        (
            Authorization::BadBasic
            | Authorization::Bearer(_)
            | Authorization::BadBearer
            | Authorization::Other,
            None,
        ) => Err(refused()),
    }
}

impl Looking {
    pub(crate) const fn context(&self) -> &Context {
        &self.ctx
    }

    pub(crate) fn resume(self, gatepass: &Gatepass, records: Records) -> Step {
        let Records::Client(client) = records else { return Step::Reply(self.ctx.internal()) };
        let client = client.filter(|c| c.id == self.id);
        Step::Reply(match Client::authenticate(client.as_ref(), &self.readings, self.ctx.now()) {
            Ok(client) => self.grant(gatepass, &client),
            Err(refusal) => OAuthError::InvalidClient.response().refused(refusal.into()),
        })
    }

    fn grant(&self, gatepass: &Gatepass, client: &AuthenticatedClient<'_>) -> Response {
        let scope = match granted_scope(self.scope.as_deref(), client) {
            Ok(scope) => scope,
            Err(error) => return error.response(),
        };
        let client = client.client();
        let lifetime = client.token_lifetime.unwrap_or(gatepass.settings().client_token_lifetime).into();
        let token_id = self.ctx.moment.seed.name(Label::TokenId, "");
        let claims =
            client_claims(&gatepass.settings().issuer, client, &scope, token_id, self.ctx.now(), lifetime);
        if !gatepass.can_sign() {
            return self.ctx.unavailable();
        }
        let Some(access_token) = gatepass.sign(&claims) else { return self.ctx.internal() };
        let body = AccessToken {
            access_token: access_token.expose(),
            expires_in: lifetime,
            token_type: "Bearer",
            scope: &String::from(&scope),
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
