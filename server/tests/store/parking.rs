//! A flow that reads from an engine over a network holds no worker.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gatepass::config::ConfigLayer;
use gatepass::http::Limits;
use gatepass::http::guarded::Guarded;
use gatepass::net::client_address::CurrentProxies;
use gatepass::runtime::service::{Service, ServiceAt};
use gatepass::store::Backend;
use gatepass::store::Clock;
use gatepass_core::api::routes::Surface;
use gatepass_core::base::time::Time;
use gatepass_core::records::signing_key::{KeyState, StoredKey};
use gatepass_core::records::ticket::{Ticket, TicketDigest};
use gatepass_core::settings::{Issuer, Settings};
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::Query;
use gatepass_tests::fixtures;

use crate::engines::{Engine as _, InMemory};
use crate::fixture::*;

/// The longest wait for what must happen. The test does not measure by it.
const TIMEOUT: Duration = Duration::from_secs(30);

const TICKET: &str = "tkt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Sends a request on a connection of its own.
fn ask(address: SocketAddr, head: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let length = body.len();
    let request = format!(
        "{head} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

fn status(mut stream: TcpStream) -> u16 {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer:?}"))
}

#[test]
fn requests_that_wait_for_a_read_leave_the_only_worker_free() {
    let engine = InMemory::with_records();
    let store: Arc<dyn Backend> = engine.open();
    let now = Time::from_unix(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs());
    let digest = TicketDigest::of(TICKET).unwrap();
    let good = Ticket { digest, issued_at: now, expires_at: now.plus(300), ..ticket(1) };
    assert_eq!(commit(&store, [Change::InsertTicket(good)]), Outcome::Applied);
    let key = Box::new(StoredKey::new(&fixtures::signing_key(), KeyState::Signing, now));
    let generation = store.read(&Query::Generation).generation;
    assert_eq!(commit(&store, [Change::InsertKey { key, generation, retire_from: now }]), Outcome::Applied);

    let config = ConfigLayer::default().resolve().unwrap();
    let clock = Clock::start(&*store).unwrap();
    let settings = Settings::new(Issuer::parse("http://gate.example").unwrap());
    let service = Service::new(store, clock, &config, CurrentProxies::default(), settings).unwrap();
    let limits = Limits { workers: 1, ..Limits::default() };
    let front = Guarded::bind("127.0.0.1:0".parse().unwrap(), limits).unwrap();
    let (address, stop) = (front.local_addr(), front.stopper());
    let serving =
        thread::spawn(move || front.run(Arc::new(ServiceAt::new(Arc::new(service), Surface::Whole))));

    engine.hold_reads();
    let body = format!("{{\"ticket\":\"{TICKET}\"}}");
    let waiting: Vec<_> = (0..8).map(|_| ask(address, "POST /auth/ticket/signin", &body)).collect();
    assert_eq!(
        engine.wait_for_held_reads(waiting.len(), TIMEOUT),
        waiting.len(),
        "all of them wait for their read"
    );
    assert_eq!(status(ask(address, "GET /nothing", "")), 404, "a request that reads nothing is answered");
    engine.release_reads();
    let statuses: Vec<u16> = waiting.into_iter().map(status).collect();
    let signed_in = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!(signed_in, 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| *status < 500), "{statuses:?}");
    stop.stop();
    serving.join().unwrap().unwrap();
}
