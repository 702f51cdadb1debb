//! Operations that the driver does: there is nothing to read and nothing to decide.

use core::fmt;

use crate::admin::{AdminError, Decision, Operation, OperationInputs};
use crate::api::admin::AdminEndpoint;
use crate::api::admin::call::AdminCall;
use crate::api::context::Context;
use crate::api::description::Description;
use crate::api::task::{TaskAnswer, TaskRequest};
use crate::http::request_error::RequestError;
use crate::http::response::Response;
use crate::records::role::Roles;
use crate::store::query::{Query, Records};

/// An operation whose result is that of a task.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TaskOperation<T> {
    request: TaskRequest,
    result: Result<T, AdminError>,
}

/// The result of one kind of task, which has a row in the table of routes.
pub(crate) trait TaskEndpoint: Clone + fmt::Debug + PartialEq + Send + Sync + 'static {
    /// As [`AdminEndpoint::ROLES`].
    const ROLES: Roles;

    /// As [`AdminEndpoint::DESCRIPTION`].
    const DESCRIPTION: Description;

    /// Parses a request, its token apart, as [`AdminEndpoint::parse`] does.
    ///
    /// # Errors
    /// [`RequestError`] where it is malformed, or a value breaks a rule.
    fn parse(call: &AdminCall<'_>) -> Result<TaskRequest, RequestError>;

    /// Takes the result out of the answer; none if the answer is to another task.
    fn of(answer: TaskAnswer) -> Option<Self>;

    /// Makes the answer.
    fn respond(self, ctx: &Context) -> Response;
}

impl<T: TaskEndpoint> Operation for TaskOperation<T> {
    type Output = T;

    fn query(&self) -> Query {
        Query::Generation
    }

    fn decide(&self, _: &OperationInputs<'_>, _: &Records) -> Result<Decision<T>, AdminError> {
        self.result.clone().map(Decision::Done)
    }
}

impl<T: TaskEndpoint> AdminEndpoint for TaskOperation<T> {
    const ROLES: Roles = T::ROLES;
    const DESCRIPTION: Description = T::DESCRIPTION;

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        Ok(Self { request: T::parse(call)?, result: Err(AdminError::Overloaded) })
    }

    fn task(&self) -> Option<TaskRequest> {
        Some(self.request.clone())
    }

    fn take_answer(&mut self, answer: TaskAnswer) {
        self.result = if let TaskAnswer::Failed(error) = answer {
            Err(error)
        } else {
            T::of(answer).ok_or(AdminError::Internal)
        };
    }

    fn respond(ctx: &Context, result: T) -> Response {
        result.respond(ctx)
    }
}
