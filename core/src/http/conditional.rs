//! Conditional requests (RFC 9110 §13.1.2).

use alloc::string::String;

use crate::http::request::Request;

/// The versions of a document that the caller has: `If-None-Match`.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct IfNoneMatch(String);

impl IfNoneMatch {
    /// Reads the header. It is a list, so it may come several times. One that cannot be read names nothing: the whole document is a
    /// right answer to anyone.
    pub(crate) fn of(request: &Request) -> Self {
        let mut tags = String::new();
        for (_, value) in request.headers.iter().filter(|(name, _)| name == "if-none-match") {
            tags.push_str(core::str::from_utf8(value).unwrap_or_default());
            tags.push(',');
        }
        Self(tags)
    }

    /// Returns true if it names `tag`, which has its quotes and no comma. The comparison is the weak one.
    pub(crate) fn names(&self, tag: &str) -> bool {
        self.0.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::net::{IpAddr, Ipv4Addr};

    use super::*;

    #[test]
    fn lists_of_tags() {
        let cases: &[(&[&[u8]], bool)] = &[
            (&[], false),
            (&[b""], false),
            (&[b"\"a\""], true),
            (&[b"W/\"a\""], true),
            (&[b"*"], true),
            (&[b"\"b\", W/\"c\" ,\t\"a\""], true),
            (&[b"\"b\"", b"\"a\""], true),
            (&[b"\"b\""], false),
            (&[b"\"a"], false),
            (&[b"a"], false),
            (&[b"\"A\""], false),
            (&[b"w/\"a\""], false),
            (&[b"\"b,a\""], false),
            (&[b"\xff, \"a\""], false),
        ];
        for (values, named) in cases {
            let headers: Vec<_> =
                values.iter().map(|value| ("if-none-match".into(), value.to_vec())).collect();
            let request = Request {
                method: "GET".into(),
                target: "/".into(),
                headers,
                body: Vec::new(),
                peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            };
            assert_eq!(IfNoneMatch::of(&request).names("\"a\""), *named, "{values:?}");
        }
    }
}
