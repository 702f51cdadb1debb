//! Users.

use gatepass_core::records::factor::AskFactor;
use gatepass_core::records::user::{Gender, Status, User, Username};

use super::row::{Columns, MalformedRow};
use super::text::{owned, user_id};
use super::value::Value;

pub(in crate::store) fn user(c: &mut Columns<'_>) -> Result<User, MalformedRow> {
    Ok(User {
        id: c.parsed("id", user_id)?,
        username: c.parsed("username", |text| Username::stored(text).ok())?,
        email: c.maybe("email", owned)?,
        phone: c.maybe("phone", owned)?,
        name: c.maybe("name", owned)?,
        gender: c.maybe("gender", Gender::parse)?,
        address: c.maybe("address", owned)?,
        status: c.parsed("status", Status::parse)?,
        must_change_password: c.flag("must_change_password")?,
        created_at: c.time("created_at")?,
        updated_at: c.time("updated_at")?,
        epoch: c.number("epoch")?,
        revision: c.number("revision")?,
        password_changed_at: c.maybe_time("password_changed_at")?,
        second_factor: c.maybe("second_factor", AskFactor::parse)?,
        roles: c.roles("roles")?,
    })
}

pub(in crate::store) fn user_values(user: &User) -> [Value<'_>; 16] {
    [
        user.id.as_str().into(),
        user.username.as_str().into(),
        user.email.as_deref().into(),
        user.phone.as_deref().into(),
        user.name.as_deref().into(),
        user.gender.map(Gender::as_str).into(),
        user.address.as_deref().into(),
        user.status.as_str().into(),
        user.must_change_password.into(),
        user.created_at.into(),
        user.updated_at.into(),
        user.epoch.into(),
        user.revision.into(),
        user.password_changed_at.into(),
        user.second_factor.map(AskFactor::as_str).into(),
        user.roles.bits().into(),
    ]
}
