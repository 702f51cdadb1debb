//! `gatepass check`: whether the database, the audit chain and the keys are whole.

use super::context::Context;
use super::failure::Failure;
use super::output::Record;

pub(super) fn run(context: &Context) -> Result<(), Failure> {
    let report = context.site()?.store.check()?;
    let whole = report.is_sound();
    let rows = report.audit.as_ref().map(|verdict| verdict.rows);
    let found = Record::new().with("ok", whole).with("keys", report.keys).with("audit_rows", rows);
    context.out.one(&found.with("problems", report.problems))?;
    if whole { Ok(()) } else { Err(Failure::Answered) }
}
