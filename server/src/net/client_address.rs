//! The address that a request counts for.
//!
//! It is the peer of the connection, unless that is a trusted proxy: then it is the right-most address of
//! `X-Forwarded-For` that is not a trusted proxy. Everything further left comes from an untrusted peer. Where the header
//! is missing or unusable, the proxy's own address counts, without exemption: it speaks for people who are not known.

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

    /// Returns the client of a request from `peer`. `forwarded` are the values of its `X-Forwarded-For`
    /// headers in the order they came; together they are one list (RFC 9110 §5.3), and each proxy has added to its
    /// right end. An empty entry is none (RFC 9110 §5.6.1); an unusable one ends the walk at the last good address.
    pub fn client<'a>(&self, peer: IpAddr, forwarded: impl DoubleEndedIterator<Item = &'a [u8]>) -> Client {
        let peer = peer.to_canonical();
        let hops = forwarded.rev().flat_map(|value| value.rsplit(|byte| *byte == b','));
        let mut hops = hops.map(<[u8]>::trim_ascii).filter(|hop| !hop.is_empty()).peekable();
        if !self.trusts(peer) {
            let source =
                if hops.peek().is_none() { Source::Peer } else { Source::Unclear(Unclear::Untrusted) };
            return Client { address: peer, source };
        }
        let mut client = Client { address: peer, source: Source::Unclear(Unclear::Missing) };
        for hop in hops {
            match address(hop) {
                Ok(address) => client = Client { address, source: Source::Forwarded },
                Err(unclear) => return Client { source: Source::Unclear(unclear), ..client },
            }
            if !self.trusts(client.address) {
                break;
            }
        }
        client
    }
}

/// The address that a request counts for, and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// The address.
    pub address: IpAddr,
    /// The way in which it was found.
    pub source: Source,
}

/// The way in which the address of a client was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// It is the peer of the connection, which does not speak for others.
    Peer,
    /// A trusted proxy named it.
    Forwarded,
    /// It is a proxy, whose clients are not known.
    Unclear(Unclear),
}

/// Why the clients of a proxy are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unclear {
    /// A trusted proxy sent no `X-Forwarded-For`.
    Missing,
    /// It wrote `unknown`.
    Unknown,
    /// It wrote `unix:`: its own peer came over a Unix socket.
    UnixSocket,
    /// It wrote something that is no address.
    Malformed,
    /// The peer sent `X-Forwarded-For` and is no trusted proxy.
    Untrusted,
}

/// The clients without a limit of failures.
#[derive(Clone, Debug, Default)]
pub struct ExemptClients {
    /// True if loopback addresses are exempt.
    pub loopback: bool,
    /// The exempt proxies.
    pub proxies: Proxies,
}

impl ExemptClients {
    /// Returns true if `client` is exempt: a program on this machine, or a trusted proxy that another one names. Never
    /// one that may speak for others.
    pub fn covers(&self, client: Client) -> bool {
        match client.source {
            Source::Peer => self.loopback && client.address.is_loopback(),
            Source::Forwarded => self.proxies.trusts(client.address),
            Source::Unclear(_) => false,
        }
    }
}

/// Reads `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:4711`. A zone of a link-local
/// address (`fe80::1%eth0`) means something to the proxy alone (RFC 4007 §6), and is left out.
fn address(hop: &[u8]) -> Result<IpAddr, Unclear> {
    let hop = str::from_utf8(hop).map_err(|_| Unclear::Malformed)?;
    let bracketed = || hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let zoned = || {
        let (address, zone) = hop.trim_start_matches('[').split_once('%')?;
        let address: Ipv6Addr = address.parse().ok()?;
        (address.is_unicast_link_local() && !zone.is_empty()).then_some(IpAddr::V6(address))
    };
    let address = hop.parse::<IpAddr>().ok();
    let address = address.or_else(|| hop.parse::<SocketAddr>().ok().map(|hop| hop.ip()));
    match address.or_else(bracketed).or_else(zoned) {
        Some(address) => Ok(address.to_canonical()),
        None if hop.eq_ignore_ascii_case("unknown") => Err(Unclear::Unknown),
        None if hop.starts_with("unix:") => Err(Unclear::UnixSocket),
        None => Err(Unclear::Malformed),
    }
}

/// Returns the key under which addresses are counted: an IPv4 address, or the /64 of an IPv6 address, which one host
/// owns.
pub(crate) fn source(address: IpAddr) -> IpAddr {
    network(address, 64)
}

/// Returns an IPv4 address as it is, and an IPv6 address with its first `width` bits alone.
pub(crate) fn network(address: IpAddr, width: u8) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let host = u128::MAX.checked_shr(width.into()).unwrap_or_default();
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !host))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies() -> Proxies {
        Proxies::new(["10.0.0.0/8", "127.0.0.1/32", "fd00::/8"].map(|network| network.parse().unwrap()))
    }

    #[test]
    fn whom_a_request_counts_for() {
        let direct = Source::Peer;
        let named = Source::Forwarded;
        let unclear = Source::Unclear;
        for (peer, forwarded, address, source) in [
            // No trusted proxy: the header is ignored.
            ("192.0.2.9", &[][..], "192.0.2.9", direct),
            ("192.0.2.9", &["198.51.100.1"], "192.0.2.9", unclear(Unclear::Untrusted)),
            ("::1", &["198.51.100.1"], "::1", unclear(Unclear::Untrusted)),
            ("::1", &[""], "::1", direct),
            // One proxy.
            ("10.0.0.1", &[], "10.0.0.1", unclear(Unclear::Missing)),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1", named),
            ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1", named),
            // What the client itself wrote stands further left.
            ("10.0.0.1", &["127.0.0.1, 198.51.100.1"], "198.51.100.1", named),
            ("10.0.0.1", &["127.0.0.1", "198.51.100.1"], "198.51.100.1", named),
            ("10.0.0.1", &["unknown, 198.51.100.1"], "198.51.100.1", named),
            // A chain of trusted ones.
            ("127.0.0.1", &["203.0.113.5, 198.51.100.1 , fd00::7,10.1.1.1"], "198.51.100.1", named),
            ("127.0.0.1", &["198.51.100.1", "10.1.1.1, 10.1.1.2"], "198.51.100.1", named),
            ("127.0.0.1", &["10.1.1.1, 10.1.1.2"], "10.1.1.1", named),
            // Ports, brackets, mapped addresses.
            ("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1", named),
            ("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1", named),
            ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1", named),
            ("10.0.0.1", &["2001:db8::1"], "2001:db8::1", named),
            ("10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1", named),
            // Zones of link-local addresses, and of no others.
            ("10.0.0.1", &["fe80::1%eth0"], "fe80::1", named),
            ("10.0.0.1", &["[fe80::1%eth0]:4711"], "fe80::1", named),
            ("10.0.0.1", &["fe80::1%"], "10.0.0.1", unclear(Unclear::Malformed)),
            ("10.0.0.1", &["2001:db8::1%eth0"], "10.0.0.1", unclear(Unclear::Malformed)),
            ("10.0.0.1", &["::1%lo"], "10.0.0.1", unclear(Unclear::Malformed)),
            // Unusable entries: the last good hop.
            ("10.0.0.1", &[""], "10.0.0.1", unclear(Unclear::Missing)),
            ("10.0.0.1", &[" , ,"], "10.0.0.1", unclear(Unclear::Missing)),
            ("10.0.0.1", &["unknown"], "10.0.0.1", unclear(Unclear::Unknown)),
            ("10.0.0.1", &["unix:"], "10.0.0.1", unclear(Unclear::UnixSocket)),
            ("10.0.0.1", &["198.51.100.1, unix:"], "10.0.0.1", unclear(Unclear::UnixSocket)),
            ("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1", unclear(Unclear::Unknown)),
            ("10.0.0.1", &["198.51.100.1, unknown, 10.2.2.2"], "10.2.2.2", unclear(Unclear::Unknown)),
            ("10.0.0.1", &["198.51.100.1:99999"], "10.0.0.1", unclear(Unclear::Malformed)),
            ("10.0.0.1", &["[198.51.100.1]"], "10.0.0.1", unclear(Unclear::Malformed)),
            ("10.0.0.1", &["198.51.100.1 198.51.100.2"], "10.0.0.1", unclear(Unclear::Malformed)),
            // Empty entries are none.
            ("10.0.0.1", &["198.51.100.1,"], "198.51.100.1", named),
            ("10.0.0.1", &[", 198.51.100.1 , ,", " "], "198.51.100.1", named),
        ] {
            let headers = forwarded.iter().map(|value| value.as_bytes());
            let expected = Client { address: address.parse().unwrap(), source };
            assert_eq!(proxies().client(peer.parse().unwrap(), headers), expected, "{peer} {forwarded:?}");
        }
        let malformed = proxies().client("10.0.0.1".parse().unwrap(), [&b"\xff\xfe"[..]].into_iter());
        assert_eq!(malformed.source, unclear(Unclear::Malformed));
    }

    #[test]
    fn networks() {
        for (address, width, expected) in [
            ("192.0.2.1", 64, "192.0.2.1"),
            ("::ffff:192.0.2.1", 48, "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", 64, "2001:db8:1:2::"),
            ("2001:db8:1:2:3:4:5:6", 48, "2001:db8:1::"),
            ("2001:db8::1", 128, "2001:db8::1"),
            ("2001:db8::1", 0, "::"),
        ] {
            let (address, expected) = (address.parse().unwrap(), expected.parse::<IpAddr>().unwrap());
            assert_eq!(network(address, width), expected, "{address}/{width}");
        }
    }

    #[test]
    fn nobody_is_exempt_who_may_speak_for_others() {
        let both = ExemptClients { loopback: true, proxies: proxies() };
        for (peer, forwarded, exempt) in [
            ("192.0.2.9", &[][..], false),
            ("127.0.0.2", &[], true),
            ("::1", &[], true),
            ("::1", &["198.51.100.1"], false),
            ("10.0.0.1", &[], false),
            ("127.0.0.1", &[], false),
            ("10.0.0.1", &["unknown"], false),
            ("10.0.0.1", &["unix:"], false),
            ("10.0.0.1", &["fe80::1%eth0"], false),
            ("10.0.0.1", &["198.51.100.1"], false),
            ("10.0.0.1", &["127.0.0.2"], false),
            ("10.0.0.1", &["10.0.0.2"], true),
            ("10.0.0.1", &["unknown, 10.0.0.2"], false),
        ] {
            let client =
                proxies().client(peer.parse().unwrap(), forwarded.iter().map(|value| value.as_bytes()));
            assert_eq!(both.covers(client), exempt, "{peer} {forwarded:?}");
            assert!(!ExemptClients::default().covers(client), "{peer} {forwarded:?}");
        }
    }
}
