//! The answer to a request, with what its caller is not told of a refusal.

use alloc::string::String;
use core::ops::Deref;

use crate::http::oauth_error::{BearerError, OAuthError};
use crate::http::request::REQUEST_ID;
use crate::http::response::Response;
use crate::records::request_id::RequestIds;
use crate::store::audit::Refusal;

/// A response to send, and why it refuses, where it does. It dereferences to its [`Response`]; nothing else of it goes on
/// the wire.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub struct Reply {
    response: Response,
    refusal: Option<Refusal>,
    /// The refused client has authenticated.
    proven: bool,
    ids: Option<RequestIds>,
}

impl Reply {
    /// Returns the response to send.
    pub fn into_response(self) -> Response {
        self.response
    }

    /// Returns why a credential or a request was refused, for the audit table.
    pub const fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }

    /// Returns true if it refuses a possible guess. At a route whose failures are limited, it then counts against the
    /// address of the request.
    pub fn refuses_a_guess(&self) -> bool {
        !self.proven && self.refusal.is_some_and(Refusal::may_be_a_guess)
    }

    /// Returns the ids of its request, for log lines.
    pub const fn ids(&self) -> Option<&RequestIds> {
        self.ids.as_ref()
    }

    /// Returns the same reply with the ids of its request, of which one is told.
    pub(crate) fn of_request(self, ids: &RequestIds) -> Self {
        let response = self.response.with(REQUEST_ID, String::from(ids.answered().as_str()));
        Self { response, ids: Some(ids.clone()), ..self }
    }

    /// Returns the same reply as a refusal.
    pub(crate) fn refused(self, refusal: Refusal) -> Self {
        Self { refusal: Some(refusal), ..self }
    }

    /// Returns the same reply as a refusal to a client that has authenticated: its request is no guess.
    pub(crate) fn refused_to_client(self, refusal: Refusal) -> Self {
        Self { proven: true, ..self.refused(refusal) }
    }
}

impl Deref for Reply {
    type Target = Response;

    fn deref(&self) -> &Response {
        &self.response
    }
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Self { response, refusal: None, proven: false, ids: None }
    }
}

impl From<Reply> for Response {
    fn from(reply: Reply) -> Self {
        reply.response
    }
}

impl From<OAuthError> for Reply {
    fn from(error: OAuthError) -> Self {
        error.response().into()
    }
}

impl From<BearerError> for Reply {
    fn from(error: BearerError) -> Self {
        error.response().into()
    }
}
