//! A whole embedding where the store may block: a key, a client, a user, a ticket that is issued and redeemed once.
//!
//! `cargo run -p gatepass-core --example blocking --features memory`

use std::error::Error;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use gatepass_core::admin::{self, tickets::IssueTicket};
use gatepass_core::store::memory::MemoryStore;
use gatepass_core::{
    Change, Client, ClientId, ClientSecret, Engine, Issuer, Keys, Outcome, Request, RequestInputs, Response,
    Scope, Seed, Settings, SigningKey, Store, TicketRequest, Time, User, UserId, UserRef, Username, drive,
};
use serde_json::{Value, json};

/// Returns bytes of the system's generator.
fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// Returns the time, and fresh randomness, for one request.
fn inputs() -> Result<RequestInputs, Box<dyn Error>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(RequestInputs::new(Time::from_unix(now), Seed::new(random()?)))
}

/// Returns the request of the client `portal`, with its secret, that presents `ticket`.
fn redemption(ticket: &str, secret: &str) -> Request {
    let credentials = STANDARD.encode(format!("portal:{secret}"));
    Request {
        method: "POST".into(),
        target: "/auth/ticket/signin".into(),
        headers: vec![
            ("content-type".into(), b"application/json".to_vec()),
            ("authorization".into(), format!("Basic {credentials}").into_bytes()),
        ],
        body: json!({ "ticket": ticket }).to_string().into_bytes(),
        peer: [127, 0, 0, 1].into(),
    }
}

fn body(response: &Response) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(response.body())
}

/// Issues a ticket for Alice and redeems it twice: the first time for tokens, the second time for nothing.
pub fn main() -> Result<(), Box<dyn Error>> {
    // The server: its settings, and a new key that signs. A store raises the generation with every change of its keys.
    let settings = Settings::new(Issuer::parse("https://gate.example")?);
    let key = SigningKey::from_ed25519_seed(&random()?)?;
    let engine = Engine::new(settings, Keys::new(0, Some(key), vec![]));
    let store = MemoryStore::default();

    // A client with a secret of 256 random bits, and a user.
    let now = inputs()?.now;
    let secret = format!("gps_{}", STANDARD.encode(random::<32>()?));
    let epoch = u64::from_le_bytes(random()?);
    let mut portal = Client::new(ClientId::parse("portal")?, Scope::parse("profile")?, epoch, now);
    portal.secrets.push(ClientSecret::new(&secret, now));
    let alice = User::new(UserId::parse("usr_4f2a")?, Username::parse("alice")?, now);
    let changes: Arc<[Change]> = [Change::InsertClient(portal), Change::InsertUser(alice)].into();
    assert_eq!(store.commit(&changes), Outcome::Applied);

    // A ticket that the client alone may redeem.
    let mut asked = TicketRequest::new(UserRef::Username("alice".into()));
    (asked.audience, asked.bind) = (Some(ClientId::parse("portal")?), true);
    let issued = admin::run(IssueTicket { request: asked }, inputs()?, engine.settings(), &store)?;
    let ticket = issued.ticket.expose();

    let first = drive(&engine, &store, redemption(ticket, &secret), inputs()?);
    let signed_in = body(&first)?;
    let token = signed_in.get("access_token").and_then(Value::as_str).ok_or("no token was issued")?;
    let claims = engine.verify(token, inputs()?.now)?;
    println!("{} is signed in: {}", claims.sub, first.status());

    let second = drive(&engine, &store, redemption(ticket, &secret), inputs()?);
    println!("presented again: {} {}", second.status(), body(&second)?);
    assert_eq!((first.status(), second.status()), (200, 400));
    Ok(())
}
