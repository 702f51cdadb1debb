//! A request to administer as its operation parses it: the variable segments of its path, its query and its body.

use alloc::borrow::Cow;
use alloc::string::String;

use crate::api::endpoint::Call;
use crate::base::form::decode_segment;
use crate::http::detail::Detail;
use crate::http::media::{has_content_coding, is_media_type};
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::request_error::RequestError;
use crate::http::shape::{ReadBody, body};
use crate::records::id::{ClientId, UserId, UserRef};
use crate::store::page::{Cursor, PageQuery};

/// The most records of one page.
const MAX_PAGE: u32 = 200;

/// The records of a page that says nothing about its length.
const DEFAULT_PAGE: u8 = 100;

/// The media types of JSON lines.
const JSONL: &str = "application/jsonl";
const NDJSON: &str = "application/x-ndjson";

/// A request to administer.
pub(crate) struct AdminCall<'a> {
    request: &'a Request,
    segments: [Cow<'a, str>; 2],
}

impl<'a> AdminCall<'a> {
    /// Reads the variable segments of the path.
    pub(super) fn of(call: &'a Call<'_>) -> Result<Self, RequestError> {
        let segment = |text: &'a str| decode_segment(text).map_err(|_| RequestError::from(Problem::NotFound));
        let [first, second] = call.segments;
        Ok(Self { request: call.request, segments: [segment(first)?, segment(second)?] })
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
        parse(self.text(number)).map_err(|_| Problem::NoSuchRecord.into())
    }

    /// Returns variable segment `number` of the path, from 0, as it is.
    pub(crate) fn text(&self, number: usize) -> &str {
        self.segments.get(number).map(|segment| &**segment).unwrap_or_default()
    }

    /// Returns the user whose id is the first variable segment of the path.
    ///
    /// # Errors
    /// As [`Self::id`].
    pub(crate) fn user(&self) -> Result<UserRef, RequestError> {
        Ok(UserRef::from(&self.id(0, UserId::parse)?))
    }

    /// Returns the client that the first variable segment of the path names.
    ///
    /// # Errors
    /// As [`Self::id`].
    pub(crate) fn client(&self) -> Result<ClientId, RequestError> {
        self.id(0, ClientId::parse)
    }

    /// Reads the body.
    ///
    /// # Errors
    /// As [`ReadBody::of_json`].
    pub(crate) fn json<B: ReadBody>(&self) -> Result<B, RequestError> {
        B::of_json(self.request)
    }

    /// Returns the lines of a body of JSON lines, empty ones left out.
    ///
    /// # Errors
    /// 415 where it is of another media type, or has a content coding.
    pub(crate) fn lines(&self) -> Result<impl Iterator<Item = &[u8]>, RequestError> {
        if has_content_coding(self.request) {
            return Err(Problem::UnsupportedContentCoding.into());
        }
        let given = self.request.header("content-type")?;
        if !given.is_some_and(|given| [JSONL, NDJSON].iter().any(|expected| is_media_type(given, expected))) {
            return Err(Problem::UnsupportedMediaType.with(Detail::media_type(JSONL)));
        }
        let lines = self.request.body.split(|byte| *byte == b'\n');
        Ok(lines.filter(|line| !line.trim_ascii().is_empty()))
    }

    /// Reads the query.
    ///
    /// # Errors
    /// As [`ReadBody::of_query`].
    pub(crate) fn query<Q: ReadBody>(&self) -> Result<Q, RequestError> {
        Q::of_query(self.request)
    }
}

body! {
    /// The page of a list.
    pub(crate) struct PageParameters {
        /// The most records of the page.
        limit: Option<u8> [within(1, MAX_PAGE)] = 50,
        /// The cursor after which it begins: `next` of the page before.
        after: Option<String>,
    }
}

impl PageParameters {
    /// Returns the page.
    pub(crate) fn page(self) -> PageQuery {
        PageQuery::new(self.after.map(Cursor), self.limit.unwrap_or(DEFAULT_PAGE).into())
    }
}
