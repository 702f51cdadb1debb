//! What stands behind the front, one request at a time: which address it counts for, whether that may still fail,
//! what the core answers, and what is counted of it.

use std::cell::Cell;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use gatepass_core::model::change::{Change, Outcome};
use gatepass_core::model::query::{Found, Query};
use gatepass_core::settings::Settings;
use gatepass_core::step::drive;
use gatepass_core::wire::language::Language;
use gatepass_core::wire::problem::Problem;
use gatepass_core::wire::request::Request;
use gatepass_core::wire::response::Response;
use gatepass_core::{is_budgeted, known_part};

use super::keeper::Keeper;
use super::turns::Turns;
use crate::budget::{Budget, Exempt, RetryAfter};
use crate::cli::context;
use crate::cli::failure::Failure;
use crate::clock::Clock;
use crate::config::Config;
use crate::front::Service;
use crate::peers::{Proxies, TrustedNow};
use crate::store::Store;
use crate::tally::Tally;

/// The service: the core with everything around it.
#[derive(Debug)]
pub struct Gate {
    /// The store.
    pub store: Store,
    /// The clock.
    pub clock: Clock,
    /// The core at hand.
    pub keeper: Keeper,
    /// Refusals that have no row of their own.
    pub tally: Tally,
    trusted: TrustedNow,
    around: RwLock<Arc<Around>>,
    began: Instant,
}

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
        Ok(Self {
            trusted,
            // Half of those who work may wait for a turn, so that nobody else has to wait for them.
            keeper: Keeper::new(
                store.clone(),
                settings,
                Turns::new(config.password_hashes.size(), config.workers.size() / 2),
            )?,
            store,
            clock,
            tally: Tally::default(),
            around: RwLock::new(Arc::new(Around::new(config))),
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
        let former = self.around();
        let later = former.config.needing_a_start(config);
        if !later.is_empty() {
            tracing::warn!(keys = later.join(", "), "these keys hold from the next start on");
        }
        self.trusted.set(Proxies::new(&config.trusted_proxies));
        *self.around.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(former.changed(config));
        Ok(())
    }

    fn around(&self) -> Arc<Around> {
        Arc::clone(&self.around.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Service for Gate {
    fn answer(&self, mut request: Request) -> Response {
        let around = self.around();
        let forwarded = request.headers.iter().filter(|(name, _)| name == "x-forwarded-for");
        request.peer = self.trusted.get().origin(request.peer, forwarded.map(|(_, value)| value.as_slice()));
        let (peer, budgeted) = (request.peer, is_budgeted(request.path()));
        let language = || Language::of(request.header("accept-language").unwrap_or_default());
        if budgeted && let Err(RetryAfter(seconds)) = around.budget.check(peer, self.began.elapsed()) {
            return self
                .refuse(Problem::TooManyRequests, language())
                .with("Retry-After", seconds.to_string());
        }
        let moment = match context::moment(self.clock.now()) {
            Ok(moment) => moment,
            Err(failure) => {
                tracing::error!(%failure, "a request was answered with 500");
                return self.refuse(Problem::Internal, language());
            }
        };
        let (now, method) = (moment.now, known_method(&request.method));
        let path = known_part(request.path()).to_owned();
        let store = Recording { store: &self.store, recorded: Cell::new(false) };
        let response = drive(&self.keeper, &store, request, moment);
        if let Some(refusal) = response.refusal() {
            if budgeted && response.refuses_a_guess() {
                around.budget.record_failure(peer, self.began.elapsed());
            }
            if !store.recorded.get() {
                self.tally.record(peer, refusal, now);
            }
        }
        let refusal = response.refusal().map(|refusal| refusal.as_str());
        tracing::debug!(%peer, method, path, status = response.status(), refusal, "answered");
        response
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

/// The store, and whether a refusal was written to it as a row of its own: then it is not counted once more.
struct Recording<'a> {
    store: &'a Store,
    recorded: Cell<bool>,
}

impl gatepass_core::store::Store for Recording<'_> {
    fn read(&self, query: &Query) -> Found {
        self.store.read(query)
    }

    fn commit(&self, changes: &Arc<[Change]>) -> Outcome {
        let outcome = self.store.commit(changes);
        let refused = |change: &Change| matches!(change, Change::Audit(event) if event.refusal.is_some());
        if outcome == Outcome::Applied && changes.iter().any(refused) {
            self.recorded.set(true);
        }
        outcome
    }
}
