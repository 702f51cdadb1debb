//! Administration over HTTP: who may do what, and what takes roles away.

use gatepass_core::records::role::{Role, Roles};
use serde_json::{Value, json};

use super::model::{Answer, Holder, Model, Name, is_within, refused};
use super::operation::{Act, Bearer, Operation};

/// The scope of administration.
pub(super) const ADMIN: Name = "gatepass:admin";

/// Returns true if a token of `scope` may administer.
pub(super) fn administers(scope: &str) -> bool {
    is_within(ADMIN, scope)
}

/// The holder of a token that administers.
#[derive(Clone, Copy, PartialEq)]
enum Administrator {
    Person(Name),
    Client(Name),
}

/// Returns the role that an act takes.
const fn role_for(act: Act) -> Role {
    match act {
        Act::ListHolders
        | Act::GiveRoles(..)
        | Act::TakeRoles(_)
        | Act::DisableClient(_)
        | Act::EnableClient(_)
        | Act::DeleteClient(_)
        | Act::AddSecret(_) => Role::Officer,
        Act::SetPassword(..)
        | Act::RequireChange(_)
        | Act::ResetFactors(_)
        | Act::SetEmail(..)
        | Act::Disable(_)
        | Act::Enable(_)
        | Act::Delete(_)
        | Act::Unlock(_)
        | Act::EndSessions(_) => Role::Operator,
    }
}

/// Returns the status of an act that is done.
const fn done_with(act: Act) -> u16 {
    match act {
        Act::AddSecret(_) => 201,
        Act::TakeRoles(_)
        | Act::ResetFactors(_)
        | Act::Delete(_)
        | Act::EndSessions(_)
        | Act::DeleteClient(_) => 204,
        _ => 200,
    }
}

fn words(roles: Roles) -> Vec<&'static str> {
    roles.iter().map(Role::as_str).collect()
}

impl Model {
    /// Returns every holder of a role, users first.
    pub(super) fn holders(&self) -> Vec<(String, Roles)> {
        let users = self.people.iter().map(|(name, person)| (format!("usr_{name}"), person.roles));
        let clients = self.clients.iter().map(|(id, client)| ((*id).to_owned(), client.roles));
        users.chain(clients).filter(|(_, roles)| !roles.is_empty()).collect()
    }

    /// Gives roles by command, which the machine may always do.
    pub(super) fn give_roles(&mut self, user: Name, roles: Roles) {
        if self.may_have(roles)
            && let Some(person) = self.people.get_mut(user)
        {
            person.epoch += u32::from(person.roles != roles);
            person.roles = roles;
        }
    }

    /// Does the same for a client.
    pub(super) fn give_client_roles(&mut self, client: Name, roles: Roles) {
        if self.may_have(roles)
            && let Some(client) = self.clients.get_mut(client)
        {
            client.epoch += u64::from(client.roles != roles);
            client.roles = roles;
        }
    }

    fn may_have(&self, roles: Roles) -> bool {
        !self.rules.separate || roles.len() <= 1
    }

    pub(super) fn administer(&mut self, bearer: Bearer, act: Act) -> Answer {
        let (who, roles) = match self.holder(bearer) {
            Holder::Nobody => return refused(40100),
            Holder::Restricted(_) => return refused(40303),
            Holder::Service(token) => {
                let client = self.access[token].client;
                (Administrator::Client(client), self.clients[client].roles)
            }
            Holder::Person(session) => {
                if self.sessions[session].grant.actor.is_some() {
                    return refused(40301);
                }
                let user = self.sessions[session].grant.user;
                (Administrator::Person(user), self.people[user].roles)
            }
        };
        if !self.access(bearer).is_some_and(|token| administers(self.access[token].scope)) {
            return refused(40300);
        }
        if !roles.contains(role_for(act)) {
            return refused(40305);
        }
        let done = |says| Answer { kind: format!("done {}", act.name()), status: done_with(act), says };
        self.act(who, act).map_or_else(|refusal| refusal, done)
    }

    fn act(&mut self, who: Administrator, act: Act) -> Result<Value, Answer> {
        match act {
            Act::ListHolders => {
                let item = |(id, roles): (String, Roles)| {
                    let kind = if id.starts_with("usr_") { "user" } else { "client" };
                    json!({"kind": kind, "id": id, "roles": words(roles)})
                };
                let items: Vec<Value> = self.holders().into_iter().map(item).collect();
                Ok(json!({"items": items, "next": null}))
            }
            Act::DisableClient(client) | Act::EnableClient(client) => {
                let enabled = matches!(act, Act::EnableClient(_));
                if self.found_client(client)? != enabled {
                    if enabled {
                        self.strip_client(who, client);
                    }
                    let by_command = if enabled { Operation::EnableClient } else { Operation::DisableClient };
                    self.edit_client(client, &by_command(client));
                }
                Ok(json!({"client_id": client, "enabled": enabled}))
            }
            Act::DeleteClient(client) => {
                self.found_client(client)?;
                self.edit_client(client, &Operation::DeleteClient(client));
                Ok(json!({}))
            }
            Act::AddSecret(client) => {
                self.found_client(client)?;
                if self.clients[client].secrets == 8 {
                    return Err(refused(40901).because("eight"));
                }
                self.strip_client(who, client);
                self.clients.entry(client).and_modify(|client| client.secrets += 1);
                Ok(json!({}))
            }
            Act::GiveRoles(user, roles) => self.act_on_roles(who, user, roles),
            Act::TakeRoles(user) => self.act_on_roles(who, user, Roles::NONE).map(|_| json!({})),
            Act::SetPassword(user, _)
            | Act::RequireChange(user)
            | Act::ResetFactors(user)
            | Act::SetEmail(user, _)
            | Act::Disable(user)
            | Act::Enable(user)
            | Act::Delete(user)
            | Act::Unlock(user)
            | Act::EndSessions(user) => {
                if !self.people.contains_key(user) {
                    return Err(refused(40403));
                }
                self.act_on_user(who, user, act)?;
                Ok(json!({}))
            }
        }
    }

    fn act_on_roles(&mut self, who: Administrator, user: Name, roles: Roles) -> Result<Value, Answer> {
        let Some(person) = self.people.get(user) else { return Err(refused(40403)) };
        match () {
            () if who == Administrator::Person(user) => return Err(refused(40901).because("own roles")),
            () if !self.may_have(roles) => return Err(refused(40050)),
            () if person.roles == roles => {}
            () => {
                if !roles.contains(Role::Officer) {
                    self.leave_an_officer(user)?;
                }
                self.give_roles(user, roles);
            }
        }
        Ok(json!({"kind": "user", "id": format!("usr_{user}"), "roles": words(roles)}))
    }

    /// Changes a user by an operator. The machine's commands do the same and leave roles alone.
    fn act_on_user(&mut self, who: Administrator, user: Name, act: Act) -> Result<(), Answer> {
        let person = &self.people[user];
        match act {
            Act::SetPassword(_, text) => {
                self.strip(who, user)?;
                self.edit(user, &Operation::SetPassword(user, text));
            }
            Act::RequireChange(_) => match &person.password {
                None => return Err(refused(40901).because("no password")),
                Some(password) if password.must_change => {}
                Some(_) => {
                    self.strip(who, user)?;
                    self.edit(user, &Operation::RequireChange(user));
                }
            },
            Act::ResetFactors(_) => {
                self.strip(who, user)?;
                self.reset_factors(user);
            }
            Act::SetEmail(_, domain) if person.mail != Some(domain) => {
                self.strip(who, user)?;
                self.people.entry(user).and_modify(|person| person.mail = Some(domain));
            }
            Act::Enable(_) if person.disabled => {
                self.strip(who, user)?;
                self.edit(user, &Operation::Enable(user));
            }
            Act::Disable(_) if !person.disabled => {
                self.leave_an_officer(user)?;
                self.edit(user, &Operation::Disable(user));
            }
            Act::Delete(_) => {
                self.leave_an_officer(user)?;
                self.delete(user);
            }
            Act::Unlock(_) => self.edit(user, &Operation::Unlock(user)),
            Act::EndSessions(_) => self.edit(user, &Operation::EndAllByCommand(user)),
            _ => {}
        }
        Ok(())
    }

    /// Takes the roles of `user`, whose way to sign in somebody else changes.
    fn strip(&mut self, who: Administrator, user: Name) -> Result<(), Answer> {
        if who != Administrator::Person(user) && !self.people[user].roles.is_empty() {
            self.leave_an_officer(user)?;
            self.give_roles(user, Roles::NONE);
        }
        Ok(())
    }

    /// Does the same for a client, of which nobody needs to be left.
    fn strip_client(&mut self, who: Administrator, client: Name) {
        if who != Administrator::Client(client) {
            self.give_client_roles(client, Roles::NONE);
        }
    }

    /// Refuses to end the last active officer.
    fn leave_an_officer(&self, user: Name) -> Result<(), Answer> {
        let is_officer = |name: Name| self.is_active(name) && self.people[name].roles.contains(Role::Officer);
        let is_last = is_officer(user) && !self.people.keys().any(|name| *name != user && is_officer(name));
        if is_last { Err(refused(40901).because("last officer")) } else { Ok(()) }
    }

    /// Returns true if the client is enabled.
    fn found_client(&self, client: Name) -> Result<bool, Answer> {
        self.clients.get(client).map(|client| client.enabled).ok_or_else(|| refused(40403))
    }
}
