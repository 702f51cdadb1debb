//! `/admin/v1/users`: people.

use alloc::format;
use alloc::string::String;

use serde_json::Value;

use crate::admin::users::{AddUser, DeleteUser, ListUsers, PatchUser, SetUser, ShowUser};
use crate::admin::{AdminError, UserFields, UserSearch};
use crate::api::admin::answer::{created, no_content, page, shown};
use crate::api::admin::call::{AdminCall, PageParameters};
use crate::api::admin::{AdminEndpoint, OPERATOR};
use crate::api::context::Context;
use crate::api::description::Description;
use crate::base::secret::SecretText;
use crate::http::problem::Problem;
use crate::http::request_error::RequestError;
use crate::http::response::Response;
use crate::http::shape::{Nullable, Patched, answer, body};
use crate::records::factor::AskFactor;
use crate::records::role::Roles;
use crate::records::user::{Gender, Status, User, Username};
use crate::store::page::Page;

answer! {
    /// A user, as administrators see them.
    pub(super) struct ShownUser<'a> {
        /// The id.
        id: &'a str = "usr_01JZ8Q4V7N3K5T9W2X6Y0B1C2D",
        /// The user name.
        username: &'a str = "alice",
        /// The e-mail address.
        email: Nullable<&'a str> = "alice@example.com",
        /// The telephone number.
        phone: Nullable<&'a str>,
        /// The full name.
        name: Nullable<&'a str> = "Alice",
        /// The gender.
        gender: Nullable<Gender>,
        /// The address, any JSON value.
        address: Value,
        /// `active` or `disabled`.
        status: &'a str = "active",
        /// True if the password has to be changed at the next sign-in.
        must_change_password: bool = false,
        /// The time when the password was set.
        password_changed_at: Nullable<String> [format("date-time")],
        /// The rule for the second factor of the user; null: the general one.
        second_factor: Nullable<&'a str>,
        /// The time when the user was added.
        created_at: String [format("date-time")],
        /// The time when the user was last changed.
        updated_at: String [format("date-time")],
        /// The number of the change, to be sent along with the next one.
        revision: u64 = 1,
    }
}

body! {
    /// The values of a user.
    struct UserFieldsBody {
        /// The e-mail address; null: none.
        email: Patched<String> = "alice@example.com",
        /// The telephone number; null: none.
        phone: Patched<String>,
        /// The full name; null: none.
        name: Patched<String> = "Alice",
        /// The gender; null: none.
        gender: Patched<Gender>,
        /// The address, any JSON value; null: none.
        address: Patched<Value>,
    }
}

body! {
    /// A user to be added.
    struct AddUserBody {
        /// The user name.
        username: Username => InvalidValue = "alice",
        /// The password. Without one the user signs in by ticket alone.
        password: Option<SecretText>,
        ..values: UserFieldsBody,
    }
}

body! {
    /// Changes to a user. What is absent stays as it is.
    struct PatchUserBody {
        /// The user name.
        username: Option<Username> => InvalidValue = "alice",
        /// The rule for the second factor of the user; null: the general one.
        second_factor: Patched<AskFactor> => InvalidValue,
        /// `disabled` refuses the user, and ends their sessions; `active` lets them sign in again.
        status: Option<Status> => InvalidValue = "active",
        /// The revision that must still hold.
        revision: Option<u64>,
        ..values: UserFieldsBody,
    }
}

body! {
    /// The users to be listed.
    struct ListUsersQuery {
        /// A part of the user name or the full name, or any identifier.
        search: Option<String> = "alice",
        ..page: PageParameters,
    }
}

impl<'a> ShownUser<'a> {
    pub(super) fn of(user: &'a User) -> Self {
        let address = user.address.as_deref().map(|text| serde_json::from_str(text).unwrap_or_default());
        Self {
            id: user.id.as_str(),
            username: user.username.as_str(),
            email: Nullable(user.email.as_deref()),
            phone: Nullable(user.phone.as_deref()),
            name: Nullable(user.name.as_deref()),
            gender: Nullable(user.gender),
            address: address.unwrap_or_default(),
            status: user.status.as_str(),
            must_change_password: user.must_change_password,
            password_changed_at: Nullable(user.password_changed_at.map(|at| at.rfc3339())),
            second_factor: Nullable(user.second_factor.map(AskFactor::as_str)),
            created_at: user.created_at.rfc3339(),
            updated_at: user.updated_at.rfc3339(),
            revision: user.revision,
        }
    }
}

impl UserFieldsBody {
    fn fields(self) -> Result<UserFields, AdminError> {
        let mut fields = UserFields::default();
        if let Some(email) = self.email.edited() {
            fields = fields.email(email.as_deref().unwrap_or_default())?;
        }
        if let Some(phone) = self.phone.edited() {
            fields = fields.phone(phone.as_deref().unwrap_or_default())?;
        }
        if let Some(name) = self.name.edited() {
            fields = fields.name(name.as_deref().unwrap_or_default())?;
        }
        if let Some(gender) = self.gender.edited() {
            fields = fields.gender(gender);
        }
        if let Some(address) = self.address.edited() {
            fields = fields.address(&address.unwrap_or_default())?;
        }
        Ok(fields)
    }
}

impl AdminEndpoint for ListUsers {
    const ROLES: Roles = OPERATOR;
    const DESCRIPTION: Description =
        Description::new("Lists users").queries::<ListUsersQuery>().answers_page::<ShownUser<'_>>();

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        let ListUsersQuery { search, page } = call.query()?;
        Ok(Self { page: page.page(), search: search.as_deref().map(UserSearch::new) })
    }

    fn respond(_: &Context, found: Page<User>) -> Response {
        page(&found, ShownUser::of)
    }
}

impl AdminEndpoint for ShowUser {
    const ROLES: Roles = OPERATOR;
    const DESCRIPTION: Description = Description::new("Shows a user").answers::<ShownUser<'_>>(200);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        Ok(Self { user: call.user()? })
    }

    fn respond(_: &Context, user: User) -> Response {
        shown(&ShownUser::of(&user))
    }
}

impl AdminEndpoint for AddUser {
    const ROLES: Roles = OPERATOR;
    const DESCRIPTION: Description = Description::new("Adds a user")
        .takes::<AddUserBody>()
        .answers::<ShownUser<'_>>(201)
        .refuses(&[Problem::InvalidValue, Problem::AlreadyExists]);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        let AddUserBody { username, password, values } = call.json()?;
        Ok(Self { username, fields: values.fields()?, password })
    }

    fn respond(_: &Context, user: User) -> Response {
        created(format!("/admin/v1/users/{}", user.id), &ShownUser::of(&user))
    }
}

impl AdminEndpoint for PatchUser {
    const ROLES: Roles = OPERATOR;
    const DESCRIPTION: Description = Description::new("Changes, disables or enables a user")
        .takes::<PatchUserBody>()
        .answers::<ShownUser<'_>>(200)
        .refuses(&[Problem::AlreadyExists, Problem::RecordRefuses, Problem::InvalidValue]);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        let user = call.user()?;
        let PatchUserBody { username, second_factor, status, revision, values } = call.json()?;
        let mut fields = values.fields()?;
        if let Some(ask) = second_factor.edited() {
            fields = fields.second_factor(ask);
        }
        Ok(Self { set: SetUser { user, username, fields }, status, revision })
    }

    fn respond(_: &Context, user: User) -> Response {
        shown(&ShownUser::of(&user))
    }
}

impl AdminEndpoint for DeleteUser {
    const ROLES: Roles = OPERATOR;
    const DESCRIPTION: Description =
        Description::new("Deletes a user").answers_nothing(204).refuses(&[Problem::RecordRefuses]);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        Ok(Self { user: call.user()? })
    }

    fn respond(_: &Context, _: User) -> Response {
        no_content()
    }
}
