//! What each operation must be answered, and what it leaves behind.

use gatepass_core::settings::Unenrolled;
use serde_json::{Value, json};

use super::model::*;
use super::operation::{Bearer, Code, Issuer, Operation, Pick, Token, Wish};

fn nth<T>(all: &[T], newest: Pick) -> Option<usize> {
    all.len().checked_sub(newest + 1)
}

/// What is picked.
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
        nth(&self.refresh, pick)
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

    /// The password of `user`, or one that is not theirs.
    pub(super) fn password(&self, user: &str, right: bool) -> Name {
        let password = self.people.get(user).and_then(|person| person.password.as_ref());
        password.filter(|_| right).map_or("not the password", |password| password.text)
    }

    /// Whose token it is.
    pub(super) fn owner(&self, bearer: Bearer) -> Name {
        let session = self.access(bearer).and_then(|at| self.access[at].session);
        session.map_or("nobody", |at| self.sessions[at].grant.user)
    }
}

/// Who still stands.
impl Model {
    fn is_active(&self, user: Name) -> bool {
        self.people.get(user).is_some_and(|person| !person.disabled)
    }

    fn is_enabled(&self, client: Name) -> bool {
        ["backend", "portal"].contains(&client) && !self.disabled_clients.contains(client)
    }

    fn is_proven(&self, caller: Caller) -> Option<Name> {
        match caller {
            Caller::Client(client) if self.is_enabled(client) => Some(client),
            Caller::Client(_) | Caller::Impostor(_) | Caller::Nobody => None,
        }
    }

    fn epochs(&self, grant: &Grant) -> [u32; 2] {
        [grant.user, grant.person()].map(|user| self.people.get(user).map_or(0, |person| person.epoch))
    }

    /// Whether user and actor are active, and nothing has ended what they began.
    fn stand(&self, grant: &Grant, epochs: [u32; 2]) -> bool {
        self.is_active(grant.user) && self.is_active(grant.person()) && self.epochs(grant) == epochs
    }

    fn is_live(&self, session: usize) -> bool {
        let Session { grant, epochs, expires, ended, .. } = &self.sessions[session];
        !ended && self.now < *expires && self.stand(grant, *epochs)
    }

    fn holder(&self, bearer: Bearer) -> Holder {
        let Some(at) = self.access(bearer) else { return Holder::Nobody };
        let Access { session, client, expires, revoked, .. } = self.access[at];
        match session {
            _ if revoked || self.now >= expires => Holder::Nobody,
            None if self.is_enabled(client) => Holder::Service(at),
            Some(session) if self.is_live(session) && self.sessions[session].restricted => {
                Holder::Restricted(session)
            }
            Some(session) if self.is_live(session) => Holder::Person(session),
            None | Some(_) => Holder::Nobody,
        }
    }

    /// The person who may do something about their own account.
    fn oneself(&self, bearer: Bearer, restricted_to: &str) -> Result<usize, Answer> {
        match self.holder(bearer) {
            Holder::Nobody => Err(refused(40100)),
            Holder::Service(_) => Err(refused(40300)),
            Holder::Restricted(session) if self.sessions[session].grant.scope == restricted_to => Ok(session),
            Holder::Restricted(_) => Err(refused(40303)),
            Holder::Person(session) => Ok(session),
        }
    }

    /// Whether the password has to be changed, and what is said of it: it lasts 90 days, and 7 more.
    fn password_notice(&self, user: Name) -> (bool, Option<&'static str>) {
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

    fn must_change(&self, grant: &Grant) -> bool {
        grant.actor.is_none() && self.password_notice(grant.user).0
    }
}

/// Tickets, and signing in.
impl Model {
    pub(super) fn issue(&mut self, by: Issuer, wish: &Wish) -> Answer {
        let malformed = match wish {
            Wish { ttl: Some(0), .. } => Some(40012),
            Wish { actor: Some(_), reason: false, .. } => Some(40018),
            _ => None,
        };
        let acts = wish.actor.is_some() && malformed.is_none();
        let wanted = if acts { "ticket:impersonate" } else { "ticket:issue" };
        let issuer = match by {
            Issuer::Command => None,
            Issuer::Bearer(bearer) => match self.holder(bearer) {
                Holder::Nobody => return refused(40100),
                Holder::Restricted(_) => return refused(40303),
                Holder::Person(session) if self.sessions[session].grant.actor.is_some() => {
                    return refused(40301);
                }
                Holder::Service(token) if is_within(wanted, self.access[token].scope) => {
                    Some(self.access[token].client)
                }
                Holder::Person(_) | Holder::Service(_) => return refused(40300),
            },
        };
        let scope = wish.scope.unwrap_or("profile");
        let refusal = match wish {
            _ if malformed.is_some() => malformed,
            _ if !self.is_active(wish.user) => Some(40011),
            Wish { audience: Some(client), .. } if !self.is_enabled(client) => Some(40013),
            Wish { actor: Some(actor), .. } if *actor == wish.user || !self.is_active(actor) => Some(40017),
            _ if scope.starts_with("ticket:") => Some(40014),
            _ => None,
        };
        if let Some(code) = refusal {
            return refused(code);
        }
        let Wish { user, audience, bind, here, actor, ttl, .. } = *wish;
        let client = audience.or(issuer).unwrap_or("admin");
        let (grant, life) =
            (Grant { user, actor, client, audience: audience.is_some(), bind, scope }, ttl.unwrap_or(300));
        self.tickets.push(Ticket { grant, issuer, here, expires: self.now + life, over: false });
        granted("ticket", json!({"ticket": self.tickets.len() - 1, "expires_in": life}))
    }

    pub(super) fn revoke_ticket(&mut self, ticket: Option<usize>) -> Answer {
        let over = ticket.map(|at| std::mem::replace(&mut self.tickets[at].over, true));
        let (kind, status) = if over == Some(false) { ("revoked", 200) } else { ("left alone", 400) };
        Answer { kind: kind.into(), status, says: json!({}) }
    }

    pub(super) fn redeem(&mut self, ticket: Option<usize>, caller: Caller, place: Place) -> Answer {
        let refused = |why| refused(40010).because(why);
        let Some(at) = ticket else { return refused("unknown") };
        let Ticket { grant, issuer, here, expires, over } = self.tickets[at];
        // Whatever comes of it, it is spent.
        self.tickets[at].over |= self.now < expires;
        let by_its_client = match caller {
            Caller::Nobody => !grant.bind && self.is_enabled(grant.client),
            Caller::Client(_) | Caller::Impostor(_) => self.is_proven(caller) == Some(grant.client),
        };
        match () {
            () if over => refused("over"),
            () if self.now >= expires => refused("expired"),
            () if here && !place.here => refused("elsewhere"),
            () if (grant.bind || grant.audience) && !by_its_client => refused("client"),
            () if issuer.is_some_and(|client| !self.is_enabled(client)) => refused("issuer"),
            () if !self.is_active(grant.person()) || !self.is_active(grant.user) => refused("disabled"),
            () => self.admit(grant, place, "ticket"),
        }
    }

    pub(super) fn login(&mut self, user: Name, right: bool, place: Place) -> Answer {
        let now = self.now;
        let password = self.people.get_mut(user).and_then(|person| person.password.as_mut());
        let refused = |why| refused(40040).because(why);
        let Some(password) = password else { return refused("unknown") };
        if now < password.guesses.until {
            return refused("waits");
        }
        if !right {
            password.guesses.fail_password(now);
            return refused("wrong");
        }
        if !self.is_active(user) {
            return refused("disabled");
        }
        self.forgive_password(user);
        let grant =
            Grant { user, actor: None, client: "gatepass", audience: false, bind: false, scope: "profile" };
        self.admit(grant, place, "pwd")
    }

    /// What becomes of somebody whose ticket or password was good.
    fn admit(&mut self, grant: Grant, place: Place, amr: Name) -> Answer {
        let places = &self.people[grant.person()].places;
        let is_new = !places.is_empty() && !places.contains(&place);
        let reason = match grant.actor {
            _ if is_new => Some("new_device"),
            Some(_) => Some("impersonation"),
            None => self.rules.always.then_some("policy"),
        };
        let score = if is_new { 40 } else { 0 };
        match (reason, self.rules.unenrolled) {
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

    pub(super) fn challenged(&mut self, challenge: Option<usize>, code: Code) -> Answer {
        let refused = |why| refused(40030).because(why);
        let Some(at) = challenge else { return refused("unknown") };
        let Challenge { grant, epochs, place, amr, expires, wrong, answered } = self.challenges[at];
        let needs_client = grant.audience || grant.bind;
        match () {
            () if answered => return refused("answered"),
            () if wrong >= 5 => return refused("five wrong"),
            () if self.now >= expires => return refused("expired"),
            () if !self.stand(&grant, epochs) => return refused("over"),
            () if needs_client && !self.is_enabled(grant.client) => return refused("client"),
            () => {}
        }
        if let Err(why) = self.show(grant.person(), code, true) {
            self.challenges[at].wrong += 1;
            return refused(why);
        }
        self.challenges[at].answered = true;
        let (by, amr) = match code {
            Code::Totp(..) => ("by totp", vec![amr, "otp", "mfa"]),
            Code::Backup(..) | Code::Wrong => ("by backup code", vec![amr, "mfa"]),
        };
        let good_for = self.must_change(&grant).then_some("gatepass:change-password");
        self.open(grant, good_for, amr, place).because(by)
    }

    /// A session, for everything or for one thing only, and its tokens.
    fn open(&mut self, grant: Grant, only: Option<Name>, amr: Vec<Name>, place: Place) -> Answer {
        let life = if only.is_some() || grant.actor.is_some() { 30 * MINUTE } else { 30 * DAY };
        let (epochs, expires, restricted) = (self.epochs(&grant), self.now + life, only.is_some());
        let granted =
            Grant { audience: grant.audience && !restricted, scope: only.unwrap_or(grant.scope), ..grant };
        self.sessions.push(Session { grant: granted, epochs, restricted, amr, expires, ended: false });
        let session = self.sessions.len() - 1;
        if restricted {
            return self.tokens(
                if only == Some("gatepass:enrol") { "enrol" } else { "change" },
                session,
                None,
                None,
            );
        }
        self.people.entry(grant.person()).or_default().places.insert(place);
        let refresh = self.refresh_token(session);
        self.tokens("session", session, None, Some(refresh))
    }

    fn refresh_token(&mut self, session: usize) -> usize {
        let expires = self.sessions[session].expires.min(self.now + 14 * DAY);
        self.refresh.push(Refresh { session, expires, used: None });
        self.refresh.len() - 1
    }

    /// A fresh access token of `session`, and what is said with it.
    fn tokens(&mut self, kind: &str, session: usize, scope: Option<Name>, refresh: Option<usize>) -> Answer {
        let Session { grant, amr, expires, .. } = self.sessions[session].clone();
        let scope = scope.unwrap_or(grant.scope);
        let life = (30 * MINUTE).min(expires - self.now);
        let token = Access {
            session: Some(session),
            client: grant.client,
            scope,
            expires: self.now + life,
            revoked: false,
        };
        self.access.push(token);
        let act = grant.actor.map(|actor| json!({"sub": format!("usr_{actor}")}));
        let aud = if grant.audience { json!([ISSUER, grant.client]) } else { json!(ISSUER) };
        let (must_change, notice) = self.password_notice(grant.user);
        granted(
            kind,
            json!({
                "access_token": self.access.len() - 1, "refresh_token": refresh, "expires_in": life,
                "requires_mfa": false, "challenge_token": null, "user_id": format!("usr_{}", grant.user),
                "must_change_password": must_change, "password_warning": notice,
                "claims": {
                    "sub": format!("usr_{}", grant.user), "client_id": grant.client, "aud": aud, "scope": scope,
                    "amr": amr, "act": act, "sid": session,
                },
            }),
        )
    }

    pub(super) fn refreshed(
        &mut self,
        token: Option<usize>,
        caller: Caller,
        grant: bool,
        scope: Option<Name>,
    ) -> Answer {
        let refusal = if grant { error(400, "invalid_grant") } else { refused(40020) };
        let client = self.is_proven(caller);
        if client.is_none() && (grant || caller != Caller::Nobody) {
            return if grant { error(401, "invalid_client") } else { refusal.because("client") };
        }
        let Some(at) = token else { return refusal.because("unknown") };
        if !self.is_for(at, client) {
            return refusal.because("not theirs");
        }
        let Refresh { session, expires, used } = self.refresh[at];
        let lost = |(used_at, next): &(u64, usize)| {
            let next = &self.refresh[*next];
            self.now < used_at + 10 && next.used.is_none() && self.now < next.expires
        };
        if used.is_some_and(|used| !lost(&used)) {
            // Somebody has a copy.
            self.sessions[session].ended = true;
            return refusal.because("reused");
        }
        if !self.may_go_on(session) {
            return refusal.because("others");
        }
        if used.is_none() && self.now >= expires {
            return refusal.because("expired");
        }
        let scope = scope.filter(|_| grant);
        if scope.is_some_and(|scope| !is_within(scope, self.sessions[session].grant.scope)) {
            return error(400, "invalid_scope");
        }
        let (kind, next) = match used {
            Some((_, next)) => ("again", next),
            None => ("refreshed", self.refresh_token(session)),
        };
        self.refresh[at].used = used.or(Some((self.now, next)));
        let mut answer = self.tokens(kind, session, scope, Some(next));
        if grant {
            let oauth = ["requires_mfa", "user_id", "must_change_password", "password_warning"];
            answer
                .says
                .as_object_mut()
                .expect("an object")
                .retain(|member, _| !oauth.contains(&member.as_str()));
            answer.says["scope"] = answer.says["claims"]["scope"].clone();
        }
        answer
    }

    /// Whether `client`, or somebody, may present the refresh token, and its session lives but for its actor.
    fn is_for(&self, token: usize, client: Option<Name>) -> bool {
        let session = &self.sessions[self.refresh[token].session];
        let grant = &session.grant;
        client.map_or(!grant.bind, |client| client == grant.client)
            && !session.ended
            && self.now < session.expires
            && self.is_active(grant.user)
            && self.epochs(grant)[0] == session.epochs[0]
    }

    /// Whether client, actor and password allow that the session is prolonged.
    fn may_go_on(&self, session: usize) -> bool {
        let grant = &self.sessions[session].grant;
        let no_client = ["admin", "gatepass"].contains(&grant.client) && !grant.bind;
        (no_client || self.is_enabled(grant.client)) && self.is_live(session) && !self.must_change(grant)
    }
}

/// Tokens, and who they speak for.
impl Model {
    pub(super) fn credentials(&mut self, caller: Caller, scope: Option<Name>) -> Answer {
        let Some(client) = self.is_proven(caller) else { return error(401, "invalid_client") };
        let (whole, default) = match client {
            "backend" => ("ticket:issue ticket:impersonate profile email phone", None),
            _ => ("orders:read orders:write", Some("orders:read")),
        };
        let Some(scope) = scope.or(default).filter(|scope| is_within(scope, whole)) else {
            return error(400, "invalid_scope");
        };
        let expires = self.now + 60 * MINUTE;
        self.access.push(Access { session: None, client, scope, expires, revoked: false });
        let claims = json!({"sub": client, "client_id": client, "scope": scope, "act": null, "sid": null});
        let token = self.access.len() - 1;
        let says = json!({"access_token": token, "refresh_token": null, "scope": scope, "claims": claims});
        granted("service", says)
    }

    pub(super) fn user_info(&self, bearer: Bearer) -> Answer {
        match self.holder(bearer) {
            Holder::Nobody => error(401, "invalid_token"),
            Holder::Restricted(_) => error(403, "insufficient_scope"),
            Holder::Service(token) => {
                let client = self.access[token].client;
                granted("service", json!({"sub": client, "userName": client}))
            }
            Holder::Person(session) => {
                let user = self.sessions[session].grant.user;
                granted("person", json!({"sub": format!("usr_{user}"), "userName": user}))
            }
        }
    }

    pub(super) fn introspect(&self, token: Token, caller: Caller) -> Answer {
        let Some(client) = self.is_proven(caller) else { return error(401, "invalid_client") };
        let (kind, session, scope) = match token {
            Token::Access(bearer) => match self.holder(bearer) {
                Holder::Person(session) => {
                    ("access", Some(session), self.access(bearer).map(|at| self.access[at].scope))
                }
                Holder::Service(at) => {
                    let Access { client, scope, .. } = self.access[at];
                    let says = json!({"active": true, "sub": client, "client_id": client, "scope": scope, "sid": null});
                    return granted("service", says);
                }
                Holder::Nobody | Holder::Restricted(_) => ("inactive", None, None),
            },
            Token::Refresh(pick) => {
                let token = self.refresh(pick).filter(|at| self.is_for(*at, Some(client)));
                let token = token.map(|at| &self.refresh[at]).filter(|token| token.used.is_none());
                let session = token.filter(|token| self.now < token.expires).map(|token| token.session);
                ("refresh", session.filter(|session| self.may_go_on(*session)), None)
            }
        };
        let Some(session) = session else {
            return granted(
                "inactive",
                json!({"active": false, "sub": null, "scope": null, "client_id": null}),
            );
        };
        let Grant { user, actor, client, scope: whole, .. } = self.sessions[session].grant;
        let act = actor.map(|actor| json!({"sub": format!("usr_{actor}")}));
        let says = json!({
            "active": true, "sub": format!("usr_{user}"), "username": user, "client_id": client, "act": act,
            "scope": scope.unwrap_or(whole), "sid": session,
        });
        granted(kind, says)
    }

    pub(super) fn revoke(&mut self, token: Token, caller: Caller) -> Answer {
        let Some(client) = self.is_proven(caller) else { return error(401, "invalid_client") };
        let revoked = match token {
            Token::Access(bearer) => {
                let good = !matches!(self.holder(bearer), Holder::Nobody);
                let token = self.access(bearer).filter(|at| good && self.access[*at].client == client);
                token.map(|at| self.access[at].revoked = true)
            }
            Token::Refresh(pick) => {
                let session = self.refresh(pick).map(|at| self.refresh[at].session);
                let session = session.filter(|at| self.sessions[*at].grant.client == client);
                session.map(|at| self.sessions[at].ended = true)
            }
        };
        granted(if revoked.is_some() { "revoked" } else { "left alone" }, json!({"error": null}))
    }
}

/// One's own account.
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
            _ if self.password(user, right) == new => return refused(40044),
            _ => {}
        }
        let person = self.people.entry(user).or_default();
        let refused = |why| refused(40041).because(why);
        let Some(password) = person.password.as_mut() else { return refused("none") };
        if now < password.guesses.until {
            return refused("waits");
        }
        if !right {
            password.guesses.fail_password(now);
            return refused("wrong");
        }
        *password = Password { text: new, set_at: now, must_change: false, guesses: Guesses::default() };
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
        let mine = |at: &usize| self.sessions[*at].grant.user == user && self.is_listed(*at);
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

    /// Whether a session is in its user's list. That its actor's end has ended it is not seen there.
    fn is_listed(&self, session: usize) -> bool {
        let Session { grant, epochs, expires, ended, .. } = &self.sessions[session];
        !ended && self.now < *expires && self.epochs(grant)[0] == epochs[0]
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

/// Second factors.
impl Model {
    fn devices_of(&self, user: Name) -> Vec<usize> {
        let mine = |at: &usize| self.devices[*at].owner == user && !self.devices[*at].gone;
        (0..self.devices.len()).filter(mine).collect()
    }

    fn is_enrolled(&self, user: Name) -> bool {
        self.devices_of(user).into_iter().any(|at| self.devices[at].counts)
    }

    /// Whether `session` has shown a factor, or verified one.
    fn has_shown(&self, session: usize) -> bool {
        let Session { grant, amr, .. } = &self.sessions[session];
        let by_it = |at: usize| self.devices[at].counts && self.devices[at].by == Some(session);
        amr.contains(&"mfa") || self.devices_of(grant.user).into_iter().any(by_it)
    }

    /// The step that `code` is of, where `device` would take it.
    fn fits(&self, device: usize, code: Code) -> Option<u64> {
        let Code::Totp(shown, late) = code else { return None };
        let step = (self.now / 30).checked_add_signed(late)?;
        let fits = self.device(shown) == Some(device) && late.abs() <= 1 && step > self.devices[device].step;
        fits.then_some(step)
    }

    /// Whether `code` is a second factor of `user`; it is used then, and counted against them otherwise.
    fn show(&mut self, user: Name, code: Code, with_backup: bool) -> Result<(), &'static str> {
        let now = self.now;
        if now < self.people[user].guesses.until {
            return Err("locked");
        }
        let mut fitting = self.devices_of(user).into_iter().filter(|at| self.devices[*at].counts);
        let fitting = fitting.find_map(|at| Some((at, self.fits(at, code)?)));
        let (enrolled, backup) = (self.is_enrolled(user), self.backup(code));
        let person = self.people.get_mut(user).ok_or("nobody")?;
        let shown = match (fitting, backup) {
            (Some((device, step)), _) => {
                self.devices[device].step = step;
                true
            }
            (None, Some(code)) => with_backup && enrolled && person.codes.remove(&code),
            (None, None) => false,
        };
        if shown {
            person.guesses = Guesses::default();
            return Ok(());
        }
        person.guesses.fail(now);
        Err("wrong")
    }

    fn backup(&self, code: Code) -> Option<(usize, usize)> {
        let Code::Backup(device, number) = code else { return None };
        Some((self.device(device)?, number))
    }

    fn forget(&mut self, device: usize) {
        let Device { owner, counts, gone, .. } = &mut self.devices[device];
        *gone = true;
        if let Some(person) = self.people.get_mut(owner).filter(|_| !*counts) {
            person.codes.retain(|(with, _)| *with != device);
        }
    }

    fn set_up(&mut self, session: usize, code: Option<Code>) -> Answer {
        let (user, now) = (self.sessions[session].grant.user, self.now);
        let enrolled = self.is_enrolled(user);
        let (left, abandoned): (Vec<usize>, Vec<usize>) = self
            .devices_of(user)
            .into_iter()
            .partition(|at| self.devices[*at].counts || self.devices[*at].is_waiting(now));
        let shown = self.has_shown(session);
        if !shown && enrolled {
            let before = (self.devices.clone(), self.people.clone());
            let Some(code) = code else { return refused(40302) };
            if let Err(why) = self.show(user, code, false) {
                return refused(40031).because(why);
            }
            if left.len() >= 8 {
                // What is refused uses nothing up.
                (self.devices, self.people) = before;
            }
        }
        if left.len() >= 8 {
            return refused(40032);
        }
        abandoned.into_iter().for_each(|device| self.forget(device));
        let vouched = shown || enrolled;
        self.devices.push(Device {
            owner: user,
            made: now,
            gone: false,
            counts: false,
            by: None,
            vouched,
            step: 0,
        });
        let device = self.devices.len() - 1;
        if !enrolled {
            self.people.entry(user).or_default().codes.extend((0..10).map(|number| (device, number)));
        }
        let codes = (!enrolled).then_some(10);
        let kind = if enrolled { "another" } else { "first" };
        granted(kind, json!({"code": 0, "data": {"device_id": device, "backup_codes": codes}}))
    }

    fn verify(&mut self, session: usize, device: Option<Option<usize>>, code: Code) -> Answer {
        let user = self.sessions[session].grant.user;
        let mut waiting =
            self.devices_of(user).into_iter().rev().filter(|at| self.devices[*at].is_waiting(self.now));
        let device = waiting.find(|at| device.is_none_or(|named| named == Some(*at)));
        let Some((device, step)) = device.and_then(|at| Some((at, self.fits(at, code)?))) else {
            return refused(40031);
        };
        let enrolled = self.is_enrolled(user);
        if enrolled && !self.devices[device].vouched && !self.has_shown(session) {
            return refused(40302);
        }
        let verified = &mut self.devices[device];
        (verified.counts, verified.by, verified.step) = (true, Some(session), step);
        if !enrolled {
            self.people.entry(user).or_default().codes.retain(|(with, _)| *with == device);
        }
        done()
    }

    fn remove(&mut self, session: usize, device: Option<usize>, code: Code) -> Answer {
        let user = self.sessions[session].grant.user;
        let Some(device) = device.filter(|at| self.devices_of(user).contains(at)) else {
            return refused(40402);
        };
        let by_its_own = !self.devices[device].counts && self.fits(device, code).is_some();
        if !by_its_own && let Err(why) = self.show(user, code, false) {
            return refused(40031).because(why);
        }
        self.forget(device);
        if self.devices[device].counts && !self.is_enrolled(user) {
            self.people.entry(user).or_default().codes.clear();
        }
        done()
    }
}

/// What an administrator does.
impl Model {
    fn forgive_password(&mut self, user: Name) {
        if let Some(password) = self.people.get_mut(user).and_then(|person| person.password.as_mut()) {
            password.guesses = Guesses::default();
        }
    }

    pub(super) fn edit(&mut self, user: Name, operation: &Operation) {
        let Some(person) = self.people.get_mut(user) else { return };
        match operation {
            Operation::Disable(_) => {
                person.epoch += u32::from(!person.disabled);
                person.disabled = true;
            }
            Operation::Enable(_) => person.disabled = false,
            Operation::Unlock(_) => {
                person.guesses = Guesses::default();
                self.forgive_password(user);
            }
            _ => {
                let password = person.password.as_mut().filter(|password| !password.must_change);
                person.epoch += u32::from(password.map(|password| password.must_change = true).is_some());
            }
        }
    }

    pub(super) fn reset_factors(&mut self, user: Name) {
        self.devices_of(user).into_iter().for_each(|device| self.devices[device].gone = true);
        if let Some(person) = self.people.get_mut(user) {
            person.codes.clear();
            person.guesses = Guesses::default();
        }
    }

    pub(super) fn delete(&mut self, user: Name) {
        self.reset_factors(user);
        self.people.remove(user);
        let of_theirs = |ticket: &&mut Ticket| [ticket.grant.user, ticket.grant.person()].contains(&user);
        self.tickets.iter_mut().filter(of_theirs).for_each(|ticket| ticket.over = true);
    }
}
