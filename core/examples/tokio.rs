//! The same embedding in an async runtime: eight requests present one ticket at once, and one of them is signed in.
//!
//! `cargo run -p gatepass-core --example tokio --features memory`

use std::error::Error;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use gatepass_core::admin::{
    self, Administrator, Operation, UserFields, tickets::IssueTicket, users::AddUser,
};
use gatepass_core::store::memory::Tables;
use gatepass_core::{
    Change, Engine, Found, Issuer, Keys, Outcome, Query, Request, RequestInputs, Response, SecretText, Seed,
    Settings, SigningKey, Step, TicketRequest, Time, UserRef, Username,
};
use serde_json::json;
use tokio::sync::{Mutex, Semaphore};

type Failed = Box<dyn Error + Send + Sync>;

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

/// Everything that a request needs.
struct Server {
    engine: Engine,
    store: AsyncStore,
    /// As many passwords are hashed at once as there are permits.
    hashing: Semaphore,
}

/// The whole embedding: drives one flow to its answer.
async fn drive(server: &Arc<Server>, mut step: Step) -> Result<Response, Failed> {
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
            // Limit an address that has guessed wrong too often: `guess.limit`. `Reply::attempt` tells how each one went.
            Step::Guess(guess) => guess.allow(&server.engine),
            Step::HashPassword(hash) => match server.hashing.try_acquire() {
                Err(_) => hash.refuse(),
                Ok(_permit) => {
                    let server = Arc::clone(server);
                    tokio::task::spawn_blocking(move || hash.run(&server.engine)).await?
                }
            },
            // Administration over HTTP asks for what only a server can do or knows.
            Step::Task(task) => task.refuse(),
            Step::Reply(reply) => return Ok(reply.into_response()),
        }
    }
}

/// Drives an administrator's operation to its result, in the same way.
async fn operate<O: Operation>(server: &Server, operation: O) -> Result<O::Output, Failed> {
    let settings = server.engine.settings();
    let mut step = admin::begin(operation, Administrator::Machine, inputs()?);
    loop {
        step = match step {
            admin::Step::Read(read) => {
                let found = server.store.read(read.query()).await;
                read.resume(settings, found)
            }
            admin::Step::Commit(commit) => {
                let outcome = server.store.commit(commit.changes()).await;
                commit.settle(outcome)
            }
            admin::Step::HashPassword(hash) => tokio::task::block_in_place(|| hash.run(settings)),
            admin::Step::Done(result) => return Ok(result?),
        }
    }
}

/// Returns 32 bytes of the system's generator.
fn random() -> Result<[u8; 32], getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// Returns the time, and fresh randomness, for one request or operation.
fn inputs() -> Result<RequestInputs, Failed> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(RequestInputs::new(Time::from_unix(now), Seed::new(random()?)))
}

fn redemption(ticket: &SecretText) -> Request {
    Request {
        method: "POST".into(),
        target: "/auth/ticket/signin".into(),
        headers: vec![("content-type".into(), b"application/json".to_vec())],
        body: json!({ "ticket": ticket.expose() }).to_string().into_bytes(),
        peer: [127, 0, 0, 1].into(),
    }
}

/// Presents one ticket eight times at once.
#[tokio::main]
pub async fn main() -> Result<(), Failed> {
    let settings = Settings::new(Issuer::parse("https://gate.example")?);
    let key = SigningKey::from_ed25519_seed(&random()?)?;
    let engine = Engine::new(settings, Keys::new(0, Some(key), vec![]));
    let server = Arc::new(Server { engine, store: AsyncStore::default(), hashing: Semaphore::new(2) });

    let alice =
        AddUser { username: Username::parse("alice")?, fields: UserFields::default(), password: None };
    let alice = operate(&server, alice).await?;
    let request = TicketRequest::new(UserRef::from(&alice.id));
    let issued = operate(&server, IssueTicket { request }).await?;

    let mut requests = Vec::new();
    for _ in 0..8 {
        let (server, request, inputs) = (Arc::clone(&server), redemption(&issued.ticket), inputs()?);
        requests.push(tokio::spawn(async move {
            let step = server.engine.handle(request, inputs);
            drive(&server, step).await
        }));
    }
    let mut signed_in = 0;
    for request in requests {
        let status = request.await??.status();
        println!("{status}");
        signed_in += u32::from(status == 200);
    }
    assert_eq!(signed_in, 1);
    Ok(())
}
