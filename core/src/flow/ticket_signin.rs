//! `POST /auth/ticket/signin`: a ticket, presented once, signs a person in.

use alloc::{boxed::Box, vec};

use super::context::Context;
use super::recorded::record;
use super::tokens::{PersonToken, person_claims};
use crate::audit::{Event, Kind, Refusal};
use crate::gatepass::Gatepass;
use crate::model::change::{Change, Outcome};
use crate::model::id::SessionId;
use crate::model::query::{Query, Records, TicketRecords};
use crate::model::session::{RefreshDigest, RefreshToken, Session, refresh_text};
use crate::model::ticket::{Ticket, TicketDigest};
use crate::model::user::User;
use crate::moment::Label;
use crate::policy::sign_in::{Redeemer, Verdict, decide};
use crate::step::Step;
use crate::wire::body::Body;
use crate::wire::credentials::Authorization;
use crate::wire::problem::Problem;
use crate::wire::request::Request;
use crate::wire::response::Response;
use crate::wire::shapes::{Account, LoginResponse};

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
    user: Box<User>,
    session: Session,
    token_lifetime: u64,
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
            Verdict::SignIn(user) => match self.session(gatepass, &records, user) {
                Some(session) => self.sign_in(gatepass, &records, user, session),
                None => Step::Reply(self.ctx.internal()),
            },
        }
    }

    /// Spends the ticket and opens the session, in one commit that names everyone it rests on.
    fn sign_in(self, gatepass: &Gatepass, records: &TicketRecords, user: &User, session: Session) -> Step {
        let now = self.ctx.now();
        let refresh_token = refresh_text(&self.ctx.moment.seed.draw(Label::RefreshToken));
        let refresh = RefreshToken {
            digest: RefreshDigest::of(&refresh_token),
            session_id: session.id.clone(),
            issued_at: now,
            expires_at: session.expires_at.min(now.plus(gatepass.settings().refresh_lifetime.into())),
            rotation: None,
        };
        drop(refresh_token);
        let mut changes = vec![self.spend(), Change::UserIs { id: user.id.clone(), epoch: user.epoch }];
        if let Some(actor) = &records.actor {
            changes.push(Change::UserIs { id: actor.id.clone(), epoch: actor.epoch });
        }
        let client = records.client.as_ref().filter(|_| records.ticket.for_audience || records.ticket.bind);
        for client in client.into_iter().chain(&records.issuer) {
            changes.push(Change::ClientIsEnabled(client.id.clone()));
        }
        let mut event = self.event(Kind::TicketRedeemed, &records.ticket, None);
        event.session = Some(session.id.clone());
        changes.push(Change::InsertSession { session: session.clone(), refresh });
        changes.push(Change::Audit(event));
        let token_lifetime = records
            .client
            .as_ref()
            .and_then(|client| client.user_token_lifetime)
            .unwrap_or(gatepass.settings().user_token_lifetime);
        Step::commit(
            changes,
            SigningIn {
                user: Box::new(user.clone()),
                token_lifetime: u64::from(token_lifetime).min(now.until(session.expires_at)),
                session,
                looking: self,
            },
        )
    }

    fn session(&self, gatepass: &Gatepass, records: &TicketRecords, user: &User) -> Option<Session> {
        let ticket = &records.ticket;
        let lifetime = match ticket.impersonation {
            None => gatepass.settings().session_lifetime,
            Some(_) => gatepass.settings().impersonation_lifetime,
        };
        Some(Session {
            id: SessionId::parse(&self.ctx.moment.seed.name(Label::Session, "ses_")).ok()?,
            user_id: user.id.clone(),
            user_epoch: user.epoch,
            actor: ticket.impersonation.as_ref().map(|i| i.actor.clone()),
            client_id: ticket.client_id.clone(),
            bind: ticket.bind,
            for_audience: ticket.for_audience,
            scope: ticket.scope.clone(),
            auth_time: self.ctx.now(),
            methods: vec!["ticket".into()],
            expires_at: self.ctx.now().plus(lifetime.into()),
            ended_at: None,
        })
    }

    const fn spend(&self) -> Change {
        Change::SpendTicket { digest: self.digest, at: self.ctx.now() }
    }

    fn event(&self, kind: Kind, ticket: &Ticket, refusal: Option<Refusal>) -> Event {
        Event {
            subject: Some(ticket.user_id.clone()),
            actor: ticket.impersonation.as_ref().map(|i| i.actor.clone()),
            client: Some(ticket.client_id.clone()),
            ticket: Some(ticket.id.clone()),
            reason: ticket.impersonation.as_ref().map(|i| i.reason.clone()),
            refusal,
            ..self.ctx.event(kind)
        }
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
        match outcome {
            Outcome::Applied => {
                Step::Reply(self.welcome(gatepass).unwrap_or_else(|| self.looking.ctx.internal()))
            }
            Outcome::Conflict => self.looking.once_more(),
            Outcome::NotApplied => Step::Reply(self.looking.ctx.unavailable()),
            Outcome::Unknown => Step::Reply(self.looking.ctx.internal()),
        }
    }

    /// The tokens, made here and nowhere earlier.
    fn welcome(&self, gatepass: &Gatepass) -> Option<Response> {
        let seed = &self.looking.ctx.moment.seed;
        let refresh_token = refresh_text(&seed.draw(Label::RefreshToken));
        let claims = person_claims(&PersonToken {
            issuer: &gatepass.settings().issuer,
            session: &self.session,
            scope: &self.session.scope,
            now: self.looking.ctx.now(),
            lifetime: self.token_lifetime,
            token_id: seed.name(Label::TokenId, ""),
        });
        let access_token = gatepass.sign(&claims)?;
        let body = LoginResponse {
            access_token: access_token.expose(),
            refresh_token: refresh_token.expose(),
            token_type: "Bearer",
            expires_in: self.token_lifetime,
            user: Account::from(&*self.user),
            user_id: self.user.id.as_str(),
            must_change_password: self.user.must_change_password,
            requires_mfa: false,
        };
        Some(Response::json(200, &body).uncached())
    }
}
