//! `gatepass audit`: the audit log.

use std::io;
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use gatepass_core::admin::AdminError;
use gatepass_core::admin::users::ShowUser;
use gatepass_core::base::time::Time;
use gatepass_core::records::id::{ClientId, UserId};
use gatepass_core::records::request_id::RequestId;
use gatepass_core::records::risk::Assessment;
use gatepass_core::records::role::Roles;
use gatepass_core::store::archive_request::ArchiveRequest;
use gatepass_core::store::audit::{Kind, Refusal};
use serde_json::{Map, Value, json};

use super::context::Context;
use super::edit::{named, role_words};
use super::follow::{Follow, Waited};
use super::progress::Progress;
use crate::config::value::span;
use crate::error::{OperationError, ProgramError};
use crate::output::Record;
use crate::store::{
    AdminSession, Archived, AuditFilter, AuditOrder, AuditRow, AuditSpan, BackendExt as _, RefusalFilter,
    StoreError,
};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List the events, the oldest first
    List(Box<List>),
    /// Verify that no row was changed, added or removed; exit code 1 if one was
    Verify {
        /// Verify this file, written by `gatepass audit archive`, instead
        #[arg(long, value_name = "FILE")]
        archive: Option<PathBuf>,
    },
    /// Write the rows that are not archived yet to a file of JSON lines; audit_retention may then delete them
    Archive {
        /// The file to create; it must not exist
        file: PathBuf,
        /// Only rows before this time: a time (2026-01-31T12:00:00Z) or an age (7d, 90d)
        #[arg(long, value_name = "T")]
        before: Option<String>,
    },
}

/// The events that are listed: those for which every filter holds.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Only events about this user, or in which this user acted, asked or administered: an id or a name
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// Only events about this client, about tickets that it issued, or of which it was the administrator
    #[arg(long, value_name = "ID", value_parser = ClientId::parse)]
    client: Option<ClientId>,
    /// Only events of this kind, such as ticket.refused; may be repeated
    #[arg(long = "kind", value_name = "KIND", value_parser = kinds(), hide_possible_values = true)]
    kinds: Vec<String>,
    /// Only refusals for this reason, such as ticket-spent, or `any`
    #[arg(long, value_name = "REASON", value_parser = reasons(), hide_possible_values = true)]
    refusal: Option<String>,
    /// Only events of the request with this X-Request-Id
    #[arg(long, value_name = "ID", value_parser = RequestId::parse)]
    request: Option<RequestId>,
    /// Only events from this time on: a time (2026-01-31T12:00:00Z) or an age (90s, 5m, 2h, 7d)
    #[arg(long, value_name = "T")]
    since: Option<String>,
    /// Only events before this time: a time or an age
    #[arg(long, value_name = "T")]
    until: Option<String>,
    /// Only the latest N of them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: Option<u16>,
    /// Go on with new events until SIGINT; `--json` prints one object a line
    #[arg(long, conflicts_with = "until")]
    follow: bool,
}

/// The word for refusals of whatever reason.
const ANY: &str = "any";

/// Returns a parser of a kind, which suggests the right one.
fn kinds() -> PossibleValuesParser {
    PossibleValuesParser::new(Kind::ALL.iter().map(|kind| kind.as_str()))
}

/// Returns a parser of a reason, which suggests the right one.
fn reasons() -> PossibleValuesParser {
    PossibleValuesParser::new(Refusal::ALL.iter().map(|refusal| refusal.as_str()).chain([ANY]))
}

impl List {
    fn filter(&self, admin: &AdminSession) -> Result<AuditFilter, ProgramError> {
        let time =
            |flag, text: &Option<String>| text.as_ref().map(|text| when(flag, text, admin.now)).transpose();
        let refusal = self.refusal.as_deref();
        Ok(AuditFilter {
            user: self.user.as_deref().map(|who| user(admin, who)).transpose()?,
            client: self.client.clone(),
            kinds: self.kinds.iter().filter_map(|kind| Kind::parse(kind)).collect(),
            refusal: refusal
                .map(|reason| Refusal::parse(reason).map_or(RefusalFilter::Any, RefusalFilter::For)),
            request: self.request.clone(),
            since: time("--since", &self.since)?,
            until: time("--until", &self.until)?,
        })
    }
}

/// Returns the id of the user called `who`. The rows of one who was deleted are found by id.
fn user(admin: &AdminSession, who: &str) -> Result<UserId, ProgramError> {
    match admin.run(ShowUser { user: named(who) }) {
        Ok(user) => Ok(user.id),
        Err(OperationError::Refused(AdminError::NotFound(_))) if who.starts_with("usr_") => {
            UserId::parse(who).map_err(|bad| ProgramError::usage(format!("--user {who:?}: {bad}")))
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) fn run(context: &Context, verb: Verb) -> Result<(), ProgramError> {
    match verb {
        Verb::List(list) => {
            let admin = context.reading()?;
            let filter = list.filter(&admin)?;
            if list.follow {
                return follow(context, &admin, &filter, list.limit);
            }
            let mut rows = context.out.lines()?;
            let mut print =
                |row: AuditRow| Ok::<_, ProgramError>(rows.print(record(&row, context.out.json))?);
            match list.limit {
                None => admin.store.audit(&filter, print)?,
                Some(limit) => {
                    admin.store.latest_audit(&filter, limit.into())?.into_iter().try_for_each(&mut print)?;
                }
            }
            Ok(rows.end()?)
        }
        Verb::Verify { archive: None } => {
            let verdict = context.reading()?.store.verify_audit()?;
            let broken = verdict.fault();
            let holds = broken.is_none();
            context
                .out
                .one(&Record::new().with("valid", holds).with("rows", verdict.rows).with("broken", broken))?;
            if holds { Ok(()) } else { Err(ProgramError::Answered) }
        }
        Verb::Verify { archive: Some(file) } => {
            let (archived, broken) = match context.reading()?.store.read_archive(&file) {
                Ok(archived) => (Some(archived), None),
                Err(StoreError::BadArchive { problem, .. }) => (None, Some(problem)),
                Err(error) => return Err(error.into()),
            };
            let holds = broken.is_none();
            let verdict = Record::new()
                .with("valid", holds)
                .with("rows", archived.as_ref().map(Archived::rows))
                .with("first", archived.as_ref().map(|archived| archived.first))
                .with("last", archived.as_ref().map(|archived| archived.last))
                .with("head", archived.as_ref().map(|archived| archived.head.clone()))
                .with("bytes", archived.as_ref().map(|archived| archived.bytes))
                .with("sha256", archived.map(|archived| archived.sha256))
                .with("broken", broken);
            context.out.one(&verdict)?;
            if holds { Ok(()) } else { Err(ProgramError::Answered) }
        }
        Verb::Archive { file, before } => {
            if *file == *Path::new("-") {
                return Err(ProgramError::usage(
                    "an archive is read back before its rows may go: name a file, not -".to_owned(),
                ));
            }
            let admin = context.writing()?;
            let before = before.map(|text| when("--before", &text, admin.now)).transpose()?;
            let mut progress = Progress::new(context.out);
            let request = ArchiveRequest::new(before, admin.now);
            let made = admin.store.archive_audit(Some(&file), &request, &mut |phase, done| {
                progress.show(phase, done);
            });
            drop(progress);
            let archived = made?;
            Ok(context.out.one(
                &Record::new()
                    .with("file", file.display().to_string())
                    .with("rows", archived.rows())
                    .with("first", archived.first)
                    .with("last", archived.last)
                    .with("head", archived.head)
                    .with("bytes", archived.bytes)
                    .with("sha256", archived.sha256),
            )?)
        }
    }
}

/// Prints the rows that are asked for, all or the latest, and then those that are added, until it is stopped or nobody reads.
fn follow(
    context: &Context,
    admin: &AdminSession,
    filter: &AuditFilter,
    limit: Option<u16>,
) -> Result<(), ProgramError> {
    let mut wait = Follow::new()?;
    let json = context.out.json;
    let mut rows = context.out.stream();
    let every = AuditFilter::default();
    let last = |span: Option<AuditSpan>| span.map_or(0, |span| *span.end());
    // What comes while the first rows are read is among the next.
    let mut seen = last(admin.store.audit_span(&every)?);
    let first = admin.store.audit_span(filter)?.map(|span| *span.start()..=seen.min(*span.end()));
    match (first.filter(|span| !span.is_empty()), limit) {
        (None, _) => {}
        (Some(span), None) => print_span(admin, filter, span, &mut |row| rows.print(&record(&row, json)))?,
        (Some(_), Some(limit)) => {
            let latest = admin.store.latest_audit(filter, limit.into())?.into_iter();
            for row in latest.filter(|row| row.seq <= seen) {
                rows.print(&record(&row, json))?;
            }
        }
    }
    loop {
        rows.flush()?;
        if wait.wait()? == Waited::Over {
            return Ok(());
        }
        let newest = last(admin.store.audit_span(&every)?);
        if newest > seen {
            print_span(admin, filter, seen + 1..=newest, &mut |row| rows.print(&record(&row, json)))?;
            seen = newest;
        }
    }
}

/// Calls `print` with the rows of `span` that are asked for, oldest first, page by page.
fn print_span(
    admin: &AdminSession,
    filter: &AuditFilter,
    span: AuditSpan,
    print: &mut dyn FnMut(AuditRow) -> io::Result<()>,
) -> Result<(), ProgramError> {
    let mut rest = Some(span);
    while let Some(span) = rest {
        let page = admin.store.audit_page(filter, &span, AuditOrder::OldestFirst)?;
        page.rows.into_iter().try_for_each(&mut *print)?;
        rest = page.rest;
    }
    Ok(())
}

/// Returns a risk as an object for `--json`, and as one line otherwise.
fn judged(risk: &Assessment, json: bool) -> Value {
    if !json {
        return Value::from(risk.to_string());
    }
    let signals: Map<String, Value> =
        risk.signals.iter().map(|(signal, weight)| (signal.as_str().into(), Value::from(*weight))).collect();
    json!({"score": risk.score, "level": risk.level.as_str(), "signals": signals})
}

/// Returns roles as an array for `--json`, and as one word otherwise.
fn held(roles: Roles, json: bool) -> Value {
    if json { Value::from(role_words(roles)) } else { Value::from(roles.to_string()) }
}

fn record(row: &AuditRow, json: bool) -> Record {
    let event = &row.event;
    Record::new()
        .with("seq", row.seq)
        .with("at", event.at.rfc3339())
        .with("kind", event.kind.as_str())
        .with("subject", event.subject.as_ref().map(|id| id.as_str()))
        .with("actor", event.actor.as_ref().map(|id| id.as_str()))
        .with("client", event.client.as_ref().map(|id| id.as_str()))
        .with("ticket", event.ticket.as_ref().map(|id| id.as_str()))
        .with("issuer", event.issuer.as_ref().map(|id| id.as_str()))
        .with("issuer_user", event.issuer_user.as_ref().map(|id| id.as_str()))
        .with("session", event.session.as_ref().map(|id| id.as_str()))
        .with("key", event.key.clone())
        .with("address", event.address.map(|address| address.to_string()))
        .with("stated_by", event.stated_by.as_ref().map(|id| id.as_str()))
        .with("peer", event.peer.map(|peer| peer.to_string()))
        .with("refusal", event.refusal.map(Refusal::as_str))
        .with("reason", event.reason.clone())
        .with("risk", event.risk.as_ref().map_or(Value::Null, |risk| judged(risk, json)))
        .with("count", event.count)
        .with("request", event.request.as_ref().map(|id| id.as_str()))
        .with("sent_request", event.sent_request.as_ref().map(|id| id.as_str()))
        .with("operator", event.operator.clone())
        .with("by_user", event.by_user.as_ref().map(|id| id.as_str()))
        .with("by_client", event.by_client.as_ref().map(|id| id.as_str()))
        .with("roles", event.roles.map_or(Value::Null, |roles| held(roles, json)))
}

/// Reads a time, or how long ago it was at `now`.
fn when(flag: &str, text: &str, now: Time) -> Result<Time, ProgramError> {
    let ago = || span(text).map(|span| Time::from_unix(now.unix().saturating_sub(span.as_secs())));
    Time::of_rfc3339(text).or_else(ago).ok_or_else(|| {
        ProgramError::usage(format!(
            "{flag} {text:?} is neither a time like 2026-01-31T12:00:00Z nor a span like 2h or 7d"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(when("--since", "2h", Time::from_unix(10_000)).unwrap(), Time::from_unix(2_800));
        assert_eq!(when("--since", "7d", Time::from_unix(10_000)).unwrap(), Time::from_unix(0));
        assert!(when("--since", "yesterday", Time::from_unix(10_000)).is_err());
    }
}
