//! The types of records that are texts in bodies and answers.

use crate::base::form::Form;
use crate::crypto::algorithm::Algorithm;
use crate::http::oauth_error::OAuthError;
use crate::http::shape::{FormParameter, Kind, Schema, named};
use crate::policy::resources::Resources;
use crate::policy::second_factor::Method;
use crate::policy::ticket_status::TicketStatus;
use crate::records::factor::AskFactor;
use crate::records::id::{ClientId, UserId};
use crate::records::role::Role;
use crate::records::scope::Scope;
use crate::records::user::{Gender, Status, Username};

named!(Role);
named!(Algorithm);
named!(TicketStatus);

named! {
    Gender: Schema::one_of(&[Self::Female.as_str(), Self::Male.as_str()]),
    Self::parse,
    ("must be female or male", "须为 female 或 male")
}

named! {
    Status: Schema::one_of(&[Self::Active.as_str(), Self::Disabled.as_str()]),
    Self::parse,
    ("must be active or disabled", "须为 active 或 disabled")
}

named! {
    Method: Schema::one_of(Self::NAMES),
    Self::parse,
    ("must be totp or backup_code", "须为 totp 或 backup_code")
}

named! {
    Username: Schema::TEXT.length(1, Self::MAX_CHARS),
    |text| Self::parse(text).ok(),
    (
        "must have 1 to 128 visible characters, no space at an end, and must not begin with usr_",
        "须为 1 到 128 个可见字符,两端无空格,且不以 usr_ 开头"
    )
}

named! {
    ClientId: Schema::TEXT.length(1, 64),
    |text| Self::parse(text).ok(),
    ("must be 1 to 64 of A-Z a-z 0-9 . _ ~ -", "须为 1 到 64 个字符:A-Z a-z 0-9 . _ ~ -")
}

named! {
    UserId: Schema::TEXT.length(1, 64),
    |text| Self::parse(text).ok(),
    ("must be the id of a user", "须为用户标识")
}

named! {
    Scope: Schema::TEXT.length(0, 2048),
    |text| Self::parse(text).ok(),
    (
        "must be names separated by one space, without quotes and backslashes",
        "须为以单个空格分隔的名称,不含引号和反斜杠"
    )
}

named! {
    AskFactor: Schema::one_of(&["never", "risk", "always"]),
    Self::parse,
    ("must be never, risk or always", "须为 never、risk 或 always")
}

impl serde::Serialize for Role {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl serde::Serialize for Gender {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'a> FormParameter<'a> for Resources {
    const SCHEMA: Schema = Schema::of(Kind::List(&Schema::TEXT));
    const REQUIRED: bool = false;

    fn read_parameter(form: &'a Form<'_>, _: &str) -> Result<Self, OAuthError> {
        Ok(Self::of(form))
    }
}
