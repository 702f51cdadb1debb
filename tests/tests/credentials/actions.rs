//! Issuing credentials, and the administrator's operations.

use gatepass_core::http::request::Request;
use gatepass_core::policy::ticket_request::TicketRequest;
use gatepass_core::records::client::Client;
use gatepass_core::records::factor::Lockout;
use gatepass_core::records::id::UserRef;
use gatepass_core::records::password::PasswordHash;
use gatepass_core::records::scope::Scope;
use gatepass_core::records::user::User;
use gatepass_core::settings::{Issuer, Settings};
use gatepass_core::store::change::Change;
use gatepass_tests::fixtures::{
    self, BACKEND_SECRET, KIM_HASH, NOON, PORTAL_SECRET, claims, client_id, request, text, user_id,
};
use gatepass_tests::in_memory_server::InMemoryServer;
use gatepass_tests::memory::Tables;
use gatepass_tests::totp;
use serde_json::{Value, json};

/// The test data; fay has a verified device and a backup code, and the client `watch` introspects tokens.
fn tables() -> Tables {
    let mut tables = totp::enrolled();
    let watch = Client { id: client_id("watch"), ..tables.clients[&client_id("portal")].clone() };
    tables.clients.insert(watch.id.clone(), watch);
    tables
}

/// The code that fay's device shows.
pub(crate) fn code() -> String {
    totp::code(totp::SECRET, NOON.unix())
}

/// Returns a server with changed settings.
pub(crate) fn server(set: fn(&mut Settings)) -> InMemoryServer {
    let mut settings = Settings::new(Issuer::parse("http://gate.example").expect("an issuer"));
    set(&mut settings);
    InMemoryServer::new(fixtures::gatepass_with(settings), tables())
}

pub(crate) fn service_token(server: &InMemoryServer) -> String {
    server.service_token("backend", BACKEND_SECRET, "ticket:issue ticket:impersonate profile email")
}

/// Returns a ticket of the command line, if it issues one.
pub(crate) fn ticket_by_command(server: &InMemoryServer, user: &str) -> Option<String> {
    server.issue(TicketRequest::new(UserRef::Username(user.into()))).ok()
}

/// Returns a ticket that `backend` issues for `profile email`.
pub(crate) fn ticket(server: &InMemoryServer, user: &str, more: &[(&str, Value)]) -> String {
    let bearer = format!("Bearer {}", service_token(server));
    let mut body = json!({"user_id": format!("usr_{user}"), "scope": "profile email"});
    more.iter().for_each(|(member, value)| body[*member] = value.clone());
    server.ask(request("/auth/generate-ticket", &bearer, &body)).text("ticket")
}

pub(crate) fn edit_user(server: &InMemoryServer, name: &str, edit: impl Fn(&mut User)) {
    let mut user = server.user(name);
    edit(&mut user);
    server.commit(vec![Change::UpdateUser(user)]);
}

pub(crate) fn delete_user(server: &InMemoryServer, name: &str) {
    server.commit(vec![Change::DeleteUser(user_id(name))]);
}

/// Deletes the user, and adds another of the same name.
pub(crate) fn add_user_anew(server: &InMemoryServer, name: &str) {
    let before = server.user(name);
    delete_user(server, name);
    let anew = User { id: user_id(&format!("{name}-anew")), epoch: 0, revision: 0, ..before };
    server.commit(vec![Change::InsertUser(anew)]);
}

/// Does what `gatepass user reset-mfa` does.
pub(crate) fn reset_factors(server: &InMemoryServer, name: &str) {
    let (id, epoch) = (user_id(name), server.user(name).epoch);
    let devices = server.store.with(|tables| tables.devices.clone());
    let theirs = devices.into_iter().filter(|device| device.user_id == id);
    let mut changes: Vec<Change> =
        theirs.map(|device| Change::DeleteDevice { id: device.id, counts: true }).collect();
    changes.push(Change::DropBackupCodes(id.clone()));
    let (before, after) = (Lockout::default(), Lockout::default());
    changes.push(Change::SetLockout { user: id.clone(), before, after });
    changes.push(Change::RaiseEpoch { id, epoch });
    server.commit(changes);
}

pub(crate) fn set_password(server: &InMemoryServer, name: &str) {
    let mut user = server.user(name);
    user.set_password(NOON);
    let hash = PasswordHash::parse(KIM_HASH).expect("a hash");
    server.commit(vec![Change::SetPassword { user: user.id.clone(), hash }, Change::UpdateUser(user)]);
}

pub(crate) fn end_sessions(server: &InMemoryServer, name: &str) {
    server.commit(vec![Change::RaiseEpoch { id: user_id(name), epoch: server.user(name).epoch }]);
}

/// Deletes a client and adds another of the same id and, unless its secret is tested, of the same secret.
pub(crate) fn add_client_anew(server: &InMemoryServer, id: &str, keeps_secret: bool) {
    let mut anew = server.client(id);
    (anew.epoch, anew.revision) = (Client::first_epoch(u64::MAX), 0);
    if !keeps_secret {
        anew.secrets.clear();
    }
    server.commit(vec![Change::DeleteClient(client_id(id)), Change::InsertClient(anew)]);
}

/// Removes `email` and more from a client's scope.
pub(crate) fn narrow(server: &InMemoryServer, id: &str) {
    let scope = if id == "backend" { "ticket:issue profile" } else { "orders:read" };
    server.edit_client(id, |client| client.scope = Scope::parse(scope).expect("a scope"));
}

/// Returns the scope of an access token.
pub(crate) fn scope_of(token: &str) -> String {
    text(&claims(token), "scope")
}

/// Adds the credentials of a client as a header.
pub(crate) fn basic(id: &str, mut request: Request) -> Request {
    let secret = if id == "backend" { BACKEND_SECRET } else { PORTAL_SECRET };
    let header = fixtures::posts("", id, secret, "").headers.pop().expect("credentials");
    request.headers.push(header);
    request
}
