//! The one place where a sign-in is decided.

use core::net::IpAddr;

use crate::audit::Refusal;
use crate::model::query::TicketRecords;
use crate::model::ticket::{Ticket, TicketState};
use crate::model::user::User;
use crate::policy::password::standing;
use crate::settings::{AddressMismatch, Settings};
use crate::time::Time;
use crate::wire::credentials::{Authorization, ClientCredentials};

/// Who presents a ticket, or a refresh token, that is its own credential.
#[derive(Debug)]
#[cfg_attr(feature = "checker", derive(Clone, PartialEq))]
pub(crate) enum Redeemer {
    /// Somebody: the ticket is the credential.
    Anybody,
    /// A client, by its Basic credentials.
    Claimed(ClientCredentials),
    /// A client whose Basic header cannot be read.
    Illegible,
}

impl From<Authorization> for Redeemer {
    fn from(authorization: Authorization) -> Self {
        match authorization {
            Authorization::Basic(credentials) => Self::Claimed(credentials),
            Authorization::BadBasic => Self::Illegible,
            // Whatever else a client sends along with every request is no claim to be a client.
            Authorization::Absent
            | Authorization::Bearer(_)
            | Authorization::BadBearer
            | Authorization::Other => Self::Anybody,
        }
    }
}

/// What becomes of a presented ticket.
#[derive(Debug)]
pub(crate) enum Verdict<'a> {
    /// It signs this user in, and is spent.
    SignIn(&'a User),
    /// It signs nobody in, and is spent all the same.
    Spend(Refusal),
    /// It could not have signed anybody in any more: nothing changes.
    Refuse(Refusal),
}

/// Whether `ticket` was meant for another address than `peer`.
pub(crate) fn is_elsewhere(ticket: &Ticket, peer: IpAddr) -> bool {
    ticket.client_ip.is_some_and(|ip| ip.to_canonical() != peer.to_canonical())
}

/// Decides on a ticket that exists (CONTRACT §3).
pub(crate) fn decide<'a>(
    records: &'a TicketRecords,
    redeemer: &Redeemer,
    peer: IpAddr,
    settings: &Settings,
    state_epoch: u64,
    now: Time,
) -> Verdict<'a> {
    // Before all else: what the record says of itself may have been so before and after.
    if records.ticket.state_epoch != state_epoch {
        return Verdict::Refuse(Refusal::StateSuperseded);
    }
    match records.ticket.state {
        TicketState::Spent(_) => return Verdict::Refuse(Refusal::TicketSpent),
        TicketState::Revoked(_) => return Verdict::Refuse(Refusal::TicketRevoked),
        TicketState::Live => {}
    }
    if records.ticket.issued_at.is_ahead_of(now) {
        return Verdict::Refuse(Refusal::DatedAhead);
    }
    if now >= records.ticket.expires_at {
        return Verdict::Refuse(Refusal::TicketExpired);
    }
    if is_elsewhere(&records.ticket, peer) && settings.address_mismatch == AddressMismatch::Refuse {
        return Verdict::Spend(Refusal::AddressMismatch);
    }
    match admit(records, redeemer, settings, now) {
        Ok(user) => Verdict::SignIn(user),
        Err(refusal) => Verdict::Spend(refusal),
    }
}

/// Whom a live ticket signs in, or why nobody.
fn admit<'a>(
    records: &'a TicketRecords,
    redeemer: &Redeemer,
    settings: &Settings,
    now: Time,
) -> Result<&'a User, Refusal> {
    let ticket = &records.ticket;
    if ticket.bind || ticket.for_audience {
        match redeemer {
            Redeemer::Anybody if ticket.bind => return Err(Refusal::RedeemerUnproven),
            Redeemer::Anybody => {}
            Redeemer::Illegible => return Err(Refusal::RedeemerUnproven),
            Redeemer::Claimed(credentials) if credentials.id != ticket.client_id => {
                return Err(Refusal::AudienceMismatch);
            }
            Redeemer::Claimed(credentials) => {
                credentials
                    .authenticate(records.client.as_ref(), now)
                    .map_err(|_| Refusal::RedeemerUnproven)?;
            }
        }
    }
    // Tickets from the command line are for `admin`, whether or not there is a client of that name.
    let needs_client = ticket.for_audience || ticket.bind;
    if needs_client && !records.client.as_ref().is_some_and(|c| c.enabled)
        || ticket.issuer.is_some() && !records.issuer.as_ref().is_some_and(|c| c.enabled)
    {
        return Err(Refusal::ClientInactive);
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
    use crate::model::client::tests::client;
    use crate::model::factor::Factors;
    use crate::model::habit::Habit;
    use crate::model::id::{ClientId, TicketId, UserId};
    use crate::model::scope::Scope;
    use crate::model::ticket::{Impersonation, TicketDigest};
    use crate::model::user::{Status, Username};
    use crate::secret::SecretText;
    use crate::settings::Issuer;
    use alloc::vec;

    const NOW: Time = Time::from_unix(1_000);
    const HERE: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 1));

    pub(crate) fn user(name: &str) -> User {
        User {
            id: UserId::parse(name).unwrap(),
            username: Username::parse(name).unwrap(),
            email: None,
            phone: None,
            name: None,
            gender: None,
            address: None,
            status: Status::Active,
            must_change_password: false,
            password_changed_at: None,
            second_factor: None,
            created_at: Time::from_unix(0),
            updated_at: Time::from_unix(0),
            epoch: 0,
            revision: 0,
        }
    }

    /// A plain ticket of `backend` for alice, with 60 seconds to live.
    fn records() -> TicketRecords {
        TicketRecords {
            ticket: Ticket {
                id: TicketId::parse("tid_1").unwrap(),
                digest: TicketDigest([0; 32]),
                user_id: UserId::parse("alice").unwrap(),
                client_id: ClientId::parse("backend").unwrap(),
                issuer: Some(ClientId::parse("backend").unwrap()),
                for_audience: false,
                bind: false,
                scope: Scope::default(),
                client_ip: None,
                impersonation: None,
                issued_at: Time::from_unix(940),
                expires_at: Time::from_unix(1_060),
                state: TicketState::Live,
                state_epoch: 3,
            },
            user: Some(user("alice")),
            actor: None,
            client: Some(client("backend", "", "right")),
            issuer: Some(client("backend", "", "right")),
            factors: Factors::default(),
            habit: Habit::default(),
        }
    }

    fn basic(id: &str, secret: &str) -> Redeemer {
        let readings = vec![SecretText::new(secret.into())];
        Redeemer::Claimed(ClientCredentials { id: ClientId::parse(id).unwrap(), readings })
    }

    #[derive(Debug, PartialEq)]
    enum Short {
        In,
        Spend(Refusal),
        Refuse(Refusal),
    }

    type Case = (&'static str, fn(&mut TicketRecords), Redeemer, Short);

    #[test]
    fn who_is_let_in() {
        use Short::{In, Refuse, Spend};
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
                |r| r.ticket.state = TicketState::Spent(NOW),
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
                |r| (r.ticket.state, r.ticket.state_epoch) = (TicketState::Spent(NOW), 2),
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
            (
                "bound, unproven",
                |r| r.ticket.bind = true,
                Redeemer::Anybody,
                Spend(Refusal::RedeemerUnproven),
            ),
            (
                "bound, illegible",
                |r| r.ticket.bind = true,
                Redeemer::Illegible,
                Spend(Refusal::RedeemerUnproven),
            ),
            (
                "bound, wrong secret",
                |r| r.ticket.bind = true,
                basic("backend", "wrong"),
                Spend(Refusal::RedeemerUnproven),
            ),
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
                "for an audience, wrong secret",
                |r| r.ticket.for_audience = true,
                basic("backend", "wrong"),
                Spend(Refusal::RedeemerUnproven),
            ),
            (
                "for an audience that is disabled",
                |r| {
                    r.ticket.for_audience = true;
                    r.client.as_mut().unwrap().enabled = false;
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
                |r| r.issuer.as_mut().unwrap().enabled = false,
                Redeemer::Anybody,
                Spend(Refusal::ClientInactive),
            ),
            ("whose issuer is gone", |r| r.issuer = None, Redeemer::Anybody, Spend(Refusal::ClientInactive)),
            (
                "of the command line",
                |r| (r.ticket.issuer, r.issuer, r.client) = (None, None, None),
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
            let verdict = match decide(&records, redeemer, HERE, &settings, 3, NOW) {
                Verdict::SignIn(_) => In,
                Verdict::Spend(refusal) => Spend(refusal),
                Verdict::Refuse(refusal) => Refuse(refusal),
            };
            assert_eq!(verdict, *expected, "{what}");
        }
    }

    fn impersonate(records: &mut TicketRecords, actor: Option<User>) {
        let boss = UserId::parse("boss").unwrap();
        records.ticket.impersonation = Some(Impersonation { actor: boss, reason: "r".into() });
        records.actor = actor;
    }
}
