//! What becomes of whoever has passed the first factor: a session, a challenge, or a refusal; decided once, written in
//! the commit that uses up the ticket or rests on the password, and told when that is durable.

use alloc::{boxed::Box, vec, vec::Vec};

use super::context::Context;
use super::welcome::Welcome;
use crate::audit::{Event, Kind, Refusal};
use crate::gatepass::Gatepass;
use crate::model::challenge::{Challenge, ChallengeDigest, LIFETIME, SignIn, challenge_text};
use crate::model::change::Change;
use crate::model::client::Client;
use crate::model::factor::Factors;
use crate::model::habit::Habit;
use crate::model::risk::Assessment;
use crate::model::session::Purpose;
use crate::model::user::User;
use crate::moment::Label;
use crate::policy::admission::{Candidate, Decision, Verdict, decide};
use crate::policy::risk::Circumstances;
use crate::policy::second_factor::Method;
use crate::time::Time;
use crate::wire::problem::Problem;
use crate::wire::response::Response;
use crate::wire::shapes::{ChallengeResponse, RiskAssessment};

/// Somebody whose ticket or password was good, and everything a decision on them rests on.
pub(crate) struct Entrant<'a> {
    pub(crate) sign_in: SignIn,
    pub(crate) user: &'a User,
    pub(crate) actor: Option<&'a User>,
    pub(crate) client: Option<&'a Client>,
    pub(crate) factors: &'a Factors,
    pub(crate) habit: &'a Habit,
    /// When the ticket was issued and when it would have expired.
    pub(crate) ticket: Option<(Time, Time)>,
    /// Whether the ticket was meant for another address.
    pub(crate) address_mismatch: bool,
    /// The state epoch of the snapshot.
    pub(crate) state_epoch: u64,
}

/// What an entrant will be told.
#[derive(Debug)]
#[cfg_attr(feature = "checker", derive(Clone, PartialEq))]
pub(crate) enum Admission {
    Welcome(Box<Welcome>),
    Challenge(Box<Told>),
    Refused,
}

/// A second factor called for: why, by what it can be shown, and how the risk was judged.
#[derive(Debug)]
#[cfg_attr(feature = "checker", derive(Clone, PartialEq))]
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
    /// Decides on `entrant`, and what is to be written; none where no name could be made for a session.
    pub(crate) fn decide(
        ctx: &Context,
        gatepass: &Gatepass,
        entrant: &Entrant<'_>,
    ) -> Option<(Self, Vec<Change>)> {
        let Entrant { sign_in, user, actor, client, factors, state_epoch, .. } = entrant;
        let person = actor.unwrap_or(user);
        let decision = decide(
            gatepass.settings(),
            &Candidate {
                user,
                client: *client,
                factors,
                circumstances: Circumstances {
                    person,
                    habit: entrant.habit,
                    place: &sign_in.place,
                    ticket: entrant.ticket,
                    enrolled: factors.is_enrolled(),
                    address_mismatch: entrant.address_mismatch,
                    impersonation: actor.is_some(),
                    now: ctx.now(),
                },
            },
        );
        let mut changes: Vec<Change> = [Some(*user), *actor]
            .into_iter()
            .flatten()
            .map(|user| Change::UserIs { id: user.id.clone(), epoch: user.epoch })
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
                changes.push(Change::InsertChallenge(challenge(ctx, entrant)));
                changes.push(Change::Audit(event(Kind::ChallengeIssued, None)));
                return Some((Self::Challenge(Box::new(told)), changes));
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
            Welcome::prepare(ctx, gatepass, sign_in, people, *client, purpose, *state_epoch)?;
        let event = Event { session: Some(welcome.session().id.clone()), ..event(accepted, None) };
        changes.extend(opened);
        changes.push(Change::Audit(event));
        Some((Self::Welcome(Box::new(welcome.telling(told))), changes))
    }

    /// What the entrant is told, made here and nowhere earlier: the commit has been applied.
    pub(crate) fn response(&self, ctx: &Context, gatepass: &Gatepass) -> Response {
        match self {
            Self::Welcome(welcome) => welcome.response(ctx, gatepass),
            Self::Refused => ctx.problem(Problem::FactorNotEnrolled).refused(Refusal::FactorNotEnrolled),
            Self::Challenge(told) => {
                let challenge = challenge_text(&ctx.moment.seed.draw(Label::Challenge));
                let body = ChallengeResponse {
                    requires_mfa: true,
                    challenge_token: challenge.expose(),
                    required_mfa_methods: &told.methods,
                    mfa_check_reason: told.reason.unwrap_or_default(),
                    risk_level: told.assessment.level.as_str(),
                    risk_assessment: told.risk(),
                };
                Response::json(200, &body).uncached()
            }
        }
    }
}

/// The challenge that this moment makes for `entrant`.
fn challenge(ctx: &Context, entrant: &Entrant<'_>) -> Challenge {
    Challenge {
        digest: ChallengeDigest::of(&challenge_text(&ctx.moment.seed.draw(Label::Challenge))),
        sign_in: entrant.sign_in.clone(),
        user_epoch: entrant.user.epoch,
        actor_epoch: entrant.actor.map(|actor| actor.epoch),
        expires_at: ctx.now().plus(LIFETIME),
        wrong: 0,
        answered: false,
        state_epoch: entrant.state_epoch,
        issued_at: ctx.now(),
    }
}
