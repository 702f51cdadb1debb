//! The one place where a sign-in is decided.

use core::net::IpAddr;

use crate::base::time::Time;
use crate::policy::password::standing;
use crate::records::client::{AuthenticatedClient, Client};
use crate::records::client_assertion::ClientAssertion;
use crate::records::client_credentials::{ClientClaim, ClientCredentials};
use crate::records::id::ClientId;
use crate::records::ticket::{Ticket, TicketState};
use crate::records::user::User;
use crate::settings::{AddressMismatch, Settings};
use crate::store::audit::Refusal;
use crate::store::query::TicketRecords;

/// The party that presents a ticket or a refresh token.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) enum Redeemer {
    /// Somebody: the ticket is the credential.
    Anybody,
    /// A client, by its Basic credentials.
    Claimed(ClientCredentials),
    /// A client whose Basic header cannot be read.
    Illegible,
}

impl Redeemer {
    /// Returns the client that it says it is.
    pub(crate) const fn claimed(&self) -> Option<&ClientId> {
        match self {
            Self::Claimed(credentials) => Some(&credentials.id),
            Self::Anybody | Self::Illegible => None,
        }
    }

    /// Returns the assertion by which it authenticates, where it does so.
    pub(crate) const fn assertion(&self) -> Option<&ClientAssertion> {
        match self {
            Self::Claimed(credentials) => credentials.assertion(),
            Self::Anybody | Self::Illegible => None,
        }
    }

    /// Returns its credentials with the record that was found for them.
    pub(crate) const fn claim<'a>(&'a self, record: Option<&'a Client>) -> Option<ClientClaim<'a>> {
        match self {
            Self::Claimed(credentials) => Some(ClientClaim::new(credentials, record)),
            Self::Anybody | Self::Illegible => None,
        }
    }
}

/// The client that a redeemer has proven to be; none where it says nothing, and the reason where it is not that client.
pub(crate) type Proven<'a> = Result<Option<AuthenticatedClient<'a>>, Refusal>;

/// The verdict about a presented ticket.
#[derive(Debug)]
pub(crate) enum Verdict<'a> {
    /// It signs this user in, and is spent.
    SignIn(&'a User),
    /// It signs nobody in, and is spent all the same.
    Spend(Refusal),
    /// It could not have signed anybody in any more: nothing changes.
    Refuse(Refusal),
    /// It is for a client, and whoever presents it has not proved to be any client: nothing changes.
    Unproven,
}

/// Returns true if `ticket` was meant for another address than `peer`.
pub(crate) fn is_elsewhere(ticket: &Ticket, peer: IpAddr) -> bool {
    ticket.client_ip.is_some_and(|ip| ip.to_canonical() != peer.to_canonical())
}

/// Returns true if `ticket` was meant for another address than `peer`, and that is a reason to refuse it.
pub(crate) fn is_refused_here(ticket: &Ticket, peer: IpAddr, settings: &Settings) -> bool {
    is_elsewhere(ticket, peer) && settings.address_mismatch == AddressMismatch::Refuse
}

/// Decides on a ticket that exists.
pub(crate) fn decide<'a>(
    records: &'a TicketRecords,
    redeemer: &Proven<'_>,
    peer: IpAddr,
    settings: &Settings,
    state_epoch: u64,
    now: Time,
) -> Verdict<'a> {
    // Before all else: what the record says of itself may have been so before and after.
    if records.ticket.state_epoch != state_epoch {
        return Verdict::Refuse(Refusal::StateSuperseded);
    }
    match &records.ticket.state {
        TicketState::Spent { .. } => return Verdict::Refuse(Refusal::TicketSpent),
        TicketState::Revoked(_) => return Verdict::Refuse(Refusal::TicketRevoked),
        TicketState::Live => {}
    }
    if records.ticket.issued_at.is_ahead_of(now) {
        return Verdict::Refuse(Refusal::DatedAhead);
    }
    if now >= records.ticket.expires_at {
        return Verdict::Refuse(Refusal::TicketExpired);
    }
    let proven = prove(records, redeemer);
    // Before the address: who has to prove to be a client, and does not, spends nothing from anywhere.
    if proven == Err(Refusal::RedeemerUnproven) {
        return Verdict::Unproven;
    }
    if is_refused_here(&records.ticket, peer, settings) {
        return Verdict::Spend(Refusal::AddressMismatch);
    }
    match proven.and_then(|()| admit(records, settings, now)) {
        Ok(user) => Verdict::SignIn(user),
        Err(refusal) => Verdict::Spend(refusal),
    }
}

/// Checks that the redeemer may redeem a ticket that is for a client.
pub(crate) fn prove(records: &TicketRecords, redeemer: &Proven<'_>) -> Result<(), Refusal> {
    let ticket = &records.ticket;
    if !ticket.bind && !ticket.for_audience {
        return Ok(());
    }
    match redeemer {
        Err(_) => Err(Refusal::RedeemerUnproven),
        Ok(None) if ticket.bind => Err(Refusal::RedeemerUnproven),
        Ok(Some(client)) if client.client().id != ticket.client_id => Err(Refusal::AudienceMismatch),
        Ok(_) => Ok(()),
    }
}

/// Returns true if [`decide`], or the decision on a repetition, is about to compare the secret of the redeemer.
pub(crate) fn compares_secret(
    records: &TicketRecords,
    redeemer: &Redeemer,
    state_epoch: u64,
    now: Time,
) -> bool {
    let ticket = &records.ticket;
    let is_good = match &ticket.state {
        TicketState::Live => now < ticket.expires_at && !ticket.issued_at.is_ahead_of(now),
        TicketState::Spent { delivery, .. } => delivery.is_some(),
        TicketState::Revoked(_) => false,
    };
    let is_of_client = ticket.bind || ticket.for_audience;
    is_good && ticket.state_epoch == state_epoch && is_of_client && redeemer.claimed().is_some()
}

/// Returns the people whom a live ticket signs in, or the reason of a refusal.
fn admit<'a>(records: &'a TicketRecords, settings: &Settings, now: Time) -> Result<&'a User, Refusal> {
    let ticket = &records.ticket;
    let issuing = ticket.clients().stand(records.client.as_ref(), records.issuer.as_ref())?;
    if !issuing.may_grant(&ticket.scope, settings) {
        return Err(Refusal::NotGrantable);
    }
    if ticket.impersonation.is_some() {
        let actor = records.actor.as_ref().filter(|actor| actor.is_active()).ok_or(Refusal::ActorInactive)?;
        if standing(actor, settings.password_age, now).must_change {
            return Err(Refusal::PasswordExpired);
        }
    }
    records.user.as_ref().filter(|user| user.is_active()).ok_or(Refusal::UserInactive)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::base::secret::SecretText;
    use crate::records::client::tests::client;
    use crate::records::factor::Factors;
    use crate::records::id::{TicketId, UserId};
    use crate::records::scope::Scope;
    use crate::records::sign_in_history::SignInHistory;
    use crate::records::ticket::{Impersonation, TicketDigest};
    use crate::records::user::Username;
    use crate::settings::Issuer;
    use alloc::vec;

    const NOW: Time = Time::from_unix(1_000);
    const HERE: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 1));

    pub(crate) fn user(name: &str) -> User {
        User::new(UserId::parse(name).unwrap(), Username::parse(name).unwrap(), Time::from_unix(0))
    }

    /// A plain ticket of `backend` for alice, with 60 seconds to live.
    pub(crate) fn records() -> TicketRecords {
        TicketRecords {
            ticket: Ticket {
                id: TicketId::parse("tid_1").unwrap(),
                digest: TicketDigest([0; 32]),
                user_id: UserId::parse("alice").unwrap(),
                client_id: ClientId::parse("backend").unwrap(),
                issuer: Some(client("backend", "", "right").reference()),
                for_audience: false,
                bind: false,
                scope: Scope::default(),
                client_ip: None,
                impersonation: None,
                issued_at: Time::from_unix(940),
                expires_at: Time::from_unix(1_060),
                state: TicketState::Live,
                state_epoch: 3,
                client_epoch: Some(0),
            },
            user: Some(user("alice")),
            actor: None,
            client: Some(client("backend", "", "right")),
            issuer: None,
            factors: Factors::default(),
            history: SignInHistory::default(),
            delivered: None,
        }
    }

    fn basic(id: &str, secret: &str) -> Redeemer {
        let readings = vec![SecretText::new(secret.into())];
        Redeemer::Claimed(ClientCredentials::read(id, readings).unwrap())
    }

    /// Authenticates `redeemer` as the flow does.
    pub(crate) fn proven<'a>(redeemer: &Redeemer, record: Option<&'a Client>) -> Proven<'a> {
        match redeemer {
            Redeemer::Anybody => Ok(None),
            Redeemer::Illegible => Err(Refusal::RedeemerUnproven),
            Redeemer::Claimed(credentials) => Ok(Some(credentials.authenticate(record, false, NOW)?)),
        }
    }

    #[derive(Debug, PartialEq)]
    enum Short {
        In,
        Spend(Refusal),
        Refuse(Refusal),
        Unproven,
    }

    type Case = (&'static str, fn(&mut TicketRecords), Redeemer, Short);

    #[test]
    fn who_is_let_in() {
        use Short::{In, Refuse, Spend, Unproven};
        let table: &[Case] = &[
            ("a plain ticket", |_| {}, Redeemer::Anybody, In),
            ("with credentials nobody asked for", |_| {}, basic("other", "wrong"), In),
            ("the last second", |r| r.ticket.expires_at = Time::from_unix(1_001), Redeemer::Anybody, In),
            ("dated a minute ahead", |r| r.ticket.issued_at = NOW.plus(60), Redeemer::Anybody, In),
            (
                "dated further ahead",
                |r| r.ticket.issued_at = NOW.plus(61),
                Redeemer::Anybody,
                Refuse(Refusal::DatedAhead),
            ),
            ("expired", |r| r.ticket.expires_at = NOW, Redeemer::Anybody, Refuse(Refusal::TicketExpired)),
            (
                "spent",
                |r| r.ticket.state = TicketState::Spent { at: NOW, delivery: None },
                Redeemer::Anybody,
                Refuse(Refusal::TicketSpent),
            ),
            (
                "revoked",
                |r| r.ticket.state = TicketState::Revoked(NOW),
                Redeemer::Anybody,
                Refuse(Refusal::TicketRevoked),
            ),
            (
                "of an earlier state epoch",
                |r| r.ticket.state_epoch = 2,
                Redeemer::Anybody,
                Refuse(Refusal::StateSuperseded),
            ),
            (
                "of a later state epoch",
                |r| r.ticket.state_epoch = 4,
                Redeemer::Anybody,
                Refuse(Refusal::StateSuperseded),
            ),
            (
                "spent, of another state epoch",
                |r| {
                    (r.ticket.state, r.ticket.state_epoch) =
                        (TicketState::Spent { at: NOW, delivery: None }, 2)
                },
                Redeemer::Anybody,
                Refuse(Refusal::StateSuperseded),
            ),
            ("from its address", |r| r.ticket.client_ip = Some(HERE), Redeemer::Anybody, In),
            (
                "from its address, written as IPv6",
                |r| r.ticket.client_ip = "::ffff:192.0.2.1".parse().ok(),
                Redeemer::Anybody,
                In,
            ),
            (
                "from elsewhere",
                |r| r.ticket.client_ip = "192.0.2.2".parse().ok(),
                Redeemer::Anybody,
                Spend(Refusal::AddressMismatch),
            ),
            ("bound, proven", |r| r.ticket.bind = true, basic("backend", "right"), In),
            ("bound, unproven", |r| r.ticket.bind = true, Redeemer::Anybody, Unproven),
            ("bound, illegible", |r| r.ticket.bind = true, Redeemer::Illegible, Unproven),
            (
                "bound, unproven and from elsewhere",
                |r| (r.ticket.bind, r.ticket.client_ip) = (true, "192.0.2.2".parse().ok()),
                Redeemer::Anybody,
                Unproven,
            ),
            (
                "bound, proven and from elsewhere",
                |r| (r.ticket.bind, r.ticket.client_ip) = (true, "192.0.2.2".parse().ok()),
                basic("backend", "right"),
                Spend(Refusal::AddressMismatch),
            ),
            ("bound, wrong secret", |r| r.ticket.bind = true, basic("backend", "wrong"), Unproven),
            (
                "bound, another client",
                |r| r.ticket.bind = true,
                basic("other", "right"),
                Spend(Refusal::AudienceMismatch),
            ),
            ("for an audience, by anybody", |r| r.ticket.for_audience = true, Redeemer::Anybody, In),
            ("for an audience, proven", |r| r.ticket.for_audience = true, basic("backend", "right"), In),
            (
                "for an audience, another client",
                |r| r.ticket.for_audience = true,
                basic("other", "right"),
                Spend(Refusal::AudienceMismatch),
            ),
            (
                "bound, another client that proves nothing",
                |r| r.ticket.bind = true,
                basic("other", "wrong"),
                Unproven,
            ),
            (
                "bound, a client that does not exist",
                |r| r.ticket.bind = true,
                basic("nobody", "right"),
                Unproven,
            ),
            (
                "for an audience, wrong secret",
                |r| r.ticket.for_audience = true,
                basic("backend", "wrong"),
                Unproven,
            ),
            (
                "for an audience that is disabled",
                |r| {
                    r.ticket.for_audience = true;
                    r.client.as_mut().unwrap().disable();
                },
                Redeemer::Anybody,
                Spend(Refusal::ClientInactive),
            ),
            (
                "for an audience that is gone",
                |r| (r.ticket.for_audience, r.client) = (true, None),
                Redeemer::Anybody,
                Spend(Refusal::ClientInactive),
            ),
            (
                "whose issuer is disabled",
                |r| issued_by(r, Client::disable),
                Redeemer::Anybody,
                Spend(Refusal::ClientInactive),
            ),
            ("of another issuer", |r| issued_by(r, |_| {}), Redeemer::Anybody, In),
            (
                "whose issuer was added anew",
                |r| issued_by(r, |issuer| issuer.epoch = 7),
                Redeemer::Anybody,
                Spend(Refusal::ClientInactive),
            ),
            (
                "whose issuer is gone",
                |r| {
                    issued_by(r, |_| {});
                    r.issuer = None;
                },
                Redeemer::Anybody,
                Spend(Refusal::ClientInactive),
            ),
            (
                "for a client that was added anew",
                |r| r.client.as_mut().unwrap().epoch = 7,
                Redeemer::Anybody,
                Spend(Refusal::ClientInactive),
            ),
            (
                "for a client that was disabled and is enabled again",
                |r| {
                    let client = r.client.as_mut().unwrap();
                    client.disable();
                    client.enable();
                },
                Redeemer::Anybody,
                Spend(Refusal::ClientInactive),
            ),
            (
                "with a scope that its issuer has",
                |r| {
                    r.ticket.scope = Scope::parse("profile email").unwrap();
                    issued_by(r, |issuer| issuer.scope = Scope::parse("email").unwrap());
                },
                Redeemer::Anybody,
                In,
            ),
            (
                "with a scope that its issuer no longer has",
                |r| r.ticket.scope = Scope::parse("profile email").unwrap(),
                Redeemer::Anybody,
                Spend(Refusal::NotGrantable),
            ),
            (
                "of the command line",
                |r| (r.ticket.issuer, r.ticket.client_epoch, r.client) = (None, None, None),
                Redeemer::Anybody,
                In,
            ),
            (
                "for a disabled user",
                |r| r.user.as_mut().unwrap().disable(),
                Redeemer::Anybody,
                Spend(Refusal::UserInactive),
            ),
            ("for nobody", |r| r.user = None, Redeemer::Anybody, Spend(Refusal::UserInactive)),
            ("acted by the boss", |r| impersonate(r, Some(user("boss"))), Redeemer::Anybody, In),
            ("acted by nobody", |r| impersonate(r, None), Redeemer::Anybody, Spend(Refusal::ActorInactive)),
            (
                "acted by somebody who has to change their password",
                |r| {
                    let mut boss = user("boss");
                    boss.require_password_change();
                    impersonate(r, Some(boss));
                },
                Redeemer::Anybody,
                Spend(Refusal::PasswordExpired),
            ),
            (
                "acted by somebody disabled",
                |r| {
                    let mut boss = user("boss");
                    boss.disable();
                    impersonate(r, Some(boss));
                },
                Redeemer::Anybody,
                Spend(Refusal::ActorInactive),
            ),
        ];
        let settings = Settings::new(Issuer::parse("http://gate.example").unwrap());
        for (what, alter, redeemer, expected) in table {
            let mut records = records();
            alter(&mut records);
            let others = client("other", "", "right");
            let own = records.client.clone().filter(|own| redeemer.claimed() == Some(&own.id));
            let caller = own.or_else(|| Some(others).filter(|other| redeemer.claimed() == Some(&other.id)));
            let redeemer = proven(redeemer, caller.as_ref());
            let verdict = match decide(&records, &redeemer, HERE, &settings, 3, NOW) {
                Verdict::Unproven => Unproven,
                Verdict::SignIn(_) => In,
                Verdict::Spend(refusal) => Spend(refusal),
                Verdict::Refuse(refusal) => Refuse(refusal),
            };
            assert_eq!(verdict, *expected, "{what}");
        }
    }

    /// By another client than it is for, which then changed.
    fn issued_by(records: &mut TicketRecords, change: impl Fn(&mut Client)) {
        let mut issuer = client("issuer", "", "s");
        records.ticket.issuer = Some(issuer.reference());
        change(&mut issuer);
        records.issuer = Some(issuer);
    }

    fn impersonate(records: &mut TicketRecords, actor: Option<User>) {
        let boss = UserId::parse("boss").unwrap();
        records.ticket.impersonation = Some(Impersonation { actor: boss, reason: "r".into() });
        records.actor = actor;
    }
}
