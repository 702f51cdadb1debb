//! The answer to a request, with what its caller is not told of a refusal.

use alloc::boxed::Box;
use alloc::string::String;
use core::net::IpAddr;
use core::ops::Deref;

use crate::api::guess::{Attempt, AttemptResult, GuessSource};
use crate::http::oauth_error::{BearerError, OAuthError};
use crate::http::request::REQUEST_ID;
use crate::http::response::Response;
use crate::records::client::UsedSecret;
use crate::records::id::ClientId;
use crate::records::request_id::RequestIds;
use crate::store::audit::Refusal;

/// A response to send, and why it refuses, where it does. It dereferences to its [`Response`]; nothing else of it goes on
/// the wire.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub struct Reply {
    response: Response,
    refusal: Option<Refusal>,
    /// The existing client that did not authenticate.
    client: Option<Box<ClientId>>,
    /// The result of an attempt to authenticate, where it was one.
    attempt: Option<Box<AttemptOutcome>>,
    ids: Option<RequestIds>,
    used: Option<Box<UsedSecret>>,
}

/// The result of an attempt, and the address that it counts for, once that is known.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(PartialEq))]
struct AttemptOutcome {
    result: AttemptResult,
    address: Option<IpAddr>,
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

    /// Returns the existing client in whose name a wrong secret or assertion was presented, or one that is disabled.
    pub fn refused_client(&self) -> Option<&ClientId> {
        self.client.as_deref()
    }

    /// Returns how an attempt to authenticate went, for the address that it counts for; none where nothing counts: a request
    /// that is malformed, or a credential of 256 bits that is refused.
    pub fn attempt(&self) -> Option<Attempt> {
        let AttemptOutcome { result, address } = *self.attempt.as_deref()?;
        Some(Attempt { address: address?, result })
    }

    /// Returns the ids of its request, for log lines.
    pub const fn ids(&self) -> Option<&RequestIds> {
        self.ids.as_ref()
    }

    /// Returns the use of a client's secret that is to be written down, by
    /// [`Change::RecordSecretUse`](crate::store::change::Change::RecordSecretUse); later and together with others, so that no request
    /// waits for it. It is told until it was written.
    pub fn used_secret(&self) -> Option<&UsedSecret> {
        self.used.as_deref()
    }

    /// Returns the same reply with the use of a secret.
    pub(crate) fn using(self, used: Option<Box<UsedSecret>>) -> Self {
        Self { used, ..self }
    }

    /// Returns the same reply with the ids of its request, of which one is told.
    pub(crate) fn of_request(self, ids: &RequestIds) -> Self {
        let response = self.response.with(REQUEST_ID, String::from(ids.answered().as_str()));
        Self { response, ids: Some(ids.clone()), ..self }
    }

    /// Returns the same reply, which refuses a client that says it is `id`. It is named if it exists.
    pub(crate) fn of_client(self, id: Option<&ClientId>) -> Self {
        let exists = matches!(
            self.refusal,
            Some(
                Refusal::ClientSecretWrong
                    | Refusal::ClientInactive
                    | Refusal::AssertionWrong
                    | Refusal::AssertionReused
            )
        );
        Self { client: id.filter(|_| exists).cloned().map(Box::new), ..self }
    }

    /// Returns the same reply as a refusal.
    pub(crate) fn refused(self, refusal: Refusal) -> Self {
        let reply = Self { refusal: Some(refusal), ..self };
        if refusal.is_wrong_guess() { reply.wrong() } else { reply }
    }

    /// Returns the same reply to something that was compared and is wrong.
    pub(crate) fn wrong(self) -> Self {
        self.attempted(AttemptResult::Wrong, None)
    }

    /// Returns the same reply to whoever has proven who they are.
    pub(crate) fn succeeded(self) -> Self {
        self.attempted(AttemptResult::Succeeded, None)
    }

    /// Returns the same reply to a person at `address` who has proven who they are.
    pub(crate) fn succeeded_at(self, address: IpAddr) -> Self {
        self.attempted(AttemptResult::Succeeded, Some(address))
    }

    fn attempted(self, result: AttemptResult, address: Option<IpAddr>) -> Self {
        Self { attempt: Some(Box::new(AttemptOutcome { result, address })), ..self }
    }

    /// Returns the same reply to a request from `peer`, which asked to make this `guess` last. What nobody could guess is never wrong.
    pub(crate) fn to(self, peer: IpAddr, guess: Option<GuessSource>) -> Self {
        let (result, address) = match (self.attempt.as_deref(), guess) {
            (Some(AttemptOutcome { result: AttemptResult::Wrong, .. }), None) => {
                return Self { attempt: None, ..self };
            }
            (Some(AttemptOutcome { result, address }), _) => (*result, *address),
            (None, Some(_)) if self.response.status() < 300 => (AttemptResult::Succeeded, None),
            (None, _) => return self,
        };
        let address = address.or(guess.map(|guess| guess.address)).unwrap_or(peer);
        self.attempted(result, Some(address))
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
        Self { response, refusal: None, client: None, attempt: None, ids: None, used: None }
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
