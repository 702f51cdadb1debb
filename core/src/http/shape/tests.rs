//! A shape reads what its schema says, and writes it.

use super::*;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::request_error::RequestError;
use alloc::{format, string::ToString, vec};

#[derive(Clone, Copy, PartialEq, Debug)]
enum Color {
    Red,
    Blue,
}

impl Color {
    const ALL: [Self; 2] = [Self::Red, Self::Blue];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Red => "red",
            Self::Blue => "blue",
        }
    }
}

named!(Color);

#[derive(PartialEq, Debug)]
struct Even(String);

named!(Even: Schema::TEXT.length(0, 6), |text| (text.len() % 2 == 0).then(|| Even(text.into())), ("must be even", "须为偶数"));

body! {
    /// A part.
    struct Part {
        /// Its name.
        name: Even = "nuts",
        /// Its colour.
        color: Option<Color>,
    }
}

body! {
    /// The common members of parts.
    struct Origin {
        /// The country.
        country_code: Option<String> [length(2, 2)],
    }
}

body! {
    /// A box.
    struct Carton {
        /// The number of things in it.
        number: u32 [within(1, 12)] = 3,
        /// A label.
        label as "boxLabel": Option<String> [length(1, 5).plain()] = "a",
        /// True if it is sealed.
        sealed: Option<bool>,
        /// The parts.
        parts: Option<Vec<Part>> [length(0, 2)],
        /// A remark.
        remark: Patched<String>,
        /// The address that it is for.
        address: Option<IpAddr> => BadClientIp,
        ..origin: Origin,
    }
}

answer! {
    /// A notice.
    struct Notice {
        /// The age.
        age: u8 = 4,
    }
}

answer! {
    /// A box as it is shown.
    struct Shown<'a> {
        /// Its label.
        label as "boxLabel": &'a str = "a",
        /// Its remark.
        remark: Option<&'a str>,
        /// Its owner.
        owner: Nullable<&'a str>,
        /// Its parts.
        parts: Vec<u8>,
        ..notice: Notice,
    }
}

fn request(target: &str, body: &str) -> Request {
    Request {
        method: "POST".into(),
        target: target.into(),
        headers: vec![("content-type".into(), b"application/json".to_vec())],
        body: body.as_bytes().to_vec(),
        peer: [127, 0, 0, 1].into(),
    }
}

fn refused<T: ReadBody>(read: Result<T, RequestError>) -> (Problem, String, Option<String>) {
    let error = read.err().expect("an error");
    let detail = error.detail.map(|detail| detail.text(crate::http::language::Language::English).to_string());
    (error.problem, detail.unwrap_or_default(), error.field)
}

#[test]
fn a_body_is_read_member_by_member() {
    let carton = Carton::of_json(&request("/", r#"{"number": 3, "boxLabel": null, "other": 1}"#)).unwrap();
    assert_eq!((carton.number, carton.label, carton.sealed), (3, None, None));
    assert!(carton.parts.is_none() && carton.origin.country_code.is_none());
    assert_eq!(carton.remark, Patched::Absent);
    let text = r#"{"number":12,"boxLabel":"黄黄","sealed":true,"remark":null,"country_code":"de",
        "parts":[{"name":"nuts","color":"blue"},{"name":""}]}"#;
    let carton = Carton::of_json(&request("/", text)).unwrap();
    assert_eq!((carton.number, carton.label.as_deref(), carton.sealed), (12, Some("黄黄"), Some(true)));
    assert_eq!(carton.address, None);
    assert_eq!((carton.remark, carton.origin.country_code.as_deref()), (Patched::Null, Some("de")));
    let parts: Vec<_> = carton.parts.unwrap().into_iter().map(|part| (part.name.0, part.color)).collect();
    assert_eq!(parts, [("nuts".into(), Some(Color::Blue)), (String::new(), None)]);
    let carton = Carton::of_json(&request("/", r#"{"number":1,"remark":"x"}"#)).unwrap();
    assert_eq!(carton.remark, Patched::Value("x".into()));
}

#[test]
fn what_does_not_fit_is_named_with_its_place() {
    for (members, detail, field) in [
        ("", "the member number is missing", "number"),
        ("\"number\":null", "the member number is missing", "number"),
        ("\"number\":0", "the member number must be a whole number from 1 to 12", "number"),
        ("\"number\":13", "the member number must be a whole number from 1 to 12", "number"),
        ("\"number\":-1", "the member number must be a whole number from 1 to 12", "number"),
        ("\"number\":1.5", "the member number must be a whole number from 1 to 12", "number"),
        ("\"number\":\"1\"", "the member number must be a whole number from 1 to 12", "number"),
        ("\"number\":1,\"boxLabel\":1", "the member boxLabel must be a string", "boxLabel"),
        (
            "\"number\":1,\"boxLabel\":\"\"",
            "the member boxLabel must have 1 to 5 characters and no control characters",
            "boxLabel",
        ),
        (
            "\"number\":1,\"boxLabel\":\"a\\n\"",
            "the member boxLabel must have 1 to 5 characters and no control characters",
            "boxLabel",
        ),
        (
            "\"number\":1,\"box_label\":\"a\"",
            "the member box_label is unknown: it should perhaps be boxLabel",
            "boxLabel",
        ),
        ("\"number\":1,\"sealed\":0", "the member sealed must be true or false", "sealed"),
        ("\"number\":1,\"parts\":{}", "the member parts must be a list of at most 2 items", "parts"),
        ("\"number\":1,\"parts\":[1]", "the member parts[0] must be an object", "parts[0]"),
        (
            "\"number\":1,\"parts\":[{\"name\":\"a\"}]",
            "the member parts[0].name must be even",
            "parts[0].name",
        ),
        (
            "\"number\":1,\"parts\":[{\"name\":\"aaaaaaaa\"}]",
            "the member parts[0].name must have at most 6 characters",
            "parts[0].name",
        ),
        (
            "\"number\":1,\"parts\":[{\"name\":\"\"},{}]",
            "the member parts[1].name is missing",
            "parts[1].name",
        ),
        (
            "\"number\":1,\"parts\":[{\"name\":\"\",\"color\":\"pink\"}]",
            "the member parts[0].color must be red or blue",
            "parts[0].color",
        ),
        (
            "\"number\":1,\"country_code\":\"deu\"",
            "the member country_code must have 2 characters",
            "country_code",
        ),
        (
            "\"number\":1,\"countrycode\":\"de\"",
            "the member countrycode is unknown: it should perhaps be country_code",
            "country_code",
        ),
        ("\"number\":1,\"remark\":1", "the member remark must be a string", "remark"),
    ] {
        let read = Carton::of_json(&request("/", &format!("{{{members}}}")));
        assert_eq!(refused(read), (Problem::BadJson, detail.into(), Some(field.into())), "{members}");
    }
}

#[test]
fn a_member_may_have_a_problem_of_its_own() {
    let read =
        |value| refused(Carton::of_json(&request("/", &format!(r#"{{"number":1,"address":{value}}}"#))));
    let field = Some("address".into());
    assert_eq!(read("\"x\""), (Problem::BadClientIp, String::new(), field.clone()));
    assert_eq!(read("1"), (Problem::BadJson, "the member address must be a string".into(), field));
}

#[test]
fn no_body_is_an_empty_object_where_every_member_is_optional() {
    let bare = Request { headers: vec![], ..request("/", "") };
    assert!(Origin::of_json(&bare).is_ok());
    assert_eq!(refused(Carton::of_json(&bare)).0, Problem::UnsupportedMediaType);
    assert_eq!(
        refused(Origin::of_json(&Request { headers: vec![], ..request("/", "{}") })).0,
        Problem::UnsupportedMediaType
    );
    let coded = Request { headers: vec![("content-encoding".into(), b"gzip".to_vec())], ..bare };
    assert!(Origin::of_json(&coded).is_ok());
    assert_eq!(
        refused(Origin::of_json(&Request { body: b"{}".to_vec(), ..coded })).0,
        Problem::UnsupportedContentCoding
    );
}

#[test]
fn a_query_is_read_parameter_by_parameter() {
    let read = |query: &str| Carton::of_query(&request(query, ""));
    let carton = read("/x?number=3&sealed=true&boxLabel=%61&unknown").unwrap();
    assert_eq!((carton.number, carton.label.as_deref(), carton.sealed), (3, Some("a"), Some(true)));
    for (query, detail, field) in [
        ("/x", "the parameter number is missing", Some("number")),
        ("/x?number=", "the parameter number must be a whole number from 1 to 12", Some("number")),
        ("/x?number=01", "the parameter number must be a whole number from 1 to 12", Some("number")),
        ("/x?number=%2b1", "the parameter number must be a whole number from 1 to 12", Some("number")),
        ("/x?number=1&sealed=1", "the parameter sealed must be true or false", Some("sealed")),
        ("/x?number=1&number=1", "the parameter number is repeated", None),
        (
            "/x?number=1&Sealed=true",
            "the parameter Sealed is unknown: it should perhaps be sealed",
            Some("sealed"),
        ),
        ("/x?number=%zz", "parameter 1 has an invalid percent-escape, or is not UTF-8 text", None),
    ] {
        assert_eq!(
            refused(read(query)),
            (Problem::BadQuery, detail.into(), field.map(Into::into)),
            "{query}"
        );
    }
}

#[test]
fn an_answer_is_written_member_by_member() {
    let shown = |remark, owner| {
        let shown =
            Shown { label: "a", remark, owner: Nullable(owner), parts: vec![1], notice: Notice { age: 1 } };
        serde_json::to_string(&shown).unwrap()
    };
    assert_eq!(shown(None, None), r#"{"boxLabel":"a","owner":null,"parts":[1],"age":1}"#);
    assert_eq!(
        shown(Some("r"), Some("o")),
        r#"{"boxLabel":"a","remark":"r","owner":"o","parts":[1],"age":1}"#
    );
    let members: Vec<_> = Shown::ANSWER.members().map(|m| (m.name, m.required, m.nullable)).collect();
    let expected = [
        ("boxLabel", true, false),
        ("remark", false, false),
        ("owner", true, true),
        ("parts", true, false),
        ("age", true, false),
    ];
    assert_eq!(members, expected);
}
