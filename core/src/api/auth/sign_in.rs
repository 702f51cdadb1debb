//! The common end of every sign-in: a session, a challenge, or a refusal. It is decided once, written in the commit that
//! uses up the ticket or rests on the password, and told when that is durable.

use alloc::{boxed::Box, vec, vec::Vec};

use crate::api::auth::new_session::NewSession;
use crate::api::auth::origin::Origin;
use crate::api::context::Context;
use crate::api::endpoint::{Basis, Pending};
use crate::api::reply::Reply;
use crate::api::shapes::{ChallengeResponse, RiskAssessment};
use crate::base::time::Time;
use crate::engine::Engine;
use crate::http::problem::Problem;
use crate::http::request_error::RequestError;
use crate::http::response::Response;
use crate::policy::risk::Circumstances;
use crate::policy::second_factor::Method;
use crate::policy::sign_in::{Candidate, Decision, Verdict, decide};
use crate::records::challenge::{Challenge, ChallengeDigest, LIFETIME, SignIn};
use crate::records::client::Client;
use crate::records::delivery::{AnswerDelivery, Delivery, TicketDelivery, TicketResult};
use crate::records::factor::Factors;
use crate::records::risk::Assessment;
use crate::records::scope::Scope;
use crate::records::session::Purpose;
use crate::records::sign_in_history::SignInHistory;
use crate::records::user::User;
use crate::store::audit::{Event, Kind, Refusal};
use crate::store::change::Change;

/// A sign-in whose ticket or password was good, and everything that a decision on it rests on.
pub(crate) struct SignInAttempt<'a> {
    pub(crate) sign_in: SignIn,
    pub(crate) user: &'a User,
    pub(crate) actor: Option<&'a User>,
    pub(crate) client: Option<&'a Client>,
    pub(crate) factors: &'a Factors,
    pub(crate) history: &'a SignInHistory,
    /// The times at which the ticket was issued and would have expired.
    pub(crate) ticket: Option<(Time, Time)>,
    /// True if the ticket was meant for another address.
    pub(crate) address_mismatch: bool,
}

impl SignInAttempt<'_> {
    /// Judges the risk at `now`, and decides.
    fn judge(&self, engine: &Engine, now: Time) -> Decision {
        decide(
            engine.settings(),
            &Candidate {
                user: self.user,
                client: self.client,
                factors: self.factors,
                administers: self.sign_in.scope.contains(Scope::ADMIN),
                circumstances: Circumstances {
                    person: self.actor.unwrap_or(self.user),
                    history: self.history,
                    place: &self.sign_in.place,
                    ticket: self.ticket,
                    enrolled: self.factors.is_enrolled(),
                    address_mismatch: self.address_mismatch,
                    impersonation: self.actor.is_some(),
                    now,
                },
            },
        )
    }

    /// Returns what was told at `at`, for an answer that is given again.
    pub(crate) fn notice(&self, engine: &Engine, at: Time) -> RiskNotice {
        RiskNotice::of(self.judge(engine, at), self.factors)
    }
}

/// The result of a sign-in.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) enum SignInResult {
    Session(Box<NewSession>),
    Challenge(Box<RiskNotice>, Origin),
    /// A second factor is called for, and there is none.
    Refused,
}

/// A sign-in whose commit is awaited.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) enum PendingSignIn {
    /// Its refusal is written.
    Refused(Problem, Refusal),
    /// A wrong code is counted. So many more may be tried.
    WrongCode(u32, Refusal),
    /// Its result is written.
    First(SignInResult),
    /// Its result was written before, and is given again.
    Repeated(SignInResult),
}

impl Pending for PendingSignIn {
    fn applied(self, ctx: &Context, engine: &Engine) -> Reply {
        match self {
            Self::Refused(problem, refusal) => ctx.refuse(problem, refusal),
            Self::WrongCode(0, refusal) => ctx.refuse(Problem::ChallengeRefused, refusal),
            Self::WrongCode(left, refusal) => ctx.refuse(RequestError::wrong_code(left), refusal),
            Self::First(result) | Self::Repeated(result) => result.reply(ctx, engine),
        }
    }

    fn retries(&self) -> u8 {
        match self {
            Self::Refused(..) | Self::WrongCode(..) | Self::First(_) => 1,
            // Whoever comes second to use a credential may come second to repeat it, too.
            Self::Repeated(_) => 2,
        }
    }
}

/// The risk of a sign-in, and the second factor that is asked for: the reason and the methods.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct RiskNotice {
    pub(crate) assessment: Assessment,
    pub(crate) reason: Option<&'static str>,
    pub(crate) methods: Vec<&'static str>,
}

impl RiskNotice {
    fn of(decision: Decision, factors: &Factors) -> Self {
        let reason = decision.verdict.reason();
        let mut methods = Method::of(factors);
        if methods.is_empty() && reason.is_some() {
            methods.push("totp");
        }
        Self { assessment: decision.assessment, reason, methods }
    }

    pub(crate) fn risk(&self) -> RiskAssessment<'_> {
        RiskAssessment {
            level: self.assessment.level.as_str(),
            score: self.assessment.score,
            require_mfa: self.reason.is_some(),
            recommended_mfa_methods: Some(&*self.methods).filter(|methods| !methods.is_empty()),
        }
    }
}

impl SignInResult {
    /// Decides on `attempt`, whose tokens are of `origin`, and what is to be written; 500 where no name could be made for a
    /// session.
    pub(crate) fn decide(
        basis: &Basis<'_>,
        attempt: &SignInAttempt<'_>,
        origin: Origin,
    ) -> Result<(Self, Vec<Change>), Reply> {
        let ctx = basis.ctx;
        let SignInAttempt { sign_in, user, actor, client, factors, .. } = attempt;
        let decision = attempt.judge(basis.engine, basis.now());
        let mut changes: Vec<Change> =
            [Some(*user), *actor].into_iter().flatten().map(Change::require_user).collect();
        let (verdict, assessment) = (decision.verdict, decision.assessment.clone());
        let notice = RiskNotice::of(decision, factors);
        let event =
            |kind, refusal| Event { risk: Some(assessment), ..ctx.sign_in_event(kind, sign_in, refusal) };
        let (accepted, refused) = match sign_in.ticket {
            Some(_) => (Kind::TicketRedeemed, Kind::TicketRefused),
            None => (Kind::PasswordAccepted, Kind::PasswordRefused),
        };
        let purpose = match verdict {
            Verdict::SignIn => Purpose::Anything,
            Verdict::ChangePassword => Purpose::ChangePassword,
            Verdict::Enrol(_) => Purpose::Enrol,
            Verdict::Challenge(_) => {
                changes.push(Change::InsertChallenge(challenge(basis, attempt, &origin)));
                changes.push(Change::Audit(event(Kind::ChallengeIssued, None)));
                return Ok((Self::Challenge(Box::new(notice), origin), changes));
            }
            Verdict::Refuse(_) => {
                let event = event(refused, Some(Refusal::FactorNotEnrolled));
                return Ok((Self::Refused, vec![Change::Audit(event)]));
            }
        };
        let people = (*user, *actor);
        let (session, opened) = NewSession::prepare(basis, sign_in, people, *client, purpose, origin)?;
        let event = Event { session: Some(session.id().clone()), ..event(accepted, None) };
        changes.extend(opened);
        changes.push(Change::Audit(event));
        Ok((Self::Session(Box::new(session.with_notice(notice))), changes))
    }

    /// Returns how the ticket is used, where its answer can be given again.
    pub(crate) fn delivery(&self, ctx: &Context) -> Option<TicketDelivery> {
        match self {
            Self::Session(session) => {
                let AnswerDelivery { request, salt, result, repeated } = session.delivery(ctx)?;
                Some(Delivery { request, salt, result: TicketResult::Session(result), repeated })
            }
            Self::Challenge(_, origin) => {
                origin.delivery(|origin| TicketResult::Challenge(ChallengeDigest::of(&origin.challenge(ctx))))
            }
            Self::Refused => None,
        }
    }

    /// Makes the reply, here and nowhere earlier: the commit has been applied.
    fn reply(&self, ctx: &Context, engine: &Engine) -> Reply {
        match self {
            Self::Session(session) => session.reply(ctx, engine),
            Self::Refused => ctx.refuse(Problem::FactorNotEnrolled, Refusal::FactorNotEnrolled),
            Self::Challenge(notice, origin) => {
                let challenge = origin.challenge(ctx);
                let body = ChallengeResponse {
                    requires_mfa: true,
                    challenge_token: challenge.expose(),
                    required_mfa_methods: &notice.methods,
                    mfa_check_reason: notice.reason.unwrap_or("policy"),
                    risk_level: notice.assessment.level.as_str(),
                    risk_assessment: notice.risk(),
                };
                Response::json(200, &body).uncached().into()
            }
        }
    }
}

/// Makes the challenge for `attempt`.
fn challenge(basis: &Basis<'_>, attempt: &SignInAttempt<'_>, origin: &Origin) -> Challenge {
    Challenge {
        digest: ChallengeDigest::of(&origin.challenge(basis.ctx)),
        sign_in: attempt.sign_in.clone(),
        user_epoch: attempt.user.epoch,
        actor_epoch: attempt.actor.map(|actor| actor.epoch),
        expires_at: basis.now().plus(LIFETIME),
        wrong: 0,
        answered: None,
        state_epoch: basis.state_epoch,
        issued_at: basis.now(),
    }
}
