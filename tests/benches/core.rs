//! The cost of the core without a store or a socket: parsing, deciding, signing, verifying, and each whole flow with its
//! records found beforehand.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed benchmark"
)]

use std::cell::RefCell;
use std::hint::black_box;
use std::sync::Arc;

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion};
use gatepass_core::api::reply::Reply;
use gatepass_core::api::step::{Step, drive};
use gatepass_core::base::form::Form;
use gatepass_core::base::json::parse_object;
use gatepass_core::base::secret::SecretText;
use gatepass_core::crypto::algorithm::Algorithm;
use gatepass_core::crypto::generate_ec_pkcs8;
use gatepass_core::engine::{Engine, Keys};
use gatepass_core::http::authorization::Authorization;
use gatepass_core::http::request::Request;
use gatepass_core::jose::claims::UnverifiedToken;
use gatepass_core::jose::import::import;
use gatepass_core::jose::jws::Compact;
use gatepass_core::jose::key::SigningKey;
use gatepass_core::policy::risk::{Circumstances, assess};
use gatepass_core::policy::sign_in::{Candidate, decide};
use gatepass_core::records::factor::{AskFactor, Factors};
use gatepass_core::records::password::{PasswordHash, Workspace};
use gatepass_core::records::sign_in_history::{DeviceOnNetwork, KnownPlace, SignInHistory};
use gatepass_core::records::user::Status;
use gatepass_core::settings::{Issuer, Settings};
use gatepass_core::store::Store;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::{Found, Query};
use gatepass_tests::fixtures::{
    self, BACKEND_SECRET, NOON, PAM_PASSWORD, PORTAL_SECRET, asks_for_token, inputs, posts, presents,
    refreshes, request, revokes, text,
};
use gatepass_tests::memory::Memory;
use gatepass_tests::totp::{self, SECRET, enrolled};
use serde_json::{Value, json};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    parse(&mut criterion);
    decisions(&mut criterion);
    signatures(&mut criterion);
    flows(&mut criterion);
    stretch(&mut criterion);
    criterion.final_summary();
}

/// A key for each family of algorithms.
fn keys() -> Vec<SigningKey> {
    let rsa = include_bytes!("../../core/src/jose/testdata/rsa2048.pkcs8.pem");
    let p256 = generate_ec_pkcs8(Algorithm::Es256).expect("a key");
    let shared = [7; 32];
    let files: [(&[u8], Algorithm); 4] = [
        (rsa, Algorithm::Rs256),
        (rsa, Algorithm::Ps256),
        (&p256, Algorithm::Es256),
        (&shared, Algorithm::Hs256),
    ];
    let imported = files.map(|(file, algorithm)| import(file, Some(algorithm)).expect("a key"));
    imported.into_iter().chain([fixtures::signing_key()]).collect()
}

fn signed_by(key: SigningKey) -> Engine {
    let settings = Settings::new(Issuer::parse("http://gate.example").expect("an issuer"));
    Engine::new(settings, Keys::new(0, Some(key), vec![]))
}

fn body(engine: &Engine, store: &impl Store, request: Request, seed: u64) -> Value {
    serde_json::from_slice(drive(engine, store, request, inputs(NOON, seed)).body()).expect("JSON")
}

/// The tokens of alice, who signed in at the portal.
fn session(engine: &Engine, store: &Memory) -> Value {
    let backend = body(engine, store, asks_for_token("backend", BACKEND_SECRET, "ticket:issue"), 1);
    let bearer = format!("Bearer {}", text(&backend, "access_token"));
    let asked = json!({"user_id": "alice", "audience": "portal", "scope": "profile"});
    let issued = body(engine, store, request("/auth/generate-ticket", &bearer, &asked), 2);
    body(engine, store, presents(&text(&issued, "ticket")), 3)
}

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    let asks = asks_for_token("portal", PORTAL_SECRET, "orders:read orders:write");
    let (engine, store) = (fixtures::engine("http://gate.example"), Memory::new(fixtures::tables()));
    let token = text(&session(&engine, &store), "access_token");
    let login = json!({"identity": "alice@example.com", "password": PAM_PASSWORD}).to_string();
    group.bench_function("target and a header", |b| {
        b.iter(|| (black_box(&asks).path(), black_box(&asks).header("content-type")));
    });
    group.bench_function("form", |b| b.iter(|| Form::parse(black_box(&asks.body))));
    group.bench_function("JSON", |b| b.iter(|| parse_object(black_box(login.as_bytes()))));
    group.bench_function("Basic", |b| b.iter(|| Authorization::of(black_box(&asks))));
    group.bench_function("compact JWS", |b| b.iter(|| Compact::parse(black_box(&token))));
    group.bench_function("access token", |b| b.iter(|| UnverifiedToken::parse(black_box(&token))));
    group.finish();
}

fn decisions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decide");
    let mut settings = Settings::new(Issuer::parse("http://gate.example").expect("an issuer"));
    settings.second_factor.ask = AskFactor::Risk;
    let (person, factors) = (fixtures::user("alice", Status::Active), Factors::default());
    let known = |n: u8| DeviceOnNetwork::of("laptop", b"", [192, 0, n, 1].into()).expect("a place");
    let places = (0..32).map(|n| KnownPlace::new(known(n), NOON)).collect();
    let history = SignInHistory { places, failures: vec![NOON; 20], ..SignInHistory::default() };
    let circumstances = Circumstances {
        person: &person,
        history: &history,
        place: &known(31),
        ticket: Some((NOON, NOON.plus(300))),
        enrolled: false,
        address_mismatch: false,
        impersonation: false,
        now: NOON,
    };
    group.bench_function("risk", |b| b.iter(|| assess(&settings.risk, black_box(&circumstances))));
    let candidate =
        Candidate { user: &person, client: None, factors: &factors, administers: false, circumstances };
    group.bench_function("admission", |b| b.iter(|| decide(&settings, black_box(&candidate))));
    group.finish();
}

fn signatures(criterion: &mut Criterion) {
    // As long as the claims of a user's token.
    let payload = [b' '; 300];
    let keys = keys();
    let mut group = criterion.benchmark_group("sign");
    for key in &keys {
        let sign = || key.sign("at+jwt", black_box(&payload)).expect("a signature");
        group.bench_function(key.algorithm().as_str(), |b| b.iter(sign));
    }
    group.finish();
    let mut group = criterion.benchmark_group("verify");
    for key in &keys {
        let token = key.sign("at+jwt", &payload).expect("a signature");
        let (jws, verifying) =
            (Compact::parse(&token).expect("a token"), key.verifying_key().expect("a key"));
        group.bench_function(key.algorithm().as_str(), |b| {
            b.iter(|| verifying.verify(black_box(&jws)).expect("it fits").payload().len());
        });
    }
    group.finish();
}

/// A store that returns records found beforehand, and accepts every change.
struct Canned(RefCell<std::vec::IntoIter<Found>>);

impl Store for Canned {
    fn read(&self, _query: &Query) -> Found {
        self.0.borrow_mut().next().expect("as many reads as before")
    }

    fn commit(&self, _changes: &Arc<[Change]>) -> Outcome {
        Outcome::Applied
    }
}

/// A store that remembers the records that another one finds.
struct Finding<'a>(&'a Memory, RefCell<Vec<Found>>);

impl Store for Finding<'_> {
    fn read(&self, query: &Query) -> Found {
        let found = self.0.read(query);
        self.1.borrow_mut().push(found.clone());
        found
    }

    fn commit(&self, changes: &Arc<[Change]>) -> Outcome {
        self.0.commit(changes)
    }
}

/// Drives `request` to its answer without hashing a password: the step after the hash is known beforehand.
fn answer(engine: &Engine, store: &Canned, request: Request, hashed: Option<Step>) -> Reply {
    let (mut step, mut hashed) = (engine.handle(request, inputs(NOON, 9)), hashed);
    loop {
        step = match step {
            Step::Read(read) => {
                let found = store.read(read.query());
                read.resume(engine, found)
            }
            Step::Commit(commit) => {
                let outcome = store.commit(commit.changes());
                commit.settle(engine, outcome)
            }
            Step::Guess(guess) => guess.allow(engine),
            Step::HashPassword(_) => hashed.take().expect("one hash"),
            Step::Task(task) => task.refuse(),
            Step::Reply(response) => return response,
        }
    }
}

/// The step after the hash of a flow that has one.
fn after_hash(engine: &Engine, store: &Canned, request: Request) -> Option<Step> {
    match engine.handle(request, inputs(NOON, 9)) {
        Step::Read(read) => {
            let found = store.read(read.query());
            let Step::Guess(guess) = read.resume(engine, found) else { return None };
            let Step::HashPassword(stretch) = guess.allow(engine) else { return None };
            Some(stretch.run(engine))
        }
        Step::Guess(_) | Step::Commit(_) | Step::HashPassword(_) | Step::Task(_) | Step::Reply(_) => None,
    }
}

/// Measures the answer to the request of `ask`, without the store and the password's hash.
fn flow(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    (engine, store): (&Engine, &Memory),
    ask: impl Fn() -> Request,
) {
    // The next flow has the same seed, and must not find the records of this one.
    let store = Memory::new(store.with(|tables| tables.clone()));
    let finding = Finding(&store, RefCell::default());
    assert_eq!(drive(engine, &finding, ask(), inputs(NOON, 9)).status(), 200, "{name}");
    let found = finding.1.into_inner();
    let canned = || Canned(RefCell::new(found.clone().into_iter()));
    group.bench_function(name, |b| {
        let prepare = || (after_hash(engine, &canned(), ask()), canned(), ask());
        let run = |(hashed, canned, request)| answer(engine, &canned, request, hashed);
        b.iter_batched(prepare, run, BatchSize::SmallInput);
    });
}

fn flows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("flow");
    let get = |path: &str, authorization: &str| Request {
        method: "GET".into(),
        body: vec![],
        ..request(path, authorization, &Value::Null)
    };
    for key in keys() {
        let algorithm = key.algorithm();
        let (engine, store) = (signed_by(key), Memory::new(fixtures::tables()));
        let desk = (&engine, &store);
        let bearer = format!("Bearer {}", text(&session(&engine, &store), "access_token"));
        flow(&mut group, &format!("client credentials, {}", algorithm.as_str()), desk, || {
            asks_for_token("portal", PORTAL_SECRET, "orders:read")
        });
        flow(&mut group, &format!("userinfo, {}", algorithm.as_str()), desk, || get("/userinfo", &bearer));
    }

    // The others, with an Ed25519 key.
    let (engine, store) = (fixtures::engine("http://gate.example"), Memory::new(fixtures::tables()));
    let desk = (&engine, &store);
    let tokens = session(&engine, &store);
    let (access, refresh) = (text(&tokens, "access_token"), text(&tokens, "refresh_token"));
    let backend = body(&engine, &store, asks_for_token("backend", BACKEND_SECRET, "ticket:issue"), 4);
    let backend = format!("Bearer {}", text(&backend, "access_token"));
    flow(&mut group, "generate-ticket", desk, || {
        request("/auth/generate-ticket", &backend, &json!({"user_id": "alice"}))
    });
    let ticket = fixtures::issue(&engine, &store, "alice", inputs(NOON, 5));
    flow(&mut group, "ticket sign-in", desk, || presents(&ticket));
    let login = json!({"identity": "pam", "password": PAM_PASSWORD});
    flow(&mut group, "login, its hash apart", desk, || request("/auth/login", "", &login));
    for (name, token) in [("introspect, access token", &access), ("introspect, refresh token", &refresh)] {
        let form = format!("token={token}");
        flow(&mut group, name, desk, || posts("/oauth2/introspect", "portal", PORTAL_SECRET, &form));
    }
    flow(&mut group, "refresh", desk, || refreshes(&refresh));
    flow(&mut group, "revoke", desk, || revokes(&access));
    flow(&mut group, "jwks", desk, || get("/.well-known/jwks.json", ""));
    challenge(&mut group);
    group.finish();
}

fn challenge(group: &mut BenchmarkGroup<'_, WallTime>) {
    let (engine, store) = (fixtures::asking(), Memory::new(enrolled()));
    let ticket = fixtures::issue(&engine, &store, "fay", inputs(NOON, 1));
    let challenge = text(&body(&engine, &store, presents(&ticket), 2), "challenge_token");
    let answer = json!({"challenge_token": challenge, "code": totp::code(SECRET, NOON.unix())});
    flow(group, "verify-challenge", (&engine, &store), || request("/auth/mfa/verify-challenge", "", &answer));
}

fn stretch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stretch");
    let (password, mut workspace) = (SecretText::new(PAM_PASSWORD.into()), Workspace::default());
    group.sample_size(10).bench_function("argon2id", |b| {
        b.iter(|| PasswordHash::of(black_box(&password), [7; 16], &mut workspace));
    });
    group.finish();
}
