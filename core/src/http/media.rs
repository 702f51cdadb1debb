//! `Content-Type` and `Content-Encoding`: what a body claims to be.

use crate::http::request::Request;

/// Returns true if `content_type` is `expected`, with a `charset` of UTF-8 or none (RFC 9110 §8.3). Other parameters are ignored.
pub fn is_media_type(content_type: &str, expected: &str) -> bool {
    let mut parts = content_type.split(';');
    let matches = parts.next().is_some_and(|t| t.trim().eq_ignore_ascii_case(expected));
    matches
        && parts.all(|parameter| match parameter.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
                let value = value.trim();
                let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
                value.eq_ignore_ascii_case("utf-8") || value.eq_ignore_ascii_case("utf8")
            }
            Some(_) => true,
            None => parameter.trim().is_empty(),
        })
}

/// Returns true if the body of `request` has a content coding (RFC 9110 §8.4). None is undone here.
pub(crate) fn has_content_coding(request: &Request) -> bool {
    let codings = request.headers.iter().filter(|(name, _)| name == "content-encoding");
    let mut codings = codings.flat_map(|(_, value)| value.split(|byte| *byte == b','));
    codings.any(|coding| {
        !matches!(coding.trim_ascii(), b"") && !coding.trim_ascii().eq_ignore_ascii_case(b"identity")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_and_charset() {
        for (value, good) in [
            ("application/json", true),
            ("Application/JSON ; charset=UTF-8", true),
            ("application/json;charset=\"utf-8\"", true),
            ("application/json;", true),
            ("application/json; charset=utf-16", false),
            ("application/json; charset=\"utf-7", false),
            ("application/json; nonsense", false),
            ("application/json, text/plain", false),
            ("application/jsonx", false),
            ("text/json", false),
            ("", false),
        ] {
            assert_eq!(is_media_type(value, "application/json"), good, "{value}");
        }
    }
}
