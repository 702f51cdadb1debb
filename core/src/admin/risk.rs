//! The decision about a sign-in, without one.

use alloc::boxed::Box;

use super::error::{AdminError, Field, Invalid, Item};
use super::step::{Decision, Operation, OperationInputs};
use super::users::resolve;
use crate::base::time::Time;
use crate::policy::risk::Circumstances;
use crate::policy::sign_in::{self, Candidate, decide, refused_before};
use crate::records::id::{ClientId, UserRef};
use crate::records::sign_in_history::{DeviceOnNetwork, Network};
use crate::records::user::User;
use crate::store::audit::Refusal;
use crate::store::query::{ExplainQuery, ExplainRecords, Query, Records};

/// Explains the decision about a sign-in. Nothing is changed.
#[derive(Clone, Debug, PartialEq)]
pub struct ExplainRisk {
    /// The user who would sign in.
    pub user: UserRef,
    /// The administrator who would act as the user. Only a ticket lets somebody act.
    pub actor: Option<UserRef>,
    /// The client that it would be for.
    pub client: Option<ClientId>,
    /// The device and network that it would come from.
    pub place: DeviceOnNetwork,
    /// The ticket; without, they would sign in by password.
    pub ticket: Option<ExplainedTicket>,
}

/// The ticket of a sign-in that is explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExplainedTicket {
    /// Its age in seconds.
    pub age: u64,
    /// Its lifetime in seconds; without, as tickets have it by default.
    pub lifetime: Option<u64>,
    /// True if it names another address.
    pub address_mismatch: bool,
}

/// The decision, and what it rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct RiskExplanation {
    /// The user who would be signed in.
    pub user: User,
    /// The user who would act as that one.
    pub actor: Option<User>,
    /// The network of the sign-in.
    pub network: Network,
    /// The number of known devices and networks of whoever is at the keyboard.
    pub known_places: usize,
    /// The number of sign-ins that are remembered.
    pub known_sign_ins: u32,
    /// The time of the last one.
    pub last_sign_in: Option<Time>,
    /// True if there is a second factor to ask for.
    pub enrolled: bool,
    /// The score from which a second factor is asked for.
    pub second_factor_from: u8,
    /// The reason that refuses the sign-in before its risk is judged, if there is one.
    pub refused: Option<Refusal>,
    /// The decision otherwise.
    pub decision: Box<sign_in::Decision>,
}

impl Operation for ExplainRisk {
    type Output = RiskExplanation;

    fn query(&self) -> Query {
        let Self { user, actor, client, .. } = self.clone();
        Query::Explain(ExplainQuery { user, actor, client })
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<RiskExplanation>, AdminError> {
        let Records::Explain(found) = records else { return Err(AdminError::Internal) };
        let ExplainRecords { user, actor, client, factors, history } = &**found;
        let user = resolve(&self.user, user)?;
        let actor = self.actor.as_ref().map(|who| resolve(who, actor)).transpose()?;
        if actor.is_some_and(|actor| actor.id == user.id) {
            return Err(AdminError::Invalid { field: Field::Actor, reason: Invalid::IsTheUser });
        }
        if let Some(id) = self.client.as_ref().filter(|_| client.is_none()) {
            return Err(AdminError::NotFound(Item::Client(id.clone())));
        }
        let (now, settings) = (inputs.request.now, inputs.settings);
        let ticket = self.ticket.map(|ticket| {
            let issued = Time::from_unix(now.unix().saturating_sub(ticket.age));
            (issued, issued.plus(ticket.lifetime.unwrap_or(settings.ticket_lifetime.into())))
        });
        let candidate = Candidate {
            user,
            client: client.as_ref(),
            factors,
            administers: false,
            circumstances: Circumstances {
                person: actor.unwrap_or(user),
                history,
                place: &self.place,
                ticket,
                enrolled: factors.is_enrolled(),
                address_mismatch: self.ticket.is_some_and(|ticket| ticket.address_mismatch),
                impersonation: actor.is_some(),
                now,
            },
        };
        Ok(Decision::Done(RiskExplanation {
            user: user.clone(),
            actor: actor.cloned(),
            network: self.place.network,
            known_places: history.places.len(),
            known_sign_ins: history.sign_ins(),
            last_sign_in: history.last_sign_in(now),
            enrolled: factors.is_enrolled(),
            second_factor_from: settings.risk.second_factor,
            refused: refused_before(settings, &candidate),
            decision: Box::new(decide(settings, &candidate)),
        }))
    }
}
