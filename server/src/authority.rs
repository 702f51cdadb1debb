//! A host with its port: the one parser for requests and for the configuration.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

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

    /// Returns true if both are the same. A missing port means `default_port`, or any if there is none.
    pub(crate) fn is(&self, other: &Authority<'_>, default_port: Option<u16>) -> bool {
        self.host.eq_ignore_ascii_case(other.host) && same_port(self.port, other.port, default_port)
    }

    /// Returns true if this is the address that a connection came in at. Loopback addresses have three names:
    /// `localhost`, `127.0.0.1` and `[::1]`. A missing port is as in [`Self::is`].
    pub(crate) fn is_address(&self, local: SocketAddr, default_port: Option<u16>) -> bool {
        let ip = local.ip().to_canonical();
        let same = match self.address() {
            Some(named) if named == ip => true,
            Some(named) => ip.is_loopback() && LOOPBACK.contains(&named),
            None => ip.is_loopback() && self.is_localhost(),
        };
        same && same_port(self.port, Some(local.port()), default_port)
    }

    /// Returns true if the host is `localhost`.
    pub(crate) fn is_localhost(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
    }

    /// Returns the host if it is an address.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        host.parse().ok().map(|address: IpAddr| address.to_canonical())
    }
}

impl fmt::Display for Authority<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// The loopback addresses that programs use as names.
const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

fn same_port(one: Option<u16>, other: Option<u16>, default: Option<u16>) -> bool {
    match (one.or(default), other.or(default)) {
        (Some(one), Some(other)) => one == other,
        _ => true,
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

    #[test]
    fn which_addresses_are_named() {
        for (local, host, default_port, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80", None, true),
            ("127.0.0.1:80", "[::1]:80", None, true),
            ("127.0.0.1:80", "localhost:80", None, true),
            ("127.0.0.1:80", "localhost", Some(443), false),
            ("127.0.0.1:80", "localhost", Some(80), true),
            ("127.0.0.1:80", "localhost", None, true),
            ("127.0.0.1:80", "127.0.0.1:81", None, false),
            ("127.0.0.1:80", "127.0.0.9:80", None, false),
            ("127.0.0.9:80", "127.0.0.9:80", None, true),
            ("127.0.0.9:80", "127.0.0.1:80", None, true),
            ("[::1]:80", "127.0.0.1", None, true),
            ("[::ffff:127.0.0.1]:80", "localhost", None, true),
            ("192.0.2.9:80", "192.0.2.9:80", None, true),
            ("[::ffff:192.0.2.9]:80", "192.0.2.9:80", None, true),
            ("192.0.2.9:80", "localhost:80", None, false),
            ("192.0.2.9:80", "127.0.0.1:80", None, false),
            ("192.0.2.9:80", "192.0.2.8:80", None, false),
            ("[2001:db8::1]:80", "[2001:DB8:0::1]:80", None, true),
        ] {
            let named = Authority::parse(host.as_bytes()).unwrap();
            assert_eq!(named.is_address(local.parse().unwrap(), default_port), expected, "{local} {host}");
        }
    }
}
