//! The cost of the parts of a request, each measured alone in processor time: no server built of them could take less.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use std::io::{BufRead, BufReader};

use gatepass::clock::ClockStatus;
use gatepass::http::connection::{Action, Connection};
use gatepass::http::guarded::Guarded;
use gatepass::http::{Answered, Handler, Limits, Reply};
use gatepass::secrets::random;
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
    /// A fixed answer of the same size through the same HTTP server, including the load generator's share.
    pub(crate) front: f64,
    pub(crate) signature: f64,
    pub(crate) verification: f64,
    /// All its reads, as one snapshot.
    pub(crate) read: f64,
    /// Its rows, including the audit's, in a durable commit of many.
    pub(crate) rows: f64,
}

impl Parts {
    pub(crate) fn sum(&self) -> f64 {
        self.front + self.signature + self.verification + self.read + self.rows
    }
}

/// The number of requests in one durable commit: half of those in flight, as the other half gathers during a sync.
const BATCH: usize = 32;

/// Returns the processor time of `work` in microseconds, divided by `count`.
fn cost(count: usize, work: impl FnOnce()) -> f64 {
    let before = cpu();
    work();
    (cpu() - before).as_secs_f64() * 1e6 / count as f64
}

/// Parses a request.
fn parse(bytes: &[u8]) -> Request {
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let mut connection = Connection::new(Arc::new(Limits::default()), local.ip(), local, Duration::ZERO);
    connection.receive(bytes);
    match connection.next_action(Duration::ZERO) {
        Action::Request(request) => request,
        other @ (Action::Wait | Action::Refuse(..)) => panic!("not a request: {other:?}"),
    }
}

/// Measures the reads of each of `requests`, and the writes of the first of them. Requests that work only once are used
/// up.
pub(crate) fn of_the_store(engine: &Engine, store: &Store, now: Time, requests: &[Vec<u8>]) -> (f64, f64) {
    let reads: Vec<_> = requests
        .iter()
        .map(|bytes| {
            let clock = ClockStatus { wall: now, mark: now, now, stamp: now, behind: None, ahead: None };
            let inputs = random::request_inputs(&clock).expect("randomness");
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
                Step::Read(_) | Step::Guess(_) | Step::HashPassword(_) | Step::Task(_) | Step::Reply(_) => {
                    None
                }
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

/// Measures a token's signature, and its verification.
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

/// The argument that makes this program the server of a fixed answer.
pub(crate) const FIXED: &str = "fixed-answer";

/// A server in a process of its own that always gives the same answer.
pub(crate) struct FixedAnswerServer {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl FixedAnswerServer {
    /// Starts one that answers with a body of `bytes`.
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

impl Drop for FixedAnswerServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct FixedAnswerService(Vec<u8>);

impl Handler for FixedAnswerService {
    fn answer(self: Arc<Self>, _: Request, reply: Reply) -> Answered {
        let response = Response::new(200, "application/json", self.0.clone());
        reply.send(response.with("cache-control", "no-store").with("pragma", "no-cache"))
    }

    fn refuse(&self, problem: Problem, language: Language) -> Response {
        problem.response(language, Time::default())
    }
}

/// Answers every request with `bytes` bytes until killed.
pub(crate) fn serve_fixed(bytes: usize) {
    let front = Guarded::bind((Ipv4Addr::LOCALHOST, 0).into(), Limits::default()).expect("a free port");
    println!("{}", front.local_addr());
    front.run(Arc::new(FixedAnswerService(vec![b'x'; bytes]))).expect("the front serves");
}
