//! Absolute-form targets, and the hosts that they may name.

use std::net::SocketAddr;

use super::own_hosts::OwnHosts;
use crate::authority::Authority;

/// An absolute-form target (RFC 9112 §3.2.2), taken apart.
#[derive(Debug)]
pub(super) struct Absolute<'a> {
    /// The text between `//` and the path.
    pub(super) text: &'a str,
    authority: Authority<'a>,
    default_port: u16,
    /// Path and query in origin form.
    pub(super) origin: String,
}

impl<'a> Absolute<'a> {
    /// Parses `http://authority/path?query`. None if it is anything else.
    pub(super) fn parse(target: &'a str) -> Option<Self> {
        let (scheme, rest) = target.split_once("://")?;
        let default_port = match scheme {
            _ if scheme.eq_ignore_ascii_case("http") => 80,
            _ if scheme.eq_ignore_ascii_case("https") => 443,
            _ => return None,
        };
        let (text, path) = rest.split_at_checked(rest.find(['/', '?']).unwrap_or(rest.len()))?;
        let authority = Authority::parse(text.as_bytes())?;
        let origin = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Some(Self { text, authority, default_port, origin })
    }

    /// Returns true if it names this server. If any host is served, `Host` decides.
    pub(super) fn is_ours(&self, hosts: &OwnHosts, local: SocketAddr, host: Option<&Authority<'_>>) -> bool {
        let default_port = Some(self.default_port);
        hosts
            .serve(&self.authority, Some(local), default_port)
            .unwrap_or_else(|| host.is_some_and(|host| self.authority.is(host, default_port)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_targets() {
        for (target, origin) in [
            ("http://a/b?c", Some("/b?c")),
            ("HTTP://a", Some("/")),
            ("https://a:443?x=/y", Some("/?x=/y")),
            ("http://[::1]:80/", Some("/")),
            ("ftp://a/", None),
            ("http:/a/", None),
            ("http:///a", None),
            ("http://u@a/", None),
            ("a/b", None),
        ] {
            assert_eq!(Absolute::parse(target).map(|a| a.origin).as_deref(), origin, "{target}");
        }
    }

    #[test]
    fn whose_host() {
        let local: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        let (none, some) = (&OwnHosts::default(), &OwnHosts::default());
        some.set(vec!["sso.example".into(), "box:99".into()]);
        for (target, host, ours, expected) in [
            ("http://127.0.0.1:8080/", "x", some, true),
            ("http://127.0.0.1/", "x", some, false),
            ("http://[::ffff:127.0.0.1]:8080/", "x", some, true),
            ("http://LOCALHOST:8080/", "x", some, true),
            ("http://localhost:8081/", "x", some, false),
            ("http://sso.example/", "x", some, true),
            ("https://SSO.example:443/", "x", some, true),
            ("http://sso.example:8080/", "x", some, false),
            ("http://box:99/", "x", some, true),
            ("http://evil/", "evil", some, false),
            ("http://other/", "other", none, true),
            ("http://other:80/", "other", none, true),
            ("http://other:81/", "other", none, false),
            ("http://other/", "another", none, false),
        ] {
            let absolute = Absolute::parse(target).unwrap();
            let host = Authority::parse(host.as_bytes());
            assert_eq!(absolute.is_ours(ours, local, host.as_ref()), expected, "{target}");
        }
    }
}
