//! The core with a store in memory, and what an administrator changes there.

use std::cell::Cell;

use gatepass_core::admin::AdminError;
use gatepass_core::api::reply::Reply;
use gatepass_core::base::time::Time;
use gatepass_core::engine::Engine;
use gatepass_core::http::request::Request;
use gatepass_core::policy::ticket_request::TicketRequest;
use gatepass_core::records::client::Client;
use gatepass_core::records::request_inputs::RequestInputs;
use gatepass_core::records::user::User;
use gatepass_core::store::Store as _;
use gatepass_core::store::audit::Event;
use gatepass_core::store::change::{Change, Outcome};
use serde_json::Value;

use crate::api_document::drive;
use crate::fixtures::{self, NOON, asks_for_token, client_id, inputs, text, user_id};
use crate::memory::{Memory, Tables};

/// A server in this process. Each request has fresh randomness.
#[derive(Debug)]
pub struct InMemoryServer {
    /// The core.
    pub engine: Engine,
    /// The store.
    pub store: Memory,
    /// The seed of the last request. The first ones are left to the fixtures.
    seed: Cell<u64>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its HTTP status.
    pub status: u16,
    /// Its body, or `null` if it is no JSON.
    pub body: Value,
}

impl Answer {
    /// Returns a member of the body, which is a text.
    pub fn text(&self, member: &str) -> String {
        text(&self.body, member)
    }
}

impl Default for InMemoryServer {
    fn default() -> Self {
        Self::new(fixtures::engine("http://gate.example"), fixtures::tables())
    }
}

impl InMemoryServer {
    /// Makes a server with these records.
    pub fn new(engine: Engine, tables: Tables) -> Self {
        Self { engine, store: Memory::new(tables), seed: 10.into() }
    }

    /// Returns the inputs of the next request, at `now`.
    pub fn inputs(&self, now: Time) -> RequestInputs {
        self.seed.set(self.seed.get() + 1);
        inputs(now, self.seed.get())
    }

    /// Answers `request` at noon.
    pub fn send(&self, request: Request) -> Reply {
        self.send_at(NOON, request)
    }

    /// Answers `request` at `now`.
    pub fn send_at(&self, now: Time, request: Request) -> Reply {
        let reply = drive(&self.engine, &self.store, request, self.inputs(now));
        let id = reply.ids().map(|ids| ids.answered().as_str());
        assert!(
            id.is_some() && reply.header("x-request-id") == id,
            "an answer without its request's id: {reply:?}"
        );
        reply
    }

    /// Answers `request` at noon, and returns the status and the body.
    pub fn ask(&self, request: Request) -> Answer {
        let response = self.send(request);
        let body = serde_json::from_slice(response.body()).unwrap_or_default();
        Answer { status: response.status(), body }
    }

    /// Answers `request` at noon, and returns the body and the audit rows that were written.
    pub fn recorded(&self, request: Request) -> (Value, Vec<Event>) {
        let before = self.store.with(|tables| tables.audit.len());
        let answer = self.ask(request);
        (answer.body, self.store.with(|tables| tables.audit.split_off(before)))
    }

    /// Issues a ticket as the command line does.
    ///
    /// # Errors
    /// [`AdminError`] if it is not granted.
    pub fn issue(&self, asked: TicketRequest) -> Result<String, AdminError> {
        fixtures::issue_as_asked(&self.engine, &self.store, asked, self.inputs(NOON))
    }

    /// Returns a token of the client `id` with `scope`.
    pub fn service_token(&self, id: &str, secret: &str, scope: &str) -> String {
        self.ask(asks_for_token(id, secret, scope)).text("access_token")
    }

    /// Returns a copy of all records.
    pub fn tables(&self) -> Tables {
        self.store.with(|tables| tables.clone())
    }

    /// Commits `changes`, which must be applied.
    pub fn commit(&self, changes: Vec<Change>) {
        assert_eq!(self.store.commit(&changes.into()), Outcome::Applied);
    }

    /// Returns the user `name`.
    pub fn user(&self, name: &str) -> User {
        self.store.with(|tables| tables.users[&user_id(name)].clone())
    }

    /// Returns a client.
    pub fn client(&self, id: &str) -> Client {
        self.store.with(|tables| tables.clients[&client_id(id)].clone())
    }

    /// Changes a client.
    pub fn edit_client(&self, id: &str, edit: impl FnOnce(&mut Client)) {
        let mut client = self.client(id);
        edit(&mut client);
        self.commit(vec![Change::UpdateClient(client)]);
    }

    /// Deletes a client.
    pub fn delete_client(&self, id: &str) {
        self.commit(vec![Change::DeleteClient(client_id(id))]);
    }

    /// Adds the client `id`, otherwise the same as `like`.
    pub fn add_client(&self, id: &str, like: &str) {
        self.commit(vec![Change::InsertClient(Client { id: client_id(id), epoch: 12, ..self.client(like) })]);
    }
}
