//! Warnings of proxies whose clients are not known, once for each.

use std::net::IpAddr;

use super::client_address::{Client, Source, Unclear};
use super::said::Said;

/// The warnings that the log has. Peers that are no trusted proxy share one.
#[derive(Debug, Default)]
pub struct UnclearClients(Said<(Unclear, Option<IpAddr>)>);

impl UnclearClients {
    /// Warns if `client` stands for others who are not known, unless the log says so already. Peers that are not on this
    /// machine and no proxies may write into the header what they like.
    pub fn warn_of(&self, client: Client) {
        let Source::Unclear(unclear) = client.source else { return };
        let proxy = client.address;
        if unclear == Unclear::Untrusted && !proxy.is_loopback() {
            return;
        }
        if self.is_new(unclear, proxy) {
            tracing::warn!(%proxy, "{}", meaning(unclear));
        }
    }

    fn is_new(&self, unclear: Unclear, proxy: IpAddr) -> bool {
        self.0.is_new((unclear, (unclear != Unclear::Untrusted).then_some(proxy)))
    }
}

/// Returns what is wrong, and what to set.
const fn meaning(unclear: Unclear) -> &'static str {
    match unclear {
        Unclear::Missing => {
            "a trusted proxy sends no X-Forwarded-For, so all its clients share one limit of failures: let it add the \
             header (nginx: proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for), or take it out of \
             trusted_proxies"
        }
        Unclear::Unknown => {
            "a trusted proxy names its client `unknown` in X-Forwarded-For, so all these clients share one limit of \
             failures: let it write the address"
        }
        Unclear::UnixSocket => {
            "a trusted proxy names its client `unix:` in X-Forwarded-For, so all these clients share one limit of \
             failures: let it pass on the header of the proxy in front of it (nginx: set_real_ip_from unix: and \
             real_ip_header X-Forwarded-For)"
        }
        Unclear::Malformed => {
            "a trusted proxy ends X-Forwarded-For with something that is no address, so all these clients share one \
             limit of failures: let it write the address"
        }
        Unclear::Untrusted => {
            "a program on this machine sends X-Forwarded-For and is no trusted proxy, so all its clients share one \
             limit of failures: name its address in trusted_proxies if it is a proxy"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_proxy_is_reported_once_for_each_fault() {
        let clients = UnclearClients::default();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        for (unclear, proxy, is_new) in [
            (Unclear::Missing, "10.0.0.1", true),
            (Unclear::Missing, "10.0.0.1", false),
            (Unclear::Missing, "10.0.0.2", true),
            (Unclear::Unknown, "10.0.0.1", true),
            (Unclear::Untrusted, "127.0.0.1", true),
            (Unclear::Untrusted, "127.0.0.2", false),
        ] {
            assert_eq!(clients.is_new(unclear, address(proxy)), is_new, "{unclear:?} {proxy}");
        }
    }
}
