//! `/admin/v1/settings`: the configuration that holds, and where each value comes from.

use alloc::vec::Vec;

use crate::api::admin::answer::all;
use crate::api::admin::call::AdminCall;
use crate::api::admin::task_operation::{TaskEndpoint, TaskOperation};
use crate::api::context::Context;
use crate::api::description::Description;
use crate::api::server_status::ServerSetting;
use crate::api::task::{TaskAnswer, TaskRequest};
use crate::http::request_error::RequestError;
use crate::http::response::Response;
use crate::http::shape::{Nullable, answer};
use crate::records::role::{Role, Roles};

answer! {
    /// A key of the configuration.
    struct ShownSetting<'a> {
        /// The key.
        key: &'a str = "lifetimes.ticket",
        /// The value as it was written; `(hidden)` for a secret, null where there is none.
        value: Nullable<&'a str> = "5m",
        /// `default`, `file`, `environment` or `flag`.
        source: &'a str = "file",
        /// The line of the file.
        line: Nullable<u64> = 12,
        /// The place that the value comes from, for people.
        from: &'a str = "gatepass.toml line 12",
        /// True if a change of it holds from the next start on.
        needs_restart: bool = false,
    }
}

/// Shows the configuration that holds.
pub(crate) type ShowSettings = TaskOperation<Vec<ServerSetting>>;

impl TaskEndpoint for Vec<ServerSetting> {
    const ROLES: Roles = Roles::of(&[Role::Officer, Role::Auditor]);
    const DESCRIPTION: Description =
        Description::new("Shows the configuration that holds").answers_page::<ShownSetting<'_>>();

    fn parse(_: &AdminCall<'_>) -> Result<TaskRequest, RequestError> {
        Ok(TaskRequest::Settings)
    }

    fn of(answer: TaskAnswer) -> Option<Self> {
        if let TaskAnswer::Settings(settings) = answer { Some(settings) } else { None }
    }

    fn respond(self, _: &Context) -> Response {
        all(&self, |setting| ShownSetting {
            key: &setting.key,
            value: Nullable(setting.value.as_deref()),
            source: setting.source.as_str(),
            line: Nullable(setting.source.line()),
            from: &setting.from,
            needs_restart: setting.needs_restart,
        })
    }
}
