//! Forms: `form!` makes a struct that borrows its parameters, with its reader and its schema.

use alloc::format;

use crate::base::form::Form;
use crate::http::oauth_error::OAuthError;
use crate::http::shape::schema::{Object, Schema};

/// A type that a parameter of a form has: a text where it must be there, an `Option` where it may be absent.
pub(crate) trait FormParameter<'a>: Sized {
    /// The schema of its values.
    const SCHEMA: Schema;
    /// True where it must be there.
    const REQUIRED: bool;

    /// Reads the parameter `name`.
    ///
    /// # Errors
    /// `invalid_request` where it is missing.
    fn read_parameter(form: &'a Form<'_>, name: &str) -> Result<Self, OAuthError>;
}

impl<'a> FormParameter<'a> for &'a str {
    const SCHEMA: Schema = Schema::TEXT;
    const REQUIRED: bool = true;

    fn read_parameter(form: &'a Form<'_>, name: &str) -> Result<Self, OAuthError> {
        form.get(name).ok_or_else(|| OAuthError::InvalidRequest(format!("{name} is required").into()))
    }
}

impl<'a> FormParameter<'a> for Option<&'a str> {
    const SCHEMA: Schema = Schema::TEXT;
    const REQUIRED: bool = false;

    fn read_parameter(form: &'a Form<'_>, name: &str) -> Result<Self, OAuthError> {
        Ok(form.get(name))
    }
}

/// A struct that `form!` made.
pub(crate) trait ReadForm<'a>: Sized {
    /// Its description.
    const FORM: &'static Object;

    /// Reads the parameters.
    ///
    /// # Errors
    /// `invalid_request` where one is missing.
    fn of_form(form: &'a Form<'_>) -> Result<Self, OAuthError>;
}
