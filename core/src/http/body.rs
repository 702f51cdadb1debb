//! A JSON body, and its members by name. Malformed is never absent: a member of the wrong type, `null` included, is refused.

use alloc::string::String;

use serde_json::{Map, Value};

use crate::base::json::parse_object;
use crate::base::secret::SecretText;
use crate::http::media::is_media_type;
use crate::http::problem::Problem;
use crate::http::request::Request;

/// One JSON object, read strictly.
pub(crate) struct Body(Map<String, Value>);

impl Body {
    /// The body of `request`.
    ///
    /// # Errors
    /// [`Problem::UnsupportedMediaType`] where it is not `application/json`, [`Problem::BadJson`] where it is not one strict object.
    pub(crate) fn of(request: &Request) -> Result<Self, Problem> {
        let content_type = request.header("content-type").map_err(|_| Problem::BadHeader)?;
        if !content_type.is_some_and(|t| is_media_type(t, "application/json")) {
            return Err(Problem::UnsupportedMediaType);
        }
        parse_object(&request.body).map(Self).map_err(|_| Problem::BadJson)
    }

    /// The body of `request`, where every member is optional: none at all is an empty object.
    ///
    /// # Errors
    /// As [`Body::of`].
    pub(crate) fn of_any(request: &Request) -> Result<Self, Problem> {
        let said = request.header("content-type").map_err(|_| Problem::BadHeader)?;
        if request.body.is_empty() && said.is_none() { Ok(Self(Map::new())) } else { Self::of(request) }
    }

    /// Member `name` as text, if it is there.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Problem> {
        self.0.get(name).map(|value| value.as_str().ok_or(Problem::BadJson)).transpose()
    }

    /// Member `name` as text to keep secret.
    pub(crate) fn required_text(&self, name: &str) -> Result<SecretText, Problem> {
        self.text(name)?.map(|text| SecretText::new(text.into())).ok_or(Problem::BadJson)
    }

    /// Member `name` as `true` or `false`; `false` if it is not there.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Problem> {
        self.0.get(name).map_or(Ok(false), |value| value.as_bool().ok_or(Problem::BadJson))
    }

    /// Member `name` as a JSON value, if it is there.
    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}
