//! The address that a request counts for.
//!
//! It is the peer of the connection, unless that is a trusted proxy: then it is the right-most address of
//! `X-Forwarded-For` that is not a trusted proxy. Everything further left comes from an untrusted peer.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use ipnet::IpNet;

/// The trusted proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(Vec<IpNet>);

/// The proxies trusted now: one shared value, which can change at any time.
#[derive(Clone, Debug, Default)]
pub struct CurrentProxies(Arc<ArcSwap<Proxies>>);

impl CurrentProxies {
    /// Trusts `proxies` from now on.
    pub fn set(&self, proxies: Proxies) {
        self.0.store(Arc::new(proxies));
    }

    /// Returns the proxies trusted now.
    pub fn get(&self) -> Guard<Arc<Proxies>> {
        self.0.load()
    }
}

impl Proxies {
    /// Trusts the addresses in `networks`.
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self(networks.into_iter().collect())
    }

    /// Returns true if `address` is a trusted proxy.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Returns the address that a request from `peer` counts for. `forwarded` are the values of its `X-Forwarded-For`
    /// headers in the order they came; together they are one list (RFC 9110 §5.3), and each proxy has added to its
    /// right end. An empty entry is none (RFC 9110 §5.6.1); a malformed one ends the walk at the last good address.
    pub fn origin<'a>(&self, peer: IpAddr, forwarded: impl DoubleEndedIterator<Item = &'a [u8]>) -> IpAddr {
        let mut origin = peer.to_canonical();
        let hops = forwarded.rev().flat_map(|value| value.rsplit(|byte| *byte == b','));
        for hop in hops.filter(|hop| !hop.trim_ascii().is_empty()) {
            if !self.trusts(origin) {
                break;
            }
            match address(hop) {
                Some(address) => origin = address,
                None => break,
            }
        }
        origin
    }
}

/// Reads `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:4711`.
fn address(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop.trim_ascii()).ok()?;
    let bracketed = || hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let address = hop.parse::<IpAddr>().ok();
    let address = address.or_else(|| hop.parse::<SocketAddr>().ok().map(|hop| hop.ip())).or_else(bracketed);
    address.map(|address| address.to_canonical())
}

/// Returns the key under which addresses are counted: an IPv4 address, or the /64 of an IPv6 address, which one host
/// owns.
pub(crate) fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_a_request_counts_for() {
        let proxies =
            Proxies::new(["10.0.0.0/8", "127.0.0.1/32", "fd00::/8"].map(|network| network.parse().unwrap()));
        for (peer, forwarded, origin) in [
            // No trusted proxy: the header is ignored.
            ("192.0.2.9", &["198.51.100.1"][..], "192.0.2.9"),
            ("::1", &["198.51.100.1"], "::1"),
            // One proxy.
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            // What the client itself wrote stands further left.
            ("10.0.0.1", &["127.0.0.1, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["127.0.0.1", "198.51.100.1"], "198.51.100.1"),
            // A chain of trusted ones.
            ("127.0.0.1", &["203.0.113.5, 198.51.100.1 , fd00::7,10.1.1.1"], "198.51.100.1"),
            ("127.0.0.1", &["198.51.100.1", "10.1.1.1, 10.1.1.2"], "198.51.100.1"),
            ("127.0.0.1", &["10.1.1.1, 10.1.1.2"], "10.1.1.1"),
            // Ports, brackets, mapped addresses.
            ("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1", &["2001:db8::1"], "2001:db8::1"),
            ("10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
            // Malformed entries: the last good hop.
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &["unknown"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1, unknown, 10.2.2.2"], "10.2.2.2"),
            // Empty entries are none.
            ("10.0.0.1", &["198.51.100.1,"], "198.51.100.1"),
            ("10.0.0.1", &[", 198.51.100.1 , ,", " "], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1:99999"], "10.0.0.1"),
            ("10.0.0.1", &["[198.51.100.1]"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1 198.51.100.2"], "10.0.0.1"),
        ] {
            let headers = forwarded.iter().map(|value| value.as_bytes());
            let expected: IpAddr = origin.parse().unwrap();
            assert_eq!(proxies.origin(peer.parse().unwrap(), headers), expected, "{peer} {forwarded:?}");
        }
        assert_eq!(
            proxies.origin("10.0.0.1".parse().unwrap(), [&b"\xff\xfe"[..]].into_iter()).to_string(),
            "10.0.0.1"
        );
    }
}
