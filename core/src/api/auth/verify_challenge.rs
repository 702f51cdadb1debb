//! `POST /auth/mfa/verify-challenge`: a sign-in that waited for its second factor goes on. A wrong code counts against
//! the challenge and against the factors, and may be followed by another; whoever meets a closed challenge has to begin anew.

use alloc::{boxed::Box, vec, vec::Vec};
use core::convert::Infallible;

use crate::api::auth::new_session::NewSession;
use crate::api::auth::origin::Origin;
use crate::api::auth::person_context::{PersonContext, PersonContextBody};
use crate::api::auth::sign_in::{PendingSignIn, SignInResult};
use crate::api::context::Context;
use crate::api::description::Description;
use crate::api::endpoint::{Basis, Call, Decided, Endpoint, Next, ParsedRequest};
use crate::api::guess::{GuessAccount, GuessSource};
use crate::api::lockout::{count_wrong, dates_ignored};
use crate::api::oauth::client_auth::{caller, redeemer, unproven};
use crate::api::reply::Reply;
use crate::base::idempotency_key::IdempotencyKey;
use crate::base::secret::SecretText;
use crate::base::time::Time;
use crate::http::authorization::Authorization;
use crate::http::problem::Problem;
use crate::http::shape::{ReadBody, body};
use crate::policy::delivery::{AnswerVerdict, Repetition, decide_answer};
use crate::policy::guess_counter::GuessCounter;
use crate::policy::password;
use crate::policy::second_factor::{Method, accept};
use crate::policy::ticket_redemption::Redeemer;
use crate::records::challenge::{Answered, Challenge, ChallengeDigest, MAX_WRONG};
use crate::records::client::Client;
use crate::records::client_credentials::ClientClaim;
use crate::records::delivery::{AnswerDelivery, DeliveredSession, RequestSecret};
use crate::records::user::User;
use crate::settings::Settings;
use crate::store::audit::{Event, Kind, Refusal};
use crate::store::change::Change;
use crate::store::query::{ChallengeRecords, Query, Records};

body! {
    /// A code for a challenge.
    struct VerifyChallengeBody {
        /// The challenge.
        challenge_token: SecretText = "chg_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        /// The code.
        code: SecretText = "123456",
        /// The second factor that the code is of; `totp` by default.
        mfa_method: Option<Method> = "totp",
        ..context: PersonContextBody,
    }
}

/// A challenge, and a code for it.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct VerifyChallenge {
    digest: ChallengeDigest,
    method: Method,
    code: SecretText,
    /// The client that presents it, if one says so.
    redeemer: Redeemer,
    person: PersonContext,
    /// The challenge with its code and the key that it came with, where it came with one.
    secret: Option<RequestSecret>,
}

impl Endpoint for VerifyChallenge {
    const DESCRIPTION: Description = Description::new("Answers the challenge of a sign-in with a code")
        .takes::<VerifyChallengeBody>()
        .repeatable()
        .signs_in()
        .refuses(&[Problem::ChallengeRefused, Problem::CodeRefused]);

    fn parse(Call { ctx, request, .. }: &Call<'_>) -> Result<Self, Reply> {
        let key = IdempotencyKey::of(request).map_err(|_| ctx.malformed(Problem::BadIdempotencyKey))?;
        let authorization = Authorization::of(request).map_err(|error| ctx.malformed(error))?;
        let redeemer = redeemer(authorization);
        let body = VerifyChallengeBody::of_json(request).map_err(|error| ctx.malformed(error))?;
        let VerifyChallengeBody { challenge_token: challenge, code, mfa_method, context } = body;
        let method = mfa_method.unwrap_or(Method::Totp);
        let person = PersonContext::of(request, &context, &redeemer).map_err(|error| ctx.malformed(error))?;
        let digest = ChallengeDigest::read(challenge.expose()).ok_or_else(|| unknown(ctx))?;
        let secret = key.map(|key| RequestSecret::of_answer(&challenge, &key, &code));
        Ok(Self { digest, method, code, redeemer, person, secret })
    }
}

impl ParsedRequest for VerifyChallenge {
    type Pending = PendingSignIn;
    type Hash = Infallible;

    fn query(&self) -> Query {
        Query::Challenge(self.digest).by(self.redeemer.claimed())
    }

    fn client<'a>(&'a self, _: &Basis<'_>, records: &'a Records) -> Option<ClientClaim<'a>> {
        let (record, Records::Challenge(Some(records))) = records.with_client() else { return None };
        let asks = records.challenge.digest == self.digest && self.asks_for_client(&records.challenge);
        asks.then(|| self.redeemer.claim(record))?
    }

    fn guess(&self, basis: &Basis<'_>, records: &Records) -> Option<GuessSource> {
        let (record, Records::Challenge(Some(records))) = records.with_client() else { return None };
        let challenge = Some(&records.challenge).filter(|challenge| challenge.digest == self.digest)?;
        let (client, ctx) = self.caller(basis, challenge, record).ok()?;
        if challenge.sign_in.bind && client.is_none_or(|client| client.id != challenge.sign_in.client_id) {
            return None;
        }
        let compares = match standing(records, basis.settings(), basis.state_epoch, basis.now()) {
            Ok(_) => true,
            Err(Refusal::ChallengeClosed) => self.secret.is_some() && challenge.answered.is_some(),
            Err(_) => false,
        };
        compares.then(|| ctx.guess_at(GuessAccount::of_user(challenge.sign_in.challenged())))
    }

    fn decide(&self, basis: &Basis<'_>, records: Records) -> Decided<PendingSignIn> {
        let (record, records) = records.by_client();
        let Records::Challenge(records) = records else { return Err(basis.ctx.internal()) };
        let records =
            records.filter(|r| r.challenge.digest == self.digest).ok_or_else(|| unknown(basis.ctx))?;
        basis.require_signing_key(records.client.as_ref())?;
        let challenge = &records.challenge;
        let bound = challenge.sign_in.bind;
        let (client, ctx) = self.caller(basis, challenge, record.as_ref())?;
        let (ctx, basis) = (&ctx, &basis.at(&ctx));
        match client {
            None if bound => {
                let refusal = Refusal::RedeemerUnproven;
                let event = ctx.sign_in_event(Kind::ChallengeRefused, &challenge.sign_in, Some(refusal));
                return Ok(Next::record(event, unproven(ctx, &self.redeemer, refusal)));
            }
            Some(client) if bound && client.id != challenge.sign_in.client_id => {
                return Ok(refuse(ctx, challenge, Refusal::AudienceMismatch));
            }
            None | Some(_) => {}
        }
        let user = match standing(&records, basis.settings(), basis.state_epoch, basis.now()) {
            Ok(user) => user,
            Err(Refusal::ChallengeClosed) => return Ok(self.closed(basis, &records)),
            Err(refusal) => return Ok(refuse(ctx, challenge, refusal)),
        };
        let (challenged, place) = (challenge.sign_in.challenged(), &challenge.sign_in.place);
        let counter = GuessCounter::of_factors(challenged, &records.factors, &records.history, place);
        match accept(&records.factors, &counter, self.method, self.code.expose(), basis.clocks()) {
            Ok(mut changes) => {
                changes.extend(dates_ignored(ctx, &counter, &changes));
                self.sign_in(basis, &records, user, changes)
            }
            Err(refusal) => {
                let mut changes = vec![Change::CountFailure { user: challenged.clone(), at: basis.now() }];
                changes.extend(count_wrong(ctx, &counter));
                Ok(self.count(ctx, challenge, refusal, changes))
            }
        }
    }
}

/// Refuses what no challenge has as its digest.
fn unknown(ctx: &Context) -> Reply {
    ctx.refuse(Problem::ChallengeRefused, Refusal::ChallengeUnknown)
}

/// Refuses, and changes nothing.
fn refuse(ctx: &Context, challenge: &Challenge, refusal: Refusal) -> Next<PendingSignIn> {
    let event = ctx.sign_in_event(Kind::ChallengeRefused, &challenge.sign_in, Some(refusal));
    Next::record(event, ctx.refuse(Problem::ChallengeRefused, refusal))
}

impl VerifyChallenge {
    /// Returns true if the client that it says it comes from has to authenticate. Credentials that nobody asked for are not looked at.
    const fn asks_for_client(&self, challenge: &Challenge) -> bool {
        challenge.sign_in.bind || self.person.is_stated()
    }

    /// Returns the client, where it is asked for and says who it is, and the context of the person.
    fn caller<'r>(
        &self,
        basis: &Basis<'_>,
        challenge: &Challenge,
        record: Option<&'r Client>,
    ) -> Result<(Option<&'r Client>, Context), Reply> {
        let client =
            if self.asks_for_client(challenge) { caller(basis, &self.redeemer, record)? } else { None };
        let ctx = self.person.accept(basis.ctx, client.as_ref())?;
        Ok((client.map(|client| client.client()), ctx))
    }

    /// Refuses, and counts a wrong code against the challenge, beside `more`.
    fn count(
        &self,
        ctx: &Context,
        challenge: &Challenge,
        refusal: Refusal,
        more: Vec<Change>,
    ) -> Next<PendingSignIn> {
        let answered = challenge.answered.is_some();
        // Nobody but who answered it has anything to try at a challenge that was answered.
        let left = if answered { 0 } else { MAX_WRONG.saturating_sub(challenge.wrong.saturating_add(1)) };
        let mut changes = vec![Change::CountWrong { digest: self.digest, wrong: challenge.wrong, answered }];
        changes.extend(more);
        changes.push(Change::Audit(ctx.sign_in_event(
            Kind::ChallengeRefused,
            &challenge.sign_in,
            Some(refusal),
        )));
        Next::commit(changes, PendingSignIn::WrongCode(left, refusal))
    }

    /// Gives the answer to an answered challenge again, or refuses.
    fn closed(&self, basis: &Basis<'_>, records: &ChallengeRecords) -> Next<PendingSignIn> {
        let (ctx, challenge) = (basis.ctx, &records.challenge);
        let Some(secret) = &self.secret else { return refuse(ctx, challenge, Refusal::ChallengeClosed) };
        match decide_answer(records, &secret.digest(), basis.settings(), basis.now()) {
            AnswerVerdict::Refuse(refusal) => refuse(ctx, challenge, refusal),
            AnswerVerdict::CountWrong => self.count(ctx, challenge, Refusal::CodeWrong, Vec::new()),
            AnswerVerdict::Repeat(repetition) => self.repeat(basis, records, secret, &repetition),
        }
    }

    /// Gives the answer again, in one commit that names everyone it rests on.
    fn repeat(
        &self,
        basis: &Basis<'_>,
        records: &ChallengeRecords,
        secret: &RequestSecret,
        repetition: &Repetition<'_, AnswerDelivery, DeliveredSession>,
    ) -> Next<PendingSignIn> {
        let (challenge, user) = (&records.challenge, repetition.user);
        let DeliveredSession { session, refresh } = repetition.result;
        let first = repetition.delivery.repeated == 0;
        let actor = records.actor.as_ref().filter(|_| session.actor.is_some());
        let mut changes = vec![
            Change::RepeatAnswer { digest: self.digest, wrong: challenge.wrong, first },
            Change::RequireLiveSession(session.id.clone()),
            Change::require_user(user),
        ];
        changes.extend(actor.map(Change::require_user));
        changes.extend(session.clients().conditions());
        changes.extend(refresh.as_ref().map(|refresh| Change::RequireUnusedRefresh(refresh.digest)));
        if first {
            let event = basis.ctx.sign_in_event(Kind::ChallengeRepeated, &challenge.sign_in, None);
            changes.push(Change::Audit(Event { session: Some(session.id.clone()), ..event }));
        }
        let origin = Origin::again(secret, repetition.at, &repetition.delivery.salt);
        let repeated = NewSession::of(basis, session.clone(), (user, records.client.as_ref()), origin);
        let pending = PendingSignIn::Repeated(SignInResult::Session(Box::new(repeated)));
        Next::commit_in(basis.state_epoch, changes, pending)
    }

    /// Uses the code, closes the challenge and opens the session, in one commit that names everyone it rests on.
    fn sign_in(
        &self,
        basis: &Basis<'_>,
        records: &ChallengeRecords,
        user: &User,
        mut changes: Vec<Change>,
    ) -> Decided<PendingSignIn> {
        let (ctx, challenge) = (basis.ctx, &records.challenge);
        let mut sign_in = challenge.sign_in.clone();
        sign_in.methods.extend(self.method.methods().iter().map(|&m| m.into()));
        let client = records.client.as_ref();
        let actor = records.actor.as_ref().filter(|_| sign_in.impersonation.is_some());
        let standing = password::standing(user, basis.settings().password_age, basis.now());
        let purpose = standing.purpose(actor.is_some());
        let origin = Origin::of(ctx, self.secret.as_ref());
        let (session, opened) = NewSession::prepare(basis, &sign_in, (user, actor), client, purpose, origin)?;
        let answered = Answered { at: basis.now(), delivery: session.delivery(ctx).map(Box::new) };
        changes.push(Change::AnswerChallenge { digest: self.digest, wrong: challenge.wrong, answered });
        changes.extend([Some(user), actor].into_iter().flatten().map(Change::require_user));
        changes.extend(sign_in.clients().conditions());
        let mut event = ctx.sign_in_event(Kind::ChallengeAnswered, &sign_in, None);
        event.session = Some(session.id().clone());
        changes.extend(opened);
        changes.push(Change::Audit(event));
        let pending = PendingSignIn::First(SignInResult::Session(Box::new(session)));
        Ok(Next::commit_in(basis.state_epoch, changes, pending))
    }
}

/// Checks that everyone still stands, and returns who is signed in.
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
