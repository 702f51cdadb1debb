//! `/admin/v1/users`: people.

use alloc::format;
use alloc::string::{String, ToString};

use serde::Serialize;
use serde_json::Value;

use crate::admin::users::{AddUser, DeleteUser, ListUsers, ShowUser};
use crate::admin::{UserFields, UserSearch};
use crate::api::admin::AdminEndpoint;
use crate::api::admin::answer::{created, no_content, page, shown};
use crate::api::admin::call::AdminCall;
use crate::api::admin::error::{about, request_error};
use crate::api::context::Context;
use crate::base::secret::SecretText;
use crate::http::body::Body;
use crate::http::detail::Detail;
use crate::http::problem::Problem;
use crate::http::request_error::RequestError;
use crate::http::response::Response;
use crate::records::factor::AskFactor;
use crate::records::id::{UserId, UserRef};
use crate::records::role::{Role, Roles};
use crate::records::user::{Gender, User, Username, UsernameError};
use crate::store::page::Page;

const OPERATOR: Roles = Roles::of(&[Role::Operator]);

/// The members that a user may be given.
const MEMBERS: &[&str] =
    &["username", "email", "phone", "name", "gender", "address", "second_factor", "password"];

/// A user, as administrators see them.
#[derive(Serialize)]
struct ShownUser<'a> {
    id: &'a str,
    username: &'a str,
    email: Option<&'a str>,
    phone: Option<&'a str>,
    name: Option<&'a str>,
    gender: Option<&'static str>,
    address: Value,
    status: &'static str,
    must_change_password: bool,
    password_changed_at: Option<String>,
    second_factor: Option<&'static str>,
    created_at: String,
    updated_at: String,
    revision: u64,
}

impl<'a> ShownUser<'a> {
    fn of(user: &'a User) -> Self {
        let address = user.address.as_deref().map(|text| serde_json::from_str(text).unwrap_or_default());
        Self {
            id: user.id.as_str(),
            username: user.username.as_str(),
            email: user.email.as_deref(),
            phone: user.phone.as_deref(),
            name: user.name.as_deref(),
            gender: user.gender.map(Gender::as_str),
            address: address.unwrap_or_default(),
            status: user.status.as_str(),
            must_change_password: user.must_change_password,
            password_changed_at: user.password_changed_at.map(|at| at.rfc3339()),
            second_factor: user.second_factor.map(AskFactor::as_str),
            created_at: user.created_at.rfc3339(),
            updated_at: user.updated_at.rfc3339(),
            revision: user.revision,
        }
    }
}

fn fields(body: &Body) -> Result<UserFields, RequestError> {
    let mut fields = UserFields::default();
    if let Some(email) = body.text("email")? {
        fields = fields.email(email).map_err(|error| request_error(&error))?;
    }
    if let Some(phone) = body.text("phone")? {
        fields = fields.phone(phone).map_err(|error| request_error(&error))?;
    }
    if let Some(name) = body.text("name")? {
        fields = fields.name(name).map_err(|error| request_error(&error))?;
    }
    if let Some(gender) = body.text("gender")? {
        let gender = Gender::parse(gender);
        let gender =
            gender.ok_or_else(|| RequestError::body(Detail::none_of("gender", &["female", "male"])))?;
        fields = fields.gender(Some(gender));
    }
    if let Some(address) = body.value("address") {
        fields = fields.address(address).map_err(|error| request_error(&error))?;
    }
    Ok(fields)
}

fn no_username(error: UsernameError) -> RequestError {
    let chinese = "用户名须为 1 到 128 个可见字符,两端无空格,且不以 usr_ 开头";
    about("username", Problem::InvalidValue.with(Detail::new(error.to_string(), chinese.into())))
}

impl AdminEndpoint for ListUsers {
    const ROLES: Roles = OPERATOR;

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        Ok(Self { page: call.page()?, search: call.parameter("search").map(UserSearch::new) })
    }

    fn respond(_: &Context, found: Page<User>) -> Response {
        page(&found, |user| serde_json::to_value(ShownUser::of(user)).unwrap_or_default())
    }
}

impl AdminEndpoint for ShowUser {
    const ROLES: Roles = OPERATOR;

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        Ok(Self { user: UserRef::from(&call.id(0, UserId::parse)?) })
    }

    fn respond(_: &Context, user: User) -> Response {
        shown(&ShownUser::of(&user))
    }
}

impl AdminEndpoint for AddUser {
    const ROLES: Roles = OPERATOR;

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        let body = call.body(MEMBERS)?;
        let username = body.required_text("username")?;
        let username = Username::parse(username.expose()).map_err(no_username)?;
        let password = body.text("password")?.map(|text| SecretText::new(text.into()));
        Ok(Self { username, fields: fields(&body)?, password })
    }

    fn respond(_: &Context, user: User) -> Response {
        created(format!("/admin/v1/users/{}", user.id), &ShownUser::of(&user))
    }
}

impl AdminEndpoint for DeleteUser {
    const ROLES: Roles = OPERATOR;

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        Ok(Self { user: UserRef::from(&call.id(0, UserId::parse)?) })
    }

    fn respond(_: &Context, _: User) -> Response {
        no_content()
    }
}
