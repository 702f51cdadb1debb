//! `GET` and `POST /userinfo`: who a token speaks for (OpenID Connect Core §5.3).

use core::convert::Infallible;

use crate::api::bearer::{Holder, Presented};
use crate::api::context::Context;
use crate::api::description::Description;
use crate::api::endpoint::{Basis, Call, Decided, Endpoint, ParsedRequest};
use crate::api::reply::Reply;
use crate::api::shapes::UserInfo;
use crate::base::form::Form;
use crate::base::secret::SecretText;
use crate::http::authorization::Authorization;
use crate::http::media::{has_content_coding, is_media_type};
use crate::http::oauth_error::BearerError;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::http::shape::{ReadForm, form};
use crate::store::audit::Refusal;
use crate::store::query::{Query, Records};

form! {
    /// An access token that is posted (RFC 6750 §2.2), where no header has it.
    struct AccessTokenForm<'a> {
        /// The access token.
        access_token: Option<&'a str> [format("password")],
    }
}

/// A token to be told about.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Userinfo(Presented);

impl Endpoint for Userinfo {
    const DESCRIPTION: Description = Description::new("Tells who a token speaks for")
        .posts::<AccessTokenForm<'_>>()
        .answers::<UserInfo<'_>>(200)
        .fails(&["invalid_request"])
        .refuses(&[Problem::UnsupportedContentCoding]);

    fn parse(call: &Call<'_>) -> Result<Self, Reply> {
        let token = token(call)?;
        let presented = Presented::read(token.expose());
        presented.map(Self).ok_or_else(|| refuse(Refusal::TokenInvalid))
    }
}

impl ParsedRequest for Userinfo {
    type Pending = Infallible;
    type Hash = Infallible;

    fn query(&self) -> Query {
        Query::Bearer(self.0.query().clone())
    }

    fn decide(&self, basis: &Basis<'_>, records: Records) -> Decided {
        let Records::Bearer(records) = records else { return Err(basis.ctx.internal()) };
        let token = self.0.verify(basis, &records).map_err(refuse)?;
        let info = match token.holder() {
            Holder::Client(client) => UserInfo::of_client(client),
            Holder::Person { user, .. } => UserInfo::of_user(user, token.scope()),
            Holder::Restricted { .. } => return Err(refuse(Refusal::SessionRestricted)),
        };
        Ok(Response::json(200, &info).uncached().into())
    }
}

fn refuse(refusal: Refusal) -> Reply {
    Reply::from(BearerError::InvalidToken).refused(refusal)
}

/// Reads the one token: from the header, or from a form that was posted (RFC 6750 §2.1, §2.2).
fn token(Call { ctx, request, .. }: &Call<'_>) -> Result<SecretText, Reply> {
    let header = match Authorization::of(request).map_err(BearerError::from)? {
        Authorization::Bearer(token) => Some(token),
        Authorization::BadBearer => return Err(refuse(Refusal::TokenInvalid)),
        Authorization::Absent | Authorization::Basic(_) | Authorization::BadBasic | Authorization::Other => {
            None
        }
    };
    match (header, posted(ctx, request)?) {
        (Some(_), Some(_)) => Err(BearerError::InvalidRequest("send exactly one bearer token".into()).into()),
        (Some(token), None) | (None, Some(token)) => Ok(token),
        (None, None) => Err(BearerError::Missing.into()),
    }
}

fn posted(ctx: &Context, request: &Request) -> Result<Option<SecretText>, Reply> {
    let content_type = request.header("content-type").map_err(BearerError::from)?;
    if request.method != "POST"
        || !content_type.is_some_and(|t| is_media_type(t, "application/x-www-form-urlencoded"))
    {
        return Ok(None);
    }
    if has_content_coding(request) {
        return Err(ctx.problem(Problem::UnsupportedContentCoding));
    }
    let form = Form::parse(&request.body).map_err(BearerError::from)?;
    let AccessTokenForm { access_token } = AccessTokenForm::of_form(&form).map_err(|_| ctx.internal())?;
    Ok(access_token.map(|token| SecretText::new(token.into())))
}
