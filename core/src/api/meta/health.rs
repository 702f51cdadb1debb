//! `GET /healthz`: the process answers. `GET /readyz`: the store can be read and can commit, and there is a key to sign with.

use alloc::{vec, vec::Vec};
use core::convert::Infallible;

use crate::api::context::Context;
use crate::api::description::Description;
use crate::api::endpoint::{Basis, Call, Decided, Endpoint, Next, ParsedRequest, Pending};
use crate::api::reply::Reply;
use crate::base::warning::Warning;
use crate::engine::Engine;
use crate::http::response::Response;
use crate::http::shape::answer;
use crate::store::change::{Change, Outcome};
use crate::store::query::{Query, Records};

answer! {
    /// The health of the server.
    struct Health {
        /// `ok` or `ready`.
        status: &'static str [names(&["ok", "ready"])] = "ok",
        /// The names of what an operator should look at.
        warnings: Option<Vec<&'static str>>,
    }
}

/// `/healthz`, which is answered at once.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) enum Alive {}

/// `/readyz`.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Ready;

/// A commit that changes nothing.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Probe;

impl Endpoint for Alive {
    const DESCRIPTION: Description =
        Description::new("Answers while the process does").answers::<Health>(200).without_store();

    fn parse(_: &Call<'_>) -> Result<Self, Reply> {
        Err(Response::json(200, &Health { status: "ok", warnings: None }).into())
    }
}

impl ParsedRequest for Alive {
    type Pending = Infallible;
    type Hash = Infallible;

    fn query(&self) -> Query {
        match *self {}
    }

    fn decide(&self, _: &Basis<'_>, _: Records) -> Decided {
        match *self {}
    }
}

impl Endpoint for Ready {
    const DESCRIPTION: Description =
        Description::new("Tells whether the store can be read and can commit").answers::<Health>(200);

    fn parse(_: &Call<'_>) -> Result<Self, Reply> {
        Ok(Self)
    }
}

impl ParsedRequest for Ready {
    type Pending = Probe;
    type Hash = Infallible;

    fn query(&self) -> Query {
        Query::Generation
    }

    fn decide(&self, basis: &Basis<'_>, records: Records) -> Decided<Probe> {
        let Records::Generation = records else { return Err(basis.ctx.internal()) };
        Ok(Next::commit(vec![Change::Probe], Probe))
    }
}

impl Pending for Probe {
    fn applied(self, ctx: &Context, engine: &Engine) -> Reply {
        if !engine.can_sign(None) {
            return ctx.unavailable();
        }
        let warnings: Vec<_> = ctx.inputs.warnings.iter().map(Warning::as_str).collect();
        let warnings = Some(warnings).filter(|warnings| !warnings.is_empty());
        Response::json(200, &Health { status: "ready", warnings }).into()
    }

    fn retries(&self) -> u8 {
        0
    }

    fn failed(self, ctx: &Context, _: Outcome) -> Reply {
        ctx.unavailable()
    }
}
