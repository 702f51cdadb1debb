//! `gatepass check`: finds what is wrong with an installation, and what to do.

use gatepass_core::base::time::Time;
use serde_json::{Value, json};

use super::context::Context;
use crate::error::ProgramError;
use crate::output::{Record, harmless};
use crate::store::{self, Finding};

pub(super) fn run(context: &Context) -> Result<(), ProgramError> {
    let installation = context.installation()?;
    let report = store::check(&installation);
    let sound = report.is_sound();
    let rows = report.audit.as_ref().map(|verdict| verdict.rows);
    let generation = report.generation;
    let record = Record::new()
        .with("ok", sound)
        .with("engine", installation.engine())
        .with("database", installation.records().display().to_string())
        .with("schema", report.schema)
        .with("generation", generation.map(|generation| generation.number))
        .with("generation_at", generation.map(|generation| Time::rfc3339(generation.made_at)))
        .with("keys", report.keys)
        .with("audit_rows", rows);
    if context.out.json {
        let findings: Vec<Value> = report.findings.iter().map(finding).collect();
        context.out.one(&record.with("findings", findings))?;
    } else {
        context.out.one(&record)?;
        for Finding { code, severity, what, way_out } in &report.findings {
            let (what, way_out) = (harmless(what), harmless(way_out));
            context.out.say(&format!("\n{} {code}: {what}\n  -> {way_out}", severity.as_str()))?;
        }
    }
    if sound { Ok(()) } else { Err(ProgramError::Answered) }
}

fn finding(finding: &Finding) -> Value {
    let Finding { code, severity, what, way_out } = finding;
    json!({"code": code, "severity": severity.as_str(), "what": what, "way_out": way_out})
}
