//! Deadlines, draining, panics.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use gatepass::front::Bounds;

use super::house::{House, LATER, PATIENCE, eventually, get, post};

const SHORT: Duration = Duration::from_millis(200);
/// Never, as far as a test is concerned.
const LONG: Duration = Duration::from_secs(3600);

#[test]
fn trickling_does_not_extend_the_time_for_a_request() {
    let house = House::open(Bounds { request_time: SHORT, ..Bounds::default() });
    for start in
        ["GET / HTTP/1.1\r\nHost: a\r\nX: ", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n"]
    {
        let mut client = house.knock();
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
    house.serves();
}

#[test]
fn idle_connections_are_closed_without_a_word() {
    let house = House::open(Bounds { idle_time: SHORT, ..Bounds::default() });
    let mut fresh = house.knock();
    let mut used = house.knock();
    used.asks("/");
    assert!(fresh.hear().is_none() && used.hear().is_none());
}

#[test]
fn idle_time_counts_after_a_slow_request_too() {
    let house = House::open(Bounds { idle_time: SHORT, request_time: LONG, ..Bounds::default() });
    let mut slow = house.knock();
    slow.send("GET /slow HTTP/1.1\r\n");
    // When this one has been idle for long enough, the slow one has been looked at and left alone.
    assert!(house.knock().hear().is_none());
    slow.send("Host: a\r\n\r\n");
    assert_eq!(slow.hear().expect("an answer").body, b"GET /slow ");
    assert!(slow.hear().is_none());
}

#[test]
fn an_answer_that_is_not_taken_is_cut() {
    let house = House::open(Bounds { answer_time: SHORT, idle_time: LONG, ..Bounds::default() });
    let mut client = house.knock();
    client.send(get("/bytes/64000000"));
    eventually("the connection is cut", || client.0.write(b"x").is_err());
    house.serves();
}

#[test]
fn after_a_refusal_comes_the_end() {
    let house = House::open(Bounds { linger_time: LONG, ..Bounds::default() });
    let mut client = house.knock();
    client.send("\0");
    assert_eq!(client.hear().expect("a refusal").status, 400);
    assert!(client.hear().is_none(), "told at once, while what the client still sends is taken");
    client.send("x");
}

#[test]
fn lingering_ends() {
    let house = House::open(Bounds { linger_time: SHORT, idle_time: LONG, ..Bounds::default() });
    let mut client = house.knock();
    client.send("\0");
    assert_eq!(client.hear().expect("a refusal").status, 400);
    eventually("the connection is cut", || client.0.write(b"x").is_err());
}

#[test]
fn a_panic_is_a_500_and_the_server_lives() {
    let house = House::open(Bounds { workers: 1, ..Bounds::default() });
    let mut client = house.knock();
    for path in ["/panic", "/unprintable", "/panic"] {
        client.send(get(path));
        assert_eq!(client.hear().expect("an answer").status, 500, "{path}");
    }
    assert_eq!(client.asks("/after"), "GET /after ");
}

#[test]
fn what_waits_together_is_answered_each_for_itself() {
    let house = House::open(Bounds { workers: 1, ..Bounds::default() });
    let mut holds = house.knock();
    holds.send(get("/gate"));
    eventually("the worker is taken", || house.echo.at_gate() == 1);
    let asked = ["/panic", "/a", "/later/once", "/unprintable", "/later/dropped", "/b", "/later/panic"];
    let mut waiting: Vec<_> = asked.into_iter().cycle().take(40).map(|path| (path, house.knock())).collect();
    for (path, client) in &mut waiting {
        client.send(get(path));
    }
    // By the time this is answered most of them have been read, and wait.
    let mut bad = house.knock();
    bad.send("\0");
    assert_eq!(bad.hear().expect("a refusal").status, 400);
    house.echo.open_gate();
    assert_eq!(holds.hear().expect("an answer").body, b"through");
    for (path, client) in &mut waiting {
        let answer = client.hear().expect("an answer");
        match *path {
            "/a" | "/b" => assert_eq!(answer.body, format!("GET {path} ").as_bytes()),
            "/later/once" => assert_eq!(answer.body, b"once"),
            _ => assert_eq!(answer.status, 500, "{path}"),
        }
    }
}

#[test]
fn an_answer_may_come_later_or_not_at_all() {
    let house = House::open(Bounds { workers: 1, ..Bounds::default() });
    let mut client = house.knock();
    for (path, status, body) in LATER {
        client.send(get(path));
        let answer = client.hear().expect("an answer");
        assert_eq!(answer.status, status, "{path}");
        assert!(status != 200 || answer.body == body.as_bytes(), "{path}");
    }
}

#[test]
fn who_waits_holds_no_worker() {
    let mut house = House::open(Bounds { workers: 1, drain_time: PATIENCE, ..Bounds::default() });
    let mut waiting: Vec<_> = (0..20).map(|_| house.knock()).collect();
    for client in &mut waiting {
        client.send(get("/later/parked"));
    }
    eventually("all are parked", || house.echo.parked() == 20);
    house.serves();
    // One goes away meanwhile, and its place is another's.
    drop(waiting.pop());
    house.serves();
    // Nor is anybody forgotten who is parked when it ends.
    house.stop.stop();
    eventually("nobody is let in", || TcpStream::connect(house.address).is_err());
    house.echo.release();
    for client in &mut waiting {
        let answer = client.hear().expect("an answer");
        assert_eq!((&*answer.body, answer.closes()), (&b"released"[..], true));
    }
    drop(waiting);
    house.ended();
}

#[test]
fn draining_finishes_what_is_in_flight() {
    let mut house = House::open(Bounds { drain_time: PATIENCE, ..Bounds::default() });
    let mut idle = house.knock();
    idle.asks("/");
    let mut busy = house.knock();
    busy.send(get("/gate"));
    let mut half = house.knock();
    half.send(post("Content-Length: 5\r\nExpect: 100-continue", ""));
    assert_eq!(half.hear().unwrap().status, 100);
    eventually("one at the gate", || house.echo.at_gate() == 1);

    house.stop.stop();
    assert!(idle.hear().is_none(), "idle ones go at once");
    eventually("nobody is let in", || TcpStream::connect(house.address).is_err());
    half.send("hello");
    let answer = half.hear().expect("what had begun is finished");
    assert_eq!((answer.status, answer.closes()), (200, true));
    drop(half);
    house.echo.open_gate();
    let answer = busy.hear().expect("what is in flight is finished");
    assert_eq!((&*answer.body, answer.closes()), (&b"through"[..], true));
    drop(busy);
    house.ended();
}

#[test]
fn draining_ends_whatever_happens() {
    let mut house = House::open(Bounds { drain_time: SHORT, ..Bounds::default() });
    let mut busy = house.knock();
    busy.send(get("/gate"));
    eventually("one at the gate", || house.echo.at_gate() == 1);
    house.stop.stop();
    house.stop.stop();
    house.ended();
    assert!(TcpStream::connect(house.address).is_err());
}

#[test]
fn the_port_can_be_bound_again_at_once() {
    let mut house = House::open(Bounds::default());
    house.serves();
    house.stop.stop();
    house.ended();
    let again = gatepass::front::guarded::Guarded::bind(house.address, Bounds::default()).unwrap();
    assert_eq!(again.local_addr(), house.address);
    assert!(
        gatepass::front::guarded::Guarded::bind(house.address, Bounds::default()).is_err(),
        "but not twice"
    );
}
