//! Roles of administration, while somebody changes how their holders sign in: whoever decides on what was read before is too late.

use gatepass_core::admin::roles::SetClientRoles;
use gatepass_core::api::step::drive;
use gatepass_core::engine::Engine;
use gatepass_core::http::request::Request;
use gatepass_core::records::client::{Client, SecretDigest};
use gatepass_core::records::id::{ClientId, UserId};
use gatepass_core::records::role::{Role, Roles};
use gatepass_core::records::scope::Scope;
use gatepass_core::records::user::User;
use gatepass_core::store::audit::Event;
use gatepass_core::store::change::Change;
use gatepass_tests::fixtures::{
    BACKEND_SECRET, NOON, PAM_PASSWORD, PORTAL_SECRET, asks_for_token, client_id, inputs, request, user_id,
};
use gatepass_tests::guard::Guard;
use gatepass_tests::memory::{Memory, Tables};
use gatepass_tests::totp::{self, BACKUP, SECRET};
use serde_json::{Value, json};

use super::commands::operates;
use super::explorer::{ActorResult, Explorer, Promises, Transition, Verdict, promised};

fn pam() -> UserId {
    user_id("pam")
}

/// Pam is enrolled and has `roles`, and boss is an officer. The client `backend` is an operator, and `portal` is an officer.
fn tables(unguarded: &[Guard], roles: Roles) -> Memory {
    let mut tables = Tables { unguarded: unguarded.to_vec(), ..totp::enrolled() };
    tables.devices.clear();
    tables.backup_codes.clear();
    totp::enrol(&mut tables, &pam());
    tables.users.get_mut(&pam()).expect("a user").roles = roles;
    tables.users.get_mut(&user_id("boss")).expect("a user").roles = Roles::of(&[Role::Officer]);
    for (id, role) in [("backend", Role::Operator), ("portal", Role::Officer)] {
        tables.clients.get_mut(&client_id(id)).expect("a client").roles = Roles::of(&[role]);
    }
    Memory::new(tables)
}

fn answer(engine: &Engine, store: &Memory, request: Request, seed: u64) -> Value {
    let answer = drive(engine, store, request, inputs(NOON, seed)).into_response().into_body();
    serde_json::from_slice(&answer).expect("JSON")
}

fn text(body: &Value, member: &str) -> String {
    body[member].as_str().unwrap_or_else(|| panic!("no {member} in {body}")).to_owned()
}

/// Returns the token of a client that administers.
fn token_of(engine: &Engine, store: &Memory, id: &str, secret: &str, seed: u64) -> String {
    text(&answer(engine, store, asks_for_token(id, secret, Scope::ADMIN), seed), "access_token")
}

fn login() -> Request {
    request("/auth/login", "", &json!({"identity": "pam", "password": PAM_PASSWORD, "scope": Scope::ADMIN}))
}

fn answers(challenge: &str, code: &str, method: &str) -> Request {
    let body = json!({"challenge_token": challenge, "code": code, "mfa_method": method});
    request("/auth/mfa/verify-challenge", "", &body)
}

fn code() -> String {
    totp::code(SECRET, NOON.unix())
}

/// Returns a request with `token`.
fn asks(token: &str, method: &str, path: &str, body: Value) -> impl Fn() -> Request + use<> {
    let (bearer, method, path) = (format!("Bearer {token}"), method.to_owned(), path.to_owned());
    move || Request { method: method.clone(), ..request(&path, &bearer, &body) }
}

/// Returns true if it is answered that it was done.
fn is_done(told: ActorResult<'_>) -> bool {
    if let ActorResult::Answer(answer) = told { answer.status < 300 } else { false }
}

/// Returns true if `user` signs in otherwise than before.
fn signs_in_anew(transition: &Transition<'_>, before: &User, after: &User) -> bool {
    let devices = |tables: &Tables| {
        let theirs = tables.devices.iter().filter(|device| device.user_id == after.id);
        theirs.map(|device| (device.id.clone(), device.verified_at)).collect::<Vec<_>>()
    };
    let hash = |tables: &Tables| tables.passwords.get(&after.id).map(|password| password.hash.clone());
    devices(transition.before) != devices(transition.after)
        || hash(transition.before) != hash(transition.after)
        || before.must_change_password != after.must_change_password
        || !before.identifiers().eq(after.identifiers())
}

/// Checks that whoever administers has a role, and leaves none to those who sign in otherwise by it.
fn check_transition(transition: &Transition<'_>) -> Verdict {
    for change in transition.applied {
        if let Change::InsertSession { session, .. } = change
            && session.scope.contains(Scope::ADMIN)
        {
            let user = transition.before.users.get(&session.user_id);
            promised(user.is_some_and(has_role), "a session to administer is for somebody with a role")?;
        }
    }
    let by = transition.applied.iter().find_map(|change| {
        let Change::Audit(Event { by_user, by_client, .. }) = change else { return None };
        (by_user.is_some() || by_client.is_some()).then_some((by_user.as_ref(), by_client.as_ref()))
    });
    let Some((user, client)) = by else { return Ok(()) };
    let by_user = user.and_then(|id| transition.before.users.get(id)).is_some_and(has_role);
    let by_client = client.and_then(|id| transition.before.clients.get(id));
    let by_client =
        user.is_none() && by_client.is_some_and(|client| client.enabled && !client.roles.is_empty());
    promised(by_user || by_client, "whoever administers has a role")?;
    for (id, after) in &transition.after.users {
        let before = transition.before.users.get(id).ok_or("nobody is added")?;
        let by_another = user != Some(id) && signs_in_anew(transition, before, after);
        promised(
            !by_another || after.roles.is_empty(),
            "whoever signs in as somebody else says has no role",
        )?;
    }
    for (id, after) in &transition.after.clients {
        let before = transition.before.clients.get(id).ok_or("no client is added")?;
        let by_another = client != Some(id) && has_new_secret(before, after);
        promised(
            !by_another || after.roles.is_empty(),
            "a client whose secret somebody else has has no role",
        )?;
    }
    Ok(())
}

fn has_role(user: &User) -> bool {
    user.is_active() && !user.roles.is_empty()
}

fn has_new_secret(before: &Client, after: &Client) -> bool {
    let had = |digest: &SecretDigest| before.secrets.iter().any(|secret| secret.digest == *digest);
    after.secrets.iter().any(|secret| !had(&secret.digest))
}

/// An officer gives a role, signs in once more and sets another password, while an operator resets the factors and requires
/// another password.
pub(crate) fn taken<'a>(engine: &'a Engine, unguarded: &[Guard]) -> Explorer<'a> {
    let store = tables(unguarded, Roles::of(&[Role::Officer]));
    let operator = token_of(engine, &store, "backend", BACKEND_SECRET, 1);
    let challenge = text(&answer(engine, &store, login(), 2), "challenge_token");
    let signed_in = answer(engine, &store, answers(&challenge, BACKUP, "backup_code"), 3);
    let officer = text(&signed_in, "access_token");
    let challenge = text(&answer(engine, &store, login(), 4), "challenge_token");
    let check_state = |tables: &Tables, told: &[ActorResult<'_>]| {
        let user = &tables.users[&pam()];
        let ended = is_done(told[0]) || is_done(told[1]);
        promised(!ended || user.roles.is_empty(), "a role does not survive what somebody else has changed")?;
        let opened = tables.sessions.values().filter(|session| session.scope.contains(Scope::ADMIN));
        let lives = opened.filter(|session| session.user_epoch == user.epoch).count();
        promised(!ended || lives == 0, "a session to administer ends with its role")
    };
    let promises = Promises { check_transition, check_state: Box::new(check_state) };
    let users = "/admin/v1/users/usr_pam";
    let gives = asks(&officer, "PUT", "/admin/v1/roles/usr_alice", json!({"roles": ["auditor"]}));
    let requires = asks(&operator, "POST", &format!("{users}/password/require-change"), json!({}));
    let another = json!({"old_password": PAM_PASSWORD, "new_password": "a fresh password"});
    Explorer::new(engine, store.with(|tables| tables.clone()), &[NOON], promises)
        .sends("a reset of factors", asks(&operator, "DELETE", &format!("{users}/factors"), json!({})))
        .sends("a demand for another password", requires)
        .sends("the officer", gives)
        .sends("a sign-in of the officer", move || answers(&challenge, &code(), "totp"))
        .sends("another password of the officer", asks(&officer, "PUT", "/auth/me/password", another))
}

/// Pam is given a role and signs in to administer, while an operator resets her factors, requires another password and gives her
/// another address.
pub(crate) fn given<'a>(engine: &'a Engine, unguarded: &[Guard]) -> Explorer<'a> {
    let store = tables(unguarded, Roles::NONE);
    let operator = token_of(engine, &store, "backend", BACKEND_SECRET, 1);
    let officer = token_of(engine, &store, "portal", PORTAL_SECRET, 2);
    let promises = Promises { check_transition, check_state: Box::new(|_, _| Ok(())) };
    let users = "/admin/v1/users/usr_pam";
    let gives = asks(&officer, "PUT", "/admin/v1/roles/usr_pam", json!({"roles": ["auditor"]}));
    let requires = asks(&operator, "POST", &format!("{users}/password/require-change"), json!({}));
    Explorer::new(engine, store.with(|tables| tables.clone()), &[NOON], promises)
        .sends("a reset of factors", asks(&operator, "DELETE", &format!("{users}/factors"), json!({})))
        .sends("a demand for another password", requires)
        .sends("another address", asks(&operator, "PATCH", users, json!({"email": "p@example.org"})))
        .sends("an officer", gives)
        .sends("a password", login)
        .asks("a code", |told| {
            let challenge = told[4].welcome()?.body["challenge_token"].as_str()?;
            Some(answers(challenge, &code(), "totp"))
        })
}

/// A client with a role administers and is given another role, while an officer gives it a secret and another name.
pub(crate) fn of_a_client<'a>(engine: &'a Engine, unguarded: &[Guard]) -> Explorer<'a> {
    let store = tables(unguarded, Roles::NONE);
    let operator = token_of(engine, &store, "backend", BACKEND_SECRET, 1);
    let officer = token_of(engine, &store, "portal", PORTAL_SECRET, 2);
    let promises = Promises { check_transition, check_state: Box::new(|_, _| Ok(())) };
    let client = || -> ClientId { client_id("backend") };
    let roles = Roles::of(&[Role::Auditor]);
    let path = "/admin/v1/clients/backend";
    let ends = asks(&operator, "DELETE", "/admin/v1/users/usr_alice/sessions", json!({}));
    Explorer::new(engine, store.with(|tables| tables.clone()), &[NOON], promises)
        .sends("the client", ends)
        .sends("another secret", asks(&officer, "POST", &format!("{path}/secrets"), json!({})))
        .sends("another name", asks(&officer, "PATCH", path, json!({"name": "Renamed"})))
        .commands("a command", operates(1, move || SetClientRoles { client: client(), roles }))
}
