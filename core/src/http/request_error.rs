//! A problem with a request, and the part of the request that it is about.

use alloc::string::{String, ToString};

use crate::base::json::JsonError;
use crate::http::detail::Detail;
use crate::http::problem::Problem;
use crate::http::request::HeaderError;
use crate::http::shape::Place;

/// A problem, with a detail where there is one to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestError {
    /// The problem.
    pub problem: Problem,
    /// The part of the request that is wrong, and how.
    pub detail: Option<Detail>,
    /// The member of the body, or the parameter, that is to blame: `ttl`, `keys[0].kty`.
    pub field: Option<String>,
    /// The number of tries that are left.
    pub tries_left: Option<u32>,
}

impl RequestError {
    /// A body that is not as expected.
    pub(crate) fn body(detail: impl Into<Detail>) -> Self {
        Problem::BadJson.with(detail)
    }

    /// A value of a body that is not as expected: `detail` says how, and is given the name of the place.
    pub(crate) fn at(place: &Place<'_>, detail: impl FnOnce(&str) -> Detail) -> Self {
        let name = place.to_string();
        Self { field: Some(name.clone()).filter(|name| !name.is_empty()), ..Self::body(detail(&name)) }
    }

    /// Returns the same error, for which the member or parameter `field` is to blame.
    pub(crate) fn about(self, field: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..self }
    }

    /// Returns the same error as `problem`. Its message says all, unless it is a general one.
    pub(crate) fn with_problem(self, problem: Problem) -> Self {
        let is_general = matches!(problem, Problem::BadJson | Problem::BadQuery | Problem::InvalidValue);
        Self { problem, detail: self.detail.filter(|_| is_general), ..self }
    }

    /// Returns the same error about a query: what is no member is a parameter.
    pub(crate) fn of_query(self) -> Self {
        let problem = if self.problem == Problem::BadJson { Problem::BadQuery } else { self.problem };
        Self { problem, detail: self.detail.map(Detail::of_parameter), ..self }
    }
}

impl Problem {
    /// Returns this problem with `detail`.
    pub(crate) fn with(self, detail: impl Into<Detail>) -> RequestError {
        RequestError { problem: self, detail: Some(detail.into()), field: None, tries_left: None }
    }
}

impl RequestError {
    /// A wrong code, where `left` more may be tried.
    pub(crate) fn wrong_code(left: u32) -> Self {
        let detail = Detail::tries_left(left);
        Self { tries_left: Some(left), ..Problem::CodeRefused.with(detail) }
    }
}

impl From<Problem> for RequestError {
    fn from(problem: Problem) -> Self {
        Self { problem, detail: None, field: None, tries_left: None }
    }
}

impl From<JsonError> for RequestError {
    fn from(error: JsonError) -> Self {
        Self::body(error)
    }
}

impl From<HeaderError> for RequestError {
    fn from(error: HeaderError) -> Self {
        Problem::BadHeader.with(error)
    }
}
