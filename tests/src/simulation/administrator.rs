//! The administrator at the command line: reads, and a moment later writes changes that depend on what was read.

use std::sync::Arc;

use gatepass_core::admin::Operation;
use gatepass_core::admin::sessions::{EndSession, EndUserSessions};
use gatepass_core::admin::users::{DisableUser, EnableUser, SetPassword};
use gatepass_core::base::secret::SecretText;
use gatepass_core::base::time::Time;
use gatepass_core::records::client::{Client, ClientSecret, SecretDigest};
use gatepass_core::records::id::{ClientId, UserId, UserRef};
use gatepass_core::records::ticket::TicketState;
use gatepass_core::store::audit::{Event as Row, Kind};
use gatepass_core::store::change::Change;

use super::people::{PASSWORDS, user_id};
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
        let decided = match self.rng.below(8) {
            0 => self.toggle_user(&id, now),
            1 => self.decide(EndUserSessions { user: (&id).into() }, now),
            2 => self.end_session(now),
            5 => self.set_password(&name, &id, now),
            other => {
                let changes = match other {
                    3 | 4 => self.revoke_ticket(now),
                    6 => self.rotate_secret(now),
                    _ => self.toggle_portal(now),
                };
                if !changes.is_empty() {
                    self.later(5, 300, Event::Command(changes));
                }
                return;
            }
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
        let outcome = self.commit(None, &Arc::clone(pending.changes()));
        let again = pending.settle(outcome, self.engine.settings(), &|query| self.tables.read(query));
        if let Some(again) = again {
            self.coverage.count("commands decided again");
            self.later(5, 300, Event::Operation(again));
        }
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
        self.decide(EndSession { session }, now)
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

    fn revoke_ticket(&mut self, now: Time) -> Vec<Change> {
        let live = self.tables.tickets.values().filter(|ticket| ticket.state == TicketState::Live);
        let ids: Vec<_> = live.map(|ticket| ticket.id.clone()).collect();
        if ids.is_empty() {
            return vec![];
        }
        let id = self.rng.pick(&ids);
        let row = Row { ticket: Some(id.clone()), ..Row::new(Kind::TicketRevoked, now) };
        vec![Change::RevokeTicket { id, at: now }, Change::Audit(row)]
    }

    /// Gives the portal a new secret, used at once. The old one stays good for a short time.
    fn rotate_secret(&mut self, now: Time) -> Vec<Change> {
        let mut portal = self.portal();
        let number = self.next_number();
        let secret = format!("gps_portal-{number:040}");
        portal.secrets.retain(|secret| secret.expires_at.is_none());
        portal.secrets.iter_mut().for_each(|old| old.expires_at = Some(now.plus(10)));
        let digest = SecretDigest::of(&secret);
        portal.secrets.push(ClientSecret { digest, created_at: now, expires_at: None });
        self.portal_secret = secret;
        self.coverage.count("secrets rotated");
        let row = Row { client: Some(portal.id.clone()), ..Row::new(Kind::SecretRotated, now) };
        vec![Change::UpdateClient(portal), Change::Audit(row)]
    }

    fn toggle_portal(&mut self, now: Time) -> Vec<Change> {
        let mut portal = self.portal();
        if portal.enabled && self.rng.one_in(3) {
            return self.replace_portal(portal, now);
        }
        if portal.enabled {
            portal.disable();
            // Later the disabled portal is noticed.
            let mut enabled = Client { revision: portal.revision + 1, ..portal.clone() };
            enabled.enable();
            self.later(2_000, 8_000, Event::Command(vec![Change::UpdateClient(enabled)]));
        } else {
            portal.enable();
        }
        let kind = if portal.enabled { Kind::ClientEnabled } else { Kind::ClientDisabled };
        let row = Row { client: Some(portal.id.clone()), ..Row::new(kind, now) };
        vec![Change::UpdateClient(portal), Change::Audit(row)]
    }

    /// Deletes the portal and adds it anew at once: another client of the same name and the same secrets.
    fn replace_portal(&mut self, portal: Client, now: Time) -> Vec<Change> {
        self.coverage.count("clients added anew");
        let id = portal.id.clone();
        let epoch = Client::first_epoch(self.next_number() << 12);
        let anew = Client { epoch, created_at: now, revision: 0, ..portal };
        let rows = [Kind::ClientDeleted, Kind::ClientAdded]
            .map(|kind| Change::Audit(Row { client: Some(id.clone()), ..Row::new(kind, now) }));
        let changes = [Change::DeleteClient(id.clone()), Change::InsertClient(anew)];
        changes.into_iter().chain(rows).collect()
    }

    fn portal(&self) -> Client {
        self.tables.clients[&ClientId::parse("portal").expect("an id")].clone()
    }
}
