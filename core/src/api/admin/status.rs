//! `/admin/v1/status`: how the server is.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::api::admin::answer::shown;
use crate::api::admin::call::AdminCall;
use crate::api::admin::task_operation::{TaskEndpoint, TaskOperation};
use crate::api::context::Context;
use crate::api::description::Description;
use crate::api::server_status::ServerStatus;
use crate::api::task::{TaskAnswer, TaskRequest};
use crate::base::time::Time;
use crate::base::warning::Warning;
use crate::http::request_error::RequestError;
use crate::http::response::Response;
use crate::http::shape::{Nullable, answer};
use crate::records::role::Roles;

answer! {
    /// The status of the server.
    struct ShownStatus<'a> {
        /// The version.
        version: &'a str = "0.1.0",
        /// The seconds since the start.
        uptime: u64 = 86400,
        /// The clocks.
        clock: ShownClock,
        /// The store.
        store: ShownStore<'a>,
        /// The end of the audit chain.
        audit: ShownChain<'a>,
        /// The warnings, as in the answer of `/readyz`.
        warnings: Vec<&'a str>,
    }
}

answer! {
    /// The clocks of the server.
    struct ShownClock {
        /// The time that counts.
        now: String [format("date-time")],
        /// The wall clock.
        wall: String [format("date-time")],
        /// The latest time that is trusted.
        mark: String [format("date-time")],
        /// The seconds that the wall clock is behind, and does not count; null where it is not.
        behind: Nullable<u64>,
        /// The seconds that the wall clock has jumped ahead of the mark; null where it has not.
        ahead: Nullable<u64>,
    }
}

answer! {
    /// The store of the server.
    struct ShownStore<'a> {
        /// The name of the engine: sqlite or postgresql.
        engine: &'a str = "sqlite",
        /// The place of the records: a file, or the address of a database.
        database: &'a str = "/var/lib/gatepass/gatepass.db",
        /// The size of the database without its log, in bytes.
        database_bytes: u64 = 4096000,
        /// The size of the write-ahead log, in bytes.
        log_bytes: u64 = 103032,
        /// True while the disk is full, and only what ends or counts something is written.
        disk_full: bool = false,
        /// True while older files that are put back would be noticed.
        rollback_covered: bool = true,
        /// The time of the last backup; null if there was none.
        last_backup: Nullable<String> [format("date-time")],
    }
}

answer! {
    /// The end of the audit chain. Kept elsewhere, it shows later whether rows were cut off or altered.
    struct ShownChain<'a> {
        /// The number of the last row.
        rows: u64 = 4711,
        /// The link of that row, in hexadecimal digits.
        head: &'a str,
    }
}

/// Shows the status of the server.
pub(crate) type ShowStatus = TaskOperation<Box<ServerStatus>>;

impl TaskEndpoint for Box<ServerStatus> {
    const ROLES: Roles = Roles::ALL;
    const DESCRIPTION: Description =
        Description::new("Shows the status of the server").answers::<ShownStatus<'_>>(200);

    fn parse(_: &AdminCall<'_>) -> Result<TaskRequest, RequestError> {
        Ok(TaskRequest::Status)
    }

    fn of(answer: TaskAnswer) -> Option<Self> {
        if let TaskAnswer::Status(status) = answer { Some(status) } else { None }
    }

    fn respond(self, ctx: &Context) -> Response {
        let (rows, head) = &self.chain_head;
        shown(&ShownStatus {
            version: &self.version,
            uptime: self.uptime,
            clock: ShownClock {
                now: self.now.rfc3339(),
                wall: self.wall.rfc3339(),
                mark: self.mark.rfc3339(),
                behind: Nullable(self.clock_behind),
                ahead: Nullable(self.clock_ahead),
            },
            store: ShownStore {
                engine: &self.engine,
                database: &self.database,
                database_bytes: self.database_bytes,
                log_bytes: self.log_bytes,
                disk_full: self.disk_full,
                rollback_covered: self.rollback_covered,
                last_backup: Nullable(self.last_backup.map(Time::rfc3339)),
            },
            audit: ShownChain { rows: *rows, head },
            warnings: ctx.inputs.warnings.iter().map(Warning::as_str).collect(),
        })
    }
}
