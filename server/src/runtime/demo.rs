//! `serve --demo`: a user and a client to try it with, a new ticket, and three commands that work when pasted.

use std::net::Ipv4Addr;
use std::sync::Arc;

use gatepass_core::admin::client_secrets::RenewClient;
use gatepass_core::admin::clients::AddClient;
use gatepass_core::admin::tickets::IssueTicket;
use gatepass_core::admin::users::AddUser;
use gatepass_core::admin::{AdminError, ClientFields, UserFields};
use gatepass_core::api::step::drive;
use gatepass_core::base::secret::SecretText;
use gatepass_core::http::request::Request;
use gatepass_core::policy::ticket_request::TicketRequest;
use gatepass_core::records::id::{ClientId, UserRef};
use gatepass_core::records::identifier::IdentifierKind;
use gatepass_core::records::scope::Scope;
use gatepass_core::records::ticket::MAX_LIFETIME;
use gatepass_core::records::user::Username;
use gatepass_core::settings::Settings;
use gatepass_core::store::Store;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::{Found, Query};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::reached_at;
use crate::config::value::Listen;
use crate::error::OperationError;
use crate::error::ProgramError;
use crate::secrets::random::request_inputs;
use crate::store::{AdminSession, Backend, load_engine};

/// The name of both the user and the client.
const NAME: &str = "demo";
/// The scope of the client.
const SCOPE: &str = "demo:read";

/// The texts to show.
#[derive(Debug)]
pub struct Shown {
    secret: Zeroizing<String>,
    ticket: Zeroizing<String>,
    curl: [Zeroizing<String>; 3],
}

/// Adds the user and the client, or gives those of a former start a new secret, and makes a ticket and a token.
///
/// # Errors
/// If any of it is refused.
pub fn prepare(admin: &AdminSession, settings: &Settings, place: &Listen) -> Result<Shown, ProgramError> {
    person(admin)?;
    let secret = service(admin)?;
    let ticket = issue(admin)?;
    let token = sign_in(admin, settings, &issue(admin)?)?;
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
        // If the name is taken, that user is used.
        Err(OperationError::Refused(AdminError::IdentifierTaken {
            kind: IdentifierKind::Username, ..
        })) => Ok(()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn service(admin: &AdminSession) -> Result<Zeroizing<String>, ProgramError> {
    let client = ClientId::parse(NAME).map_err(|bad| ProgramError::failed(bad.to_string()))?;
    let scope = Scope::parse(SCOPE).map_err(|bad| ProgramError::failed(bad.to_string()))?;
    let fields = ClientFields::default().name("Demo Service")?.scope(scope.clone())?;
    let made = match admin.run(AddClient::new(client.clone(), fields, None)?) {
        Err(OperationError::Refused(AdminError::AlreadyExists(_))) => {
            admin.run(RenewClient { client, scope })?
        }
        added => added?,
    };
    Ok(exposed(made.secret.as_ref()))
}

fn issue(admin: &AdminSession) -> Result<Zeroizing<String>, ProgramError> {
    let request = TicketRequest::new(UserRef::Username(NAME.into()))
        .lasting(MAX_LIFETIME.into())
        .map_err(|error| ProgramError::failed(error.to_string()))?;
    Ok(exposed(Some(&admin.run(IssueTicket { request })?.ticket)))
}

fn exposed(secret: Option<&SecretText>) -> Zeroizing<String> {
    Zeroizing::new(secret.map(SecretText::expose).unwrap_or_default().to_owned())
}

/// The store, but for the memory of places: the demo signs in from none, and at the user's first own sign-in, no other device is
/// known yet.
struct Unremembered<'a>(&'a dyn Backend);

impl Store for Unremembered<'_> {
    fn read(&self, query: &Query) -> Found {
        self.0.read(query)
    }

    fn commit(&self, changes: &Arc<[Change]>) -> Outcome {
        let kept = changes.iter().filter(|change| !matches!(change, Change::RecordSignIn { .. }));
        self.0.commit(&kept.cloned().collect())
    }
}

/// Redeems `ticket` as any client would, for the token of the third command.
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
    let response = drive(&engine, &Unremembered(&*admin.store), request, request_inputs(&admin.clock)?);
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
    /// Returns the texts as JSON.
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

    /// Returns the texts for a terminal.
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
