//! The description of a JSON value, and the one check that a value fits it.

use alloc::string::ToString;
use alloc::vec::Vec;

use serde_json::Value;

use crate::http::detail::Detail;
use crate::http::misspelling::meant;
use crate::http::problem::Problem;
use crate::http::request_error::RequestError;
use crate::http::shape::place::Place;

/// The most unknown members of an object that are compared with the known ones.
const COMPARED: usize = 64;

/// The values that are accepted or sent in one place.
#[derive(Clone, Copy)]
pub(crate) struct Schema {
    pub(crate) kind: Kind,
    /// The format (JSON Schema §7.3), for the reader of the document. It is not checked here.
    pub(crate) format: Option<&'static str>,
    /// The least number, or the fewest characters or items.
    pub(crate) least: Option<u64>,
    /// The greatest number, or the most characters or items.
    pub(crate) most: Option<u64>,
    /// The only texts that are accepted; empty where others are, too.
    pub(crate) names: &'static [&'static str],
    /// True where a text has no control character.
    pub(crate) plain: bool,
}

/// The type of a value.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// Any JSON value.
    Any,
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Integer,
    /// A text.
    Text,
    /// A list of values of one schema.
    List(&'static Schema),
    /// An object.
    Object(&'static Object),
    /// A value of one of these schemas.
    AnyOf(&'static [Schema]),
}

/// An object, member by member. Other members are ignored when it is read.
pub(crate) struct Object {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) members: &'static [Member],
    /// The objects whose members are its own, too.
    pub(crate) included: &'static [&'static Self],
}

/// A member of an object.
pub(crate) struct Member {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) required: bool,
    pub(crate) nullable: bool,
    pub(crate) schema: Schema,
    /// The problem that a value which does not fit is answered with.
    pub(crate) problem: Problem,
    /// An example, as JSON text; empty where there is none.
    pub(crate) example: &'static str,
}

impl Schema {
    /// Any JSON value.
    pub(crate) const ANY: Self = Self::of(Kind::Any);
    /// `true` or `false`.
    pub(crate) const FLAG: Self = Self::of(Kind::Flag);
    /// A text.
    pub(crate) const TEXT: Self = Self::of(Kind::Text);

    /// A value of `kind`.
    pub(crate) const fn of(kind: Kind) -> Self {
        Self { kind, format: None, least: None, most: None, names: &[], plain: false }
    }

    /// One of `names`.
    pub(crate) const fn one_of(names: &'static [&'static str]) -> Self {
        Self { names, ..Self::TEXT }
    }

    /// Limits a number.
    pub(crate) const fn within(self, least: u32, most: u32) -> Self {
        #[allow(clippy::as_conversions, reason = "nothing is lost, and `From` is not const")]
        let (least, most) = (least as u64, most as u64);
        Self { least: Some(least), most: Some(most), ..self }
    }

    /// Limits the characters of a text, or the items of a list.
    pub(crate) const fn length(self, fewest: usize, most: usize) -> Self {
        #[allow(clippy::as_conversions, reason = "nothing is lost, and `TryFrom` is not const")]
        let (fewest, most) = (fewest as u64, most as u64);
        Self { least: Some(fewest), most: Some(most), ..self }
    }

    /// Names the only texts that there are.
    pub(crate) const fn names(self, names: &'static [&'static str]) -> Self {
        Self { names, ..self }
    }

    /// Names the format of a text.
    pub(crate) const fn format(self, format: &'static str) -> Self {
        Self { format: Some(format), ..self }
    }

    /// Excludes control characters from a text.
    pub(crate) const fn plain(self) -> Self {
        Self { plain: true, ..self }
    }

    /// Checks that `value`, which stands at `place`, fits.
    ///
    /// # Errors
    /// [`RequestError`] with the place and what should stand there.
    pub(crate) fn check(&self, value: &Value, place: &Place<'_>) -> Result<(), RequestError> {
        let wrong = |detail: fn(&str) -> Detail| Err(RequestError::at(place, detail));
        match (self.kind, value) {
            (Kind::Any, _) | (Kind::Flag, Value::Bool(_)) => Ok(()),
            (Kind::Flag, _) => wrong(Detail::no_flag),
            (Kind::Integer, _) => {
                let (least, most) = (self.least.unwrap_or(0), self.most.unwrap_or(u64::MAX));
                match value.as_u64() {
                    Some(number) if (least..=most).contains(&number) => Ok(()),
                    Some(_) | None => {
                        Err(RequestError::at(place, |name| Detail::no_integer(name, self.least, self.most)))
                    }
                }
            }
            (Kind::Text, Value::String(text)) => self.check_text(text, place),
            (Kind::Text, _) => wrong(Detail::no_text),
            (Kind::List(schema), Value::Array(items)) => {
                if !self.has_room(items.len()) {
                    return Err(RequestError::at(place, |name| Detail::no_list(name, self.least, self.most)));
                }
                (0..).zip(items).try_for_each(|(index, item)| schema.check(item, &place.item(index)))
            }
            (Kind::List(_), _) => {
                Err(RequestError::at(place, |name| Detail::no_list(name, self.least, self.most)))
            }
            (Kind::Object(object), Value::Object(_)) => object.check(value, place),
            (Kind::Object(_), _) => wrong(Detail::no_object),
            (Kind::AnyOf(schemas), _) => {
                let fits = schemas.iter().any(|schema| schema.check(value, place).is_ok());
                if fits { Ok(()) } else { wrong(Detail::unfit) }
            }
        }
    }

    fn check_text(&self, text: &str, place: &Place<'_>) -> Result<(), RequestError> {
        if !self.names.is_empty() && !self.names.contains(&text) {
            return Err(RequestError::at(place, |name| Detail::none_of(name, self.names)));
        }
        let bounded = self.least.is_some() || self.most.is_some();
        let fits = !bounded || self.has_room(text.chars().count());
        if fits && !(self.plain && text.chars().any(char::is_control)) {
            return Ok(());
        }
        Err(RequestError::at(place, |name| Detail::no_such_text(name, (self.least, self.most), self.plain)))
    }

    fn has_room(&self, count: usize) -> bool {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.least.is_none_or(|least| count >= least) && self.most.is_none_or(|most| count <= most)
    }
}

impl Object {
    /// Returns the members, those of included objects last.
    pub(crate) fn members(&'static self) -> impl Iterator<Item = &'static Member> {
        let included = self.included.iter().flat_map(|object| object.members);
        self.members.iter().chain(included)
    }

    /// Returns true if a member has to be there.
    pub(crate) fn requires_any(&'static self) -> bool {
        self.members().any(|member| member.required)
    }

    /// Checks the members of `value`, which stands at `place`. A null counts as absent. One that is unknown and looks like a known one
    /// is refused, the others are ignored.
    ///
    /// # Errors
    /// [`RequestError`] with the first member that is missing, misspelt or does not fit.
    fn check(&'static self, value: &Value, place: &Place<'_>) -> Result<(), RequestError> {
        let Some(members) = value.as_object() else { return Err(RequestError::at(place, Detail::no_object)) };
        let is_known = |name: &str| self.members().any(|member| member.name == name);
        let mut unknown = members.keys().filter(|name| !is_known(name)).take(COMPARED).peekable();
        let known: Vec<_> = match unknown.peek() {
            Some(_) => self.members().map(|member| member.name).collect(),
            None => Vec::new(),
        };
        for name in unknown {
            if let Some(meant) = meant(name, &known) {
                let error = RequestError::body(Detail::misspelt(name, meant));
                return Err(error.about(place.member(meant).to_string()));
            }
        }
        self.members().try_for_each(|member| {
            let place = place.member(member.name);
            match members.get(member.name).filter(|value| !value.is_null()) {
                Some(value) => member.check(value, &place),
                None if member.required => Err(RequestError::at(&place, Detail::missing)),
                None => Ok(()),
            }
        })
    }
}

impl Member {
    /// Checks that `value`, which stands at `place`, fits.
    fn check(&self, value: &Value, place: &Place<'_>) -> Result<(), RequestError> {
        let checked = self.schema.check(value, place);
        // A text of another type is malformed before it can break a rule of its own.
        let is_malformed = matches!(self.schema.kind, Kind::Text) && !value.is_string();
        if is_malformed { checked } else { checked.map_err(|error| error.with_problem(self.problem)) }
    }
}
