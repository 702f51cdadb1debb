//! What every flow carries, and the answers every flow can give.

use core::net::IpAddr;

use crate::api::step::Step;
use crate::base::time::{Clocks, Time};
use crate::http::language::Language;
use crate::http::oauth_error::{BearerError, OAuthError};
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::records::challenge::SignIn;
use crate::records::request_inputs::RequestInputs;
use crate::records::sign_in_history::DeviceOnNetwork;
use crate::store::audit::{Event, Kind, Refusal};
use crate::store::change::Outcome;

/// The shape of a route's errors (CONTRACT §1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// SimpleResponse.
    Simple,
    /// RFC 6749 §5.2.
    OAuth,
    /// RFC 6750 §3.
    Bearer,
}

/// One request's moment, where it came from, and how it is to be answered.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Context {
    pub(crate) inputs: RequestInputs,
    pub(crate) language: Language,
    /// None for the command line.
    pub(crate) peer: Option<IpAddr>,
    pub(crate) manner: Manner,
}

/// The place that `request` comes from (CONTRACT §4).
pub(crate) fn place(request: &Request) -> Result<DeviceOnNetwork, Problem> {
    let id = request.header("x-device-id").map_err(|_| Problem::BadHeader)?.unwrap_or_default();
    let agent = request.headers.iter().find(|(name, _)| name == "user-agent");
    let agent = agent.map(|(_, value)| value.as_slice()).unwrap_or_default();
    DeviceOnNetwork::of(id, agent, request.peer).ok_or(Problem::BadHeader)
}

impl Context {
    pub(crate) const fn now(&self) -> Time {
        self.inputs.now
    }

    pub(crate) const fn clocks(&self) -> Clocks {
        self.inputs.clocks()
    }

    /// `problem` as a SimpleResponse.
    pub(crate) fn problem(&self, problem: Problem) -> Response {
        problem.response(self.language, self.inputs.wall)
    }

    /// `problem`, and `refusal` for the failure budget.
    pub(crate) fn refuse(&self, problem: Problem, refusal: Refusal) -> Step {
        Step::Reply(self.problem(problem).refused(refusal))
    }

    /// 503: the store cannot; nothing was changed.
    pub(crate) fn unavailable(&self) -> Response {
        match self.manner {
            Manner::Simple => self.problem(Problem::Unavailable),
            Manner::OAuth => OAuthError::TemporarilyUnavailable.response(),
            Manner::Bearer => BearerError::TemporarilyUnavailable.response(),
        }
    }

    /// 500: our fault, or the outcome of a commit is unknown.
    pub(crate) fn internal(&self) -> Response {
        match self.manner {
            Manner::Simple => self.problem(Problem::Internal),
            Manner::OAuth => OAuthError::ServerError.response(),
            Manner::Bearer => BearerError::ServerError.response(),
        }
    }

    /// What is answered where a commit was not applied, or nobody knows whether it was.
    pub(crate) fn undone(&self, outcome: Outcome) -> Response {
        match outcome {
            Outcome::Unknown => self.internal(),
            Outcome::Applied | Outcome::Conflict | Outcome::NotApplied => self.unavailable(),
        }
    }

    /// An audit event of this request.
    pub(crate) fn event(&self, kind: Kind) -> Event {
        Event { address: self.peer, ..Event::new(kind, self.now()) }
    }

    /// An audit event about a sign-in, on its way or refused.
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
