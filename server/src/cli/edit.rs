//! Arguments of commands. Of the values of `add` and `set`, one that is left out stays, and an empty one is cleared.

use std::fmt;
use std::io::{self, Read};

use gatepass_core::admin::roles::require_separate;
use gatepass_core::records::factor::AskFactor;
use gatepass_core::records::id::UserRef;
use gatepass_core::records::role::{Role, Roles};

use super::context::Context;
use crate::config::ConfigLayer;
use crate::error::ProgramError;

/// Returns the user that an argument names.
pub(super) fn named(who: &str) -> UserRef {
    UserRef::Any(who.to_owned())
}

/// Reads when a second factor is asked for; empty clears it.
pub(super) fn ask_factor(given: &str) -> Result<Option<AskFactor>, ProgramError> {
    match (given, AskFactor::parse(given)) {
        ("", _) => Ok(None),
        (_, Some(when)) => Ok(Some(when)),
        (_, None) => Err(ProgramError::usage(format!(
            "--second-factor {given:?} is not one of never, risk, always; empty clears it"
        ))),
    }
}

/// Reads `--role`, which may be repeated: none where it was left out, and no role where it is empty. So wrong roles are reported before
/// anything is written.
pub(super) fn roles(context: &Context, given: &[String]) -> Result<Option<Roles>, ProgramError> {
    if given.is_empty() {
        return Ok(None);
    }
    let mut words = given.iter().filter(|word| !word.is_empty());
    let roles = words.try_fold(Roles::NONE, |roles, word| {
        Role::parse(word).map(|role| roles.with(role)).ok_or_else(|| {
            ProgramError::usage(format!(
                "--role {word:?} is not one of operator, officer, auditor; empty clears the roles"
            ))
        })
    })?;
    let separate = context.config(ConfigLayer::default())?.separate_roles;
    require_separate(roles, separate).map_err(|_| {
        ProgramError::usage("nobody has two roles: give --role once, or set separate_roles = false")
    })?;
    Ok(Some(roles))
}

/// Returns roles as words.
pub(super) fn role_words(roles: Roles) -> Vec<&'static str> {
    roles.iter().map(Role::as_str).collect()
}

/// Reads `given` by `parse`; an error names `what`.
pub(super) fn parsed<T, E: fmt::Display>(
    what: &str,
    given: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, ProgramError> {
    parse(given).map_err(|wrong| ProgramError::usage(format!("{what} {given:?} will not do: {wrong}")))
}

/// Returns all of stdin as text of at most `longest` bytes, without one line end after it.
pub(super) fn stdin(what: &str, longest: usize) -> Result<zeroize::Zeroizing<String>, ProgramError> {
    let mut text = zeroize::Zeroizing::new(String::with_capacity(longest + 2));
    let limit = u64::try_from(longest).unwrap_or(u64::MAX).saturating_add(3);
    io::stdin()
        .lock()
        .take(limit)
        .read_to_string(&mut text)
        .map_err(|error| ProgramError::failed(format!("cannot read {what} from standard input: {error}")))?;
    let end =
        text.strip_suffix('\n').map_or(text.len(), |rest| rest.strip_suffix('\r').unwrap_or(rest).len());
    text.truncate(end);
    if text.len() > longest {
        return Err(ProgramError::usage(format!("{what} is at most {longest} bytes")));
    }
    Ok(text)
}
