//! Operations on a user's record and password.

use alloc::borrow::ToOwned;
use alloc::{string::String, vec, vec::Vec};

use crate::admin::error::{AdminError, Field, Invalid, Item, Obstacle};
use crate::admin::fields::UserFields;
use crate::admin::roles::{leave_an_officer, take_from_user};
use crate::admin::step::{Decision, Operation, OperationInputs, Plan};
use crate::admin::user_search::UserSearch;
use crate::base::secret::SecretText;
use crate::crypto::seed::Label;
use crate::policy::guess_counter::clear_places;
use crate::policy::password::fit;
use crate::records::factor::{Lockout, LockoutOf};
use crate::records::id::{UserId, UserRef};
use crate::records::identifier::IdentifierKind;
use crate::records::request_inputs::RequestInputs;
use crate::records::user::{Status, User, Username};
use crate::settings::Settings;
use crate::store::audit::{Event, Kind};
use crate::store::change::Change;
use crate::store::page::{Page, PageQuery};
use crate::store::query::{AccountRecords, IdentifierOwner, Named, Query, Records, UserQuery, UserRecords};

/// Lists users.
#[derive(Clone, Debug, PartialEq)]
pub struct ListUsers {
    /// The page.
    pub page: PageQuery,
    /// Only those whom it finds. A page may have fewer of them than were asked for, or none, and others after it.
    pub search: Option<UserSearch>,
}

/// Shows a user.
#[derive(Clone, Debug, PartialEq)]
pub struct ShowUser {
    /// The user.
    pub user: UserRef,
}

/// Shows a user with their password, factors and sign-in history.
#[derive(Clone, Debug, PartialEq)]
pub struct ShowAccount {
    /// The user.
    pub user: UserRef,
}

/// Adds a user.
#[derive(Clone, Debug, PartialEq)]
pub struct AddUser {
    /// The name they sign in with.
    pub username: Username,
    /// Everything else that is known of them.
    pub fields: UserFields,
    /// Their password, where they get one.
    pub password: Option<SecretText>,
}

/// Changes a user's record.
#[derive(Clone, Debug, PartialEq)]
pub struct SetUser {
    /// The user.
    pub user: UserRef,
    /// The name they sign in with from now on, where that changes.
    pub username: Option<Username>,
    /// The values that change.
    pub fields: UserFields,
}

/// Changes a user as one request says: their values, and whether they may sign in.
#[derive(Clone, Debug, PartialEq)]
pub struct PatchUser {
    /// The values that change, and whose they are.
    pub set: SetUser,
    /// Enables or disables the user, as [`EnableUser`] and [`DisableUser`] do.
    pub status: Option<Status>,
    /// The revision that the record must have.
    pub revision: Option<u64>,
}

/// Disables a user, and ends their sessions.
#[derive(Clone, Debug, PartialEq)]
pub struct DisableUser {
    /// The user.
    pub user: UserRef,
}

/// Enables a disabled user. Sessions that ended stay ended.
#[derive(Clone, Debug, PartialEq)]
pub struct EnableUser {
    /// The user.
    pub user: UserRef,
}

/// Deletes a user, with everything that is theirs.
#[derive(Clone, Debug, PartialEq)]
pub struct DeleteUser {
    /// The user.
    pub user: UserRef,
}

/// Gives a user a new password, and ends their sessions.
#[derive(Clone, Debug, PartialEq)]
pub struct SetPassword {
    /// The user.
    pub user: UserRef,
    /// The password.
    pub password: SecretText,
    /// The user has to choose another one as soon as they sign in with it.
    pub must_change: bool,
}

/// Has a user change their password before anything else, and ends their sessions.
#[derive(Clone, Debug, PartialEq)]
pub struct RequirePasswordChange {
    /// The user.
    pub user: UserRef,
}

/// Lifts the locks on a user's password and factors.
#[derive(Clone, Debug, PartialEq)]
pub struct UnlockUser {
    /// The user.
    pub user: UserRef,
}

impl Operation for ListUsers {
    type Output = Page<User>;

    fn query(&self) -> Query {
        Query::UserPage(self.page.clone())
    }

    fn decide(&self, _: &OperationInputs<'_>, records: &Records) -> Result<Decision<Page<User>>, AdminError> {
        let Records::UserPage(page) = records else { return Err(AdminError::Internal) };
        let is_wanted = |user: &&User| self.search.as_ref().is_none_or(|search| search.finds(user));
        let items = page.items.iter().filter(is_wanted).cloned().collect();
        Ok(Decision::Done(Page { items, next: page.next.clone() }))
    }
}

impl Operation for ShowUser {
    type Output = User;

    fn query(&self) -> Query {
        user_query(&self.user)
    }

    fn decide(&self, _: &OperationInputs<'_>, records: &Records) -> Result<Decision<User>, AdminError> {
        Ok(Decision::Done(found(&self.user, records)?.user.clone()))
    }
}

impl Operation for ShowAccount {
    type Output = AccountRecords;

    fn query(&self) -> Query {
        Query::Account(self.user.clone())
    }

    fn decide(
        &self,
        _: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<AccountRecords>, AdminError> {
        Ok(Decision::Done(account(&self.user, records)?.clone()))
    }
}

impl Operation for AddUser {
    type Output = User;

    fn query(&self) -> Query {
        Query::Owners(texts(&wanted(Some(&self.username), &self.fields)))
    }

    fn decide(&self, inputs: &OperationInputs<'_>, records: &Records) -> Result<Decision<User>, AdminError> {
        let Records::Owners(owners) = records else { return Err(AdminError::Internal) };
        require_free(wanted(Some(&self.username), &self.fields), owners)?;
        let mut user = new_user(&self.username, inputs.request)?;
        self.fields.apply(&mut user);
        let added = event(inputs, Kind::UserAdded, &user.id);
        let Some(password) = &self.password else {
            return Ok(Plan::new(vec![Change::InsertUser(user.clone()), added], user).into());
        };
        check_password(password, &user, inputs.settings)?;
        let Some(hash) = inputs.password_hash else { return Ok(Decision::HashPassword(password.clone())) };
        user.password_changed_at = Some(inputs.request.now);
        let set = Change::SetPassword { user: user.id.clone(), hash: hash.clone() };
        Ok(Plan::new(vec![Change::InsertUser(user.clone()), added, set], user).into())
    }
}

impl Operation for SetUser {
    type Output = User;

    fn query(&self) -> Query {
        self.query_of(self.user.clone())
    }

    fn decide(&self, inputs: &OperationInputs<'_>, records: &Records) -> Result<Decision<User>, AdminError> {
        self.change(inputs, found(&self.user, records)?, None)
    }
}

impl Operation for PatchUser {
    type Output = User;

    fn query(&self) -> Query {
        self.set.query()
    }

    fn decide(&self, inputs: &OperationInputs<'_>, records: &Records) -> Result<Decision<User>, AdminError> {
        let records = found(&self.set.user, records)?;
        if self.revision.is_some_and(|revision| revision != records.user.revision) {
            return Err(AdminError::Refused(Obstacle::OtherRevision));
        }
        self.set.change(inputs, records, self.status)
    }
}

impl SetUser {
    fn query_of(&self, user: UserRef) -> Query {
        let identifiers = texts(&wanted(self.username.as_ref(), &self.fields));
        Query::User(UserQuery { user, identifiers })
    }

    /// Writes the values, and the status if one is given. What changes how the user signs in takes roles away.
    fn change(
        &self,
        inputs: &OperationInputs<'_>,
        records: &UserRecords,
        status: Option<Status>,
    ) -> Result<Decision<User>, AdminError> {
        let UserRecords { user: before, owners, another_officer } = records;
        require_free(wanted(self.username.as_ref(), &self.fields), owners)?;
        let mut user = before.clone();
        if let Some(username) = &self.username {
            user.username = username.clone();
        }
        self.fields.apply(&mut user);
        let mut kinds = if user == *before { vec![] } else { vec![Kind::UserChanged] };
        let status = status.filter(|status| *status != before.status);
        let mut more = Vec::new();
        if status == Some(Status::Active) || !signs_in_alike(before, &user) {
            more.extend(take_from_user(inputs, &mut user, *another_officer)?);
        }
        match status {
            Some(Status::Active) => {
                user.enable();
                kinds.push(Kind::UserEnabled);
            }
            Some(Status::Disabled) => {
                more.extend(leave_an_officer(inputs, &user, *another_officer)?);
                user.disable();
                kinds.push(Kind::UserDisabled);
            }
            None => {}
        }
        if kinds.is_empty() {
            return Ok(Decision::Done(user));
        }
        user.updated_at = inputs.request.now;
        let mut changes = vec![Change::UpdateUser(user.clone())];
        changes.extend(kinds.into_iter().map(|kind| event(inputs, kind, &user.id)));
        changes.extend(more);
        let (retry, revision) = (self.query_of(UserRef::from(&user.id)), user.revision.saturating_add(1));
        Ok(Plan::new(changes, User { revision, ..user }).retry_with(retry).into())
    }
}

impl Operation for DisableUser {
    type Output = User;

    fn query(&self) -> Query {
        user_query(&self.user)
    }

    fn decide(&self, inputs: &OperationInputs<'_>, records: &Records) -> Result<Decision<User>, AdminError> {
        let UserRecords { user, another_officer, .. } = found(&self.user, records)?;
        if !user.is_active() {
            return Ok(Decision::Done(user.clone()));
        }
        let condition = leave_an_officer(inputs, user, *another_officer)?;
        Ok(edit_if(inputs, Kind::UserDisabled, user, condition.into_iter().collect(), User::disable))
    }
}

impl Operation for EnableUser {
    type Output = User;

    fn query(&self) -> Query {
        user_query(&self.user)
    }

    fn decide(&self, inputs: &OperationInputs<'_>, records: &Records) -> Result<Decision<User>, AdminError> {
        let records = found(&self.user, records)?;
        if records.user.is_active() {
            return Ok(Decision::Done(records.user.clone()));
        }
        edit_sign_in(inputs, Kind::UserEnabled, records, User::enable)
    }
}

impl Operation for DeleteUser {
    type Output = User;

    fn query(&self) -> Query {
        user_query(&self.user)
    }

    fn decide(&self, inputs: &OperationInputs<'_>, records: &Records) -> Result<Decision<User>, AdminError> {
        let UserRecords { user, another_officer, .. } = found(&self.user, records)?;
        let mut changes: Vec<_> = leave_an_officer(inputs, user, *another_officer)?.into_iter().collect();
        changes.push(Change::DeleteUser(user.id.clone()));
        changes.push(event(inputs, Kind::UserDeleted, &user.id));
        Ok(by_id(changes, user.clone()))
    }
}

impl Operation for SetPassword {
    type Output = User;

    fn query(&self) -> Query {
        Query::Account(self.user.clone())
    }

    fn decide(&self, inputs: &OperationInputs<'_>, records: &Records) -> Result<Decision<User>, AdminError> {
        let AccountRecords { user, history, another_officer, .. } = account(&self.user, records)?;
        let mut user = user.clone();
        check_password(&self.password, &user, inputs.settings)?;
        let Some(hash) = inputs.password_hash else {
            return Ok(Decision::HashPassword(self.password.clone()));
        };
        let roles = take_from_user(inputs, &mut user, *another_officer)?;
        user.set_password(inputs.request.now);
        user.must_change_password = self.must_change;
        user.updated_at = inputs.request.now;
        let mut changes = vec![
            Change::UpdateUser(user.clone()),
            Change::SetPassword { user: user.id.clone(), hash: hash.clone() },
            event(inputs, Kind::PasswordSet, &user.id),
        ];
        changes.extend(roles);
        changes.extend(clear_places(&user.id, LockoutOf::Password, history));
        let id = user.id.clone();
        Ok(account_by_id(changes, &id, user))
    }
}

impl Operation for RequirePasswordChange {
    type Output = User;

    fn query(&self) -> Query {
        user_query(&self.user)
    }

    fn decide(&self, inputs: &OperationInputs<'_>, records: &Records) -> Result<Decision<User>, AdminError> {
        let records = found(&self.user, records)?;
        let user = &records.user;
        if user.password_changed_at.is_none() {
            return Err(AdminError::Refused(Obstacle::NoPassword));
        }
        if user.must_change_password {
            return Ok(Decision::Done(user.clone()));
        }
        edit_sign_in(inputs, Kind::PasswordChangeRequired, records, User::require_password_change)
    }
}

impl Operation for UnlockUser {
    type Output = User;

    fn query(&self) -> Query {
        Query::Account(self.user.clone())
    }

    fn decide(&self, inputs: &OperationInputs<'_>, records: &Records) -> Result<Decision<User>, AdminError> {
        let AccountRecords { user, password, factors, history, .. } = account(&self.user, records)?;
        let (id, after) = (|| user.id.clone(), Lockout::default());
        let mut changes = vec![
            event(inputs, Kind::Unlocked, &user.id),
            Change::SetLockout { user: id(), before: factors.lockout, after },
        ];
        let lockout = password.as_ref().map(|password| password.lockout);
        changes.extend(lockout.map(|before| Change::SetPasswordLockout { user: id(), before, after }));
        changes.extend(clear_places(&user.id, LockoutOf::Password, history));
        changes.extend(clear_places(&user.id, LockoutOf::Factors, history));
        Ok(account_by_id(changes, &user.id, user.clone()))
    }
}

/// Checks a password that is to become one of `user`.
///
/// # Errors
/// [`AdminError::Invalid`] where it will not do.
pub(super) fn check_password(
    password: &SecretText,
    user: &User,
    settings: &Settings,
) -> Result<(), AdminError> {
    let least = settings.password_length;
    fit(password, user, least).map_err(|unfit| AdminError::Invalid {
        field: Field::Password,
        reason: Invalid::Unfit { unfit, least },
    })
}

/// Makes a user called `username`, with an identifier of 128 random bits.
fn new_user(username: &Username, inputs: &RequestInputs) -> Result<User, AdminError> {
    let id = inputs.seed.name(Label::User, User::ID_PREFIX);
    let id = UserId::parse(&id).map_err(|_| AdminError::Internal)?;
    Ok(User::new(id, username.clone(), inputs.now))
}

pub(super) fn user_query(user: &UserRef) -> Query {
    Query::User(UserQuery { user: user.clone(), identifiers: Vec::new() })
}

pub(super) fn found<'r>(who: &UserRef, records: &'r Records) -> Result<&'r UserRecords, AdminError> {
    let Records::User(found) = records else { return Err(AdminError::Internal) };
    Ok(&**resolve(who, found)?)
}

pub(super) fn account<'r>(who: &UserRef, records: &'r Records) -> Result<&'r AccountRecords, AdminError> {
    let Records::Account(found) = records else { return Err(AdminError::Internal) };
    Ok(&**resolve(who, found)?)
}

/// Returns the one user whom `who` names.
pub(super) fn resolve<'r, T>(who: &UserRef, named: &'r Named<T>) -> Result<&'r T, AdminError> {
    match named {
        Named::One(found) => Ok(found),
        Named::Nobody => Err(AdminError::NotFound(Item::User(who.as_str().to_owned()))),
        Named::Several(users) => {
            Err(AdminError::Ambiguous { identifier: who.as_str().to_owned(), users: users.clone() })
        }
    }
}

/// Returns the identifiers that a user is to get.
pub(super) fn wanted<'a>(
    username: Option<&'a Username>,
    fields: &'a UserFields,
) -> Vec<(IdentifierKind, &'a str)> {
    let username = username.map(|name| (IdentifierKind::Username, name.as_str()));
    username.into_iter().chain(fields.identifiers()).collect()
}

fn texts(wanted: &[(IdentifierKind, &str)]) -> Vec<String> {
    wanted.iter().map(|(_, text)| (*text).to_owned()).collect()
}

/// Checks that nobody else has what a user is to get.
pub(super) fn require_free(
    wanted: Vec<(IdentifierKind, &str)>,
    owners: &[Option<IdentifierOwner>],
) -> Result<(), AdminError> {
    let taken = wanted.into_iter().zip(owners).find_map(|(wanted, owner)| Some((wanted, owner.as_ref()?)));
    taken.map_or(Ok(()), |((kind, identifier), owner)| {
        let identifier = identifier.to_owned();
        Err(AdminError::IdentifierTaken { identifier, kind, owner: owner.clone() })
    })
}

/// Returns true if both sign in by the same identifiers, and are asked for a second factor by the same rule.
pub(super) fn signs_in_alike(one: &User, other: &User) -> bool {
    one.identifiers().eq(other.identifiers()) && one.second_factor == other.second_factor
}

/// Writes `change` to a user's record, on top of what was read. It is one of how the user signs in, which takes roles away.
fn edit_sign_in(
    inputs: &OperationInputs<'_>,
    kind: Kind,
    found: &UserRecords,
    change: impl FnOnce(&mut User),
) -> Result<Decision<User>, AdminError> {
    let mut user = found.user.clone();
    let roles = take_from_user(inputs, &mut user, found.another_officer)?;
    let changed = |found: &mut User| {
        *found = user;
        change(found);
    };
    Ok(edit_if(inputs, kind, &found.user, roles, changed))
}

/// Writes `change` to a user's record, on top of what was read, and `more`. Where nothing changes, nothing is written.
fn edit_if(
    inputs: &OperationInputs<'_>,
    kind: Kind,
    found: &User,
    more: Vec<Change>,
    change: impl FnOnce(&mut User),
) -> Decision<User> {
    let mut user = found.clone();
    change(&mut user);
    if user == *found {
        return Decision::Done(user);
    }
    user.updated_at = inputs.request.now;
    let mut changes = vec![Change::UpdateUser(user.clone()), event(inputs, kind, &user.id)];
    changes.extend(more);
    by_id(changes, user)
}

/// Plans `changes`. After a conflict the user is read by identifier, whatever happens to the name.
pub(super) fn by_id(changes: Vec<Change>, user: User) -> Decision<User> {
    let retry = user_query(&UserRef::from(&user.id));
    Plan::new(changes, user).retry_with(retry).into()
}

/// Does the same for an operation that reads the whole account.
pub(super) fn account_by_id<T>(changes: Vec<Change>, user: &UserId, output: T) -> Decision<T> {
    Plan::new(changes, output).retry_with(Query::Account(UserRef::from(user))).into()
}

pub(super) fn event(inputs: &OperationInputs<'_>, kind: Kind, user: &UserId) -> Change {
    Change::Audit(Event { subject: Some(user.clone()), ..Event::new(kind, inputs.request.now) })
}
