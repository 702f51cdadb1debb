//! `/mfa/totp/*`: a person sets up authenticators, verifies their first code, lists and removes them. An impersonated
//! session can do none of it.

use alloc::{borrow::ToOwned, string::String, vec, vec::Vec};

use crate::api::bearer::{Presented, unauthorized};
use crate::api::context::Context;
use crate::api::lockout::{count_wrong, dates_ignored};
use crate::api::mfa::otpauth::{otpauth_uri, qr_data_uri, secret_text};
use crate::api::shapes::{DeviceEntry, Enrolment};
use crate::api::step::Step;
use crate::base::secret::SecretText;
use crate::engine::Engine;
use crate::http::body::Body;
use crate::http::problem::{Problem, done};
use crate::http::request::Request;
use crate::policy::enrolment::{MAX_NAME, NotSetUp, SetUp, backup_codes, device, verified, waiting};
use crate::policy::second_factor::{Method, accept, has_shown};
use crate::policy::totp::{STEP, accepted_step};
use crate::records::factor::{Factors, Lockout, TotpDevice};
use crate::records::id::{DeviceId, UserId};
use crate::records::session::{Purpose, Session};
use crate::records::user::User;
use crate::settings::Settings;
use crate::store::audit::{Event, Kind, Refusal};
use crate::store::change::{Change, Outcome};
use crate::store::query::{Found, Query, Records};

/// What is to be done.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(PartialEq))]
pub(crate) enum Wish {
    /// A new device, for an account that is called so in the authenticator.
    /// Whoever has not shown a factor yet shows one by its code.
    SetUp { account: Option<String>, name: Option<String>, code: Option<SecretText> },
    /// A first code of a device: of the newest that waits for one, unless one is named.
    Verify { device: Option<String>, code: SecretText },
    /// The devices.
    List,
    /// A device is taken away, for a code of any that counts.
    Remove { device: String, code: SecretText },
}

impl Wish {
    pub(crate) fn set_up(body: &Body) -> Result<Self, Problem> {
        let name = |member: &str| match body.text(member)? {
            Some(text)
                if text.is_empty()
                    || text.chars().count() > MAX_NAME
                    || text.chars().any(char::is_control) =>
            {
                Err(Problem::BadJson)
            }
            text => Ok(text.map(ToOwned::to_owned)),
        };
        let code = body.text("code")?.map(|code| SecretText::new(code.into()));
        Ok(Self::SetUp { account: name("account")?, name: name("device_name")?, code })
    }

    pub(crate) fn verify(body: &Body) -> Result<Self, Problem> {
        let device = body.text("device_id")?.map(ToOwned::to_owned);
        Ok(Self::Verify { device, code: body.required_text("code")? })
    }

    pub(crate) fn remove(body: &Body, device: &str) -> Result<Self, Problem> {
        Ok(Self::Remove { device: device.to_owned(), code: body.required_text("code")? })
    }
}

/// Waits for the bearer and their factors.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Looking {
    ctx: Context,
    presented: Presented,
    /// What is wished, or what was wrong with it: a bad token is answered before a bad body.
    wish: Result<Wish, Problem>,
    again: bool,
}

/// Waits for a change to be durable.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Changing {
    looking: Looking,
    then: Then,
}

/// What is answered then.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
enum Then {
    /// The device, with what it shares, and the backup codes that came with the first one.
    Enrolled {
        account: String,
        name: Option<String>,
        user: UserId,
        with_codes: bool,
    },
    Done,
    Wrong(Problem, Refusal),
}

pub(crate) fn begin(ctx: Context, request: &Request, wish: Result<Wish, Problem>) -> Step {
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
        Step::read(Query::Factors(self.presented.query().clone()), self)
    }

    pub(crate) fn resume(self, engine: &Engine, found: Found) -> Step {
        let Records::Factors(records) = found.records else { return Step::Reply(self.ctx.internal()) };
        let (bearer, factors) = (&records.bearer, &records.factors);
        let token = match self.presented.verify(engine, bearer, found.state_epoch, self.ctx.now()) {
            Ok(token) => token,
            Err(refusal) => return Step::Reply(unauthorized(&self.ctx, refusal)),
        };
        let (user, session) = match token.person(Some(Purpose::Enrol)) {
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
        // The session and its user as read are what every change rests on.
        let mut rests = vec![
            Change::RequireStateEpoch(found.state_epoch),
            Change::RequireLiveSession(session.id.clone()),
            Change::RequireUserEpoch { id: user.id.clone(), epoch: user.epoch },
        ];
        rests.extend(session.clients().conditions());
        match wish {
            Wish::List => {
                Step::Reply(done(self.ctx.language, self.ctx.clocks().wall, Some(entries(factors))))
            }
            Wish::SetUp { account, name, code } => {
                let vouched_for = match (has_shown(session, factors), code) {
                    (true, _) => true,
                    (false, _) if !factors.is_enrolled() => false,
                    (false, None) => {
                        return self.ctx.refuse(Problem::SecondFactorFirst, Refusal::SecondFactorMissing);
                    }
                    (false, Some(code)) => {
                        match accept(factors, &user.id, Method::Totp, code.expose(), self.ctx.clocks()) {
                            Err(refusal) => return self.wrong(user, factors, None, refusal),
                            Ok(used) => {
                                rests.extend(dates_ignored(&self.ctx, factors, &user.id, &used));
                                rests.extend(used);
                            }
                        }
                        true
                    }
                };
                self.set_up(engine.settings(), user, factors, (account, name), vouched_for, rests)
            }
            Wish::Verify { device, code } => {
                self.verify(user, session, factors, device.as_deref(), &code, rests)
            }
            Wish::Remove { device, code } => self.remove(user, factors, &device, &code, rests),
        }
    }

    fn set_up(
        self,
        settings: &Settings,
        user: &User,
        factors: &Factors,
        (account, name): (Option<String>, Option<String>),
        vouched_for: bool,
        mut changes: Vec<Change>,
    ) -> Step {
        let set_up =
            SetUp::prepare(settings.totp, &user.id, factors, name.clone(), vouched_for, &self.ctx.inputs);
        let set_up = match set_up {
            Ok(set_up) => set_up,
            Err(NotSetUp::TooMany) => return Step::Reply(self.ctx.problem(Problem::TooManyDevices)),
            Err(NotSetUp::Nameless) => return Step::Reply(self.ctx.internal()),
        };
        for device in &set_up.abandoned {
            changes.push(Change::Audit(self.event(Kind::DeviceRemoved, user, Some(device), None)));
        }
        changes.push(Change::Audit(self.event(Kind::DeviceAdded, user, Some(&set_up.device.id), None)));
        changes.extend(set_up.changes());
        let account = account.unwrap_or_else(|| user.username.as_str().to_owned());
        let with_codes = set_up.codes.is_some();
        let then = Then::Enrolled { account, name, user: user.id.clone(), with_codes };
        Step::commit(changes, Changing { looking: self, then })
    }

    fn verify(
        self,
        user: &User,
        session: &Session,
        factors: &Factors,
        named: Option<&str>,
        code: &SecretText,
        mut changes: Vec<Change>,
    ) -> Step {
        let now = self.ctx.now();
        let Some(device) = waiting(factors, named, now) else {
            return self.ctx.refuse(Problem::CodeRefused, Refusal::CodeWrong);
        };
        let enrolled = factors.is_enrolled();
        // A first code beside a factor that counts is one shown, so guesses at it are guesses at them.
        if enrolled && factors.are_locked(now) {
            return self.wrong(user, factors, Some(&device.id), Refusal::FactorsLocked);
        }
        let Some(counted) = verified(factors, device, code.expose(), Some(&session.id), self.ctx.clocks())
        else {
            if enrolled {
                return self.wrong(user, factors, Some(&device.id), Refusal::CodeWrong);
            }
            // Whoever holds the session could as well set up a device of their own: there is nothing to guess.
            return self.ctx.refuse(Problem::CodeRefused, Refusal::CodeWrong);
        };
        if enrolled && !device.vouched_for && !has_shown(session, factors) {
            return self.ctx.refuse(Problem::SecondFactorFirst, Refusal::SecondFactorMissing);
        }
        if enrolled {
            changes.extend(dates_ignored(&self.ctx, factors, &user.id, &[]));
            let (before, after) = (factors.lockout, Lockout::default());
            changes.push(Change::SetLockout { user: user.id.clone(), before, after });
        }
        changes.extend(counted);
        changes.push(Change::Audit(self.event(Kind::DeviceVerified, user, Some(&device.id), None)));
        Step::commit(changes, Changing { looking: self, then: Then::Done })
    }

    /// Takes a device away for a code of one that counts; one that does not count yet goes for a code of its own too.
    fn remove(
        self,
        user: &User,
        factors: &Factors,
        named: &str,
        code: &SecretText,
        mut changes: Vec<Change>,
    ) -> Step {
        let Some(device) = factors.devices.iter().find(|device| device.id.as_str() == named) else {
            return Step::Reply(self.ctx.problem(Problem::DeviceUnknown));
        };
        let clocks = self.ctx.clocks();
        let own =
            device.verified_at.is_none().then(|| accepted_step(device, code.expose(), clocks)).flatten();
        match (own, accept(factors, &user.id, Method::Totp, code.expose(), clocks)) {
            (Some(_), _) => {}
            (None, Ok(used)) => {
                changes.extend(dates_ignored(&self.ctx, factors, &user.id, &used));
                changes.extend(used);
            }
            (None, Err(refusal)) => return self.wrong(user, factors, Some(&device.id), refusal),
        }
        let mut left = factors.verified().filter(|other| other.id != device.id);
        if device.verified_at.is_some() && left.next().is_none() {
            changes.push(Change::DropBackupCodes(user.id.clone()));
        }
        changes.push(Change::DeleteDevice { id: device.id.clone(), counts: device.verified_at.is_some() });
        changes.push(Change::Audit(self.event(Kind::DeviceRemoved, user, Some(&device.id), None)));
        Step::commit(changes, Changing { looking: self, then: Then::Done })
    }

    /// Counts a wrong code.
    fn wrong(self, user: &User, factors: &Factors, device: Option<&DeviceId>, refusal: Refusal) -> Step {
        let event = self.event(Kind::FactorRefused, user, device, Some(refusal));
        let mut changes = count_wrong(&self.ctx, factors, &user.id);
        changes.push(Change::CountFailure { user: user.id.clone(), at: self.ctx.now() });
        changes.push(Change::Audit(event));
        Step::commit(changes, Changing { looking: self, then: Then::Wrong(Problem::CodeRefused, refusal) })
    }

    fn event(&self, kind: Kind, user: &User, device: Option<&DeviceId>, refusal: Option<Refusal>) -> Event {
        Event {
            subject: Some(user.id.clone()),
            key: device.map(|id| id.as_str().to_owned()),
            refusal,
            ..self.ctx.event(kind)
        }
    }
}

fn entries(factors: &Factors) -> Vec<DeviceEntry<'_>> {
    factors.devices.iter().map(entry).collect()
}

fn entry(device: &TotpDevice) -> DeviceEntry<'_> {
    DeviceEntry {
        device_id: device.id.as_str(),
        device_name: device.name.as_deref(),
        algorithm: device.parameters.hash.as_str(),
        digits: device.parameters.digits,
        period: STEP,
        verified: device.verified_at.is_some(),
        created_at: device.created_at.rfc3339(),
    }
}

impl Changing {
    pub(crate) fn settle(self, engine: &Engine, outcome: Outcome) -> Step {
        let Self { looking, then } = self;
        let ctx = &looking.ctx;
        match outcome {
            Outcome::Applied => match then {
                Then::Done => Step::Reply(done(ctx.language, ctx.clocks().wall, None::<()>)),
                Then::Wrong(problem, refusal) => ctx.refuse(problem, refusal),
                Then::Enrolled { account, name, user, with_codes } => {
                    let Some(device) = device(engine.settings().totp, &user, name, false, &ctx.inputs) else {
                        return Step::Reply(ctx.internal());
                    };
                    let uri = otpauth_uri(&device, engine.settings().issuer.authority(), &account);
                    let Some(picture) = qr_data_uri(&uri) else { return Step::Reply(ctx.internal()) };
                    let codes = backup_codes(&ctx.inputs);
                    let enrolment = Enrolment {
                        device_id: device.id.as_str(),
                        secret: &secret_text(&device),
                        qr_code: &picture,
                        qr_code_url: &uri,
                        backup_codes: with_codes.then(|| codes.iter().map(|code| code.as_str()).collect()),
                    };
                    Step::Reply(done(ctx.language, ctx.clocks().wall, Some(enrolment)))
                }
            },
            Outcome::Conflict if looking.again => Step::Reply(ctx.unavailable()),
            Outcome::Conflict => Looking { again: true, ..looking }.ask(),
            Outcome::NotApplied | Outcome::Unknown => Step::Reply(ctx.undone(outcome)),
        }
    }
}
