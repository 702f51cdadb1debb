//! Operations that have more than one route.

use core::fmt;
use core::marker::PhantomData;

use crate::admin::{AdminError, Decision, Operation, OperationInputs};
use crate::store::query::{Query, Records};

/// The operation `O` at a route `R` of its own, where it has another request or another answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Variant<O, R>(O, PhantomData<R>);

impl<O, R> From<O> for Variant<O, R> {
    fn from(operation: O) -> Self {
        Self(operation, PhantomData)
    }
}

impl<O: Operation, R: fmt::Debug> Operation for Variant<O, R> {
    type Output = O::Output;

    fn query(&self) -> Query {
        self.0.query()
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<Self::Output>, AdminError> {
        self.0.decide(inputs, records)
    }
}
