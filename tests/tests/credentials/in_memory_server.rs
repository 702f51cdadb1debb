//! A server with a store in memory, where everything happens within one second, and the administrator's operations.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use gatepass_core::api::step::{drive, finish};
use gatepass_core::base::secret::SecretBytes;
use gatepass_core::engine::Engine;
use gatepass_core::http::request::Request;
use gatepass_core::policy::ticket_request::TicketRequest;
use gatepass_core::records::client::Client;
use gatepass_core::records::factor::{BackupDigest, Lockout, OtpParameters, TotpDevice};
use gatepass_core::records::id::{ClientId, DeviceId, UserId, UserRef};
use gatepass_core::records::password::PasswordHash;
use gatepass_core::records::scope::Scope;
use gatepass_core::records::user::User;
use gatepass_core::settings::{Issuer, Settings};
use gatepass_core::store::Store as _;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_tests::fixtures::{
    self, BACKEND_SECRET, KIM_HASH, NOON, PORTAL_SECRET, asks_for_token, inputs, request,
};
use gatepass_tests::memory::{Memory, Tables};
use serde_json::{Value, json};

const SECRET: &[u8] = b"12345678901234567890";
pub(crate) const BACKUP: &str = "AAAA-BBBB-CCCC-DDDD";

pub(crate) struct InMemoryServer {
    engine: Engine,
    store: Memory,
    asked: u64,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn text(&self, member: &str) -> String {
        self.body[member].as_str().unwrap_or_else(|| panic!("no {member} in {}", self.body)).to_owned()
    }
}

pub(crate) fn client_id(id: &str) -> ClientId {
    ClientId::parse(id).expect("an id")
}

fn user_id(name: &str) -> UserId {
    UserId::parse(&format!("usr_{name}")).expect("an id")
}

/// The test data; fay has a verified device and a backup code, and the client `watch` introspects tokens.
fn tables() -> Tables {
    let mut tables = fixtures::tables();
    let (user_id, device) = (user_id("fay"), DeviceId::parse("dev_1").expect("an id"));
    tables.backup_codes.insert((user_id.clone(), BackupDigest::of(&user_id, BACKUP)), device.clone());
    tables.devices.push(TotpDevice {
        id: device,
        user_id,
        name: None,
        parameters: OtpParameters::DEFAULT,
        secret: SecretBytes::new(SECRET.to_vec()),
        created_at: NOON,
        verified_at: Some(NOON),
        verified_by: None,
        vouched_for: false,
        last_step: 0,
    });
    let watch = Client { id: client_id("watch"), ..tables.clients[&client_id("portal")].clone() };
    tables.clients.insert(watch.id.clone(), watch);
    tables
}

/// The code that fay's device shows.
pub(crate) fn totp() -> String {
    let totp = totp_rs::TOTP::new(totp_rs::Algorithm::SHA1, 6, 1, 30, SECRET.to_vec());
    totp.expect("a secret").generate(NOON.unix())
}

impl InMemoryServer {
    pub(crate) fn new(set: fn(&mut Settings)) -> Self {
        let mut settings = Settings::new(Issuer::parse("http://gate.example").expect("an issuer"));
        set(&mut settings);
        Self { engine: fixtures::gatepass_with(settings), store: Memory::new(tables()), asked: 0 }
    }

    pub(crate) fn send(&mut self, request: Request) -> Answer {
        self.asked += 1;
        let response = drive(&self.engine, &self.store, request, inputs(NOON, self.asked));
        Answer {
            status: response.status(),
            body: serde_json::from_slice(response.body()).unwrap_or_default(),
        }
    }

    pub(crate) fn service_token(&mut self) -> String {
        let scope = "ticket:issue ticket:impersonate profile email";
        self.send(asks_for_token("backend", BACKEND_SECRET, scope)).text("access_token")
    }

    /// Returns a ticket that `backend` issues for `profile email`.
    pub(crate) fn ticket(&mut self, user: &str, more: &[(&str, Value)]) -> String {
        let bearer = format!("Bearer {}", self.service_token());
        let mut body = json!({"user_id": format!("usr_{user}"), "scope": "profile email"});
        more.iter().for_each(|(member, value)| body[*member] = value.clone());
        self.send(request("/auth/generate-ticket", &bearer, &body)).text("ticket")
    }

    /// Returns a ticket of the command line, if it issues one.
    pub(crate) fn ticket_by_command(&mut self, user: &str) -> Option<String> {
        self.asked += 1;
        let asked = TicketRequest::new(UserRef::Username(user.into()));
        let step = self.engine.issue_by_command(asked, inputs(NOON, self.asked));
        let issued = finish(&self.engine, &self.store, step);
        let body: Value = serde_json::from_slice(issued.body()).expect("JSON");
        body["ticket"].as_str().map(str::to_owned)
    }

    fn commit(&self, changes: Vec<Change>) {
        assert_eq!(self.store.commit(&changes.into()), Outcome::Applied);
    }

    fn user(&self, name: &str) -> User {
        self.store.with(|tables| tables.users[&user_id(name)].clone())
    }

    pub(crate) fn edit_user(&self, name: &str, edit: impl Fn(&mut User)) {
        let mut user = self.user(name);
        edit(&mut user);
        self.commit(vec![Change::UpdateUser(user)]);
    }

    pub(crate) fn delete_user(&self, name: &str) {
        self.commit(vec![Change::DeleteUser(user_id(name))]);
    }

    /// Deletes the user, and adds another of the same name.
    pub(crate) fn add_user_anew(&self, name: &str) {
        let before = self.user(name);
        self.delete_user(name);
        let anew = User { id: user_id(&format!("{name}-anew")), epoch: 0, revision: 0, ..before };
        self.commit(vec![Change::InsertUser(anew)]);
    }

    /// Does what `gatepass user reset-mfa` does.
    pub(crate) fn reset_factors(&self, name: &str) {
        let (id, epoch) = (user_id(name), self.user(name).epoch);
        let devices = self.store.with(|tables| tables.devices.clone());
        let theirs = devices.into_iter().filter(|device| device.user_id == id);
        let mut changes: Vec<Change> =
            theirs.map(|device| Change::DeleteDevice { id: device.id, counts: true }).collect();
        changes.push(Change::DropBackupCodes(id.clone()));
        let (before, after) = (Lockout::default(), Lockout::default());
        changes.push(Change::SetLockout { user: id.clone(), before, after });
        changes.push(Change::RaiseEpoch { id, epoch });
        self.commit(changes);
    }

    pub(crate) fn set_password(&self, name: &str) {
        let mut user = self.user(name);
        user.set_password(NOON);
        let hash = PasswordHash::parse(KIM_HASH).expect("a hash");
        self.commit(vec![Change::SetPassword { user: user.id.clone(), hash }, Change::UpdateUser(user)]);
    }

    pub(crate) fn end_sessions(&self, name: &str) {
        self.commit(vec![Change::RaiseEpoch { id: user_id(name), epoch: self.user(name).epoch }]);
    }

    pub(crate) fn edit_client(&self, id: &str, edit: impl Fn(&mut Client)) {
        let mut client = self.store.with(|tables| tables.clients[&client_id(id)].clone());
        edit(&mut client);
        self.commit(vec![Change::UpdateClient(client)]);
    }

    pub(crate) fn delete_client(&self, id: &str) {
        self.commit(vec![Change::DeleteClient(client_id(id))]);
    }

    /// Deletes a client and adds another of the same id and, unless its secret is tested, of the same secret.
    pub(crate) fn add_client_anew(&self, id: &str, keeps_secret: bool) {
        let mut anew = self.store.with(|tables| tables.clients[&client_id(id)].clone());
        (anew.epoch, anew.revision) = (Client::first_epoch(u64::MAX), 0);
        if !keeps_secret {
            anew.secrets.clear();
        }
        self.commit(vec![Change::DeleteClient(client_id(id)), Change::InsertClient(anew)]);
    }

    /// Removes `email` and more from a client's scope.
    pub(crate) fn narrow(&self, id: &str) {
        let scope = if id == "backend" { "ticket:issue profile" } else { "orders:read" };
        self.edit_client(id, |client| client.scope = Scope::parse(scope).expect("a scope"));
    }
}

/// Returns the scope of an access token.
pub(crate) fn scope_of(token: &str) -> String {
    let payload = token.split('.').nth(1).expect("three segments");
    let claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("JSON");
    claims["scope"].as_str().expect("a scope").to_owned()
}

/// Adds the credentials of a client as a header.
pub(crate) fn basic(id: &str, mut request: Request) -> Request {
    let secret = if id == "backend" { BACKEND_SECRET } else { PORTAL_SECRET };
    let header = fixtures::posts("", id, secret, "").headers.pop().expect("credentials");
    request.headers.push(header);
    request
}
