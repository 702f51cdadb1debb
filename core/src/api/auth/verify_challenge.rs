//! `POST /auth/mfa/verify-challenge`: a sign-in that waited for its second factor goes on. A wrong code counts against
//! the challenge and against the factors; it is told apart from a closed challenge in the audit table alone.

use alloc::{boxed::Box, vec, vec::Vec};

use crate::api::auth::new_session::NewSession;
use crate::api::auth::origin::Origin;
use crate::api::context::Context;
use crate::api::lockout::{count_wrong, dates_ignored};
use crate::api::recorded::record;
use crate::api::step::Step;
use crate::base::idempotency_key::IdempotencyKey;
use crate::base::secret::SecretText;
use crate::base::time::Time;
use crate::engine::Engine;
use crate::http::body::Body;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::policy::delivery::{AnswerVerdict, Repetition, decide_answer};
use crate::policy::password;
use crate::policy::second_factor::{Method, accept};
use crate::records::challenge::{Answered, Challenge, ChallengeDigest};
use crate::records::delivery::{AnswerDelivery, DeliveredSession, RequestSecret};
use crate::records::user::User;
use crate::settings::Settings;
use crate::store::audit::{Event, Kind, Refusal};
use crate::store::change::{Change, Outcome};
use crate::store::query::{ChallengeRecords, Found, Query, Records};

/// Waits for the challenge and everyone it names.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Looking {
    ctx: Context,
    digest: ChallengeDigest,
    method: Method,
    code: SecretText,
    /// The challenge with its code and the key that it came with, where it came with one.
    secret: Option<RequestSecret>,
    /// How often it was read again for a conflict.
    conflicts: u8,
}

/// Waits for the session to be opened.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Answering {
    looking: Looking,
    welcome: NewSession,
}

/// Waits for a wrong code to be counted.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Miscounting {
    looking: Looking,
    refusal: Refusal,
}

/// Waits for a repetition to be written down.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Repeating {
    looking: Looking,
    welcome: NewSession,
}

pub(crate) fn begin(ctx: Context, request: &Request) -> Step {
    let key = match IdempotencyKey::of(request) {
        Err(_) => return ctx.refuse(Problem::BadIdempotencyKey, Refusal::Malformed),
        Ok(key) => key,
    };
    let (challenge, code, method) = match read(request) {
        Ok(read) => read,
        Err(problem) => return ctx.refuse(problem, Refusal::Malformed),
    };
    match ChallengeDigest::read(challenge.expose()) {
        None => ctx.refuse(Problem::ChallengeRefused, Refusal::ChallengeUnknown),
        Some(digest) => {
            let secret = key.map(|key| RequestSecret::of_answer(&challenge, &key, &code));
            Looking { ctx, digest, method, code, secret, conflicts: 0 }.ask()
        }
    }
}

fn read(request: &Request) -> Result<(SecretText, SecretText, Method), Problem> {
    let body = Body::of(request)?;
    let method =
        body.text("mfa_method")?.map_or(Ok(Method::Totp), |m| Method::parse(m).ok_or(Problem::BadJson))?;
    Ok((body.required_text("challenge_token")?, body.required_text("code")?, method))
}

impl Looking {
    pub(crate) const fn context(&self) -> &Context {
        &self.ctx
    }

    fn ask(self) -> Step {
        Step::read(Query::Challenge(self.digest), self)
    }

    pub(crate) fn resume(self, engine: &Engine, found: Found) -> Step {
        let Records::Challenge(records) = found.records else { return Step::Reply(self.ctx.internal()) };
        let Some(records) = records.filter(|r| r.challenge.digest == self.digest) else {
            return self.ctx.refuse(Problem::ChallengeRefused, Refusal::ChallengeUnknown);
        };
        if !engine.can_sign() {
            return Step::Reply(self.ctx.unavailable());
        }
        let (challenge, now) = (&records.challenge, self.ctx.now());
        let state_epoch = found.state_epoch;
        let user = match standing(&records, engine.settings(), state_epoch, now) {
            Ok(user) => user,
            Err(Refusal::ChallengeClosed) => return self.closed(engine, &records, state_epoch),
            Err(refusal) => return self.refuse(challenge, refusal),
        };
        let challenged = challenge.sign_in.challenged();
        match accept(&records.factors, challenged, self.method, self.code.expose(), self.ctx.clocks()) {
            Ok(mut changes) => {
                changes.extend(dates_ignored(&self.ctx, &records.factors, challenged, &changes));
                self.sign_in(engine, &records, state_epoch, user, changes)
            }
            Err(refusal) => {
                let mut changes = Vec::from([
                    Change::CountWrong { digest: self.digest, wrong: challenge.wrong, answered: false },
                    Change::CountFailure { user: challenged.clone(), at: now },
                ]);
                changes.extend(count_wrong(&self.ctx, &records.factors, challenged));
                let event = self.ctx.sign_in_event(Kind::ChallengeRefused, &challenge.sign_in, Some(refusal));
                changes.push(Change::Audit(event));
                Step::commit(changes, Miscounting { looking: self, refusal })
            }
        }
    }

    fn refuse(&self, challenge: &Challenge, refusal: Refusal) -> Step {
        let event = self.ctx.sign_in_event(Kind::ChallengeRefused, &challenge.sign_in, Some(refusal));
        record(event, self.refused(refusal))
    }

    /// Gives the answer to an answered challenge again, or refuses.
    fn closed(self, engine: &Engine, records: &ChallengeRecords, state_epoch: u64) -> Step {
        let challenge = &records.challenge;
        let Some(secret) = &self.secret else { return self.refuse(challenge, Refusal::ChallengeClosed) };
        match decide_answer(records, &secret.digest(), engine.settings(), self.ctx.now()) {
            AnswerVerdict::Refuse(refusal) => self.refuse(challenge, refusal),
            AnswerVerdict::CountWrong => {
                let refusal = Refusal::CodeWrong;
                let event = self.ctx.sign_in_event(Kind::ChallengeRefused, &challenge.sign_in, Some(refusal));
                let changes = vec![
                    Change::CountWrong { digest: self.digest, wrong: challenge.wrong, answered: true },
                    Change::Audit(event),
                ];
                Step::commit(changes, Miscounting { looking: self, refusal })
            }
            AnswerVerdict::Repeat(repetition) => {
                let origin = Origin::Request {
                    secret: secret.clone(),
                    at: repetition.at,
                    salt: repetition.delivery.salt.clone(),
                };
                self.repeat(engine, records, state_epoch, &repetition, origin)
            }
        }
    }

    /// Gives the answer again, in one commit that names everyone it rests on.
    fn repeat(
        self,
        engine: &Engine,
        records: &ChallengeRecords,
        state_epoch: u64,
        repetition: &Repetition<'_, AnswerDelivery, DeliveredSession>,
        origin: Origin,
    ) -> Step {
        let (challenge, user) = (&records.challenge, repetition.user);
        let DeliveredSession { session, refresh } = repetition.result;
        let first = repetition.delivery.repeated == 0;
        let repeat = Change::RepeatAnswer { digest: self.digest, wrong: challenge.wrong, first };
        let mut changes = vec![
            repeat,
            Change::RequireLiveSession(session.id.clone()),
            Change::RequireUserEpoch { id: user.id.clone(), epoch: user.epoch },
        ];
        let actor = records.actor.as_ref().filter(|_| session.actor.is_some());
        changes.extend(actor.map(|a| Change::RequireUserEpoch { id: a.id.clone(), epoch: a.epoch }));
        let client = records.client.as_ref();
        changes.extend(session.clients().conditions());
        changes.extend(refresh.as_ref().map(|refresh| Change::RequireUnusedRefresh(refresh.digest)));
        if first {
            let event = self.ctx.sign_in_event(Kind::ChallengeRepeated, &challenge.sign_in, None);
            changes.push(Change::Audit(Event { session: Some(session.id.clone()), ..event }));
        }
        let welcome = NewSession::of(&self.ctx, engine, session.clone(), (user, client), origin);
        Step::commit_in(state_epoch, changes, Repeating { looking: self, welcome })
    }

    /// Uses the code, closes the challenge and opens the session, in one commit that names everyone it rests on.
    fn sign_in(
        self,
        engine: &Engine,
        records: &ChallengeRecords,
        state_epoch: u64,
        user: &User,
        mut changes: Vec<Change>,
    ) -> Step {
        let challenge = &records.challenge;
        let mut sign_in = challenge.sign_in.clone();
        sign_in.methods.extend(self.method.methods().iter().map(|&m| m.into()));
        let client = records.client.as_ref();
        let actor = records.actor.as_ref().filter(|_| sign_in.impersonation.is_some());
        let standing = password::standing(user, engine.settings().password_age, self.ctx.now());
        let purpose = standing.purpose(actor.is_some());
        let people = (user, actor);
        let made = (state_epoch, Origin::of(&self.ctx, self.secret.as_ref()));
        let prepared = NewSession::prepare(&self.ctx, engine, &sign_in, people, client, purpose, made);
        let Some((welcome, opened)) = prepared else { return Step::Reply(self.ctx.internal()) };
        let delivery = welcome.delivery(&self.ctx).map(Box::new);
        let answered = Answered { at: self.ctx.now(), delivery };
        changes.push(Change::AnswerChallenge { digest: self.digest, wrong: challenge.wrong, answered });
        changes.push(Change::RequireUserEpoch { id: user.id.clone(), epoch: user.epoch });
        changes.extend(actor.map(|a| Change::RequireUserEpoch { id: a.id.clone(), epoch: a.epoch }));
        changes.extend(sign_in.clients().conditions());
        let mut event = self.ctx.sign_in_event(Kind::ChallengeAnswered, &sign_in, None);
        event.session = Some(welcome.session().id.clone());
        changes.extend(opened);
        changes.push(Change::Audit(event));
        Step::commit_in(state_epoch, changes, Answering { looking: self, welcome })
    }

    fn refused(&self, refusal: Refusal) -> Response {
        self.ctx.problem(Problem::ChallengeRefused).refused(refusal)
    }

    /// Reads once more after a conflict, `most` times in all.
    fn once_more(self, most: u8) -> Step {
        if self.conflicts >= most {
            return Step::Reply(self.ctx.unavailable());
        }
        Self { conflicts: self.conflicts + 1, ..self }.ask()
    }
}

/// Whether everyone still stands: who is signed in, or why nobody.
fn standing<'a>(
    records: &'a ChallengeRecords,
    settings: &Settings,
    state_epoch: u64,
    now: Time,
) -> Result<&'a User, Refusal> {
    if records.challenge.state_epoch != state_epoch {
        return Err(Refusal::StateSuperseded);
    }
    if records.challenge.issued_at.is_ahead_of(now) {
        return Err(Refusal::DatedAhead);
    }
    if !records.challenge.is_open(now) {
        return Err(Refusal::ChallengeClosed);
    }
    let sign_in = &records.challenge.sign_in;
    let issuing = sign_in.clients().stand(records.client.as_ref(), records.issuer.as_ref())?;
    if !issuing.may_grant(&sign_in.scope, settings) {
        return Err(Refusal::NotGrantable);
    }
    if sign_in.impersonation.is_some() && !records.actor.as_ref().is_some_and(User::is_active) {
        return Err(Refusal::ActorInactive);
    }
    let user = records.user.as_ref().filter(|user| user.is_active()).ok_or(Refusal::UserInactive)?;
    let actor_epoch = records.actor.as_ref().map(|actor| actor.epoch);
    if user.epoch != records.challenge.user_epoch
        || sign_in.impersonation.is_some() && actor_epoch != records.challenge.actor_epoch
    {
        return Err(Refusal::SessionOver);
    }
    Ok(user)
}

impl Answering {
    pub(crate) fn settle(self, engine: &Engine, outcome: Outcome) -> Step {
        let ctx = &self.looking.ctx;
        match outcome {
            Outcome::Applied => Step::Reply(self.welcome.response(ctx, engine)),
            Outcome::Conflict => self.looking.once_more(1),
            Outcome::NotApplied | Outcome::Unknown => Step::Reply(ctx.undone(outcome)),
        }
    }
}

impl Repeating {
    pub(crate) fn settle(self, engine: &Engine, outcome: Outcome) -> Step {
        let ctx = &self.looking.ctx;
        match outcome {
            Outcome::Applied => Step::Reply(self.welcome.response(ctx, engine)),
            // Whoever comes second to answer may come second to repeat, too.
            Outcome::Conflict => self.looking.once_more(2),
            Outcome::NotApplied | Outcome::Unknown => Step::Reply(ctx.undone(outcome)),
        }
    }
}

impl Miscounting {
    pub(crate) fn settle(self, outcome: Outcome) -> Step {
        match outcome {
            Outcome::Applied => Step::Reply(self.looking.refused(self.refusal)),
            Outcome::Conflict => self.looking.once_more(1),
            Outcome::NotApplied | Outcome::Unknown => Step::Reply(self.looking.ctx.undone(outcome)),
        }
    }
}
