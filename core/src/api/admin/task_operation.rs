//! Operations that the driver does: there is nothing to read and nothing to decide.

use core::fmt;

use crate::admin::{AdminError, Decision, Operation, OperationInputs};
use crate::api::task::{TaskAnswer, TaskRequest};
use crate::store::query::{Query, Records};

/// An operation whose result is that of a task.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TaskOperation<T> {
    pub(crate) request: TaskRequest,
    result: Result<T, AdminError>,
}

/// The result of one kind of task.
pub(crate) trait TaskResult: Clone + fmt::Debug {
    /// Takes it out of the answer; none if the answer is to another task.
    fn of(answer: TaskAnswer) -> Option<Self>;
}

impl<T: TaskResult> TaskOperation<T> {
    pub(crate) const fn new(request: TaskRequest) -> Self {
        Self { request, result: Err(AdminError::Overloaded) }
    }

    /// Takes the answer to the task.
    pub(crate) fn take(&mut self, answer: TaskAnswer) {
        self.result = if let TaskAnswer::Failed(error) = answer {
            Err(error)
        } else {
            T::of(answer).ok_or(AdminError::Internal)
        };
    }
}

impl<T: TaskResult> Operation for TaskOperation<T> {
    type Output = T;

    fn query(&self) -> Query {
        Query::Generation
    }

    fn decide(&self, _: &OperationInputs<'_>, _: &Records) -> Result<Decision<T>, AdminError> {
        self.result.clone().map(Decision::Done)
    }
}
