//! `gatepass risk`: the decision about a sign-in, without one.

use std::net::IpAddr;

use clap::{Args, Subcommand};
use gatepass_core::admin::risk::{ExplainRisk, ExplainedTicket};
use gatepass_core::base::time::Time;
use gatepass_core::policy::password::Warning;
use gatepass_core::records::id::ClientId;
use gatepass_core::records::risk::Signal;
use gatepass_core::records::sign_in_history::DeviceOnNetwork;
use gatepass_core::store::audit::Refusal;
use serde_json::{Map, Value};

use super::context::Context;
use super::edit::{named, parsed};
use crate::config::value::span;
use crate::error::ProgramError;
use crate::output::Record;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show every signal of a sign-in with its weight, and the decision; nothing is changed
    Explain(Explain),
}

#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The user who would sign in: id, user name, e-mail address or telephone number
    #[arg(long)]
    user: String,
    /// The address they would sign in from
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    address: IpAddr,
    /// The X-Device-Id of their request
    #[arg(long, value_name = "ID", conflicts_with = "user_agent")]
    device: Option<String>,
    /// The User-Agent of their request, if there is no X-Device-Id
    #[arg(long, value_name = "TEXT", default_value = "")]
    user_agent: String,
    /// The client they would sign in for: the ticket's audience, or else its issuer
    #[arg(long, value_name = "ID", requires = "ticket_age")]
    client: Option<String>,
    /// The administrator who would act as the user: id, user name, e-mail address or telephone number
    #[arg(long, value_name = "USER", requires = "ticket_age")]
    actor: Option<String>,
    /// The age of the ticket, such as 90s [default: sign in by password, not by ticket]
    #[arg(long, value_name = "TIME")]
    ticket_age: Option<String>,
    /// The lifetime of the ticket [default: ticket_lifetime]
    #[arg(long, value_name = "TIME", requires = "ticket_age")]
    ticket_life: Option<String>,
    /// Assume that the ticket names another address
    #[arg(long, requires = "ticket_age")]
    address_mismatch: bool,
}

pub(super) fn run(context: &Context, verb: Verb) -> Result<(), ProgramError> {
    let Verb::Explain(asked) = verb;
    let admin = context.reading()?;
    let client = asked.client.as_deref().map(|id| parsed("--client", id, ClientId::parse)).transpose()?;
    let seconds = |text: &str| {
        span(text).map(|span| span.as_secs()).ok_or_else(|| {
            ProgramError::usage(format!("{text:?} is not a length of time: write for example 90s or 5m"))
        })
    };
    let ticket = match &asked.ticket_age {
        None => None,
        Some(age) => Some(ExplainedTicket {
            age: seconds(age)?,
            lifetime: asked.ticket_life.as_deref().map(seconds).transpose()?,
            address_mismatch: asked.address_mismatch,
        }),
    };
    let device = asked.device.as_deref().unwrap_or_default();
    let place = DeviceOnNetwork::of(device, asked.user_agent.as_bytes(), asked.address)
        .ok_or_else(|| ProgramError::usage("an X-Device-Id is at most 256 visible characters of ASCII"))?;
    let explained = admin.run(ExplainRisk {
        user: named(&asked.user),
        actor: asked.actor.as_deref().map(named),
        client,
        place,
        ticket,
    })?;
    let decision = &explained.decision;
    let assessment = &decision.assessment;
    let mut signals = Map::new();
    for (signal, weight) in &assessment.signals {
        signals.insert(Signal::as_str(*signal).into(), Value::from(*weight));
    }
    let not_seen: Vec<&str> = Signal::ALL
        .iter()
        .map(|signal| signal.as_str())
        .filter(|name| !signals.contains_key(*name))
        .collect();
    let refused = explained.refused.map(Refusal::as_str);
    let record = Record::new()
        .with("user", explained.user.username.as_str())
        .with("actor", explained.actor.as_ref().map(|actor| actor.username.as_str()))
        .with("network", explained.network.to_string())
        .with("known_places", explained.known_places)
        .with("known_sign_ins", explained.known_sign_ins)
        .with("last_sign_in", explained.last_sign_in.map(Time::rfc3339))
        .with("score", assessment.score)
        .with("level", assessment.level.as_str())
        .with("signals", if context.out.json { Value::Object(signals) } else { assessment.reasons().into() })
        .with("not_seen", not_seen)
        .with("second_factor_from", explained.second_factor_from)
        .with("enrolled", explained.enrolled)
        .with("decision", if refused.is_some() { "refuse" } else { decision.verdict.as_str() })
        .with("reason", refused.or(decision.verdict.reason()))
        .with("must_change_password", decision.password.must_change)
        .with("password_warning", decision.password.warning.map(Warning::as_str));
    context.out.one(&record)?;
    // A running server may have been started with flags, which a command cannot see.
    Ok(context
        .out
        .say("By the configuration file and the environment; flags of `serve` are not known here.")?)
}
