//! A JSON body, and its members by name. Malformed is never absent: a member of the wrong type is refused, and so is one that is
//! a member of the endpoint misspelt. A `null` counts as absent.

use alloc::string::String;

use serde_json::{Map, Value};

use crate::base::json::parse_object;
use crate::base::secret::SecretText;
use crate::http::detail::Detail;
use crate::http::media::{has_content_coding, is_media_type};
use crate::http::misspelling::meant;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::request_error::RequestError;

/// The media type of every body that is no form.
const JSON: &str = "application/json";

/// The most unknown members that are compared with the known ones.
const COMPARED: usize = 64;

/// One JSON object, read strictly.
pub(crate) struct Body {
    members: Map<String, Value>,
    known: &'static [&'static str],
}

impl Body {
    /// The body of `request`, which may have the members `known`. Others are ignored.
    ///
    /// # Errors
    /// 415 where it is not `application/json` or has a content coding; [`Problem::BadJson`] where it is not one strict
    /// object, or a member is a known one misspelt.
    pub(crate) fn of(request: &Request, known: &'static [&'static str]) -> Result<Self, RequestError> {
        if has_content_coding(request) {
            return Err(Problem::UnsupportedContentCoding.into());
        }
        if !request.header("content-type")?.is_some_and(|t| is_media_type(t, JSON)) {
            return Err(Problem::UnsupportedMediaType.with(Detail::media_type(JSON)));
        }
        let members = parse_object(&request.body)?;
        let unknown = members.keys().filter(|name| !known.contains(&name.as_str()));
        for name in unknown.take(COMPARED) {
            if let Some(meant) = meant(name, known) {
                return Err(RequestError::body(Detail::misspelt(name, meant)));
            }
        }
        Ok(Self { members, known })
    }

    /// Member `name` as text, if it is there.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, RequestError> {
        let text = |value: &'_ Value| value.as_str().is_some();
        match self.value(name) {
            Some(value) if !text(value) => Err(RequestError::body(Detail::no_text(name))),
            value => Ok(value.and_then(Value::as_str)),
        }
    }

    /// Member `name` as text to keep secret.
    pub(crate) fn required_text(&self, name: &str) -> Result<SecretText, RequestError> {
        let text = self.text(name)?.map(|text| SecretText::new(text.into()));
        text.ok_or_else(|| RequestError::body(Detail::missing(name)))
    }

    /// Member `name` as a JSON value, if it is there.
    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        debug_assert!(self.known.contains(&name), "{name} is not among the known members");
        self.members.get(name).filter(|value| !value.is_null())
    }
}
