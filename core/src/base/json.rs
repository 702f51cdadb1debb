//! JSON (RFC 8259), read so that it has one meaning: one object, no member twice, not too deep, not too many values.

use alloc::string::String;
use core::cell::{Cell, RefCell};
use core::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Number, Value};

use crate::base::plain_name::plain_name;

/// The deepest nesting that is read, the outermost object included.
pub const MAX_DEPTH: u8 = 32;

/// The most values that are read, at all depths together. Each costs memory and a look-up.
pub const MAX_VALUES: usize = 1000;

/// A text that is not one JSON object with one meaning, and where that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// The line, from 1.
    pub line: usize,
    /// The byte in the line, from 1.
    pub column: usize,
    /// The reason.
    pub fault: JsonFault,
}

/// The reason why a text is not one JSON object with one meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonFault {
    /// It is not UTF-8.
    NotUtf8,
    /// It begins with a byte order mark.
    ByteOrderMark,
    /// It is not JSON.
    Syntax,
    /// It ends too soon.
    Truncated,
    /// It is JSON, and no object.
    NotAnObject,
    /// Something follows the object.
    Trailing,
    /// A member is repeated: this one, if its name can be told.
    Repeated(Option<String>),
    /// It is nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// It has more values than [`MAX_VALUES`].
    TooMany,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            JsonFault::NotUtf8 => f.write_str("it is not UTF-8"),
            JsonFault::ByteOrderMark => f.write_str("it begins with a byte order mark"),
            JsonFault::Syntax => f.write_str("it is not JSON"),
            JsonFault::Truncated => f.write_str("it ends too soon"),
            JsonFault::NotAnObject => f.write_str("it is no object"),
            JsonFault::Trailing => f.write_str("something follows the object"),
            JsonFault::Repeated(Some(name)) => write!(f, "the member {name} is repeated"),
            JsonFault::Repeated(None) => f.write_str("a member is repeated"),
            JsonFault::TooDeep => write!(f, "it is nested deeper than {MAX_DEPTH}"),
            JsonFault::TooMany => write!(f, "it has more than {MAX_VALUES} values"),
        }?;
        write!(f, " (line {}, column {})", self.line, self.column)
    }
}

impl core::error::Error for JsonError {}

/// Reads one object. The work is linear in `bytes`.
///
/// # Errors
/// [`JsonError`] where it is not UTF-8, not one object, begins with a byte order mark, goes on after the object, repeats a
/// member at any depth, holds a number out of range, is nested deeper than [`MAX_DEPTH`], or has more values than
/// [`MAX_VALUES`].
pub fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, JsonError> {
    let start = |fault| JsonError { line: 1, column: 1, fault };
    if bytes.starts_with("\u{feff}".as_bytes()) {
        return Err(start(JsonFault::ByteOrderMark));
    }
    let text = core::str::from_utf8(bytes).map_err(|error| {
        let (line, column) = position(bytes.get(..error.valid_up_to()).unwrap_or_default());
        JsonError { line, column, fault: JsonFault::NotUtf8 }
    })?;
    let rules = Rules { values: Cell::new(MAX_VALUES), broken: RefCell::new(None) };
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Strict { depth: MAX_DEPTH, rules: &rules }.deserialize(&mut reader);
    let value = value.map_err(|error| rules.located(&error))?;
    reader.end().map_err(|error| JsonError { fault: JsonFault::Trailing, ..rules.located(&error) })?;
    match value {
        Value::Object(object) => Ok(object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(start(JsonFault::NotAnObject))
        }
    }
}

/// Returns the line and the column of what follows `read`.
fn position(read: &[u8]) -> (usize, usize) {
    let lines = read.iter().filter(|byte| **byte == b'\n').count();
    let column = read.rsplit(|byte| *byte == b'\n').next().map_or(0, <[u8]>::len);
    (lines.saturating_add(1), column.saturating_add(1))
}

/// Rules that hold for a whole text.
struct Rules {
    /// The number of values that may follow.
    values: Cell<usize>,
    /// The rule that was broken. A reader of serde's cannot return it.
    broken: RefCell<Option<JsonFault>>,
}

impl Rules {
    fn count_value<E: Error>(&self) -> Result<(), E> {
        let left = self.values.get().checked_sub(1).ok_or_else(|| self.broken(JsonFault::TooMany))?;
        self.values.set(left);
        Ok(())
    }

    fn broken<E: Error>(&self, fault: JsonFault) -> E {
        self.broken.replace(Some(fault));
        E::custom("a rule is broken")
    }

    fn located(&self, error: &serde_json::Error) -> JsonError {
        let fault = self.broken.take().unwrap_or_else(|| match error.classify() {
            Category::Eof => JsonFault::Truncated,
            Category::Syntax | Category::Data | Category::Io => JsonFault::Syntax,
        });
        // The column of the byte read last: an empty text has none.
        JsonError { line: error.line(), column: error.column().max(1), fault }
    }
}

/// Reads a value that may hold `depth` more levels.
#[derive(Clone, Copy)]
struct Strict<'a> {
    depth: u8,
    rules: &'a Rules,
}

impl Strict<'_> {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| self.rules.broken(JsonFault::TooDeep))?;
        Ok(Self { depth, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.rules.count_value()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
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
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(self.rules.broken(JsonFault::Repeated(plain_name(&name))));
            }
            let value = members.next_value_seed(inner)?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, string::ToString};

    fn nested(depth: usize) -> String {
        format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth))
    }

    fn members(count: usize) -> String {
        let members: alloc::vec::Vec<String> = (0..count).map(|i| format!("\"{i:x}\":1")).collect();
        format!("{{{}}}", members.join(","))
    }

    #[test]
    fn one_meaning_or_none() {
        for text in
            ["{}", " {\"a\": [1, -2, 3.5, true, null, \"x\"]}\r\n\t ", &nested(31), &members(MAX_VALUES - 1)]
        {
            assert!(parse_object(text.as_bytes()).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        use JsonFault::{
            ByteOrderMark, NotAnObject, NotUtf8, Repeated, Syntax, TooDeep, TooMany, Trailing, Truncated,
        };
        let repeated = |name: &str| Repeated(Some(name.into()));
        let case = |bytes: &[u8], place, fault| (bytes.to_vec(), place, fault);
        for (bytes, (line, column), fault) in [
            case(nested(32).as_bytes(), (1, 38), TooDeep),
            case(nested(10_000).as_bytes(), (1, 37), TooDeep),
            case(members(MAX_VALUES).as_bytes(), (1, 7727), TooMany),
            case(members(7_000).as_bytes(), (1, 7727), TooMany),
            case(format!("{{\"a\":[{}]}}", "1,".repeat(9_000)).as_bytes(), (1, 2002), TooMany),
            case(b"{\"a\":1,\"a\":1}", (1, 10), repeated("a")),
            case(b"{\"a\":1,\"\\u0061\":1}", (1, 15), repeated("a")),
            case(b"{\"x\":[{\"a\":1,\n\"a\":1}]}", (2, 3), repeated("a")),
            // A name that may be a secret in the wrong place is not told.
            case("{\"p\u{e4}ss\":1,\"p\u{e4}ss\":1}".as_bytes(), (1, 18), Repeated(None)),
            case("\u{feff}{}".as_bytes(), (1, 1), ByteOrderMark),
            case(b"{}{}", (1, 3), Trailing),
            case(b"{} x", (1, 4), Trailing),
            case(b"{}\0", (1, 3), Trailing),
            case(b"", (1, 1), Truncated),
            case(b"{\"a\":", (1, 5), Truncated),
            case(b"[]", (1, 1), NotAnObject),
            case(b"null", (1, 1), NotAnObject),
            case(b"{\"a\":1e999}", (1, 10), Syntax),
            case(b"{\"a\":NaN}", (1, 6), Syntax),
            case(b"{\"a\":01}", (1, 7), Syntax),
            case(b"{\n a:1}", (2, 2), Syntax),
            case(b"{\"a\":1,}", (1, 8), Syntax),
            case(b"{\"a\":\"\\ud800\"}", (1, 13), Syntax),
            case(b"{\"a\":\"\0\"}", (1, 7), Syntax),
            case(b"{\"a\":\"\xff\"}", (1, 7), NotUtf8),
            case(b"{\n\"a\":\"\xc0\xaf\"}", (2, 6), NotUtf8),
        ] {
            let error = parse_object(&bytes).unwrap_err();
            let text = String::from_utf8_lossy(bytes.get(..40).unwrap_or(&bytes));
            assert_eq!(error, JsonError { line, column, fault }, "{text}");
        }
        let twice = parse_object(b"{\"ttl\":1,\"ttl\":1}").unwrap_err();
        assert_eq!(twice.to_string(), "the member ttl is repeated (line 1, column 14)");
    }
}
