//! `gatepass serve`: the server from an empty directory to a clean end.
//!
//! - [`service`]: the service behind the front: the client's address, the failure limit, the core.
//! - [`engine_cache`]: the current engine, reloaded when its keys or settings change.
//! - [`password_hash_pool`]: the threads that hash passwords, with `fair_queue`, the order in which they do.
//! - [`first_start`]: the contents of an empty data directory.
//! - [`demo`]: a user and a client to try it with.
//! - [`metrics`]: the text of all metrics, with `row_counts`, the numbers of rows.
//! - [`tasks`]: what administrators ask for and only the server can do.
//! - `retention`: limits on growth: old audit rows, a large log.
//! - `status`: what administrators ask about the server and its audit log.
//! - [`maintenance`]: the work beside the requests: signals, sweeps, the clock's mark, counts of refusals.

pub mod demo;
pub mod engine_cache;
mod fair_queue;
pub mod first_start;
pub mod maintenance;
pub mod metrics;
pub mod password_hash_pool;
mod retention;
pub mod row_counts;
mod secret_uses;
pub mod service;
mod status;
pub mod tasks;

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use gatepass_core::api::routes::Surface;
use gatepass_core::records::id::ClientId;
use gatepass_core::settings::Issuer;

use crate::config::choice::{Front, LogFormat, LogLevel};
use crate::config::value::{Listen, Network, is_unspecified};
use crate::config::{Config, ConfigLayer, ConfigSources};
use crate::error::ProgramError;
use crate::http::guarded::{self, Guarded};
use crate::http::stock::{self, ListenAddress, Stock};
use crate::http::{Exempt, FrontMeasures, Handler, Limits, OwnHosts};
use crate::net::client_address::{CurrentProxies, Proxies};
use crate::output::{Output, Record};
use crate::store::{
    self, Access, AdminSession, Backend, Clock, Create, DatabaseServer, Installation, Notice, StoreOptions,
};
use crate::telemetry::log::{self, LevelFilter};
use crate::threads::named;
use service::{Service, ServiceAt};

/// The parts of a command line that a server is started with.
#[derive(Debug)]
pub struct Start {
    /// The places that the configuration is read from.
    pub sources: ConfigSources,
    /// The keys of the configuration that flags set.
    pub flags: ConfigLayer,
    /// Creates an installation beside an existing master key.
    pub init: bool,
    /// Adds a user and a client to try it with.
    pub demo: bool,
    /// The output for what is printed once.
    pub out: Output,
}

impl Start {
    /// Returns the files of the installation.
    fn installation(&self, config: &Config) -> Installation {
        Installation::at(&self.sources.data)
            .with_files(config.master_key_file.clone(), config.witness_file.clone())
            .with_archives(config.archive_dir.clone())
            .with_server(config.store.clone().map(|address| {
                DatabaseServer::new(
                    address,
                    config.store_password.clone(),
                    config.store_password_file.clone(),
                )
            }))
    }

    /// Opens the store, and creates an installation in an empty directory.
    fn open(&self, installation: &Installation, config: &Config) -> Result<Arc<dyn Backend>, ProgramError> {
        let create = if self.init { Create::BesideKey } else { Create::InEmpty };
        let options = StoreOptions {
            witness_interval: config.witness_interval.get(),
            numbering_plan: Some(config.phone_country.as_ref().map(|country| country.plan().clone())),
            ..StoreOptions::default()
        };
        let store = store::open(installation, Access::Serve, create, &options)?;
        for notice in store.notices() {
            match notice {
                Notice::HandoverTaken(_) => tracing::info!("{notice}"),
                Notice::AmbiguousIdentifiers(_) => tracing::warn!("{notice}"),
                Notice::StateSuperseded { .. }
                | Notice::StateRestored { .. }
                | Notice::WitnessNotAsked(_) => {
                    tracing::error!("{notice}");
                }
            }
        }
        Ok(store)
    }
}

/// Warns of keys that are read until 1.0.
fn warn_of_flat_keys(config: &Config) {
    if let Some(keys) = config.outside_of_sections() {
        tracing::warn!(keys, "these keys of the configuration belong into sections; 1.0 will refuse them");
    }
}

/// Warns of variables that begin like ours and set nothing.
fn warn_of_unknown_variables(config: &Config) {
    if !config.unknown_variables.is_empty() {
        let variables = config.unknown_variables.join(", ");
        tracing::warn!(variables, "these variables set nothing: `gatepass serve --help` lists those that do");
    }
}

/// Warns of an issuer at which nobody can ask.
fn warn_of_issuer(issuer: &Issuer) {
    if is_unspecified(issuer) {
        tracing::warn!(
            issuer = issuer.as_str(),
            "the issuer is no address that others can ask at, and every token names it: set `issuer` to the URL by \
             which they reach this server"
        );
    }
}

/// Starts the log as the configuration wants it.
fn start_log(config: &Config) {
    let json = match config.log_format {
        LogFormat::Auto => None,
        LogFormat::Text => Some(false),
        LogFormat::Json => Some(true),
    };
    let level = match config.log_level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    log::start(json, level);
}

/// Runs the server until it is asked to stop.
///
/// # Errors
/// If it cannot begin, or the front fails.
pub fn run(start: Start) -> Result<(), ProgramError> {
    let config = start.sources.read(start.flags.clone())?;
    start_log(&config);
    warn_of_flat_keys(&config);
    warn_of_unknown_variables(&config);
    let installation = start.installation(&config);
    let store = start.open(&installation, &config)?;
    let clock = Clock::start(&*store)?;
    let reported = maintenance::log_clock(&clock.status(), None);
    let trusted = CurrentProxies::default();
    trusted.set(trusted_proxies(&config));
    let hosts = OwnHosts::default();
    let listener = Listener::open(&config, &config.listen, "--listen", limits(&config, &trusted, &hosts))?;
    let address = listener.address(&config.listen);
    let administration = Administration::open(&config, &trusted, &hosts)?;
    let issuer = match &config.issuer {
        Some(issuer) => issuer.clone(),
        None => {
            let own = match &address {
                Listen::Tcp(address) => format!("http://{address}"),
                Listen::Unix(_) => "http://localhost".into(),
            };
            Issuer::parse(&own).map_err(|bad| ProgramError::failed(bad.to_string()))?
        }
    };
    warn_of_issuer(&issuer);
    let settings = config.core_settings(issuer.clone());

    let admin_session = AdminSession::new(Arc::clone(&store), clock.status(), settings.clone());
    let first_client = first_start::prepare(&admin_session, &installation)?;
    // At once: whatever fails after this, the secret is not lost.
    let secret_file = first_client.and_then(|first| first.show(start.out, &installation));
    let shown = if start.demo { Some(demo::prepare(&admin_session, &settings, &address)?) } else { None };
    let service = Service::new(Arc::clone(&store), clock, &config, trusted, settings)?.with_hosts(hosts);
    let service = service.with_front("public", config.connections.size(), listener.measures());
    let service = match &administration {
        Some(own) => service.with_front("administration", config.connections.size(), own.listener.measures()),
        None => service,
    };
    let service = Arc::new(service);

    let stoppers = [Some(listener.stopper()), administration.as_ref().map(|own| own.listener.stopper())];
    let _signals = maintenance::handle_signals(
        Arc::clone(&service),
        stoppers.into_iter().flatten().collect(),
        start.sources.clone(),
        start.flags.clone(),
    )?;
    let maintenance = maintenance::start(Arc::clone(&service), config.sweep_interval.get(), reported)?;
    // The output may be closed; the server serves all the same.
    let own = administration.as_ref().map(|own| &own.address);
    if let Err(failure) = announce(&start, (&address, own), &issuer, &config, secret_file, shown.as_ref()) {
        tracing::warn!(%failure, demo = shown.is_some(), "what the server prints at its start was not read");
    }
    installation.write_address(&address.to_string())?;
    let own = own.map(ToString::to_string);
    tracing::info!(
        listening = %address,
        administration = own,
        issuer = issuer.as_str(),
        front = config.front.as_str(),
        engine = store.engine(),
        database = store.place(),
        "ready"
    );
    let surface = if administration.is_some() { Surface::Public } else { Surface::Whole };
    let administration = administration.map(|own| own.run(&service, listener.stopper())).transpose()?;
    let served = listener.run(Arc::new(ServiceAt::new(service, surface)));
    let served = served.and(administration.map_or(Ok(()), RunningAdministration::end));
    maintenance.end();
    let closed = store.close().and_then(|()| installation.forget_address(&address.to_string()));
    if let Err(error) = closed {
        tracing::warn!(%error, "the files are not as whole as they should be");
    }
    tracing::info!("stopped");
    served.map_err(|error| ProgramError::failed(format!("the front failed: {error}")))
}

/// Returns the proxies that the configuration trusts.
fn trusted_proxies(config: &Config) -> Proxies {
    Proxies::new(config.trusted_proxies.iter().map(Network::get))
}

/// Prints where it listens, and the texts of the demo. With `--json` it is one object on one line.
fn announce(
    start: &Start,
    (address, administration): (&Listen, Option<&Listen>),
    issuer: &Issuer,
    config: &Config,
    secret_file: Option<PathBuf>,
    demo: Option<&demo::Shown>,
) -> Result<(), ProgramError> {
    let out = start.out;
    if out.json {
        let mut record = Record::new()
            .with("listening", address.to_string())
            .with("issuer", issuer.as_str())
            .with("front", config.front.as_str());
        if let Some(administration) = administration {
            record = record.with("administration", administration.to_string());
        }
        if let Some(file) = secret_file {
            let file = file.display().to_string();
            record = record.with(
                "admin",
                serde_json::json!({"client_id": ClientId::admin().as_str(), "secret_file": file}),
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
        shown_address(address),
        issuer.as_str()
    ))?;
    if let Some(administration) = administration {
        out.say(&format!("Administration and metrics are on {}", shown_address(administration)))?;
    }
    if let Some(demo) = demo {
        out.say(&demo.text())?;
    }
    Ok(())
}

/// Returns an address as a person uses it.
fn shown_address(address: &Listen) -> String {
    match address {
        Listen::Tcp(address) => format!("http://{address}"),
        Listen::Unix(_) => address.to_string(),
    }
}

/// The front at the address for administration and metrics alone.
struct Administration {
    listener: Listener,
    address: Listen,
}

/// The address of administration while it serves.
struct RunningAdministration {
    stopper: Stopper,
    thread: thread::JoinHandle<io::Result<()>>,
}

impl Administration {
    /// The most workers: administrators are few.
    const WORKERS: usize = 2;

    /// Opens the front, if it is configured.
    fn open(
        config: &Config,
        trusted: &CurrentProxies,
        hosts: &OwnHosts,
    ) -> Result<Option<Self>, ProgramError> {
        let Some(listen) = &config.admin_listen else { return Ok(None) };
        let limits = limits(config, trusted, hosts);
        let limits = Limits { workers: limits.workers.min(Self::WORKERS), ..limits };
        let listener = Listener::open(config, listen, "--admin-listen", limits)?;
        let address = listener.address(listen);
        Ok(Some(Self { listener, address }))
    }

    /// Serves on a thread of its own. If the front fails, `other` is stopped.
    fn run(self, service: &Arc<Service>, other: Stopper) -> Result<RunningAdministration, ProgramError> {
        let handler = Arc::new(ServiceAt::new(Arc::clone(service), Surface::Administration));
        let stopper = self.listener.stopper();
        let serve = move || {
            let served = self.listener.run(handler);
            if served.is_err() {
                other.stop();
            }
            served
        };
        let thread = named("administration").spawn(serve);
        let thread =
            thread.map_err(|error| ProgramError::failed(format!("cannot start a thread: {error}")))?;
        Ok(RunningAdministration { stopper, thread })
    }
}

impl RunningAdministration {
    /// Stops, and waits until requests in flight are finished.
    fn end(self) -> io::Result<()> {
        self.stopper.stop();
        // A panic was reported already.
        self.thread.join().unwrap_or(Ok(()))
    }
}

/// The listening front of either kind.
enum Listener {
    Guarded(Guarded),
    Stock(Stock),
}

/// The handle that ends a front.
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

impl Listener {
    /// Listens at `listen`, which `flag` sets.
    fn open(config: &Config, listen: &Listen, flag: &str, limits: Limits) -> Result<Self, ProgramError> {
        let opened = match (config.front, listen) {
            (Front::Guarded, Listen::Tcp(address)) => Guarded::bind(*address, limits).map(Self::Guarded),
            (Front::Guarded, Listen::Unix(_)) => {
                return Err(ProgramError::Usage(format!(
                    "the guarded front listens at an address, not on {listen}: add --front tiny_http, or choose an address"
                )));
            }
            (Front::TinyHttp, Listen::Tcp(address)) => {
                Stock::bind(ListenAddress::Tcp(*address), limits).map(Self::Stock)
            }
            (Front::TinyHttp, Listen::Unix(path)) => {
                let address = ListenAddress::Unix(path.clone(), config.socket_mode.get());
                Stock::bind(address, limits).map(Self::Stock)
            }
        };
        opened.map_err(|error| not_bound(listen, flag, &error))
    }

    /// Returns the address it listens on, with its real port.
    fn address(&self, listen: &Listen) -> Listen {
        match self {
            Self::Guarded(front) => Listen::Tcp(front.local_addr()),
            Self::Stock(front) => front.local_addr().map_or_else(|| listen.clone(), Listen::Tcp),
        }
    }

    fn stopper(&self) -> Stopper {
        match self {
            Self::Guarded(front) => Stopper::Guarded(front.stopper()),
            Self::Stock(front) => Stopper::Stock(front.stopper()),
        }
    }

    /// Returns the measures of the front; the stock one has none.
    fn measures(&self) -> Option<Arc<FrontMeasures>> {
        match self {
            Self::Guarded(front) => Some(front.measures()),
            Self::Stock(_) => None,
        }
    }

    fn run(self, handler: Arc<dyn Handler>) -> io::Result<()> {
        match self {
            Self::Guarded(front) => front.run(handler),
            Self::Stock(front) => front.run(handler),
        }
    }
}

fn not_bound(listen: &Listen, flag: &str, error: &io::Error) -> ProgramError {
    ProgramError::Failed(if error.kind() == ErrorKind::AddrInUse {
        format!("{listen} is in use: stop what listens there, or choose another address with {flag}")
    } else if error.kind() == ErrorKind::PermissionDenied {
        format!(
            "{listen} may not be listened on: choose a port from 1024 up with {flag}, or grant CAP_NET_BIND_SERVICE"
        )
    } else if error.kind() == ErrorKind::AddrNotAvailable {
        format!("{listen} is not an address of this machine: choose another with {flag}")
    } else {
        format!("cannot listen on {listen}: {error}")
    })
}

fn limits(config: &Config, trusted: &CurrentProxies, hosts: &OwnHosts) -> Limits {
    let trusted = trusted.clone();
    Limits {
        connections: config.connections.size(),
        connections_per_address: config.connections_per_address.size(),
        exempt: Exempt::new(move |address| {
            address.to_canonical().is_loopback() || trusted.get().trusts(address)
        }),
        hosts: hosts.clone(),
        request_line: config.request_line_bytes.size(),
        head: config.head_bytes.size(),
        headers: config.headers.size(),
        body: config.body_bytes.size(),
        request_time: config.request_time.get(),
        idle_time: config.idle_time.get(),
        answer_time: config.answer_time.get(),
        drain_time: config.drain_time.get(),
        workers: config.threads(),
        ..Limits::default()
    }
}

/// Returns the hosts that requests may name, besides the address they came in at.
fn own_hosts(config: &Config, issuer: &Issuer) -> Vec<String> {
    let configured = config.hosts.iter().map(|host| host.as_str().to_owned());
    configured.chain([issuer.authority().to_owned()]).collect()
}

/// Returns how a program on this machine reaches a server that listens at `address`: the arguments of `curl`, and the
/// URL.
fn reached_at(address: &Listen) -> String {
    let address = match address {
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
