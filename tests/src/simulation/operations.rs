//! The people: they request tickets, sign in, use their sessions, and retry; beside thieves and services.

use gatepass_core::http::request::Request;
use serde_json::{Value, json};

use super::administration::{SCOPE, administers};
use super::answers::claims;
use super::network::{Answered, RequestKind, copy, short};
use super::people::{Authenticator, HOLDERS, USERS};
use super::{Event, World, note};
use crate::fixtures::{self, BACKEND_SECRET, KIM_PASSWORD, PAM_PASSWORD, request};
use crate::totp;

fn with(mut request: Request, name: &str, value: &str) -> Request {
    request.headers.push((name.into(), value.into()));
    request
}

fn answers_with(challenge: &str, code: &str, method: &str) -> Request {
    let body = json!({"challenge_token": challenge, "code": code, "mfa_method": method});
    request("/auth/mfa/verify-challenge", "", &body)
}

fn by_method(method: &str, request: Request) -> Request {
    Request { method: method.into(), ..request }
}

impl World {
    /// Begins a person's next operation.
    pub(super) fn wake(&mut self, id: usize) {
        if self.people[id].busy {
            return;
        }
        let person = &self.people[id];
        let (ticket, challenge, access) =
            (person.ticket.clone(), person.challenge.clone(), person.access.clone());
        match (access, challenge, ticket) {
            (Some(access), _, _) => self.use_session(id, access),
            (None, Some(challenge), _) => self.answer_challenge(id, challenge),
            (None, None, Some(ticket)) => self.present(Some(id), ticket),
            (None, None, None) if self.people[id].by_password => self.log_in(id),
            (None, None, None) => self.have_ticket_issued(id),
        }
    }

    fn have_ticket_issued(&mut self, id: usize) {
        let Some(token) = self.service_token.clone() else {
            let scope = if self.rng.one_in(3) { "ticket:issue gatepass:admin" } else { "ticket:issue" };
            let asks = fixtures::asks_for_token("backend", BACKEND_SECRET, scope);
            return self.call(Some(id), RequestKind::ServiceToken, asks);
        };
        let ttl = self.rng.pick(&[5, 30, 300]);
        let person = &self.people[id];
        let mut asked = json!({"username": person.user, "ttl": ttl});
        if person.by_portal {
            asked["audience"] = "portal".into();
            asked["bind"] = person.bound.into();
        }
        let asks = request("/auth/generate-ticket", &format!("Bearer {token}"), &asked);
        self.call(Some(id), RequestKind::Issue, asks);
    }

    /// Presents a ticket: as its user, or, if nobody waits for the answer, as a thief.
    fn present(&mut self, from: Option<usize>, ticket: String) {
        let body = json!({"ticket": ticket});
        let bound = from.is_some_and(|id| self.people[id].bound);
        let authorization = if bound { self.portal_basic() } else { String::new() };
        let device = from.map_or("a stranger's", |id| &self.people[id].device);
        let presents = with(request("/auth/ticket/signin", &authorization, &body), "x-device-id", device);
        let (key, presents) = self.keyed(from, presents);
        self.call(from, RequestKind::Present { ticket, key }, presents);
    }

    /// Adds an `Idempotency-Key`, if `from` sends one, or a made-up one of a thief.
    fn keyed(&mut self, from: Option<usize>, request: Request) -> (Option<String>, Request) {
        let sends = from.map_or_else(|| self.rng.one_in(2), |id| self.people[id].keyed);
        let key = sends.then(|| format!("{:0>22}", self.next_number()));
        if from.is_none() && sends {
            self.coverage.count("keys kept from a thief");
        }
        let request = match &key {
            Some(key) => with(request, "idempotency-key", key),
            None => request,
        };
        (key, request)
    }

    fn portal_basic(&self) -> String {
        let form = fixtures::posts("/", "portal", &self.portal_secret, "");
        let (_, value) =
            form.headers.into_iter().find(|(name, _)| name == "authorization").expect("a header");
        String::from_utf8(value).expect("text")
    }

    fn log_in(&mut self, id: usize) {
        let person = &self.people[id];
        let known = self.passwords.get(&person.user).copied().unwrap_or_default();
        let device = person.device.clone();
        let user = person.user.clone();
        let password = if self.rng.one_in(6) { "not the password" } else { known };
        let mut body = json!({"identity": user, "password": password});
        if HOLDERS.iter().any(|(name, _)| *name == user) && self.rng.one_in(2) {
            body["scope"] = format!("profile {SCOPE}").into();
        }
        self.call(
            Some(id),
            RequestKind::Login,
            with(request("/auth/login", "", &body), "x-device-id", &device),
        );
    }

    fn answer_challenge(&mut self, id: usize, challenge: String) {
        let now = self.server_time();
        let (wrong, replay, backup) = (self.rng.one_in(4), self.rng.one_in(8), self.rng.one_in(6));
        let user = &self.people[id].user;
        let Some(known) = self.authenticators.get_mut(user) else {
            self.people[id].challenge = None;
            self.later(500, 5_000, Event::Wake(id));
            return;
        };
        let (code, method) = match (wrong, &known.last) {
            (true, _) => ("000000".to_owned(), "totp"),
            (false, Some(last)) if replay => {
                self.coverage.count("codes replayed");
                (last.clone(), "totp")
            }
            (false, _) if backup && !known.backup_codes.is_empty() => {
                (known.backup_codes[0].clone(), "backup_code")
            }
            (false, _) => (totp::code(&known.secret, now.unix()), "totp"),
        };
        if method == "totp" && !wrong {
            known.last = Some(code.clone());
        } else if method == "backup_code" && replay {
            known.backup_codes.remove(0);
        }
        let other = known.backup_codes.last().cloned().filter(|_| self.rng.one_in(2));
        let answer = answers_with(&challenge, &code, method);
        if self.rng.one_in(5) {
            // Two windows: one code in both, or two kinds of codes.
            let other = other.map(|code| answers_with(&challenge, &code, "backup_code"));
            let second = other.unwrap_or_else(|| copy(&answer));
            self.call(None, RequestKind::AnswerChallenge { challenge: challenge.clone(), key: None }, second);
        }
        let (key, answer) = self.keyed(Some(id), answer);
        self.call(Some(id), RequestKind::AnswerChallenge { challenge, key }, answer);
    }

    fn use_session(&mut self, id: usize, access: String) {
        let bearer = format!("Bearer {access}");
        let person = &self.people[id];
        let (user, refresh) = (person.user.clone(), person.refresh.clone());
        let me = Some(id);
        if administers(&claims(&access)) && self.rng.one_in(2) {
            return self.request_administration(me, access);
        }
        let asks = |path: &str, body: Value| request(path, &bearer, &body);
        match (self.rng.below(100), refresh) {
            (0..45, Some(refresh)) => self.refresh(me, refresh),
            (45..60, _) => {
                self.call(
                    me,
                    RequestKind::Userinfo(access.clone()),
                    by_method("GET", asks("/userinfo", Value::Null)),
                );
            }
            (60..72, _) => match self.authenticators.get(&user) {
                None if self.authenticators.len() < USERS / 5 + 4 => {
                    self.call(me, RequestKind::SetUp, asks("/mfa/totp/setup", json!({})));
                }
                Some(known) => {
                    let (secret, device) = (known.secret.clone(), known.device.clone());
                    let body =
                        json!({"device_id": device, "code": totp::code(&secret, self.server_time().unix())});
                    self.call(me, RequestKind::VerifyDevice, asks("/mfa/totp/verify", body));
                }
                None => self.later(500, 5_000, Event::Wake(id)),
            },
            (72..76, _) => {
                let path = "/auth/me/sessions";
                self.call(me, RequestKind::EndSession, by_method("DELETE", asks(path, Value::Null)));
            }
            (76..80, Some(refresh)) if person.by_portal => {
                let gives_up = fixtures::posts(
                    "/oauth2/revoke",
                    "portal",
                    &self.portal_secret,
                    &format!("token={refresh}"),
                );
                self.call(me, RequestKind::Revoke(refresh), gives_up);
            }
            (80..84, _) if person.by_portal => {
                let gives_up = fixtures::posts(
                    "/oauth2/revoke",
                    "portal",
                    &self.portal_secret,
                    &format!("token={access}"),
                );
                self.call(me, RequestKind::Revoke(access), gives_up);
            }
            (84, _) if person.by_password && self.rng.one_in(20) => {
                let body = json!({"old_password": PAM_PASSWORD, "new_password": KIM_PASSWORD});
                let change = by_method("PUT", asks("/auth/me/password", body));
                self.call(me, RequestKind::ChangePassword, change);
            }
            (85..90, _) => {
                // A new sign-in beside the old one, which stays open.
                self.forget(id);
                self.later(50, 500, Event::Wake(id));
            }
            _ => self.later(500, 8_000, Event::Wake(id)),
        }
    }

    fn refresh(&mut self, from: Option<usize>, token: String) {
        let by_portal = from.is_some_and(|id| self.people[id].by_portal);
        let what = RequestKind::Refresh { token: token.clone(), by_portal };
        let asks = if by_portal {
            let form = format!("grant_type=refresh_token&refresh_token={token}");
            fixtures::posts("/oauth2/token", "portal", &self.portal_secret, &form)
        } else {
            fixtures::refreshes(&token)
        };
        if self.rng.one_in(self.faults.thieves) {
            self.coverage.count("old tokens replayed by a thief");
            note!(self, "somebody has copied {}", short(&token));
            let theft = self.next_number();
            let stolen = RequestKind::Refresh { token: token.clone(), by_portal: false };
            self.keep_call(theft, stolen, fixtures::refreshes(&token));
            self.later(0, 25_000, Event::Arrive(theft));
        }
        self.call(from, what, asks);
    }

    /// A service asks about any token that it has seen.
    pub(super) fn probe(&mut self) {
        self.later(500, 4_000, Event::Probe);
        if self.seen.is_empty() {
            return;
        }
        let token = self.rng.pick(&self.seen);
        if self.rng.one_in(3) {
            self.request_administration(None, token);
        } else if self.rng.one_in(2) {
            let asks = request("/userinfo", &format!("Bearer {token}"), &Value::Null);
            self.call(None, RequestKind::Userinfo(token), by_method("GET", asks));
        } else {
            let form = format!("token={token}");
            let asks = fixtures::posts("/oauth2/introspect", "backend", BACKEND_SECRET, &form);
            self.call(None, RequestKind::Introspect(token), asks);
        }
    }

    fn forget(&mut self, id: usize) {
        let person = &mut self.people[id];
        (person.ticket, person.challenge) = (None, None);
        (person.access, person.refresh) = (None, None);
    }

    /// Handles an answer, or its absence.
    pub(super) fn take(&mut self, id: usize, what: &RequestKind, answer: Option<&Answered>) {
        let (status, body) = answer.map_or((0, &Value::Null), |answer| (answer.status, &answer.body));
        let text = |member: &str| body[member].as_str().map(str::to_owned);
        let good = status == 200;
        match what {
            RequestKind::ServiceToken => {
                self.service_token = text("access_token").filter(|_| good);
                self.seen.extend(self.service_token.clone());
            }
            RequestKind::Issue if good => {
                self.people[id].ticket = text("ticket");
                if let Some(ticket) = text("ticket").filter(|_| self.rng.one_in(6)) {
                    self.coverage.count("tickets raced for");
                    self.present(None, ticket.clone());
                    self.present(Some(id), ticket);
                }
            }
            RequestKind::Issue if status == 401 => self.service_token = None,
            RequestKind::Present { .. }
            | RequestKind::Login
            | RequestKind::AnswerChallenge { .. }
            | RequestKind::Refresh { .. }
                if good =>
            {
                let person = &mut self.people[id];
                person.ticket = None;
                person.challenge = text("challenge_token");
                person.access = text("access_token");
                person.refresh = text("refresh_token");
                self.seen.extend(text("access_token"));
            }
            RequestKind::AnswerChallenge { .. } if status == 400 && !self.rng.one_in(6) => {}
            // The answer to a refresh was lost: the same token again later.
            RequestKind::Refresh { .. } if status == 0 || status >= 500 => {}
            RequestKind::Present { .. }
            | RequestKind::AnswerChallenge { .. }
            | RequestKind::Refresh { .. } => self.forget(id),
            RequestKind::Userinfo(_) if status == 401 => self.people[id].access = None,
            RequestKind::EndSession | RequestKind::Revoke(_) if good => self.forget(id),
            RequestKind::SetUp if good => {
                let data = &body["data"];
                let list = data["backup_codes"].as_array().cloned().unwrap_or_default();
                let secret = totp_rs::Secret::Encoded(data["secret"].as_str().unwrap_or_default().into());
                let authenticator = Authenticator {
                    secret: secret.to_bytes().expect("base32"),
                    device: data["device_id"].as_str().unwrap_or_default().into(),
                    backup_codes: list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                    last: None,
                };
                self.authenticators.insert(self.people[id].user.clone(), authenticator);
            }
            RequestKind::ChangePassword if good => {
                self.passwords.insert(self.people[id].user.clone(), KIM_PASSWORD);
                self.forget(id);
            }
            RequestKind::SetUp
            | RequestKind::VerifyDevice
            | RequestKind::ChangePassword
            | RequestKind::Administer { .. }
            | RequestKind::EndSession
                if status == 401 =>
            {
                self.forget(id);
            }
            RequestKind::Issue
            | RequestKind::Login
            | RequestKind::Userinfo(_)
            | RequestKind::Introspect(_)
            | RequestKind::SetUp
            | RequestKind::VerifyDevice
            | RequestKind::EndSession
            | RequestKind::Revoke(_)
            | RequestKind::Administer { .. }
            | RequestKind::ChangePassword => {}
        }
    }
}
