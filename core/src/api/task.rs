//! Tasks: what an administrator asks for, and only the driver can do or knows.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::admin::AdminError;
use crate::api::endpoint::Flow;
use crate::api::routes::AwaitRecords;
use crate::api::server_status::{
    AuditArchive, AuditPage, AuditSearch, ChainVerdict, ServerSetting, ServerStatus,
};
use crate::api::step::Step;
use crate::crypto::algorithm::Algorithm;
use crate::engine::Engine;
use crate::jose::key::SigningKey;
use crate::store::archive_request::ArchiveRequest;
use crate::store::query::Found;

/// A task. Whoever asks for it has been authorized.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TaskRequest {
    /// Make a new private key for this algorithm. For RSA that takes seconds.
    MakeKey(Algorithm),
    /// Tell the metrics of the server, as text (OpenMetrics 1.0).
    Metrics,
    /// Tell the status of the server.
    Status,
    /// Tell every key of the configuration, with the value that holds. Secrets are hidden.
    Settings,
    /// Look for audit rows.
    Audit(Box<AuditSearch>),
    /// Verify the audit chain. That takes long where it is long.
    VerifyAudit,
    /// Write audit rows to a new file whose place and name the server chooses. That takes long where they are many.
    ArchiveAudit(Box<ArchiveRequest>),
}

/// The result of a task.
#[derive(Debug)]
#[non_exhaustive]
pub enum TaskAnswer {
    /// For [`TaskRequest::MakeKey`].
    Key(Box<SigningKey>),
    /// For [`TaskRequest::Metrics`].
    Metrics(String),
    /// For [`TaskRequest::Status`].
    Status(Box<ServerStatus>),
    /// For [`TaskRequest::Settings`].
    Settings(Vec<ServerSetting>),
    /// For [`TaskRequest::Audit`].
    Audit(AuditPage),
    /// For [`TaskRequest::VerifyAudit`].
    AuditVerified(ChainVerdict),
    /// For [`TaskRequest::ArchiveAudit`].
    AuditArchived(AuditArchive),
    /// The task was not done, for this reason.
    Failed(AdminError),
}

/// A flow that waits for a task. A task may take long: run it where no other request waits for it.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
#[must_use = "resume it with the answer, or refuse it"]
pub struct Task {
    pub(crate) request: TaskRequest,
    pub(crate) found: Found,
    pub(crate) flow: Flow<AwaitRecords>,
}

impl TaskRequest {
    /// Returns true if it takes seconds of a processor. The others are over at once.
    pub const fn is_long(&self) -> bool {
        match self {
            Self::MakeKey(_) | Self::VerifyAudit | Self::ArchiveAudit(_) => true,
            Self::Metrics | Self::Status | Self::Settings | Self::Audit(_) => false,
        }
    }
}

impl Task {
    /// Returns what to do.
    pub const fn request(&self) -> &TaskRequest {
        &self.request
    }

    /// Goes on with the answer.
    pub fn resume(self, engine: &Engine, answer: TaskAnswer) -> Step {
        self.flow.take_answer(answer).resume_any(engine, self.found)
    }

    /// Replies with 503: the task cannot be done here or now, and nothing has been changed.
    pub fn refuse(self) -> Step {
        Step::reply(&self.flow.ctx, self.flow.ctx.unavailable())
    }
}
