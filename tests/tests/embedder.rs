//! The core in an async runtime with a store in memory; it passes the binary's own suite.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use gatepass_core::api::reply::Reply;
use gatepass_core::api::step::Step;
use gatepass_core::base::time::Time;
use gatepass_core::base::warning::Warnings;
use gatepass_core::crypto::seed::Seed;
use gatepass_core::engine::Engine;
use gatepass_core::http::request::Request;
use gatepass_core::records::request_inputs::RequestInputs;
use gatepass_tests::fixtures;
use gatepass_tests::memory::Tables;
use gatepass_tests::suite::{SUITE, Target};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A store with async locks.
type AsyncStore = Arc<tokio::sync::Mutex<Tables>>;

/// Drives a flow. This is the whole embedding.
async fn answer(engine: &Engine, store: &AsyncStore, request: Request) -> Reply {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).expect("the system's generator");
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
    let (now, seed, warnings) = (Time::from_unix(unix), Seed::new(seed), Warnings::NONE);
    let inputs = RequestInputs { now, fraction: 0, seed, warnings, wall: now };
    let mut step = engine.handle(request, inputs);
    loop {
        step = match step {
            Step::Read(read) => {
                let found = store.lock().await.read(read.query());
                read.resume(engine, found)
            }
            Step::Commit(commit) => {
                let outcome = store.lock().await.commit(commit.changes());
                commit.settle(engine, outcome)
            }
            Step::Guess(guess) => guess.allow(engine),
            Step::HashPassword(stretch) => tokio::task::block_in_place(|| stretch.run(engine)),
            Step::Task(task) => task.refuse(),
            Step::Reply(response) => return response,
        }
    }
}

/// Handles one request and closes the connection. This is enough HTTP for a test, and for nothing else.
async fn serve(engine: Arc<Engine>, store: AsyncStore, stream: TcpStream) -> std::io::Result<()> {
    let peer = stream.peer_addr()?.ip();
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let mut words = line.split_whitespace().map(String::from);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (mut headers, mut length) = (vec![], 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap_or(0);
        }
        headers.push((name.to_ascii_lowercase(), value.trim().as_bytes().to_vec()));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let without_body = method == "HEAD";
    let response = answer(&engine, &store, Request { method, target, headers, body, peer }).await;
    let mut bytes = format!("HTTP/1.1 {} -\r\nConnection: close\r\n", response.status()).into_bytes();
    for (name, value) in response.headers() {
        bytes.extend(format!("{name}: {value}\r\n").as_bytes());
    }
    bytes.extend(format!("Content-Length: {}\r\n\r\n", response.body().len()).as_bytes());
    bytes.extend(if without_body { &[] } else { response.body() });
    stream.write_all(&bytes).await
}

#[test]
fn the_async_embedder_passes_the_suite() {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        tokio::runtime::Builder::new_multi_thread().enable_io().build().expect("a runtime").block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address");
            let engine = Arc::new(fixtures::engine(&format!("http://{address}")));
            let store = AsyncStore::new(fixtures::tables().into());
            tell.send(address).expect("somebody listens");
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(Arc::clone(&engine), store.clone(), stream));
            }
        });
    });
    let target = Target { address: told.recv().expect("it listens") };
    for (name, test) in SUITE {
        println!("{name}");
        test(target);
    }
}
