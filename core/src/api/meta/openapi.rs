//! `GET /openapi.json`: the document of the API (OpenAPI 3.1), made of the table of routes and of their descriptions.

use alloc::string::String;
use alloc::vec::Vec;
use core::convert::Infallible;

use crate::api::context::ErrorFormat;
use crate::api::description::{Answered, Description};
use crate::api::endpoint::{Basis, Call, Decided, Endpoint, ParsedRequest};
use crate::api::meta::published::{entity_tag, published};
use crate::api::reply::Reply;
use crate::api::routes::{Authentication, ROUTES, Route};
use crate::engine::{ApiDocument, Engine};
use crate::http::conditional::IfNoneMatch;
use crate::http::language::Language;
use crate::http::problem::{Problem, Tries};
use crate::http::shape::{Answer, DocumentWriter, Kind, Object, Schema, Shape as _, answer};
use crate::records::role::{Role, Roles};
use crate::store::query::{Query, Records};

/// The document of the API, which is answered at once.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) enum OpenApi {}

answer! {
    /// A result, or an error: `code` is 0, or says what is wrong.
    struct SimpleResponse<'a> {
        /// The business code: 0, or that of an error.
        code: u32 = 0,
        /// The message for people, in English, or in Chinese where `Accept-Language` prefers it.
        message: &'a str = "done",
        /// The time.
        timestamp: &'a str [format("date-time")] = "2026-01-01T00:00:00Z",
        /// The member of the body, or the parameter, that is to blame for an error.
        field: Option<&'a str>,
    }
}

answer! {
    /// An error of RFC 6749 §5.2, or of RFC 6750 §3.
    struct OAuthErrorResponse<'a> {
        /// The code. It is absent where no token was sent (RFC 6750 §3.1).
        error: Option<&'a str> = "invalid_request",
        /// The message for people.
        error_description: &'a str,
    }
}

/// The description of this document.
enum Described {}

impl crate::http::shape::Shape for Described {
    const SCHEMA: Schema = Schema::of(Kind::Object(&Object {
        name: "OpenApiDocument",
        doc: "A document of OpenAPI 3.1.",
        members: &[],
        included: &[],
    }));
}

impl Endpoint for OpenApi {
    const DESCRIPTION: Description = Description::new("Describes every endpoint (OpenAPI 3.1)")
        .answers::<Described>(200)
        .without_store()
        .conditional();

    fn parse(call: &Call<'_>) -> Result<Self, Reply> {
        let ApiDocument { text, tag } = call.engine.api_document(made);
        let known = IfNoneMatch::of(call.request);
        Err(published(call.engine, &known, tag.clone(), || text.clone()).into())
    }
}

impl ParsedRequest for OpenApi {
    type Pending = Infallible;
    type Hash = Infallible;

    fn query(&self) -> Query {
        match *self {}
    }

    fn decide(&self, _: &Basis<'_>, _: Records) -> Decided {
        match *self {}
    }
}

fn made(engine: &Engine) -> ApiDocument {
    let mut text = document(engine.settings().issuer.as_str()).into_bytes();
    text.shrink_to_fit();
    ApiDocument { tag: entity_tag(&text), text }
}

/// Makes the document of the server that is `issuer`.
fn document(issuer: &str) -> String {
    let mut out = DocumentWriter::default();
    out.object(|out| {
        out.text("openapi", "3.1.0");
        out.member("info", |out| {
            out.text("title", "Gatepass");
            out.text("version", env!("CARGO_PKG_VERSION"));
            out.text("summary", "One-time tickets, sign-in, sessions and tokens.");
            out.member("license", |out| {
                out.text("name", "MIT OR Apache-2.0");
                out.text("identifier", "MIT OR Apache-2.0");
            });
        });
        out.name("servers").list(|out| out.object(|out| out.text("url", issuer.trim_end_matches('/'))));
        out.name("tags").list(|out| {
            for (name, description) in TAGS {
                out.object(|out| {
                    out.text("name", name);
                    out.text("description", description);
                });
            }
        });
        out.member("paths", |out| {
            let mut told: Vec<&str> = Vec::new();
            for route in ROUTES {
                if told.contains(&route.path) {
                    continue;
                }
                told.push(route.path);
                out.member(route.path, |out| path_item(out, route.path));
            }
        });
        out.member("components", |out| {
            out.member("securitySchemes", |out| {
                out.member("bearer", |out| {
                    out.text("type", "http");
                    out.text("scheme", "bearer");
                    out.text("bearerFormat", "JWT");
                    out.text("description", "An access token of this server (RFC 6750).");
                });
                out.member("basic", |out| {
                    out.text("type", "http");
                    out.text("scheme", "basic");
                    out.text("description", "A client's id and secret (RFC 6749 §2.3.1).");
                });
            });
            out.member("schemas", DocumentWriter::referred_objects);
        });
    });
    out.into_text()
}

/// The tags, each with its meaning; the first segment of a path names it.
const TAGS: &[(&str, &str)] = &[
    ("auth", "Tickets, sign-in, sessions and passwords of people."),
    ("mfa", "Second factors of people."),
    ("oauth2", "Tokens of clients, introspection and revocation."),
    ("userinfo", "The user or the client of a token."),
    ("admin", "Administration, by roles."),
    ("meta", "Documents about the server, and its health."),
];

fn tag_of(path: &str) -> &'static str {
    let first = path.split('/').nth(1).unwrap_or_default();
    TAGS.iter().map(|(name, _)| *name).find(|name| *name == first).unwrap_or("meta")
}

/// Writes the operations of every row that has `path`.
fn path_item(out: &mut DocumentWriter, path: &'static str) {
    let variables: Vec<&str> =
        path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}')).collect();
    if !variables.is_empty() {
        out.name("parameters").list(|out| {
            for variable in variables {
                out.object(|out| {
                    out.text("name", variable);
                    out.text("in", "path");
                    out.name("required").raw("true");
                    out.name("schema").schema(&Schema::TEXT.length(1, 256));
                });
            }
        });
    }
    for route in ROUTES.iter().filter(|route| route.path == path) {
        for method in route.methods {
            out.member(&method.to_ascii_lowercase(), |out| operation(out, route, method));
        }
    }
}

fn operation(out: &mut DocumentWriter, route: &Route, method: &str) {
    let description = route.description;
    out.text("operationId", &operation_id(method, route.path));
    out.text("summary", description.summary);
    out.name("tags").list(|out| out.string(tag_of(route.path)));
    if !route.roles.is_empty() {
        let roles: Vec<&str> = route.roles.iter().map(Role::as_str).collect();
        out.text("description", &alloc::format!("For the roles: {}.", roles.join(", ")));
    }
    parameters(out, description);
    if description.lines {
        out.member("requestBody", |out| {
            out.member("content", |out| {
                out.member("application/jsonl", |out| {
                    out.name("schema").schema(&Schema::TEXT);
                    out.text("example", LINES);
                });
            });
        });
    }
    if let Some(body) = description.body {
        request_body(out, body, "application/json");
    }
    if let Some(form) = description.form.filter(|_| method == "POST") {
        request_body(out, form, "application/x-www-form-urlencoded");
    }
    out.member("responses", |out| responses(out, route, method));
    out.name("security").list(|out| {
        let schemes: &[&str] = match route.authentication {
            Authentication::Nobody => &[],
            Authentication::Credential => &["", "basic"],
            Authentication::Client => &["basic", ""],
            Authentication::AccessToken
                if description.anonymous || description.form.is_some() && method == "POST" =>
            {
                &["bearer", ""]
            }
            Authentication::AccessToken | Authentication::Administrator => &["bearer"],
        };
        for scheme in schemes {
            out.object(|out| {
                if !scheme.is_empty() {
                    out.name(scheme).list(|_| ());
                }
            });
        }
    });
}

/// An example of JSON lines.
const LINES: &str = "{\"username\": \"alice\", \"email\": \"alice@example.com\"}\n{\"username\": \"bob\"}\n";

/// Returns the method and the segments of the path: `get_auth_me_sessions`.
fn operation_id(method: &str, path: &str) -> String {
    let mut id = method.to_ascii_lowercase();
    for word in path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        id.push('_');
        id.push_str(word);
    }
    id
}

fn parameters(out: &mut DocumentWriter, description: &Description) {
    let header = |out: &mut DocumentWriter, name: &str, told: &str, schema: &Schema| {
        out.object(|out| {
            out.text("name", name);
            out.text("in", "header");
            out.text("description", told);
            out.name("schema").schema(schema);
        });
    };
    if description.query.is_none() && !description.repeatable && !description.conditional {
        return;
    }
    out.name("parameters").list(|out| {
        for member in description.query.into_iter().flat_map(Object::members) {
            out.object(|out| {
                out.text("name", member.name);
                out.text("in", "query");
                out.text("description", member.doc.trim());
                if member.required {
                    out.name("required").raw("true");
                }
                out.name("schema").schema(&member.schema);
                if !member.example.is_empty() {
                    out.name("example").raw(member.example);
                }
            });
        }
        if description.repeatable {
            let told =
                "A key of the request: within a short time the same request gets the same answer again.";
            header(out, "Idempotency-Key", told, &Schema::TEXT.length(22, 128));
        }
        if description.conditional {
            header(out, "If-None-Match", "The `ETag` of the document that is at hand.", &Schema::TEXT);
        }
    });
}

fn request_body(out: &mut DocumentWriter, body: &'static Object, media_type: &str) {
    out.member("requestBody", |out| {
        if body.requires_any() {
            out.name("required").raw("true");
        }
        out.member("content", |out| {
            out.member(media_type, |out| {
                out.name("schema").schema(&Schema::of(Kind::Object(body)));
                out.name("example").example(body);
            });
        });
    });
}

/// The object of a SimpleResponse that says what is wrong.
const SIMPLE: Schema = Schema::of(Kind::Object(SimpleResponse::ANSWER));
const OAUTH: Schema = Schema::of(Kind::Object(OAuthErrorResponse::ANSWER));

fn content(out: &mut DocumentWriter, write: impl FnOnce(&mut DocumentWriter)) {
    out.member("content", |out| {
        out.member("application/json", |out| {
            out.name("schema");
            write(out);
        });
    });
}

fn responses(out: &mut DocumentWriter, route: &Route, method: &str) {
    let description = route.description;
    let mut status = String::new();
    let text_of = |number: u16| alloc::format!("{number}");
    status.push_str(&text_of(description.status));
    out.member(&status, |out| {
        out.text("description", "Success.");
        match &description.answer {
            Answered::Nothing => {}
            Answered::Text(media_type) => out.member("content", |out| {
                out.member(media_type, |out| out.name("schema").schema(&Schema::TEXT));
            }),
            Answered::Bare(schema) => content(out, |out| out.schema(schema)),
            Answered::Page(schema) => content(out, |out| page(out, schema)),
            Answered::Simple(data) => content(out, |out| simple(out, data.as_ref())),
        }
    });
    if description.conditional {
        out.member("304", |out| out.text("description", "The document at hand is the same."));
    }
    match route.errors {
        ErrorFormat::Simple => refusals(out, &problems(route)),
        ErrorFormat::OAuth | ErrorFormat::Bearer => failures(out, route, method),
    }
    out.member("default", |out| {
        out.text("description", "What can fail before an endpoint is known, or at any of them.");
        content(out, |out| out.schema(&SIMPLE));
    });
}

fn page(out: &mut DocumentWriter, item: &Schema) {
    out.object(|out| {
        out.text("type", "object");
        out.member("properties", |out| {
            out.member("items", |out| {
                out.text("type", "array");
                out.name("items").schema(item);
            });
            out.member("next", |out| {
                out.texts("type", ["string", "null"].into_iter());
                out.text("description", "The cursor of the next page; null at the end of the list.");
            });
        });
        out.texts("required", ["items", "next"].into_iter());
    });
}

fn simple(out: &mut DocumentWriter, data: Option<&Schema>) {
    let Some(data) = data else { return out.schema(&SIMPLE) };
    out.object(|out| {
        out.name("allOf").list(|out| {
            out.schema(&SIMPLE);
            out.object(|out| {
                out.member("properties", |out| out.name("data").schema(data));
                out.texts("required", ["data"].into_iter());
            });
        });
    });
}

/// Returns the problems that a route answers with, in the order of their codes.
fn problems(route: &Route) -> Vec<Problem> {
    let description = route.description;
    let mut own: Vec<Problem> = description.problems.to_vec();
    let mut add = |more: &[Problem]| own.extend_from_slice(more);
    if let Some(body) = description.body {
        add(&[Problem::BadJson, Problem::UnsupportedMediaType, Problem::UnsupportedContentCoding]);
        body.members().for_each(|member| add(&[member.problem]));
    }
    if description.query.is_some() {
        add(&[Problem::BadQuery]);
    }
    if description.contextual {
        add(&[Problem::ContextRefused]);
    }
    if description.repeatable {
        add(&[Problem::BadIdempotencyKey]);
    }
    if description.guesses {
        add(&[Problem::TooManyRequests]);
    }
    if description.stored {
        add(&[Problem::Internal, Problem::Unavailable]);
    }
    let token = &[
        Problem::BadHeader,
        Problem::TokenRequired,
        Problem::ScopeMissing,
        Problem::ImpersonationRefused,
        Problem::SessionRestricted,
    ];
    match route.authentication {
        Authentication::Nobody => {}
        Authentication::Credential => add(&[Problem::BadHeader, Problem::ClientRefused]),
        Authentication::Client => add(&[Problem::BadHeader]),
        Authentication::AccessToken => add(token),
        Authentication::Administrator => {
            add(token);
            // Whoever may administer has some role.
            if route.roles != Roles::ALL {
                add(&[Problem::RoleMissing]);
            }
            if route.path.contains('{') {
                add(&[Problem::NotFound, Problem::NoSuchRecord]);
            }
        }
    }
    own.sort_unstable_by_key(|problem| problem.code());
    own.dedup();
    own
}

/// Writes a response for each status of `problems`, with its codes.
fn refusals(out: &mut DocumentWriter, problems: &[Problem]) {
    for same in problems.chunk_by(|one, other| one.status() == other.status()) {
        let Some(first) = same.first() else { continue };
        out.member(&alloc::format!("{}", first.status()), |out| {
            let mut told = String::new();
            for problem in same {
                told.push_str(if told.is_empty() { "" } else { "\n\n" });
                let message = problem.message(Language::English);
                told.push_str(&alloc::format!("{}: {message}", problem.code()));
            }
            out.text("description", &told);
            content(out, |out| {
                out.object(|out| {
                    out.name("allOf").list(|out| {
                        out.schema(&SIMPLE);
                        out.object(|out| {
                            out.member("properties", |out| {
                                out.member("code", |out| {
                                    out.name("enum").list(|out| {
                                        same.iter().for_each(|problem| out.number(problem.code()));
                                    });
                                });
                                if same.contains(&Problem::CodeRefused) {
                                    out.name("data").schema(&Tries::SCHEMA);
                                }
                            });
                        });
                    });
                });
            });
        });
    }
}

/// Writes the errors of RFC 6749 or RFC 6750, by their status.
fn failures(out: &mut DocumentWriter, route: &Route, method: &str) {
    let description = route.description;
    let is_bearer = route.errors == ErrorFormat::Bearer;
    let unauthorized = if is_bearer { "invalid_token" } else { "invalid_client" };
    let has_form = description.form.is_some() && method == "POST";
    let rows: [(u16, &[&str]); 5] = [
        (400, description.failures),
        (401, &[unauthorized]),
        (429, if description.guesses { &["temporarily_unavailable"] } else { &[] }),
        (500, &["server_error"]),
        (503, &["temporarily_unavailable"]),
    ];
    let media: &[&str] = if has_form && !is_bearer { &["invalid_request"] } else { &[] };
    for (status, codes) in rows.into_iter().chain([(415, media)]).filter(|(_, codes)| !codes.is_empty()) {
        out.member(&alloc::format!("{status}"), |out| {
            out.text("description", &codes.join(", "));
            content(out, |out| {
                out.object(|out| {
                    out.name("allOf").list(|out| {
                        out.schema(&OAUTH);
                        out.object(|out| {
                            out.member("properties", |out| {
                                out.member("error", |out| out.texts("enum", codes.iter().copied()));
                            });
                        });
                    });
                });
            });
        });
    }
    if has_form && is_bearer {
        refusals(out, description.problems);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::step::Step;
    use crate::base::time::Time;
    use crate::base::warning::Warnings;
    use crate::crypto::seed::Seed;
    use crate::engine::Keys;
    use crate::http::request::Request;
    use crate::records::request_inputs::RequestInputs;
    use crate::settings::{Issuer, Settings};
    use alloc::vec;
    use serde_json::Value;

    /// Returns every reference in `value`.
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn every_route_is_described_and_every_reference_leads_somewhere() {
        let document: Value = serde_json::from_str(&document("https://gate.example/x")).unwrap();
        assert_eq!(document["servers"][0]["url"], "https://gate.example/x");
        let mut ids = Vec::new();
        for route in ROUTES {
            for method in route.methods {
                let operation = &document["paths"][route.path][method.to_ascii_lowercase()];
                let summary = operation["summary"].as_str().unwrap_or_default();
                assert!(!summary.is_empty(), "{method} {} has no description", route.path);
                let id = operation["operationId"].as_str().unwrap();
                assert!(!ids.contains(&id), "{id} stands twice");
                ids.push(id);
            }
        }
        let operations =
            document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap());
        assert_eq!(operations.filter(|(name, _)| *name != "parameters").count(), ids.len());
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 50);
        for reference in found {
            let path = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(path).is_some(), "{reference} leads nowhere");
        }
    }

    #[test]
    fn it_is_answered_without_the_store_and_made_once_for_an_engine() {
        for issuer in ["https://gate.example", "https://other.example"] {
            let engine =
                Engine::new(Settings::new(Issuer::parse(issuer).unwrap()), Keys::new(0, None, vec![]));
            let mut known = None;
            for status in [200, 304, 304] {
                let headers =
                    known.iter().map(|tag: &String| ("if-none-match".into(), tag.as_bytes().to_vec()));
                let request = Request {
                    method: "GET".into(),
                    target: "/openapi.json".into(),
                    headers: headers.collect(),
                    body: vec![],
                    peer: [192, 0, 2, 1].into(),
                };
                let now = Time::from_unix(1_750_000_000);
                let (seed, warnings) = (Seed::new([1; 32]), Warnings::NONE);
                let inputs = RequestInputs { now, fraction: 0, seed, warnings, wall: now };
                let Step::Reply(reply) = engine.handle(request, inputs) else { panic!("it waits") };
                assert_eq!((reply.status(), reply.body().is_empty()), (status, status == 304));
                known = reply.header("etag").map(Into::into);
                let kept = engine.api_document(|_| panic!("it was not kept"));
                assert!(status == 304 || kept.text == reply.body());
            }
            assert!(known.is_some());
            let document: Value = serde_json::from_slice(&engine.api_document(made).text).unwrap();
            assert_eq!(document["servers"][0]["url"], issuer);
        }
    }
}
