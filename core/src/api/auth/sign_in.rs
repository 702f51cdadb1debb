//! What becomes of whoever has passed the first factor: a session, a challenge, or a refusal; decided once, written in
//! the commit that uses up the ticket or rests on the password, and told when that is durable.

use alloc::{boxed::Box, vec, vec::Vec};

use crate::api::auth::new_session::NewSession;
use crate::api::auth::origin::Origin;
use crate::api::context::Context;
use crate::api::shapes::{ChallengeResponse, RiskAssessment};
use crate::base::time::Time;
use crate::engine::Engine;
use crate::http::problem::Problem;
use crate::http::response::Response;
use crate::policy::risk::Circumstances;
use crate::policy::second_factor::Method;
use crate::policy::sign_in::{Candidate, Decision, Verdict, decide};
use crate::records::challenge::{Challenge, ChallengeDigest, LIFETIME, SignIn};
use crate::records::client::Client;
use crate::records::delivery::{AnswerDelivery, Delivery, TicketDelivery, TicketResult};
use crate::records::factor::Factors;
use crate::records::risk::Assessment;
use crate::records::session::Purpose;
use crate::records::sign_in_history::SignInHistory;
use crate::records::user::User;
use crate::store::audit::{Event, Kind, Refusal};
use crate::store::change::Change;

/// Somebody whose ticket or password was good, and everything a decision on them rests on.
pub(crate) struct SignInAttempt<'a> {
    pub(crate) sign_in: SignIn,
    pub(crate) user: &'a User,
    pub(crate) actor: Option<&'a User>,
    pub(crate) client: Option<&'a Client>,
    pub(crate) factors: &'a Factors,
    pub(crate) history: &'a SignInHistory,
    /// When the ticket was issued and when it would have expired.
    pub(crate) ticket: Option<(Time, Time)>,
    /// Whether the ticket was meant for another address.
    pub(crate) address_mismatch: bool,
    /// The state epoch of the snapshot.
    pub(crate) state_epoch: u64,
}

impl SignInAttempt<'_> {
    /// Judges the risk at `now`, and decides what becomes of them.
    fn judge(&self, engine: &Engine, now: Time) -> Decision {
        decide(
            engine.settings(),
            &Candidate {
                user: self.user,
                client: self.client,
                factors: self.factors,
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

    /// What they were told at `at` of a second factor, for an answer that is given again.
    pub(crate) fn told(&self, engine: &Engine, at: Time) -> Told {
        Told::of(self.judge(engine, at), self.factors)
    }
}

/// What an entrant will be told.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) enum Admission {
    NewSession(Box<NewSession>),
    Challenge(Box<Told>, Origin),
    Refused,
}

/// A second factor called for: why, by what it can be shown, and how the risk was judged.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Told {
    pub(crate) assessment: Assessment,
    pub(crate) reason: Option<&'static str>,
    pub(crate) methods: Vec<&'static str>,
}

impl Told {
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
            recommended_mfa_methods: &self.methods,
        }
    }
}

impl Admission {
    /// Decides on `entrant`, whose tokens are of `origin`, and what is to be written; none where no name could be made for a
    /// session.
    pub(crate) fn decide(
        ctx: &Context,
        engine: &Engine,
        entrant: &SignInAttempt<'_>,
        origin: Origin,
    ) -> Option<(Self, Vec<Change>)> {
        let SignInAttempt { sign_in, user, actor, client, factors, state_epoch, .. } = entrant;
        let decision = entrant.judge(engine, ctx.now());
        let mut changes: Vec<Change> = [Some(*user), *actor]
            .into_iter()
            .flatten()
            .map(|user| Change::RequireUserEpoch { id: user.id.clone(), epoch: user.epoch })
            .collect();
        let (verdict, assessment) = (decision.verdict, decision.assessment.clone());
        let told = Told::of(decision, factors);
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
                changes.push(Change::InsertChallenge(challenge(ctx, entrant, &origin)));
                changes.push(Change::Audit(event(Kind::ChallengeIssued, None)));
                return Some((Self::Challenge(Box::new(told), origin), changes));
            }
            Verdict::Refuse(_) => {
                return Some((
                    Self::Refused,
                    vec![Change::Audit(event(refused, Some(Refusal::FactorNotEnrolled)))],
                ));
            }
        };
        let people = (*user, *actor);
        let (welcome, opened) =
            NewSession::prepare(ctx, engine, sign_in, people, *client, purpose, (*state_epoch, origin))?;
        let event = Event { session: Some(welcome.session().id.clone()), ..event(accepted, None) };
        changes.extend(opened);
        changes.push(Change::Audit(event));
        Some((Self::NewSession(Box::new(welcome.telling(told))), changes))
    }

    /// How the ticket is used, where its answer can be given again.
    pub(crate) fn delivery(&self, ctx: &Context) -> Option<TicketDelivery> {
        match self {
            Self::NewSession(welcome) => {
                let AnswerDelivery { request, salt, result, repeated } = welcome.delivery(ctx)?;
                Some(Delivery { request, salt, result: TicketResult::Session(result), repeated })
            }
            Self::Challenge(_, origin) => {
                origin.delivery(|origin| TicketResult::Challenge(ChallengeDigest::of(&origin.challenge(ctx))))
            }
            Self::Refused => None,
        }
    }

    /// What the entrant is told, made here and nowhere earlier: the commit has been applied.
    pub(crate) fn response(&self, ctx: &Context, engine: &Engine) -> Response {
        match self {
            Self::NewSession(welcome) => welcome.response(ctx, engine),
            Self::Refused => ctx.problem(Problem::FactorNotEnrolled).refused(Refusal::FactorNotEnrolled),
            Self::Challenge(told, origin) => {
                let challenge = origin.challenge(ctx);
                let body = ChallengeResponse {
                    requires_mfa: true,
                    challenge_token: challenge.expose(),
                    required_mfa_methods: &told.methods,
                    mfa_check_reason: told.reason.unwrap_or("policy"),
                    risk_level: told.assessment.level.as_str(),
                    risk_assessment: told.risk(),
                };
                Response::json(200, &body).uncached()
            }
        }
    }
}

/// The challenge that this moment makes for `entrant`.
fn challenge(ctx: &Context, entrant: &SignInAttempt<'_>, origin: &Origin) -> Challenge {
    Challenge {
        digest: ChallengeDigest::of(&origin.challenge(ctx)),
        sign_in: entrant.sign_in.clone(),
        user_epoch: entrant.user.epoch,
        actor_epoch: entrant.actor.map(|actor| actor.epoch),
        expires_at: ctx.now().plus(LIFETIME),
        wrong: 0,
        answered: None,
        state_epoch: entrant.state_epoch,
        issued_at: ctx.now(),
    }
}
