//! A host with its port: the one parser for requests and for the configuration.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// A host with its port, as `Host`, `http://…` and the configuration name it.
#[derive(Debug)]
pub(crate) struct Authority<'a> {
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads `host`, `host:port` or `[v6]:port`. None if it is empty or malformed, has user information, or uses
    /// sub-delimiters, which RFC 3986 allows in names and no name has: some read `a,b` as two hosts.
    pub(crate) fn parse(text: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, _) = rest.split_once(']')?;
                address.parse::<Ipv6Addr>().ok()?;
                let (host, port) = text.split_at_checked(address.len() + 2)?;
                (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
            }
            None => {
                let (host, port) = text.split_once(':').map_or((text, None), |(h, p)| (h, Some(p)));
                (is_name(host)).then_some((host, port))?
            }
        };
        let port = match port {
            // `port = *DIGIT` (RFC 3986 §3.2.3) may be empty, which means nothing.
            None | Some("") => None,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
            Some(_) => return None,
        };
        Some(Self { host, port })
    }

    /// Returns true if both are the same; a missing port means `default_port`.
    pub(crate) fn is(&self, other: &Authority<'_>, default_port: u16) -> bool {
        self.host.eq_ignore_ascii_case(other.host)
            && self.port.unwrap_or(default_port) == other.port.unwrap_or(default_port)
    }

    /// Returns true if this is the address that a connection came in at; `localhost` is every loopback address.
    pub(crate) fn is_address(&self, local: SocketAddr, default_port: u16) -> bool {
        let ip = local.ip().to_canonical();
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let same = host.parse::<IpAddr>().map_or_else(
            |_| ip.is_loopback() && host.eq_ignore_ascii_case("localhost"),
            |named| named.to_canonical() == ip,
        );
        same && self.port.unwrap_or(default_port) == local.port()
    }
}

/// Returns true for letters, digits, `-._~` and whole percent-escapes; not empty.
fn is_name(host: &str) -> bool {
    let mut bytes = host.bytes();
    while let Some(byte) = bytes.next() {
        let good = match byte {
            b'%' => [bytes.next(), bytes.next()].iter().all(|b| b.is_some_and(|b| b.is_ascii_hexdigit())),
            _ => byte.is_ascii_alphanumeric() || b"-._~".contains(&byte),
        };
        if !good {
            return false;
        }
    }
    !host.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for good in [
            "a",
            "a:80",
            "a:",
            "A.b-c_d~e:65535",
            "127.0.0.1:8080",
            "[::1]",
            "[::1]:8080",
            "[2001:db8::1]:",
            "xn--a%20b",
        ] {
            assert!(Authority::parse(good.as_bytes()).is_some(), "{good}");
        }
        for bad in [
            "",
            ":80",
            "a:b",
            "a:80:80",
            "a:65536",
            "a:-1",
            "a:+1",
            "a b",
            "a,b",
            "a/b",
            "a@b",
            "a?b",
            "a#b",
            "a\\b",
            "[::1",
            "::1",
            "[::1]x",
            "[a]",
            "[]",
            "[fe80::1%25eth0]",
            "[v1.x]",
            "a%",
            "a%4",
            "a%zz",
            "http://a",
            "é",
            "a;b",
            "a=b",
            "a\"b",
        ] {
            assert!(Authority::parse(bad.as_bytes()).is_none(), "{bad}");
        }
        assert!(Authority::parse(b"\xff").is_none());
    }
}
