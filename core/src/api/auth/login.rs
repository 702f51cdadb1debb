//! `POST /auth/login`: a name and a password sign a person in. Nobody learns from the answer, nor from how long it takes,
//! whether there is such an account: the password is hashed and something is made durable either way.

use alloc::{boxed::Box, vec, vec::Vec};

use crate::api::auth::origin::Origin;
use crate::api::auth::sign_in::{Admission, SignInAttempt};
use crate::api::context::{Context, place};
use crate::api::lockout::{count_wrong_password, lock_ignored};
use crate::api::step::Step;
use crate::base::secret::SecretText;
use crate::engine::Engine;
use crate::http::body::Body;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::policy::password;
use crate::records::challenge::SignIn;
use crate::records::factor::Lockout;
use crate::records::password::{PasswordHash, Workspace};
use crate::records::sign_in_history::DeviceOnNetwork;
use crate::store::audit::{Event, Kind, Refusal};
use crate::store::change::{Change, Outcome};
use crate::store::query::{Found, Identity, LoginRecords, Query, Records};

/// Waits for the account.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Looking {
    ctx: Context,
    identity: Identity,
    password: SecretText,
    place: DeviceOnNetwork,
    /// The hash that the password was compared with before, and whether it is its own.
    compared: Option<(PasswordHash, bool)>,
    again: bool,
}

/// Waits for the password to be hashed.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Comparing {
    looking: Looking,
    records: Option<Box<LoginRecords>>,
    /// The state epoch of the snapshot.
    state_epoch: u64,
    hash: PasswordHash,
}

/// Waits for a refusal to be durable.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Refusing {
    looking: Looking,
    refusal: Refusal,
}

/// Waits for a session or a challenge to be durable.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Admitting {
    looking: Looking,
    admission: Admission,
}

pub(crate) fn begin(ctx: Context, request: &Request) -> Step {
    let read = || {
        let body = Body::of(request)?;
        let identity = body.text("identity")?.ok_or(Problem::BadJson)?;
        Ok((Identity(identity.into()), body.required_text("password")?, place(request)?))
    };
    match read() {
        Ok((identity, password, place)) => {
            Looking { ctx, identity, password, place, compared: None, again: false }.ask()
        }
        Err(problem) => ctx.refuse(problem, Refusal::Malformed),
    }
}

impl Looking {
    pub(crate) const fn context(&self) -> &Context {
        &self.ctx
    }

    fn ask(self) -> Step {
        Step::read(Query::Login(self.identity.clone()), self)
    }

    pub(crate) fn resume(self, engine: &Engine, found: Found) -> Step {
        let Records::Login(records) = found.records else { return Step::Reply(self.ctx.internal()) };
        if !engine.can_sign() {
            return Step::Reply(self.ctx.unavailable());
        }
        let state_epoch = found.state_epoch;
        let hash = records.as_ref().and_then(|records| records.password.as_ref());
        let hash = hash.map_or_else(PasswordHash::of_nobody, |password| password.hash.clone());
        match &self.compared {
            Some((before, good)) if *before == hash => {
                let good = *good;
                self.decide(engine, records.as_deref(), state_epoch, good)
            }
            Some(_) | None => Step::stretch(Comparing { looking: self, records, state_epoch, hash }),
        }
    }

    fn decide(self, engine: &Engine, records: Option<&LoginRecords>, state_epoch: u64, good: bool) -> Step {
        let Some(records) = records else {
            return Step::commit(
                vec![Change::DummyWrite],
                Refusing { looking: self, refusal: Refusal::IdentityUnknown },
            );
        };
        let (user, now) = (&records.user, self.ctx.now());
        let lockout = match &records.password {
            None => return self.refuse(records, Refusal::PasswordMissing, Vec::new()),
            Some(password) => password.lockout,
        };
        if password::is_locked(&lockout, now) {
            return self.refuse(records, Refusal::PasswordLocked, Vec::new());
        }
        if !good {
            let mut counted = count_wrong_password(&self.ctx, lockout, &user.id);
            counted.push(Change::CountFailure { user: user.id.clone(), at: now });
            return self.refuse(records, Refusal::PasswordWrong, counted);
        }
        if !user.is_active() {
            return self.refuse(records, Refusal::UserInactive, Vec::new());
        }
        let scope = engine.settings().user_scope.clone();
        let entrant = SignInAttempt {
            sign_in: SignIn::by_password(user.id.clone(), scope, self.place),
            user,
            actor: None,
            client: None,
            factors: &records.factors,
            history: &records.history,
            ticket: None,
            address_mismatch: false,
            state_epoch,
        };
        let decided = Admission::decide(&self.ctx, engine, &entrant, Origin::Seed);
        let Some((admission, mut changes)) = decided else {
            return Step::Reply(self.ctx.internal());
        };
        // Named though nothing may change: what was guessed since counts against a right guess too.
        let after = Lockout::default();
        changes.push(Change::SetPasswordLockout { user: user.id.clone(), before: lockout, after });
        changes.extend(lock_ignored(&self.ctx, &lockout, password::MAX_LOCK, &user.id));
        Step::commit_in(state_epoch, changes, Admitting { looking: self, admission })
    }

    fn refuse(self, records: &LoginRecords, refusal: Refusal, mut changes: Vec<Change>) -> Step {
        changes.push(Change::Audit(Event {
            subject: Some(records.user.id.clone()),
            refusal: Some(refusal),
            ..self.ctx.event(Kind::PasswordRefused)
        }));
        Step::commit(changes, Refusing { looking: self, refusal })
    }

    fn refused(&self, refusal: Refusal) -> Response {
        self.ctx.problem(Problem::LoginRefused).refused(refusal)
    }

    /// Reads once more after a first conflict. A second one is met by who guesses at an account from many sides at once,
    /// and told as any other refusal: at a name that nobody has, nothing conflicts.
    fn once_more(self) -> Step {
        if self.again {
            return Step::Reply(self.refused(Refusal::PasswordLocked));
        }
        Self { again: true, ..self }.ask()
    }
}

impl Comparing {
    pub(crate) const fn context(&self) -> &Context {
        &self.looking.ctx
    }

    pub(crate) fn run(self, workspace: &mut Workspace, engine: &Engine) -> Step {
        let Self { looking, records, state_epoch, hash } = self;
        let Some(good) = hash.is_of(&looking.password, workspace) else {
            return Step::Reply(looking.ctx.unavailable());
        };
        let looking = Looking { compared: Some((hash, good)), ..looking };
        looking.decide(engine, records.as_deref(), state_epoch, good)
    }
}

impl Refusing {
    pub(crate) fn settle(self, outcome: Outcome) -> Step {
        match outcome {
            Outcome::Applied => Step::Reply(self.looking.refused(self.refusal)),
            Outcome::Conflict => self.looking.once_more(),
            Outcome::NotApplied | Outcome::Unknown => Step::Reply(self.looking.ctx.undone(outcome)),
        }
    }
}

impl Admitting {
    pub(crate) fn settle(self, engine: &Engine, outcome: Outcome) -> Step {
        let ctx = &self.looking.ctx;
        match outcome {
            Outcome::Applied => Step::Reply(self.admission.response(ctx, engine)),
            Outcome::Conflict => self.looking.once_more(),
            Outcome::NotApplied | Outcome::Unknown => Step::Reply(ctx.undone(outcome)),
        }
    }
}
