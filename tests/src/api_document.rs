//! The document of the API (`/openapi.json`), to which every answer to a [`TestRequest`](crate::http::TestRequest) and of [`drive`] is
//! held.

use std::collections::BTreeSet;
use std::sync::{Mutex, OnceLock};

use gatepass_core::api::reply::Reply;
use gatepass_core::api::step::{self, Step};
use gatepass_core::engine::Engine;
use gatepass_core::http::request::Request;
use gatepass_core::http::response::Response;
use gatepass_core::records::request_inputs::RequestInputs;
use gatepass_core::store::Store;
use serde_json::{Map, Value};

use crate::fixtures::{self, NOON, inputs, request};
use crate::http::Answer;

/// The statuses that the response `default` stands for: what can fail before an endpoint is known.
const BEFORE: &[u16] = &[404, 405, 408, 411, 413, 414, 415, 417, 421, 429, 431, 500, 501, 503, 505];

/// The keywords of its schemas.
const KEYWORDS: &[&str] = &[
    "$ref",
    "allOf",
    "anyOf",
    "type",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "pattern",
    "format",
    "required",
    "properties",
    "items",
    "description",
    "examples",
];

/// The one pattern: a text without control characters.
const PLAIN: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$";

/// The document, and what was seen of it.
#[derive(Debug)]
pub struct ApiDocument {
    document: Value,
    seen: Mutex<BTreeSet<Case>>,
}

/// An operation, a status, and the code of the body if it is an error's.
pub type Case = (String, u16, String);

/// The part of an answer that the document describes.
#[derive(Clone, Copy, Debug)]
pub struct Described<'a> {
    status: u16,
    media_type: Option<&'a str>,
    body: &'a [u8],
}

impl<'a> From<&'a Answer> for Described<'a> {
    fn from(answer: &'a Answer) -> Self {
        Self { status: answer.status, media_type: answer.header("content-type"), body: &answer.body }
    }
}

impl<'a> From<&'a Response> for Described<'a> {
    fn from(response: &'a Response) -> Self {
        let media_type = response.header("content-type");
        Self { status: response.status(), media_type, body: response.body() }
    }
}

/// Drives a request to its answer, which has to be one that the document has.
#[track_caller]
pub fn drive(engine: &Engine, store: &impl Store, request: Request, inputs: RequestInputs) -> Reply {
    let (method, target) = (request.method.clone(), request.target.clone());
    let reply = step::drive(engine, store, request, inputs);
    ApiDocument::hold((&method, &target), &*reply);
    reply
}

impl ApiDocument {
    /// Returns the document of the core. A server's differs from it by the URL of the server alone.
    pub fn get() -> &'static Self {
        static DOCUMENT: OnceLock<ApiDocument> = OnceLock::new();
        DOCUMENT.get_or_init(|| {
            let engine = fixtures::engine("http://gate.example");
            let mut asked = request("/openapi.json", "", &Value::Null);
            asked.method = "GET".into();
            let Step::Reply(reply) = engine.handle(asked, inputs(NOON, 1)) else { panic!("no document") };
            Self { document: fixtures::body(&reply), seen: Mutex::default() }
        })
    }

    /// Returns the document itself.
    pub const fn value(&self) -> &Value {
        &self.document
    }

    /// Requires that the answer to a request of this method and target is as the document says.
    #[track_caller]
    pub fn hold<'a>(line: (&str, &str), answer: impl Into<Described<'a>>) {
        let answer = answer.into();
        if let Err(difference) = Self::get().check(line, answer) {
            let body = String::from_utf8_lossy(answer.body);
            let (method, target) = line;
            panic!("{method} {target}: {} {body} is not as /openapi.json says: {difference}", answer.status);
        }
    }

    fn check(&self, (method, target): (&str, &str), answer: Described<'_>) -> Result<(), String> {
        let is_early = BEFORE.contains(&answer.status);
        let Some(operation) = self.operation(method, target) else {
            let known = is_early || answer.status == 204;
            return if known { Ok(()) } else { Err("it is not described".into()) };
        };
        let responses = &operation["responses"];
        let own = &responses[answer.status.to_string()];
        let fits = |response: &Value| {
            if response.is_null() {
                return Err(format!("status {} is not described", answer.status));
            }
            if method == "HEAD" { Ok(()) } else { self.fits_response(answer, response) }
        };
        let checked = fits(own);
        if checked.is_ok() {
            let body: Value = serde_json::from_slice(answer.body).unwrap_or_default();
            let code = body.get("error").or_else(|| body.get("code")).filter(|_| answer.status >= 400);
            let case = (id_of(operation), answer.status, code.map(text_of).unwrap_or_default());
            self.seen.lock().expect("no panic").insert(case);
        }
        // What failed before the endpoint was known may have the status of something else.
        checked.or_else(|error| if is_early { fits(&responses["default"]) } else { Err(error) })
    }

    /// Returns what is described and was not seen in this process.
    pub fn unseen(&self) -> Vec<Case> {
        let seen = self.seen.lock().expect("no panic");
        let mut unseen = self.described();
        unseen.retain(|case| !seen.contains(case));
        unseen
    }

    /// Returns every operation with each status and code that is described.
    pub fn described(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for (_, _, operation) in self.operations() {
            for (status, response) in members(&operation["responses"]) {
                let Ok(status) = status.parse() else { continue };
                let own = &response["content"]["application/json"]["schema"]["allOf"][1]["properties"];
                let codes = own["code"]["enum"].as_array().or_else(|| own["error"]["enum"].as_array());
                let codes =
                    codes.map_or_else(|| vec![String::new()], |codes| codes.iter().map(text_of).collect());
                cases.extend(codes.into_iter().map(|code| (id_of(operation), status, code)));
            }
        }
        cases
    }

    /// Returns every operation, with its path and its method.
    pub fn operations(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        let items = members(&self.document["paths"]);
        items.flat_map(|(path, item)| {
            let operations = members(item).filter(|(name, _)| *name != "parameters");
            operations.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
        })
    }

    /// Returns what is wrong with the examples of values.
    pub fn unfit_examples(&self) -> Vec<String> {
        let mut unfit = Vec::new();
        self.add_unfit_examples(&self.document, "", &mut unfit);
        unfit
    }

    fn add_unfit_examples(&self, value: &Value, place: &str, unfit: &mut Vec<String>) {
        let of_media = value.get("schema").zip(value.get("example"));
        let of_schema = items(&value["examples"]).map(|example| (value, example));
        for (schema, example) in of_schema.chain(of_media) {
            unfit.extend(self.fits(example, schema, place).err());
        }
        for (name, value) in members(value) {
            self.add_unfit_examples(value, &format!("{place}.{name}"), unfit);
        }
        for item in items(value) {
            self.add_unfit_examples(item, place, unfit);
        }
    }

    fn operation(&self, method: &str, target: &str) -> Option<&Value> {
        let path = target.split('?').next().unwrap_or_default();
        let method = if method == "HEAD" { "get".into() } else { method.to_ascii_lowercase() };
        let matching = members(&self.document["paths"]).filter(|(template, _)| matches(template, path));
        // A path without a variable goes first.
        let item = matching.min_by_key(|(template, _)| template.matches('{').count());
        item.and_then(|(_, item)| item.get(method))
    }

    fn fits_response(&self, answer: Described<'_>, response: &Value) -> Result<(), String> {
        let Some(content) = response["content"].as_object() else {
            let is_empty = answer.body.is_empty();
            return if is_empty { Ok(()) } else { Err("no body is described".into()) };
        };
        let media_type = answer.media_type.and_then(|text| text.split(';').next()).unwrap_or_default();
        let described = content.get(media_type).ok_or(format!("it is of the media type {media_type:?}"))?;
        if media_type != "application/json" {
            return Ok(());
        }
        let body = serde_json::from_slice(answer.body).map_err(|error| error.to_string())?;
        self.fits(&body, &described["schema"], "")
    }

    /// Checks that `value` fits `schema` and has no member that is not described.
    fn fits(&self, value: &Value, schema: &Value, place: &str) -> Result<(), String> {
        self.fits_keywords(value, schema, place)?;
        let mut described = BTreeSet::new();
        self.add_members(schema, &mut described);
        match members(value).find(|(name, _)| !described.contains(name.as_str())) {
            Some((name, _)) if !described.is_empty() => Err(format!("{place}.{name} is not described")),
            Some(_) | None => Ok(()),
        }
    }

    /// Adds the members that an object may have.
    fn add_members<'a>(&'a self, schema: &'a Value, described: &mut BTreeSet<&'a str>) {
        if let Some(schema) = self.referred(schema) {
            self.add_members(schema, described);
        }
        for schema in ["allOf", "anyOf"].iter().flat_map(|name| items(&schema[name])) {
            self.add_members(schema, described);
        }
        described.extend(members(&schema["properties"]).map(|(name, _)| name.as_str()));
    }

    fn referred(&self, schema: &Value) -> Option<&Value> {
        self.document.pointer(schema["$ref"].as_str()?.trim_start_matches('#'))
    }

    fn fits_keywords(&self, value: &Value, schema: &Value, place: &str) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("{place}: {what}: {value}"));
        if let Some((keyword, _)) = members(schema).find(|(name, _)| !KEYWORDS.contains(&name.as_str())) {
            return Err(format!("{place}: the keyword {keyword} is not known here"));
        }
        if let Some(schema) = self.referred(schema) {
            self.fits_keywords(value, schema, place)?;
        }
        for schema in items(&schema["allOf"]) {
            self.fits_keywords(value, schema, place)?;
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
        let text = value.as_str();
        if schema["pattern"] == PLAIN && text.is_some_and(|text| text.chars().any(char::is_control)) {
            return wrong("has a control character");
        }
        let is_of_format = |text: &str| match schema["format"].as_str() {
            Some("date-time") => text.len() == 20 && text.as_bytes()[10] == b'T' && text.ends_with('Z'),
            Some("uri") => text.starts_with("http"),
            Some(_) | None => true,
        };
        if !text.is_none_or(is_of_format) {
            return wrong("has another format");
        }
        for name in items(&schema["required"]).filter_map(Value::as_str) {
            if value.get(name).is_none() {
                return wrong(&format!("lacks the member {name}"));
            }
        }
        for (name, schema) in members(&schema["properties"]) {
            if let Some(value) = value.get(name) {
                self.fits(value, schema, &format!("{place}.{name}"))?;
            }
        }
        for item in items(value).filter(|_| !schema["items"].is_null()) {
            self.fits(item, &schema["items"], &format!("{place}[]"))?;
        }
        Ok(())
    }
}

fn id_of(operation: &Value) -> String {
    text_of(&operation["operationId"])
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), Into::into)
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
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
