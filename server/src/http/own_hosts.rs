//! The hosts that requests may name.
//!
//! A browser sends the host of the page's own address. If any host were served, a page at `evil.example` could have
//! its name lead to this machine, and read the answers as its own (DNS rebinding).

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::authority::Authority;
use crate::net::said::Said;

/// The hosts that requests may name, besides the address a connection came in at: one shared value, which can
/// change at any time. Any host, until some are set.
#[derive(Clone, Debug, Default)]
pub struct OwnHosts(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    hosts: ArcSwapOption<Vec<String>>,
    refused: Said<String>,
}

impl OwnHosts {
    /// Serves `hosts` (`host` or `host:port`) from now on, and no others.
    pub fn set(&self, hosts: Vec<String>) {
        self.0.hosts.store(Some(Arc::new(hosts)));
    }

    /// Returns true if `authority` names this server: one of the hosts, or `local`, the address that the connection
    /// came in at; without one it came in at a Unix socket, which is `localhost`. None if no hosts are set.
    ///
    /// A missing port means `default_port`. Without that it fits every port: behind a proxy nobody knows what is the default.
    pub(super) fn serve(
        &self,
        authority: &Authority<'_>,
        local: Option<SocketAddr>,
        default_port: Option<u16>,
    ) -> Option<bool> {
        let hosts = self.0.hosts.load();
        let is_local = || match local {
            Some(local) => authority.is_address(local, default_port),
            None => authority.is_localhost(),
        };
        let is_named = |hosts: &[String]| {
            let mut parsed = hosts.iter().filter_map(|own| Authority::parse(own.as_bytes()));
            parsed.any(|own| authority.is(&own, default_port))
        };
        hosts.as_ref().map(|hosts| is_local() || is_named(hosts))
    }

    /// Returns true if a request in origin form with this `Host` is for this server. If not, the log says so once.
    pub(super) fn serve_host(&self, host: &Authority<'_>, local: Option<SocketAddr>) -> bool {
        let serves = self.serve(host, local, None) != Some(false);
        if !serves && self.0.refused.is_new(host.to_string()) {
            tracing::info!(
                %host,
                "a request was answered 421 for the host that it names: if people reach this server by it, or a proxy \
                 sends it, add it to `hosts`"
            );
        }
        serves
    }
}
