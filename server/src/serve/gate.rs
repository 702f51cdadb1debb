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
use gatepass_core::store::Store as _;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::Found;
use gatepass_core::{is_budgeted, known_part};

use super::keeper::Keeper;
use super::turns::Turns;
use crate::budget::{Budget, Exempt, RetryAfter};
use crate::cli::context;
use crate::cli::failure::Failure;
use crate::clock::Clock;
use crate::config::Config;
use crate::front::{Answered, Reply, Service, caught};
use crate::peers::{Proxies, TrustedNow};
use crate::store::Store;
use crate::tally::{Repeated, Tally};

/// The service: the core with everything around it.
#[derive(Debug)]
pub struct Gate {
    /// The store.
    pub store: Store,
    /// The clock.
    pub clock: Arc<Clock>,
    /// The core at hand.
    pub keeper: Keeper,
    /// Refusals that have no row of their own.
    pub tally: Tally,
    turns: Turns,
    trusted: TrustedNow,
    around: ArcSwap<Around>,
    began: Instant,
}

/// How many may wait for a turn at hashing; more are answered 503. No more than half of the workers: those of the stock
/// front wait with them.
const WAITING: usize = 32;

/// What the configuration says of who asks.
#[derive(Debug)]
struct Around {
    config: Config,
    budget: Arc<Budget>,
}

impl Around {
    fn new(config: &Config) -> Self {
        let trusted = if config.exempt_trusted_proxies { &config.trusted_proxies[..] } else { &[] };
        let exempt = Exempt { loopback: config.exempt_loopback, proxies: Proxies::new(trusted) };
        Self {
            config: config.clone(),
            budget: Arc::new(Budget::new(config.failures_per_minute.get(), exempt)),
        }
    }

    /// With another configuration. What addresses have spent is forgotten only where the budget itself changes.
    fn changed(&self, config: &Config) -> Self {
        let of_budget = |config: &Config| {
            let proxies = config.trusted_proxies.clone();
            (config.failures_per_minute, config.exempt_loopback, config.exempt_trusted_proxies, proxies)
        };
        if of_budget(&self.config) == of_budget(config) {
            Self { config: config.clone(), budget: Arc::clone(&self.budget) }
        } else {
            Self::new(config)
        }
    }
}

impl Gate {
    /// A service over `store`; `trusted` are the proxies of `config`, here and wherever else they are asked of.
    ///
    /// # Errors
    /// Where the keys cannot be read.
    pub fn new(
        store: Store,
        clock: Clock,
        config: &Config,
        trusted: TrustedNow,
        settings: Settings,
    ) -> Result<Self, Failure> {
        let clock = Arc::new(clock);
        Ok(Self {
            trusted,
            keeper: Keeper::new(store.clone(), Arc::clone(&clock), settings)?,
            turns: Turns::start(config.password_hashes.size(), WAITING.min(config.threads() / 2))
                .map_err(|error| Failure::failed(format!("cannot start a thread: {error}")))?,
            store,
            clock,
            tally: Tally::default(),
            around: ArcSwap::from_pointee(Around::new(config)),
            began: Instant::now(),
        })
    }

    /// Goes on with another configuration, as far as that needs no new start; what does is told in the log.
    ///
    /// # Errors
    /// Where the keys cannot be read; the former configuration stays.
    pub fn reconfigure(&self, config: &Config) -> Result<(), Failure> {
        let issuer = config.issuer.clone().unwrap_or_else(|| self.keeper.current().settings().issuer.clone());
        self.keeper.change(context::settings(config, issuer))?;
        let former = self.around.load();
        let later = former.config.needing_a_start(config);
        if !later.is_empty() {
            tracing::warn!(keys = later.join(", "), "these keys hold from the next start on");
        }
        self.trusted.set(Proxies::new(&config.trusted_proxies));
        self.around.store(Arc::new(former.changed(config)));
        Ok(())
    }

    /// How long archived audit rows are kept; 0 = for ever.
    pub fn audit_retention(&self) -> Duration {
        self.around.load().config.audit_retention.get()
    }

    /// The first step of answering `request`, or the answer where it does not come to that.
    fn begin(&self, mut request: Request) -> Result<(Case, Step), Response> {
        let forwarded = request.headers.iter().filter(|(name, _)| name == "x-forwarded-for");
        request.peer = self.trusted.get().origin(request.peer, forwarded.map(|(_, value)| value.as_slice()));
        // Before the clock is read: a mark that is set in between is noticed.
        let resets = self.clock.resets();
        self.start(request, Some(resets))
    }

    /// The same for a request that counts for its peer. With the number of `resets` it may begin anew once.
    fn start(&self, request: Request, resets: Option<u64>) -> Result<(Case, Step), Response> {
        let language = Language::of(request.header("accept-language").unwrap_or_default());
        let (peer, budgeted) = (request.peer, is_budgeted(request.path()));
        if budgeted {
            self.may_fail(peer, language)?;
        }
        let clock = self.clock.status();
        let mut inputs = context::inputs(&clock).map_err(|failure| {
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
        let step = self.keeper.current().begin(&request, inputs);
        let case = Case {
            peer,
            budgeted,
            language,
            method: known_method(&request.method),
            path: known_part(request.path()).to_owned(),
            now: clock.now,
            recorded: false,
            again: resets.map(|resets| (request, resets)),
        };
        Ok((case, step))
    }

    /// Whether `peer` has not failed too often; else the refusal.
    fn may_fail(&self, peer: IpAddr, language: Language) -> Result<(), Response> {
        self.around.load().budget.check(peer, self.began.elapsed()).map_err(|RetryAfter(seconds)| {
            self.refuse(Problem::TooManyRequests, language).with("Retry-After", seconds.to_string())
        })
    }

    /// Goes on with what was found. Where a person set the clock's mark after the request had begun, it begins anew: what is
    /// found first is not to be judged by the former time.
    fn resume(&self, mut case: Case, read: Read, found: Found) -> Result<(Case, Step), Response> {
        let engine = self.keeper.at_least(found.generation);
        match case.again.take() {
            Some((request, resets)) if resets != self.clock.resets() => self.start(request, None),
            Some(_) | None => Ok((case, read.resume(&engine, found))),
        }
    }

    /// Goes on with a flow until it is answered, or waits: for the disk, or for a turn at hashing.
    fn go_on(self: Arc<Self>, mut case: Case, mut step: Step, reply: Reply) -> Answered {
        loop {
            step = match step {
                Step::Read(read) => {
                    let found = self.store.read(read.query());
                    match self.resume(case, read, found) {
                        Ok((resumed, step)) => {
                            case = resumed;
                            step
                        }
                        Err(response) => return reply.now(response),
                    }
                }
                Step::Commit(commit) => {
                    let changes = match self.tally.repeats(commit.changes()) {
                        None => Arc::clone(commit.changes()),
                        Some(Repeated::Written(instead)) => instead,
                        Some(Repeated::Counted) => {
                            case.recorded = true;
                            step = commit.settle(&self.keeper.current(), Outcome::Applied);
                            continue;
                        }
                    };
                    let (later, answered) = reply.later();
                    let gate = Arc::clone(&self);
                    self.store.commit_then(&changes, move |outcome| {
                        later.go_on(move |reply| {
                            case.recorded |=
                                outcome == Outcome::Applied && commit.changes().iter().any(refuses);
                            let step = commit.settle(&gate.keeper.current(), outcome);
                            gate.go_on(case, step, reply)
                        });
                    });
                    return answered;
                }
                Step::HashPassword(stretch) => {
                    let (later, answered) = reply.later();
                    let gate = Arc::clone(&self);
                    self.turns.take(move |workspace| {
                        let step = match workspace {
                            Some(workspace) => stretch.run_in(workspace, &gate.keeper.current()),
                            None => stretch.refuse(),
                        };
                        later.go_on(move |reply| gate.go_on(case, step, reply));
                    });
                    return answered;
                }
                Step::Reply(response) => {
                    self.count(&case, &response);
                    return reply.now(response);
                }
            }
        }
    }

    /// What is counted and logged of an answer.
    fn count(&self, case: &Case, response: &Response) {
        let Case { peer, budgeted, method, path, now, recorded, .. } = case;
        if let Some(refusal) = response.refusal() {
            if *budgeted && response.refuses_a_guess() {
                self.around.load().budget.record_failure(*peer, self.began.elapsed());
            }
            if !recorded {
                self.tally.record(*peer, refusal, *now);
            }
        }
        let refusal = response.refusal().map(|refusal| refusal.as_str());
        tracing::debug!(%peer, method, path, status = response.status(), refusal, "answered");
    }
}

/// A request that is being answered, and what is counted of it in the end.
struct Case {
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

impl Service for Gate {
    fn answer(self: Arc<Self>, request: Request, reply: Reply) -> Answered {
        match self.begin(request) {
            Ok((case, step)) => self.go_on(case, step, reply),
            Err(response) => reply.now(response),
        }
    }

    /// What they read first is read for all of them in one snapshot, which is newer than any of them.
    fn answer_all(self: Arc<Self>, asked: Vec<(Request, Reply)>, answered: &mut dyn FnMut(Answered)) {
        let mut reading = Vec::with_capacity(asked.len());
        for (request, reply) in asked {
            match caught(|| self.begin(request)) {
                Some(Ok((case, Step::Read(read)))) => reading.push((case, read, reply)),
                Some(Ok((case, step))) => {
                    if let Some(one) = caught(|| Arc::clone(&self).go_on(case, step, reply)) {
                        answered(one);
                    }
                }
                Some(Err(response)) => answered(reply.now(response)),
                None => drop(reply),
            }
        }
        if reading.is_empty() {
            return;
        }
        let together = caught(|| self.store.read_all(reading.iter().map(|(_, read, _)| read.query())));
        // Where that fails each is read by itself: what is wrong with one is not to be wrong with the others.
        let mut together = together.and_then(Result::ok).unwrap_or_default().into_iter();
        for (case, read, reply) in reading {
            let found = together.next();
            // Those before it may have failed.
            if case.budgeted
                && let Err(refused) = self.may_fail(case.peer, case.language)
            {
                answered(reply.now(refused));
                continue;
            }
            let go_on = || {
                let resumed = match found {
                    Some(found) => self.resume(case, read, found),
                    None => Ok((case, Step::Read(read))),
                };
                match resumed {
                    Ok((case, step)) => Arc::clone(&self).go_on(case, step, reply),
                    Err(response) => reply.now(response),
                }
            };
            if let Some(one) = caught(go_on) {
                answered(one);
            }
        }
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
