//! Passwords on the command line: read without being shown.

use std::io::{self, IsTerminal};

use gatepass_core::base::secret::SecretText;
use gatepass_core::policy::password::MAX_BYTES;
use gatepass_core::records::user::User;

use super::edit::stdin;
use crate::error::ProgramError;

/// Asks for a new password of `user`, twice on a terminal; one line of standard input otherwise.
pub(super) fn ask(user: &User) -> Result<SecretText, ProgramError> {
    if !io::stdin().is_terminal() {
        return read();
    }
    let ask = |prompt: &str| {
        rpassword::prompt_password(prompt)
            .map(SecretText::new)
            .map_err(|error| ProgramError::failed(format!("cannot read the password: {error}")))
    };
    let password = ask(&format!("New password of {}: ", user.username.as_str()))?;
    if ask("The same again: ")? != password {
        return Err(ProgramError::failed("the two are not the same, and nothing was changed: try again"));
    }
    Ok(password)
}

/// Reads a new password: one line of standard input.
pub(super) fn read() -> Result<SecretText, ProgramError> {
    let text = stdin("the password", MAX_BYTES)?;
    if text.contains(['\n', '\r']) {
        return Err(ProgramError::usage("the password is one line, and standard input has more"));
    }
    Ok(SecretText::new(text.to_string()))
}
