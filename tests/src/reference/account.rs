//! A user's own password and sessions.

use serde_json::{Value, json};

use super::model::{Answer, Grant, Lockout, Model, Name, Password, done, granted, refused};
use super::operation::{Bearer, Operation};

impl Model {
    pub(super) fn change_password(&mut self, bearer: Bearer, right: bool, new: Name) -> Answer {
        let session = match self.oneself(bearer, "gatepass:change-password") {
            Ok(session) => session,
            Err(refusal) => return refusal,
        };
        let (Grant { user, actor, .. }, now) = (self.sessions[session].grant, self.now);
        match new {
            _ if actor.is_some() => return refused(40301),
            "short" => return refused(40042),
            "password1" => return refused(40044),
            _ if self.password(user, right) == new => return refused(40046),
            _ => {}
        }
        let person = self.people.entry(user).or_default();
        let Some(password) = person.password.as_mut() else { return refused(40047) };
        let refused = |why| refused(40041).because(why);
        // A bearer's requests come from no place that somebody signed in from.
        if now < password.lockout.until {
            return refused("waits");
        }
        if !right {
            password.lockout.fail_password(now);
            return refused("wrong");
        }
        *password = Password { text: new, set_at: now, must_change: false, lockout: Lockout::default() };
        person.forgive_passwords();
        person.epoch += 1;
        done()
    }

    pub(super) fn own_sessions(&mut self, operation: &Operation) -> Answer {
        let (Operation::Sessions(bearer)
        | Operation::EndSessions(bearer)
        | Operation::EndSession { bearer, .. }) = *operation
        else {
            unreachable!("an operation on sessions");
        };
        let current = match self.oneself(bearer, "none") {
            Ok(session) => session,
            Err(refusal) => return refusal,
        };
        let Grant { user, actor, .. } = self.sessions[current].grant;
        let mine = |at: &usize| self.sessions[*at].grant.user == user && self.is_live(*at);
        match *operation {
            Operation::Sessions(_) => {
                let entry = |at: usize| {
                    let Grant { client, scope, actor, .. } = self.sessions[at].grant;
                    let actor = actor.map(|actor| format!("usr_{actor}"));
                    json!({"id": at, "client_id": client, "scope": scope, "current": at == current, "actor": actor})
                };
                let entries: Vec<Value> = (0..self.sessions.len()).filter(mine).map(entry).collect();
                granted("list", json!({"code": 0, "data": entries}))
            }
            _ if actor.is_some() => refused(40301),
            Operation::EndSession { session, .. } => match self.session(session).filter(mine) {
                None => refused(40401),
                Some(session) => {
                    self.sessions[session].ended = true;
                    done()
                }
            },
            _ => {
                self.people.entry(user).or_default().epoch += 1;
                done()
            }
        }
    }

    pub(super) fn own_factors(&mut self, bearer: Bearer, operation: &Operation) -> Answer {
        let session = match self.oneself(bearer, "gatepass:enrol") {
            Ok(session) => session,
            Err(refusal) => return refusal,
        };
        if self.sessions[session].grant.actor.is_some() {
            return refused(40301);
        }
        match *operation {
            Operation::SetUp { code, .. } => self.set_up(session, code),
            Operation::Verify { device, code, .. } => {
                self.verify(session, device.map(|pick| self.device(pick)), code)
            }
            Operation::Remove { device, code, .. } => self.remove(session, self.device(device), code),
            _ => {
                let user = self.sessions[session].grant.user;
                let mine = self.devices_of(user).into_iter();
                let entry = |at: usize| json!({"device_id": at, "verified": self.devices[at].counts});
                granted("list", json!({"code": 0, "data": mine.map(entry).collect::<Vec<_>>()}))
            }
        }
    }
}
