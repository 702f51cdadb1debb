//! The same embedding in an async runtime: eight requests present one ticket at once, and one of them is signed in.
//!
//! `cargo run -p gatepass-core --example tokio --features memory`

use std::error::Error;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use gatepass_core::admin::{self, Operation, tickets::IssueTicket};
use gatepass_core::store::memory::Tables;
use gatepass_core::{
    Change, Client, ClientId, Engine, Found, Issuer, Keys, Outcome, Query, Request, RequestInputs, Response,
    Scope, Seed, Settings, SigningKey, Step, TicketRequest, Time, User, UserId, UserRef, Username,
};
use serde_json::json;
use tokio::sync::{Mutex, Semaphore};

/// A store whose two verbs are awaited, as those of a database are.
#[derive(Default)]
struct AsyncStore(Mutex<Tables>);

impl AsyncStore {
    async fn read(&self, query: &Query) -> Found {
        self.0.lock().await.read(query)
    }

    async fn commit(&self, changes: &Arc<[Change]>) -> Outcome {
        self.0.lock().await.commit(changes)
    }
}

/// The server: what every request needs.
struct Server {
    engine: Engine,
    store: AsyncStore,
    /// As many passwords are hashed at once as there are permits.
    hashing: Semaphore,
}

type Failed = Box<dyn Error + Send + Sync>;

/// The whole embedding: drives one flow to its answer.
async fn run(server: &Arc<Server>, mut step: Step) -> Result<Response, Failed> {
    loop {
        step = match step {
            Step::Read(read) => {
                let found = server.store.read(read.query()).await;
                read.resume(&server.engine, found)
            }
            Step::Commit(commit) => {
                let outcome = server.store.commit(commit.changes()).await;
                commit.settle(&server.engine, outcome)
            }
            Step::HashPassword(hash) => match server.hashing.try_acquire() {
                Err(_) => hash.refuse(),
                Ok(_permit) => {
                    let server = Arc::clone(server);
                    tokio::task::spawn_blocking(move || hash.run(&server.engine)).await?
                }
            },
            Step::Reply(reply) => return Ok(reply.into_response()),
        }
    }
}

/// Drives one operation of an administrator to its result.
async fn operate<O: Operation>(server: &Server, operation: O) -> Result<O::Output, Failed> {
    let settings = server.engine.settings();
    let mut step = admin::begin(operation, inputs()?);
    loop {
        step = match step {
            admin::Step::Read(read) => {
                let found = server.store.read(read.query()).await;
                read.resume(settings, found)
            }
            admin::Step::HashPassword(hash) => hash.run(settings),
            admin::Step::Commit(commit) => {
                let outcome = server.store.commit(commit.changes()).await;
                commit.settle(outcome)
            }
            admin::Step::Done(result) => return Ok(result?),
        }
    }
}

/// Returns the time, and fresh randomness, for one request.
fn inputs() -> Result<RequestInputs, Failed> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(RequestInputs::new(Time::from_unix(now), Seed::new(seed)))
}

fn redemption(ticket: &str) -> Request {
    Request {
        method: "POST".into(),
        target: "/auth/ticket/signin".into(),
        headers: vec![("content-type".into(), b"application/json".to_vec())],
        body: json!({ "ticket": ticket }).to_string().into_bytes(),
        peer: [127, 0, 0, 1].into(),
    }
}

/// Makes a server with a new key, a client and a user.
async fn server() -> Result<Arc<Server>, Failed> {
    let mut random = [0; 32];
    getrandom::fill(&mut random)?;
    let key = SigningKey::from_ed25519_seed(&random)?;
    let settings = Settings::new(Issuer::parse("https://gate.example")?);
    let engine = Engine::new(settings, Keys::new(0, Some(key), vec![]));
    let store = AsyncStore::default();

    let now = inputs()?.now;
    let mut epoch = [0; 8];
    getrandom::fill(&mut epoch)?;
    let epoch = u64::from_le_bytes(epoch);
    let portal = Client::new(ClientId::parse("portal")?, Scope::parse("profile")?, epoch, now);
    let alice = User::new(UserId::parse("usr_4f2a")?, Username::parse("alice")?, now);
    let changes = [Change::InsertClient(portal), Change::InsertUser(alice)].into();
    assert_eq!(store.commit(&changes).await, Outcome::Applied);
    Ok(Arc::new(Server { engine, store, hashing: Semaphore::new(2) }))
}

/// Issues a ticket for Alice, and presents it eight times at once.
#[tokio::main]
pub async fn main() -> Result<(), Failed> {
    let server = server().await?;

    let mut asked = TicketRequest::new(UserRef::Username("alice".into()));
    asked.audience = Some(ClientId::parse("portal")?);
    let issued = operate(&server, IssueTicket { request: asked }).await?;
    let ticket = issued.ticket.expose();

    let mut requests = Vec::new();
    for _ in 0..8 {
        let (server, request, inputs) = (Arc::clone(&server), redemption(ticket), inputs()?);
        requests.push(tokio::spawn(async move {
            let step = server.engine.handle(request, inputs);
            run(&server, step).await
        }));
    }
    let mut signed_in = 0;
    for request in requests {
        let response = request.await??;
        println!("{}", response.status());
        signed_in += u32::from(response.status() == 200);
    }
    assert_eq!(signed_in, 1);
    Ok(())
}
