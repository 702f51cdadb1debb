//! `POST /auth/ticket/signin`: a ticket, presented once, signs a person in.

use alloc::vec;

use super::admission::{Admission, Entrant};
use super::context::{Context, place};
use super::recorded::record;
use crate::audit::{Event, Kind, Refusal};
use crate::gatepass::Gatepass;
use crate::model::challenge::SignIn;
use crate::model::change::{Change, Outcome};
use crate::model::habit::Place;
use crate::model::query::{Found, Query, Records, TicketRecords};
use crate::model::ticket::{Ticket, TicketDigest};
use crate::model::user::User;
use crate::policy::sign_in::{Redeemer, Verdict, decide, is_elsewhere};
use crate::step::Step;
use crate::wire::body::Body;
use crate::wire::credentials::Authorization;
use crate::wire::problem::Problem;
use crate::wire::request::Request;
use crate::wire::response::Response;

/// Waits for the ticket and everyone it names.
#[derive(Debug)]
#[cfg_attr(feature = "checker", derive(Clone, PartialEq))]
pub(crate) struct Looking {
    ctx: Context,
    digest: TicketDigest,
    redeemer: Redeemer,
    place: Place,
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

/// Waits for a ticket to be spent on a session or a challenge.
#[derive(Debug)]
#[cfg_attr(feature = "checker", derive(Clone, PartialEq))]
pub(crate) struct Admitting {
    looking: Looking,
    admission: Admission,
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
    let place = match place(request) {
        Ok(place) => place,
        Err(problem) => return ctx.refuse(problem, Refusal::Malformed),
    };
    match TicketDigest::of(ticket.expose()) {
        None => ctx.refuse(Problem::TicketRefused, Refusal::TicketUnknown),
        Some(digest) => {
            Step::read(Query::Ticket(digest), Looking { ctx, digest, redeemer, place, again: false })
        }
    }
}

impl Looking {
    pub(crate) const fn context(&self) -> &Context {
        &self.ctx
    }

    pub(crate) fn resume(self, gatepass: &Gatepass, found: Found) -> Step {
        let Records::Ticket(records) = found.records else { return Step::Reply(self.ctx.internal()) };
        let Some(records) = records.filter(|r| r.ticket.digest == self.digest) else {
            return self.ctx.refuse(Problem::TicketRefused, Refusal::TicketUnknown);
        };
        if !gatepass.can_sign() {
            return Step::Reply(self.ctx.unavailable());
        }
        let Some(peer) = self.ctx.peer else { return Step::Reply(self.ctx.internal()) };
        let state_epoch = found.state_epoch;
        match decide(&records, &self.redeemer, peer, gatepass.settings(), state_epoch, self.ctx.now()) {
            Verdict::Refuse(refusal) => {
                let event = self.event(Kind::TicketRefused, &records.ticket, Some(refusal));
                record(event, self.refused(refusal))
            }
            Verdict::Spend(refusal) => self.waste(&records, state_epoch, refusal),
            Verdict::SignIn(user) => {
                self.let_in(gatepass, &records, state_epoch, user, is_elsewhere(&records.ticket, peer))
            }
        }
    }

    /// Spends the ticket in vain. That somebody else may have it is remembered of its person.
    fn waste(self, records: &TicketRecords, state_epoch: u64, refusal: Refusal) -> Step {
        let event = self.event(Kind::TicketRefused, &records.ticket, Some(refusal));
        let mut changes = vec![self.spend(), Change::Audit(event)];
        let stolen = matches!(
            refusal,
            Refusal::AddressMismatch | Refusal::AudienceMismatch | Refusal::RedeemerUnproven
        );
        let person = records.actor.as_ref().or(records.user.as_ref()).filter(|_| stolen);
        changes.extend(
            person.map(|person| Change::CountFailure { user: person.id.clone(), at: self.ctx.now() }),
        );
        Step::commit_in(state_epoch, changes, Wasting { looking: self, refusal })
    }

    /// Spends the ticket, on a session or on a challenge, in one commit that names everyone it rests on.
    fn let_in(
        self,
        gatepass: &Gatepass,
        records: &TicketRecords,
        state_epoch: u64,
        user: &User,
        address_mismatch: bool,
    ) -> Step {
        let ticket = &records.ticket;
        let entrant = Entrant {
            sign_in: SignIn::by_ticket(ticket, self.place),
            user,
            actor: records.actor.as_ref().filter(|_| ticket.impersonation.is_some()),
            client: records.client.as_ref(),
            factors: &records.factors,
            habit: &records.habit,
            ticket: Some((ticket.issued_at, ticket.expires_at)),
            address_mismatch,
            state_epoch,
        };
        let Some((admission, admitted)) = Admission::decide(&self.ctx, gatepass, &entrant) else {
            return Step::Reply(self.ctx.internal());
        };
        let mut changes = vec![self.spend()];
        changes.extend(ticket.clients().conditions());
        changes.extend(admitted);
        Step::commit_in(state_epoch, changes, Admitting { looking: self, admission })
    }

    const fn spend(&self) -> Change {
        Change::SpendTicket { digest: self.digest, at: self.ctx.now() }
    }

    fn event(&self, kind: Kind, ticket: &Ticket, refusal: Option<Refusal>) -> Event {
        self.ctx.sign_in_event(kind, &SignIn::by_ticket(ticket, self.place), refusal)
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
            Outcome::NotApplied | Outcome::Unknown => Step::Reply(self.looking.ctx.undone(outcome)),
        }
    }
}

impl Admitting {
    pub(crate) fn settle(self, gatepass: &Gatepass, outcome: Outcome) -> Step {
        let ctx = &self.looking.ctx;
        match outcome {
            Outcome::Applied => Step::Reply(self.admission.response(ctx, gatepass)),
            Outcome::Conflict => self.looking.once_more(),
            Outcome::NotApplied | Outcome::Unknown => Step::Reply(ctx.undone(outcome)),
        }
    }
}
