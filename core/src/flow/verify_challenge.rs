//! `POST /auth/mfa/verify-challenge`: a sign-in that waited for its second factor goes on. A wrong code counts against
//! the challenge and against the factors; it is told apart from a closed challenge in the audit table alone.

use alloc::vec::Vec;

use super::context::Context;
use super::guesses::{count_wrong, dates_ignored};
use super::recorded::record;
use super::welcome::Welcome;
use crate::audit::{Kind, Refusal};
use crate::gatepass::Gatepass;
use crate::model::challenge::ChallengeDigest;
use crate::model::change::{Change, Outcome};
use crate::model::client::Client;
use crate::model::query::{ChallengeRecords, Found, Query, Records};
use crate::model::user::User;
use crate::policy::password;
use crate::policy::second_factor::{Method, accept};
use crate::secret::SecretText;
use crate::step::Step;
use crate::time::Time;
use crate::wire::body::Body;
use crate::wire::problem::Problem;
use crate::wire::request::Request;
use crate::wire::response::Response;

/// Waits for the challenge and everyone it names.
#[derive(Debug)]
#[cfg_attr(feature = "checker", derive(Clone, PartialEq))]
pub(crate) struct Looking {
    ctx: Context,
    digest: ChallengeDigest,
    method: Method,
    code: SecretText,
    again: bool,
}

/// Waits for the session to be opened.
#[derive(Debug)]
#[cfg_attr(feature = "checker", derive(Clone, PartialEq))]
pub(crate) struct Answering {
    looking: Looking,
    welcome: Welcome,
}

/// Waits for a wrong code to be counted.
#[derive(Debug)]
#[cfg_attr(feature = "checker", derive(Clone, PartialEq))]
pub(crate) struct Miscounting {
    looking: Looking,
    refusal: Refusal,
}

pub(crate) fn begin(ctx: Context, request: &Request) -> Step {
    let (challenge, code, method) = match read(request) {
        Ok(read) => read,
        Err(problem) => return ctx.refuse(problem, Refusal::Malformed),
    };
    match ChallengeDigest::read(challenge.expose()) {
        None => ctx.refuse(Problem::ChallengeRefused, Refusal::ChallengeUnknown),
        Some(digest) => Looking { ctx, digest, method, code, again: false }.ask(),
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

    pub(crate) fn resume(self, gatepass: &Gatepass, found: Found) -> Step {
        let Records::Challenge(records) = found.records else { return Step::Reply(self.ctx.internal()) };
        let Some(records) = records.filter(|r| r.challenge.digest == self.digest) else {
            return self.ctx.refuse(Problem::ChallengeRefused, Refusal::ChallengeUnknown);
        };
        if !gatepass.can_sign() {
            return Step::Reply(self.ctx.unavailable());
        }
        let (challenge, now) = (&records.challenge, self.ctx.now());
        let state_epoch = found.state_epoch;
        let user = match standing(&records, state_epoch, now) {
            Ok(user) => user,
            Err(refusal) => {
                let event = self.ctx.sign_in_event(Kind::ChallengeRefused, &challenge.sign_in, Some(refusal));
                let response = self.refused(refusal);
                return record(event, response);
            }
        };
        let challenged = challenge.sign_in.challenged();
        match accept(&records.factors, challenged, self.method, self.code.expose(), self.ctx.clocks()) {
            Ok(mut changes) => {
                changes.extend(dates_ignored(&self.ctx, &records.factors, challenged, &changes));
                self.sign_in(gatepass, &records, state_epoch, user, changes)
            }
            Err(refusal) => {
                let mut changes = Vec::from([
                    Change::CountWrong { digest: self.digest, wrong: challenge.wrong },
                    Change::CountFailure { user: challenged.clone(), at: now },
                ]);
                changes.extend(count_wrong(&self.ctx, &records.factors, challenged));
                let event = self.ctx.sign_in_event(Kind::ChallengeRefused, &challenge.sign_in, Some(refusal));
                changes.push(Change::Audit(event));
                Step::commit(changes, Miscounting { looking: self, refusal })
            }
        }
    }

    /// Uses the code, closes the challenge and opens the session, in one commit that names everyone it rests on.
    fn sign_in(
        self,
        gatepass: &Gatepass,
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
        let standing = password::standing(user, gatepass.settings().password_age, self.ctx.now());
        let purpose = standing.purpose(actor.is_some());
        let people = (user, actor);
        let prepared = Welcome::prepare(&self.ctx, gatepass, &sign_in, people, client, purpose, state_epoch);
        let Some((welcome, opened)) = prepared else { return Step::Reply(self.ctx.internal()) };
        changes.push(Change::AnswerChallenge { digest: self.digest, wrong: challenge.wrong });
        changes.push(Change::UserIs { id: user.id.clone(), epoch: user.epoch });
        changes.extend(actor.map(|a| Change::UserIs { id: a.id.clone(), epoch: a.epoch }));
        let needed = client.filter(|_| sign_in.for_audience || sign_in.bind);
        changes.extend(needed.map(|client| Change::ClientIsEnabled(client.id.clone())));
        let mut event = self.ctx.sign_in_event(Kind::ChallengeAnswered, &sign_in, None);
        event.session = Some(welcome.session().id.clone());
        changes.extend(opened);
        changes.push(Change::Audit(event));
        Step::commit_in(state_epoch, changes, Answering { looking: self, welcome })
    }

    fn refused(&self, refusal: Refusal) -> Response {
        self.ctx.problem(Problem::ChallengeRefused).refused(refusal)
    }

    fn once_more(self) -> Step {
        if self.again {
            return Step::Reply(self.ctx.unavailable());
        }
        Self { again: true, ..self }.ask()
    }
}

/// Whether everyone still stands: who is signed in, or why nobody.
fn standing(records: &ChallengeRecords, state_epoch: u64, now: Time) -> Result<&User, Refusal> {
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
    let needs_client = sign_in.for_audience || sign_in.bind;
    let is_enabled = |client: &Client| client.enabled;
    if needs_client && !records.client.as_ref().is_some_and(is_enabled) {
        return Err(Refusal::ClientInactive);
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
    pub(crate) fn settle(self, gatepass: &Gatepass, outcome: Outcome) -> Step {
        let ctx = &self.looking.ctx;
        match outcome {
            Outcome::Applied => Step::Reply(self.welcome.response(ctx, gatepass)),
            Outcome::Conflict => self.looking.once_more(),
            Outcome::NotApplied | Outcome::Unknown => Step::Reply(ctx.undone(outcome)),
        }
    }
}

impl Miscounting {
    pub(crate) fn settle(self, outcome: Outcome) -> Step {
        match outcome {
            Outcome::Applied => Step::Reply(self.looking.refused(self.refusal)),
            Outcome::Conflict => self.looking.once_more(),
            Outcome::NotApplied | Outcome::Unknown => Step::Reply(self.looking.ctx.undone(outcome)),
        }
    }
}
