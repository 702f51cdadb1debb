//! The users and clients of the tests, and requests by them.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use gatepass_core::admin::tickets::IssueTicket;
use gatepass_core::admin::{self, AdminError, Administrator};
use gatepass_core::base::secret::SecretText;
use gatepass_core::base::time::Time;
use gatepass_core::base::warning::Warnings;
use gatepass_core::crypto::seed::Seed;
use gatepass_core::engine::{Engine, Keys};
use gatepass_core::http::request::Request;
use gatepass_core::http::response::Response;
use gatepass_core::jose::key::SigningKey;
use gatepass_core::policy::ticket_request::TicketRequest;
use gatepass_core::records::client::{Client, ClientSecret};
use gatepass_core::records::factor::{AskFactor, Lockout};
use gatepass_core::records::id::{ClientId, SecretId, UserId, UserRef};
use gatepass_core::records::password::{Password, PasswordHash};
use gatepass_core::records::request_inputs::RequestInputs;
use gatepass_core::records::scope::Scope;
use gatepass_core::records::user::{Gender, Status, User, Username};
use gatepass_core::settings::{Issuer, Settings};
use gatepass_core::store::Store;
use serde_json::{Value, json};

use crate::api_document::drive;
use crate::memory::Tables;

/// The secret of `backend`, which issues tickets.
pub const BACKEND_SECRET: &str = "gps_backend-backend-backend-backend-backend-1";
/// The secret of `portal`, with characters that a form has to encode.
pub const PORTAL_SECRET: &str = "gps_portal+portal/portal+portal/portal+portal";

/// The password of pam.
pub const PAM_PASSWORD: &str = "correct horse battery";
/// The password of kim, who has to change it.
pub const KIM_PASSWORD: &str = "changed at once";

/// The time of the tests, unless they set another.
pub const NOON: Time = Time::from_unix(1_750_000_000);

/// A well-formed refresh token that was never issued.
pub const UNKNOWN_REFRESH_TOKEN: &str = "rft_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Returns the inputs of a request at `now`; `seed` is its randomness and its fraction of a second.
pub fn inputs(now: Time, seed: u64) -> RequestInputs {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    RequestInputs {
        now,
        fraction: (seed % 65_536) as u16,
        seed: Seed::new(bytes),
        warnings: Warnings::NONE,
        wall: now,
    }
}

/// Returns an engine for `issuer` with the default settings.
pub fn engine(issuer: &str) -> Engine {
    gatepass_with(Settings::new(Issuer::parse(issuer).expect("an issuer")))
}

/// Returns an engine that asks every user with a second factor for it, whatever the risk.
pub fn asking() -> Engine {
    let mut settings = Settings::new(Issuer::parse("http://gate.example").expect("an issuer"));
    settings.second_factor.ask = AskFactor::Always;
    gatepass_with(settings)
}

/// Returns an engine with `settings`, whose key is that of RFC 8037 appendix A.1.
pub fn gatepass_with(settings: Settings) -> Engine {
    Engine::new(settings, Keys::new(0, Some(signing_key()), vec![]))
}

/// The key of RFC 8037 appendix A.1.
pub fn signing_key() -> SigningKey {
    let jwk = br#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    SigningKey::from_jwk(jwk, None).expect("the key of RFC 8037")
}

/// Returns the id of the user `name`.
pub fn user_id(name: &str) -> UserId {
    UserId::parse(&format!("usr_{name}")).expect("an id")
}

/// Returns a client's id.
pub fn client_id(id: &str) -> ClientId {
    ClientId::parse(id).expect("an id")
}

/// Returns the JSON of an answer.
pub fn body(response: &Response) -> Value {
    serde_json::from_slice(response.body()).expect("JSON")
}

/// Returns a member of `body`, which is a text.
pub fn text(body: &Value, member: &str) -> String {
    body[member].as_str().unwrap_or_else(|| panic!("no {member} in {body}")).to_owned()
}

/// Returns the claims of a token, unverified.
pub fn claims(token: &str) -> Value {
    segment(token, 1)
}

/// Returns the JSON in a segment of a token.
pub fn segment(token: &str, number: usize) -> Value {
    let segment = token.split('.').nth(number).expect("a segment");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(segment).expect("base64url")).expect("JSON")
}

/// A user called `name`, whose id is `usr_` and the name.
pub fn user(name: &str, status: Status) -> User {
    let created_at = Time::from_unix(1_700_000_000);
    User { status, ..User::new(user_id(name), Username::parse(name).expect("a user name"), created_at) }
}

/// [`PAM_PASSWORD`], with the cheapest hash.
pub const PAM_HASH: &str =
    "$argon2id$v=19$m=64,t=1,p=1$cGFtLXNhbHQtb2YtcGFtIQ$fO7i0Y55S4Pj8QPnGhMGq1nWEuAWtXgy65XyWq57bpA";
/// [`KIM_PASSWORD`], with the cheapest hash.
pub const KIM_HASH: &str =
    "$argon2id$v=19$m=64,t=1,p=1$a2ltLXNhbHQtb2Yta2ltIQ$/oNdaNfa15sfWkMDHTakM4I9HPJSgtcl7M3eg9eO8lc";

/// The cheapest hash of a password of pam's or kim's: at full cost, hashing is a quarter of a simulated world's time.
pub fn known_hash(password: &SecretText) -> Option<PasswordHash> {
    let known = [(PAM_PASSWORD, PAM_HASH), (KIM_PASSWORD, KIM_HASH)];
    let (_, hash) = known.into_iter().find(|(text, _)| *text == password.expose())?;
    PasswordHash::parse(hash).ok()
}

fn password((user, hash): (&str, &str)) -> (UserId, Password) {
    let hash = PasswordHash::parse(hash).expect("a hash");
    (UserId::parse(user).expect("an id"), Password { hash, lockout: Lockout::default() })
}

fn client(id: &str, scope: &str, secret: &str) -> Client {
    let created_at = Time::from_unix(1_700_000_000);
    Client {
        secrets: vec![ClientSecret::new(SecretId::parse("sec_1").expect("an id"), secret, created_at)],
        epoch: 0,
        ..Client::new(client_id(id), Scope::parse(scope).expect("a scope"), 0, created_at)
    }
}

/// Alice signs in; boss may act as her; fay and lou have second factors; pam and kim have passwords; gone is disabled.
/// The client `backend` issues tickets for `portal`; `closed` is disabled.
pub fn tables() -> Tables {
    let alice = User {
        email: Some("alice@example.com".into()),
        phone: Some("+44 20 7946 0000".into()),
        name: Some("Alice Liddell".into()),
        gender: Some(Gender::Female),
        address: Some(r#"{"locality":"Oxford"}"#.into()),
        ..user("alice", Status::Active)
    };
    let plain = ["boss", "fay", "lou"].map(|name| user(name, Status::Active));
    let changed = Some(Time::from_unix(1_700_000_000));
    let pam = User {
        email: Some("pam@example.com".into()),
        phone: Some("+44 20 7946 0001".into()),
        password_changed_at: changed,
        ..user("pam", Status::Active)
    };
    let kim =
        User { password_changed_at: changed, must_change_password: true, ..user("kim", Status::Active) };
    let users = plain.into_iter().chain([alice, pam, kim, user("gone", Status::Disabled)]);
    let backend = Client {
        name: Some("The back office".into()),
        ..client("backend", "ticket:issue ticket:impersonate profile email phone", BACKEND_SECRET)
    };
    let portal = Client {
        default_scope: Scope::parse("orders:read").expect("a scope"),
        audiences: vec!["https://orders.example".into()],
        trusted_context: true,
        ..client("portal", "orders:read orders:write", PORTAL_SECRET)
    };
    let closed = Client { enabled: false, ..client("closed", "orders:read", BACKEND_SECRET) };
    Tables {
        users: users.map(|user| (user.id.clone(), user)).collect(),
        passwords: [("usr_pam", PAM_HASH), ("usr_kim", KIM_HASH)].into_iter().map(password).collect(),
        clients: [backend, portal, closed].into_iter().map(|client| (client.id.clone(), client)).collect(),
        ..Tables::default()
    }
}

/// Issues a ticket for `user` as the command line does.
pub fn issue(engine: &Engine, store: &impl Store, user: &str, inputs: RequestInputs) -> String {
    let request = TicketRequest::new(UserRef::Any(user.into()));
    issue_as_asked(engine, store, request, inputs).expect("a ticket")
}

/// Issues the ticket of `request` as the command line does.
///
/// # Errors
/// [`AdminError`] where it is not granted.
pub fn issue_as_asked(
    engine: &Engine,
    store: &impl Store,
    request: TicketRequest,
    inputs: RequestInputs,
) -> Result<String, AdminError> {
    let issued =
        admin::run(IssueTicket { request }, Administrator::Machine, inputs, engine.settings(), store)?;
    Ok(issued.ticket.expose().to_owned())
}

/// A JSON request to `path` from 192.0.2.1, with this `Authorization` unless it is empty.
pub fn request(path: &str, authorization: &str, body: &Value) -> Request {
    let mut headers = vec![("content-type".into(), b"application/json".to_vec())];
    if !authorization.is_empty() {
        headers.push(("authorization".into(), authorization.into()));
    }
    Request {
        method: "POST".into(),
        target: path.into(),
        headers,
        body: body.to_string().into_bytes(),
        peer: IpAddr::from([192, 0, 2, 1]),
    }
}

/// The request that presents `ticket`.
pub fn presents(ticket: &str) -> Request {
    request("/auth/ticket/signin", "", &json!({ "ticket": ticket }))
}

/// The `Authorization` of the client `id` with `secret`, sent raw.
pub fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

/// The same by the client `id` with `secret`.
pub fn presents_as(id: &str, secret: &str, ticket: &str) -> Request {
    request("/auth/ticket/signin", &basic(id, secret), &json!({ "ticket": ticket }))
}

/// The request that presents the refresh token `token`.
pub fn refreshes(token: &str) -> Request {
    request("/auth/refresh", "", &json!({ "refresh_token": token }))
}

/// The form that the client `id` posts to `path`.
pub fn posts(path: &str, id: &str, secret: &str, form: &str) -> Request {
    Request {
        headers: vec![
            ("content-type".into(), b"application/x-www-form-urlencoded".to_vec()),
            ("authorization".into(), basic(id, secret).into()),
        ],
        body: form.into(),
        ..request(path, "", &Value::Null)
    }
}

/// The request for a token of the client `id` with `scope`.
pub fn asks_for_token(id: &str, secret: &str, scope: &str) -> Request {
    let form = format!("grant_type=client_credentials&scope={}", scope.replace(' ', "+"));
    posts("/oauth2/token", id, secret, &form)
}

/// The request of `portal` for fresh tokens.
pub fn grants(token: &str) -> Request {
    let form = format!("grant_type=refresh_token&refresh_token={token}");
    posts("/oauth2/token", "portal", PORTAL_SECRET, &form)
}

/// The request of `portal` that `token` be revoked.
pub fn revokes(token: &str) -> Request {
    posts("/oauth2/revoke", "portal", PORTAL_SECRET, &format!("token={token}"))
}

/// A ticket by which boss signs in as alice at the portal.
pub fn impersonating(engine: &Engine, store: &impl Store) -> String {
    let mut asked = TicketRequest::new(UserRef::Username("alice".into()));
    asked.audience = ClientId::parse("portal").ok();
    let boss = Some(UserRef::Username("boss".into()));
    let asked = asked.impersonated(boss, Some("call 4711")).expect("an actor and a reason");
    issue_as_asked(engine, store, asked, inputs(NOON, 1)).expect("a ticket")
}

/// The answer to boss, who signs in as alice at the portal.
pub fn impersonates(engine: &Engine, store: &impl Store) -> Value {
    let ticket = impersonating(engine, store);
    body(&drive(engine, store, presents(&ticket), inputs(NOON, 2)))
}
