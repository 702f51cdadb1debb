//! `/admin/v1/risk:explain`: the decision about a sign-in, without one.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::admin::risk::{ExplainRisk, ExplainedTicket, RiskExplanation};
use crate::api::admin::AdminEndpoint;
use crate::api::admin::answer::shown;
use crate::api::admin::call::AdminCall;
use crate::api::context::Context;
use crate::api::description::Description;
use crate::http::problem::Problem;
use crate::http::request_error::RequestError;
use crate::http::response::Response;
use crate::http::shape::{Nullable, answer, body};
use crate::policy::password::Warning;
use crate::records::id::{ClientId, UserRef};
use crate::records::risk::Signal;
use crate::records::role::{Role, Roles};
use crate::records::sign_in_history::DeviceOnNetwork;
use crate::store::audit::Refusal;

body! {
    /// A sign-in to be explained.
    struct ExplainBody {
        /// The user who would sign in: an id, a user name, an e-mail address or a telephone number.
        user: String = "alice",
        /// The address that it would come from.
        address: IpAddr = "192.0.2.7",
        /// The `X-Device-Id` of the request.
        device_id: Option<String> => BadDeviceId,
        /// The `User-Agent` of the request, if there is no device id.
        user_agent: Option<String>,
        /// The client that it would be for.
        client: Option<ClientId>,
        /// The user who would act as that one. It takes a ticket.
        actor: Option<String>,
        /// The ticket; without, the user would sign in by password.
        ticket: Option<ExplainedTicketBody>,
    }
}

body! {
    /// The ticket of a sign-in to be explained.
    struct ExplainedTicketBody {
        /// The age in seconds.
        age: u32 = 60,
        /// The lifetime in seconds; absent: as tickets have it by default.
        lifetime: Option<u32>,
        /// True if it names another address.
        address_mismatch: Option<bool>,
    }
}

answer! {
    /// A signal that was seen.
    struct ShownSignal {
        /// The name.
        signal: &'static str = "new_device",
        /// The weight.
        weight: u8 = 40,
    }
}

answer! {
    /// The decision about a sign-in, and what it rests on.
    struct ShownExplanation<'a> {
        /// The id of the user.
        user: &'a str = "usr_01JZ8Q4V7N3K5T9W2X6Y0B1C2D",
        /// The id of the user who would act.
        actor: Nullable<&'a str>,
        /// The network.
        network: String = "192.0.2.0/24",
        /// The number of known devices and networks.
        known_places: u32 = 1,
        /// The number of sign-ins that are remembered.
        known_sign_ins: u32 = 12,
        /// The time of the last sign-in.
        last_sign_in: Nullable<String> [format("date-time")],
        /// The score, from 0 to 100.
        score: u8 = 40,
        /// `low`, `medium` or `high`.
        level: &'static str = "medium",
        /// The signals that were seen.
        signals: Vec<ShownSignal>,
        /// The score from which a second factor is asked for.
        second_factor_from: u8 = 40,
        /// True if there is a second factor to ask for.
        enrolled: bool = true,
        /// `sign in`, `change password`, `challenge`, `enrol` or `refuse`.
        decision: &'static str = "challenge",
        /// The reason, as the audit log names it.
        reason: Nullable<&'static str> = "new_device",
        /// True if the password has to be changed.
        must_change_password: bool = false,
        /// The warning about the password.
        password_warning: Nullable<&'static str>,
    }
}

impl AdminEndpoint for ExplainRisk {
    const ROLES: Roles = Roles::of(&[Role::Operator, Role::Auditor]);
    const DESCRIPTION: Description = Description::new("Explains the decision about a sign-in, without one")
        .takes::<ExplainBody>()
        .answers::<ShownExplanation<'_>>(200)
        .refuses(&[Problem::NoSuchRecord, Problem::InvalidValue]);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        let ExplainBody { user, address, device_id, user_agent, client, actor, ticket } = call.json()?;
        let (device, agent) = (device_id.unwrap_or_default(), user_agent.unwrap_or_default());
        let place = DeviceOnNetwork::of(&device, agent.as_bytes(), address);
        let place = place.ok_or_else(|| RequestError::from(Problem::BadDeviceId).about("device_id"))?;
        let ticket = ticket.map(|ticket| ExplainedTicket {
            age: ticket.age.into(),
            lifetime: ticket.lifetime.map(Into::into),
            address_mismatch: ticket.address_mismatch.unwrap_or_default(),
        });
        Ok(Self { user: UserRef::Any(user), actor: actor.map(UserRef::Any), client, place, ticket })
    }

    fn respond(_: &Context, found: RiskExplanation) -> Response {
        let decision = &found.decision;
        let assessment = &decision.assessment;
        let signal =
            |(signal, weight): &(Signal, u8)| ShownSignal { signal: signal.as_str(), weight: *weight };
        let refused = found.refused.map(Refusal::as_str);
        shown(&ShownExplanation {
            user: found.user.id.as_str(),
            actor: Nullable(found.actor.as_ref().map(|actor| actor.id.as_str())),
            network: alloc::format!("{}", found.network),
            known_places: u32::try_from(found.known_places).unwrap_or(u32::MAX),
            known_sign_ins: found.known_sign_ins,
            last_sign_in: Nullable(found.last_sign_in.map(|at| at.rfc3339())),
            score: assessment.score,
            level: assessment.level.as_str(),
            signals: assessment.signals.iter().map(signal).collect(),
            second_factor_from: found.second_factor_from,
            enrolled: found.enrolled,
            decision: if refused.is_some() { "refuse" } else { decision.verdict.as_str() },
            reason: Nullable(refused.or(decision.verdict.reason())),
            must_change_password: decision.password.must_change,
            password_warning: Nullable(decision.password.warning.map(Warning::as_str)),
        })
    }
}
