//! `PUT /auth/me/password`: a person changes their password, and every session of theirs is over.

use alloc::{boxed::Box, vec, vec::Vec};

use crate::api::context::{Context, place};
use crate::api::description::Description;
use crate::api::endpoint::{Basis, Call, Decided, Hashing, Next};
use crate::api::lockout::{count_wrong, lock_ignored};
use crate::api::person::{Bearer, BearerEndpoint, PendingChange, Person};
use crate::base::secret::SecretText;
use crate::base::time::Time;
use crate::http::problem::Problem;
use crate::http::request_error::RequestError;
use crate::http::shape::{ReadBody, body};
use crate::policy::guess_counter::GuessCounter;
use crate::policy::password::{PasswordError, fit};
use crate::records::password::{Password, PasswordHash, Workspace};
use crate::records::session::{Purpose, Session};
use crate::records::sign_in_history::DeviceOnNetwork;
use crate::records::user::User;
use crate::store::audit::{Event, Kind, Refusal};
use crate::store::change::Change;
use crate::store::query::PasswordRecords;

/// The old password and the new one.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(PartialEq))]
pub(crate) struct ChangePassword {
    old: SecretText,
    new: SecretText,
    place: DeviceOnNetwork,
}

/// Both passwords, to be hashed, and the account as it was read.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Comparison {
    asked: ChangePassword,
    user: Box<User>,
    session: Box<Session>,
    password: Password,
    counter: Box<GuessCounter>,
    /// The changes that clear what the old password left: they belong to the new one.
    begins_anew: Vec<Change>,
}

body! {
    /// The old password and the new one.
    struct ChangePasswordBody {
        /// The old password.
        old_password: SecretText = "correct horse battery staple",
        /// The new password.
        new_password: SecretText = "wrong zebra charger paperclip",
    }
}

impl BearerEndpoint for ChangePassword {
    type Records = PasswordRecords;
    type Pending = PendingChange;
    type Hash = Comparison;

    const DESCRIPTION: Description = Description::new("Changes the password, and ends every session")
        .takes::<ChangePasswordBody>()
        .refuses(&[
            Problem::OldPasswordRefused,
            Problem::PasswordTooShort,
            Problem::PasswordTooLong,
            Problem::PasswordTooCommon,
            Problem::PasswordUnchanged,
            Problem::NoPassword,
        ]);
    const PURPOSE: Option<Purpose> = Some(Purpose::ChangePassword);
    const GUESSES: bool = true;

    fn parse(call: &Call<'_>) -> Result<Self, RequestError> {
        let ChangePasswordBody { old_password: old, new_password: new } =
            ChangePasswordBody::of_json(call.request)?;
        Ok(Self { old, new, place: place(call.request)? })
    }

    fn compares(&self, _: &Person<'_>, records: &PasswordRecords, _: Time) -> bool {
        records.password.is_some()
    }

    fn decide(
        &self,
        basis: &Basis<'_>,
        person: &Person<'_>,
        records: &PasswordRecords,
    ) -> Decided<PendingChange, Comparison> {
        let ctx = basis.ctx;
        let unfit = match fit(&self.new, person.user, basis.settings().password_length) {
            Err(PasswordError::TooShort) => Some(Problem::PasswordTooShort),
            Err(PasswordError::TooLong) => Some(Problem::PasswordTooLong),
            Err(PasswordError::Common) => Some(Problem::PasswordTooCommon),
            Ok(()) => is_same(&self.new, &self.old).then_some(Problem::PasswordUnchanged),
        };
        if let Some(problem) = unfit {
            return Err(ctx.refuse(problem, Refusal::PasswordUnfit));
        }
        let PasswordRecords { password, history, .. } = records;
        let Some(password) = password else {
            return Err(ctx.refuse(Problem::NoPassword, Refusal::PasswordMissing));
        };
        let counter = GuessCounter::of_password(&person.user.id, password, history, &self.place);
        if counter.is_locked(ctx.now()) {
            return Ok(refuse(ctx, person, Refusal::PasswordLocked, vec![]));
        }
        Ok(Next::Hash(Comparison {
            asked: self.clone(),
            user: Box::new(person.user.clone()),
            session: Box::new(person.session.clone()),
            password: password.clone(),
            begins_anew: counter.begin_anew_everywhere(history),
            counter: Box::new(counter),
        }))
    }
}

/// Returns true if both are one password, whichever way they are composed.
fn is_same(one: &SecretText, other: &SecretText) -> bool {
    one.nfc().as_ref().unwrap_or(one) == other.nfc().as_ref().unwrap_or(other)
}

fn refuse(
    ctx: &Context,
    person: &Person<'_>,
    refusal: Refusal,
    mut changes: Vec<Change>,
) -> Next<PendingChange, Comparison> {
    let event = person.event(ctx, Kind::PasswordRefused);
    changes.push(Change::Audit(Event { refusal: Some(refusal), ..event }));
    Next::commit(changes, PendingChange::Refused(Problem::OldPasswordRefused, refusal))
}

impl Hashing<Bearer<ChangePassword>> for Comparison {
    fn run(
        self,
        _: &mut Bearer<ChangePassword>,
        basis: &Basis<'_>,
        workspace: &mut Workspace,
    ) -> Decided<PendingChange, Self> {
        let Self { asked, user, session, password, counter, begins_anew } = self;
        let (ctx, now, person) = (basis.ctx, basis.now(), Person { user: &user, session: &session });
        let good = password.hash.is_of(&asked.old, workspace).ok_or_else(|| ctx.unavailable())?;
        if !good {
            let mut changes = count_wrong(ctx, &counter);
            changes.push(Change::CountFailure { user: user.id.clone(), at: now });
            return Ok(refuse(ctx, &person, Refusal::PasswordWrong, changes));
        }
        let hash = PasswordHash::of(&asked.new, ctx.inputs.password_salt(), workspace);
        let hash = hash.ok_or_else(|| ctx.unavailable())?;
        let mut changed = (*user).clone();
        changed.set_password(now);
        changed.updated_at = now;
        let mut changes = person.conditions();
        // What was guessed at the old password is nothing against the new one.
        changes.extend(begins_anew);
        changes.extend([
            Change::UpdateUser(changed),
            Change::SetPassword { user: user.id.clone(), hash },
            Change::Audit(person.event(ctx, Kind::PasswordChanged)),
        ]);
        changes.extend(lock_ignored(ctx, &counter));
        Ok(Next::commit_in(basis.state_epoch, changes, PendingChange::Done))
    }
}
