//! `/admin/v1/audit`: the audit log.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::Value;

use crate::api::admin::AUDITOR;
use crate::api::admin::answer::{page, shown};
use crate::api::admin::call::{AdminCall, PageParameters};
use crate::api::admin::task_operation::{TaskEndpoint, TaskOperation};
use crate::api::context::Context;
use crate::api::description::Description;
use crate::api::server_status::{AuditArchive, AuditPage, AuditSearch, ChainVerdict};
use crate::api::task::{TaskAnswer, TaskRequest};
use crate::base::time::Time;
use crate::http::detail::Detail;
use crate::http::problem::Problem;
use crate::http::request_error::RequestError;
use crate::http::response::Response;
use crate::http::shape::{Nullable, answer, body};
use crate::records::id::{ClientId, UserId};
use crate::records::request_id::RequestId;
use crate::records::role::{Role, Roles};
use crate::store::archive_request::ArchiveRequest;
use crate::store::audit::{Event, Kind, Refusal};
use crate::store::audit_filter::{AuditFilter, RefusalFilter};
use crate::store::page::{Cursor, Page};

/// The word for refusals of whatever reason.
const ANY: &str = "any";

/// The rule of a time, in English and in Chinese.
const TIME: (&str, &str) =
    ("must be a time like 2026-01-31T12:00:00Z", "须为 2026-01-31T12:00:00Z 形式的时间");

body! {
    /// The events to be listed: those for which all that is given holds.
    struct ListEventsQuery {
        /// The id of a user whom they are about, who acted, who administered, or whose token asked.
        user: Option<UserId>,
        /// A client that is involved, that issued the ticket, or that administered.
        client: Option<ClientId>,
        /// Their kind; several with commas between them.
        kind: Option<String> = "ticket.redeemed,ticket.refused",
        /// The reason of a refusal, or `any`.
        refusal: Option<String>,
        /// The id of the request, ours or the one that was sent.
        request: Option<String>,
        /// The time from which on they are.
        since: Option<String> [format("date-time")] = "2026-01-31T12:00:00Z",
        /// The time before which they are.
        until: Option<String> [format("date-time")],
        ..page: PageParameters,
    }
}

answer! {
    /// An event of the audit log. What does not apply is null.
    struct ShownEvent<'a> {
        /// The number of its row.
        seq: u64 = 4711,
        /// The time.
        at: String [format("date-time")] = "2026-01-31T12:00:00Z",
        /// Its kind.
        kind: &'a str = "ticket.redeemed",
        /// The user it is about.
        subject: Nullable<&'a str>,
        /// The user who acted as the subject.
        actor: Nullable<&'a str>,
        /// The client involved.
        client: Nullable<&'a str>,
        /// The ticket it is about.
        ticket: Nullable<&'a str>,
        /// The client that issued the ticket.
        issuer: Nullable<&'a str>,
        /// The user whose token the issuer used.
        issuer_user: Nullable<&'a str>,
        /// The session it began or ended.
        session: Nullable<&'a str>,
        /// The id of the key it is about.
        key: Nullable<&'a str>,
        /// The address that the request came from.
        address: Nullable<String>,
        /// The client that stated the address.
        stated_by: Nullable<&'a str>,
        /// The address of that client.
        peer: Nullable<String>,
        /// The reason of a refusal.
        refusal: Nullable<&'a str>,
        /// The reason that a person gave.
        reason: Nullable<&'a str>,
        /// The risk of a sign-in: score, level, and the weight of each signal.
        risk: Value,
        /// The number of events that the row stands for.
        count: u32 = 1,
        /// The id of the request.
        request: Nullable<&'a str>,
        /// The id that its caller gave to the request.
        sent_request: Nullable<&'a str>,
        /// The user who administered.
        by_user: Nullable<&'a str>,
        /// The client that administered.
        by_client: Nullable<&'a str>,
        /// The user of the operating system who ran the command.
        operator: Nullable<&'a str>,
        /// The roles that somebody has since.
        roles: Nullable<Vec<&'a str>>,
    }
}

body! {
    /// The rows that are to be archived.
    struct ArchiveAuditBody {
        /// The time before which they are. Without it, they are all that no archive has yet.
        before: Option<String> [format("date-time")],
    }
}

answer! {
    /// A file of archived rows, in the directory of archives on the server.
    struct ShownArchive<'a> {
        /// The name of the file.
        file: &'a str = "audit-1-4711-20260131T120000Z.jsonl",
        /// The number of its rows.
        rows: u64 = 4711,
        /// The number of its first row.
        first: u64 = 1,
        /// The number of its last row.
        last: u64 = 4711,
        /// The link of its last row, in hexadecimal digits.
        head: &'a str,
        /// Its size in bytes.
        bytes: u64 = 2048000,
        /// Its SHA-256, in hexadecimal digits.
        sha256: &'a str,
    }
}

answer! {
    /// The result of verifying the audit chain.
    struct ShownVerdict<'a> {
        /// True if every row that is kept is as it was written, and none is missing.
        valid: bool = true,
        /// The number of rows that hold, from the first that is kept.
        rows: u64 = 4711,
        /// The first fault.
        broken: Nullable<&'a str>,
    }
}

fn shown_event<'a>(seq: u64, event: &'a Event) -> ShownEvent<'a> {
    let risk = event.risk.as_ref().map(|risk| {
        let signals: BTreeMap<&str, u8> =
            risk.signals.iter().map(|(signal, weight)| (signal.as_str(), *weight)).collect();
        serde_json::json!({"score": risk.score, "level": risk.level.as_str(), "signals": signals})
    });
    ShownEvent {
        seq,
        at: event.at.rfc3339(),
        kind: event.kind.as_str(),
        subject: Nullable(event.subject.as_ref().map(UserId::as_str)),
        actor: Nullable(event.actor.as_ref().map(UserId::as_str)),
        client: Nullable(event.client.as_ref().map(ClientId::as_str)),
        ticket: Nullable(event.ticket.as_ref().map(|id| id.as_str())),
        issuer: Nullable(event.issuer.as_ref().map(ClientId::as_str)),
        issuer_user: Nullable(event.issuer_user.as_ref().map(UserId::as_str)),
        session: Nullable(event.session.as_ref().map(|id| id.as_str())),
        key: Nullable(event.key.as_deref()),
        address: Nullable(event.address.map(|address| address.to_string())),
        stated_by: Nullable(event.stated_by.as_ref().map(ClientId::as_str)),
        peer: Nullable(event.peer.map(|peer| peer.to_string())),
        refusal: Nullable(event.refusal.map(Refusal::as_str)),
        reason: Nullable(event.reason.as_deref()),
        risk: risk.unwrap_or_default(),
        count: event.count,
        request: Nullable(event.request.as_ref().map(RequestId::as_str)),
        sent_request: Nullable(event.sent_request.as_ref().map(RequestId::as_str)),
        by_user: Nullable(event.by_user.as_ref().map(UserId::as_str)),
        by_client: Nullable(event.by_client.as_ref().map(ClientId::as_str)),
        operator: Nullable(event.operator.as_deref()),
        roles: Nullable(event.roles.map(|roles| roles.iter().map(Role::as_str).collect())),
    }
}

/// Returns the error of a parameter that breaks `rule`.
fn bad(name: &'static str, rule: (&str, &str)) -> RequestError {
    Problem::BadQuery.with(Detail::breaks_rule(name, rule).of_parameter()).about(name)
}

impl ListEventsQuery {
    fn search(self) -> Result<AuditSearch, RequestError> {
        let time = |name, text: Option<String>| {
            text.map(|text| Time::of_rfc3339(&text).ok_or_else(|| bad(name, TIME))).transpose()
        };
        let unknown = ("has a name that is unknown", "名称未知");
        let kinds = self.kind.iter().flat_map(|kinds| kinds.split(','));
        let kinds = kinds.map(|kind| Kind::parse(kind).ok_or_else(|| bad("kind", unknown)));
        let refusal = self.refusal.map(|reason| match Refusal::parse(&reason) {
            Some(refusal) => Ok(RefusalFilter::For(refusal)),
            None if reason == ANY => Ok(RefusalFilter::Any),
            None => Err(bad("refusal", unknown)),
        });
        let id = ("is no id", "不是标识");
        let request = self.request.map(|request| RequestId::parse(&request).map_err(|_| bad("request", id)));
        let page = self.page.page();
        let after = page.after.as_ref().map(|Cursor(text)| text.parse().map_err(|_| bad("after", id)));
        let filter = AuditFilter {
            user: self.user,
            client: self.client,
            kinds: kinds.collect::<Result<_, _>>()?,
            refusal: refusal.transpose()?,
            request: request.transpose()?,
            since: time("since", self.since)?,
            until: time("until", self.until)?,
        };
        Ok(AuditSearch { filter, after: after.transpose()?, limit: page.limit() })
    }
}

/// Lists events, oldest first.
pub(crate) type ListEvents = TaskOperation<AuditPage>;

impl TaskEndpoint for AuditPage {
    const ROLES: Roles = AUDITOR;
    const DESCRIPTION: Description = Description::new("Lists events of the audit log")
        .queries::<ListEventsQuery>()
        .answers_page::<ShownEvent<'_>>();

    fn parse(call: &AdminCall<'_>) -> Result<TaskRequest, RequestError> {
        let query: ListEventsQuery = call.query()?;
        Ok(TaskRequest::Audit(Box::new(query.search()?)))
    }

    fn of(answer: TaskAnswer) -> Option<Self> {
        if let TaskAnswer::Audit(found) = answer { Some(found) } else { None }
    }

    fn respond(self, _: &Context) -> Response {
        let next = self.next.map(|seq| Cursor(seq.to_string()));
        let found = Page { items: self.rows, next };
        page(&found, |(seq, event)| shown_event(*seq, event))
    }
}

/// Verifies the audit chain.
pub(crate) type VerifyAudit = TaskOperation<ChainVerdict>;

impl TaskEndpoint for ChainVerdict {
    const ROLES: Roles = AUDITOR;
    const DESCRIPTION: Description =
        Description::new("Verifies the audit log").answers::<ShownVerdict<'_>>(200);

    fn parse(_: &AdminCall<'_>) -> Result<TaskRequest, RequestError> {
        Ok(TaskRequest::VerifyAudit)
    }

    fn of(answer: TaskAnswer) -> Option<Self> {
        if let TaskAnswer::AuditVerified(verdict) = answer { Some(verdict) } else { None }
    }

    fn respond(self, _: &Context) -> Response {
        let ChainVerdict { rows, broken } = &self;
        shown(&ShownVerdict { valid: broken.is_none(), rows: *rows, broken: Nullable(broken.as_deref()) })
    }
}

/// Archives rows of the audit log.
pub(crate) type ArchiveAudit = TaskOperation<AuditArchive>;

impl TaskEndpoint for AuditArchive {
    const ROLES: Roles = AUDITOR;
    const DESCRIPTION: Description =
        Description::new("Writes rows of the audit log to a new file on the server, and records that")
            .takes::<ArchiveAuditBody>()
            .answers::<ShownArchive<'_>>(200)
            .refuses(&[Problem::InvalidValue, Problem::RecordRefuses]);

    fn parse(call: &AdminCall<'_>) -> Result<TaskRequest, RequestError> {
        let body: ArchiveAuditBody = call.json()?;
        let rule = || Problem::InvalidValue.with(Detail::breaks_rule("before", TIME)).about("before");
        let before = body.before.map(|text| Time::of_rfc3339(&text).ok_or_else(rule)).transpose()?;
        // Who asks, and when, is known once the caller is authorized.
        Ok(TaskRequest::ArchiveAudit(Box::new(ArchiveRequest::new(before, Time::default()))))
    }

    fn of(answer: TaskAnswer) -> Option<Self> {
        if let TaskAnswer::AuditArchived(archive) = answer { Some(archive) } else { None }
    }

    fn respond(self, _: &Context) -> Response {
        let AuditArchive { file, first, last, rows, head, bytes, sha256 } = &self;
        shown(&ShownArchive { file, rows: *rows, first: *first, last: *last, head, bytes: *bytes, sha256 })
    }
}
