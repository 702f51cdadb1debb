//! JSON (RFC 8259), read so that it has one meaning: one object, no member twice, not too deep.

use core::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The deepest nesting that is read, the outermost object included.
pub const MAX_DEPTH: u8 = 32;

/// Not one JSON object with one meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonError;

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not one JSON object in UTF-8, every member once, at most {MAX_DEPTH} deep")
    }
}

impl core::error::Error for JsonError {}

/// Reads one object. The work is linear in `bytes`.
///
/// # Errors
/// [`JsonError`] where it is not UTF-8, not one object, begins with a byte order mark, goes on after the object, repeats a
/// member at any depth, holds a number out of range, or is nested deeper than [`MAX_DEPTH`].
pub fn parse_object(bytes: &[u8]) -> Result<Map<alloc::string::String, Value>, JsonError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: MAX_DEPTH }.deserialize(&mut reader).map_err(|_| JsonError)?;
    reader.end().map_err(|_| JsonError)?;
    match value {
        Value::Object(object) => Ok(object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(JsonError)
        }
    }
}

/// Reads a value that may hold `depth` more levels.
#[derive(Clone, Copy)]
struct Strict {
    depth: u8,
}

impl Strict {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("too deep"))?;
        Ok(Self { depth })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not finite"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.into()))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut values = alloc::vec::Vec::new();
        while let Some(value) = sequence.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key()? {
            if object.insert(name, members.next_value_seed(inner)?).is_some() {
                return Err(A::Error::custom("a member is repeated"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, string::String};

    #[test]
    fn one_meaning_or_none() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        for (text, good) in [
            (String::from("{}"), true),
            (" {\"a\": [1, -2, 3.5, true, null, \"x\"]}\r\n\t ".into(), true),
            (nested(31), true),
            (nested(32), false),
            (nested(10_000), false),
            ("{\"a\":1,\"a\":1}".into(), false),
            ("{\"a\":1,\"\\u0061\":1}".into(), false),
            ("{\"x\":[{\"a\":1,\"a\":1}]}".into(), false),
            ("\u{feff}{}".into(), false),
            ("{}{}".into(), false),
            ("{} x".into(), false),
            ("{}\0".into(), false),
            (String::new(), false),
            ("[]".into(), false),
            ("null".into(), false),
            ("{\"a\":1e999}".into(), false),
            ("{\"a\":NaN}".into(), false),
            ("{\"a\":01}".into(), false),
            ("{a:1}".into(), false),
            ("{\"a\":1,}".into(), false),
            ("{\"a\":\"\\ud800\"}".into(), false),
            ("{\"a\":\"\u{0}\"}".into(), false),
        ] {
            assert_eq!(parse_object(text.as_bytes()).is_ok(), good, "{text}");
        }
        assert_eq!(parse_object(b"{\"a\":\"\xff\"}"), Err(JsonError));
        assert_eq!(parse_object(b"{\"a\":\"\xc0\xaf\"}"), Err(JsonError));
    }
}
