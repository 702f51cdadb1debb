//! The service behind the front, for each request: the address it counts for, the failure limit, the answer of the
//! core, and what is counted.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use gatepass_core::api::guess::{Attempt, AttemptResult, Guess, GuessAccount, GuessSource};
use gatepass_core::api::routes::{RoutedRequest, Surface};
use gatepass_core::api::server_status::ServerSetting;
use gatepass_core::api::step::{Read, Step};
use gatepass_core::base::time::Time;
use gatepass_core::base::warning::Warning;
use gatepass_core::http::language::Language;
use gatepass_core::http::problem::Problem;
use gatepass_core::http::request::Request;
use gatepass_core::http::response::Response;
use gatepass_core::records::request_id::RequestId;
use gatepass_core::settings::Settings;
use gatepass_core::store::audit::Kind;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::Found;

use super::engine_cache::EngineCache;
use super::metrics::MeasuredFront;
use super::password_hash_pool::{HashCounts, HashSource, PasswordHashPool};
use super::row_counts::RowCounts;
use super::secret_uses::SecretUses;
use super::tasks::{self, Tasks};
use crate::config::{Config, Setting};
use crate::error::ProgramError;
use crate::http::{Answered, FrontMeasures, Handler, OwnHosts, Reply, caught};
use crate::net::client_address::{Client, CurrentProxies, ExemptClients, Proxies};
use crate::net::failure_limiter::{FailureLimiter, RetryAfter};
use crate::net::unclear_clients::UnclearClients;
use crate::secrets::random::request_inputs;
use crate::store::Clock;
use crate::store::{Backend, StoreError};
use crate::telemetry::metrics::{self, Metrics};
use crate::telemetry::refusal_counts::{RefusalCounts, Repeated};

/// The service: the core with everything around it.
#[derive(Debug)]
pub struct Service {
    /// The store.
    pub store: Arc<dyn Backend>,
    /// The clock.
    pub clock: Arc<Clock>,
    /// The current engine.
    pub engine_cache: EngineCache,
    /// Counts of refusals without a row of their own.
    pub refusal_counts: RefusalCounts,
    /// Uses of client secrets that wait to be written.
    pub secret_uses: SecretUses,
    /// The counters of the metrics.
    pub metrics: Metrics,
    /// The numbers of rows.
    pub row_counts: RowCounts,
    fronts: Vec<MeasuredFront>,
    hash_pool: PasswordHashPool<GuessAccount>,
    trusted: CurrentProxies,
    hosts: OwnHosts,
    request_limits: ArcSwap<RequestLimits>,
    failure_limiter: FailureLimiter,
    unclear_clients: UnclearClients,
    tasks: Tasks,
    /// Those that take seconds. The others do not wait for them.
    long_tasks: Tasks,
    began: Instant,
}

/// The part of the configuration that is about requests.
#[derive(Debug)]
struct RequestLimits {
    config: Config,
    exempt: ExemptClients,
}

impl RequestLimits {
    fn new(config: &Config) -> Self {
        let proxies =
            if config.exempt_trusted_proxies { super::trusted_proxies(config) } else { Proxies::default() };
        Self { config: config.clone(), exempt: ExemptClients { loopback: config.exempt_loopback, proxies } }
    }
}

/// Returns the keys that have another value, each with the former one; only those that are read `at_start`, or only the others.
fn changed_keys(former: &Config, newer: &Config, at_start: bool) -> String {
    let value =
        |setting: &Setting| setting.shown().filter(|text| !text.is_empty()).unwrap_or("(none)").to_owned();
    let changed = former.changes(newer).filter(|(_, new)| new.key.is_read_at_start == at_start);
    let lines = changed.map(|(old, new)| format!("{}: {} -> {}", new.key.path(), value(old), value(new)));
    lines.collect::<Vec<_>>().join(", ")
}

impl Service {
    /// Makes a service over `store`; `trusted` are the proxies of `config`, shared with the front.
    ///
    /// # Errors
    /// If the keys cannot be read.
    pub fn new(
        store: Arc<dyn Backend>,
        clock: Clock,
        config: &Config,
        trusted: CurrentProxies,
        settings: Settings,
    ) -> Result<Self, ProgramError> {
        let clock = Arc::new(clock);
        Ok(Self {
            trusted,
            hosts: OwnHosts::default(),
            engine_cache: EngineCache::new(Arc::clone(&store), Arc::clone(&clock), settings)?,
            hash_pool: PasswordHashPool::start(config.password_hashes.size(), config.password_places())
                .map_err(|error| ProgramError::failed(format!("cannot start a thread: {error}")))?,
            store,
            clock,
            refusal_counts: RefusalCounts::default(),
            secret_uses: SecretUses::default(),
            metrics: Metrics::default(),
            row_counts: RowCounts::default(),
            fronts: Vec::new(),
            request_limits: ArcSwap::from_pointee(RequestLimits::new(config)),
            failure_limiter: FailureLimiter::new(config.failures_per_minute.get()),
            unclear_clients: UnclearClients::default(),
            tasks: Tasks::default(),
            long_tasks: Tasks::default(),
            began: Instant::now(),
        })
    }

    /// Lets requests name the hosts of the configuration alone; `hosts` are those of the front.
    #[must_use]
    pub fn with_hosts(self, hosts: OwnHosts) -> Self {
        hosts.set(super::own_hosts(
            &self.request_limits.load().config,
            &self.engine_cache.current().settings().issuer,
        ));
        Self { hosts, ..self }
    }

    /// Shows the measures of a front under this name, if it has any.
    #[must_use]
    pub fn with_front(
        mut self,
        name: &'static str,
        connections: usize,
        measures: Option<Arc<FrontMeasures>>,
    ) -> Self {
        self.fronts.extend(measures.map(|measures| MeasuredFront { name, connections, measures }));
        self
    }

    /// Returns the fronts that have measures.
    pub(super) fn fronts(&self) -> &[MeasuredFront] {
        &self.fronts
    }

    /// Returns the numbers of passwords that wait and are hashed.
    pub fn hash_counts(&self) -> HashCounts {
        self.hash_pool.counts()
    }

    /// Returns the time since the start.
    pub fn uptime(&self) -> Duration {
        self.began.elapsed()
    }

    /// Changes the configuration, as far as that needs no restart; the log names every key that has another value.
    ///
    /// # Errors
    /// If the keys cannot be read; the former configuration stays.
    pub fn reconfigure(&self, mut config: Config) -> Result<(), ProgramError> {
        let issuer =
            config.issuer.clone().unwrap_or_else(|| self.engine_cache.current().settings().issuer.clone());
        self.engine_cache.change(config.core_settings(issuer))?;
        super::warn_of_flat_keys(&config);
        super::warn_of_issuer(&self.engine_cache.current().settings().issuer);
        let former = self.request_limits.load();
        let later = changed_keys(&former.config, &config, true);
        if !later.is_empty() {
            tracing::warn!(keys = later, "these keys hold from the next start on");
        }
        let changed = changed_keys(&former.config, &config, false);
        if changed.is_empty() {
            tracing::info!("the configuration was read again; nothing changed");
        } else {
            tracing::info!(changed, "the configuration was read again");
        }
        config.keep_until_a_start(&former.config);
        self.trusted.set(super::trusted_proxies(&config));
        self.hosts.set(super::own_hosts(&config, &self.engine_cache.current().settings().issuer));
        self.failure_limiter.set_limit(config.failures_per_minute.get());
        self.request_limits.store(Arc::new(RequestLimits::new(&config)));
        Ok(())
    }

    /// Returns every key of the configuration, with the value that holds.
    pub(super) fn settings(&self) -> Vec<ServerSetting> {
        self.request_limits.load().config.settings.iter().map(Setting::described).collect()
    }

    /// Returns the time for which archived audit rows are kept; 0 = for ever.
    pub fn audit_retention(&self) -> Duration {
        self.request_limits.load().config.audit_retention.get()
    }

    /// Returns the first step of answering `request`, or the answer if there is no step.
    fn begin(&self, surface: Surface, mut request: Request) -> Result<(RequestMeta, Step), Response> {
        let forwarded = request.headers.iter().filter(|(name, _)| name == "x-forwarded-for");
        let client = self.trusted.get().client(request.peer, forwarded.map(|(_, value)| value.as_slice()));
        request.peer = client.address;
        // Before the clock is read: a mark that is set in between is noticed.
        let resets = self.clock.resets();
        self.start(surface, request, client, Some(resets))
    }

    /// Does the same for a request of `client`. With the number of `resets` it may start again once.
    fn start(
        &self,
        surface: Surface,
        request: Request,
        client: Client,
        resets: Option<u64>,
    ) -> Result<(RequestMeta, Step), Response> {
        let routed = RoutedRequest::at(surface, &request);
        let language = routed.language();
        let clock = self.clock.status();
        let mut inputs = request_inputs(&clock).map_err(|failure| {
            tracing::error!(%failure, "a request was answered with 500");
            self.refuse(Problem::Internal, language)
        })?;
        for (warning, holds) in [
            (Warning::WitnessNotWritten, !self.store.witness_works()),
            (Warning::ClockBehind, clock.behind.is_some()),
            (Warning::ClockAhead, clock.ahead.is_some()),
        ] {
            if holds {
                inputs.warnings = inputs.warnings.with(warning);
            }
        }
        if self.store.is_disk_full() {
            inputs.warnings = inputs.warnings.with(Warning::DiskFull);
        }
        let step = self.engine_cache.current().begin(&routed, inputs);
        let meta = RequestMeta {
            surface,
            client,
            method: known_method(&request.method),
            path: routed.label(),
            now: clock.now,
            began: Instant::now(),
            route: routed.number(),
            written: None,
            recorded: false,
            again: resets.map(|resets| (request, resets)),
        };
        Ok((meta, step))
    }

    /// Allows a guess, unless its address has failed too often.
    fn judge(&self, client: Client, guess: Guess) -> Step {
        let address = guess.source().address;
        // A guess is the occasion to say that the address is a proxy's.
        self.unclear_clients.warn_of(client);
        let allowed = if self.is_limited(client, address) {
            self.failure_limiter.allow(address, self.began.elapsed())
        } else {
            Ok(())
        };
        match allowed {
            Ok(()) => guess.allow(&self.engine_cache.current()),
            Err(RetryAfter(seconds)) => {
                self.metrics.guesses_limited.add();
                guess.limit(seconds)
            }
        }
    }

    /// Returns true if failures of `address` count, which `client` has or has told of somebody else.
    fn is_limited(&self, client: Client, address: IpAddr) -> bool {
        client.address != address || !self.request_limits.load().exempt.covers(client)
    }

    /// Continues with the records found. If the clock's mark was set after the request began, it starts again: the
    /// first records must not be judged by the former time.
    fn resume(
        &self,
        mut meta: RequestMeta,
        read: Read,
        found: Found,
    ) -> Result<(RequestMeta, Step), Response> {
        let engine = self.engine_cache.at_least(found.generation);
        match meta.again.take() {
            Some((request, resets)) if resets != self.clock.resets() => {
                self.start(meta.surface, request, meta.client, None)
            }
            Some(_) | None => Ok((meta, read.resume(&engine, found))),
        }
    }

    /// Continues with a flow until it is answered, or waits for the disk or for a password hash.
    fn drive(self: Arc<Self>, mut meta: RequestMeta, mut step: Step, reply: Reply) -> Answered {
        loop {
            step = match step {
                Step::Read(read) if !self.store.reads_inline() => {
                    let (deferred, answered) = reply.defer();
                    let service = Arc::clone(&self);
                    let query = read.query().clone();
                    let then = move |found| {
                        deferred.resume(move |reply| service.drive_with(meta, read, found, reply))
                    };
                    self.store.read_then(query, Box::new(then));
                    return answered;
                }
                Step::Read(read) => {
                    let found = self.store.read(read.query());
                    match self.resume(meta, read, found) {
                        Ok((resumed, step)) => {
                            meta = resumed;
                            step
                        }
                        Err(response) => return reply.send(response),
                    }
                }
                Step::Commit(commit) => {
                    meta.written = metrics::first_event(commit.changes());
                    let changes = match self.refusal_counts.repeats(commit.changes()) {
                        None => Arc::clone(commit.changes()),
                        Some(Repeated::Written(instead)) => instead,
                        Some(Repeated::Counted) => {
                            meta.recorded = true;
                            step = commit.settle(&self.engine_cache.current(), Outcome::Applied);
                            continue;
                        }
                    };
                    let (deferred, answered) = reply.defer();
                    let service = Arc::clone(&self);
                    let written = Arc::clone(&changes);
                    let then = move |outcome| {
                        service.metrics.committed(&written, outcome);
                        if outcome != Outcome::Applied {
                            meta.written = None;
                        }
                        deferred.resume(move |reply| {
                            meta.recorded |=
                                outcome == Outcome::Applied && commit.changes().iter().any(refuses);
                            let step = commit.settle(&service.engine_cache.current(), outcome);
                            service.drive(meta, step, reply)
                        });
                    };
                    self.store.commit_then(&changes, Box::new(then));
                    return answered;
                }
                Step::Guess(guess) => self.judge(meta.client, guess),
                Step::HashPassword(stretch) => {
                    let (deferred, answered) = reply.defer();
                    let service = Arc::clone(&self);
                    let GuessSource { address, account } = stretch.source();
                    let known = self.failure_limiter.succeeded_lately(address, self.began.elapsed());
                    let source = HashSource { address, account, known };
                    self.hash_pool.submit(source, move |workspace| {
                        let step = match workspace {
                            Some(workspace) => stretch.run_in(workspace, &service.engine_cache.current()),
                            None => stretch.refuse(),
                        };
                        deferred.resume(move |reply| service.drive(meta, step, reply));
                    });
                    return answered;
                }
                Step::Task(task) => {
                    let (deferred, answered) = reply.defer();
                    let service = Arc::clone(&self);
                    let tasks = if task.request().is_long() { &self.long_tasks } else { &self.tasks };
                    let (request, worker) = (task.request().clone(), Arc::clone(&service));
                    let then = move |answer| {
                        let step = match answer {
                            Some(answer) => task.resume(&service.engine_cache.current(), answer),
                            None => task.refuse(),
                        };
                        deferred.resume(move |reply| service.drive(meta, step, reply));
                    };
                    tasks.start(move || tasks::answer(&worker, &request), then);
                    return answered;
                }
                Step::Reply(answer) => {
                    self.count(&meta, &answer);
                    return reply.send(answer.into_response());
                }
            }
        }
    }

    /// Goes on with a flow whose records were found.
    fn drive_with(self: Arc<Self>, meta: RequestMeta, read: Read, found: Found, reply: Reply) -> Answered {
        match self.resume(meta, read, found) {
            Ok((meta, step)) => self.drive(meta, step, reply),
            Err(response) => reply.send(response),
        }
    }

    /// Goes on with a flow that was read together with others. `found` is none if the reading failed. Then it is read by itself: what
    /// is wrong with one is not to be wrong with the others.
    fn drive_after_others(
        self: Arc<Self>,
        meta: RequestMeta,
        read: Read,
        found: Option<Found>,
        reply: Reply,
    ) -> Answered {
        match found {
            Some(found) => self.drive_with(meta, read, found, reply),
            None => self.drive(meta, Step::Read(read), reply),
        }
    }

    /// Counts and logs an answer.
    fn count(&self, meta: &RequestMeta, answer: &gatepass_core::Reply) {
        let RequestMeta { client, method, path, now, recorded, began, route, written, .. } = meta;
        self.metrics.answered(metrics::Answered {
            route: *route,
            status: answer.status(),
            took: began.elapsed(),
            written: *written,
            refusal: answer.refusal(),
        });
        let peer = client.address;
        if let Some(Attempt { address, result }) = answer.attempt() {
            let now = self.began.elapsed();
            match result {
                AttemptResult::Wrong if self.is_limited(*client, address) => {
                    self.failure_limiter.record_failure(address, now);
                }
                AttemptResult::Wrong => {}
                // Whoever has no limit has turns for passwords, too.
                AttemptResult::Succeeded => self.failure_limiter.record_success(address, now),
            }
        }
        if let Some(used) = answer.used_secret() {
            self.secret_uses.record(used);
        }
        if let Some(refusal) = answer.refusal()
            && !recorded
        {
            self.refusal_counts.record(peer, answer.refused_client(), refusal, *now);
        }
        let refusal = answer.refusal().map(|refusal| refusal.as_str());
        let ids = answer.ids();
        let (request, sent) = (ids.map(|ids| &ids.own), ids.and_then(|ids| ids.sent.as_ref()));
        let (request, sent) = (request.map(RequestId::as_str), sent.map(RequestId::as_str));
        let status = answer.status();
        if status >= 500 {
            tracing::warn!(%peer, method, path, status, request, sent, "a request was not served");
        } else {
            tracing::debug!(%peer, method, path, status, refusal, request, sent, "answered");
        }
    }
}

/// A request that is being answered, and what is counted at its end.
struct RequestMeta {
    /// The part of the routes that its address serves.
    surface: Surface,
    client: Client,
    method: &'static str,
    path: &'static str,
    now: Time,
    /// The time when it was whole.
    began: Instant,
    /// The number of its route.
    route: Option<usize>,
    /// The kind of the first audit row of its last commit.
    written: Option<Kind>,
    /// True if a refusal has a row of its own; then it is not counted again.
    recorded: bool,
    /// The request and the number of times that the mark had been set when it began, until records were found for it.
    again: Option<(Request, u64)>,
}

impl Service {
    fn answer_at(self: Arc<Self>, surface: Surface, request: Request, reply: Reply) -> Answered {
        match self.begin(surface, request) {
            Ok((meta, step)) => self.drive(meta, step, reply),
            Err(response) => reply.send(response),
        }
    }

    /// The first read of all of them is one snapshot, which is newer than any of them.
    fn answer_all_at(
        self: Arc<Self>,
        surface: Surface,
        asked: Vec<(Request, Reply)>,
        answered: &mut dyn FnMut(Answered),
    ) {
        let mut reading = Vec::with_capacity(asked.len());
        for (request, reply) in asked {
            match caught(|| self.begin(surface, request)) {
                Some(Ok((meta, Step::Read(read)))) => reading.push((meta, read, reply)),
                Some(Ok((meta, step))) => {
                    if let Some(one) = caught(|| Arc::clone(&self).drive(meta, step, reply)) {
                        answered(one);
                    }
                }
                Some(Err(response)) => answered(reply.send(response)),
                None => drop(reply),
            }
        }
        if reading.is_empty() {
            return;
        }
        if self.store.reads_inline() {
            let queries: Vec<_> = reading.iter().map(|(_, read, _)| read.query()).collect();
            let together = caught(|| self.store.read_all(&queries)).and_then(Result::ok);
            let mut together = together.unwrap_or_default().into_iter();
            for (meta, read, reply) in reading {
                let found = together.next();
                let drive = || Arc::clone(&self).drive_after_others(meta, read, found, reply);
                if let Some(one) = caught(drive) {
                    answered(one);
                }
            }
            return;
        }
        let queries = reading.iter().map(|(_, read, _)| read.query().clone()).collect();
        let parked: Vec<_> = reading
            .into_iter()
            .map(|(meta, read, reply)| {
                let (deferred, waits) = reply.defer();
                answered(waits);
                (meta, read, deferred)
            })
            .collect();
        let (store, service) = (Arc::clone(&self.store), self);
        let then = move |together: Result<Vec<Found>, StoreError>| {
            let mut together = together.unwrap_or_default().into_iter();
            for (meta, read, deferred) in parked {
                let (found, service) = (together.next(), Arc::clone(&service));
                deferred.resume(move |reply| service.drive_after_others(meta, read, found, reply));
            }
        };
        store.read_all_then(queries, Box::new(then));
    }
}

/// The service at one address.
#[derive(Debug)]
pub struct ServiceAt {
    service: Arc<Service>,
    surface: Surface,
}

impl ServiceAt {
    /// Serves `surface` with `service`.
    pub const fn new(service: Arc<Service>, surface: Surface) -> Self {
        Self { service, surface }
    }
}

impl Handler for ServiceAt {
    fn answer(self: Arc<Self>, request: Request, reply: Reply) -> Answered {
        Arc::clone(&self.service).answer_at(self.surface, request, reply)
    }

    fn answer_all(self: Arc<Self>, asked: Vec<(Request, Reply)>, answered: &mut dyn FnMut(Answered)) {
        Arc::clone(&self.service).answer_all_at(self.surface, asked, answered);
    }

    fn refuse(&self, problem: Problem, language: Language) -> Response {
        self.service.refuse(problem, language)
    }
}

impl Service {
    /// Returns the answer to something that the front itself refuses, or that cannot begin.
    fn refuse(&self, problem: Problem, language: Language) -> Response {
        let response = problem.response(language, self.clock.now());
        self.metrics.refused(response.status());
        response
    }
}

/// Returns the method if it is a common one; made-up methods are not logged.
fn known_method(method: &str) -> &'static str {
    const COMMON: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    COMMON.into_iter().find(|common| *common == method).unwrap_or("other")
}

/// Returns true if a change is an audit row about a refusal.
fn refuses(change: &Change) -> bool {
    matches!(change, Change::Audit(event) if event.refusal.is_some())
}
