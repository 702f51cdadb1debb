//! `PUT /auth/me/password`: a person changes their password, and every session of theirs is over.

use alloc::{boxed::Box, vec, vec::Vec};

use crate::api::bearer::{Presented, unauthorized};
use crate::api::context::Context;
use crate::api::lockout::{count_wrong_password, lock_ignored};
use crate::api::step::Step;
use crate::base::secret::SecretText;
use crate::crypto::seed::Label;
use crate::engine::Engine;
use crate::http::body::Body;
use crate::http::problem::{Problem, done};
use crate::http::request::Request;
use crate::policy::password::{MAX_LOCK, Unfit, fit, is_locked};
use crate::records::factor::Lockout;
use crate::records::password::{Password, PasswordHash, Workspace};
use crate::records::session::{Purpose, Session};
use crate::records::user::User;
use crate::store::audit::{Event, Kind, Refusal};
use crate::store::change::{Change, Outcome};
use crate::store::query::{Found, Query, Records};

/// The old password and the new one.
#[derive(Clone, Debug, PartialEq)]
struct Wish {
    old: SecretText,
    new: SecretText,
}

/// Waits for the bearer and their password.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Looking {
    ctx: Context,
    presented: Presented,
    /// What is wished, or what was wrong with it: a bad token is answered before a bad body.
    wish: Result<Wish, Problem>,
    again: bool,
}

/// Waits for both passwords to be hashed.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Comparing {
    looking: Looking,
    wish: Wish,
    user: Box<User>,
    session: Box<Session>,
    /// The state epoch of the snapshot.
    state_epoch: u64,
    password: Password,
}

/// Waits for the change, or for a refusal, to be durable.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Changing {
    looking: Looking,
    refusal: Option<Refusal>,
}

pub(crate) fn begin(ctx: Context, request: &Request) -> Step {
    let wish = Body::of(request).and_then(|body| {
        Ok(Wish { old: body.required_text("old_password")?, new: body.required_text("new_password")? })
    });
    match Presented::demanded(&ctx, request) {
        Ok(presented) => Looking { ctx, presented, wish, again: false }.ask(),
        Err(response) => Step::Reply(response),
    }
}

impl Looking {
    pub(crate) const fn context(&self) -> &Context {
        &self.ctx
    }

    fn ask(self) -> Step {
        Step::read(Query::Password(self.presented.query().clone()), self)
    }

    pub(crate) fn resume(self, engine: &Engine, found: Found) -> Step {
        let Records::Password(records) = found.records else { return Step::Reply(self.ctx.internal()) };
        let token = match self.presented.verify(engine, &records.bearer, found.state_epoch, self.ctx.now()) {
            Ok(token) => token,
            Err(refusal) => return Step::Reply(unauthorized(&self.ctx, refusal)),
        };
        let (user, session) = match token.person(Some(Purpose::ChangePassword)) {
            Ok(person) => person,
            Err((problem, refusal)) => return self.ctx.refuse(problem, refusal),
        };
        if session.actor.is_some() {
            return self.ctx.refuse(Problem::ImpersonationRefused, Refusal::Impersonated);
        }
        let wish = match &self.wish {
            Ok(wish) => wish.clone(),
            Err(problem) => return self.ctx.refuse(*problem, Refusal::Malformed),
        };
        let unfit = match fit(wish.new.expose(), user, engine.settings().password_length) {
            Err(Unfit::TooShort) => Some(Problem::PasswordTooShort),
            Err(Unfit::TooLong) => Some(Problem::PasswordTooLong),
            Err(Unfit::Common) => Some(Problem::PasswordTooCommon),
            Ok(()) => (wish.new == wish.old).then_some(Problem::PasswordUnchanged),
        };
        if let Some(problem) = unfit {
            return self.ctx.refuse(problem, Refusal::PasswordUnfit);
        }
        let (user, session) = (Box::new(user.clone()), Box::new(session.clone()));
        let state_epoch = found.state_epoch;
        match records.password {
            None => self.ctx.refuse(Problem::NoPassword, Refusal::PasswordMissing),
            Some(password) if is_locked(&password.lockout, self.ctx.now()) => {
                self.refuse(&user, Refusal::PasswordLocked, vec![])
            }
            Some(password) => {
                Step::stretch(Comparing { looking: self, wish, user, session, state_epoch, password })
            }
        }
    }

    fn refuse(self, user: &User, refusal: Refusal, mut changes: Vec<Change>) -> Step {
        changes
            .push(Change::Audit(Event { refusal: Some(refusal), ..self.event(Kind::PasswordRefused, user) }));
        Step::commit(changes, Changing { looking: self, refusal: Some(refusal) })
    }

    fn event(&self, kind: Kind, user: &User) -> Event {
        Event { subject: Some(user.id.clone()), ..self.ctx.event(kind) }
    }
}

impl Comparing {
    pub(crate) const fn context(&self) -> &Context {
        &self.looking.ctx
    }

    pub(crate) fn run(self, workspace: &mut Workspace) -> Step {
        let Self { looking, wish, user, session, state_epoch, password } = self;
        let (ctx, now) = (&looking.ctx, looking.ctx.now());
        let Some(good) = password.hash.is_of(&wish.old, workspace) else {
            return Step::Reply(ctx.unavailable());
        };
        if !good {
            let mut changes = count_wrong_password(ctx, password.lockout, &user.id);
            changes.push(Change::CountFailure { user: user.id.clone(), at: now });
            return looking.refuse(&user, Refusal::PasswordWrong, changes);
        }
        let salt = ctx.inputs.seed.draw(Label::PasswordSalt);
        let salt = salt.expose().first_chunk::<16>().copied().unwrap_or_default();
        let Some(hash) = PasswordHash::of(&wish.new, salt, workspace) else {
            return Step::Reply(ctx.unavailable());
        };
        let mut changed = (*user).clone();
        changed.set_password(now);
        changed.updated_at = now;
        let mut changes = vec![
            Change::RequireLiveSession(session.id.clone()),
            Change::RequireUserEpoch { id: user.id.clone(), epoch: user.epoch },
            Change::UpdateUser(changed),
            // What was guessed since counts against a right guess too.
            Change::SetPasswordLockout {
                user: user.id.clone(),
                before: password.lockout,
                after: Lockout::default(),
            },
            Change::SetPassword { user: user.id.clone(), hash },
            Change::Audit(looking.event(Kind::PasswordChanged, &user)),
        ];
        changes.extend(session.clients().conditions());
        changes.extend(lock_ignored(ctx, &password.lockout, MAX_LOCK, &user.id));
        Step::commit_in(state_epoch, changes, Changing { looking, refusal: None })
    }
}

impl Changing {
    pub(crate) fn settle(self, outcome: Outcome) -> Step {
        let Self { looking, refusal } = self;
        let ctx = &looking.ctx;
        match outcome {
            Outcome::Applied => match refusal {
                Some(refusal) => ctx.refuse(Problem::OldPasswordRefused, refusal),
                None => Step::Reply(done(ctx.language, ctx.clocks().wall, None::<()>)),
            },
            Outcome::Conflict if looking.again => Step::Reply(ctx.unavailable()),
            Outcome::Conflict => Looking { again: true, ..looking }.ask(),
            Outcome::NotApplied | Outcome::Unknown => Step::Reply(ctx.undone(outcome)),
        }
    }
}
