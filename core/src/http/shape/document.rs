//! The schemas as JSON Schema 2020-12, and the writer of the document that they stand in.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use crate::http::shape::schema::{Kind, Member, Object, Schema};

/// A JSON text in the making.
#[derive(Default)]
pub(crate) struct DocumentWriter {
    text: String,
    /// The objects that were referred to, each once.
    objects: Vec<&'static Object>,
}

impl DocumentWriter {
    /// Returns the text.
    pub(crate) fn into_text(self) -> String {
        self.text
    }

    /// Writes an object, the members of which `write` writes.
    pub(crate) fn object(&mut self, write: impl FnOnce(&mut Self)) {
        self.begin('{');
        write(self);
        self.text.push('}');
    }

    /// Writes a list, the items of which `write` writes.
    pub(crate) fn list(&mut self, write: impl FnOnce(&mut Self)) {
        self.begin('[');
        write(self);
        self.text.push(']');
    }

    /// Writes the name of a member. Its value has to follow.
    pub(crate) fn name(&mut self, name: &str) -> &mut Self {
        self.string(name);
        self.text.push(':');
        self
    }

    /// Writes a string.
    pub(crate) fn string(&mut self, text: &str) {
        self.separate();
        self.text.push('"');
        for character in text.chars() {
            match character {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                control if u32::from(control) < 0x20 => {
                    // Writing to a `String` cannot fail.
                    let _ = write!(self.text, "\\u{:04x}", u32::from(control));
                }
                other => self.text.push(other),
            }
        }
        self.text.push('"');
    }

    /// Writes what is JSON already.
    pub(crate) fn raw(&mut self, json: &str) {
        self.separate();
        self.text.push_str(json);
    }

    /// Writes a number.
    pub(crate) fn number(&mut self, number: impl Into<u64>) {
        self.separate();
        // Writing to a `String` cannot fail.
        let _ = write!(self.text, "{}", number.into());
    }

    /// Writes a member with a text.
    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.name(name).string(text);
    }

    /// Writes a member with an object.
    pub(crate) fn member(&mut self, name: &str, write: impl FnOnce(&mut Self)) {
        self.name(name).object(write);
    }

    /// Writes a member with a list of texts.
    pub(crate) fn texts<'a>(&mut self, name: &str, texts: impl Iterator<Item = &'a str>) {
        self.name(name).list(|out| texts.for_each(|text| out.string(text)));
    }

    fn begin(&mut self, bracket: char) {
        self.separate();
        self.text.push(bracket);
    }

    fn separate(&mut self) {
        if !matches!(self.text.chars().next_back(), None | Some('{' | '[' | ':')) {
            self.text.push(',');
        }
    }

    /// Writes a schema. An object is referred to by its name.
    pub(crate) fn schema(&mut self, schema: &Schema) {
        self.object(|out| out.schema_members(schema, false));
    }

    /// Writes the schemas of the objects that were referred to, and of those in them.
    pub(crate) fn referred_objects(&mut self) {
        let mut next = 0;
        while let Some(object) = self.objects.get(next).copied() {
            self.name(object.name).object(|out| out.object_members(object));
            next += 1;
        }
    }

    /// Writes an example of an object: that of each member that has one.
    pub(crate) fn example(&mut self, object: &'static Object) {
        self.object(|out| {
            for member in object.members().filter(|member| !member.example.is_empty()) {
                out.name(member.name).raw(member.example);
            }
        });
    }

    fn object_members(&mut self, object: &'static Object) {
        self.text("type", "object");
        self.text("description", object.doc.trim());
        self.member("properties", |out| {
            for member in object.members() {
                out.name(member.name).object(|out| out.property(member));
            }
        });
        let mut required =
            object.members().filter(|member| member.required).map(|member| member.name).peekable();
        if required.peek().is_some() {
            self.texts("required", required);
        }
    }

    /// Writes the members of the schema of a member.
    fn property(&mut self, member: &Member) {
        let refers = matches!(member.schema.kind, Kind::Object(_) | Kind::AnyOf(_));
        if member.nullable && refers {
            self.name("anyOf").list(|out| {
                out.schema(&member.schema);
                out.object(|out| out.text("type", "null"));
            });
        } else {
            self.schema_members(&member.schema, member.nullable);
        }
        self.text("description", member.doc.trim());
        if !member.example.is_empty() {
            self.name("examples").list(|out| out.raw(member.example));
        }
    }

    fn schema_members(&mut self, schema: &Schema, nullable: bool) {
        let (least, most) = match schema.kind {
            Kind::Any => return,
            Kind::Object(object) => {
                match self.objects.iter().find(|known| known.name == object.name) {
                    Some(known) => debug_assert_eq!(known.doc, object.doc, "two objects have one name"),
                    None => self.objects.push(object),
                }
                let reference = alloc::format!("#/components/schemas/{}", object.name);
                return self.text("$ref", &reference);
            }
            Kind::AnyOf(schemas) => {
                return self.name("anyOf").list(|out| schemas.iter().for_each(|schema| out.schema(schema)));
            }
            Kind::Flag => {
                self.types("boolean", nullable);
                ("", "")
            }
            Kind::Integer => {
                self.types("integer", nullable);
                ("minimum", "maximum")
            }
            Kind::Text => {
                self.types("string", nullable);
                ("minLength", "maxLength")
            }
            Kind::List(item) => {
                self.types("array", nullable);
                self.name("items").schema(item);
                ("minItems", "maxItems")
            }
        };
        for (name, limit) in [(least, schema.least), (most, schema.most)] {
            if let Some(limit) = limit {
                self.name(name).number(limit);
            }
        }
        if let Some(format) = schema.format {
            self.text("format", format);
        }
        if schema.plain {
            self.text("pattern", "^[^\\u0000-\\u001f\\u007f-\\u009f]*$");
        }
        if !schema.names.is_empty() {
            self.name("enum").list(|out| {
                schema.names.iter().for_each(|name| out.string(name));
                if nullable {
                    out.raw("null");
                }
            });
        }
    }

    fn types(&mut self, name: &str, nullable: bool) {
        if nullable {
            self.texts("type", [name, "null"].into_iter());
        } else {
            self.text("type", name);
        }
    }
}

#[cfg(test)]
#[allow(dead_code, reason = "the descriptions are written, and nothing is read")]
mod tests {
    use super::*;
    use crate::http::shape::{Shape, body};

    body! {
        /// A parcel.
        struct Parcel {
            /// Its "name".
            name: String [length(1, 3).plain()] = "a\n",
            /// Others.
            others: Option<Vec<Part>> [length(0, 2)],
        }
    }

    body! {
        /// A part.
        struct Part {
            /// Its size.
            size: u8,
        }
    }

    #[test]
    fn a_schema_is_written() {
        let mut out = DocumentWriter::default();
        out.object(|out| {
            out.name("schema").schema(&Parcel::SCHEMA);
            out.member("schemas", DocumentWriter::referred_objects);
        });
        let expected = concat!(
            r##"{"schema":{"$ref":"#/components/schemas/Parcel"},"schemas":{"##,
            r##""Parcel":{"type":"object","description":"A parcel.","properties":{"##,
            r##""name":{"type":"string","minLength":1,"maxLength":3,"pattern":"^[^\\u0000-\\u001f\\u007f-\\u009f]*$","##,
            r##""description":"Its \"name\".","examples":["a\n"]},"##,
            r##""others":{"type":["array","null"],"items":{"$ref":"#/components/schemas/Part"},"minItems":0,"maxItems":2,"##,
            r##""description":"Others."}},"required":["name"]},"##,
            r##""Part":{"type":"object","description":"A part.","properties":{"##,
            r##""size":{"type":"integer","minimum":0,"maximum":255,"description":"Its size."}},"required":["size"]}}}"##,
        );
        assert_eq!(out.into_text(), expected);
    }
}
