//! The administrator's operations by command.

use super::model::{Client, Lockout, Model, Name, Password, Ticket};
use super::operation::Operation;

impl Model {
    pub(super) fn edit(&mut self, user: Name, operation: &Operation) {
        let Some(person) = self.people.get_mut(user) else { return };
        match operation {
            Operation::Disable(_) => {
                person.epoch += u32::from(!person.disabled);
                person.disabled = true;
            }
            Operation::Enable(_) => person.disabled = false,
            Operation::EndAllByCommand(_) => person.epoch += 1,
            Operation::SetPassword(_, text) => {
                let (set_at, lockout) = (self.now, Lockout::default());
                person.password = Some(Password { text, set_at, must_change: false, lockout });
                person.forgive_passwords();
                person.epoch += 1;
            }
            Operation::Unlock(_) => {
                person.forgive_codes();
                person.forgive_passwords();
            }
            _ => {
                let password = person.password.as_mut().filter(|password| !password.must_change);
                person.epoch += u32::from(password.map(|password| password.must_change = true).is_some());
            }
        }
    }

    pub(super) fn end_session(&mut self, session: Option<usize>) {
        let session = session.and_then(|session| self.sessions.get_mut(session));
        session.into_iter().for_each(|session| session.ended = true);
    }

    pub(super) fn edit_client(&mut self, id: Name, operation: &Operation) {
        let anew = self.next_client_epoch();
        match (operation, self.clients.get_mut(id)) {
            (Operation::DeleteClient(_), Some(_)) => drop(self.clients.remove(id)),
            (Operation::AddClient(_), None) => {
                self.registrations += 1;
                self.clients.insert(id, Client::new(anew));
            }
            (Operation::DisableClient(_), Some(client)) => {
                client.epoch += u64::from(client.enabled);
                client.enabled = false;
            }
            (Operation::EnableClient(_), Some(client)) => client.enabled = true,
            (Operation::NarrowClient(_), Some(client)) => client.narrowed = true,
            (Operation::WidenClient(_), Some(client)) => client.narrowed = false,
            _ => {}
        }
    }

    pub(super) fn reset_factors(&mut self, user: Name) {
        self.devices_of(user).into_iter().for_each(|device| self.devices[device].gone = true);
        if let Some(person) = self.people.get_mut(user) {
            person.codes.clear();
            person.forgive_codes();
            person.epoch += 1;
        }
    }

    pub(super) fn delete(&mut self, user: Name) {
        self.reset_factors(user);
        self.people.remove(user);
        let of_theirs = |ticket: &&mut Ticket| [ticket.grant.user, ticket.grant.person()].contains(&user);
        self.tickets.iter_mut().filter(of_theirs).for_each(|ticket| ticket.over = true);
    }
}
