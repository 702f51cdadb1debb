//! `GET /healthz`: the process answers. `GET /readyz`: the store can be read and can commit, and there is a key to sign with.

use alloc::{vec, vec::Vec};

use serde::Serialize;

use crate::api::context::Context;
use crate::api::step::Step;
use crate::base::warning::Warning;
use crate::engine::Engine;
use crate::http::response::Response;
use crate::store::change::{Change, Outcome};
use crate::store::query::{Found, Query, Records};

#[derive(Serialize)]
struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<&'static str>,
}

pub(crate) fn alive() -> Step {
    Step::Reply(Response::json(200, &Health { status: "ok", warnings: Vec::new() }))
}

/// Waits for a snapshot.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct AwaitRecords {
    ctx: Context,
}

/// Waits for a commit that changes nothing.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Probing {
    ctx: Context,
}

pub(crate) fn ready(ctx: Context) -> Step {
    Step::read(Query::Generation, AwaitRecords { ctx })
}

impl AwaitRecords {
    pub(crate) const fn context(&self) -> &Context {
        &self.ctx
    }

    pub(crate) fn resume(self, found: &Found) -> Step {
        if found.records != Records::Generation {
            return Step::Reply(self.ctx.internal());
        }
        Step::commit(vec![Change::Probe], Probing { ctx: self.ctx })
    }
}

impl Probing {
    pub(crate) fn settle(self, engine: &Engine, outcome: Outcome) -> Step {
        Step::Reply(match outcome {
            Outcome::Applied if engine.can_sign() => {
                let warnings = self.ctx.inputs.warnings.iter().map(Warning::as_str).collect();
                Response::json(200, &Health { status: "ready", warnings })
            }
            Outcome::Applied | Outcome::Conflict | Outcome::NotApplied | Outcome::Unknown => {
                self.ctx.unavailable()
            }
        })
    }
}
