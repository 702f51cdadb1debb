//! The context that every flow carries, and the replies that every flow can give.

use core::net::IpAddr;

use crate::api::guess::{GuessAccount, GuessSource};
use crate::api::reply::Reply;
use crate::base::time::{Clocks, Time};
use crate::http::language::Language;
use crate::http::oauth_error::{BearerError, OAuthError};
use crate::http::problem::{Problem, done};
use crate::http::request::{HeaderError, HeaderFault, REQUEST_ID, Request};
use crate::http::request_error::RequestError;
use crate::records::challenge::SignIn;
use crate::records::id::ClientId;
use crate::records::request_id::{RequestId, RequestIds};
use crate::records::request_inputs::RequestInputs;
use crate::records::sign_in_history::{DeviceOnNetwork, MAX_DEVICE_ID};
use crate::store::audit::{Event, Kind, Refusal};
use crate::store::change::Outcome;
use serde::Serialize;

/// The format of a route's errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorFormat {
    /// SimpleResponse.
    Simple,
    /// RFC 6749 §5.2.
    OAuth,
    /// RFC 6750 §3.
    Bearer,
}

/// One request's inputs, where it came from, and how it is to be answered.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Context {
    pub(crate) inputs: RequestInputs,
    pub(crate) language: Language,
    /// The address that the request counts for.
    pub(crate) peer: IpAddr,
    /// The client that stated that address, if it is not the connection's.
    pub(crate) stated: Option<Stated>,
    pub(crate) ids: RequestIds,
    pub(crate) errors: ErrorFormat,
}

/// The client that stated the address of the person before it.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Stated {
    client: ClientId,
    /// The address that its own request came from.
    peer: IpAddr,
}

/// Returns the device and network that `request` comes from.
pub(crate) fn place(request: &Request) -> Result<DeviceOnNetwork, HeaderError> {
    const HEADER: &str = "x-device-id";
    let id = request.header(HEADER)?.unwrap_or_default();
    let agent = request.headers.iter().find(|(name, _)| name == "user-agent");
    let agent = agent.map(|(_, value)| value.as_slice()).unwrap_or_default();
    let fault = HeaderFault::TooLong { most: MAX_DEVICE_ID };
    DeviceOnNetwork::of(id, agent, request.peer).ok_or(HeaderError { name: HEADER, fault })
}

/// Returns the id that the caller gave to `request`; none if it is no id, or there are several.
pub(crate) fn sent_id(request: &Request) -> Option<RequestId> {
    request.header(REQUEST_ID).ok().flatten().and_then(|text| RequestId::parse(text).ok())
}

impl Context {
    /// Returns the context of the same request, as one of a person whose address is `address`, as `client` states it.
    pub(crate) fn of_person(&self, address: IpAddr, client: Option<&ClientId>) -> Self {
        let stated = client.map(|client| Stated { client: client.clone(), peer: self.peer });
        Self { inputs: self.inputs.clone(), peer: address, stated, ids: self.ids.clone(), ..*self }
    }

    pub(crate) const fn now(&self) -> Time {
        self.inputs.now
    }

    pub(crate) const fn clocks(&self) -> Clocks {
        self.inputs.clocks()
    }

    /// Returns success as a SimpleResponse, with `data` where there is any.
    pub(crate) fn done(&self, data: Option<impl Serialize>) -> Reply {
        done(self.language, self.inputs.wall, data).into()
    }

    /// Returns `problem` as a SimpleResponse of the origin document.
    pub(crate) fn problem(&self, problem: impl Into<RequestError>) -> Reply {
        self.problem_with_field(RequestError { field: None, ..problem.into() })
    }

    /// Returns `problem` as a SimpleResponse that also names the member or parameter that is to blame.
    pub(crate) fn problem_with_field(&self, problem: impl Into<RequestError>) -> Reply {
        problem.into().response(self.language, self.inputs.wall).into()
    }

    /// Returns `problem` as the refusal of something.
    pub(crate) fn refuse(&self, problem: impl Into<RequestError>, refusal: Refusal) -> Reply {
        self.problem(problem).refused(refusal)
    }

    /// Returns `problem` of a request that could not be read.
    pub(crate) fn malformed(&self, problem: impl Into<RequestError>) -> Reply {
        self.refuse(problem, Refusal::Malformed)
    }

    /// Returns 503: the store cannot; nothing was changed.
    pub(crate) fn unavailable(&self) -> Reply {
        match self.errors {
            ErrorFormat::Simple => self.problem(Problem::Unavailable),
            ErrorFormat::OAuth => OAuthError::TemporarilyUnavailable.into(),
            ErrorFormat::Bearer => BearerError::TemporarilyUnavailable.into(),
        }
    }

    /// Returns 429: the address has guessed wrong too often; nothing was compared.
    pub(crate) fn too_many_requests(&self, retry_after_seconds: u64) -> Reply {
        let response = match self.errors {
            ErrorFormat::Simple => self.problem(Problem::TooManyRequests).into_response(),
            ErrorFormat::OAuth => OAuthError::TooManyRequests.response(),
            ErrorFormat::Bearer => BearerError::TooManyRequests.response(),
        };
        response.with("retry-after", alloc::format!("{retry_after_seconds}")).into()
    }

    /// Returns the source of a guess at `account`.
    pub(crate) const fn guess_at(&self, account: GuessAccount) -> GuessSource {
        GuessSource { address: self.peer, account }
    }

    /// Returns 500: our fault, or the outcome of a commit is unknown.
    pub(crate) fn internal(&self) -> Reply {
        match self.errors {
            ErrorFormat::Simple => self.problem(Problem::Internal),
            ErrorFormat::OAuth => OAuthError::ServerError.into(),
            ErrorFormat::Bearer => BearerError::ServerError.into(),
        }
    }

    /// Returns the reply where a commit was not applied, or nobody knows whether it was.
    pub(crate) fn undone(&self, outcome: Outcome) -> Reply {
        match outcome {
            Outcome::Unknown => self.internal(),
            Outcome::Applied | Outcome::Conflict | Outcome::NotApplied => self.unavailable(),
        }
    }

    /// Returns an audit event of this request.
    pub(crate) fn event(&self, kind: Kind) -> Event {
        Event {
            address: Some(self.peer),
            stated_by: self.stated.as_ref().map(|stated| stated.client.clone()),
            peer: self.stated.as_ref().map(|stated| stated.peer),
            request: Some(self.ids.own.clone()),
            sent_request: self.ids.sent.clone(),
            ..Event::new(kind, self.now())
        }
    }

    /// Returns an audit event about a sign-in, on its way or refused.
    pub(crate) fn sign_in_event(&self, kind: Kind, sign_in: &SignIn, refusal: Option<Refusal>) -> Event {
        Event {
            subject: Some(sign_in.user_id.clone()),
            actor: sign_in.impersonation.as_ref().map(|i| i.actor.clone()),
            client: Some(sign_in.client_id.clone()),
            ticket: sign_in.ticket.clone(),
            reason: sign_in.impersonation.as_ref().map(|i| i.reason.clone()),
            refusal,
            ..self.event(kind)
        }
    }
}
