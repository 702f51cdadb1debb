//! The document of the API (`/openapi.json`), to which every answer of the suite is held.

use std::collections::BTreeSet;
use std::sync::{Mutex, OnceLock};

use serde_json::{Map, Value};

use crate::http::{Answer, TestRequest};
use crate::suite::Target;

/// The statuses that the response `default` stands for: what can fail before an endpoint is known.
const BEFORE: &[u16] = &[404, 405, 408, 411, 413, 414, 415, 417, 421, 429, 431, 500, 501, 503, 505];

/// The document.
#[derive(Debug)]
pub struct ApiDocument(Value);

/// An operation, a status, and the code of the body where it has one.
pub type Told = (String, u16, String);

/// Everything that was answered by this process' servers.
static SEEN: Mutex<BTreeSet<Told>> = Mutex::new(BTreeSet::new());

impl ApiDocument {
    /// Returns the document of `target`. The servers of one process have the same one.
    pub fn of(target: Target) -> &'static Self {
        static DOCUMENT: OnceLock<ApiDocument> = OnceLock::new();
        DOCUMENT.get_or_init(|| Self(TestRequest::new("GET", "/openapi.json").to(target.address).json()))
    }

    /// Returns the document itself.
    pub const fn value(&self) -> &Value {
        &self.0
    }

    /// Checks that `answer` to `method` on `path` is one that the document has.
    ///
    /// # Errors
    /// The difference.
    pub fn check(&self, (method, path): (&str, &str), answer: &Answer) -> Result<(), String> {
        let Some(operation) = self.operation(method, path) else {
            let known = BEFORE.contains(&answer.status) || answer.status == 204;
            return if known { Ok(()) } else { Err(format!("{method} {path} is not described")) };
        };
        let responses = &operation["responses"];
        let own = &responses[answer.status.to_string()];
        if own.is_null() && !BEFORE.contains(&answer.status) {
            return Err(format!("status {} is not described", answer.status));
        }
        let response = if own.is_null() { &responses["default"] } else { own };
        if method == "HEAD" {
            return Ok(());
        }
        let content = response["content"].as_object().and_then(|content| content.values().next());
        let Some(schema) = content.map(|content| &content["schema"]) else {
            return Ok(());
        };
        let body = answer.json();
        let code = body.get("error").or_else(|| body.get("code")).map(ToString::to_string);
        let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
        SEEN.lock().expect("no panic").insert((id, answer.status, code.unwrap_or_default()));
        self.fits(&body, schema, "").or_else(|error| {
            // What failed before the endpoint was known may have the status of something else.
            let before = BEFORE.contains(&answer.status);
            let default = &responses["default"]["content"]["application/json"]["schema"];
            if before && self.fits(&body, default, "").is_ok() { Ok(()) } else { Err(error) }
        })
    }

    /// Returns the codes that are described and were not seen.
    pub fn unseen(&self) -> Vec<Told> {
        let seen = SEEN.lock().expect("no panic");
        let mut unseen = Vec::new();
        for item in self.0["paths"].as_object().into_iter().flat_map(Map::values) {
            for operation in item.as_object().into_iter().flat_map(Map::values) {
                let id = operation["operationId"].as_str().unwrap_or_default();
                for (status, response) in operation["responses"].as_object().into_iter().flatten() {
                    let Ok(status) = status.parse() else { continue };
                    let own = &response["content"]["application/json"]["schema"]["allOf"][1]["properties"];
                    let codes = own["code"]["enum"].as_array().or_else(|| own["error"]["enum"].as_array());
                    for code in codes.into_iter().flatten() {
                        let told = (id.to_owned(), status, code.to_string());
                        if !seen.contains(&told) {
                            unseen.push(told);
                        }
                    }
                }
            }
        }
        unseen
    }

    fn operation(&self, method: &str, path: &str) -> Option<&Value> {
        let path = path.split('?').next().unwrap_or_default();
        let method = if method == "HEAD" { "get".into() } else { method.to_ascii_lowercase() };
        let matching = self.0["paths"].as_object()?.iter().filter(|(template, _)| matches(template, path));
        // A path without a variable goes first.
        let item = matching.min_by_key(|(template, _)| template.matches('{').count());
        item.and_then(|(_, item)| item.get(method))
    }

    /// Checks `value` against `schema`.
    fn fits(&self, value: &Value, schema: &Value, place: &str) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("{place}: {what}: {value}"));
        if let Some(reference) = schema["$ref"].as_str() {
            let schema = self.0.pointer(reference.trim_start_matches('#')).ok_or("no such schema")?;
            return self.fits(value, schema, place);
        }
        for schema in schema["allOf"].as_array().into_iter().flatten() {
            self.fits(value, schema, place)?;
        }
        if let Some(schemas) = schema["anyOf"].as_array() {
            let fits = schemas.iter().any(|schema| self.fits(value, schema, place).is_ok());
            return if fits { Ok(()) } else { wrong("fits none of the schemas") };
        }
        let types = match &schema["type"] {
            Value::String(one) => vec![one.as_str()],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => vec![],
        };
        let is = |kind: &str| match kind {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_u64() || value.is_i64(),
            "string" => value.is_string(),
            "array" => value.is_array(),
            _ => value.is_object(),
        };
        if !types.is_empty() && !types.iter().any(|kind| is(kind)) {
            return wrong("has another type");
        }
        if schema["enum"].as_array().is_some_and(|values| !values.contains(value)) {
            return wrong("is none of the values");
        }
        let size = match value {
            Value::String(text) => u64::try_from(text.chars().count()).ok(),
            Value::Array(items) => u64::try_from(items.len()).ok(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.as_u64(),
        };
        let limit = |names: [&str; 3]| names.iter().find_map(|name| schema[*name].as_u64());
        let (least, most) =
            (limit(["minimum", "minLength", "minItems"]), limit(["maximum", "maxLength", "maxItems"]));
        if size.is_some_and(|size| {
            least.is_some_and(|least| size < least) || most.is_some_and(|most| size > most)
        }) {
            return wrong("is out of bounds");
        }
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if value.get(name).is_none() {
                return wrong(&format!("lacks the member {name}"));
            }
        }
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            if let Some(value) = value.get(name) {
                self.fits(value, schema, &format!("{place}.{name}"))?;
            }
        }
        for item in value.as_array().into_iter().flatten().filter(|_| !schema["items"].is_null()) {
            self.fits(item, &schema["items"], &format!("{place}[]"))?;
        }
        Ok(())
    }
}

/// Returns true if `template` is the path of a route that `path` is one of.
fn matches(template: &str, path: &str) -> bool {
    if let Some(before) = template.strip_suffix("{path}") {
        return path.strip_prefix(before).is_some_and(|rest| !rest.is_empty());
    }
    let (own, sent): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    own.len() == sent.len()
        && own.iter().zip(sent).all(|(own, sent)| *own == sent || own.starts_with('{') && !sent.is_empty())
}
