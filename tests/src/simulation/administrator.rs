//! The administrator at the command line: reads, and a moment later writes changes that depend on what was read.

use std::sync::Arc;

use gatepass_core::admin::client_secrets::{AddSecret, FormerSecrets, ImportedSecret};
use gatepass_core::admin::clients::{AddClient, DeleteClient, DisableClient, EnableClient};
use gatepass_core::admin::roles::{SetClientRoles, SetUserRoles};
use gatepass_core::admin::sessions::{EndSession, EndUserSessions};
use gatepass_core::admin::tickets::RevokeTicket;
use gatepass_core::admin::users::{DisableUser, EnableUser, SetPassword};
use gatepass_core::admin::{ClientFields, Operation};
use gatepass_core::base::secret::SecretText;
use gatepass_core::base::time::Time;
use gatepass_core::records::client::Client;
use gatepass_core::records::id::{ClientId, UserId, UserRef};
use gatepass_core::records::role::{Role, Roles};
use gatepass_core::records::ticket::TicketState;

use super::administration::Author;
use super::people::{self, HOLDERS, PASSWORDS, client_id, user_id};
use super::{Event, World, note};
use crate::administrator::{self, PendingOperation};
use crate::fixtures;

impl World {
    /// Runs the next command.
    pub(super) fn administer(&mut self) {
        self.later(500, 6_000, Event::Administer);
        let now = self.server_time();
        let users = self.people.len() as u64;
        let index = self.rng.below(users) as usize;
        let name = self.people[index].user.clone();
        let id = user_id(&name);
        let decided = match self.rng.below(10) {
            0 => self.toggle_user(&id, now),
            1 => self.decide(EndUserSessions { user: (&id).into() }, now),
            2 => self.end_session(now),
            3 | 4 => self.revoke_ticket(now),
            5 => self.set_password(&name, &id, now),
            6 => self.rotate_secret(now),
            7 | 8 => self.give_role(now),
            _ => self.toggle_portal(now),
        };
        if let Some(pending) = decided {
            note!(self, "the administrator has a command about {name}");
            self.later(5, 300, Event::Operation(pending));
        }
    }

    /// Reads, and decides on what was found.
    fn decide<O: Operation + 'static>(
        &mut self,
        operation: O,
        now: Time,
    ) -> Option<Box<dyn PendingOperation>> {
        let inputs = fixtures::inputs(now, self.next_number());
        administrator::decide(operation, inputs, self.engine.settings(), &|query| self.tables.read(query))
    }

    /// An operation reaches the store, and is decided again where it met a conflict.
    pub(super) fn operate(&mut self, pending: Box<dyn PendingOperation>) {
        if self.faults.is_full {
            return;
        }
        let outcome = self.commit(None, &Author::Command, &Arc::clone(pending.changes()));
        let again = pending.settle(outcome, self.engine.settings(), &|query| self.tables.read(query));
        if let Some(again) = again {
            self.coverage.count("commands decided again");
            self.later(5, 300, Event::Operation(again));
        }
    }

    /// Gives somebody the role that they had at first.
    fn give_role(&mut self, now: Time) -> Option<Box<dyn PendingOperation>> {
        if self.rng.one_in(5) {
            let roles = Roles::of(&[Role::Operator]);
            return self.decide(SetClientRoles { client: client_id("backend"), roles }, now);
        }
        let (name, role) = self.rng.pick(&HOLDERS);
        self.decide(SetUserRoles { user: (&user_id(name)).into(), roles: Roles::of(&[role]) }, now)
    }

    fn toggle_user(&mut self, id: &UserId, now: Time) -> Option<Box<dyn PendingOperation>> {
        // A disabled user is soon enabled again.
        let disabled =
            self.tables.users.values().find(|user| !user.is_active() && user.id.as_str() != "usr_gone");
        match disabled.map(|user| UserRef::from(&user.id)) {
            Some(user) => self.decide(EnableUser { user }, now),
            None => self.decide(DisableUser { user: id.into() }, now),
        }
    }

    fn end_session(&mut self, now: Time) -> Option<Box<dyn PendingOperation>> {
        let live = self.tables.sessions.values().filter(|session| session.ended_at.is_none());
        let ids: Vec<_> = live.map(|session| session.id.clone()).collect();
        if ids.is_empty() {
            return None;
        }
        let session = self.rng.pick(&ids);
        self.decide(EndSession { session, user: None }, now)
    }

    fn set_password(&mut self, name: &str, id: &UserId, now: Time) -> Option<Box<dyn PendingOperation>> {
        if !self.tables.passwords.contains_key(id) {
            return None;
        }
        let (text, _) = self.rng.pick(&PASSWORDS);
        let password = SecretText::new(text.into());
        let set = self.decide(SetPassword { user: id.into(), password, must_change: false }, now)?;
        self.passwords.insert(name.to_owned(), text);
        Some(set)
    }

    fn revoke_ticket(&mut self, now: Time) -> Option<Box<dyn PendingOperation>> {
        let live = self.tables.tickets.values().filter(|ticket| ticket.state == TicketState::Live);
        let ids: Vec<_> = live.map(|ticket| ticket.id.clone()).collect();
        if ids.is_empty() {
            return None;
        }
        let ticket = self.rng.pick(&ids);
        self.decide(RevokeTicket { ticket }, now)
    }

    /// Gives the portal a new secret, used at once. The old one stays good for a short time.
    fn rotate_secret(&mut self, now: Time) -> Option<Box<dyn PendingOperation>> {
        let number = self.next_number();
        let secret = format!("gps_portal-{number:040}");
        let rotate = AddSecret {
            client: portal(),
            former: FormerSecrets::EndAfter(10),
            lifetime: None,
            secret: Some(imported(&secret)),
        };
        let rotated = self.decide(rotate, now)?;
        self.portal_secret = secret;
        self.coverage.count("secrets rotated");
        Some(rotated)
    }

    fn toggle_portal(&mut self, now: Time) -> Option<Box<dyn PendingOperation>> {
        match self.tables.clients.get(&portal()).map(|client| client.enabled) {
            None => self.add_portal(now),
            Some(false) => self.decide(EnableClient { client: portal() }, now),
            Some(true) if self.rng.one_in(3) => {
                // Added anew at once: another client of the same name and the same secret.
                self.later(400, 700, Event::Reopen);
                self.decide(DeleteClient { client: portal() }, now)
            }
            Some(true) => {
                // Later the disabled portal is noticed.
                self.later(2_000, 8_000, Event::Reopen);
                self.decide(DisableClient { client: portal() }, now)
            }
        }
    }

    /// Enables the portal if it is disabled, and adds it again if it is gone.
    pub(super) fn reopen_portal(&mut self) {
        let now = self.server_time();
        let pending = match self.tables.clients.get(&portal()) {
            None => self.add_portal(now),
            Some(_) => self.decide(EnableClient { client: portal() }, now),
        };
        if let Some(pending) = pending {
            self.later(5, 300, Event::Operation(pending));
        }
    }

    fn add_portal(&mut self, now: Time) -> Option<Box<dyn PendingOperation>> {
        let Client { scope, default_scope, audiences, .. } =
            people::tables().clients.remove(&portal()).expect("the portal");
        let fields = ClientFields::default().scope(scope).expect("a scope").default_scope(default_scope);
        let fields =
            audiences.iter().fold(fields, |fields, audience| fields.audience(audience).expect("an audience"));
        let secret = imported(&self.portal_secret);
        self.coverage.count("clients added anew");
        self.decide(AddClient::new(portal(), fields, Some(secret)).expect("a client"), now)
    }
}

fn portal() -> ClientId {
    client_id("portal")
}

fn imported(secret: &str) -> ImportedSecret {
    ImportedSecret::new(SecretText::new(secret.into())).expect("a secret")
}
