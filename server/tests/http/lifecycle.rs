//! Deadlines, draining, panics.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use gatepass::http::Limits;

use super::harness::{Harness, LATER, TIMEOUT, eventually, get, post};

const SHORT: Duration = Duration::from_millis(200);
/// Longer than any test.
const LONG: Duration = Duration::from_secs(3600);

#[test]
fn trickling_does_not_extend_the_time_for_a_request() {
    let harness = Harness::open(Limits { request_time: SHORT, ..Limits::default() });
    for start in
        ["GET / HTTP/1.1\r\nHost: a\r\nX: ", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n"]
    {
        let mut client = harness.connect();
        client.send(start);
        client.0.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        let mut answer = Vec::new();
        eventually("the trickle is refused", || {
            let _ = client.0.write(b"x");
            let mut bytes = [0; 1000];
            match client.0.read(&mut bytes) {
                Ok(0) => true,
                Ok(count) => {
                    answer.extend_from_slice(&bytes[..count]);
                    answer.ends_with(b"}")
                }
                Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            }
        });
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.starts_with("HTTP/1.1 408 ") && answer.contains("\r\nConnection: close\r\n"),
            "{answer}"
        );
    }
    harness.serves();
}

#[test]
fn idle_connections_are_closed_without_a_word() {
    let harness = Harness::open(Limits { idle_time: SHORT, ..Limits::default() });
    let mut fresh = harness.connect();
    let mut used = harness.connect();
    used.get_body("/");
    assert!(fresh.receive().is_none() && used.receive().is_none());
}

#[test]
fn idle_time_counts_after_a_slow_request_too() {
    let harness = Harness::open(Limits { idle_time: SHORT, request_time: LONG, ..Limits::default() });
    let mut slow = harness.connect();
    slow.send("GET /slow HTTP/1.1\r\n");
    // When this one times out, the slow one has been checked and left open.
    assert!(harness.connect().receive().is_none());
    slow.send("Host: a\r\n\r\n");
    assert_eq!(slow.receive().expect("an answer").body, b"GET /slow ");
    assert!(slow.receive().is_none());
}

#[test]
fn an_answer_that_is_not_read_is_cut_off() {
    let harness = Harness::open(Limits { answer_time: SHORT, idle_time: LONG, ..Limits::default() });
    let mut client = harness.connect();
    client.send(get("/bytes/64000000"));
    eventually("the connection is cut", || client.0.write(b"x").is_err());
    harness.serves();
}

#[test]
fn a_refusal_closes_the_connection() {
    let harness = Harness::open(Limits { linger_time: LONG, ..Limits::default() });
    let mut client = harness.connect();
    client.send("\0");
    assert_eq!(client.receive().expect("a refusal").status, 400);
    assert!(client.receive().is_none(), "told at once, while what the client still sends is taken");
    client.send("x");
}

#[test]
fn lingering_ends() {
    let harness = Harness::open(Limits { linger_time: SHORT, idle_time: LONG, ..Limits::default() });
    let mut client = harness.connect();
    client.send("\0");
    assert_eq!(client.receive().expect("a refusal").status, 400);
    eventually("the connection is cut", || client.0.write(b"x").is_err());
}

#[test]
fn a_panic_is_a_500_and_the_server_goes_on() {
    let harness = Harness::open(Limits { workers: 1, ..Limits::default() });
    let mut client = harness.connect();
    for path in ["/panic", "/unprintable", "/panic"] {
        client.send(get(path));
        assert_eq!(client.receive().expect("an answer").status, 500, "{path}");
    }
    assert_eq!(client.get_body("/after"), "GET /after ");
}

#[test]
fn requests_that_wait_together_are_answered_separately() {
    let harness = Harness::open(Limits { workers: 1, ..Limits::default() });
    let mut holds = harness.connect();
    holds.send(get("/gate"));
    eventually("the worker is taken", || harness.echo.at_gate() == 1);
    let asked = ["/panic", "/a", "/later/once", "/unprintable", "/later/dropped", "/b", "/later/panic"];
    let mut waiting: Vec<_> =
        asked.into_iter().cycle().take(40).map(|path| (path, harness.connect())).collect();
    for (path, client) in &mut waiting {
        client.send(get(path));
    }
    // By the time of this answer most of them have been read and wait.
    let mut bad = harness.connect();
    bad.send("\0");
    assert_eq!(bad.receive().expect("a refusal").status, 400);
    harness.echo.open_gate();
    assert_eq!(holds.receive().expect("an answer").body, b"through");
    for (path, client) in &mut waiting {
        let answer = client.receive().expect("an answer");
        match *path {
            "/a" | "/b" => assert_eq!(answer.body, format!("GET {path} ").as_bytes()),
            "/later/once" => assert_eq!(answer.body, b"once"),
            _ => assert_eq!(answer.status, 500, "{path}"),
        }
    }
}

#[test]
fn an_answer_may_come_later_or_not_at_all() {
    let harness = Harness::open(Limits { workers: 1, ..Limits::default() });
    let mut client = harness.connect();
    for (path, status, body) in LATER {
        client.send(get(path));
        let answer = client.receive().expect("an answer");
        assert_eq!(answer.status, status, "{path}");
        assert!(status != 200 || answer.body == body.as_bytes(), "{path}");
    }
}

#[test]
fn a_waiting_request_holds_no_worker() {
    let mut harness = Harness::open(Limits { workers: 1, drain_time: TIMEOUT, ..Limits::default() });
    let mut waiting: Vec<_> = (0..20).map(|_| harness.connect()).collect();
    for client in &mut waiting {
        client.send(get("/later/parked"));
    }
    eventually("all are parked", || harness.echo.parked() == 20);
    harness.serves();
    // One disconnects meanwhile, and another takes its place.
    drop(waiting.pop());
    harness.serves();
    // A stop answers the parked requests, too.
    harness.stop.stop();
    eventually("nobody is let in", || TcpStream::connect(harness.address).is_err());
    harness.echo.release();
    for client in &mut waiting {
        let answer = client.receive().expect("an answer");
        assert_eq!((&*answer.body, answer.closes()), (&b"released"[..], true));
    }
    drop(waiting);
    harness.ended();
}

#[test]
fn draining_finishes_what_is_in_flight() {
    let mut harness = Harness::open(Limits { drain_time: TIMEOUT, ..Limits::default() });
    let mut idle = harness.connect();
    idle.get_body("/");
    let mut busy = harness.connect();
    busy.send(get("/gate"));
    let mut half = harness.connect();
    half.send(post("Content-Length: 5\r\nExpect: 100-continue", ""));
    assert_eq!(half.receive().unwrap().status, 100);
    eventually("one at the gate", || harness.echo.at_gate() == 1);

    harness.stop.stop();
    assert!(idle.receive().is_none(), "idle ones go at once");
    eventually("nobody is let in", || TcpStream::connect(harness.address).is_err());
    half.send("hello");
    let answer = half.receive().expect("what had begun is finished");
    assert_eq!((answer.status, answer.closes()), (200, true));
    drop(half);
    harness.echo.open_gate();
    let answer = busy.receive().expect("what is in flight is finished");
    assert_eq!((&*answer.body, answer.closes()), (&b"through"[..], true));
    drop(busy);
    harness.ended();
}

#[test]
fn draining_ends_whatever_happens() {
    let mut harness = Harness::open(Limits { drain_time: SHORT, ..Limits::default() });
    let mut busy = harness.connect();
    busy.send(get("/gate"));
    eventually("one at the gate", || harness.echo.at_gate() == 1);
    harness.stop.stop();
    harness.stop.stop();
    harness.ended();
    assert!(TcpStream::connect(harness.address).is_err());
}

#[test]
fn the_port_can_be_bound_again_at_once() {
    let mut harness = Harness::open(Limits::default());
    harness.serves();
    harness.stop.stop();
    harness.ended();
    let again = gatepass::http::guarded::Guarded::bind(harness.address, Limits::default()).unwrap();
    assert_eq!(again.local_addr(), harness.address);
    assert!(
        gatepass::http::guarded::Guarded::bind(harness.address, Limits::default()).is_err(),
        "but not twice"
    );
}
