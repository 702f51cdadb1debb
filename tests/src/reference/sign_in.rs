//! Tickets, passwords and challenges, and the sessions that they open.

use gatepass_core::settings::Unenrolled;
use serde_json::json;

use super::administration::{ADMIN, administers};
use super::model::{
    Answer, Caller, Challenge, DAY, Delivered, DeviceOnNetwork, Grant, MINUTE, Model, Name, Refresh, Session,
    SignInResult, Ticket, TypedCode, granted, refused,
};
use super::operation::{Code, Key};

impl Model {
    pub(super) fn redeem(
        &mut self,
        ticket: Option<usize>,
        caller: Caller,
        (place, stated): (DeviceOnNetwork, bool),
        key: Option<Key>,
    ) -> Answer {
        if let Some(refused) = self.distrusted(ticket.is_some(), caller, stated) {
            return refused;
        }
        let refused = |why| refused(40010).because(why);
        let Some(at) = ticket else { return refused("unknown") };
        let Ticket { grant, here, expires, over, state_epoch, delivered } = self.tickets[at];
        if state_epoch != self.state_epoch {
            return refused("superseded");
        }
        // Whatever else the answer is, the ticket is spent, but by whoever has not proved to be a client that it asks for.
        let unproven = match caller {
            Caller::Nobody => grant.bind,
            Caller::Client(_) | Caller::Impostor(_) => {
                (grant.bind || grant.audience) && self.is_proven(caller).is_none()
            }
        };
        self.tickets[at].over |= !unproven && self.now < expires;
        let by_its_client = match caller {
            Caller::Nobody => !grant.bind && self.is_enabled(grant.client),
            Caller::Client(_) | Caller::Impostor(_) => self.is_proven(caller) == Some(grant.client),
        };
        let mine = delivered.filter(|delivered| key == Some(delivered.key) && self.now < delivered.at + 60);
        let is_here = !here || place.here;
        let is_proven = !(grant.bind || grant.audience) || by_its_client;
        let allowed = is_here && is_proven && self.clients_stand(&grant);
        let answer = match () {
            () if over => {
                let again = mine.filter(|_| allowed).and_then(|delivered| self.again(delivered.result));
                return again.unwrap_or_else(|| refused("over"));
            }
            () if self.now >= expires => refused("expired"),
            () if unproven => super::model::refused(40101),
            () if here && !place.here => refused("elsewhere"),
            () if (grant.bind || grant.audience) && !by_its_client => refused("client"),
            () if !self.clients_stand(&grant) => refused("issuer"),
            () if self.grantable(&grant, grant.scope) != grant.scope => refused("scope"),
            () if !self.is_active(grant.person()) || !self.is_active(grant.user) => refused("disabled"),
            () if grant.actor.is_some_and(|actor| self.password_notice(actor).0) => refused("must change"),
            () => self.admit(grant, place, "ticket"),
        };
        self.tickets[at].delivered = key.and_then(|key| self.delivered(&answer, key));
        answer
    }

    /// Returns the result in `answer`, for a repetition with `key`.
    fn delivered(&self, answer: &Answer, key: Key) -> Option<Delivered> {
        let number = |member: &str| Some(answer.says[member].as_u64()? as usize);
        let result = match number("challenge_token") {
            Some(challenge) => SignInResult::Challenge(challenge),
            None => {
                SignInResult::Session(self.access[number("access_token")?].session?, number("refresh_token"))
            }
        };
        Some(Delivered { key, at: self.now, result })
    }

    /// Returns the same answer again, if everyone it depends on is still valid.
    fn again(&mut self, result: SignInResult) -> Option<Answer> {
        match result {
            SignInResult::Challenge(at) => {
                let Challenge { grant, epochs, expires, wrong, answered, .. } = self.challenges[at];
                let open = !answered
                    && wrong < 5
                    && self.now < expires
                    && self.stand(&grant, epochs)
                    && self.clients_stand(&grant);
                let says = json!({
                    "requires_mfa": true, "challenge_token": at, "access_token": null, "refresh_token": null,
                });
                open.then(|| granted("challenge again", says))
            }
            SignInResult::Session(session, refresh) => {
                let Session { grant, restricted, .. } = self.sessions[session].clone();
                let unused = refresh.is_none_or(|at| {
                    let Refresh { used, expires, .. } = self.refresh[at];
                    used.is_none() && self.now < expires
                });
                let stands = self.is_live(session)
                    && self.clients_stand(&grant)
                    && (restricted
                        || !self.must_change(&grant) && self.grantable(&grant, grant.scope) == grant.scope);
                (unused && stands).then(|| self.tokens("again", session, None, refresh))
            }
        }
    }

    /// Refuses a caller that states where a person is, and is not the portal. `known` is true if its secret is looked at.
    fn distrusted(&self, known: bool, caller: Caller, stated: bool) -> Option<Answer> {
        match (caller, self.is_proven(caller)) {
            _ if !stated => None,
            (Caller::Nobody, _) => Some(refused(40304)),
            _ if !known => None,
            (_, None) => Some(refused(40101)),
            (_, Some(client)) => (client != "portal").then(|| refused(40304)),
        }
    }

    pub(super) fn login(
        &mut self,
        user: Name,
        right: bool,
        scope: Option<Name>,
        caller: Caller,
        (place, stated): (DeviceOnNetwork, bool),
    ) -> Answer {
        let now = self.now;
        let client = self.is_proven(caller);
        if caller != Caller::Nobody && client.is_none() {
            return refused(40101);
        }
        if let Some(refused) = self.distrusted(true, caller, stated) {
            return refused;
        }
        let scope = scope.unwrap_or("profile");
        match () {
            () if administers(scope) && client.is_some() => return refused(40014).because("client"),
            () if scope.split(' ').any(|word| word != "profile" && word != ADMIN) => {
                return refused(40014).because("scope");
            }
            () => {}
        }
        let refused = |why| refused(40040).because(why);
        let Some(lockout) = self.people.get_mut(user).and_then(|person| person.password_lockout(Some(place)))
        else {
            return refused("unknown");
        };
        if now < lockout.until {
            return refused("waits");
        }
        if !right {
            lockout.fail_password(now);
            return refused("wrong");
        }
        if !self.is_active(user) {
            return refused("disabled");
        }
        if administers(scope) && self.people[user].roles.is_empty() {
            return super::model::refused(40014).because("role");
        }
        self.people.entry(user).or_default().password_lockout(Some(place)).map(std::mem::take);
        let grant = Grant {
            user,
            actor: None,
            client: client.unwrap_or("gatepass"),
            audience: client.is_some(),
            bind: client.is_some(),
            scope,
            client_epoch: client.and_then(|client| self.registration(client)),
            issuer: None,
        };
        self.admit(grant, place, "pwd")
    }

    /// Decides about a user whose ticket or password was good.
    pub(super) fn admit(&mut self, grant: Grant, place: DeviceOnNetwork, amr: Name) -> Answer {
        let places = &self.people[grant.person()].places;
        // The first device is learnt, unless a factor could be asked for.
        let suspected = !places.is_empty() || self.is_enrolled(grant.person());
        let is_new = suspected && !self.people[grant.person()].knows(place);
        let administers = administers(grant.scope);
        let reason = match grant.actor {
            _ if administers => Some("administration"),
            _ if is_new => Some("new_device"),
            Some(_) => Some("impersonation"),
            None => self.rules.always.then_some("policy"),
        };
        let score = if is_new { 40 } else { 0 };
        let unenrolled = if administers { Unenrolled::Enrol } else { self.rules.unenrolled };
        match (reason, unenrolled) {
            (Some(reason), _) if self.is_enrolled(grant.person()) => {
                let mut methods = vec!["totp"];
                methods.extend((!self.people[grant.person()].codes.is_empty()).then_some("backup_code"));
                let (epochs, expires) = (self.epochs(&grant), self.now + 5 * MINUTE);
                self.challenges.push(Challenge {
                    grant,
                    epochs,
                    place,
                    amr,
                    expires,
                    wrong: 0,
                    answered: false,
                    state_epoch: self.state_epoch,
                    delivered: None,
                });
                granted(
                    "challenge",
                    json!({
                        "requires_mfa": true, "challenge_token": self.challenges.len() - 1, "mfa_check_reason": reason,
                        "required_mfa_methods": methods, "risk_assessment": {"score": score, "require_mfa": true},
                        "access_token": null, "refresh_token": null, "user": null,
                    }),
                )
            }
            (Some(_), Unenrolled::Refuse) => refused(40045),
            _ if self.must_change(&grant) => {
                self.open(grant, Some("gatepass:change-password"), vec![amr], place)
            }
            (Some(_), Unenrolled::Enrol) if grant.actor.is_some() => refused(40045),
            (Some(_), Unenrolled::Enrol) => self.open(grant, Some("gatepass:enrol"), vec![amr], place),
            (Some(_), Unenrolled::SignIn) | (None, _) => self.open(grant, None, vec![amr], place),
        }
    }

    pub(super) fn challenged(
        &mut self,
        challenge: Option<usize>,
        code: Code,
        caller: Caller,
        key: Option<Key>,
    ) -> Answer {
        let refused = |why| refused(40030).because(why);
        let Some(at) = challenge else { return refused("unknown") };
        let Challenge { grant, epochs, place, amr, expires, wrong, answered, state_epoch, delivered } =
            self.challenges[at];
        match self.is_proven(caller) {
            _ if !grant.bind => {}
            None => return super::model::refused(40101),
            Some(client) if client != grant.client => return refused("another client"),
            Some(_) => {}
        }
        let typed = self.typed(code);
        match () {
            () if state_epoch != self.state_epoch => return refused("superseded"),
            () if answered => {
                let lately = delivered.filter(|(delivered, _)| self.now < delivered.at + 60 && wrong < 5);
                return match (lately, key) {
                    (Some((delivered, code)), Some(key)) if code == typed && delivered.key == key => {
                        self.again(delivered.result).unwrap_or_else(|| refused("answered"))
                    }
                    (Some(_), Some(_)) => {
                        self.challenges[at].wrong += 1;
                        refused("guessed")
                    }
                    _ => refused("answered"),
                };
            }
            () if wrong >= 5 => return refused("five wrong"),
            () if self.now >= expires => return refused("expired"),
            () if !self.stand(&grant, epochs) => return refused("over"),
            () if !self.clients_stand(&grant) => return refused("client"),
            () if self.grantable(&grant, grant.scope) != grant.scope => return refused("scope"),
            () => {}
        }
        if let Err(why) = self.show(grant.person(), Some(place), code, true) {
            self.challenges[at].wrong += 1;
            let left = 4 - wrong;
            if left == 0 {
                return refused(why);
            }
            let says = json!({"code": 40031, "data": {"tries_left": left}});
            return Answer { says, ..super::model::refused(40031) }.because(why);
        }
        self.challenges[at].answered = true;
        let (by, amr) = match code {
            Code::Totp(..) => ("by totp", vec![amr, "otp", "mfa"]),
            Code::Backup(..) | Code::Wrong => ("by backup code", vec![amr, "mfa"]),
        };
        let good_for = self.must_change(&grant).then_some("gatepass:change-password");
        let answer = self.open(grant, good_for, amr, place).because(by);
        let delivered = key.and_then(|key| self.delivered(&answer, key));
        self.challenges[at].delivered = delivered.map(|delivered| (delivered, typed));
        answer
    }

    fn typed(&self, code: Code) -> TypedCode {
        match code {
            Code::Wrong => TypedCode::Wrong,
            Code::Totp(shown, late) => {
                TypedCode::Totp(self.device(shown), (self.now / 30).checked_add_signed(late))
            }
            Code::Backup(device, number) => TypedCode::Backup(self.device(device), number),
        }
    }

    /// Opens a full or restricted session, with its tokens.
    pub(super) fn open(
        &mut self,
        grant: Grant,
        only: Option<Name>,
        amr: Vec<Name>,
        place: DeviceOnNetwork,
    ) -> Answer {
        let administers = only.is_none() && administers(grant.scope);
        let life = match () {
            () if only.is_some() || grant.actor.is_some() => 30 * MINUTE,
            () if administers => 60 * MINUTE,
            () => 30 * DAY,
        };
        let (epochs, expires, restricted) = (self.epochs(&grant), self.now + life, only.is_some());
        let granted =
            Grant { audience: grant.audience && !restricted, scope: only.unwrap_or(grant.scope), ..grant };
        let state_epoch = self.state_epoch;
        self.sessions.push(Session {
            grant: granted,
            epochs,
            restricted,
            amr,
            expires,
            ended: false,
            state_epoch,
        });
        let session = self.sessions.len() - 1;
        if restricted {
            return self.tokens(
                if only == Some("gatepass:enrol") { "enrol" } else { "change" },
                session,
                None,
                None,
            );
        }
        let now = self.now;
        self.people.entry(grant.person()).or_default().learn(place, now);
        let refresh = (!administers).then(|| self.refresh_token(session));
        self.tokens(if administers { "administration" } else { "session" }, session, None, refresh)
    }
}
