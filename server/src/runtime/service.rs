//! What stands behind the front, for each request: which address it counts for, whether that may still fail,
//! what the core answers, and what is counted of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use gatepass_core::api::step::{Read, Step};
use gatepass_core::base::time::Time;
use gatepass_core::base::warning::Warning;
use gatepass_core::http::language::Language;
use gatepass_core::http::problem::Problem;
use gatepass_core::http::request::Request;
use gatepass_core::http::response::Response;
use gatepass_core::settings::Settings;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::Found;
use gatepass_core::{is_budgeted, known_part};

use super::engine_cache::EngineCache;
use super::password_hash_pool::PasswordHashPool;
use crate::config::Config;
use crate::error::ProgramError;
use crate::http::{Answered, Handler, Reply, caught};
use crate::net::client_address::{CurrentProxies, Proxies};
use crate::net::failure_limiter::{ExemptAddresses, FailureLimiter, RetryAfter};
use crate::secrets::random::request_inputs;
use crate::store::Clock;
use crate::store::{Backend, StoreError};
use crate::telemetry::refusal_counts::{RefusalCounts, Repeated};

/// The service: the core with everything around it.
#[derive(Debug)]
pub struct Service {
    /// The store.
    pub store: Arc<dyn Backend>,
    /// The clock.
    pub clock: Arc<Clock>,
    /// The core at hand.
    pub engine_cache: EngineCache,
    /// Refusals that have no row of their own.
    pub refusal_counts: RefusalCounts,
    hash_pool: PasswordHashPool,
    trusted: CurrentProxies,
    request_limits: ArcSwap<RequestLimits>,
    began: Instant,
}

/// How many may wait for a turn at hashing; more are answered 503. No more than half of the workers: those of the stock
/// front wait with them.
const WAITING: usize = 32;

/// What the configuration says of who asks.
#[derive(Debug)]
struct RequestLimits {
    config: Config,
    failure_limiter: Arc<FailureLimiter>,
}

impl RequestLimits {
    fn new(config: &Config) -> Self {
        let proxies =
            if config.exempt_trusted_proxies { super::trusted_proxies(config) } else { Proxies::default() };
        let exempt = ExemptAddresses { loopback: config.exempt_loopback, proxies };
        Self {
            config: config.clone(),
            failure_limiter: Arc::new(FailureLimiter::new(config.failures_per_minute.get(), exempt)),
        }
    }

    /// With another configuration. What addresses have spent is forgotten only where the budget itself changes.
    fn changed(&self, config: &Config) -> Self {
        let of_limiter = |config: &Config| {
            let proxies = config.trusted_proxies.clone();
            (config.failures_per_minute, config.exempt_loopback, config.exempt_trusted_proxies, proxies)
        };
        if of_limiter(&self.config) == of_limiter(config) {
            Self { config: config.clone(), failure_limiter: Arc::clone(&self.failure_limiter) }
        } else {
            Self::new(config)
        }
    }
}

impl Service {
    /// A service over `store`; `trusted` are the proxies of `config`, here and wherever else they are asked of.
    ///
    /// # Errors
    /// Where the keys cannot be read.
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
            engine_cache: EngineCache::new(Arc::clone(&store), Arc::clone(&clock), settings)?,
            hash_pool: PasswordHashPool::start(
                config.password_hashes.size(),
                WAITING.min(config.threads() / 2),
            )
            .map_err(|error| ProgramError::failed(format!("cannot start a thread: {error}")))?,
            store,
            clock,
            refusal_counts: RefusalCounts::default(),
            request_limits: ArcSwap::from_pointee(RequestLimits::new(config)),
            began: Instant::now(),
        })
    }

    /// Goes on with another configuration, as far as that needs no new start; what does is told in the log.
    ///
    /// # Errors
    /// Where the keys cannot be read; the former configuration stays.
    pub fn reconfigure(&self, config: &Config) -> Result<(), ProgramError> {
        let issuer =
            config.issuer.clone().unwrap_or_else(|| self.engine_cache.current().settings().issuer.clone());
        self.engine_cache.change(config.core_settings(issuer))?;
        super::warn_of_flat_keys(config);
        let former = self.request_limits.load();
        let later = former.config.needing_a_start(config);
        if !later.is_empty() {
            tracing::warn!(keys = later.join(", "), "these keys hold from the next start on");
        }
        self.trusted.set(super::trusted_proxies(config));
        self.request_limits.store(Arc::new(former.changed(config)));
        Ok(())
    }

    /// How long archived audit rows are kept; 0 = for ever.
    pub fn audit_retention(&self) -> Duration {
        self.request_limits.load().config.audit_retention.get()
    }

    /// The first step of answering `request`, or the answer where it does not come to that.
    fn begin(&self, mut request: Request) -> Result<(RequestMeta, Step), Response> {
        let forwarded = request.headers.iter().filter(|(name, _)| name == "x-forwarded-for");
        request.peer = self.trusted.get().origin(request.peer, forwarded.map(|(_, value)| value.as_slice()));
        // Before the clock is read: a mark that is set in between is noticed.
        let resets = self.clock.resets();
        self.start(request, Some(resets))
    }

    /// The same for a request that counts for its peer. With the number of `resets` it may begin anew once.
    fn start(&self, request: Request, resets: Option<u64>) -> Result<(RequestMeta, Step), Response> {
        let language = Language::of(request.header("accept-language").unwrap_or_default());
        let (peer, budgeted) = (request.peer, is_budgeted(request.path()));
        if budgeted {
            self.may_fail(peer, language)?;
        }
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
        let step = self.engine_cache.current().begin(&request, inputs);
        let meta = RequestMeta {
            peer,
            budgeted,
            language,
            method: known_method(&request.method),
            path: known_part(request.path()).to_owned(),
            now: clock.now,
            recorded: false,
            again: resets.map(|resets| (request, resets)),
        };
        Ok((meta, step))
    }

    /// Whether `peer` has not failed too often; else the refusal.
    fn may_fail(&self, peer: IpAddr, language: Language) -> Result<(), Response> {
        self.request_limits.load().failure_limiter.check(peer, self.began.elapsed()).map_err(
            |RetryAfter(seconds)| {
                self.refuse(Problem::TooManyRequests, language).with("Retry-After", seconds.to_string())
            },
        )
    }

    /// Goes on with what was found. Where a person set the clock's mark after the request had begun, it begins anew: what is
    /// found first is not to be judged by the former time.
    fn resume(
        &self,
        mut meta: RequestMeta,
        read: Read,
        found: Found,
    ) -> Result<(RequestMeta, Step), Response> {
        let engine = self.engine_cache.at_least(found.generation);
        match meta.again.take() {
            Some((request, resets)) if resets != self.clock.resets() => self.start(request, None),
            Some(_) | None => Ok((meta, read.resume(&engine, found))),
        }
    }

    /// Goes on with a flow until it is answered, or waits: for a network, the disk, or a turn at hashing.
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
                    let then = move |outcome| {
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
                Step::HashPassword(stretch) => {
                    let (deferred, answered) = reply.defer();
                    let service = Arc::clone(&self);
                    self.hash_pool.submit(move |workspace| {
                        let step = match workspace {
                            Some(workspace) => stretch.run_in(workspace, &service.engine_cache.current()),
                            None => stretch.refuse(),
                        };
                        deferred.resume(move |reply| service.drive(meta, step, reply));
                    });
                    return answered;
                }
                Step::Reply(response) => {
                    self.count(&meta, &response);
                    return reply.send(response);
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

    /// Goes on with a flow that was read together with others: those before it may have failed, and `found` is none where the
    /// reading did. Then it is read by itself: what is wrong with one is not to be wrong with the others.
    fn drive_after_others(
        self: Arc<Self>,
        meta: RequestMeta,
        read: Read,
        found: Option<Found>,
        reply: Reply,
    ) -> Answered {
        if meta.budgeted
            && let Err(refused) = self.may_fail(meta.peer, meta.language)
        {
            return reply.send(refused);
        }
        match found {
            Some(found) => self.drive_with(meta, read, found, reply),
            None => self.drive(meta, Step::Read(read), reply),
        }
    }

    /// What is counted and logged of an answer.
    fn count(&self, meta: &RequestMeta, response: &Response) {
        let RequestMeta { peer, budgeted, method, path, now, recorded, .. } = meta;
        if let Some(refusal) = response.refusal() {
            if *budgeted && response.refuses_a_guess() {
                self.request_limits.load().failure_limiter.record_failure(*peer, self.began.elapsed());
            }
            if !recorded {
                self.refusal_counts.record(*peer, refusal, *now);
            }
        }
        let refusal = response.refusal().map(|refusal| refusal.as_str());
        tracing::debug!(%peer, method, path, status = response.status(), refusal, "answered");
    }
}

/// A request that is being answered, and what is counted of it in the end.
struct RequestMeta {
    peer: IpAddr,
    budgeted: bool,
    language: Language,
    method: &'static str,
    path: String,
    now: Time,
    /// A refusal was written as a row of its own; then it is not counted once more.
    recorded: bool,
    /// The request and how often the mark had been set when it began, until something was found for it.
    again: Option<(Request, u64)>,
}

impl Handler for Service {
    fn answer(self: Arc<Self>, request: Request, reply: Reply) -> Answered {
        match self.begin(request) {
            Ok((meta, step)) => self.drive(meta, step, reply),
            Err(response) => reply.send(response),
        }
    }

    /// What they read first is read for all of them in one snapshot, which is newer than any of them.
    fn answer_all(self: Arc<Self>, asked: Vec<(Request, Reply)>, answered: &mut dyn FnMut(Answered)) {
        let mut reading = Vec::with_capacity(asked.len());
        for (request, reply) in asked {
            match caught(|| self.begin(request)) {
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

    fn refuse(&self, problem: Problem, language: Language) -> Response {
        problem.response(language, self.clock.now())
    }
}

/// The method where it is a common one; what else a caller made up is for no log.
fn known_method(method: &str) -> &'static str {
    const COMMON: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    COMMON.into_iter().find(|common| *common == method).unwrap_or("other")
}

/// Whether a change is a row that tells of a refusal.
fn refuses(change: &Change) -> bool {
    matches!(change, Change::Audit(event) if event.refusal.is_some())
}
