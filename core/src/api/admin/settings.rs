//! `/admin/v1/settings`: the configuration that holds, and where each value comes from.

use alloc::vec::Vec;

use crate::admin::{AdminError, Decision, Operation, OperationInputs};
use crate::api::admin::AdminEndpoint;
use crate::api::admin::answer::page;
use crate::api::admin::call::AdminCall;
use crate::api::context::Context;
use crate::api::description::Description;
use crate::api::server_status::ServerSetting;
use crate::api::task::{TaskAnswer, TaskRequest};
use crate::http::request_error::RequestError;
use crate::http::response::Response;
use crate::http::shape::{Nullable, answer};
use crate::records::role::{Role, Roles};
use crate::store::page::Page;
use crate::store::query::{Query, Records};

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
        /// True if another value holds from the next start on.
        needs_restart: bool = false,
    }
}

/// Shows the configuration that holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ShowSettings {
    settings: Option<Vec<ServerSetting>>,
}

impl Operation for ShowSettings {
    type Output = Vec<ServerSetting>;

    fn query(&self) -> Query {
        Query::Generation
    }

    fn decide(
        &self,
        _: &OperationInputs<'_>,
        _: &Records,
    ) -> Result<Decision<Vec<ServerSetting>>, AdminError> {
        self.settings.clone().map(Decision::Done).ok_or(AdminError::Overloaded)
    }
}

impl AdminEndpoint for ShowSettings {
    const ROLES: Roles = Roles::of(&[Role::Officer, Role::Auditor]);
    const DESCRIPTION: Description =
        Description::new("Shows the configuration that holds").answers_page::<ShownSetting<'_>>();

    fn parse(_: &AdminCall<'_>) -> Result<Self, RequestError> {
        Ok(Self { settings: None })
    }

    fn task(&self) -> Option<TaskRequest> {
        Some(TaskRequest::Settings)
    }

    fn take_answer(&mut self, answer: TaskAnswer) {
        if let TaskAnswer::Settings(settings) = answer {
            self.settings = Some(settings);
        }
    }

    fn respond(_: &Context, items: Vec<ServerSetting>) -> Response {
        // As many as there are keys.
        page(&Page { items, next: None }, |setting| ShownSetting {
            key: &setting.key,
            value: Nullable(setting.value.as_deref()),
            source: setting.source.as_str(),
            line: Nullable(setting.source.line()),
            from: &setting.from,
            needs_restart: setting.needs_restart,
        })
    }
}
