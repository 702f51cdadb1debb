//! What each fuzz target does with its bytes: one function a parser. None may panic, and each checks what its parser
//! promises of what it accepts. They run under cargo-fuzz, and over the committed corpora as an ordinary test.
#![allow(dead_code, reason = "each target uses one of them")]

use gatepass_core::wire::credentials::Authorization;
use gatepass_core::wire::form::Form;
use gatepass_core::wire::language::Language;
use gatepass_core::wire::request::Request;

/// Every body by the name of its target.
pub const ALL: &[(&str, fn(&[u8]))] = &[
    ("form", form),
    ("credentials", credentials),
    ("json", json),
    ("scope", scope),
    ("language", language),
    ("media", media),
    ("jws", jws),
    ("jwk", jwk),
    ("handle", handle),
    ("connection", connection),
];

fn request(target: &str, headers: Vec<(String, Vec<u8>)>, body: &[u8]) -> Request {
    Request {
        method: "POST".into(),
        target: target.into(),
        headers,
        body: body.to_vec(),
        peer: [127, 0, 0, 1].into(),
    }
}

pub fn form(data: &[u8]) {
    if let Ok(form) = Form::parse(data) {
        assert!(form.get("grant_type").is_none_or(|value| !value.is_empty() && !value.contains('\0')));
    }
}

pub fn credentials(data: &[u8]) {
    let request = request("/", vec![("authorization".into(), data.to_vec())], b"");
    if let Ok(Authorization::Basic(basic)) = Authorization::of(&request) {
        assert!((1..=2).contains(&basic.readings.len()));
    }
}

pub fn json(data: &[u8]) {
    use gatepass_core::wire::json::parse_object;
    if let Ok(object) = parse_object(data) {
        let text = serde_json::to_vec(&object).expect("a value has a text");
        assert_eq!(parse_object(&text).expect("what was read is read again"), object);
    }
}

pub fn scope(data: &[u8]) {
    use gatepass_core::model::scope::Scope;
    let Ok(text) = core::str::from_utf8(data) else { return };
    if let Ok(scope) = Scope::parse(text) {
        assert_eq!(Scope::parse(&scope.to_string()), Ok(scope));
    }
}

pub fn language(data: &[u8]) {
    let _ = Language::of(core::str::from_utf8(data).ok());
}

pub fn media(data: &[u8]) {
    if let Ok(text) = core::str::from_utf8(data) {
        gatepass_core::wire::media::is_media_type(text, "application/json");
    }
}
