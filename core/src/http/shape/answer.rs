//! Answers: `answer!` makes a struct with its writer and its schema.

use serde::Serialize;
use serde::ser::SerializeMap;

use crate::http::shape::Shape;
use crate::http::shape::schema::{Object, Schema};

/// A type that a member of an answer has: always there, or an `Option` where it may be absent, or [`Nullable`].
pub(crate) trait AnswerMember {
    /// The schema of its values, null apart.
    const SCHEMA: Schema;
    /// True where it is always there.
    const REQUIRED: bool;
    /// True where it may be null.
    const NULLABLE: bool;

    /// Writes the member called `name`, where it is there.
    ///
    /// # Errors
    /// Those of the serializer.
    fn write_member<M: SerializeMap>(&self, name: &'static str, members: &mut M) -> Result<(), M::Error>;
}

/// A member of an answer that is always there, and null where there is no value.
pub(crate) struct Nullable<T>(pub(crate) Option<T>);

impl<T: Shape + Serialize> AnswerMember for T {
    const SCHEMA: Schema = T::SCHEMA;
    const REQUIRED: bool = true;
    const NULLABLE: bool = false;

    fn write_member<M: SerializeMap>(&self, name: &'static str, members: &mut M) -> Result<(), M::Error> {
        members.serialize_entry(name, self)
    }
}

impl<T: Shape + Serialize> AnswerMember for Option<T> {
    const SCHEMA: Schema = T::SCHEMA;
    const REQUIRED: bool = false;
    const NULLABLE: bool = false;

    fn write_member<M: SerializeMap>(&self, name: &'static str, members: &mut M) -> Result<(), M::Error> {
        self.as_ref().map_or(Ok(()), |value| members.serialize_entry(name, value))
    }
}

impl<T: Shape + Serialize> AnswerMember for Nullable<T> {
    const SCHEMA: Schema = T::SCHEMA;
    const REQUIRED: bool = true;
    const NULLABLE: bool = true;

    fn write_member<M: SerializeMap>(&self, name: &'static str, members: &mut M) -> Result<(), M::Error> {
        members.serialize_entry(name, &self.0)
    }
}

/// A struct that `answer!` made.
pub(crate) trait Answer: Serialize {
    /// Its description.
    const ANSWER: &'static Object;

    /// Writes its members.
    ///
    /// # Errors
    /// Those of the serializer.
    fn write_members<M: SerializeMap>(&self, members: &mut M) -> Result<(), M::Error>;
}
