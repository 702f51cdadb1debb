//! An open store as an administrator's commands see it.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Write as _};
use std::sync::Arc;

use gatepass_core::admin::{self, AdminError, Administrator, Decision, Operation, OperationInputs};
use gatepass_core::base::time::Time;
use gatepass_core::settings::Settings;
use gatepass_core::store::page::{MAX_PAGE, Page, PageQuery};
use gatepass_core::store::query::{Query, Records};

use super::Backend;
use crate::clock::{ClockStatus, FAR_AHEAD};
use crate::error::{OperationError, ProgramError};
use crate::secrets::random::request_inputs;

/// An open store, and its time.
#[derive(Debug)]
pub struct AdminSession {
    /// The store.
    pub store: Arc<dyn Backend>,
    /// The time, never behind the store's mark.
    pub now: Time,
    /// The clocks that `now` is from.
    pub clock: ClockStatus,
    /// The core's settings.
    pub settings: Settings,
}

impl AdminSession {
    /// Makes a session over `store`, at the time of `clock`.
    pub const fn new(store: Arc<dyn Backend>, clock: ClockStatus, settings: Settings) -> Self {
        Self { store, now: clock.now, clock, settings }
    }

    /// Runs an administration operation.
    ///
    /// # Errors
    /// [`OperationError`] says what stands against it.
    pub fn run<O: Operation>(&self, operation: O) -> Result<O::Output, OperationError> {
        let kept = Kept { operation, output: RefCell::new(None) };
        self.drive(&kept)?;
        kept.output.into_inner().ok_or(OperationError::Refused(AdminError::Internal))
    }

    /// Drives an operation. It is compiled once, and not for each operation.
    fn drive(&self, operation: &dyn Operation<Output = ()>) -> Result<(), OperationError> {
        let inputs = request_inputs(&self.clock).map_err(ProgramError::from)?;
        let mut step = admin::begin(operation, Administrator::Machine, inputs);
        loop {
            step = match step {
                admin::Step::Read(read) => {
                    let found = self.store.find(read.query()).map_err(ProgramError::from)?;
                    read.resume(&self.settings, found)
                }
                admin::Step::HashPassword(hash) => hash.run(&self.settings),
                admin::Step::Commit(commit) => {
                    let outcome = self.store.commit(commit.changes());
                    commit.settle(outcome)
                }
                admin::Step::Done(result) => return result.map_err(OperationError::Refused),
            }
        }
    }

    /// Runs an operation that lists something, page by page, and gives every record to `each`. No transaction is open
    /// meanwhile.
    ///
    /// # Errors
    /// If a page cannot be read, or `each` fails.
    pub fn pages<O: Operation<Output = Page<T>>, T>(
        &self,
        list: impl Fn(PageQuery) -> O,
        mut each: impl FnMut(T) -> Result<(), ProgramError>,
    ) -> Result<(), ProgramError> {
        let mut query = PageQuery::first();
        loop {
            let page = self.run(list(query))?;
            page.items.into_iter().try_for_each(&mut each)?;
            match page.next {
                None => return Ok(()),
                after => query = PageQuery::new(after, MAX_PAGE),
            }
        }
    }

    /// Tells on stderr that the wall clock is over an hour off the mark, if it is.
    pub fn warn_of_clock(&self) {
        if let Some(warning) = self.clock_warning() {
            // A closed stderr cannot be reported.
            let _ = writeln!(io::stderr(), "gatepass: {warning}");
        }
    }

    /// Returns a warning that the wall clock is over an hour off the mark, if it is.
    fn clock_warning(&self) -> Option<String> {
        let ClockStatus { wall, mark, behind, ahead, .. } = self.clock;
        let way_out = "set the clock if it is wrong, or run `gatepass clock reset` if the mark is";
        if ahead.is_some() {
            return Some(format!(
                "the wall clock ({wall}) is over an hour ahead of the mark ({mark}); what this command writes bears the wall \
                 clock's time: {way_out}"
            ));
        }
        behind.filter(|seconds| *seconds > FAR_AHEAD).map(|_| {
            format!(
                "the wall clock ({wall}) is over an hour behind the mark ({mark}); what this command writes bears the mark's \
                 time: {way_out}"
            )
        })
    }
}

/// An operation whose result is kept aside, so that one driver does for all.
struct Kept<O: Operation> {
    operation: O,
    output: RefCell<Option<O::Output>>,
}

impl<O: Operation> fmt::Debug for Kept<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.operation.fmt(f)
    }
}

impl<O: Operation> Operation for Kept<O> {
    type Output = ();

    fn query(&self) -> Query {
        self.operation.query()
    }

    fn decide(&self, inputs: &OperationInputs<'_>, records: &Records) -> Result<Decision<()>, AdminError> {
        let decision = self.operation.decide(inputs, records)?;
        Ok(decision.map(|output| drop(self.output.replace(Some(output)))))
    }
}
