//! The one place where a sign-in is decided.

use core::net::IpAddr;

use crate::audit::Refusal;
use crate::model::client::Client;
use crate::model::query::TicketRecords;
use crate::model::ticket::TicketState;
use crate::model::user::User;
use crate::time::Time;
use crate::wire::credentials::BasicCredentials;

/// Who presents a ticket.
#[derive(Debug)]
#[cfg_attr(feature = "checker", derive(Clone, PartialEq))]
pub(crate) enum Redeemer {
    /// Somebody: the ticket is the credential.
    Anybody,
    /// A client, by its Basic credentials.
    Claimed(BasicCredentials),
    /// A client whose Basic header cannot be read.
    Illegible,
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

/// Decides on a ticket that exists (CONTRACT §3).
pub(crate) fn decide<'a>(
    records: &'a TicketRecords,
    redeemer: &Redeemer,
    peer: IpAddr,
    now: Time,
) -> Verdict<'a> {
    match records.ticket.state {
        TicketState::Spent(_) => return Verdict::Refuse(Refusal::TicketSpent),
        TicketState::Revoked(_) => return Verdict::Refuse(Refusal::TicketRevoked),
        TicketState::Live => {}
    }
    if now >= records.ticket.expires_at {
        return Verdict::Refuse(Refusal::TicketExpired);
    }
    match admit(records, redeemer, peer, now) {
        Ok(user) => Verdict::SignIn(user),
        Err(refusal) => Verdict::Spend(refusal),
    }
}

/// Whom a live ticket signs in, or why nobody.
fn admit<'a>(
    records: &'a TicketRecords,
    redeemer: &Redeemer,
    peer: IpAddr,
    now: Time,
) -> Result<&'a User, Refusal> {
    let ticket = &records.ticket;
    if ticket.client_ip.is_some_and(|ip| ip.to_canonical() != peer.to_canonical()) {
        return Err(Refusal::AddressMismatch);
    }
    if ticket.bind || ticket.for_audience {
        match redeemer {
            Redeemer::Anybody if ticket.bind => return Err(Refusal::RedeemerUnproven),
            Redeemer::Anybody => {}
            Redeemer::Illegible => return Err(Refusal::RedeemerUnproven),
            Redeemer::Claimed(credentials) if credentials.id != ticket.client_id => {
                return Err(Refusal::AudienceMismatch);
            }
            Redeemer::Claimed(credentials) => {
                Client::authenticate(records.client.as_ref(), &credentials.readings, now)
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
    if ticket.impersonation.is_some() && !records.actor.as_ref().is_some_and(User::is_active) {
        return Err(Refusal::ActorInactive);
    }
    records.user.as_ref().filter(|user| user.is_active()).ok_or(Refusal::UserInactive)
}
