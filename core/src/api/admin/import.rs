//! `/admin/v1/users:import`: many users in one request and one transaction.

use alloc::vec::Vec;

use crate::admin::AdminError;
use crate::admin::import::{ImportErrors, ImportLine, ImportOutcome, ImportReport, ImportUsers, MAX_LINES};
use crate::api::admin::answer::shown;
use crate::api::admin::call::AdminCall;
use crate::api::admin::{AdminEndpoint, OPERATOR};
use crate::api::context::Context;
use crate::api::description::Description;
use crate::http::detail::Detail;
use crate::http::problem::Problem;
use crate::http::request_error::RequestError;
use crate::http::response::Response;
use crate::http::shape::{answer, body};
use crate::records::role::Roles;

body! {
    /// The mode of an import.
    struct ImportQuery {
        /// True where everything is checked and nothing is written.
        dry_run: Option<bool> = true,
    }
}

answer! {
    /// The result of an import.
    struct ShownImport {
        /// The number of users who were added.
        added: u32 = 2,
        /// The number of users who were changed.
        changed: u32 = 1,
        /// The number of users who were as their lines say.
        unchanged: u32 = 0,
        /// The number of users who keep another password than their line has.
        kept_passwords: u32 = 0,
    }
}

impl AdminEndpoint for ImportUsers {
    const ROLES: Roles = OPERATOR;
    const DESCRIPTION: Description =
        Description::new("Adds and changes users, one a line, all of them or none. Passwords come as hashes")
            .queries::<ImportQuery>()
            .takes_lines()
            .answers::<ShownImport>(200)
            .refuses(&[
                Problem::InvalidValue,
                Problem::AlreadyExists,
                Problem::RecordRefuses,
                Problem::UnsupportedMediaType,
                Problem::UnsupportedContentCoding,
            ]);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        let ImportQuery { dry_run } = call.query()?;
        let (mut lines, mut errors) = (Vec::new(), ImportErrors::default());
        for (number, line) in (1..).zip(call.lines()?) {
            if lines.len() > MAX_LINES {
                return Err(AdminError::TooManyLines.into());
            }
            match ImportLine::parse(number, line) {
                Ok(line) if line.has_plain_password() => return Err(plain(number)),
                Ok(line) => lines.push(line),
                Err(wrong) => wrong.into_iter().for_each(|error| errors.push(error)),
            }
        }
        if errors.is_empty() {
            return Ok(Self { lines, dry_run: dry_run.unwrap_or_default() });
        }
        Err(AdminError::Import(errors.into()).into())
    }

    fn respond(_: &Context, report: ImportReport) -> Response {
        let count = |outcome| u32::try_from(report.count(outcome)).unwrap_or(u32::MAX);
        shown(&ShownImport {
            added: count(ImportOutcome::Added),
            changed: count(ImportOutcome::Changed),
            unchanged: count(ImportOutcome::Unchanged),
            kept_passwords: u32::try_from(report.kept_passwords()).unwrap_or(u32::MAX),
        })
    }
}

/// Refuses a password that is no hash: hashing one takes too long to do it for many in one request.
fn plain(line: u64) -> RequestError {
    let english =
        alloc::format!("line {line} has a password: send password_hash, or set the password by itself");
    let chinese = alloc::format!("第 {line} 行含有 password: 请改用 password_hash,或单独设置密码");
    Problem::InvalidValue.with(Detail::new(english, chinese)).about("password")
}
