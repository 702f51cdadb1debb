//! `POST /auth/ticket/signin`: a ticket, presented once, signs a person in.

use alloc::{vec, vec::Vec};

use super::context::Context;
use super::recorded::record;
use super::welcome::Welcome;
use crate::audit::{Event, Kind, Refusal};
use crate::gatepass::Gatepass;
use crate::model::challenge::{Challenge, ChallengeDigest, LIFETIME, SignIn, challenge_text};
use crate::model::change::{Change, Outcome};
use crate::model::query::{Query, Records, TicketRecords};
use crate::model::ticket::{Ticket, TicketDigest};
use crate::model::user::User;
use crate::moment::Label;
use crate::policy::second_factor::{Method, asked};
use crate::policy::sign_in::{Redeemer, Verdict, decide};
use crate::step::Step;
use crate::wire::body::Body;
use crate::wire::credentials::Authorization;
use crate::wire::problem::Problem;
use crate::wire::request::Request;
use crate::wire::response::Response;
use crate::wire::shapes::ChallengeResponse;

/// Waits for the ticket and everyone it names.
#[derive(Debug)]
#[cfg_attr(feature = "checker", derive(Clone, PartialEq))]
pub(crate) struct Looking {
    ctx: Context,
    digest: TicketDigest,
    redeemer: Redeemer,
    /// Whether a conflict has been met before.
    again: bool,
}

/// Waits for a ticket to be spent in vain.
#[derive(Debug)]
#[cfg_attr(feature = "checker", derive(Clone, PartialEq))]
pub(crate) struct Wasting {
    looking: Looking,
    refusal: Refusal,
}

/// Waits for a ticket to be spent on a session.
#[derive(Debug)]
#[cfg_attr(feature = "checker", derive(Clone, PartialEq))]
pub(crate) struct SigningIn {
    looking: Looking,
    welcome: Welcome,
}

/// Waits for a ticket to be spent on a challenge.
#[derive(Debug)]
#[cfg_attr(feature = "checker", derive(Clone, PartialEq))]
pub(crate) struct Challenging {
    looking: Looking,
    reason: &'static str,
}

pub(crate) fn begin(ctx: Context, request: &Request) -> Step {
    let redeemer = match Authorization::of(request) {
        Err(_) => return ctx.refuse(Problem::BadHeader, Refusal::Malformed),
        Ok(authorization) => Redeemer::from(authorization),
    };
    let ticket = match Body::of(request).and_then(|body| body.required_text("ticket")) {
        Ok(ticket) => ticket,
        Err(problem) => return ctx.refuse(problem, Refusal::Malformed),
    };
    match TicketDigest::of(ticket.expose()) {
        None => ctx.refuse(Problem::TicketRefused, Refusal::TicketUnknown),
        Some(digest) => Step::read(Query::Ticket(digest), Looking { ctx, digest, redeemer, again: false }),
    }
}

impl Looking {
    pub(crate) const fn context(&self) -> &Context {
        &self.ctx
    }

    pub(crate) fn resume(self, gatepass: &Gatepass, records: Records) -> Step {
        let Records::Ticket(records) = records else { return Step::Reply(self.ctx.internal()) };
        let Some(records) = records.filter(|r| r.ticket.digest == self.digest) else {
            return self.ctx.refuse(Problem::TicketRefused, Refusal::TicketUnknown);
        };
        if !gatepass.can_sign() {
            return Step::Reply(self.ctx.unavailable());
        }
        let Some(peer) = self.ctx.peer else { return Step::Reply(self.ctx.internal()) };
        match decide(&records, &self.redeemer, peer, self.ctx.now()) {
            Verdict::Refuse(refusal) => {
                let event = self.event(Kind::TicketRefused, &records.ticket, Some(refusal));
                record(event, self.refused(refusal))
            }
            Verdict::Spend(refusal) => {
                let changes = vec![
                    self.spend(),
                    Change::Audit(self.event(Kind::TicketRefused, &records.ticket, Some(refusal))),
                ];
                Step::commit(changes, Wasting { looking: self, refusal })
            }
            Verdict::SignIn(user) => self.let_in(gatepass, &records, user),
        }
    }

    /// Spends the ticket, on a session or on a challenge, in one commit that names everyone it rests on.
    fn let_in(self, gatepass: &Gatepass, records: &TicketRecords, user: &User) -> Step {
        let mut changes = vec![self.spend(), Change::UserIs { id: user.id.clone(), epoch: user.epoch }];
        if let Some(actor) = &records.actor {
            changes.push(Change::UserIs { id: actor.id.clone(), epoch: actor.epoch });
        }
        let client = records.client.as_ref().filter(|_| records.ticket.for_audience || records.ticket.bind);
        for client in client.into_iter().chain(&records.issuer) {
            changes.push(Change::ClientIsEnabled(client.id.clone()));
        }
        let sign_in = SignIn::from(&records.ticket);
        if let Some(reason) = asked(gatepass.settings().second_factor, &sign_in, &records.factors) {
            return self.challenge((sign_in, user.epoch), &records.ticket, reason, changes);
        }
        let prepared = Welcome::prepare(&self.ctx, gatepass, &sign_in, user, records.client.as_ref());
        let Some((welcome, open)) = prepared else { return Step::Reply(self.ctx.internal()) };
        let mut event = self.event(Kind::TicketRedeemed, &records.ticket, None);
        event.session = Some(welcome.session().id.clone());
        changes.push(open);
        changes.push(Change::Audit(event));
        Step::commit(changes, SigningIn { looking: self, welcome })
    }

    fn challenge(
        self,
        (sign_in, user_epoch): (SignIn, u64),
        ticket: &Ticket,
        reason: &'static str,
        mut changes: Vec<Change>,
    ) -> Step {
        let text = challenge_text(&self.ctx.moment.seed.draw(Label::Challenge));
        changes.push(Change::InsertChallenge(Challenge {
            digest: ChallengeDigest::of(&text),
            sign_in,
            user_epoch,
            expires_at: self.ctx.now().plus(LIFETIME),
            wrong: 0,
            answered: false,
        }));
        changes.push(Change::Audit(self.event(Kind::ChallengeIssued, ticket, None)));
        Step::commit(changes, Challenging { looking: self, reason })
    }

    const fn spend(&self) -> Change {
        Change::SpendTicket { digest: self.digest, at: self.ctx.now() }
    }

    fn event(&self, kind: Kind, ticket: &Ticket, refusal: Option<Refusal>) -> Event {
        self.ctx.sign_in_event(kind, &SignIn::from(ticket), refusal)
    }

    fn refused(&self, refusal: Refusal) -> Response {
        self.ctx.problem(Problem::TicketRefused).refused(refusal)
    }

    /// Reads once more after a first conflict; after a second one, nothing has been written and that is the answer.
    fn once_more(self) -> Step {
        if self.again {
            return Step::Reply(self.ctx.unavailable());
        }
        Step::read(Query::Ticket(self.digest), Self { again: true, ..self })
    }
}

impl Wasting {
    pub(crate) fn settle(self, outcome: Outcome) -> Step {
        match outcome {
            Outcome::Applied => Step::Reply(self.looking.refused(self.refusal)),
            Outcome::Conflict => self.looking.once_more(),
            Outcome::NotApplied => Step::Reply(self.looking.ctx.unavailable()),
            Outcome::Unknown => Step::Reply(self.looking.ctx.internal()),
        }
    }
}

impl SigningIn {
    pub(crate) fn settle(self, gatepass: &Gatepass, outcome: Outcome) -> Step {
        let ctx = &self.looking.ctx;
        match outcome {
            Outcome::Applied => Step::Reply(self.welcome.response(ctx, gatepass)),
            Outcome::Conflict => self.looking.once_more(),
            Outcome::NotApplied => Step::Reply(ctx.unavailable()),
            Outcome::Unknown => Step::Reply(ctx.internal()),
        }
    }
}

impl Challenging {
    pub(crate) fn settle(self, outcome: Outcome) -> Step {
        let ctx = &self.looking.ctx;
        match outcome {
            Outcome::Applied => {
                let challenge = challenge_text(&ctx.moment.seed.draw(Label::Challenge));
                let body = ChallengeResponse {
                    requires_mfa: true,
                    challenge_token: challenge.expose(),
                    required_mfa_methods: Method::NAMES,
                    mfa_check_reason: self.reason,
                };
                Step::Reply(Response::json(200, &body).uncached())
            }
            Outcome::Conflict => self.looking.once_more(),
            Outcome::NotApplied => Step::Reply(ctx.unavailable()),
            Outcome::Unknown => Step::Reply(ctx.internal()),
        }
    }
}
