//! The shapes of bodies and answers. One description of a shape gives its struct, its reader or writer, and its schema in the
//! OpenAPI document, so that none of them can differ from the others.

mod answer;
mod body;
mod document;
mod form;
mod macros;
mod place;
mod schema;

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use serde_json::Value;

use crate::base::secret::SecretText;

pub(crate) use answer::{Answer, AnswerMember, Nullable};
pub(crate) use body::{BodyMember, Patched, Read, ReadBody, members, read_named};
pub(crate) use document::DocumentWriter;
pub(crate) use form::{FormParameter, ReadForm};
pub(crate) use macros::{answer, body, form, member, named, problem};
pub(crate) use place::Place;
pub(crate) use schema::{Kind, Member, Object, Schema};

/// A type of JSON values.
pub(crate) trait Shape {
    /// Its schema.
    const SCHEMA: Schema;
    /// The same, to refer to.
    const REFERENCE: &'static Schema = &Self::SCHEMA;
}

impl Shape for str {
    const SCHEMA: Schema = Schema::TEXT;
}

impl Shape for String {
    const SCHEMA: Schema = Schema::TEXT;
}

impl Shape for SecretText {
    const SCHEMA: Schema = Schema::TEXT.format("password");
}

impl Shape for bool {
    const SCHEMA: Schema = Schema::FLAG;
}

impl Shape for Value {
    const SCHEMA: Schema = Schema::ANY;
}

impl Shape for u8 {
    const SCHEMA: Schema = Schema::of(Kind::Integer).within(0, 0xff);
}

impl Shape for u16 {
    const SCHEMA: Schema = Schema::of(Kind::Integer).within(0, 0xffff);
}

impl Shape for u32 {
    const SCHEMA: Schema = Schema::of(Kind::Integer).within(0, 0xffff_ffff);
}

impl Shape for u64 {
    const SCHEMA: Schema = Schema { least: Some(0), ..Schema::of(Kind::Integer) };
}

impl<T: Shape + ?Sized> Shape for &T {
    const SCHEMA: Schema = T::SCHEMA;
}

impl<T: Shape> Shape for [T] {
    const SCHEMA: Schema = Schema::of(Kind::List(T::REFERENCE));
}

impl<T: Shape> Shape for Vec<T> {
    const SCHEMA: Schema = Schema::of(Kind::List(T::REFERENCE));
}

named! {
    IpAddr: Schema::TEXT,
    |text| text.parse().ok(),
    ("must be an IPv4 or IPv6 address", "必须是 IPv4 或 IPv6 地址")
}

#[cfg(test)]
mod tests;
