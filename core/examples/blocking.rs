//! A whole embedding where the store may block: a key, a client, a user, and a ticket that is issued and redeemed once.
//!
//! `cargo run -p gatepass-core --example blocking --features memory`

use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use gatepass_core::admin::{
    Administrator, ClientFields, UserFields, clients::AddClient, run, tickets::IssueTicket, users::AddUser,
};
use gatepass_core::store::memory::MemoryStore;
use gatepass_core::{
    ClientId, Engine, Issuer, Keys, Request, RequestInputs, Response, Scope, SecretText, Seed, Settings,
    SigningKey, TicketRequest, Time, UserRef, Username, drive,
};
use serde_json::{Value, json};

/// Returns 32 bytes of the system's generator.
fn random() -> Result<[u8; 32], getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// Returns the time, and fresh randomness, for one request or operation.
fn inputs() -> Result<RequestInputs, Box<dyn Error>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(RequestInputs::new(Time::from_unix(now), Seed::new(random()?)))
}

/// Returns the request of the client `portal` that presents `ticket`.
fn redemption(ticket: &SecretText, secret: &SecretText) -> Request {
    let credentials = STANDARD.encode(format!("portal:{}", secret.expose()));
    Request {
        method: "POST".into(),
        target: "/auth/ticket/signin".into(),
        headers: vec![
            ("content-type".into(), b"application/json".to_vec()),
            ("authorization".into(), format!("Basic {credentials}").into_bytes()),
        ],
        body: json!({ "ticket": ticket.expose() }).to_string().into_bytes(),
        peer: [127, 0, 0, 1].into(),
    }
}

fn body(response: &Response) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(response.body())
}

/// Issues a ticket for Alice and redeems it twice: the first time for tokens, the second time for nothing.
pub fn main() -> Result<(), Box<dyn Error>> {
    let settings = Settings::new(Issuer::parse("https://gate.example")?);
    let store = MemoryStore::default();

    // An administrator's operations: a client with a new secret, and a user.
    let fields = ClientFields::default().scope(Scope::parse("profile")?)?;
    let portal = AddClient::new(ClientId::parse("portal")?, fields, None)?;
    let portal = run(portal, Administrator::Machine, inputs()?, &settings, &store)?;
    let secret = portal.secret.ok_or("no secret was made")?;
    let alice =
        AddUser { username: Username::parse("alice")?, fields: UserFields::default(), password: None };
    let alice = run(alice, Administrator::Machine, inputs()?, &settings, &store)?;

    // A ticket that this client alone may redeem.
    let mut request = TicketRequest::new(UserRef::from(&alice.id));
    (request.audience, request.bind) = (Some(portal.client.id), true);
    let issued = run(IssueTicket { request }, Administrator::Machine, inputs()?, &settings, &store)?;

    // The engine, with a new key that signs. A store raises the generation with every change of its keys.
    let key = SigningKey::from_ed25519_seed(&random()?)?;
    let engine = Engine::new(settings, Keys::new(0, Some(key), vec![]));

    let first = drive(&engine, &store, redemption(&issued.ticket, &secret), inputs()?);
    let signed_in = body(&first)?;
    let token = signed_in.get("access_token").and_then(Value::as_str).ok_or("no token was issued")?;
    let claims = engine.verify(token, inputs()?.now)?;
    println!("{} is signed in: {}", claims.sub, first.status());

    let second = drive(&engine, &store, redemption(&issued.ticket, &secret), inputs()?);
    println!("presented again: {} {}", second.status(), body(&second)?);
    assert_eq!((first.status(), second.status()), (200, 400));
    Ok(())
}
