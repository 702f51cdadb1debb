//! `POST /auth/ticket/signin`: a ticket, presented once, signs a person in.

use alloc::{boxed::Box, vec};
use core::net::IpAddr;

use crate::api::auth::new_session::NewSession;
use crate::api::auth::origin::Origin;
use crate::api::auth::sign_in::{Admission, SignInAttempt};
use crate::api::context::{Context, place};
use crate::api::oauth::client_auth::redeemer;
use crate::api::recorded::record;
use crate::api::step::Step;
use crate::base::idempotency_key::IdempotencyKey;
use crate::engine::Engine;
use crate::http::authorization::Authorization;
use crate::http::body::Body;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::policy::delivery::{Repetition, decide_ticket};
use crate::policy::ticket_redemption::{Redeemer, Verdict, decide, is_elsewhere};
use crate::records::challenge::SignIn;
use crate::records::delivery::{Delivered, DeliveredSession, RequestSecret, TicketDelivery};
use crate::records::session::Purpose;
use crate::records::sign_in_history::DeviceOnNetwork;
use crate::records::ticket::{Ticket, TicketDigest};
use crate::records::user::User;
use crate::store::audit::{Event, Kind, Refusal};
use crate::store::change::{Change, Outcome};
use crate::store::query::{Found, Query, Records, TicketRecords};

/// Waits for the ticket and everyone it names.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Looking {
    ctx: Context,
    digest: TicketDigest,
    redeemer: Redeemer,
    place: DeviceOnNetwork,
    /// The ticket with the key that it came with, where it came with one.
    secret: Option<RequestSecret>,
    /// How often it was read again for a conflict.
    conflicts: u8,
}

/// Waits for a ticket to be spent in vain.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Wasting {
    looking: Looking,
    refusal: Refusal,
}

/// Waits for a ticket to be spent on a session or a challenge.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Admitting {
    looking: Looking,
    admission: Admission,
}

/// Waits for a repetition to be written down.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Repeating {
    looking: Looking,
    admission: Admission,
}

pub(crate) fn begin(ctx: Context, request: &Request) -> Step {
    let redeemer = match Authorization::of(request) {
        Err(_) => return ctx.refuse(Problem::BadHeader, Refusal::Malformed),
        Ok(authorization) => redeemer(authorization),
    };
    let key = match IdempotencyKey::of(request) {
        Err(_) => return ctx.refuse(Problem::BadIdempotencyKey, Refusal::Malformed),
        Ok(key) => key,
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
            let secret = key.map(|key| RequestSecret::of_ticket(&ticket, &key));
            Looking { ctx, digest, redeemer, place, secret, conflicts: 0 }.ask()
        }
    }
}

impl Looking {
    pub(crate) const fn context(&self) -> &Context {
        &self.ctx
    }

    fn ask(self) -> Step {
        Step::read(Query::Ticket(self.digest), self)
    }

    pub(crate) fn resume(self, engine: &Engine, found: Found) -> Step {
        let Records::Ticket(records) = found.records else { return Step::Reply(self.ctx.internal()) };
        let Some(records) = records.filter(|r| r.ticket.digest == self.digest) else {
            return self.ctx.refuse(Problem::TicketRefused, Refusal::TicketUnknown);
        };
        if !engine.can_sign() {
            return Step::Reply(self.ctx.unavailable());
        }
        let Some(peer) = self.ctx.peer else { return Step::Reply(self.ctx.internal()) };
        let state_epoch = found.state_epoch;
        match decide(&records, &self.redeemer, peer, engine.settings(), state_epoch, self.ctx.now()) {
            Verdict::Refuse(Refusal::TicketSpent) => self.spent(engine, &records, state_epoch, peer),
            Verdict::Refuse(refusal) => self.refuse(&records, refusal),
            Verdict::Spend(refusal) => self.waste(&records, state_epoch, refusal),
            Verdict::SignIn(user) => self.let_in(engine, &records, state_epoch, user, peer),
        }
    }

    fn refuse(&self, records: &TicketRecords, refusal: Refusal) -> Step {
        record(self.event(Kind::TicketRefused, &records.ticket, Some(refusal)), self.refused(refusal))
    }

    /// Gives the answer to a spent ticket again, or refuses, and then nothing changes.
    fn spent(self, engine: &Engine, records: &TicketRecords, state_epoch: u64, peer: IpAddr) -> Step {
        let Some(secret) = &self.secret else { return self.refuse(records, Refusal::TicketSpent) };
        let (request, settings) = (secret.digest(), engine.settings());
        match decide_ticket(records, &self.redeemer, peer, &request, settings, self.ctx.now()) {
            Err(refusal) => self.refuse(records, refusal),
            Ok(repetition) => {
                let origin = Origin::Request {
                    secret: secret.clone(),
                    at: repetition.at,
                    salt: repetition.delivery.salt.clone(),
                };
                self.repeat(engine, records, (state_epoch, peer), &repetition, origin)
            }
        }
    }

    /// Gives the answer again, in one commit that names everyone it rests on.
    fn repeat(
        self,
        engine: &Engine,
        records: &TicketRecords,
        (state_epoch, peer): (u64, IpAddr),
        repetition: &Repetition<'_, TicketDelivery, Delivered>,
        origin: Origin,
    ) -> Step {
        let (ticket, user) = (&records.ticket, repetition.user);
        let entrant = self.entrant(records, state_epoch, user, peer);
        let first = repetition.delivery.repeated == 0;
        let mut changes = vec![Change::RepeatTicket { digest: self.digest, first }];
        let mut event = self.event(Kind::TicketRepeated, ticket, None);
        changes.extend(
            [Some(user), entrant.actor]
                .into_iter()
                .flatten()
                .map(|user| Change::RequireUserEpoch { id: user.id.clone(), epoch: user.epoch }),
        );
        let client = records.client.as_ref();
        changes.extend(ticket.clients().conditions());
        let admission = match repetition.result {
            Delivered::Challenge(challenge) => {
                changes.push(Change::RequireOpenChallenge(challenge.digest));
                let entrant = SignInAttempt { sign_in: challenge.sign_in.clone(), ..entrant };
                let told = Box::new(entrant.told(engine, repetition.at));
                Admission::Challenge(told, origin)
            }
            Delivered::Session(DeliveredSession { session, refresh }) => {
                changes.push(Change::RequireLiveSession(session.id.clone()));
                changes.extend(refresh.as_ref().map(|refresh| Change::RequireUnusedRefresh(refresh.digest)));
                event.session = Some(session.id.clone());
                let welcome = NewSession::of(&self.ctx, engine, session.clone(), (user, client), origin);
                // Whoever was let in for everything is known by now: the risk would be judged another.
                let welcome = match session.purpose {
                    Purpose::Anything => welcome,
                    Purpose::Enrol | Purpose::ChangePassword => {
                        welcome.telling(entrant.told(engine, repetition.at))
                    }
                };
                Admission::NewSession(Box::new(welcome))
            }
        };
        changes.extend(first.then(|| Change::Audit(event)));
        Step::commit_in(state_epoch, changes, Repeating { looking: self, admission })
    }

    fn entrant<'a>(
        &self,
        records: &'a TicketRecords,
        state_epoch: u64,
        user: &'a User,
        peer: IpAddr,
    ) -> SignInAttempt<'a> {
        let ticket = &records.ticket;
        SignInAttempt {
            sign_in: SignIn::by_ticket(ticket, self.place),
            user,
            actor: records.actor.as_ref().filter(|_| ticket.impersonation.is_some()),
            client: records.client.as_ref(),
            factors: &records.factors,
            history: &records.history,
            ticket: Some((ticket.issued_at, ticket.expires_at)),
            address_mismatch: is_elsewhere(ticket, peer),
            state_epoch,
        }
    }

    /// Spends the ticket in vain. That somebody else may have it is remembered of its person.
    fn waste(self, records: &TicketRecords, state_epoch: u64, refusal: Refusal) -> Step {
        let event = self.event(Kind::TicketRefused, &records.ticket, Some(refusal));
        let mut changes = vec![self.spend(None), Change::Audit(event)];
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
        engine: &Engine,
        records: &TicketRecords,
        state_epoch: u64,
        user: &User,
        peer: IpAddr,
    ) -> Step {
        let ticket = &records.ticket;
        let entrant = self.entrant(records, state_epoch, user, peer);
        let origin = Origin::of(&self.ctx, self.secret.as_ref());
        let Some((admission, admitted)) = Admission::decide(&self.ctx, engine, &entrant, origin) else {
            return Step::Reply(self.ctx.internal());
        };
        let mut changes = vec![self.spend(admission.delivery(&self.ctx))];
        changes.extend(ticket.clients().conditions());
        changes.extend(admitted);
        Step::commit_in(state_epoch, changes, Admitting { looking: self, admission })
    }

    fn spend(&self, delivery: Option<TicketDelivery>) -> Change {
        Change::SpendTicket { digest: self.digest, at: self.ctx.now(), delivery: delivery.map(Box::new) }
    }

    fn event(&self, kind: Kind, ticket: &Ticket, refusal: Option<Refusal>) -> Event {
        self.ctx.sign_in_event(kind, &SignIn::by_ticket(ticket, self.place), refusal)
    }

    fn refused(&self, refusal: Refusal) -> Response {
        self.ctx.problem(Problem::TicketRefused).refused(refusal)
    }

    /// Reads once more after a conflict, `most` times in all; after one more, nothing has been written and that is the
    /// answer.
    fn once_more(self, most: u8) -> Step {
        if self.conflicts >= most {
            return Step::Reply(self.ctx.unavailable());
        }
        Self { conflicts: self.conflicts + 1, ..self }.ask()
    }
}

impl Wasting {
    pub(crate) fn settle(self, outcome: Outcome) -> Step {
        match outcome {
            Outcome::Applied => Step::Reply(self.looking.refused(self.refusal)),
            Outcome::Conflict => self.looking.once_more(1),
            Outcome::NotApplied | Outcome::Unknown => Step::Reply(self.looking.ctx.undone(outcome)),
        }
    }
}

impl Admitting {
    pub(crate) fn settle(self, engine: &Engine, outcome: Outcome) -> Step {
        let ctx = &self.looking.ctx;
        match outcome {
            Outcome::Applied => Step::Reply(self.admission.response(ctx, engine)),
            Outcome::Conflict => self.looking.once_more(1),
            Outcome::NotApplied | Outcome::Unknown => Step::Reply(ctx.undone(outcome)),
        }
    }
}

impl Repeating {
    pub(crate) fn settle(self, engine: &Engine, outcome: Outcome) -> Step {
        let ctx = &self.looking.ctx;
        match outcome {
            Outcome::Applied => Step::Reply(self.admission.response(ctx, engine)),
            // Whoever comes second to redeem may come second to repeat, too.
            Outcome::Conflict => self.looking.once_more(2),
            Outcome::NotApplied | Outcome::Unknown => Step::Reply(ctx.undone(outcome)),
        }
    }
}
