//! A refusal of something that exists: written down before it is told.

use alloc::vec;

use crate::api::step::Step;
use crate::http::response::Response;
use crate::store::audit::Event;
use crate::store::change::{Change, Outcome};

/// Waits for the row of a refusal. The refusal holds whether or not it could be recorded.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Recorded {
    response: Response,
}

/// Records `event`, then answers `response`.
pub(crate) fn record(event: Event, response: Response) -> Step {
    Step::commit(vec![Change::Audit(event)], Recorded { response })
}

impl Recorded {
    pub(crate) fn settle(self, _outcome: Outcome) -> Step {
        Step::Reply(self.response)
    }
}
