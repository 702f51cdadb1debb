//! `/mfa/totp/*`: a person sets up authenticators, verifies their first code, lists and removes them. An impersonated
//! session can do none of it.

use alloc::{borrow::ToOwned, string::String, vec, vec::Vec};

use data_encoding::BASE32_NOPAD;
use zeroize::Zeroizing;

use super::bearer::{Holder, Presented, unauthorized};
use super::context::Context;
use crate::audit::{Event, Kind, Refusal};
use crate::gatepass::Gatepass;
use crate::model::change::{Change, Outcome};
use crate::model::factor::{BACKUP_CODES, BackupDigest, Factors, MAX_DEVICES, TotpDevice};
use crate::model::id::{DeviceId, SessionId, UserId};
use crate::model::query::{Query, Records};
use crate::model::user::User;
use crate::moment::{Label, Moment};
use crate::policy::second_factor::{Method, accept, count_wrong, may_add};
use crate::policy::totp::{STEP, accepted_step};
use crate::secret::SecretText;
use crate::settings::Settings;
use crate::step::Step;
use crate::wire::body::Body;
use crate::wire::enrolment::{otpauth_uri, qr_data_uri, secret_text};
use crate::wire::problem::{Problem, done};
use crate::wire::request::Request;
use crate::wire::shapes::{DeviceEntry, Enrolment};

/// The longest name of a device or an account, in characters.
const MAX_NAME: usize = 128;

/// What is to be done.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "checker", derive(PartialEq))]
pub(crate) enum Wish {
    /// A new device, for an account that is called so in the authenticator.
    SetUp { account: Option<String>, name: Option<String> },
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
        Ok(Self::SetUp { account: name("account")?, name: name("device_name")? })
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
#[cfg_attr(feature = "checker", derive(Clone, PartialEq))]
pub(crate) struct Looking {
    ctx: Context,
    presented: Presented,
    /// What is wished, or what was wrong with it: a bad token is answered before a bad body.
    wish: Result<Wish, Problem>,
    again: bool,
}

/// Waits for a change to be durable.
#[derive(Debug)]
#[cfg_attr(feature = "checker", derive(Clone, PartialEq))]
pub(crate) struct Changing {
    looking: Looking,
    then: Then,
}

/// What is answered then.
#[derive(Debug)]
#[cfg_attr(feature = "checker", derive(Clone, PartialEq))]
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
    match Presented::by_header(request) {
        Err(_) => ctx.refuse(Problem::BadHeader, Refusal::Malformed),
        Ok(None) => Step::Reply(unauthorized(&ctx, Refusal::TokenInvalid)),
        Ok(Some(presented)) => Looking { ctx, presented, wish, again: false }.ask(),
    }
}

impl Looking {
    pub(crate) const fn context(&self) -> &Context {
        &self.ctx
    }

    fn ask(self) -> Step {
        Step::read(Query::Factors(self.presented.query().clone()), self)
    }

    pub(crate) fn resume(self, gatepass: &Gatepass, records: Records) -> Step {
        let Records::Factors(records) = records else { return Step::Reply(self.ctx.internal()) };
        let (bearer, factors) = (&records.bearer, &records.factors);
        let token = match self.presented.verify(gatepass, bearer, self.ctx.now()) {
            Ok(token) => token,
            Err(refusal) => return Step::Reply(unauthorized(&self.ctx, refusal)),
        };
        let Holder::Person { user, session } = token.holder() else {
            return self.ctx.refuse(Problem::ScopeMissing, Refusal::ScopeMissing);
        };
        if session.actor.is_some() {
            return self.ctx.refuse(Problem::ImpersonationRefused, Refusal::Impersonated);
        }
        let wish = match &self.wish {
            Ok(wish) => wish.clone(),
            Err(problem) => return self.ctx.refuse(*problem, Refusal::Malformed),
        };
        let adds = matches!(wish, Wish::SetUp { .. } | Wish::Verify { .. });
        if adds && !may_add(gatepass.settings().second_factor, session, factors) {
            return self.ctx.refuse(Problem::SecondFactorFirst, Refusal::SecondFactorMissing);
        }
        // The session and its user as read are what every change rests on.
        let rests = vec![
            Change::SessionIsLive(session.id.clone()),
            Change::UserIs { id: user.id.clone(), epoch: user.epoch },
        ];
        match wish {
            Wish::List => Step::Reply(done(self.ctx.language, self.ctx.now(), Some(entries(factors)))),
            Wish::SetUp { account, name } => {
                self.set_up(gatepass.settings(), user, factors, (account, name), rests)
            }
            Wish::Verify { device, code } => {
                self.verify((user, &session.id), factors, device.as_deref(), &code, rests)
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
        mut changes: Vec<Change>,
    ) -> Step {
        let now = self.ctx.now();
        let (abandoned, kept): (Vec<_>, Vec<_>) = factors.devices.iter().partition(|d| d.is_abandoned(now));
        if kept.len() >= MAX_DEVICES {
            return Step::Reply(self.ctx.problem(Problem::TooManyDevices));
        }
        for device in abandoned {
            changes.push(Change::DeleteDevice { id: device.id.clone(), counts: false });
            changes.push(Change::Audit(self.event(Kind::DeviceRemoved, user, Some(&device.id), None)));
        }
        let Some(device) = device(settings, &user.id, name.clone(), &self.ctx.moment) else {
            return Step::Reply(self.ctx.internal());
        };
        let with_codes = !factors.is_enrolled();
        if with_codes {
            let codes = backup_codes(&self.ctx.moment);
            let codes = codes.iter().map(|code| BackupDigest::of(&user.id, code)).collect();
            changes.push(Change::AddBackupCodes { user: user.id.clone(), device: device.id.clone(), codes });
        }
        changes.push(Change::Audit(self.event(Kind::DeviceAdded, user, Some(&device.id), None)));
        changes.push(Change::InsertDevice(device));
        let account = account.unwrap_or_else(|| user.username.as_str().to_owned());
        Step::commit(
            changes,
            Changing {
                looking: self,
                then: Then::Enrolled { account, name, user: user.id.clone(), with_codes },
            },
        )
    }

    fn verify(
        self,
        (user, session): (&User, &SessionId),
        factors: &Factors,
        named: Option<&str>,
        code: &SecretText,
        mut changes: Vec<Change>,
    ) -> Step {
        let mut waiting = factors.devices.iter().filter(|device| device.is_waiting(self.ctx.now()));
        let device = waiting.find(|device| named.is_none_or(|id| device.id.as_str() == id));
        let accepted = device.and_then(|d| Some((d, accepted_step(d, code.expose(), self.ctx.now())?)));
        let Some((device, step)) = accepted else {
            // Whoever holds the session was shown the secret: there is nothing to guess.
            return self.ctx.refuse(Problem::CodeRefused, Refusal::CodeWrong);
        };
        if !factors.is_enrolled() {
            changes.push(Change::KeepBackupCodes { user: user.id.clone(), device: device.id.clone() });
        }
        let (id, session) = (device.id.clone(), session.clone());
        changes.push(Change::VerifyDevice { id, session, step, at: self.ctx.now() });
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
        let now = self.ctx.now();
        let own = device.verified_at.is_none().then(|| accepted_step(device, code.expose(), now)).flatten();
        match (own, accept(factors, &user.id, Method::Totp, code.expose(), now)) {
            (Some(_), _) => {}
            (None, Ok(used)) => changes.extend(used),
            (None, Err(refusal)) => {
                let event = self.event(Kind::FactorRefused, user, Some(&device.id), Some(refusal));
                let changes =
                    count_wrong(factors, &user.id, now).into_iter().chain([Change::Audit(event)]).collect();
                let then = Then::Wrong(Problem::CodeRefused, refusal);
                return Step::commit(changes, Changing { looking: self, then });
            }
        }
        let mut left = factors.verified().filter(|other| other.id != device.id);
        if device.verified_at.is_some() && left.next().is_none() {
            changes.push(Change::DropBackupCodes(user.id.clone()));
        }
        changes.push(Change::DeleteDevice { id: device.id.clone(), counts: device.verified_at.is_some() });
        changes.push(Change::Audit(self.event(Kind::DeviceRemoved, user, Some(&device.id), None)));
        Step::commit(changes, Changing { looking: self, then: Then::Done })
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

/// The device that this moment makes; the same again whenever it is asked.
fn device(settings: &Settings, user: &UserId, name: Option<String>, moment: &Moment) -> Option<TotpDevice> {
    Some(TotpDevice {
        id: DeviceId::parse(&moment.seed.name(Label::Device, "dev_")).ok()?,
        user_id: user.clone(),
        name,
        parameters: settings.totp,
        secret: moment.seed.stretch(Label::FactorSecret, settings.totp.hash.secret_length()),
        created_at: moment.now,
        verified_at: None,
        verified_by: None,
        last_step: 0,
    })
}

/// The backup codes that this moment makes: four groups of four characters, 80 bits each.
fn backup_codes(moment: &Moment) -> Vec<Zeroizing<String>> {
    let drawn = moment.seed.stretch(Label::BackupCodes, 100);
    let group = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
    let codes = drawn.expose().chunks(10).take(BACKUP_CODES).map(|bits| {
        let text = Zeroizing::new(BASE32_NOPAD.encode(bits));
        Zeroizing::new(text.as_bytes().chunks(4).map(group).collect::<Vec<_>>().join("-"))
    });
    codes.collect()
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
    pub(crate) fn settle(self, gatepass: &Gatepass, outcome: Outcome) -> Step {
        let Self { looking, then } = self;
        let ctx = &looking.ctx;
        match outcome {
            Outcome::Applied => match then {
                Then::Done => Step::Reply(done(ctx.language, ctx.now(), None::<()>)),
                Then::Wrong(problem, refusal) => ctx.refuse(problem, refusal),
                Then::Enrolled { account, name, user, with_codes } => {
                    let Some(device) = device(gatepass.settings(), &user, name, &ctx.moment) else {
                        return Step::Reply(ctx.internal());
                    };
                    let uri = otpauth_uri(&device, gatepass.settings().issuer.authority(), &account);
                    let Some(picture) = qr_data_uri(&uri) else { return Step::Reply(ctx.internal()) };
                    let codes = backup_codes(&ctx.moment);
                    let enrolment = Enrolment {
                        device_id: device.id.as_str(),
                        secret: &secret_text(&device),
                        qr_code: &picture,
                        qr_code_url: &uri,
                        backup_codes: with_codes.then(|| codes.iter().map(|code| code.as_str()).collect()),
                    };
                    Step::Reply(done(ctx.language, ctx.now(), Some(enrolment)))
                }
            },
            Outcome::Conflict if looking.again => Step::Reply(ctx.unavailable()),
            Outcome::Conflict => Looking { again: true, ..looking }.ask(),
            Outcome::NotApplied => Step::Reply(ctx.unavailable()),
            Outcome::Unknown => Step::Reply(ctx.internal()),
        }
    }
}
