//! A request to administer as its operation parses it: the variable segments of its path, its query and its body.

use alloc::borrow::Cow;
use alloc::string::String;

use crate::api::endpoint::Call;
use crate::base::form::{Form, decode_segment};
use crate::http::body::Body;
use crate::http::detail::Detail;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::request_error::RequestError;
use crate::store::page::{Cursor, PageQuery};

/// The most records of one page.
const MAX_PAGE: usize = 200;

/// The records of a page that says nothing about its length.
const DEFAULT_PAGE: usize = 100;

/// A request to administer.
pub(crate) struct AdminCall<'a> {
    request: &'a Request,
    segments: [Cow<'a, str>; 2],
    query: Form<'a>,
}

impl<'a> AdminCall<'a> {
    /// Reads the variable segments of the path, and the query.
    pub(super) fn of(call: &'a Call<'_>) -> Result<Self, RequestError> {
        let segment = |text: &'a str| decode_segment(text).map_err(|_| RequestError::from(Problem::NotFound));
        let [first, second] = call.segments;
        let query = call.request.target.split_once('?').map_or("", |(_, query)| query);
        let query =
            Form::parse(query.as_bytes()).map_err(|error| Problem::BadQuery.with(Detail::from(error)))?;
        Ok(Self { request: call.request, segments: [segment(first)?, segment(second)?], query })
    }

    /// Returns variable segment `number` of the path, from 0, read by `parse`.
    ///
    /// # Errors
    /// 404 where it is none that any record could have.
    pub(crate) fn id<T, E>(
        &self,
        number: usize,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, RequestError> {
        let segment = self.segments.get(number).map(|segment| parse(segment));
        segment.and_then(Result::ok).ok_or_else(|| Problem::NoSuchRecord.into())
    }

    /// Returns the value of a parameter of the query; an empty one counts as absent.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name)
    }

    /// Returns the value of a parameter, read by `parse`.
    ///
    /// # Errors
    /// [`Problem::BadQuery`] with what `expected` says of it.
    pub(crate) fn parsed<T>(
        &self,
        name: &'static str,
        expected: (&'static str, &'static str),
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, RequestError> {
        let read = |value: &str| {
            parse(value).ok_or_else(|| Problem::BadQuery.with(Detail::parameter(name, expected)))
        };
        self.parameter(name).map(read).transpose()
    }

    /// Returns the page that is asked for, by `limit` and `after`.
    ///
    /// # Errors
    /// [`Problem::BadQuery`] where `limit` is not from 1 to 200.
    pub(crate) fn page(&self) -> Result<PageQuery, RequestError> {
        let expected = ("must be a whole number from 1 to 200", "须为 1 到 200 之间的整数");
        let in_range = |value: &str| value.parse().ok().filter(|limit| (1..=MAX_PAGE).contains(limit));
        let limit = self.parsed("limit", expected, in_range)?.unwrap_or(DEFAULT_PAGE);
        Ok(PageQuery::new(self.parameter("after").map(|after| Cursor(String::from(after))), limit))
    }

    /// Returns the body, which may have the members `known`.
    ///
    /// # Errors
    /// As [`Body::of`].
    pub(crate) fn body(&self, known: &'static [&'static str]) -> Result<Body, RequestError> {
        Body::of(self.request, known)
    }
}
