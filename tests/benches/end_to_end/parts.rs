//! What the parts of a request cost when they are measured alone, in processor time: what no server built of them could
//! do without.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use std::io::{BufRead, BufReader};

use gatepass::cli::context;
use gatepass::clock::ClockStatus;
use gatepass::front::connection::{Connection, Turn};
use gatepass::front::guarded::Guarded;
use gatepass::front::{Answered, Bounds, Reply, Service};
use gatepass::store::Store;
use gatepass_core::api::step::Step;
use gatepass_core::base::time::Time;
use gatepass_core::engine::Engine;
use gatepass_core::http::language::Language;
use gatepass_core::http::problem::Problem;
use gatepass_core::http::request::Request;
use gatepass_core::http::response::Response;
use gatepass_core::jose::jws::Compact;
use gatepass_core::jose::key::{KeySet, SigningKey};
use gatepass_core::store::Store as _;
use gatepass_core::store::change::{Change, Outcome};

use crate::meter::cpu;

/// Processor time in microseconds for each request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Parts {
    /// A fixed answer of the same size through the same front, the load generator's share included.
    pub(crate) front: f64,
    pub(crate) signature: f64,
    pub(crate) verification: f64,
    /// Everything it reads, as one snapshot.
    pub(crate) read: f64,
    /// Its rows, the audit's included, in a durable commit of many.
    pub(crate) rows: f64,
}

impl Parts {
    pub(crate) fn sum(&self) -> f64 {
        self.front + self.signature + self.verification + self.read + self.rows
    }
}

/// How many requests share one durable commit: half of those under way, as the other half gathers while one is synced.
const BATCH: usize = 32;

/// Processor time of this process while `work` is done, in microseconds for each of `count`.
fn cost(count: usize, work: impl FnOnce()) -> f64 {
    let before = cpu();
    work();
    (cpu() - before).as_secs_f64() * 1e6 / count as f64
}

/// The request that these bytes are.
fn parse(bytes: &[u8]) -> Request {
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let mut connection = Connection::new(Arc::new(Bounds::default()), local.ip(), local, Duration::ZERO);
    connection.receive(bytes);
    match connection.turn(Duration::ZERO) {
        Turn::Request(request) => request,
        other @ (Turn::Wait | Turn::Refuse(..)) => panic!("not a request: {other:?}"),
    }
}

/// What each of `requests` reads, and what the first of them write. The requests are used up where they can be used
/// once.
pub(crate) fn of_the_store(engine: &Engine, store: &Store, now: Time, requests: &[Vec<u8>]) -> (f64, f64) {
    let reads: Vec<_> = requests
        .iter()
        .map(|bytes| {
            let clock = ClockStatus { wall: now, mark: now, now, stamp: now, behind: None, ahead: None };
            let inputs = context::inputs(&clock).expect("randomness");
            let Step::Read(read) = engine.handle(parse(bytes), inputs) else {
                panic!("a flow that reads nothing")
            };
            read
        })
        .collect();
    let rounds = 2000_usize.div_ceil(reads.len());
    let read = cost(rounds * reads.len(), || {
        for read in (0..rounds).flat_map(|_| &reads) {
            std::hint::black_box(store.read(read.query()));
        }
    });
    let commits: Vec<Arc<[Change]>> = reads
        .into_iter()
        .filter_map(|read| {
            let found = store.read(read.query());
            match read.resume(engine, found) {
                Step::Commit(commit) => Some(Arc::clone(commit.changes())),
                Step::Read(_) | Step::HashPassword(_) | Step::Reply(_) => None,
            }
        })
        .collect();
    if commits.is_empty() {
        return (read, 0.0);
    }
    assert_eq!(commits.len(), requests.len(), "every request writes, or none");
    let mut batches: Vec<Arc<[Change]>> =
        commits.chunks(BATCH).map(|some| some.iter().flat_map(|c| c.iter().cloned()).collect()).collect();
    // The first opens the connection that writes.
    if let Some(first) = batches.pop() {
        assert_eq!(store.commit(&first), Outcome::Applied, "the rows of fresh requests");
    }
    let rows = cost(batches.len() * BATCH, || {
        for changes in &batches {
            assert_eq!(store.commit(changes), Outcome::Applied, "the rows of fresh requests");
        }
    });
    (read, rows)
}

/// Of a token's signature, and of its verification.
pub(crate) fn of_the_key(key: &SigningKey, token: &str) -> (f64, f64) {
    let keys = KeySet::new(vec![key.verifying_key().expect("a public half")]);
    let payload = {
        let compact = Compact::parse(token).expect("a token");
        keys.verify(&compact).expect("a token of this key").payload().to_vec()
    };
    let times = if key.algorithm().as_str().starts_with("RS") { 500 } else { 5000 };
    let signature = cost(times, || {
        for _ in 0..times {
            std::hint::black_box(key.sign("at+jwt", &payload).expect("a signature"));
        }
    });
    let verification = cost(times, || {
        for _ in 0..times {
            let compact = Compact::parse(token).expect("a token");
            std::hint::black_box(keys.verify(&compact).expect("a token of this key"));
        }
    });
    (signature, verification)
}

/// The word that makes this program the server of a fixed answer.
pub(crate) const FIXED: &str = "fixed-answer";

/// A server in a process of its own whose every answer is the same.
pub(crate) struct Fixed {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Fixed {
    /// One that answers with a body of `bytes`.
    pub(crate) fn start(bytes: usize) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args([FIXED, &bytes.to_string()]).stdout(Stdio::piped());
        let mut child = command.spawn().expect("this program runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
        Self { address: line.trim().parse().expect("an address"), child }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Fixed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Same(Vec<u8>);

impl Service for Same {
    fn answer(self: Arc<Self>, _: Request, reply: Reply) -> Answered {
        let response = Response::new(200, "application/json", self.0.clone());
        reply.now(response.with("Cache-Control", "no-store").with("Pragma", "no-cache"))
    }

    fn refuse(&self, problem: Problem, language: Language) -> Response {
        problem.response(language, Time::default())
    }
}

/// Answers every request with `bytes` bytes until killed.
pub(crate) fn serve_fixed(bytes: usize) {
    let front = Guarded::bind((Ipv4Addr::LOCALHOST, 0).into(), Bounds::default()).expect("a free port");
    println!("{}", front.local_addr());
    front.run(Arc::new(Same(vec![b'x'; bytes]))).expect("the front serves");
}
