//! Passwords on the command line: read without being shown, set, and their locks lifted.

use std::io::{self, IsTerminal};

use gatepass_core::base::secret::SecretText;
use gatepass_core::policy::password::{MAX_BYTES, fit};
use gatepass_core::records::factor::Lockout;
use gatepass_core::records::password::{PasswordHash, Workspace};
use gatepass_core::records::user::User;
use gatepass_core::store::audit::Kind;
use gatepass_core::store::change::Change;

use super::context::{Context, Site, random};
use super::edit::{ATTEMPTS, stdin};
use super::failure::Failure;
use super::user::{event, find};
use crate::config::Given;

/// A new password for `user`, asked for twice on a terminal, and one line of standard input otherwise.
fn ask(context: &Context, user: &User) -> Result<SecretText, Failure> {
    if !io::stdin().is_terminal() {
        return read(context, user);
    }
    let password = {
        let ask = |prompt: &str| {
            rpassword::prompt_password(prompt)
                .map(SecretText::new)
                .map_err(|error| Failure::failed(format!("cannot read the password: {error}")))
        };
        let password = ask(&format!("New password of {}: ", user.username.as_str()))?;
        if ask("The same again: ")? != password {
            return Err(Failure::failed("the two are not the same, and nothing was changed: try again"));
        }
        password
    };
    will_do(context, user, password)
}

/// A new password for `user`: one line of standard input.
pub(super) fn read(context: &Context, user: &User) -> Result<SecretText, Failure> {
    let text = stdin("the password", MAX_BYTES)?;
    if text.contains(['\n', '\r']) {
        return Err(Failure::usage("the password is one line, and standard input has more"));
    }
    will_do(context, user, SecretText::new(text.to_string()))
}

fn will_do(context: &Context, user: &User, password: SecretText) -> Result<SecretText, Failure> {
    let least = context.config(Given::default())?.password_length.get();
    fit(password.expose(), user, least).map_err(|unfit| {
        Failure::usage(format!("the password {unfit} ({least} characters at least; long beats complicated)"))
    })?;
    Ok(password)
}

/// The hash of `password`.
pub(super) fn hash(password: &SecretText) -> Result<PasswordHash, Failure> {
    PasswordHash::of(password, *random()?, &mut Workspace::default())
        .ok_or_else(|| Failure::failed("no memory to hash the password with: it takes 19 MiB"))
}

/// Gives a person a new password and ends their sessions; `must_change` has them choose their own at once.
pub(super) fn set(context: &Context, who: &str, must_change: bool) -> Result<User, Failure> {
    let site = context.site()?;
    let user = find(&site, who)?;
    let (hash, id) = (hash(&ask(context, &user)?)?, user.id);
    for _ in 0..ATTEMPTS {
        let mut user = find(&site, id.as_str())?;
        user.set_password(site.now);
        user.must_change_password = must_change;
        user.updated_at = site.now;
        let changes = vec![
            Change::UpdateUser(user.clone()),
            Change::SetPassword { user: id.clone(), hash: hash.clone() },
            event(Kind::PasswordSet, &id, site.now),
        ];
        if site.try_commit(changes)? {
            return Ok(user);
        }
    }
    Err(Failure::failed(format!("user {who:?} is being changed by others all the time: try again")))
}

/// Lifts the locks on a person's password and factors.
pub(super) fn unlock(site: &Site, who: &str) -> Result<User, Failure> {
    let user = find(site, who)?;
    for _ in 0..ATTEMPTS {
        let (user, after) = (user.id.clone(), Lockout::default());
        let mut changes = vec![event(Kind::Unlocked, &user, site.now)];
        let before = site.store.factors(&user)?.lockout;
        changes.push(Change::SetLockout { user: user.clone(), before, after });
        let lockout = site.store.password(&user)?.map(|password| password.lockout);
        changes.extend(lockout.map(|before| Change::SetPasswordLockout { user, before, after }));
        if site.try_commit(changes)? {
            return find(site, who);
        }
    }
    Err(Failure::failed(format!("user {who:?} is being guessed at all the time: try again")))
}
