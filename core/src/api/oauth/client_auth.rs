//! Authentication of a client in a form that it posts: by Basic or by the form itself (RFC 6749 §2.3), or by an assertion that it
//! signed (RFC 7523 §2.2); in one way alone.

use alloc::string::ToString;
use alloc::{borrow::Cow, vec};

use crate::api::context::Context;
use crate::api::endpoint::{Basis, Call};
use crate::api::guess::{GuessAccount, GuessSource};
use crate::api::reply::Reply;
use crate::base::form::Form;
use crate::base::secret::SecretText;
use crate::http::authorization::Authorization;
use crate::http::detail::Detail;
use crate::http::media::{has_content_coding, is_media_type};
use crate::http::oauth_error::{OAuthError, basic_challenge};
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::shape::form;
use crate::policy::ticket_redemption::{Proven, Redeemer};
use crate::records::client::{AuthenticatedClient, Client};
use crate::records::client_assertion::ClientAssertion;
use crate::records::client_credentials::{ClientClaim, ClientCredentials};
use crate::store::audit::Refusal;
use crate::store::query::TokenRecords;

const TWO_METHODS: OAuthError =
    OAuthError::InvalidRequest(Cow::Borrowed("use one client authentication method"));

const NO_CREDENTIALS: &str = "client credentials are missing: send them by Basic, as client_id and client_secret, or as a client_assertion";
const BAD_BASIC: &str =
    "the Basic credentials cannot be read: they are base64 of a client's id, a colon and its secret";
const NO_ASSERTION: &str = "client_assertion is missing";
const NO_ASSERTION_TYPE: &str = "client_assertion_type is not urn:ietf:params:oauth:client-assertion-type:jwt-bearer, the one that is served here";
const REUSED: &str =
    "the client assertion was used before: make one for every request, each with a jti of its own";

/// The type of a JWT as an assertion (RFC 7523 §2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

form! {
    /// A client that authenticates in the form: by its id and its secret, or by an assertion. By Basic it sends none of these.
    pub(crate) struct ClientForm<'a> {
        /// The client's id.
        client_id: Option<&'a str>,
        /// The client's secret.
        client_secret: Option<&'a str> [format("password")],
        /// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`.
        client_assertion_type: Option<&'a str>,
        /// A JWT that the client signed (RFC 7523 §2.2).
        client_assertion: Option<&'a str> [format("password")],
    }
}

/// Reads the form that `request` posts.
pub(crate) fn posted_form(request: &Request) -> Result<Form<'_>, OAuthError> {
    if has_content_coding(request) {
        return Err(OAuthError::UnsupportedContentCoding);
    }
    match request.header("content-type") {
        Ok(Some(t)) if is_media_type(t, "application/x-www-form-urlencoded") => {}
        Ok(_) => return Err(OAuthError::UnsupportedMediaType),
        Err(error) => return Err(error.into()),
    }
    Form::parse(&request.body).map_err(OAuthError::from)
}

/// Reads the one way in which the client authenticates.
pub(crate) fn credentials(call: &Call<'_>, form: &ClientForm<'_>) -> Result<ClientCredentials, Reply> {
    let refused = |why: &'static str| {
        Reply::from(OAuthError::NoCredentials(Cow::Borrowed(why))).refused(Refusal::Malformed)
    };
    let named = form.client_id;
    let asserted = match (form.client_assertion_type, form.client_assertion) {
        (None, None) => None,
        (kind, text) => Some((kind, text)),
    };
    let authorization = Authorization::of(call.request).map_err(OAuthError::from)?;
    let basic = match authorization {
        Authorization::Basic(basic) => Some(Some(basic)),
        Authorization::BadBasic => Some(None),
        // Another scheme, which a client may send along with every request, authenticates no client.
        Authorization::Absent
        | Authorization::Bearer(_)
        | Authorization::BadBearer
        | Authorization::Other => None,
    };
    let (credentials, differs) = match (basic, form.client_secret, asserted) {
        (None, None, None) => return Err(refused(NO_CREDENTIALS)),
        (None, Some(secret), None) => {
            let secret = vec![SecretText::new(secret.into())];
            let credentials = named.and_then(|id| ClientCredentials::read(id, secret));
            return credentials.ok_or_else(|| refused("client_id is missing, or is no client's id"));
        }
        (Some(basic), None, None) => {
            let credentials = basic.and_then(|basic| ClientCredentials::read(&basic.name, basic.readings));
            let differs = "client_id differs from the Authorization header's";
            (credentials.ok_or_else(|| refused(BAD_BASIC))?, differs)
        }
        (None, None, Some((kind, text))) => {
            if kind != Some(JWT_BEARER) {
                return Err(refused(NO_ASSERTION_TYPE));
            }
            let text = text.ok_or_else(|| refused(NO_ASSERTION))?;
            let issuer = call.engine.settings().issuer.as_str();
            let assertion = ClientAssertion::read(SecretText::new(text.into()), issuer, call.ctx.clocks());
            let assertion = assertion.map_err(|error| {
                let error = OAuthError::NoCredentials(error.to_string().into());
                Reply::from(error).refused(Refusal::AssertionRefused)
            })?;
            (ClientCredentials::from(assertion), "client_id differs from the sub of the client assertion")
        }
        (Some(_), _, _) | (_, Some(_), Some(_)) => return Err(TWO_METHODS.into()),
    };
    match named {
        Some(id) if id != credentials.id.as_str() => Err(OAuthError::InvalidRequest(differs.into()).into()),
        Some(_) | None => Ok(credentials),
    }
}

/// Refuses a client that has not authenticated.
pub(crate) fn unauthenticated(refusal: Refusal) -> Reply {
    // Only whoever has an assertion that the client signed learns of it.
    let reused = refusal == Refusal::AssertionReused;
    let error = if reused { OAuthError::NoCredentials(REUSED.into()) } else { OAuthError::InvalidClient };
    Reply::from(error).refused(refusal).wrong()
}

/// Returns who presents a ticket, a password, a challenge or a refresh token, by their `Authorization` header.
pub(crate) fn redeemer(authorization: Authorization) -> Redeemer {
    match authorization {
        Authorization::Basic(basic) => ClientCredentials::read(&basic.name, basic.readings)
            .map_or(Redeemer::Illegible, Redeemer::Claimed),
        Authorization::BadBasic => Redeemer::Illegible,
        // Another scheme, which a client may send along with every request, is no claim to be a client.
        Authorization::Absent
        | Authorization::Bearer(_)
        | Authorization::BadBearer
        | Authorization::Other => Redeemer::Anybody,
    }
}

/// Returns the client that presents something, where it has proven to be the one it says it is.
pub(crate) fn proven<'r>(basis: &Basis<'_>, redeemer: &Redeemer, record: Option<&'r Client>) -> Proven<'r> {
    match redeemer {
        Redeemer::Anybody => Ok(None),
        Redeemer::Illegible => Err(Refusal::RedeemerUnproven),
        Redeemer::Claimed(_) => basis.client(record)?.map(Some).ok_or(Refusal::RedeemerUnproven),
    }
}

/// Returns the client that a request below `/auth` comes from; none where it does not say so.
///
/// # Errors
/// 401 where it has not proven to be the client that it says it is.
pub(crate) fn caller<'r>(
    basis: &Basis<'_>,
    redeemer: &Redeemer,
    record: Option<&'r Client>,
) -> Result<Option<AuthenticatedClient<'r>>, Reply> {
    let refused = |refusal| unproven(basis.ctx, redeemer, refusal).of_client(redeemer.claimed());
    proven(basis, redeemer, record).map_err(refused)
}

/// Returns the client that a request below `/oauth2` comes from.
///
/// # Errors
/// 401 where it has not proven to be the client of these `credentials`.
pub(crate) fn authenticated<'r>(
    basis: &Basis<'_>,
    credentials: &ClientCredentials,
    record: Option<&'r Client>,
) -> Result<AuthenticatedClient<'r>, Reply> {
    match basis.client(record) {
        Ok(client) => client.ok_or_else(|| basis.ctx.internal()),
        Err(refusal) => Err(unauthenticated(refusal.into()).of_client(Some(&credentials.id))),
    }
}

/// Returns the credentials of whoever presents a token, or asks for one, and the record that was found for them.
pub(crate) const fn claim_of_caller<'a>(
    credentials: &'a ClientCredentials,
    records: &'a TokenRecords,
) -> ClientClaim<'a> {
    let is_used = records.is_assertion_used;
    ClientClaim { is_used, ..ClientClaim::new(credentials, records.caller.as_ref()) }
}

/// Returns the guess at the secret of a client, where it can be guessed and the answer reveals whether it is right.
pub(crate) fn guess_at_secret(ctx: &Context, claim: &ClientClaim<'_>) -> Option<GuessSource> {
    let ClientClaim { credentials, is_revealed, .. } = claim;
    let can_be = *is_revealed && credentials.are_guessable();
    can_be.then(|| ctx.guess_at(GuessAccount::of_client(&credentials.id)))
}

/// Returns 401 of the paths below `/auth` where a client has to authenticate, and `redeemer` has not.
pub(crate) fn unproven(ctx: &Context, redeemer: &Redeemer, refusal: Refusal) -> Reply {
    let error = match redeemer {
        Redeemer::Anybody => Problem::ClientRefused.with(Detail::no_basic()),
        Redeemer::Illegible => Problem::ClientRefused.with(Detail::bad_basic(BAD_BASIC)),
        Redeemer::Claimed(_) => Problem::ClientRefused.into(),
    };
    let response = ctx.problem(error).into_response();
    Reply::from(response.with("www-authenticate", basic_challenge())).refused(refusal).wrong()
}
