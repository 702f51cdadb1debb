//! Who wants to be signed in, and what they do once they are; thieves and services beside them.

use std::collections::BTreeMap;

use gatepass_core::model::factor::{BackupDigest, Guesses, OtpParameters, TotpDevice};
use gatepass_core::model::id::{DeviceId, UserId};
use gatepass_core::model::password::{Password, PasswordHash};
use gatepass_core::model::user::Status;
use gatepass_core::secret::SecretBytes;
use gatepass_core::time::Time;
use gatepass_core::wire::request::Request;
use serde_json::{Value, json};

use super::chance::Chance;
use super::network::{Answered, What, copy, short};
use super::{Event, World, note};
use crate::memory::Tables;
use crate::world::{self, BACKEND_SECRET, KIM_HASH, KIM_PASSWORD, NOON, PAM_HASH, PAM_PASSWORD, request};

const USERS: usize = 40;
const PEOPLE: usize = 100;
/// Services that ask about tokens.
pub(super) const SERVICES: usize = 5;

/// Both passwords that there are.
pub(super) const PASSWORDS: [(&str, &str); 2] = [(PAM_PASSWORD, PAM_HASH), (KIM_PASSWORD, KIM_HASH)];

/// A place where somebody sits: one user may sit in several.
pub(super) struct Person {
    pub(super) user: String,
    /// Whether a request of theirs is under way.
    pub(super) busy: bool,
    device: String,
    by_password: bool,
    by_portal: bool,
    bound: bool,
    ticket: Option<String>,
    challenge: Option<String>,
    access: Option<String>,
    refresh: Option<String>,
}

/// What a user's authenticator knows.
pub(super) struct Authenticator {
    secret: Vec<u8>,
    device: String,
    backup_codes: Vec<String>,
    /// The last code that was shown, to be shown again by mistake.
    last: Option<String>,
}

fn name(user: usize) -> String {
    format!("p{user:02}")
}

fn is_enrolled(user: usize) -> bool {
    user.is_multiple_of(5)
}

fn has_password(user: usize) -> bool {
    user.is_multiple_of(3)
}

/// The tables of a world before anything has happened.
pub(super) fn tables() -> Tables {
    let mut tables = world::tables();
    for user in 0..USERS {
        let mut person = world::user(&name(user), Status::Active);
        if has_password(user) {
            person.password_changed_at = Some(person.created_at);
            let hash = PasswordHash::parse(PAM_HASH).expect("a hash");
            tables.passwords.insert(person.id.clone(), Password { hash, guesses: Guesses::default() });
        }
        if is_enrolled(user) {
            let device = device(user, &person.id);
            let codes = backup_codes(user);
            let codes = codes.iter().map(|code| (person.id.clone(), BackupDigest::of(&person.id, code)));
            tables.backup_codes.extend(codes.map(|key| (key, device.id.clone())));
            tables.devices.push(device);
        }
        tables.users.insert(person.id.clone(), person);
    }
    tables
}

/// A device that counts from the beginning.
fn device(user: usize, id: &UserId) -> TotpDevice {
    TotpDevice {
        id: DeviceId::parse(&format!("dev_{user}")).expect("an id"),
        user_id: id.clone(),
        name: None,
        parameters: OtpParameters::DEFAULT,
        secret: SecretBytes::new(secret(user)),
        created_at: NOON,
        verified_at: Some(NOON),
        verified_by: None,
        vouched_for: false,
        last_step: 0,
    }
}

fn secret(user: usize) -> Vec<u8> {
    format!("the secret of user {user:02}").into_bytes()
}

fn backup_codes(user: usize) -> Vec<String> {
    (0..3).map(|number| format!("AAAA-BBBB-CC{user:02}-DDD{number}")).collect()
}

/// The authenticators that count from the beginning.
pub(super) fn authenticators() -> BTreeMap<String, Authenticator> {
    let known = |user: usize| Authenticator {
        secret: secret(user),
        device: format!("dev_{user}"),
        backup_codes: backup_codes(user),
        last: None,
    };
    (0..USERS).filter(|user| is_enrolled(*user)).map(|user| (name(user), known(user))).collect()
}

/// The passwords as people know them.
pub(super) fn passwords() -> BTreeMap<String, &'static str> {
    (0..USERS).filter(|user| has_password(*user)).map(|user| (name(user), PAM_PASSWORD)).collect()
}

pub(super) fn everybody(chance: &mut Chance) -> Vec<Person> {
    let person = |place: usize| {
        let user = place % USERS;
        let by_password = has_password(user) && chance.one_in(2);
        let by_portal = !by_password && chance.one_in(3);
        Person {
            user: name(user),
            busy: false,
            // Two of a user's places are the same device to the eye.
            device: format!("device-{user}-{}", chance.below(2)),
            by_password,
            by_portal,
            bound: by_portal && chance.one_in(3),
            ticket: None,
            challenge: None,
            access: None,
            refresh: None,
        }
    };
    (0..PEOPLE).map(person).collect()
}

fn with(mut request: Request, name: &str, value: &str) -> Request {
    request.headers.push((name.into(), value.into()));
    request
}

fn by_method(method: &str, request: Request) -> Request {
    Request { method: method.into(), ..request }
}

fn code(secret: &[u8], now: Time) -> String {
    let totp = totp_rs::TOTP::new(totp_rs::Algorithm::SHA1, 6, 1, 30, secret.to_vec()).expect("a secret");
    totp.generate(now.unix())
}

impl World {
    /// Somebody does the next thing.
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
            let asks = world::asks_for_token("backend", BACKEND_SECRET, "ticket:issue");
            return self.call(Some(id), What::ServiceToken, asks);
        };
        let ttl = self.chance.pick(&[5, 30, 300]);
        let person = &self.people[id];
        let mut asked = json!({"username": person.user, "ttl": ttl});
        if person.by_portal {
            asked["audience"] = "portal".into();
            asked["bind"] = person.bound.into();
        }
        let asks = request("/auth/generate-ticket", &format!("Bearer {token}"), &asked);
        self.call(Some(id), What::Issue, asks);
    }

    /// Presents a ticket: as who it is for, or, where nobody waits for the answer, as who got hold of it.
    fn present(&mut self, from: Option<usize>, ticket: String) {
        let body = json!({"ticket": ticket});
        let bound = from.is_some_and(|id| self.people[id].bound);
        let authorization = if bound { self.portal_basic() } else { String::new() };
        let device = from.map_or("a stranger's", |id| &self.people[id].device);
        let presents = with(request("/auth/ticket/signin", &authorization, &body), "x-device-id", device);
        self.call(from, What::Present(ticket), presents);
    }

    fn portal_basic(&self) -> String {
        let form = world::posts("/", "portal", &self.portal_secret, "");
        let (_, value) =
            form.headers.into_iter().find(|(name, _)| name == "authorization").expect("a header");
        String::from_utf8(value).expect("text")
    }

    fn log_in(&mut self, id: usize) {
        let person = &self.people[id];
        let known = self.passwords.get(&person.user).copied().unwrap_or_default();
        let device = person.device.clone();
        let user = person.user.clone();
        let password = if self.chance.one_in(6) { "not the password" } else { known };
        let body = json!({"identity": user, "password": password});
        self.call(Some(id), What::Login, with(request("/auth/login", "", &body), "x-device-id", &device));
    }

    fn answer_challenge(&mut self, id: usize, challenge: String) {
        let now = self.server_time();
        let (wrong, replay, backup) = (self.chance.one_in(4), self.chance.one_in(8), self.chance.one_in(6));
        let user = &self.people[id].user;
        let Some(known) = self.authenticators.get_mut(user) else {
            self.people[id].challenge = None;
            self.later(500, 5_000, Event::Wake(id));
            return;
        };
        let (code, method) = match (wrong, &known.last) {
            (true, _) => ("000000".to_owned(), "totp"),
            (false, Some(last)) if replay => {
                self.tally.met("codes replayed");
                (last.clone(), "totp")
            }
            (false, _) if backup && !known.backup_codes.is_empty() => {
                (known.backup_codes[0].clone(), "backup_code")
            }
            (false, _) => (code(&known.secret, now), "totp"),
        };
        if method == "totp" && !wrong {
            known.last = Some(code.clone());
        } else if method == "backup_code" && replay {
            known.backup_codes.remove(0);
        }
        let body = json!({"challenge_token": challenge, "code": code, "mfa_method": method});
        let answer = request("/auth/mfa/verify-challenge", "", &body);
        if self.chance.one_in(5) {
            // Two windows, one code.
            self.call(None, What::AnswerChallenge(challenge.clone()), copy(&answer));
        }
        self.call(Some(id), What::AnswerChallenge(challenge), answer);
    }

    fn use_session(&mut self, id: usize, access: String) {
        let bearer = format!("Bearer {access}");
        let person = &self.people[id];
        let (user, refresh) = (person.user.clone(), person.refresh.clone());
        let me = Some(id);
        let asks = |path: &str, body: Value| request(path, &bearer, &body);
        match (self.chance.below(100), refresh) {
            (0..45, Some(refresh)) => self.refresh(me, refresh),
            (45..60, _) => {
                self.call(
                    me,
                    What::Userinfo(access.clone()),
                    by_method("GET", asks("/userinfo", Value::Null)),
                );
            }
            (60..72, _) => match self.authenticators.get(&user) {
                None if self.authenticators.len() < USERS / 5 + 4 => {
                    self.call(me, What::SetUp, asks("/mfa/totp/setup", json!({})));
                }
                Some(known) => {
                    let (secret, device) = (known.secret.clone(), known.device.clone());
                    let body = json!({"device_id": device, "code": code(&secret, self.server_time())});
                    self.call(me, What::VerifyDevice, asks("/mfa/totp/verify", body));
                }
                None => self.later(500, 5_000, Event::Wake(id)),
            },
            (72..76, _) => {
                let path = "/auth/me/sessions";
                self.call(me, What::EndSession, by_method("DELETE", asks(path, Value::Null)));
            }
            (76..80, Some(refresh)) if person.by_portal => {
                let gives_up = world::posts(
                    "/oauth2/revoke",
                    "portal",
                    &self.portal_secret,
                    &format!("token={refresh}"),
                );
                self.call(me, What::Revoke(refresh), gives_up);
            }
            (80..84, _) if person.by_portal => {
                let gives_up =
                    world::posts("/oauth2/revoke", "portal", &self.portal_secret, &format!("token={access}"));
                self.call(me, What::Revoke(access), gives_up);
            }
            (84, _) if person.by_password && self.chance.one_in(20) => {
                let body = json!({"old_password": PAM_PASSWORD, "new_password": KIM_PASSWORD});
                let change = by_method("PUT", asks("/auth/me/password", body));
                self.call(me, What::ChangePassword, change);
            }
            (85..90, _) => {
                // A new sign-in beside the old one, which nobody ends.
                self.forget(id);
                self.later(50, 500, Event::Wake(id));
            }
            _ => self.later(500, 8_000, Event::Wake(id)),
        }
    }

    fn refresh(&mut self, from: Option<usize>, token: String) {
        let by_portal = from.is_some_and(|id| self.people[id].by_portal);
        let what = What::Refresh { token: token.clone(), by_portal };
        let asks = if by_portal {
            let form = format!("grant_type=refresh_token&refresh_token={token}");
            world::posts("/oauth2/token", "portal", &self.portal_secret, &form)
        } else {
            world::refreshes(&token)
        };
        if self.chance.one_in(self.weather.thieves) {
            self.tally.met("old tokens replayed by a thief");
            note!(self, "somebody has copied {}", short(&token));
            let theft = self.next_number();
            let stolen = What::Refresh { token: token.clone(), by_portal: false };
            self.keep_call(theft, stolen, world::refreshes(&token));
            self.later(0, 25_000, Event::Arrive(theft));
        }
        self.call(from, what, asks);
    }

    /// A service asks about a token that it has seen, however old.
    pub(super) fn probe(&mut self) {
        self.later(500, 4_000, Event::Probe);
        if self.seen.is_empty() {
            return;
        }
        let token = self.chance.pick(&self.seen);
        if self.chance.one_in(2) {
            let asks = request("/userinfo", &format!("Bearer {token}"), &Value::Null);
            self.call(None, What::Userinfo(token), by_method("GET", asks));
        } else {
            let form = format!("token={token}");
            let asks = world::posts("/oauth2/introspect", "backend", BACKEND_SECRET, &form);
            self.call(None, What::Introspect(token), asks);
        }
    }

    fn forget(&mut self, id: usize) {
        let person = &mut self.people[id];
        (person.ticket, person.challenge) = (None, None);
        (person.access, person.refresh) = (None, None);
    }

    /// Somebody takes in what they were told, or that nobody answered.
    pub(super) fn take(&mut self, id: usize, what: &What, answer: Option<&Answered>) {
        let (status, body) = answer.map_or((0, &Value::Null), |answer| (answer.status, &answer.body));
        let text = |member: &str| body[member].as_str().map(str::to_owned);
        let good = status == 200;
        match what {
            What::ServiceToken => self.service_token = text("access_token").filter(|_| good),
            What::Issue if good => {
                self.people[id].ticket = text("ticket");
                if let Some(ticket) = text("ticket").filter(|_| self.chance.one_in(6)) {
                    self.tally.met("tickets raced for");
                    self.present(None, ticket.clone());
                    self.present(Some(id), ticket);
                }
            }
            What::Issue if status == 401 => self.service_token = None,
            What::Present(_) | What::Login | What::AnswerChallenge(_) | What::Refresh { .. } if good => {
                let person = &mut self.people[id];
                person.ticket = None;
                person.challenge = text("challenge_token");
                person.access = text("access_token");
                person.refresh = text("refresh_token");
                self.seen.extend(text("access_token"));
            }
            What::AnswerChallenge(_) if status == 400 && !self.chance.one_in(6) => {}
            // Lost answers of a refresh: the same token again, some time later.
            What::Refresh { .. } if status == 0 || status >= 500 => {}
            What::Present(_) | What::AnswerChallenge(_) | What::Refresh { .. } => self.forget(id),
            What::Userinfo(_) if status == 401 => self.people[id].access = None,
            What::EndSession | What::Revoke(_) if good => self.forget(id),
            What::SetUp if good => {
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
            What::ChangePassword if good => {
                self.passwords.insert(self.people[id].user.clone(), KIM_PASSWORD);
                self.forget(id);
            }
            What::SetUp | What::VerifyDevice | What::ChangePassword | What::EndSession if status == 401 => {
                self.forget(id);
            }
            What::Issue
            | What::Login
            | What::Userinfo(_)
            | What::Introspect(_)
            | What::SetUp
            | What::VerifyDevice
            | What::EndSession
            | What::Revoke(_)
            | What::ChangePassword => {}
        }
    }

    pub(super) fn user_id(user: &str) -> UserId {
        UserId::parse(&format!("usr_{user}")).expect("an id")
    }
}
