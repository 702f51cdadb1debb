//! `serve --demo`: a person and a client to try it with, a fresh ticket, and three commands that work when pasted.

use std::net::Ipv4Addr;

use gatepass_core::admin::users::AddUser;
use gatepass_core::admin::{AdminError, UserFields};
use gatepass_core::api::step::drive;
use gatepass_core::http::request::Request;
use gatepass_core::policy::ticket_request::TicketRequest;
use gatepass_core::records::id::{ClientId, UserRef};
use gatepass_core::records::scope::Scope;
use gatepass_core::records::ticket::MAX_LIFETIME;
use gatepass_core::records::user::Username;
use gatepass_core::settings::Settings;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::reached_at;
use crate::cli::{client, secret, ticket};
use crate::config::value::Listen;
use crate::error::OperationError;
use crate::error::ProgramError;
use crate::secrets::random::request_inputs;
use crate::store::AdminSession;
use crate::store::load_engine;

/// What both the person and the client are called.
const NAME: &str = "demo";
/// What the client asks for.
const SCOPE: &str = "demo:read";

/// What is shown.
#[derive(Debug)]
pub struct Shown {
    secret: Zeroizing<String>,
    ticket: Zeroizing<String>,
    curl: [Zeroizing<String>; 3],
}

/// Adds the person and the client, or takes those of a former start with a new secret, and makes a ticket and a
/// token.
///
/// # Errors
/// Where any of it is refused.
pub fn prepare(admin: &AdminSession, settings: &Settings, place: &Listen) -> Result<Shown, ProgramError> {
    person(admin)?;
    let secret = service(admin)?;
    let ticket = issue(admin, settings)?;
    let token = sign_in(admin, settings, &issue(admin, settings)?)?;
    let server = reached_at(place);
    let curl = [
        format!(
            "curl -sS {server}/auth/ticket/signin -H 'Content-Type: application/json' -d '{{\"ticket\":\"{}\"}}'",
            *ticket
        ),
        format!(
            "curl -sS {server}/oauth2/token -u '{NAME}:{}' -d grant_type=client_credentials -d scope={SCOPE}",
            *secret
        ),
        format!("curl -sS {server}/userinfo -H 'Authorization: Bearer {}'", *token),
    ];
    Ok(Shown { secret, ticket, curl: curl.map(Zeroizing::new) })
}

fn person(admin: &AdminSession) -> Result<(), ProgramError> {
    let username = Username::parse(NAME).map_err(|bad| ProgramError::failed(bad.to_string()))?;
    let fields = UserFields::default().name("Demo Person")?.email("demo@example.com")?;
    match admin.run(AddUser { username, fields, password: None }) {
        // Where the name is taken, that person will do.
        Ok(_) | Err(OperationError::Refused(AdminError::AlreadyExists(_))) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn service(admin: &AdminSession) -> Result<Zeroizing<String>, ProgramError> {
    let secret = secret::generate()?;
    let id = ClientId::parse(NAME).map_err(|bad| ProgramError::failed(bad.to_string()))?;
    let scope = Scope::parse(SCOPE).map_err(|bad| ProgramError::failed(bad.to_string()))?;
    let mut service = client::blank(id.clone(), scope.clone(), admin.now)?;
    service.name = Some("Demo Service".into());
    service.secrets.push(secret::kept(&secret, admin.now));
    if !admin.try_commit(client::added(service, admin.now))? {
        client::renew(admin, &id, &scope, secret::kept(&secret, admin.now))?;
    }
    Ok(secret)
}

fn issue(admin: &AdminSession, settings: &Settings) -> Result<Zeroizing<String>, ProgramError> {
    let asked = TicketRequest::new(UserRef::Username(NAME.into()))
        .lasting(MAX_LIFETIME.into())
        .map_err(|error| ProgramError::failed(error.to_string()))?;
    let issued = ticket::issue_by_command(admin, settings.clone(), asked)?;
    let ticket = issued.get("ticket").and_then(Value::as_str).unwrap_or_default();
    Ok(Zeroizing::new(ticket.to_owned()))
}

/// Redeems `ticket` as anybody would, for the token of the third command.
fn sign_in(
    admin: &AdminSession,
    settings: &Settings,
    ticket: &str,
) -> Result<Zeroizing<String>, ProgramError> {
    let request = Request {
        method: "POST".into(),
        target: "/auth/ticket/signin".into(),
        headers: vec![("content-type".into(), b"application/json".to_vec())],
        body: json!({"ticket": ticket}).to_string().into_bytes(),
        peer: Ipv4Addr::LOCALHOST.into(),
    };
    let engine = load_engine(&*admin.store, settings.clone())?;
    let response = drive(&engine, &admin.store, request, request_inputs(&admin.clock)?);
    let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
    let token = body.get("access_token").and_then(Value::as_str);
    token.map(|token| Zeroizing::new(token.to_owned())).ok_or_else(|| {
        let why = body.get("message").and_then(Value::as_str).unwrap_or("there is no token");
        ProgramError::failed(format!(
            "the demo cannot sign in: {why}; a key has to sign, see `gatepass key list`"
        ))
    })
}

impl Shown {
    /// For programs.
    pub fn json(&self) -> Value {
        let curl: Vec<&str> = self.curl.iter().map(|line| line.as_str()).collect();
        json!({
            "username": NAME,
            "client_id": NAME,
            "client_secret": self.secret.as_str(),
            "ticket": self.ticket.as_str(),
            "curl": curl,
        })
    }

    /// For people.
    pub fn text(&self) -> String {
        let [sign_in, token, userinfo] = &self.curl;
        format!(
            "\nTo try it with: a person and a client, both called {NAME}, and a ticket that is good once, for an hour.\n\n  \
             ticket         {ticket}\n  client_id      {NAME}\n  client_secret  {secret}\n\n\
             Sign in with the ticket:\n\n  {sign_in}\n\nFetch a token for a service:\n\n  {token}\n\n\
             Ask whom a person's token speaks for:\n\n  {userinfo}\n",
            ticket = *self.ticket,
            secret = *self.secret,
            sign_in = **sign_in,
            token = **token,
            userinfo = **userinfo,
        )
    }
}
