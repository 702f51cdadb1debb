//! `GET /healthz`: the process answers. `GET /readyz`: the store can be read and can commit, and there is a key to sign with.

use alloc::{vec, vec::Vec};
use core::convert::Infallible;

use serde::Serialize;

use crate::api::context::Context;
use crate::api::endpoint::{Basis, Call, Decided, Endpoint, Next, Pending};
use crate::api::reply::Reply;
use crate::base::warning::Warning;
use crate::engine::Engine;
use crate::http::response::Response;
use crate::store::change::{Change, Outcome};
use crate::store::query::{Query, Records};

#[derive(Serialize)]
struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<&'static str>,
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
    type Pending = Infallible;
    type Hash = Infallible;

    fn parse(_: &Call<'_>) -> Result<Self, Reply> {
        Err(Response::json(200, &Health { status: "ok", warnings: Vec::new() }).into())
    }

    fn query(&self) -> Query {
        match *self {}
    }

    fn decide(&self, _: &Basis<'_>, _: Records) -> Decided {
        match *self {}
    }
}

impl Endpoint for Ready {
    type Pending = Probe;
    type Hash = Infallible;

    fn parse(_: &Call<'_>) -> Result<Self, Reply> {
        Ok(Self)
    }

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
        let warnings = ctx.inputs.warnings.iter().map(Warning::as_str).collect();
        Response::json(200, &Health { status: "ready", warnings }).into()
    }

    fn retries(&self) -> u8 {
        0
    }

    fn failed(self, ctx: &Context, _: Outcome) -> Reply {
        ctx.unavailable()
    }
}
