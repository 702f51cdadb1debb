//! Picks, and the validity of what is picked.

use super::model::{Access, Answer, Caller, DAY, Grant, Holder, Model, Name, Session, refused};
use super::operation::{Bearer, Pick};

fn nth<T>(all: &[T], newest: Pick) -> Option<usize> {
    all.len().checked_sub(newest + 1)
}

/// Picks.
impl Model {
    pub(super) fn ticket(&self, pick: Pick) -> Option<usize> {
        nth(&self.tickets, pick)
    }

    pub(super) fn challenge(&self, pick: Pick) -> Option<usize> {
        nth(&self.challenges, pick)
    }

    pub(super) fn session(&self, pick: Pick) -> Option<usize> {
        nth(&self.sessions, pick)
    }

    pub(super) fn refresh(&self, pick: Pick) -> Option<usize> {
        nth(&self.refresh, pick).filter(|at| self.is_kept(*at))
    }

    /// Returns true if the token is stored: the unused one and the last eight used ones of a session are.
    fn is_kept(&self, token: usize) -> bool {
        let session = self.refresh[token].session;
        self.refresh.iter().skip(token + 1).filter(|later| later.session == session).count() <= 8
    }

    pub(super) fn device(&self, pick: Pick) -> Option<usize> {
        nth(&self.devices, pick)
    }

    pub(super) fn access(&self, bearer: Bearer) -> Option<usize> {
        let (person, pick) = match bearer {
            Bearer::Person(pick) => (true, pick),
            Bearer::Service(pick) => (false, pick),
        };
        let all = self.access.iter().enumerate().rev();
        all.filter(|(_, token)| token.session.is_some() == person).nth(pick).map(|(at, _)| at)
    }

    /// Returns the password of `user`, or a wrong one.
    pub(super) fn password(&self, user: &str, right: bool) -> Name {
        let password = self.people.get(user).and_then(|person| person.password.as_ref());
        password.filter(|_| right).map_or("not the password", |password| password.text)
    }

    /// Returns the e-mail address of `user`.
    pub(super) fn mail(&self, user: &str) -> Option<String> {
        let domain = self.people.get(user)?.mail?;
        Some(format!("{user}@{domain}"))
    }

    /// Returns the user of a token.
    pub(super) fn owner(&self, bearer: Bearer) -> Name {
        let session = self.access(bearer).and_then(|at| self.access[at].session);
        session.map_or("nobody", |at| self.sessions[at].grant.user)
    }
}

/// Validity.
impl Model {
    pub(super) fn is_active(&self, user: Name) -> bool {
        self.people.get(user).is_some_and(|person| !person.disabled)
    }

    pub(super) fn is_enabled(&self, client: Name) -> bool {
        self.clients.get(client).is_some_and(|client| client.enabled)
    }

    /// Returns the registration of a client.
    pub(super) fn registration(&self, client: Name) -> Option<u64> {
        self.clients.get(client).map(|client| client.epoch)
    }

    /// Returns true if the client and the issuer still have their registrations.
    pub(super) fn clients_stand(&self, grant: &Grant) -> bool {
        let is = |client, epoch| self.is_enabled(client) && self.registration(client) == Some(epoch);
        grant.client_epoch.is_none_or(|epoch| is(grant.client, epoch))
            && grant.issuer.is_none_or(|(client, epoch)| is(client, epoch))
    }

    /// Returns the rest of `scope` for a client whose scope may be narrowed to `ticket:issue` and `profile`.
    pub(super) fn scope_of(&self, client: Name, scope: Name) -> Name {
        match scope {
            _ if !self.clients.get(client).is_some_and(|client| client.narrowed) => scope,
            "profile email" => "profile",
            "email" | "ticket:impersonate" => "",
            "ticket:issue ticket:impersonate" => "ticket:issue",
            _ => scope,
        }
    }

    /// Returns the rest of `scope`, granted by the issuer of `grant`.
    pub(super) fn grantable(&self, grant: &Grant, scope: Name) -> Name {
        grant.issuer.map_or(scope, |(issuer, _)| self.scope_of(issuer, scope))
    }

    pub(super) fn is_proven(&self, caller: Caller) -> Option<Name> {
        match caller {
            Caller::Client(client) if self.is_enabled(client) => Some(client),
            Caller::Client(_) | Caller::Impostor(_) | Caller::Nobody => None,
        }
    }

    pub(super) fn epochs(&self, grant: &Grant) -> [u32; 2] {
        [grant.user, grant.person()].map(|user| self.people.get(user).map_or(0, |person| person.epoch))
    }

    /// Returns true if user and actor are active, and their epochs are unchanged.
    pub(super) fn stand(&self, grant: &Grant, epochs: [u32; 2]) -> bool {
        self.is_active(grant.user) && self.is_active(grant.person()) && self.epochs(grant) == epochs
    }

    pub(super) fn is_live(&self, session: usize) -> bool {
        let Session { grant, epochs, expires, ended, state_epoch, .. } = &self.sessions[session];
        let stand = self.stand(grant, *epochs) && self.clients_stand(grant);
        !ended && *state_epoch == self.state_epoch && self.now < *expires && stand
    }

    pub(super) fn holder(&self, bearer: Bearer) -> Holder {
        let Some(at) = self.access(bearer) else { return Holder::Nobody };
        let Access { session, client, expires, revoked, state_epoch, client_epoch, .. } = self.access[at];
        match session {
            _ if revoked || self.now >= expires || state_epoch != self.state_epoch => Holder::Nobody,
            None if self.is_enabled(client) && self.registration(client) == client_epoch => {
                Holder::Service(at)
            }
            Some(session) if self.is_live(session) && self.sessions[session].restricted => {
                Holder::Restricted(session)
            }
            Some(session) if self.is_live(session) => Holder::Person(session),
            None | Some(_) => Holder::Nobody,
        }
    }

    /// Returns the session of a user who may change their own account.
    pub(super) fn oneself(&self, bearer: Bearer, restricted_to: &str) -> Result<usize, Answer> {
        match self.holder(bearer) {
            Holder::Nobody => Err(refused(40100)),
            Holder::Service(_) => Err(refused(40300)),
            Holder::Restricted(session) if self.sessions[session].grant.scope == restricted_to => Ok(session),
            Holder::Restricted(_) => Err(refused(40303)),
            Holder::Person(session) => Ok(session),
        }
    }

    /// Returns true if the password must be changed, and its notice. A password lasts 90 days and 7 of grace.
    pub(super) fn password_notice(&self, user: Name) -> (bool, Option<&'static str>) {
        let Some(password) = self.people.get(user).and_then(|person| person.password.as_ref()) else {
            return (false, None);
        };
        let notice = match (self.now - password.set_at) / DAY {
            97.. => Some("expired"),
            90.. => Some("expired_grace"),
            76.. => Some("expiring"),
            _ => None,
        };
        (password.must_change || notice == Some("expired"), notice)
    }

    pub(super) fn must_change(&self, grant: &Grant) -> bool {
        grant.actor.is_none() && self.password_notice(grant.user).0
    }
}
