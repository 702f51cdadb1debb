//! The core on a store, used as clients and administrators do.

use std::collections::BTreeMap;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use gatepass_core::admin::client_secrets::ImportedSecret;
use gatepass_core::admin::clients::{AddClient, DeleteClient, DisableClient, EnableClient, SetClient};
use gatepass_core::admin::factors::ResetFactors;
use gatepass_core::admin::roles::{SetClientRoles, SetUserRoles};
use gatepass_core::admin::sessions::{EndSession, EndUserSessions};
use gatepass_core::admin::tickets::{IssueTicket, IssuedTicket, RevokeTicket};
use gatepass_core::admin::users::{
    DeleteUser, DisableUser, EnableUser, RequirePasswordChange, SetPassword, UnlockUser,
};
use gatepass_core::admin::{self, AdminError, Administrator, ClientFields, Field, Item, Obstacle};
use gatepass_core::base::secret::SecretText;
use gatepass_core::base::time::Time;
use gatepass_core::crypto::OtpHash;
use gatepass_core::engine::{Engine, Keys};
use gatepass_core::http::language::Language;
use gatepass_core::http::problem::Problem;
use gatepass_core::http::request::Request;
use gatepass_core::http::response::Response;
use gatepass_core::policy::ticket_issuing::IssueError;
use gatepass_core::policy::ticket_request::{TicketRequest, TicketRequestError};
use gatepass_core::records::client::Client;
use gatepass_core::records::factor::{AskFactor, OtpParameters};
use gatepass_core::records::id::{ClientId, SessionId, UserRef};
use gatepass_core::records::role::{Role, Roles};
use gatepass_core::records::scope::Scope;
use gatepass_core::records::ticket::TicketDigest;
use gatepass_core::records::user::User;
use gatepass_core::settings::{Issuer as Url, PasswordAge, RiskRules, Settings, Weights};
use gatepass_core::store::Store;
use gatepass_core::store::page::PageQuery;
use gatepass_core::store::query::{Query, Records, RoleHolder};
use serde_json::{Value, json};

use super::model::{Caller, ISSUER, Model, Name, Rules};
use super::operation::{Act, Bearer, Code, Issuer, Key, Operation, TicketSpec, Token};
use crate::administrator;
use crate::api_document::drive;
use crate::fixtures::{self, BACKEND_SECRET, NOON, PORTAL_SECRET, inputs, request};
use crate::memory::{Memory, Tables};
use crate::totp::long_code_of;

/// A store that can be closed, reopened and swept.
pub trait RestartableStore: Store {
    /// Closes and reopens it.
    fn restart(&mut self) {}

    /// Removes expired records.
    fn sweep(&mut self, _now: Time) {}

    /// Sets the state epoch, as after older state was put back.
    fn set_state_epoch(&mut self, epoch: u64);
}

impl RestartableStore for Memory {
    fn set_state_epoch(&mut self, epoch: u64) {
        self.with(|tables| tables.state_epoch = epoch);
    }
}

/// Returns the initial records.
pub fn tables() -> Tables {
    let mut tables = fixtures::tables();
    for user in tables.users.values_mut() {
        user.password_changed_at = user.password_changed_at.map(|_| NOON);
    }
    tables
}

/// Returns the core's settings: only a new device asks for a factor, and a password lasts 90 days and 7 of grace.
fn settings(rules: Rules) -> Settings {
    let day = 86_400;
    let mut settings = Settings::new(Url::parse(ISSUER).expect("an issuer"));
    settings.second_factor.ask = if rules.always { AskFactor::Always } else { AskFactor::Risk };
    settings.second_factor.unenrolled = rules.unenrolled;
    settings.separate_roles = rules.separate;
    settings.password_age = Some(PasswordAge::new(90 * day, 14 * day, 7 * day));
    // Eight digits, so that no wrong code is right by chance.
    settings.totp = OtpParameters { hash: OtpHash::Sha1, digits: 8 };
    settings.risk.weights = Weights::NONE;
    settings.risk.weights.new_device = RiskRules::DEFAULT.weights.new_device;
    settings.risk.place_life = u32::MAX;
    settings
}

/// An answer, byte by byte.
#[derive(Debug, PartialEq, Eq)]
pub struct RawAnswer {
    /// The HTTP status. An administrator's command is 200 if applied, 400 otherwise.
    pub status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl From<Response> for RawAnswer {
    fn from(response: Response) -> Self {
        let headers = response.headers().map(|(name, value)| (name, value.to_owned())).collect();
        Self { status: response.status(), headers, body: response.into_body() }
    }
}

/// The core, its store, and every secret that it has handed out.
#[derive(Debug)]
pub struct System<S> {
    engine: Engine,
    store: S,
    asked: u64,
    /// The secrets of each kind, in the order of their first appearance.
    secrets: BTreeMap<&'static str, Vec<String>>,
    backup_codes: Vec<Vec<String>>,
    /// The first epoch of every client that was added, and that of the model.
    client_epochs: Vec<(u64, u64)>,
}

impl<S: RestartableStore> System<S> {
    /// Makes the core with these rules on a store that holds [`tables`].
    pub fn new(rules: Rules, store: S) -> Self {
        let engine = Engine::new(settings(rules), Keys::new(1, Some(fixtures::signing_key()), vec![]));
        Self {
            engine,
            store,
            asked: 0,
            secrets: BTreeMap::new(),
            backup_codes: vec![],
            client_epochs: vec![],
        }
    }

    /// Runs `operation`. `model` is the state before it, for its picks.
    pub fn perform(&mut self, operation: &Operation, model: &Model) -> RawAnswer {
        self.asked += 1;
        let now = Time::from_unix(model.now);
        match *operation {
            Operation::Restart => self.store.restart(),
            Operation::Sweep => self.store.sweep(now),
            Operation::PutBack => self.store.set_state_epoch(model.next_state_epoch()),
            Operation::Issue { by: Issuer::Command, spec } => return self.issue(&spec, now),
            Operation::RevokeTicket(pick) => {
                return self.revoke(&self.text("ticket", model.ticket(pick)), now);
            }
            Operation::DisableClient(client)
            | Operation::EnableClient(client)
            | Operation::DeleteClient(client)
            | Operation::AddClient(client)
            | Operation::NarrowClient(client)
            | Operation::WidenClient(client) => {
                self.edit_client(client, operation, model.next_client_epoch(), now);
            }
            _ => {
                if let Some(request) = self.request(operation, model) {
                    let reply = drive(&self.engine, &self.store, request, inputs(now, self.asked));
                    return reply.into_response().into();
                }
                self.administer(operation, model, now);
            }
        }
        nothing(0)
    }

    /// Returns the request of `operation`, if it is one.
    fn request(&self, operation: &Operation, model: &Model) -> Option<Request> {
        let bearer = |bearer| format!("Bearer {}", self.text("access_token", model.access(bearer)));
        let code = |code| self.code(code, model);
        let sent = |method: &str, path: &str, by: Bearer, body: Value| Request {
            method: method.into(),
            ..request(path, &bearer(by), &body)
        };
        let token = |token| match token {
            Token::Access(bearer) => self.text("access_token", model.access(bearer)),
            Token::Refresh(pick) => self.text("refresh_token", model.refresh(pick)),
        };
        let device = |pick| self.text("device_id", model.device(pick));
        Some(match *operation {
            Operation::Issue { by: Issuer::Bearer(by), spec } => {
                sent("POST", "/auth/generate-ticket", by, asked(&spec))
            }
            Operation::Redeem { ticket, caller, place, stated, key } => {
                let body = json!({ "ticket": self.text("ticket", model.ticket(ticket)) });
                keyed(at(place, stated, "/auth/ticket/signin", caller, body), key)
            }
            Operation::Login { user, right, scope, caller, place, stated } => {
                let mut body = json!({
                    "identity": self.spelled(user, model), "password": model.password(user, right),
                });
                if let Some(scope) = scope {
                    body["scope"] = scope.into();
                }
                at(place, stated, "/auth/login", caller, body)
            }
            Operation::Answer { challenge, code: shown, caller, key } => {
                let challenge = self.text("challenge_token", model.challenge(challenge));
                let method = if matches!(shown, Code::Backup(..)) { "backup_code" } else { "totp" };
                let body = json!({"challenge_token": challenge, "code": code(shown), "mfa_method": method});
                keyed(request("/auth/mfa/verify-challenge", &basic(caller), &body), key)
            }
            Operation::Refresh { token, caller, grant, scope } => {
                let token = self.text("refresh_token", model.refresh(token));
                if grant {
                    form(
                        "/oauth2/token",
                        caller,
                        &[("grant_type", "refresh_token"), ("refresh_token", &token)],
                        scope,
                    )
                } else {
                    request("/auth/refresh", &basic(caller), &json!({ "refresh_token": token }))
                }
            }
            Operation::Credentials { caller, scope } => {
                form("/oauth2/token", caller, &[("grant_type", "client_credentials")], scope)
            }
            Operation::Introspect { token: shown, caller } => {
                form("/oauth2/introspect", caller, &[("token", &token(shown))], None)
            }
            Operation::Revoke { token: shown, caller } => {
                form("/oauth2/revoke", caller, &[("token", &token(shown))], None)
            }
            Operation::UserInfo(by) => sent("GET", "/userinfo", by, Value::Null),
            Operation::ChangePassword { bearer: by, right, new } => {
                let old = model.password(model.owner(by), right);
                sent("PUT", "/auth/me/password", by, json!({"old_password": old, "new_password": new}))
            }
            Operation::Sessions(by) => sent("GET", "/auth/me/sessions", by, Value::Null),
            Operation::EndSessions(by) => sent("DELETE", "/auth/me/sessions", by, Value::Null),
            Operation::EndSession { bearer, session } => {
                let path = format!("/auth/me/sessions/{}", self.text("sid", model.session(session)));
                sent("DELETE", &path, bearer, Value::Null)
            }
            Operation::SetUp { bearer, code: shown } => {
                let body = shown.map_or_else(|| json!({}), |shown| json!({ "code": code(shown) }));
                sent("POST", "/mfa/totp/setup", bearer, body)
            }
            Operation::Verify { bearer, device: named, code: shown } => {
                let mut body = json!({ "code": code(shown) });
                if let Some(pick) = named {
                    body["device_id"] = device(pick).into();
                }
                sent("POST", "/mfa/totp/verify", bearer, body)
            }
            Operation::Devices(by) => sent("GET", "/mfa/totp/devices", by, Value::Null),
            Operation::Remove { bearer, device: named, code: shown } => {
                let path = format!("/mfa/totp/devices/{}", device(named));
                sent("DELETE", &path, bearer, json!({ "code": code(shown) }))
            }
            Operation::Administer { bearer, act } => {
                let (method, path, body) = asked_of_administration(act);
                sent(method, &format!("/admin/v1/{path}"), bearer, body)
            }
            _ => return None,
        })
    }

    /// Returns the holders of roles in the store, and their roles.
    pub fn holders(&self) -> Vec<(String, Roles)> {
        let records = self.store.read(&Query::RoleHolderPage(PageQuery::new(None, 100))).records;
        let Records::RoleHolderPage(page) = records else { panic!("a page") };
        let holder = |holder| match holder {
            RoleHolder::User(user) => (user.id.to_string(), user.roles),
            RoleHolder::Client(client) => (client.id.to_string(), client.roles),
        };
        page.items.into_iter().map(holder).collect()
    }

    /// Returns every record of a user or a client in the store.
    pub fn administered(&self) -> (Vec<User>, Vec<Client>) {
        let page = || PageQuery::new(None, 100);
        let Records::UserPage(users) = self.store.read(&Query::UserPage(page())).records else {
            panic!("a page")
        };
        let Records::ClientPage(clients) = self.store.read(&Query::ClientPage(page())).records else {
            panic!("a page")
        };
        (users.items, clients.items)
    }

    /// Returns the `number`th secret of its kind, or one that was never issued.
    fn text(&self, kind: &'static str, number: Option<usize>) -> String {
        let known = number.and_then(|number| self.secrets.get(kind)?.get(number));
        known.cloned().unwrap_or_else(|| match kind {
            "ticket" => format!("tkt_{}", "A".repeat(43)),
            "refresh_token" => fixtures::UNKNOWN_REFRESH_TOKEN.into(),
            "challenge_token" => format!("chg_{}", "A".repeat(43)),
            _ => "unknown".into(),
        })
    }

    /// Returns the code as typed.
    fn code(&self, code: Code, model: &Model) -> String {
        match code {
            Code::Wrong => "wrong".into(),
            Code::Backup(pick, number) => {
                let codes = model.device(pick).and_then(|device| self.backup_codes.get(device)?.get(number));
                codes.cloned().unwrap_or_else(|| "none".into())
            }
            Code::Totp(pick, late) => {
                let Some(device) = model.device(pick) else { return "none".into() };
                long_code_of(&self.text("secret", Some(device)), model.now.saturating_add_signed(late * 30))
            }
        }
    }

    /// Returns the answer with every secret replaced by its number.
    pub fn read(&mut self, told: &RawAnswer) -> Value {
        let Ok(mut body) = serde_json::from_slice::<Value>(&told.body) else { return json!({}) };
        if let Some(token) = body["access_token"].as_str() {
            let payload = token.split('.').nth(1).expect("three segments");
            let payload = URL_SAFE_NO_PAD.decode(payload).expect("base64url");
            body["claims"] = serde_json::from_slice(&payload).expect("JSON");
            self.number("sid", &mut body["claims"]["sid"]);
            if let Some(epoch) = body["claims"]["client_epoch"].as_u64() {
                body["claims"]["client_epoch"] = self.epoch_of_the_model(epoch).into();
            }
        }
        for kind in ["access_token", "refresh_token", "ticket", "challenge_token", "sid"] {
            if body.get(kind).is_some() {
                self.number(kind, &mut body[kind]);
            }
        }
        match &mut body["data"] {
            Value::Array(entries) => {
                for entry in entries.iter_mut() {
                    let (kind, member) =
                        if entry["id"].is_null() { ("device_id", "device_id") } else { ("sid", "id") };
                    self.number(kind, &mut entry[member]);
                }
                entries.sort_by_key(|entry| entry["id"].as_u64().or(entry["device_id"].as_u64()));
            }
            data @ Value::Object(_) => {
                self.number("device_id", &mut data["device_id"]);
                self.number("secret", &mut data["secret"]);
                let codes = data["backup_codes"].as_array().cloned().unwrap_or_default();
                if !codes.is_empty() {
                    data["backup_codes"] = codes.len().into();
                }
                self.backup_codes.push(codes.iter().filter_map(Value::as_str).map(str::to_owned).collect());
            }
            _ => {}
        }
        body
    }

    /// Returns the epoch that the model has for a client's: the first one of a registration is drawn, and raised by one.
    fn epoch_of_the_model(&self, epoch: u64) -> u64 {
        let raised = |(first, model): &(u64, u64)| {
            let raised = epoch.checked_sub(*first).filter(|raised| *raised < 1_000)?;
            Some(model + raised)
        };
        self.client_epochs.iter().find_map(raised).unwrap_or(epoch)
    }

    fn number(&mut self, kind: &'static str, value: &mut Value) {
        let Some(text) = value.as_str() else { return };
        let known = self.secrets.entry(kind).or_default();
        let number = known.iter().position(|other| other == text).unwrap_or_else(|| {
            known.push(text.to_owned());
            known.len() - 1
        });
        *value = number.into();
    }
}

impl<S: RestartableStore> System<S> {
    /// Returns one of the texts that name `user`, another one for each request. The model knows users by their names alone.
    fn spelled(&self, user: Name, model: &Model) -> String {
        match (user, self.asked % 4) {
            (_, 1) => model.mail(user).map_or(user.into(), |address| address.to_uppercase()),
            ("alice", 2) => "0044 20 7946-0000".into(),
            ("pam", 2) => "+442079460001".into(),
            (_, 3) => format!(" {user}"),
            _ => user.into(),
        }
    }
}

/// The administrator's operations.
impl<S: RestartableStore> System<S> {
    fn administer(&self, operation: &Operation, model: &Model, now: Time) {
        let named = |name: Name| UserRef::Username(name.into());
        match *operation {
            Operation::Disable(user) => self.operate(DisableUser { user: named(user) }, now),
            Operation::Enable(user) => self.operate(EnableUser { user: named(user) }, now),
            Operation::Delete(user) => self.operate(DeleteUser { user: named(user) }, now),
            Operation::RequireChange(user) => self.operate(RequirePasswordChange { user: named(user) }, now),
            Operation::Unlock(user) => self.operate(UnlockUser { user: named(user) }, now),
            Operation::ResetFactors(user) => self.operate(ResetFactors { user: named(user) }, now),
            Operation::SetPassword(user, text) => {
                let password = SecretText::new(text.into());
                self.operate(SetPassword { user: named(user), password, must_change: false }, now);
            }
            Operation::EndAllByCommand(user) => self.operate(EndUserSessions { user: named(user) }, now),
            Operation::GiveRoles(user, roles) => self.operate(SetUserRoles { user: named(user), roles }, now),
            Operation::GiveClientRoles(client, roles) => {
                let client = ClientId::parse(client).expect("a client id");
                self.operate(SetClientRoles { client, roles }, now);
            }
            Operation::EndByCommand(session) => {
                let id = self.text("sid", model.session(session));
                let session = SessionId::parse(&id).expect("a session's id");
                self.operate(EndSession { session, user: None }, now);
            }
            _ => {}
        }
    }

    fn operate<O: admin::Operation>(&self, operation: O, now: Time) {
        self.result_of(operation, now);
    }

    /// Does an administrator's operation, which may find nobody to do it to.
    fn result_of<O: admin::Operation>(&self, operation: O, now: Time) -> Option<O::Output> {
        let told = format!("{operation:?}");
        match administrator::run(operation, inputs(now, self.asked), self.engine.settings(), &self.store) {
            Ok(output) => Some(output),
            Err(
                AdminError::NotFound(_)
                | AdminError::AlreadyExists(Item::Client(_))
                | AdminError::Invalid { field: Field::Roles, .. }
                | AdminError::Refused(Obstacle::NoPassword | Obstacle::AlreadyEnded),
            ) => None,
            Err(error) => panic!("{told}: {error}"),
        }
    }

    fn edit_client(&mut self, name: Name, operation: &Operation, anew: u64, now: Time) {
        let client = ClientId::parse(name).expect("a client id");
        let first = fixtures::tables().clients.remove(&client).expect("a client of the world");
        let scope = |scope| ClientFields::default().scope(scope).expect("a scope");
        match operation {
            Operation::DeleteClient(_) => self.operate(DeleteClient { client }, now),
            Operation::AddClient(_) => {
                let fields = first.audiences.iter().fold(scope(first.scope), |fields, audience| {
                    fields.audience(audience).expect("an audience")
                });
                let fields = fields.default_scope(first.default_scope).trusted_context(first.trusted_context);
                let secret = SecretText::new(secret_of(name).into());
                let secret = ImportedSecret::new(secret).expect("a secret");
                let add = AddClient::new(client, fields, Some(secret)).expect("a client");
                if let Some(added) = self.result_of(add, now) {
                    self.client_epochs.push((added.client.epoch, anew));
                }
            }
            Operation::DisableClient(_) => self.operate(DisableClient { client }, now),
            Operation::EnableClient(_) => self.operate(EnableClient { client }, now),
            Operation::NarrowClient(_) => {
                let narrow = Scope::parse("ticket:issue profile").expect("a scope");
                self.operate(SetClient { client, fields: scope(narrow) }, now);
            }
            _ => self.operate(SetClient { client, fields: scope(first.scope) }, now),
        }
    }

    fn revoke(&self, ticket: &str, now: Time) -> RawAnswer {
        let digest = TicketDigest::of(ticket).expect("a ticket");
        let Records::Ticket(Some(records)) = self.store.read(&Query::Ticket(digest)).records else {
            return nothing(400);
        };
        let revoke = RevokeTicket { ticket: records.ticket.id };
        match admin::run(
            revoke,
            Administrator::Machine,
            inputs(now, self.asked),
            self.engine.settings(),
            &self.store,
        ) {
            Ok(_) => nothing(200),
            Err(error) => {
                assert_eq!(error, AdminError::Refused(Obstacle::AlreadyEnded));
                nothing(400)
            }
        }
    }

    fn issue(&self, spec: &TicketSpec, now: Time) -> RawAnswer {
        let asked = || {
            let named = |name: Name| UserRef::Username(name.into());
            let mut asked = TicketRequest::new(named(spec.user));
            if let Some(ttl) = spec.ttl {
                asked = asked.lasting(ttl)?;
            }
            asked.audience = spec.audience.map(|client| ClientId::parse(client).expect("a client id"));
            asked.bind = spec.bind;
            asked.scope = spec.scope.map(|scope| Scope::parse(scope).expect("a scope"));
            asked.client_ip = spec.here.then(|| [192, 0, 2, 1].into());
            asked.impersonated(spec.actor.map(named), spec.actor.filter(|_| spec.reason).map(|_| "a call"))
        };
        let request = match asked() {
            Err(TicketRequestError::Lifetime) => {
                return Problem::BadTtl.response(Language::English, now).into();
            }
            Err(_) => return Problem::ReasonRequired.response(Language::English, now).into(),
            Ok(request) => request,
        };
        let issued = admin::run(
            IssueTicket { request },
            Administrator::Machine,
            inputs(now, self.asked),
            self.engine.settings(),
            &self.store,
        );
        let problem = match issued {
            Ok(IssuedTicket { id, ticket, expires_in }) => {
                let body = json!({"id": id.as_str(), "ticket": ticket.expose(), "expires_in": expires_in});
                return RawAnswer { body: body.to_string().into_bytes(), ..nothing(200) };
            }
            Err(AdminError::NotIssued(IssueError::User)) => Problem::UserRefused,
            Err(AdminError::NotIssued(IssueError::Audience | IssueError::Unbound)) => {
                Problem::AudienceRefused
            }
            Err(AdminError::NotIssued(IssueError::Actor)) => Problem::ActorRefused,
            Err(AdminError::NotIssued(IssueError::Scope(_))) => Problem::ScopeRefused,
            Err(error) => panic!("{spec:?}: {error}"),
        };
        problem.response(Language::English, now).into()
    }
}

fn nothing(status: u16) -> RawAnswer {
    RawAnswer { status, headers: vec![], body: vec![] }
}

/// Returns the body that asks for a ticket.
fn asked(spec: &TicketSpec) -> Value {
    let mut body = json!({"user_id": format!("usr_{}", spec.user), "bind": spec.bind});
    let members = [
        ("ttl", spec.ttl.map(Value::from)),
        ("audience", spec.audience.map(Value::from)),
        ("scope", spec.scope.map(Value::from)),
        ("client_ip", spec.here.then(|| "192.0.2.1".into())),
        ("actor", spec.actor.map(|actor| format!("usr_{actor}").into())),
        ("reason", spec.actor.filter(|_| spec.reason).map(|_| "a call".into())),
    ];
    for (member, value) in members {
        if let Some(value) = value {
            body[member] = value;
        }
    }
    body
}

/// Returns the method, the path and the body of a request to administer.
fn asked_of_administration(act: Act) -> (&'static str, String, Value) {
    let of = |user: Name, rest: &str| format!("users/usr_{user}{rest}");
    let none = || json!({});
    match act {
        Act::ListHolders => ("GET", "roles".into(), none()),
        Act::GiveRoles(user, roles) => {
            let roles: Vec<_> = roles.iter().map(Role::as_str).collect();
            ("PUT", format!("roles/usr_{user}"), json!({ "roles": roles }))
        }
        Act::TakeRoles(user) => ("DELETE", format!("roles/usr_{user}"), none()),
        Act::SetPassword(user, new) => {
            ("PUT", of(user, "/password"), json!({"password": new, "must_change": false}))
        }
        Act::RequireChange(user) => ("POST", of(user, "/password/require-change"), none()),
        Act::ResetFactors(user) => ("DELETE", of(user, "/factors"), none()),
        Act::SetEmail(user, domain) => ("PATCH", of(user, ""), json!({"email": format!("{user}@{domain}")})),
        Act::Disable(user) => ("PATCH", of(user, ""), json!({"status": "disabled"})),
        Act::Enable(user) => ("PATCH", of(user, ""), json!({"status": "active"})),
        Act::Delete(user) => ("DELETE", of(user, ""), none()),
        Act::Unlock(user) => ("POST", of(user, "/unlock"), none()),
        Act::EndSessions(user) => ("DELETE", of(user, "/sessions"), none()),
        Act::DisableClient(client) => ("PATCH", format!("clients/{client}"), json!({"enabled": false})),
        Act::EnableClient(client) => ("PATCH", format!("clients/{client}"), json!({"enabled": true})),
        Act::DeleteClient(client) => ("DELETE", format!("clients/{client}"), none()),
        Act::AddSecret(client) => ("POST", format!("clients/{client}/secrets"), none()),
    }
}

fn secret_of(client: Name) -> &'static str {
    if client == "backend" { BACKEND_SECRET } else { PORTAL_SECRET }
}

fn basic(caller: Caller) -> String {
    let (id, secret) = match caller {
        Caller::Nobody => return String::new(),
        Caller::Client(client) => (client, secret_of(client)),
        Caller::Impostor(client) => (client, "gps_none-of-theirs"),
    };
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

fn form(path: &str, caller: Caller, fields: &[(&str, &str)], scope: Option<&str>) -> Request {
    let mut posted: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
    posted.extend(scope.map(|scope| format!("scope={}", scope.replace(' ', "+"))));
    let mut headers = vec![("content-type".into(), b"application/x-www-form-urlencoded".to_vec())];
    if caller != Caller::Nobody {
        headers.push(("authorization".into(), basic(caller).into()));
    }
    Request { headers, body: posted.join("&").into(), ..request(path, "", &Value::Null) }
}

fn keyed(mut asked: Request, key: Option<Key>) -> Request {
    if let Some(key) = key {
        asked.headers.push(("idempotency-key".into(), format!("{key:0>22}").into()));
    }
    asked
}

/// Makes a request of somebody at a place, which the connection shows or the body states.
fn at(
    place: super::model::DeviceOnNetwork,
    stated: bool,
    path: &str,
    caller: Caller,
    mut body: Value,
) -> Request {
    let address: IpAddr = if place.here { [192, 0, 2, 1] } else { [198, 51, 100, 1] }.into();
    if stated {
        body["device_id"] = place.device.into();
        body["client_ip"] = address.to_string().into();
        return Request { peer: [203, 0, 113, 1].into(), ..request(path, &basic(caller), &body) };
    }
    let mut asked = request(path, &basic(caller), &body);
    asked.headers.push(("x-device-id".into(), place.device.into()));
    Request { peer: address, ..asked }
}
