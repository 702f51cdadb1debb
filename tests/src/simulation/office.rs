//! The administrator, at the command line: reads, and a moment later writes what rests on it.

use gatepass_core::base::time::Time;
use gatepass_core::records::client::{Client, ClientSecret, SecretDigest};
use gatepass_core::records::id::{ClientId, UserId};
use gatepass_core::records::password::PasswordHash;
use gatepass_core::records::ticket::TicketState;
use gatepass_core::records::user::User;
use gatepass_core::store::audit::{Event as Row, Kind};
use gatepass_core::store::change::Change;

use super::people::{PASSWORDS, user_id};
use super::{Event, World, note};

impl World {
    /// The next command.
    pub(super) fn administer(&mut self) {
        self.later(500, 6_000, Event::Administer);
        let now = self.server_time();
        let users = self.people.len() as u64;
        let index = self.chance.below(users) as usize;
        let name = self.people[index].user.clone();
        let id = user_id(&name);
        let changes = match self.chance.below(8) {
            0 => self.turn_user(&id, now),
            1 => {
                let epoch = self.tables.users[&id].epoch;
                let row = Row { subject: Some(id.clone()), ..Row::new(Kind::SessionsEnded, now) };
                vec![Change::RaiseEpoch { id, epoch }, Change::Audit(row)]
            }
            2 => self.end_session(now),
            3 | 4 => self.revoke_ticket(now),
            5 => self.set_password(&name, &id, now),
            6 => self.rotate_secret(now),
            _ => self.turn_portal(now),
        };
        if !changes.is_empty() {
            note!(self, "the administrator has a command about {name}");
            self.later(5, 300, Event::Command(changes));
        }
    }

    fn turn_user(&mut self, id: &UserId, now: Time) -> Vec<Change> {
        // Whoever is disabled is not for long.
        let disabled =
            self.tables.users.values().find(|user| !user.is_active() && user.id.as_str() != "usr_gone");
        let mut user: User = disabled.unwrap_or(&self.tables.users[id]).clone();
        let kind = if user.is_active() { Kind::UserDisabled } else { Kind::UserEnabled };
        if user.is_active() {
            user.disable()
        } else {
            user.enable()
        }
        let row = Row { subject: Some(user.id.clone()), ..Row::new(kind, now) };
        vec![Change::UpdateUser(user), Change::Audit(row)]
    }

    fn end_session(&mut self, now: Time) -> Vec<Change> {
        let live = self.tables.sessions.values().filter(|session| session.ended_at.is_none());
        let ids: Vec<_> = live.map(|session| session.id.clone()).collect();
        if ids.is_empty() {
            return vec![];
        }
        let id = self.chance.pick(&ids);
        let row = Row { session: Some(id.clone()), ..Row::new(Kind::SessionEnded, now) };
        vec![Change::EndSession { id, at: now }, Change::Audit(row)]
    }

    fn revoke_ticket(&mut self, now: Time) -> Vec<Change> {
        let live = self.tables.tickets.values().filter(|ticket| ticket.state == TicketState::Live);
        let ids: Vec<_> = live.map(|ticket| ticket.id.clone()).collect();
        if ids.is_empty() {
            return vec![];
        }
        let id = self.chance.pick(&ids);
        let row = Row { ticket: Some(id.clone()), ..Row::new(Kind::TicketRevoked, now) };
        vec![Change::RevokeTicket { id, at: now }, Change::Audit(row)]
    }

    fn set_password(&mut self, name: &str, id: &UserId, now: Time) -> Vec<Change> {
        if !self.tables.passwords.contains_key(id) {
            return vec![];
        }
        let (text, hash) = self.chance.pick(&PASSWORDS);
        let mut user = self.tables.users[id].clone();
        user.set_password(now);
        let hash = PasswordHash::parse(hash).expect("a hash");
        self.passwords.insert(name.to_owned(), text);
        let row = Row { subject: Some(id.clone()), ..Row::new(Kind::PasswordSet, now) };
        vec![Change::UpdateUser(user), Change::SetPassword { user: id.clone(), hash }, Change::Audit(row)]
    }

    /// A new secret for the portal, which uses it at once; the old one is good for a little while.
    fn rotate_secret(&mut self, now: Time) -> Vec<Change> {
        let mut portal = self.portal();
        let number = self.next_number();
        let secret = format!("gps_portal-{number:040}");
        portal.secrets.retain(|secret| secret.expires_at.is_none());
        portal.secrets.iter_mut().for_each(|old| old.expires_at = Some(now.plus(10)));
        let digest = SecretDigest::of(&secret);
        portal.secrets.push(ClientSecret { digest, created_at: now, expires_at: None });
        self.portal_secret = secret;
        self.tally.met("secrets rotated");
        let row = Row { client: Some(portal.id.clone()), ..Row::new(Kind::SecretRotated, now) };
        vec![Change::UpdateClient(portal), Change::Audit(row)]
    }

    fn turn_portal(&mut self, now: Time) -> Vec<Change> {
        let mut portal = self.portal();
        if portal.enabled && self.chance.one_in(3) {
            return self.replace_portal(portal, now);
        }
        if portal.enabled {
            portal.disable();
            // Until somebody notices.
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

    /// The portal is deleted, and added anew at once: another client of the same name and the same secrets.
    fn replace_portal(&mut self, portal: Client, now: Time) -> Vec<Change> {
        self.tally.met("clients added anew");
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
