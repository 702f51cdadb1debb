//! `GET` and `POST /userinfo`: who a token speaks for (OpenID Connect Core §5.3).

use crate::api::bearer::{Holder, Presented};
use crate::api::context::Context;
use crate::api::shapes::UserInfo;
use crate::api::step::Step;
use crate::base::form::Form;
use crate::base::secret::SecretText;
use crate::engine::Engine;
use crate::http::authorization::Authorization;
use crate::http::media::is_media_type;
use crate::http::oauth_error::BearerError;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::store::audit::Refusal;
use crate::store::query::{Found, Query, Records};

/// Waits for those whom the token names.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Looking {
    ctx: Context,
    presented: Presented,
}

pub(crate) fn begin(ctx: Context, request: &Request) -> Step {
    let presented = match token(request) {
        Ok(token) => Presented::read(token.expose()).ok_or(BearerError::InvalidToken),
        Err(error) => Err(error),
    };
    match presented {
        Ok(presented) => Step::read(Query::Bearer(presented.query().clone()), Looking { ctx, presented }),
        Err(error) => Step::Reply(refuse(error, Refusal::TokenInvalid)),
    }
}

fn refuse(error: BearerError, refusal: Refusal) -> Response {
    match error {
        BearerError::InvalidToken => error.response().refused(refusal),
        BearerError::Missing
        | BearerError::InvalidRequest
        | BearerError::InsufficientScope
        | BearerError::ServerError
        | BearerError::TemporarilyUnavailable => error.response(),
    }
}

/// The one token: from the header, or from a form that was posted (RFC 6750 §2.1, §2.2).
fn token(request: &Request) -> Result<SecretText, BearerError> {
    let header = match Authorization::of(request).map_err(|_| BearerError::InvalidRequest)? {
        Authorization::Bearer(token) => Some(token),
        Authorization::BadBearer => return Err(BearerError::InvalidToken),
        Authorization::Absent | Authorization::Basic(_) | Authorization::BadBasic | Authorization::Other => {
            None
        }
    };
    match (header, posted(request)?) {
        (Some(_), Some(_)) => Err(BearerError::InvalidRequest),
        (Some(token), None) | (None, Some(token)) => Ok(token),
        (None, None) => Err(BearerError::Missing),
    }
}

fn posted(request: &Request) -> Result<Option<SecretText>, BearerError> {
    let content_type = request.header("content-type").map_err(|_| BearerError::InvalidRequest)?;
    if request.method != "POST"
        || !content_type.is_some_and(|t| is_media_type(t, "application/x-www-form-urlencoded"))
    {
        return Ok(None);
    }
    let form = Form::parse(&request.body).map_err(|_| BearerError::InvalidRequest)?;
    Ok(form.get("access_token").map(|token| SecretText::new(token.into())))
}

impl Looking {
    pub(crate) const fn context(&self) -> &Context {
        &self.ctx
    }

    pub(crate) fn resume(self, engine: &Engine, found: Found) -> Step {
        let Records::Bearer(records) = found.records else { return Step::Reply(self.ctx.internal()) };
        Step::Reply(match self.presented.verify(engine, &records, found.state_epoch, self.ctx.now()) {
            Err(refusal) => refuse(BearerError::InvalidToken, refusal),
            Ok(token) => {
                let info = match token.holder() {
                    Holder::Client(client) => UserInfo::of_client(client),
                    Holder::Person { user, .. } => UserInfo::of_user(user, token.scope()),
                    Holder::Restricted { .. } => {
                        return Step::Reply(refuse(BearerError::InvalidToken, Refusal::SessionRestricted));
                    }
                };
                Response::json(200, &info).uncached()
            }
        })
    }
}
