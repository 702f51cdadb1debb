//! `/admin/v1/users/{id}/…`: a user's password, locks, second factors and sessions.

use alloc::string::String;
use alloc::vec::Vec;

use crate::admin::factors::{RemovedFactors, ResetFactors};
use crate::admin::sessions::{EndSession, EndUserSessions, ListSessions, ListedSession};
use crate::admin::users::{RequirePasswordChange, SetPassword, ShowAccount, UnlockUser};
use crate::api::admin::answer::{no_content, page, shown};
use crate::api::admin::call::{AdminCall, PageParameters};
use crate::api::admin::users::ShownUser;
use crate::api::admin::{AdminEndpoint, OPERATOR};
use crate::api::context::Context;
use crate::api::description::Description;
use crate::base::secret::SecretText;
use crate::http::problem::Problem;
use crate::http::request_error::RequestError;
use crate::http::response::Response;
use crate::http::shape::{Nullable, answer, body};
use crate::records::factor::{Lockout, TotpDevice};
use crate::records::id::{SessionId, UserId};
use crate::records::role::Roles;
use crate::records::session::Session;
use crate::records::user::User;
use crate::store::page::Page;
use crate::store::query::AccountRecords;

body! {
    /// A password to be set.
    struct SetPasswordBody {
        /// The password.
        password: SecretText = "a long passphrase of theirs",
        /// True where the user has to choose another one at the next sign-in; true where it is absent.
        must_change: Option<bool> = true,
    }
}

answer! {
    /// A device for one-time codes.
    struct ShownDevice<'a> {
        /// The id.
        id: &'a str = "dev_AZdwYbPNKzUQAAAAAAAAAA",
        /// The name that its user gave it.
        name: Nullable<&'a str> = "phone",
        /// The time when it was set up.
        created_at: String [format("date-time")],
        /// The time of its first code. Until then it does not count.
        verified_at: Nullable<String> [format("date-time")],
    }
}

answer! {
    /// Wrong guesses, and the lock that follows from them.
    struct ShownLockout {
        /// The wrong guesses in a row.
        wrong: u32 = 0,
        /// The end of the lock.
        locked_until: Nullable<String> [format("date-time")],
    }
}

answer! {
    /// The second factors of a user, and what is locked.
    struct ShownFactors<'a> {
        /// The devices, the newest first.
        devices: Vec<ShownDevice<'a>>,
        /// The number of unused backup codes.
        backup_codes: u32 = 10,
        /// The wrong codes.
        factors: ShownLockout,
        /// The wrong passwords; null without a password.
        password: Nullable<ShownLockout>,
    }
}

answer! {
    /// A session of a user.
    struct ShownSession<'a> {
        /// The id: the `sid` of its tokens.
        id: &'a str = "ses_AZdwYbPNKzUQAAAAAAAAAA",
        /// The client that the session is for.
        client_id: &'a str = "portal",
        /// The scope.
        scope: &'a str = "profile",
        /// The user who acts.
        actor: Nullable<&'a str>,
        /// The time of the sign-in.
        auth_time: String [format("date-time")],
        /// The end of its life.
        expires_at: String [format("date-time")],
        /// `live`, `ended`, `expired`, `superseded` by older state that was put back, or `dated-ahead`.
        state: &'a str = "live",
    }
}

fn shown_lockout(lockout: &Lockout) -> ShownLockout {
    ShownLockout {
        wrong: lockout.wrong,
        locked_until: Nullable(lockout.locked_until.map(|until| until.rfc3339())),
    }
}

fn shown_device(device: &TotpDevice) -> ShownDevice<'_> {
    ShownDevice {
        id: device.id.as_str(),
        name: Nullable(device.name.as_deref()),
        created_at: device.created_at.rfc3339(),
        verified_at: Nullable(device.verified_at.map(|at| at.rfc3339())),
    }
}

fn shown_session(ListedSession { session, state }: &ListedSession) -> ShownSession<'_> {
    ShownSession {
        id: session.id.as_str(),
        client_id: session.client_id.as_str(),
        scope: session.scope.as_str(),
        actor: Nullable(session.actor_id().map(UserId::as_str)),
        auth_time: session.auth_time.rfc3339(),
        expires_at: session.expires_at.rfc3339(),
        state: state.as_str(),
    }
}

impl AdminEndpoint for SetPassword {
    const ROLES: Roles = OPERATOR;
    const DESCRIPTION: Description = Description::new("Sets a user's password, and ends their sessions")
        .takes::<SetPasswordBody>()
        .answers::<ShownUser<'_>>(200)
        .refuses(&[Problem::InvalidValue, Problem::RecordRefuses]);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        let SetPasswordBody { password, must_change } = call.json()?;
        Ok(Self { user: call.user()?, password, must_change: must_change.unwrap_or(true) })
    }

    fn respond(_: &Context, user: User) -> Response {
        shown(&ShownUser::of(&user))
    }
}

impl AdminEndpoint for RequirePasswordChange {
    const ROLES: Roles = OPERATOR;
    const DESCRIPTION: Description =
        Description::new("Has a user change their password before anything else, and ends their sessions")
            .answers::<ShownUser<'_>>(200)
            .refuses(&[Problem::RecordRefuses]);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        Ok(Self { user: call.user()? })
    }

    fn respond(_: &Context, user: User) -> Response {
        shown(&ShownUser::of(&user))
    }
}

impl AdminEndpoint for UnlockUser {
    const ROLES: Roles = OPERATOR;
    const DESCRIPTION: Description =
        Description::new("Lifts the locks on a user's password and factors").answers::<ShownUser<'_>>(200);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        Ok(Self { user: call.user()? })
    }

    fn respond(_: &Context, user: User) -> Response {
        shown(&ShownUser::of(&user))
    }
}

impl AdminEndpoint for ShowAccount {
    const ROLES: Roles = OPERATOR;
    const DESCRIPTION: Description = Description::new("Shows a user's second factors, and what is locked")
        .answers::<ShownFactors<'_>>(200);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        Ok(Self { user: call.user()? })
    }

    fn respond(_: &Context, account: AccountRecords) -> Response {
        let factors = &account.factors;
        shown(&ShownFactors {
            devices: factors.devices.iter().map(shown_device).collect(),
            backup_codes: u32::try_from(factors.backup_codes.len()).unwrap_or(u32::MAX),
            factors: shown_lockout(&factors.lockout),
            password: Nullable(account.password.as_ref().map(|password| shown_lockout(&password.lockout))),
        })
    }
}

impl AdminEndpoint for ResetFactors {
    const ROLES: Roles = OPERATOR;
    const DESCRIPTION: Description =
        Description::new("Removes every second factor of a user, and ends their sessions")
            .answers_nothing(204)
            .refuses(&[Problem::RecordRefuses]);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        Ok(Self { user: call.user()? })
    }

    fn respond(_: &Context, _: RemovedFactors) -> Response {
        no_content()
    }
}

impl AdminEndpoint for ListSessions {
    const ROLES: Roles = OPERATOR;
    const DESCRIPTION: Description = Description::new("Lists a user's sessions, whatever became of them")
        .queries::<PageParameters>()
        .answers_page::<ShownSession<'_>>();

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        let page: PageParameters = call.query()?;
        Ok(Self { user: Some(call.id(0, UserId::parse)?), page: page.page() })
    }

    fn respond(_: &Context, found: Page<ListedSession>) -> Response {
        page(&found, shown_session)
    }
}

impl AdminEndpoint for EndUserSessions {
    const ROLES: Roles = OPERATOR;
    const DESCRIPTION: Description = Description::new("Ends every session of a user").answers_nothing(204);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        Ok(Self { user: call.user()? })
    }

    fn respond(_: &Context, _: User) -> Response {
        no_content()
    }
}

impl AdminEndpoint for EndSession {
    const ROLES: Roles = OPERATOR;
    const DESCRIPTION: Description =
        Description::new("Ends a session of a user").answers_nothing(204).refuses(&[Problem::RecordRefuses]);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        Ok(Self { session: call.id(1, SessionId::parse)?, user: Some(call.id(0, UserId::parse)?) })
    }

    fn respond(_: &Context, _: Session) -> Response {
        no_content()
    }
}
