//! Bodies, queries and forms: `body!` makes a struct with its reader and its schema.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::{Map, Value};

use crate::base::form::Form;
use crate::base::json::parse_object;
use crate::base::secret::SecretText;
use crate::http::detail::Detail;
use crate::http::media::{has_content_coding, is_media_type};
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::request_error::RequestError;
use crate::http::shape::Shape;
use crate::http::shape::place::Place;
use crate::http::shape::schema::{Kind, Object, Schema};

/// The media type of every body that is no form.
const JSON: &str = "application/json";

/// A type whose values are read from JSON.
pub(crate) trait Read: Shape + Sized {
    /// Reads `value`, which fits the schema and stands at `place`.
    ///
    /// # Errors
    /// [`RequestError`] where it breaks a rule that the schema does not tell.
    fn read(value: &Value, place: &Place<'_>) -> Result<Self, RequestError>;
}

/// A type that a member of a body has: a [`Read`] where it must be there, an `Option` of one where it may be absent or null, or
/// [`Patched`].
pub(crate) trait BodyMember: Sized {
    /// The schema of its values, null apart.
    const SCHEMA: Schema;
    /// True where it must be there.
    const REQUIRED: bool;

    /// Reads the member: `value` is none where it is absent.
    ///
    /// # Errors
    /// As [`Read::read`].
    fn read_member(value: Option<&Value>, place: &Place<'_>) -> Result<Self, RequestError>;
}

/// A member of a PATCH body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patched<T> {
    /// It is absent: nothing changes.
    Absent,
    /// It is null: the value is cleared.
    Null,
    /// It is set to this.
    Value(T),
}

impl<T> Patched<T> {
    /// Returns the value that is set, or none where it is cleared; nothing where it is absent.
    pub(crate) fn edited(self) -> Option<Option<T>> {
        match self {
            Self::Absent => None,
            Self::Null => Some(None),
            Self::Value(value) => Some(Some(value)),
        }
    }
}

impl<T: Read> BodyMember for T {
    const SCHEMA: Schema = T::SCHEMA;
    const REQUIRED: bool = true;

    fn read_member(value: Option<&Value>, place: &Place<'_>) -> Result<Self, RequestError> {
        T::read(value.ok_or_else(|| RequestError::at(place, Detail::missing))?, place)
    }
}

impl<T: Read> BodyMember for Option<T> {
    const SCHEMA: Schema = T::SCHEMA;
    const REQUIRED: bool = false;

    fn read_member(value: Option<&Value>, place: &Place<'_>) -> Result<Self, RequestError> {
        value.filter(|value| !value.is_null()).map(|value| T::read(value, place)).transpose()
    }
}

impl<T: Read> BodyMember for Patched<T> {
    const SCHEMA: Schema = T::SCHEMA;
    const REQUIRED: bool = false;

    fn read_member(value: Option<&Value>, place: &Place<'_>) -> Result<Self, RequestError> {
        match value {
            None => Ok(Self::Absent),
            Some(Value::Null) => Ok(Self::Null),
            Some(value) => T::read(value, place).map(Self::Value),
        }
    }
}

/// A struct that `body!` made.
pub(crate) trait ReadBody: Sized {
    /// Its description.
    const BODY: &'static Object;

    /// Reads the members, all of which fit the schema. The object stands at `place`.
    ///
    /// # Errors
    /// As [`Read::read`].
    fn read_members(members: &Map<String, Value>, place: &Place<'_>) -> Result<Self, RequestError>;

    /// Reads the JSON body of `request`. Where every member is optional, no body at all is an empty object.
    ///
    /// # Errors
    /// 415 where it is not `application/json` or has a content coding; [`Problem::BadJson`] where it is not one strict object,
    /// or a member is missing, misspelt or does not fit.
    fn of_json(request: &Request) -> Result<Self, RequestError> {
        Self::of_value(&Value::Object(json(request, Self::BODY)?))
    }

    /// Reads the query of the target of `request`. A parameter without a value has an empty one.
    ///
    /// # Errors
    /// [`Problem::BadQuery`] where it is malformed, or a parameter is repeated, missing, misspelt or does not fit.
    fn of_query(request: &Request) -> Result<Self, RequestError> {
        let query = request.target.split_once('?').map_or("", |(_, query)| query);
        let read = || {
            let form = Form::parse(query.as_bytes()).map_err(|error| Problem::BadQuery.with(error))?;
            let value = |name: &str, text: &str| {
                let member = Self::BODY.members().find(|member| member.name == name);
                member.map_or(Value::Null, |member| of_text(&member.schema, text))
            };
            let members = form.pairs().map(|(name, text)| (name.into(), value(name, text)));
            Self::of_value(&Value::Object(members.collect()))
        };
        read().map_err(RequestError::of_query)
    }

    /// Reads a JSON value.
    ///
    /// # Errors
    /// As [`of_json`](Self::of_json), of the value.
    fn of_value(value: &Value) -> Result<Self, RequestError> {
        Schema::of(Kind::Object(Self::BODY)).check(value, &Place::WHOLE)?;
        Self::read_members(members(value, &Place::WHOLE)?, &Place::WHOLE)
    }
}

fn json(request: &Request, body: &'static Object) -> Result<Map<String, Value>, RequestError> {
    let content_type = request.header("content-type")?;
    if request.body.is_empty() && content_type.is_none() && !body.requires_any() {
        return Ok(Map::new());
    }
    if has_content_coding(request) {
        return Err(Problem::UnsupportedContentCoding.into());
    }
    if !content_type.is_some_and(|given| is_media_type(given, JSON)) {
        return Err(Problem::UnsupportedMediaType.with(Detail::media_type(JSON)));
    }
    Ok(parse_object(&request.body)?)
}

/// Returns the value that `text` stands for in a query. What is no such value stays a text, which does not fit then.
fn of_text(schema: &Schema, text: &str) -> Value {
    let value = match schema.kind {
        Kind::Flag => text.parse().ok().map(Value::Bool),
        // As JSON writes a number: `+1` and `01` are none.
        Kind::Integer => text.parse().ok().filter(|number: &u64| number.to_string() == text).map(Value::from),
        Kind::Any | Kind::Text | Kind::List(_) | Kind::Object(_) | Kind::AnyOf(_) => None,
    };
    value.unwrap_or_else(|| Value::String(text.into()))
}

impl Read for String {
    fn read(value: &Value, place: &Place<'_>) -> Result<Self, RequestError> {
        text(value, place).map(Self::from)
    }
}

impl Read for SecretText {
    fn read(value: &Value, place: &Place<'_>) -> Result<Self, RequestError> {
        text(value, place).map(|text| Self::new(text.into()))
    }
}

impl Read for bool {
    fn read(value: &Value, place: &Place<'_>) -> Result<Self, RequestError> {
        value.as_bool().ok_or_else(|| RequestError::at(place, Detail::no_flag))
    }
}

impl Read for Value {
    fn read(value: &Value, _: &Place<'_>) -> Result<Self, RequestError> {
        Ok(value.clone())
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(value: &Value, place: &Place<'_>) -> Result<Self, RequestError> {
        let items = value
            .as_array()
            .ok_or_else(|| RequestError::at(place, |name| Detail::no_list(name, None, None)))?;
        (0..).zip(items).map(|(index, item)| T::read(item, &place.item(index))).collect()
    }
}

macro_rules! integers {
    ($($integer:ty),+) => {$(
        impl Read for $integer {
            fn read(value: &Value, place: &Place<'_>) -> Result<Self, RequestError> {
                let number = value.as_u64().and_then(|number| number.try_into().ok());
                number.ok_or_else(|| RequestError::at(place, |name| Detail::no_integer(name, None, None)))
            }
        }
    )+};
}

integers!(u8, u16, u32, u64);

/// Returns the text of `value`, which stands at `place`.
///
/// # Errors
/// [`RequestError`] where it is no text.
pub(crate) fn text<'a>(value: &'a Value, place: &Place<'_>) -> Result<&'a str, RequestError> {
    value.as_str().ok_or_else(|| RequestError::at(place, Detail::no_text))
}

/// Returns the members of `value`, which stands at `place`.
///
/// # Errors
/// [`RequestError`] where it is no object.
pub(crate) fn members<'a>(
    value: &'a Value,
    place: &Place<'_>,
) -> Result<&'a Map<String, Value>, RequestError> {
    value.as_object().ok_or_else(|| RequestError::at(place, Detail::no_object))
}

/// Reads a text by `read`, which returns none where it breaks `rule`.
///
/// # Errors
/// [`RequestError`] with the rule, in English and in Chinese.
pub(crate) fn read_named<T>(
    value: &Value,
    place: &Place<'_>,
    read: fn(&str) -> Option<T>,
    rule: (&str, &str),
) -> Result<T, RequestError> {
    let read = read(text(value, place)?);
    read.ok_or_else(|| RequestError::at(place, |name| Detail::breaks_rule(name, rule)))
}
