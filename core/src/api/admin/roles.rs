//! `/admin/v1/roles`: who holds a role, and the roles of people.

use alloc::vec::Vec;

use crate::admin::roles::{ListRoleHolders, SetUserRoles};
use crate::api::admin::answer::{no_content, page, shown};
use crate::api::admin::call::{AdminCall, PageParameters};
use crate::api::admin::variant::Variant;
use crate::api::admin::{AdminEndpoint, OFFICER};
use crate::api::context::Context;
use crate::api::description::Description;
use crate::http::problem::Problem;
use crate::http::request_error::RequestError;
use crate::http::response::Response;
use crate::http::shape::{Nullable, answer, body};
use crate::records::id::UserRef;
use crate::records::role::{Role, Roles};
use crate::records::user::{Status, User};
use crate::store::page::Page;
use crate::store::query::RoleHolder;

answer! {
    /// A user or a client that holds a role.
    struct ShownHolder<'a> {
        /// `user` or `client`.
        kind: &'a str = "user",
        /// The id.
        id: &'a str = "usr_01JZ8Q4V7N3K5T9W2X6Y0B1C2D",
        /// The user name, or the name of the client.
        name: Nullable<&'a str> = "alice",
        /// `active` or `disabled`. A disabled holder administers nothing.
        status: &'a str = "active",
        /// The roles.
        roles: Vec<Role>,
    }
}

body! {
    /// The roles that a user is to have.
    struct SetRolesBody {
        /// All of them; an empty list takes every role.
        roles: Vec<Role> = ["operator"],
    }
}

body! {
    /// The holders of roles to be listed.
    struct ListHoldersQuery {
        ..page: PageParameters,
    }
}

fn of_user(user: &User) -> ShownHolder<'_> {
    ShownHolder {
        kind: "user",
        id: user.id.as_str(),
        name: Nullable(Some(user.username.as_str())),
        status: user.status.as_str(),
        roles: user.roles.iter().collect(),
    }
}

fn show(holder: &RoleHolder) -> ShownHolder<'_> {
    match holder {
        RoleHolder::User(user) => of_user(user),
        RoleHolder::Client(client) => ShownHolder {
            kind: "client",
            id: client.id.as_str(),
            name: Nullable(client.name.as_deref()),
            status: if client.enabled { Status::Active } else { Status::Disabled }.as_str(),
            roles: client.roles.iter().collect(),
        },
    }
}

/// Returns the user of the path, who may be named by any identifier: an officer cannot look people up.
fn named(call: &AdminCall<'_>) -> UserRef {
    UserRef::Any(call.text(0).into())
}

impl AdminEndpoint for ListRoleHolders {
    const ROLES: Roles = OFFICER;
    const DESCRIPTION: Description = Description::new("Lists the users and clients with roles")
        .queries::<ListHoldersQuery>()
        .answers_page::<ShownHolder<'_>>();

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        let ListHoldersQuery { page } = call.query()?;
        Ok(Self { page: page.page() })
    }

    fn respond(_: &Context, found: Page<RoleHolder>) -> Response {
        page(&found, show)
    }
}

impl AdminEndpoint for SetUserRoles {
    const ROLES: Roles = OFFICER;
    const DESCRIPTION: Description =
        Description::new("Gives a user exactly these roles, and ends their sessions")
            .takes::<SetRolesBody>()
            .answers::<ShownHolder<'_>>(200)
            .refuses(&[Problem::InvalidValue, Problem::RecordRefuses]);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        let SetRolesBody { roles } = call.json()?;
        Ok(Self { user: named(call), roles: Roles::of(&roles) })
    }

    fn respond(_: &Context, user: User) -> Response {
        shown(&of_user(&user))
    }
}

/// Takes every role of a user.
pub(crate) type TakeUserRoles = Variant<SetUserRoles, TakesAll>;

/// The route that takes every role.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TakesAll;

impl AdminEndpoint for TakeUserRoles {
    const ROLES: Roles = OFFICER;
    const DESCRIPTION: Description = Description::new("Takes every role of a user, and ends their sessions")
        .answers_nothing(204)
        .refuses(&[Problem::RecordRefuses]);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        Ok(SetUserRoles { user: named(call), roles: Roles::NONE }.into())
    }

    fn respond(_: &Context, _: User) -> Response {
        no_content()
    }
}
