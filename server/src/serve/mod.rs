//! `gatepass serve`: everything put together, from an empty directory to a clean end.
//!
//! - [`gate`]: what stands behind the front: which address counts, the budget of failures, the core.
//! - [`keeper`]: the core at hand, renewed when its keys or settings have changed.
//! - [`turns`]: turns at hashing passwords.
//! - [`first_start`]: what an empty data directory is given.
//! - [`demo`]: somebody to try it with.
//! - `retention`: growth: old audit rows, a large log.
//! - [`chores`]: what is done beside the requests: signals, sweeps, the clock's mark, the tally.

pub mod chores;
pub mod demo;
pub mod first_start;
pub mod gate;
pub mod keeper;
mod retention;
pub mod turns;

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use gatepass_core::settings::Issuer;

use crate::cli::context::{self, Context};
use crate::cli::failure::Failure;
use crate::cli::output::Record;
use crate::cli::{Serve, context::Site};
use crate::clock::Clock;
use crate::config::Config;
use crate::config::choice::Front;
use crate::config::value::Listen;
use crate::front::guarded::{self, Guarded};
use crate::front::stock::{self, Place, Stock};
use crate::front::{Bounds, Exempt, Service};
use crate::log;
use crate::peers::{Proxies, TrustedNow};
use gate::Gate;

/// Runs the server until it is told to stop.
///
/// # Errors
/// Where it cannot begin, or the front fails.
pub fn run(context: &Context, arguments: Serve) -> Result<(), Failure> {
    let Serve { demo, given } = arguments;
    let config = context.config(given.clone())?;
    log::start(config.log_format, config.log_level);
    let store = context.serving(&config)?;
    let clock = Clock::start(&store)?;
    let told = chores::tell_the_clock(&clock.status(), None);
    let trusted = TrustedNow::default();
    trusted.set(Proxies::new(&config.trusted_proxies));
    let door = Door::open(&config, trusted.clone())?;
    let address = door.address(&config);
    let issuer = match &config.issuer {
        Some(issuer) => issuer.clone(),
        None => {
            let own = match &address {
                Listen::Tcp(address) => format!("http://{address}"),
                Listen::Unix(_) => "http://localhost".into(),
            };
            Issuer::parse(&own).map_err(|bad| Failure::failed(bad.to_string()))?
        }
    };
    let settings = context::settings(&config, issuer.clone());

    let site = Site::new(store.clone(), clock.status());
    let admin = first_start::prepare(&site)?;
    let shown = if demo { Some(demo::prepare(&site, &settings, &address)?) } else { None };
    let gate = Arc::new(Gate::new(store.clone(), clock, &config, trusted, settings)?);

    let stopper = door.stopper();
    let _signals = chores::obey_signals(Arc::clone(&gate), stopper, context.clone(), given)?;
    let chores = chores::begin(Arc::clone(&gate), config.sweep_interval.get(), told)?;
    // Whoever started it may have closed its output; it serves all the same.
    if let Err(failure) = announce(context, &address, &issuer, &config, admin, shown) {
        tracing::warn!(%failure, "what is told once was not read: `gatepass client rotate-secret admin` makes a new secret");
    }
    store.installation().write_address(&address.to_string())?;
    tracing::info!(listening = %address, issuer = issuer.as_str(), front = config.front.as_str(), "ready");
    let served = door.run(gate);
    chores.end();
    let closed = store.close().and_then(|()| store.installation().forget_address(&address.to_string()));
    if let Err(error) = closed {
        tracing::warn!(%error, "the files are not as whole as they should be");
    }
    tracing::info!("stopped");
    served.map_err(|error| Failure::failed(format!("the front failed: {error}")))
}

/// Says where it listens, and whatever is told once. With `--json` it is one object on one line.
fn announce(
    context: &Context,
    address: &Listen,
    issuer: &Issuer,
    config: &Config,
    admin: Option<first_start::Admin>,
    demo: Option<demo::Shown>,
) -> Result<(), Failure> {
    let out = context.out;
    if out.json {
        let mut record = Record::new()
            .with("listening", address.to_string())
            .with("issuer", issuer.as_str())
            .with("front", config.front.as_str());
        if let Some(admin) = admin {
            record = record.with(
                "admin",
                serde_json::json!({"client_id": admin.id.as_str(), "client_secret": &**admin.secret}),
            );
        }
        if let Some(demo) = demo {
            record = record.with("demo", demo.json());
        }
        return Ok(out.one(&record)?);
    }
    out.say(&format!(
        "Gatepass {} listens on {}, issuer {}",
        env!("CARGO_PKG_VERSION"),
        match address {
            Listen::Tcp(address) => format!("http://{address}"),
            Listen::Unix(_) => address.to_string(),
        },
        issuer.as_str()
    ))?;
    if let Some(admin) = admin {
        out.say(&format!(
            "\nFirst start: everything is in {}. The client that issues tickets, its secret shown this once:\n",
            context.data().display()
        ))?;
        out.one(
            &Record::new().with("client_id", admin.id.as_str()).with("client_secret", admin.secret.as_str()),
        )?;
    }
    if let Some(demo) = demo {
        out.say(&demo.text())?;
    }
    Ok(())
}

/// The listening front, whichever it is.
enum Door {
    Guarded(Guarded),
    Stock(Stock),
}

/// What ends a front.
pub(crate) enum Stopper {
    /// The guarded one.
    Guarded(guarded::Stop),
    /// The stock one.
    Stock(stock::Stop),
}

impl Stopper {
    pub(crate) fn stop(&self) {
        match self {
            Self::Guarded(stop) => stop.stop(),
            Self::Stock(stop) => stop.stop(),
        }
    }
}

impl Door {
    fn open(config: &Config, trusted: TrustedNow) -> Result<Self, Failure> {
        let bounds = bounds(config, trusted);
        let opened = match (config.front, &config.listen) {
            (Front::Guarded, Listen::Tcp(address)) => Guarded::bind(*address, bounds).map(Self::Guarded),
            (Front::Guarded, Listen::Unix(_)) => {
                return Err(Failure::Usage(format!(
                    "the guarded front listens at an address, not on {}: add --front tiny_http, or choose an address",
                    config.listen
                )));
            }
            (Front::TinyHttp, Listen::Tcp(address)) => {
                Stock::bind(Place::Tcp(*address), bounds).map(Self::Stock)
            }
            (Front::TinyHttp, Listen::Unix(path)) => {
                Stock::bind(Place::Unix(path.clone()), bounds).map(Self::Stock)
            }
        };
        opened.map_err(|error| not_bound(&config.listen, &error))
    }

    /// Where it listens, with its real port.
    fn address(&self, config: &Config) -> Listen {
        match self {
            Self::Guarded(front) => Listen::Tcp(front.local_addr()),
            Self::Stock(front) => front.local_addr().map_or_else(|| config.listen.clone(), Listen::Tcp),
        }
    }

    fn stopper(&self) -> Stopper {
        match self {
            Self::Guarded(front) => Stopper::Guarded(front.stopper()),
            Self::Stock(front) => Stopper::Stock(front.stopper()),
        }
    }

    fn run(self, service: Arc<dyn Service>) -> io::Result<()> {
        match self {
            Self::Guarded(front) => front.run(service),
            Self::Stock(front) => front.run(service),
        }
    }
}

fn not_bound(listen: &Listen, error: &io::Error) -> Failure {
    // tiny_http wraps the system's error in its own.
    let told = error.to_string();
    Failure::Failed(if error.kind() == ErrorKind::AddrInUse || told.contains("in use") {
        format!("{listen} is in use: stop what listens there, or choose another address with --listen")
    } else if error.kind() == ErrorKind::PermissionDenied {
        format!(
            "{listen} may not be listened on: choose a port from 1024 up with --listen, or grant CAP_NET_BIND_SERVICE"
        )
    } else if error.kind() == ErrorKind::AddrNotAvailable {
        format!("{listen} is not an address of this machine: choose another with --listen")
    } else {
        format!("cannot listen on {listen}: {told}")
    })
}

fn bounds(config: &Config, trusted: TrustedNow) -> Bounds {
    Bounds {
        connections: config.connections.size(),
        connections_per_address: config.connections_per_address.size(),
        exempt: Exempt::new(move |address| {
            address.to_canonical().is_loopback() || trusted.get().trusts(address)
        }),
        authorities: own_hosts(config),
        request_line: config.request_line_bytes.size(),
        head: config.head_bytes.size(),
        headers: config.headers.size(),
        body: config.body_bytes.size(),
        request_time: config.request_time.get(),
        idle_time: config.idle_time.get(),
        answer_time: config.answer_time.get(),
        drain_time: config.drain_time.get(),
        workers: config.threads(),
        ..Bounds::default()
    }
}

/// The hosts that an absolute-form request may name, beside the address it came in at. Never empty: then a request
/// could name any.
fn own_hosts(config: &Config) -> Vec<String> {
    let mut hosts: Vec<String> = config.hosts.iter().map(|host| host.as_str().to_owned()).collect();
    hosts.extend(config.issuer.as_ref().map(|issuer| issuer.authority().to_owned()));
    hosts.push(config.listen.to_string());
    hosts
}

/// How a program on this machine reaches a server that listens at `place`: what `curl` is given, and the URL.
fn reached_at(place: &Listen) -> String {
    let address = match place {
        Listen::Unix(path) => return format!("--unix-socket '{}' http://localhost", path.display()),
        Listen::Tcp(address) => address,
    };
    let ip: IpAddr = match (address.ip().is_unspecified(), address.is_ipv4()) {
        (false, _) => address.ip(),
        (true, true) => Ipv4Addr::LOCALHOST.into(),
        (true, false) => Ipv6Addr::LOCALHOST.into(),
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}
