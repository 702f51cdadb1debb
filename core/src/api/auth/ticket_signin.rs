//! `POST /auth/ticket/signin`: a ticket, presented once, signs a person in.

use alloc::{boxed::Box, vec};
use core::convert::Infallible;

use crate::api::auth::new_session::NewSession;
use crate::api::auth::origin::Origin;
use crate::api::auth::person_context::{PersonContext, PersonContextBody};
use crate::api::auth::sign_in::{PendingSignIn, SignInAttempt, SignInResult};
use crate::api::context::Context;
use crate::api::description::Description;
use crate::api::endpoint::{Basis, Call, Decided, Endpoint, Next, ParsedRequest};
use crate::api::oauth::client_auth::{caller, proven, redeemer, unproven};
use crate::api::reply::Reply;
use crate::base::idempotency_key::IdempotencyKey;
use crate::base::secret::SecretText;
use crate::http::authorization::Authorization;
use crate::http::problem::Problem;
use crate::http::request_error::RequestError;
use crate::http::shape::{ReadBody, body};
use crate::policy::delivery::{Repetition, decide_ticket};
use crate::policy::ticket_redemption::{Proven, Redeemer, Verdict, compares_secret, decide, is_elsewhere};
use crate::records::challenge::SignIn;
use crate::records::client_credentials::ClientClaim;
use crate::records::delivery::{Delivered, DeliveredSession, RequestSecret, TicketDelivery};
use crate::records::session::Purpose;
use crate::records::ticket::TicketDigest;
use crate::records::user::User;
use crate::store::audit::{Event, Kind, Refusal};
use crate::store::change::Change;
use crate::store::query::{Query, Records, TicketRecords};

body! {
    /// A ticket to be redeemed.
    struct TicketSigninBody {
        /// The ticket.
        ticket: SecretText = "tkt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ..context: PersonContextBody,
    }
}

/// A ticket that is presented.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct TicketSignin {
    digest: TicketDigest,
    redeemer: Redeemer,
    person: PersonContext,
    /// The ticket with the key that it came with, where it came with one.
    secret: Option<RequestSecret>,
}

impl Endpoint for TicketSignin {
    const DESCRIPTION: Description = Description::new("Redeems a ticket")
        .takes::<TicketSigninBody>()
        .repeatable()
        .signs_in()
        .refuses(&[Problem::TicketRefused, Problem::FactorNotEnrolled]);

    fn parse(Call { ctx, request, .. }: &Call<'_>) -> Result<Self, Reply> {
        let authorization = Authorization::of(request).map_err(|error| ctx.malformed(error))?;
        let key = IdempotencyKey::of(request).map_err(|_| ctx.malformed(Problem::BadIdempotencyKey))?;
        let redeemer = redeemer(authorization);
        let read = || {
            let body = TicketSigninBody::of_json(request)?;
            Ok((body.ticket, PersonContext::of(request, &body.context, &redeemer)?))
        };
        let (ticket, person) = read().map_err(|error: RequestError| ctx.malformed(error))?;
        Ok(Self {
            digest: TicketDigest::of(ticket.expose()).ok_or_else(|| unknown(ctx))?,
            redeemer,
            person,
            secret: key.map(|key| RequestSecret::of_ticket(&ticket, &key)),
        })
    }
}

impl ParsedRequest for TicketSignin {
    type Pending = PendingSignIn;
    type Hash = Infallible;

    fn query(&self) -> Query {
        Query::Ticket(self.digest).by(self.redeemer.claimed())
    }

    fn client<'a>(&'a self, basis: &Basis<'_>, records: &'a Records) -> Option<ClientClaim<'a>> {
        let (record, Records::Ticket(Some(records))) = records.with_client() else { return None };
        let (redeemer, epoch) = (&self.redeemer, basis.state_epoch);
        let compares = records.ticket.digest == self.digest
            && (self.person.is_stated() || compares_secret(records, redeemer, epoch, basis.now()));
        // Credentials that nobody asked for are not looked at.
        compares.then(|| redeemer.claim(record))?
    }

    fn decide(&self, basis: &Basis<'_>, records: Records) -> Decided<PendingSignIn> {
        let (record, records) = records.by_client();
        let Records::Ticket(records) = records else { return Err(basis.ctx.internal()) };
        let records = records.filter(|r| r.ticket.digest == self.digest).ok_or_else(|| unknown(basis.ctx))?;
        basis.require_signing_key(records.client.as_ref())?;
        let client = match self.person.is_stated() {
            true => caller(basis, &self.redeemer, record.as_ref())?,
            // Credentials that nobody asked for are not looked at.
            false => None,
        };
        let ctx = self.person.accept(basis.ctx, client.as_ref())?;
        let basis = &basis.at(&ctx);
        let (settings, now, address) = (basis.settings(), basis.now(), self.person.address());
        let redeemer = proven(basis, &self.redeemer, record.as_ref());
        match decide(&records, &redeemer, address, settings, basis.state_epoch, now) {
            Verdict::Unproven => {
                let refusal = Refusal::RedeemerUnproven;
                let event = self.event(basis, Kind::TicketRefused, &records, Some(refusal));
                Ok(Next::record(event, unproven(basis.ctx, &self.redeemer, refusal)))
            }
            Verdict::Refuse(Refusal::TicketSpent) => self.spent(basis, &records, &redeemer),
            Verdict::Refuse(refusal) => Ok(self.refuse(basis, &records, refusal)),
            Verdict::Spend(refusal) => Ok(self.spend_in_vain(basis, &records, refusal)),
            Verdict::SignIn(user) => self.sign_in(basis, &records, user),
        }
    }
}

/// Refuses what no ticket has as its digest.
fn unknown(ctx: &Context) -> Reply {
    ctx.refuse(Problem::TicketRefused, Refusal::TicketUnknown)
}

impl TicketSignin {
    /// Refuses, and changes nothing.
    fn refuse(&self, basis: &Basis<'_>, records: &TicketRecords, refusal: Refusal) -> Next<PendingSignIn> {
        let event = self.event(basis, Kind::TicketRefused, records, Some(refusal));
        Next::record(event, basis.ctx.refuse(Problem::TicketRefused, refusal))
    }

    /// Gives the answer to a spent ticket again, or refuses.
    fn spent(
        &self,
        basis: &Basis<'_>,
        records: &TicketRecords,
        redeemer: &Proven<'_>,
    ) -> Decided<PendingSignIn> {
        let Some(secret) = &self.secret else { return Ok(self.refuse(basis, records, Refusal::TicketSpent)) };
        let (request, settings) = (secret.digest(), basis.settings());
        let address = self.person.address();
        Ok(match decide_ticket(records, redeemer, address, &request, settings, basis.now()) {
            Err(refusal) => self.refuse(basis, records, refusal),
            Ok(repetition) => self.repeat(basis, records, secret, &repetition),
        })
    }

    /// Gives the answer again, in one commit that names everyone it rests on.
    fn repeat(
        &self,
        basis: &Basis<'_>,
        records: &TicketRecords,
        secret: &RequestSecret,
        repetition: &Repetition<'_, TicketDelivery, Delivered>,
    ) -> Next<PendingSignIn> {
        let (user, origin) =
            (repetition.user, Origin::again(secret, repetition.at, &repetition.delivery.salt));
        let attempt = self.attempt(records, user);
        let first = repetition.delivery.repeated == 0;
        let mut changes = vec![Change::RepeatTicket { digest: self.digest, first }];
        let mut event = self.event(basis, Kind::TicketRepeated, records, None);
        changes.extend([Some(user), attempt.actor].into_iter().flatten().map(Change::require_user));
        changes.extend(records.ticket.clients().conditions());
        let result = match repetition.result {
            Delivered::Challenge(challenge) => {
                changes.push(Change::RequireOpenChallenge(challenge.digest));
                let attempt = SignInAttempt { sign_in: challenge.sign_in.clone(), ..attempt };
                SignInResult::Challenge(Box::new(attempt.notice(basis.engine, repetition.at)), origin)
            }
            Delivered::Session(DeliveredSession { session, refresh }) => {
                changes.push(Change::RequireLiveSession(session.id.clone()));
                changes.extend(refresh.as_ref().map(|refresh| Change::RequireUnusedRefresh(refresh.digest)));
                event.session = Some(session.id.clone());
                let repeated =
                    NewSession::of(basis, session.clone(), (user, records.client.as_ref()), origin);
                // Once a sign-in for everything is recorded in the history, its risk would be judged another.
                let repeated = match session.purpose {
                    Purpose::Anything => repeated,
                    Purpose::Enrol | Purpose::ChangePassword => {
                        repeated.with_notice(attempt.notice(basis.engine, repetition.at))
                    }
                };
                SignInResult::Session(Box::new(repeated))
            }
        };
        changes.extend(first.then(|| Change::Audit(event)));
        Next::commit_in(basis.state_epoch, changes, PendingSignIn::Repeated(result))
    }

    fn attempt<'a>(&self, records: &'a TicketRecords, user: &'a User) -> SignInAttempt<'a> {
        let ticket = &records.ticket;
        SignInAttempt {
            sign_in: SignIn::by_ticket(ticket, self.person.place()),
            user,
            actor: records.actor.as_ref().filter(|_| ticket.impersonation.is_some()),
            client: records.client.as_ref(),
            factors: &records.factors,
            history: &records.history,
            ticket: Some((ticket.issued_at, ticket.expires_at)),
            address_mismatch: is_elsewhere(ticket, self.person.address()),
        }
    }

    /// Spends the ticket, and refuses. A theft is remembered of the person.
    fn spend_in_vain(
        &self,
        basis: &Basis<'_>,
        records: &TicketRecords,
        refusal: Refusal,
    ) -> Next<PendingSignIn> {
        let event = self.event(basis, Kind::TicketRefused, records, Some(refusal));
        let mut changes = vec![self.spend(basis, None), Change::Audit(event)];
        let stolen = matches!(refusal, Refusal::AddressMismatch | Refusal::AudienceMismatch);
        let person = records.actor.as_ref().or(records.user.as_ref()).filter(|_| stolen);
        changes
            .extend(person.map(|person| Change::CountFailure { user: person.id.clone(), at: basis.now() }));
        let pending = PendingSignIn::Refused(Problem::TicketRefused, refusal);
        Next::commit_in(basis.state_epoch, changes, pending)
    }

    /// Spends the ticket on a session or on a challenge, in one commit that names everyone it rests on.
    fn sign_in(&self, basis: &Basis<'_>, records: &TicketRecords, user: &User) -> Decided<PendingSignIn> {
        let origin = Origin::of(basis.ctx, self.secret.as_ref());
        let (result, opened) = SignInResult::decide(basis, &self.attempt(records, user), origin)?;
        let mut changes = vec![self.spend(basis, result.delivery(basis.ctx))];
        changes.extend(records.ticket.clients().conditions());
        changes.extend(opened);
        Ok(Next::commit_in(basis.state_epoch, changes, PendingSignIn::First(result)))
    }

    fn spend(&self, basis: &Basis<'_>, delivery: Option<TicketDelivery>) -> Change {
        Change::SpendTicket { digest: self.digest, at: basis.now(), delivery: delivery.map(Box::new) }
    }

    fn event(
        &self,
        basis: &Basis<'_>,
        kind: Kind,
        records: &TicketRecords,
        refusal: Option<Refusal>,
    ) -> Event {
        basis.ctx.sign_in_event(kind, &SignIn::by_ticket(&records.ticket, self.person.place()), refusal)
    }
}
