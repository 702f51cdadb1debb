//! Operations on the roles of administration, and what the other operations owe to them.
//!
//! Nobody changes their own roles, and over HTTP nobody changes those of clients. Whoever changes over HTTP how somebody else signs in
//! takes that one's roles away in the same commit, so that no role is a way to another. The machine itself has every role: what a
//! command changes leaves roles alone. Over HTTP the last active officer stays one.

use alloc::vec;
use alloc::vec::Vec;

use super::clients;
use super::error::{AdminError, Field, Invalid, Obstacle};
use super::step::{Decision, Operation, OperationInputs, Plan};
use super::users::{by_id, found, user_query};
use crate::records::client::Client;
use crate::records::id::{ClientId, UserRef};
use crate::records::role::{Role, Roles};
use crate::records::user::User;
use crate::store::audit::{Event, Kind};
use crate::store::change::Change;
use crate::store::page::{Page, PageQuery};
use crate::store::query::{Query, Records, RoleHolder, UserRecords};

/// Lists the users and clients with roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListRoleHolders {
    /// The page.
    pub page: PageQuery,
}

/// Gives a user exactly these roles, and ends their sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetUserRoles {
    /// The user.
    pub user: UserRef,
    /// The roles; none takes all of them.
    pub roles: Roles,
}

/// Gives a client exactly these roles, and ends what was issued by it or for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetClientRoles {
    /// The client.
    pub client: ClientId,
    /// The roles; none takes all of them.
    pub roles: Roles,
}

/// Checks that somebody may have all of `roles`, where they have to be `separate` or not.
///
/// # Errors
/// [`AdminError::Invalid`] where there are several, and they have to be separate.
pub fn require_separate(roles: Roles, separate: bool) -> Result<(), AdminError> {
    if separate && roles.len() > 1 {
        return Err(AdminError::Invalid { field: Field::Roles, reason: Invalid::NotSeparate });
    }
    Ok(())
}

impl Operation for ListRoleHolders {
    type Output = Page<RoleHolder>;

    fn query(&self) -> Query {
        Query::RoleHolderPage(self.page.clone())
    }

    fn decide(
        &self,
        _: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<Page<RoleHolder>>, AdminError> {
        let Records::RoleHolderPage(page) = records else { return Err(AdminError::Internal) };
        Ok(Decision::Done(page.clone()))
    }
}

impl Operation for SetUserRoles {
    type Output = User;

    fn query(&self) -> Query {
        user_query(&self.user)
    }

    fn decide(&self, inputs: &OperationInputs<'_>, records: &Records) -> Result<Decision<User>, AdminError> {
        let UserRecords { user, another_officer, .. } = found(&self.user, records)?;
        if inputs.administrator.is_user(&user.id) {
            return Err(AdminError::Refused(Obstacle::OwnRoles));
        }
        require_separate(self.roles, inputs.settings.separate_roles)?;
        if user.roles == self.roles {
            return Ok(Decision::Done(user.clone()));
        }
        let mut changes = Vec::new();
        if !self.roles.contains(Role::Officer) {
            changes.extend(leave_an_officer(inputs, user, *another_officer)?);
        }
        let mut user = user.clone();
        user.set_roles(self.roles);
        user.updated_at = inputs.request.now;
        changes.push(Change::UpdateUser(user.clone()));
        changes.push(user_event(inputs, &user));
        Ok(by_id(changes, user))
    }
}

impl Operation for SetClientRoles {
    type Output = Client;

    fn query(&self) -> Query {
        Query::Client(self.client.clone())
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<Client>, AdminError> {
        let mut client = clients::found(&self.client, records)?.clone();
        let Some(event) = give_to_client(inputs, &mut client, self.roles)? else {
            return Ok(Decision::Done(client));
        };
        Ok(Plan::new(vec![Change::UpdateClient(client.clone()), event], client).into())
    }
}

/// Gives `client` exactly `roles`. Returns what is to be written beside the record; none where it has them already.
///
/// # Errors
/// [`Obstacle::RolesOfClients`] over HTTP, and as [`require_separate`].
pub(super) fn give_to_client(
    inputs: &OperationInputs<'_>,
    client: &mut Client,
    roles: Roles,
) -> Result<Option<Change>, AdminError> {
    if !inputs.administrator.is_machine() {
        return Err(AdminError::Refused(Obstacle::RolesOfClients));
    }
    require_separate(roles, inputs.settings.separate_roles)?;
    if client.roles == roles {
        return Ok(None);
    }
    client.set_roles(roles);
    Ok(Some(client_event(inputs, client)))
}

/// Takes the roles of `user`, whose way to sign in somebody else changes over HTTP. Returns what is to be written beside the record; it
/// is empty if the roles stay.
///
/// # Errors
/// [`Obstacle::LastOfficer`] where no other active user is an officer.
pub(super) fn take_from_user(
    inputs: &OperationInputs<'_>,
    user: &mut User,
    another_officer: bool,
) -> Result<Vec<Change>, AdminError> {
    let administrator = inputs.administrator;
    if user.roles.is_empty() || administrator.is_machine() || administrator.is_user(&user.id) {
        return Ok(Vec::new());
    }
    let mut changes: Vec<Change> = leave_an_officer(inputs, user, another_officer)?.into_iter().collect();
    user.set_roles(Roles::NONE);
    changes.push(user_event(inputs, user));
    Ok(changes)
}

/// Takes the roles of `client`, whose way to authenticate somebody else changes over HTTP. Returns what is to be written beside the
/// record.
pub(super) fn take_from_client(inputs: &OperationInputs<'_>, client: &mut Client) -> Option<Change> {
    let administrator = inputs.administrator;
    if client.roles.is_empty() || administrator.is_machine() || administrator.is_client(&client.id) {
        return None;
    }
    client.set_roles(Roles::NONE);
    Some(client_event(inputs, client))
}

/// Returns what must hold when `user` ceases to be an officer over HTTP, if that is one.
///
/// # Errors
/// [`Obstacle::LastOfficer`] where no other active user is one.
pub(super) fn leave_an_officer(
    inputs: &OperationInputs<'_>,
    user: &User,
    another_officer: bool,
) -> Result<Option<Change>, AdminError> {
    if inputs.administrator.is_machine() || !user.roles.contains(Role::Officer) || !user.is_active() {
        return Ok(None);
    }
    if !another_officer {
        return Err(AdminError::Refused(Obstacle::LastOfficer));
    }
    Ok(Some(Change::RequireAnotherOfficer { besides: user.id.clone() }))
}

fn user_event(inputs: &OperationInputs<'_>, user: &User) -> Change {
    let event = Event::new(Kind::UserRolesChanged, inputs.request.now);
    Change::Audit(Event { subject: Some(user.id.clone()), roles: Some(user.roles), ..event })
}

fn client_event(inputs: &OperationInputs<'_>, client: &Client) -> Change {
    let event = Event::new(Kind::ClientRolesChanged, inputs.request.now);
    Change::Audit(Event { client: Some(client.id.clone()), roles: Some(client.roles), ..event })
}
